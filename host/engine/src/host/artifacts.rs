//! `artifacts`: declared dependencies.

use std::sync::Arc;

use stave_lifecycle::workbench::{self, Available};
use wasmtime::component::Resource;

use super::{
    app::entries,
    contract::stave::buildpack::{
        app::Entry,
        artifacts::{Dependency, Host, HostArtifact, Unpacking},
    },
    layers::trap,
};
use crate::guest::{Artifact, CallError, Guest, Layer};

impl From<Available> for Dependency {
    fn from(available: Available) -> Self {
        let Available { dependency, artifact } = available;
        Self {
            id: dependency.id,
            version: dependency.version.to_string(),
            name: dependency.name,
            licenses: dependency.licenses,
            purl: artifact.purl.to_string(),
        }
    }
}

impl From<Unpacking> for workbench::Unpacking {
    fn from(how: Unpacking) -> Self {
        let Unpacking { from, into, keep, drop, executable } = how;
        Self { from, into, keep, drop, executable }
    }
}

impl Host for Guest {
    fn available(&mut self, id: String) -> Result<Vec<Dependency>, CallError> {
        let found = self.ask(|bench| bench.available(&id))?;
        Ok(found.into_iter().map(Dependency::from).collect())
    }

    fn fetch(&mut self, id: String, version: String) -> Result<Resource<Artifact>, CallError> {
        let watch = Arc::clone(&self.watch);
        let artifact = self.ask(|bench| watch.uncounted(|| bench.fetch(&id, &version)))?;
        self.hand_out(Artifact(artifact))
    }
}

impl HostArtifact for Guest {
    fn size(&mut self, this: Resource<Artifact>) -> wasmtime::Result<u64> {
        let artifact = self.held(&this).map_err(trap)?.0;
        self.ask(|bench| bench.artifact_size(artifact)).map_err(trap)
    }

    fn find(&mut self, this: Resource<Artifact>, patterns: Vec<String>, limit: u32) -> Result<Vec<Entry>, CallError> {
        let artifact = self.held(&this)?.0;
        self.ask(|bench| bench.artifact_find(artifact, &patterns, limit)).map(entries)
    }

    fn read(&mut self, this: Resource<Artifact>, path: String, limit: u32) -> Result<Vec<u8>, CallError> {
        let artifact = self.held(&this)?.0;
        self.ask(|bench| bench.artifact_read(artifact, &path, u64::from(limit)))
    }

    fn unpack(&mut self, this: Resource<Artifact>, to: Resource<Layer>, how: Unpacking) -> Result<u64, CallError> {
        let (artifact, layer) = (self.held(&this)?.0, self.held(&to)?.0);
        self.ask(|bench| bench.artifact_unpack(artifact, layer, &how.into()))
    }

    fn save(
        &mut self,
        this: Resource<Artifact>,
        to: Resource<Layer>,
        path: String,
        executable: bool,
    ) -> Result<(), CallError> {
        let (artifact, layer) = (self.held(&this)?.0, self.held(&to)?.0);
        self.ask(|bench| bench.artifact_save(artifact, layer, &path, executable))
    }

    fn drop(&mut self, this: Resource<Artifact>) -> wasmtime::Result<()> {
        self.let_go(this)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unpacking_keeps_what_it_says() {
        let words = |text: &str| vec![text.to_owned()];
        let how = Unpacking {
            from: "a".to_owned(),
            into: "b".to_owned(),
            keep: words("c"),
            drop: words("d"),
            executable: words("e"),
        };
        let expected = workbench::Unpacking {
            from: "a".to_owned(),
            into: "b".to_owned(),
            keep: words("c"),
            drop: words("d"),
            executable: words("e"),
        };
        assert_eq!(workbench::Unpacking::from(how), expected);
    }
}
