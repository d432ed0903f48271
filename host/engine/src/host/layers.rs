//! `layers`: what the buildpack makes.

use stave_lifecycle::{
    port::failure::{Fault, PortError},
    previous,
};
use stave_model::{
    env::{self, EnvChange},
    id::InvalidName,
    layer,
};
use wasmtime::component::Resource;

use super::{
    app::entries,
    contract::stave::buildpack::{
        app::Entry,
        layers::{EnvOp, EnvScope, Host, HostLayer, PreviousLayer, Usage},
    },
};
use crate::guest::{CallError, Guest, Layer};

impl From<Usage> for layer::Usage {
    fn from(usage: Usage) -> Self {
        Self {
            build: usage.contains(Usage::BUILD),
            launch: usage.contains(Usage::LAUNCH),
            cache: usage.contains(Usage::CACHE),
        }
    }
}

impl From<EnvOp> for env::EnvOp {
    fn from(op: EnvOp) -> Self {
        match op {
            EnvOp::Default => Self::Default,
            EnvOp::Overwrite => Self::Override,
            EnvOp::Prepend => Self::Prepend,
            EnvOp::Append => Self::Append,
        }
    }
}

impl TryFrom<EnvScope> for env::EnvScope {
    type Error = InvalidName;

    fn try_from(scope: EnvScope) -> Result<Self, InvalidName> {
        Ok(match scope {
            EnvScope::Both => Self::Both,
            EnvScope::Build => Self::Build,
            EnvScope::Launch => Self::Launch,
            EnvScope::Process(kind) => Self::Process(kind.parse()?),
        })
    }
}

/// A change of the environment in the model's words.
fn change(
    scope: EnvScope,
    op: EnvOp,
    name: &str,
    value: String,
    delimiter: Option<String>,
) -> Result<EnvChange, InvalidName> {
    let (scope, name) = (scope.try_into()?, name.parse()?);
    Ok(EnvChange { scope, op: op.into(), name, value: value.into_bytes(), delimiter })
}

impl From<layer::Usage> for Usage {
    fn from(usage: layer::Usage) -> Self {
        let flags = [(usage.build, Self::BUILD), (usage.launch, Self::LAUNCH), (usage.cache, Self::CACHE)];
        flags.into_iter().filter(|(set, _)| *set).fold(Self::empty(), |all, (_, flag)| all | flag)
    }
}

impl From<previous::PreviousLayer> for PreviousLayer {
    fn from(layer: previous::PreviousLayer) -> Self {
        Self { usage: layer.usage.into(), metadata: layer.metadata.into_iter().collect() }
    }
}

impl Host for Guest {
    fn previous(&mut self, name: String) -> Result<Option<PreviousLayer>, CallError> {
        Ok(self.ask(|bench| bench.previous_layer(&name))?.map(PreviousLayer::from))
    }

    fn create(&mut self, name: String, usage: Usage) -> Result<Resource<Layer>, CallError> {
        let layer = self.ask(|bench| bench.create_layer(&name, usage.into()))?;
        self.hand_out(Layer(layer))
    }

    fn reuse(&mut self, name: String, usage: Usage) -> Result<(), CallError> {
        self.ask(|bench| bench.reuse_layer(&name, usage.into()))
    }

    fn restore(&mut self, name: String, usage: Usage) -> Result<Resource<Layer>, CallError> {
        let layer = self.ask(|bench| bench.restore_layer(&name, usage.into()))?;
        self.hand_out(Layer(layer))
    }
}

impl HostLayer for Guest {
    fn path(&mut self, this: Resource<Layer>) -> wasmtime::Result<String> {
        let layer = self.held(&this).map_err(trap)?.0;
        self.ask(|bench| bench.layer_path(layer)).map_err(trap)
    }

    fn write_file(
        &mut self,
        this: Resource<Layer>,
        path: String,
        contents: Vec<u8>,
        executable: bool,
    ) -> Result<(), CallError> {
        let layer = self.held(&this)?.0;
        self.ask(|bench| bench.layer_write(layer, &path, contents, executable))
    }

    fn link(&mut self, this: Resource<Layer>, path: String, destination: String) -> Result<(), CallError> {
        let layer = self.held(&this)?.0;
        self.ask(|bench| bench.layer_link(layer, &path, &destination))
    }

