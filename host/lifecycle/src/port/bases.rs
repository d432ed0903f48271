//! What images stand on.

use stave_model::{
    image::{self, ImageError},
    restore::Stack,
    target::Platform,
};

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

impl Base {
    /// The diffID of its last layer; empty where it has none.
    pub fn top_layer(&self) -> String {
        self.image.layers.last().map(|layer| layer.diff_id.to_string()).unwrap_or_default()
    }

    /// What kind of base it is.
    pub fn stack(&self) -> Result<Stack, ImageError> {
        Ok(image::stack(&self.image.config)?.below(&self.top_layer()))
    }
}

/// Finds the run image for a platform: in a store, a layout or a registry.
pub trait Bases: Send + Sync {
    /// The base for `platform`; an error that names the platforms there are, if that one is missing.
    fn base(&self, platform: &Platform) -> Result<Base, PortError>;
}
