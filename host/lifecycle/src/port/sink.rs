//! Where finished images go.

use stave_model::digest::Digest;

use super::{
    cancel::Cancel,
    failure::{Fault, PortError},
    observer::Observer,
};
use crate::image::Image;

/// Takes an image: a registry, an OCI layout, an archive, a daemon, the image store.
pub trait Sink: Send + Sync {
    /// Where it goes, in words, such as `registry.example.com/app:latest`.
    fn describe(&self) -> String;

    /// Stores the image. It is there whole afterwards, or, on an error, not there under its name.
    fn put(&self, image: &Image, observer: &dyn Observer, cancel: &Cancel) -> Result<Stored, PortError>;

    /// Whether images of several platforms can be one there.
    fn holds_platforms(&self) -> bool {
        false
    }

    /// Stores images of several platforms as one: each of them first, what names them together last.
    fn put_platforms(&self, images: &[Image], _observer: &dyn Observer, _cancel: &Cancel) -> Result<Stored, PortError> {
        let attempt = format!("could not store images of {} platforms as one in {}", images.len(), self.describe());
        Err(PortError::new(Fault::Unsupported, attempt))
    }
}

/// What a sink says of an image it has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The manifest's digest there, or the index's. Equal to [`Image::digest`], except where the format knows no manifest.
    pub digest: Digest,
}