    fn copy_app(&mut self, this: Resource<Layer>, patterns: Vec<String>, into: String) -> Result<u64, CallError> {
        let layer = self.held(&this)?.0;
        self.ask(|bench| bench.layer_copy_app(layer, &patterns, &into))
    }

    fn remove(&mut self, this: Resource<Layer>, patterns: Vec<String>) -> Result<u64, CallError> {
        let layer = self.held(&this)?.0;
        self.ask(|bench| bench.layer_remove(layer, &patterns))
    }

    fn find(&mut self, this: Resource<Layer>, patterns: Vec<String>, limit: u32) -> Result<Vec<Entry>, CallError> {
        let layer = self.held(&this)?.0;
        self.ask(|bench| bench.layer_find(layer, &patterns, limit)).map(entries)
    }

    fn read(&mut self, this: Resource<Layer>, path: String, limit: u32) -> Result<Vec<u8>, CallError> {
        let layer = self.held(&this)?.0;
        self.ask(|bench| bench.layer_read(layer, &path, u64::from(limit)))
    }

    fn set_env(
        &mut self,
        this: Resource<Layer>,
        scope: EnvScope,
        op: EnvOp,
        name: String,
        value: String,
        delimiter: Option<String>,
    ) -> Result<(), CallError> {
        let layer = self.held(&this)?.0;
        let change = change(scope, op, &name, value, delimiter).map_err(|error| {
            PortError::new(Fault::InvalidInput, "could not set a variable in a layer").caused_by(error)
        })?;
        self.ask(|bench| bench.layer_set_env(layer, change))
    }

    fn set_metadata(&mut self, this: Resource<Layer>, values: Vec<(String, String)>) -> Result<(), CallError> {
        let layer = self.held(&this)?.0;
        self.ask(|bench| bench.layer_set_metadata(layer, values))
    }

    fn drop(&mut self, this: Resource<Layer>) -> wasmtime::Result<()> {
        self.let_go(this)
    }
}

/// For calls whose answer cannot be an error: there is none as long as the handle is good.
pub(super) fn trap(error: CallError) -> wasmtime::Error {
    match error {
        CallError::Trap(error) => error,
        CallError::Answer(error) => wasmtime::Error::msg(error.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usages_keep_what_they_say() {
        let all = layer::Usage { build: true, launch: true, cache: true };
        assert_eq!(layer::Usage::from(Usage::all()), all);
        assert_eq!(layer::Usage::from(Usage::empty()), layer::Usage::default());
        let launch = layer::Usage { launch: true, ..layer::Usage::default() };
        assert_eq!(layer::Usage::from(Usage::LAUNCH), launch);
        for usage in [Usage::all(), Usage::empty(), Usage::BUILD, Usage::LAUNCH, Usage::CACHE] {
            assert!(Usage::from(layer::Usage::from(usage)) == usage);
        }
    }

    #[test]
    fn changes_keep_what_they_say_and_names_are_checked() {
        let scope = EnvScope::Process("web".to_owned());
        let made = change(scope, EnvOp::Prepend, "PATH", "bin".to_owned(), Some(":".to_owned())).unwrap();
        assert_eq!(made.scope.directory(), "env.launch/web");
        assert_eq!((made.op, made.name.as_str()), (env::EnvOp::Prepend, "PATH"));
        assert_eq!((made.value.as_slice(), made.delimiter.as_deref()), (b"bin".as_slice(), Some(":")));
        for (scope, folder) in
            [(EnvScope::Both, "env"), (EnvScope::Build, "env.build"), (EnvScope::Launch, "env.launch")]
        {
            assert_eq!(env::EnvScope::try_from(scope).unwrap().directory(), folder);
        }
        for (op, expected) in [
            (EnvOp::Default, env::EnvOp::Default),
            (EnvOp::Overwrite, env::EnvOp::Override),
            (EnvOp::Append, env::EnvOp::Append),
        ] {
            assert_eq!(env::EnvOp::from(op), expected);
        }
        assert!(change(EnvScope::Both, EnvOp::Default, "A=B", String::new(), None).is_err());
        assert!(change(EnvScope::Process("../x".to_owned()), EnvOp::Default, "A", String::new(), None).is_err());
    }
}
