//! An image that is there, by what a person calls it: a name in the image store, a layout, or a registry.

use std::str::FromStr as _;

use stave_lifecycle::{
    image::Image,
    port::bases::{Base, Bases},
};
use stave_model::{digest::Digest, target::Platform};
use stave_oci::{
    layout::{Layout, Place},
    reference::Reference,
    registry::pull::RegistryImage,
};
use stave_store::images::NamedImage;

use crate::{
    exit::{ANALYZE, Exit, USAGE},
    workshop::Workshop,
};

/// Where an image was found.
pub(crate) enum Found {
    /// In the image store, under this name, for these platforms.
    Store(NamedImage, String, Vec<Platform>),
    /// In a layout.
    Layout(Layout, Place),
    /// In a registry; or it is going to be looked for there.
    Registry(Box<RegistryImage>, Reference),
}

impl Found {
    /// `oci:DIR`, a name that the image store has, or else a reference that a registry is asked for.
    pub(crate) fn locate(workshop: &Workshop, text: &str) -> Result<Self, Exit> {
        if let Some(place) = text.strip_prefix("oci:") {
            let place = Place::parse(place);
            let layout = Layout::open(place.clone()).map_err(|error| Exit::new(ANALYZE, error))?;
            return Ok(Self::Layout(layout, place));
        }
        let reference = Reference::from_str(text).map_err(|error| Exit::new(USAGE, error))?;
        let name = reference.to_string();
        let entries = workshop.images.list().map_err(|error| Exit::new(ANALYZE, error))?;
        let platforms: Vec<Platform> =
            entries.into_iter().filter(|entry| entry.name == name).map(|entry| entry.platform).collect();
        if platforms.is_empty() && reference.registry.is_some() {
            return Ok(Self::in_registry(workshop, reference));
        }
        Ok(Self::Store(NamedImage::new(workshop.images.clone(), name.clone()), name, platforms))
    }

    /// The image that was found as `reference`, which ends with its digest: where it was, if it is still there.
    pub(crate) fn exactly(workshop: &Workshop, reference: &str, platform: &Platform) -> Result<Image, Exit> {
        let named = reference.rsplit_once('@').and_then(|(name, digest)| Some((name, digest.parse::<Digest>().ok()?)));
        let (name, digest) = named.ok_or_else(|| Exit::new(ANALYZE, "it is not named by a digest"))?;
        let found = Self::locate(workshop, name)?;
        if let Self::Registry(_, reference) = &found {
            return Self::in_registry(workshop, reference.pinned(digest)).image(platform);
        }
        let image = found.image(platform)?;
        if image.digest() == digest { Ok(image) } else { Err(Exit::new(ANALYZE, "another image has its name now")) }
    }

    /// The image of a registry, whatever the image store has of the same name.
    pub(crate) fn in_registry(workshop: &Workshop, reference: Reference) -> Self {
        let (blobs, ui, cancel) = (workshop.blobs.clone(), workshop.ui.clone(), workshop.cancel.clone());
        Self::Registry(
            Box::new(RegistryImage::new(workshop.registries(), reference.clone(), blobs, ui, cancel)),
            reference,
        )
    }

    /// The image for a platform, as something to stand on.
    pub(crate) fn base(&self, platform: &Platform) -> Result<Base, Exit> {
        let (bases, hint): (&dyn Bases, _) = match self {
            Self::Store(named, ..) => (named, Some("`stave images` lists what there is")),
            Self::Layout(layout, _) => (layout, None),
            Self::Registry(image, _) => (image.as_ref(), None),
        };
        bases.base(platform).map_err(|error| {
            let exit = Exit::new(ANALYZE, error);
            match hint {
                Some(hint) => exit.hint(hint),
                None => exit,
            }
        })
    }

    /// The image for a platform.
    pub(crate) fn image(&self, platform: &Platform) -> Result<Image, Exit> {
        Ok(self.base(platform)?.image)
    }
}
