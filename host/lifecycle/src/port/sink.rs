//! Where finished images go.

use stave_model::digest::Digest;

use super::{cancel::Cancel, failure::PortError, observer::Observer};
use crate::image::Image;

/// Takes an image: a registry, an OCI layout, an archive, a daemon, the image store.
pub trait Sink: Send + Sync {
    /// Where it goes, in words, such as `registry.example.com/app:latest`.
    fn describe(&self) -> String;

    /// Stores the image. It is there whole afterwards, or, on an error, not there under its name.
    fn put(&self, image: &Image, observer: &dyn Observer, cancel: &Cancel) -> Result<Stored, PortError>;
}

/// What a sink says of an image it has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The manifest's digest there. Equal to [`Image::digest`], except where the format knows no manifest.
    pub digest: Digest,
}
