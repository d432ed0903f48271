//! `bindings`: service bindings.

use stave_lifecycle::workbench;

use super::contract::stave::buildpack::bindings::{Binding, Host};
use crate::guest::{CallError, Guest};

impl From<workbench::Service> for Binding {
    fn from(service: workbench::Service) -> Self {
        let workbench::Service { name, kind, provider, keys } = service;
        Self { name, kind, provider, keys }
    }
}

impl Host for Guest {
    fn find(&mut self, kind: String) -> Result<Vec<Binding>, CallError> {
        Ok(self.ask(|bench| bench.bindings(&kind))?.into_iter().map(Binding::from).collect())
    }

    fn read(&mut self, name: String, key: String) -> Result<Vec<u8>, CallError> {
        self.ask(|bench| bench.read_binding(&name, &key))
    }
}
