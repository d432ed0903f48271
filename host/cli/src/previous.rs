//! The previous build of an image: where its image is, what buildpacks are told of it, and what is kept of it.

use std::sync::Arc;

use stave_lifecycle::{
    image::Image,
    port::{
        failure::{Fault, PortError},
        observer::{Event, Level, Observer},
    },
    previous::{
        Previous,
        kept::{Kept, Shelf},
    },
};
use stave_model::target::Platform;
use stave_oci::{
    layout::{self, Layout},
    reference::{InvalidReference, Reference},
    registry::pull::RegistryImage,
};

use crate::{
    args::Destination,
    destination,
    exit::{ANALYZE, Exit, USAGE},
    workshop::Workshop,
};

/// A place where the previous image may be.
enum Place {
    Store(Reference),
    Layout(layout::Place),
    Registry(Box<RegistryImage>, Reference),
}

impl Place {
    fn in_registry(workshop: &Workshop, name: &Reference) -> Self {
        let (blobs, ui, cancel) = (workshop.blobs.clone(), workshop.ui.clone(), workshop.cancel.clone());
        let image = RegistryImage::new(workshop.registries(), name.clone(), blobs, ui, cancel);
        Self::Registry(Box::new(image), name.clone())
    }

    /// The image for a platform.
    fn image(&self, workshop: &Workshop, platform: &Platform) -> Result<Image, PortError> {
        match self {
            Self::Store(name) => {
                let found = workshop.images.get(&name.to_string(), platform)?;
                found.ok_or_else(|| PortError::new(Fault::NotFound, format!("it has none for {platform}")))
            }
            Self::Layout(place) => Layout::open(place.clone())?.image(platform),
            Self::Registry(image, _) => image.image(platform),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Store(name) => format!("{name} in the image store"),
            Self::Layout(place) => place.to_string(),
            Self::Registry(_, name) => format!("{name} in its registry"),
        }
    }
}

/// Where the previous image is looked for.
pub(crate) struct Search {
    places: Vec<Place>,
    /// Whether the person who builds named the place, who should be told then that nothing is there.
    is_named: bool,
}

impl Search {
    /// For the image that is named as the previous one: `oci:DIR`, a name that the image store has, or else a reference that a
    /// registry is asked for.
    pub(crate) fn named(workshop: &Workshop, text: &str) -> Result<Self, Exit> {
        Ok(Self { places: vec![named(workshop, text)?], is_named: true })
    }

    /// For an image in a registry, which is named by its digest.
    pub(crate) fn in_registry(workshop: &Workshop, name: &Reference) -> Self {
        Self { places: vec![Place::in_registry(workshop, name)], is_named: false }
    }

    /// For none.
    pub(crate) fn none() -> Self {
        Self { places: Vec::new(), is_named: false }
    }

    /// For the image that a build replaces, in the first place that has it: the registry, a layout, the image store. The store
    /// is looked at too where none of the three is a destination.
    pub(crate) fn replaced(workshop: &Workshop, destination: &Destination, name: &Reference) -> Self {
        let mut places = Vec::new();
        if destination.publish {
            places.push(Place::in_registry(workshop, name));
        }
        let (layouts, is_in_store) = destination::kept_places(destination);
        places.extend(layouts.into_iter().map(Place::Layout));
        if is_in_store || places.is_empty() {
            places.push(Place::Store(name.clone()));
        }
        Self { places, is_named: false }
    }

    /// What the previous image tells, with what the last build of the image `name` kept beside it; if it is to be `cleared`, its
    /// notes alone, and what was kept is forgotten. An image that cannot be read tells nothing: this build makes it anew.
    pub(crate) fn previous(
        &self,
        workshop: &Workshop,
        name: &Reference,
        platform: &Platform,
        cleared: bool,
    ) -> Result<Previous, Exit> {
        let previous = self.told(workshop, platform)?;
        let name = kept_under(workshop, name);
        if cleared {
            Kept::default().keep(&workshop.results, &name, platform);
            return Ok(previous.without_layers());
        }
        let place = Shelf { blobs: workshop.blobs.clone(), results: Arc::new(workshop.results.clone()) };
        Ok(previous.with_kept(Kept::find(&workshop.results, &name, platform), place))
    }

    /// What the previous image alone tells.
    pub(crate) fn told(&self, workshop: &Workshop, platform: &Platform) -> Result<Previous, Exit> {
        Ok(self.image(workshop, platform)?.map(|image| Previous::of_image(&image)).unwrap_or_default())
    }

    fn image(&self, workshop: &Workshop, platform: &Platform) -> Result<Option<Image>, Exit> {
        let note = |level, text| workshop.ui.observe(Event::Note(level, text));
        for place in &self.places {
            let what = place.describe();
            match place.image(workshop, platform) {
                Ok(image) => {
                    note(Level::Debug, format!("the previous image is {what} ({})", image.digest().short()));
                    return Ok(Some(image));
                }
                Err(error) if error.fault == Fault::Cancelled => return Err(error.into()),
                // Whoever may not read a repository is often told that it is not there, and the other way round.
                Err(error) if matches!(error.fault, Fault::NotFound | Fault::Denied) => {
                    if self.is_named {
                        let context = format!("could not find the previous image {what}");
                        let exit = Exit::new(ANALYZE, anyhow::Error::new(error).context(context));
                        return Err(exit.hint("name an image that is there, or leave --previous-image out"));
                    }
                    note(Level::Debug, format!("there is no previous image {what}: {error}"));
                }
                Err(error) => {
                    note(Level::Warning, format!("buildpacks are told nothing of the previous image {what}: {error}"));
                }
            }
        }
        Ok(None)
    }
}

/// Under what a build keeps its layers for the next one: the image's name, and whose image it is. Who has another data folder has
/// other images, also where they are called the same and one cache serves all.
pub(crate) fn kept_under(workshop: &Workshop, name: &Reference) -> String {
    let data = workshop.data.path();
    let data = data.canonicalize().unwrap_or_else(|_| data.to_owned());
    format!("{name} in {}", data.display())
}

/// The place of an image that a person names.
fn named(workshop: &Workshop, text: &str) -> Result<Place, Exit> {
    if let Some(place) = text.strip_prefix("oci:") {
        return Ok(Place::Layout(layout::Place::parse(place)));
    }
    let name: Reference = text.parse().map_err(|error: InvalidReference| Exit::new(USAGE, error))?;
    let entries = workshop.images.list().map_err(|error| Exit::new(ANALYZE, error))?;
    let is_stored = entries.iter().any(|entry| entry.name == name.to_string());
    if is_stored || name.registry.is_none() {
        return Ok(Place::Store(name));
    }
    Ok(Place::in_registry(workshop, &name))
}
