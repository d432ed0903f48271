//! WebAssembly components as artefacts: one manifest, one configuration that says what the component imports and exports, and
//! one layer that is the component itself, as it is. This is the layout that the WebAssembly tools agree on (CNCF TAG Runtime,
//! "Wasm OCI Artifact layout").
//!
//! | Module | Holds |
//! |---|---|
//! | `document` | manifest and configuration, written and read |
//! | [`names`] | short names, and what the user's configuration makes of them |
//! | [`place`] | where a component is: a registry's reference, or a layout |
//!
//! What is written depends on the component and on nothing else, so that publishing twice gives one digest. What a
//! configuration of somebody else says of a component is only claimed: [`Claims::denied_by`] compares it with what is there.

mod document;
pub mod names;
pub mod place;

use std::{collections::BTreeMap, fmt, sync::Arc};

use stave_archive::content::{Content, Span};
use stave_lifecycle::{
    image::{Descriptor, Image},
    port::{
        blobs::Blobs,
        cancel::Cancel,
        failure::{Fault, PortError},
        observer::Observer,
        sink::Sink as _,
    },
};
use stave_model::digest::Digest;

pub(crate) use self::document::Outline;
pub use self::{
    document::{Claims, Facts, NotAComponent, artifact},
    place::Place,
};
use crate::{
    layout::{Layout, LayoutFolder},
    registry::{Registries, pull::RegistryImage, push::RegistryTag},
};

/// The media type of a component's configuration.
pub const CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// The media type of a component.
pub const COMPONENT: &str = "application/wasm";

/// What is needed to reach components.
#[derive(Clone)]
pub struct Means {
    /// The way to registries.
    pub registries: Registries,
    /// Where lands what is fetched.
    pub blobs: Arc<dyn Blobs>,
    /// Who is told.
    pub observer: Arc<dyn Observer>,
    /// Whether to stop.
    pub cancel: Cancel,
}

impl fmt::Debug for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Means").field("registries", &self.registries).finish_non_exhaustive()
    }
}

/// A component that was found: everything of it but its bytes, which are fetched when they are asked for.
#[derive(Debug, Clone)]
pub struct Found {
    /// Where it is, by its manifest's digest.
    pub resolved: Place,
    /// What leads to its manifest.
    pub manifest: Descriptor,
    /// What leads to the component.
    pub component: Descriptor,
    /// What its configuration claims of it, if that says anything.
    pub claims: Option<Claims>,
    /// The manifest's annotations.
    pub annotations: BTreeMap<String, String>,
    content: Arc<dyn Content>,
}

impl Found {
    pub(crate) fn new(
        resolved: Place,
        manifest: Descriptor,
        outline: Outline,
        claims: Option<Claims>,
        content: Arc<dyn Content>,
    ) -> Self {
        let Outline { component, annotations, .. } = outline;
        Self { resolved, manifest, component, claims, annotations, content }
    }

    /// The component's bytes, fetched and compared with their digest.
    pub fn bytes(&self) -> Result<Vec<u8>, PortError> {
        let attempt = format!("could not pull `{}`", self.resolved);
        let bytes = self.content.bytes(self.component.size);
        let bytes = bytes.map_err(|error| PortError::of_io(attempt.as_str(), Fault::Integrity, error))?;
        if Digest::of(&bytes) == self.component.digest {
            return Ok(bytes);
        }
        Err(PortError::new(Fault::Integrity, attempt).caused_by("its bytes are others than its manifest promised"))
    }

    /// The component as a part of a file: in the blobs if it comes from a registry, else in the layout, whose bytes are to be
    /// compared with their digest by whoever reads them there.
    pub fn span(&self) -> Result<Option<Span>, PortError> {
        let attempt = || format!("could not pull `{}`", self.resolved);
        self.content.span().map_err(|error| PortError::of_io(attempt(), Fault::Integrity, error))
    }
}

/// Finds the component at `place`. One of more than `limit` bytes is refused before any of them is fetched. One that is named
/// by its digest, and is all among the blobs, needs no network.
pub fn find(place: &Place, limit: u64, means: &Means) -> Result<Found, PortError> {
    let Means { registries, blobs, observer, cancel } = means.clone();
    match place {
        Place::Registry(reference) => {
            RegistryImage::new(registries, reference.clone(), blobs, observer, cancel).component(limit)
        }
        Place::Layout { place, digest } => Layout::open(place.clone())?.component(*digest, limit),
    }
}

/// The same with its bytes.
pub fn pull(place: &Place, limit: u64, means: &Means) -> Result<(Found, Vec<u8>), PortError> {
    let found = find(place, limit, means)?;
    let bytes = found.bytes()?;
    Ok((found, bytes))
}

/// Puts an [`artifact`] at `place`; answers where it is, by its digest. In a registry the tag moves last.
pub fn push(place: &Place, artifact: &Image, means: &Means) -> Result<Place, PortError> {
    let (observer, cancel) = (means.observer.as_ref(), &means.cancel);
    let stored = match place {
        Place::Registry(reference) => {
            RegistryTag::new(means.registries.clone(), reference.clone())?.put(artifact, observer, cancel)?
        }
        Place::Layout { place, digest: None } => {
            LayoutFolder::new(place.clone()).of_artifacts(CONFIG).put(artifact, observer, cancel)?
        }
        Place::Layout { digest: Some(_), .. } => {
            let attempt = format!("could not publish `{place}`: a name in a layout has no digest");
            return Err(PortError::new(Fault::InvalidInput, attempt).hint("leave the digest away"));
        }
    };
    Ok(place.pinned(stored.digest))
}

/// What is not taken for a component.
pub(crate) fn refused(name: &str, error: NotAComponent) -> PortError {
    let fault = if matches!(error, NotAComponent::Size { .. }) { Fault::TooLarge } else { Fault::InvalidInput };
    let hint = error.hint();
    let refused = PortError::new(fault, format!("could not use the buildpack `{name}`")).caused_by(error);
    match hint {
        Some(hint) => refused.hint(hint),
        None => refused,
    }
}

#[cfg(test)]
mod tests;
