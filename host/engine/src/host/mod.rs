//! The contract's host side: a module for each version, each only a translation of types onto the workbench.
//!
//! No check of a grant, a phase or a limit stands here. They stand in the workbench, beneath every version. An interface that
//! is the same in two versions has one file, which is compiled for both; where a version differs, it has a file of its own.
#![expect(clippy::duplicate_mod, reason = "one text for all versions in which an interface is the same")]

mod v0_1;
mod v0_2;

use stave_lifecycle::answer::{GaveUp, Reported, Told};
use stave_model::plan::Requirement;
use wasmtime::{
    Store,
    component::{HasSelf, InstancePre, Linker},
};

use crate::{bindings, guest::Guest};

/// A compiled component whose types fit the version of the contract that its manifest names.
pub(crate) enum Linked {
    /// `0.1`.
    V0_1(v0_1::exports::Linked),
    /// `0.2`.
    V0_2(v0_2::exports::Linked),
}

/// Offers the imports of every version. Their names hold the version, so a component finds its own.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    bindings::v0_1::Buildpack::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    bindings::v0_2::Buildpack::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)
}

impl Linked {
    /// Checks the types of a component that was admitted under `contract`.
    pub(crate) fn new(contract: &str, linked: InstancePre<Guest>) -> wasmtime::Result<Self> {
        match contract {
            "0.1" => v0_1::exports::Linked::new(linked).map(Self::V0_1),
            "0.2" => v0_2::exports::Linked::new(linked).map(Self::V0_2),
            other => Err(wasmtime::Error::msg(format!("there are no bindings for contract {other}"))),
        }
    }

    /// Asks a fresh instance whether it takes part.
    pub(crate) async fn detect(&self, store: &mut Store<Guest>) -> wasmtime::Result<Result<Told, GaveUp>> {
        match self {
            Self::V0_1(linked) => linked.detect(store).await,
            Self::V0_2(linked) => linked.detect(store).await,
        }
    }

    /// Lets a fresh instance do its work.
    pub(crate) async fn build(
        &self,
        store: &mut Store<Guest>,
        requirements: &[Requirement],
    ) -> wasmtime::Result<Result<Reported, GaveUp>> {
        match self {
            Self::V0_1(linked) => linked.build(store, requirements).await,
            Self::V0_2(linked) => linked.build(store, requirements).await,
        }
    }
}
