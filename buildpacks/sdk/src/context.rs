//! What the build is for, and what its user chose.

use crate::bindings::stave::buildpack::context;
pub use crate::{Error, bindings::stave::buildpack::context::Target};

/// The target of this build.
pub fn target() -> Target {
    context::build_target()
}

/// A setting that the user gave; none if it is not given or empty.
///
/// The manifest must ask for it under `asks.settings`.
pub fn setting(name: &str) -> Result<Option<String>, Error> {
    Ok(context::setting(name)?.filter(|value| !value.is_empty()))
}

impl Target {
    /// Operating system and architecture, such as `linux/arm64`.
    pub fn platform(&self) -> String {
        format!("{}/{}", self.os, self.arch)
    }
}
