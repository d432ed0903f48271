//! Dependencies that the manifest declares. Build phase only; to be granted.

pub use crate::{
    Error,
    backend::artifacts::Artifact,
    bindings::stave::buildpack::artifacts::{Dependency, Unpacking},
};
use crate::{
    Failure,
    backend::artifacts,
    context,
    layers::{self, Layer, Usage},
};

/// The declared versions of `id` that have an artefact for this build's target, newest first.
pub fn available(id: &str) -> Result<Vec<Dependency>, Error> {
    artifacts::available(id)
}

/// The newest declared version of `id` for this build's target. Where there is none, that is the buildpack's failure.
pub fn newest(id: &str) -> Result<Dependency, Failure> {
    available(id)?.into_iter().next().ok_or_else(|| {
        let platform = context::target().platform();
        Failure::buildpack(format!("no version of {id} is declared for {platform}"))
            .hint("declare it in buildpack.toml under `dependencies`, or leave the platform out of `targets`")
    })
}

/// Makes a layer `id` that holds the newest declared version of `id`, unpacked whole.
///
/// ```no_run
/// # use stave_sdk::{artifacts, layers::Usage};
/// # fn x() -> Result<(), stave_sdk::Failure> {
/// let node = artifacts::layer("node", Usage::LAUNCH)?;
/// # Ok(()) }
/// ```
pub fn layer(id: &str, usage: Usage) -> Result<Layer, Failure> {
    Ok(newest(id)?.layer(id, usage, &Unpacking::default())?)
}

impl Dependency {
    /// Makes a layer `name` that holds a part of it, with its version, package URL and licences as notes.
    pub fn layer(&self, name: &str, usage: Usage, how: &Unpacking) -> Result<Layer, Error> {
        let artifact = self.fetch()?;
        let layer = layers::create(name, usage)?;
        artifact.unpack(&layer, how)?;
        let notes = [("version", &self.version), ("purl", &self.purl), ("licenses", &self.licenses.join(", "))];
        layer.set_metadata(&notes.map(|(name, value)| (name.to_owned(), value.clone())))?;
        Ok(layer)
    }

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
