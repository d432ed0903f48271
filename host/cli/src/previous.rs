//! The previous build of an image: what buildpacks are told of it, and what is kept of it.

use std::sync::Arc;

use stave_lifecycle::{
    port::observer::{Event, Level, Observer},
    previous::{
        Previous,
        kept::{Kept, Shelf},
    },
};
use stave_model::target::Platform;
use stave_oci::reference::Reference;

use crate::workshop::Workshop;

/// What the image store has of an earlier build under this name, with what that build kept beside it; if it is to be `cleared`,
/// its notes alone, and what it kept is forgotten. An image that cannot be read tells nothing: this build makes it anew.
pub(crate) fn of(workshop: &Workshop, name: &Reference, platform: &Platform, cleared: bool) -> Previous {
    let found = workshop.images.get(&name.to_string(), platform).unwrap_or_else(|error| {
        let text = format!("buildpacks are told nothing of the previous image {name}: {error}");
        workshop.ui.observe(Event::Note(Level::Warning, text));
        None
    });
    let previous = found.map(|image| Previous::of_image(&image)).unwrap_or_default();
    let name = name.to_string();
    if cleared {
        Kept::default().keep(&workshop.results, &name, platform);
        return previous.without_layers();
    }
    let shelf = Shelf { blobs: workshop.blobs.clone(), results: Arc::new(workshop.results.clone()) };
    previous.with_kept(Kept::find(&workshop.results, &name, platform), shelf)
}
