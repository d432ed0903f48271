//! A buildpack by itself, for its author: granted all that it asks for, in a shop without a base and without memory.

use std::sync::Arc;

use stave_engine::{Engine, Limits, load::Loaded};
use stave_lifecycle::{
    memory::Memory,
    port::{failure::PortError, ledger::Unwritten},
    workbench::{self, Shop},
};
use stave_model::{
    id::ExecEnv,
    target::{Platform, Target},
};

use crate::{
    buildpacks::refused,
    exit::{Exit, GENERAL},
    workshop::Workshop,
};

/// An engine that keeps no code: each change of a buildpack would leave some behind.
pub(crate) fn engine() -> Result<Engine, Exit> {
    Engine::new(Limits::default(), None).map_err(|error| Exit::new(GENERAL, error))
}

/// Loads a component, called `name` in messages. Whoever tests a buildpack trusts it with what it asks for.
pub(crate) fn load(engine: &Engine, name: &str, wasm: &[u8]) -> Result<Loaded, Exit> {
    let asks = crate::embedded::grants(wasm);
    engine.load(wasm, None, &asks).map_err(|error| refused(name, error))
}

/// A shop for Linux on x86-64, with nothing in it.
pub(crate) fn shop(workshop: &Workshop) -> Result<Shop, Exit> {
    Ok(Shop {
        target: Target { platform: Platform::linux("amd64"), distro: None },
        exec_env: ExecEnv::default(),
        settings: Arc::default(),
        bindings: Arc::default(),
        artifacts: workshop.packages(),
        observer: workshop.ui.clone(),
        ledger: Arc::new(Unwritten),
        cancel: workshop.cancel.clone(),
        scratch: workshop.cache.within("scratch").map_err(PortError::from)?.path().to_owned(),
        limits: workbench::Limits::default(),
        memory: Memory::none(),
        previous: Arc::default(),
    })
}
