//! Dependencies that the manifest declares. Build phase only; to be granted.

use crate::bindings::stave::buildpack::artifacts;
pub use crate::{
    Error,
    bindings::stave::buildpack::artifacts::{Artifact, Dependency, Unpacking},
};

/// The declared versions of `id` that have an artefact for this build's target, newest first.
pub fn available(id: &str) -> Result<Vec<Dependency>, Error> {
    artifacts::available(id)
}

impl Dependency {
    /// Fetches and verifies it, or finds it in the cache.
    pub fn fetch(&self) -> Result<Artifact, Error> {
        artifacts::fetch(&self.id, &self.version)
    }
}

/// Everything, to the layer's root.
impl Default for Unpacking {
    fn default() -> Self {
        Self { from: String::new(), into: String::new(), keep: vec![], drop: vec![], executable: vec![] }
    }
}
