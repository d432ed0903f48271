//! What images stand on.

use stave_model::target::Platform;

use super::failure::PortError;
use crate::image::Image;

/// A run image: what the app's layers are put upon.
#[derive(Debug, Clone)]
pub struct Base {
    /// The image itself.
    pub image: Image,
    /// The name that people use for it, such as `stave/jvm-tiny`; recorded as `runImage.image`.
    pub name: String,
    /// Where exactly it is, such as `name@sha256:…`; recorded as `runImage.reference`.
    pub reference: String,
}

/// Finds the run image for a platform: in a store, a layout or a registry.
pub trait Bases: Send + Sync {
    /// The base for `platform`; an error that names the platforms there are, if that one is missing.
    fn base(&self, platform: &Platform) -> Result<Base, PortError>;
}
