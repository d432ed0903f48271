//! The operator's policy: `--policy FILE`, or `policy` in `config.toml`; and what a component may do under it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use stave_engine::{admission::Refusal, load::LoadError};
use stave_lifecycle::port::ledger::Ledger;
use stave_model::{
    capability::Capabilities,
    component,
    digest::Digest,
    manifest::Manifest,
    policy::{
        MAX_POLICY, Policy,
        grants::{Allowance, Limit},
        record::Record,
    },
};

use crate::{
    config::read_at_most,
    embedded,
    exit::{Exit, USAGE, printable},
};

/// A policy, and the file it was read from, which messages name.
pub(crate) struct Overseer {
    /// The file.
    pub(crate) file: PathBuf,
    /// What it says.
    pub(crate) policy: Policy,
}

impl Overseer {
    /// Reads the policy that is named, if one is. One that is named and cannot be read stops everything.
    pub(crate) fn read(named: Option<&PathBuf>) -> Result<Option<Self>, Exit> {
        let Some(file) = named else { return Ok(None) };
        let shown = printable(&file.display().to_string());
        let unreadable =
            |error: anyhow::Error| Exit::new(USAGE, error.context(format!("could not read the policy {shown}")));
        let text = read_at_most(file, MAX_POLICY as u64).map_err(|error| unreadable(error.into()))?;
        let policy = Policy::parse(&text).map_err(|error| unreadable(error.into()))?;
        Ok(Some(Self { file: file.clone(), policy }))
    }

    /// What relative paths in it start from.
    pub(crate) fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("."))
    }

    /// Its file, for a message.
    pub(crate) fn shown(&self) -> String {
        printable(&self.file.display().to_string())
    }
}

/// What a component may do of what its builder grants it. `signers` are the names of the keys whose signatures of it were
/// checked. What is inside the program is the program itself: whoever runs it trusts it, and the builder alone says what of it
/// is used.
pub(crate) fn allowance(
    overseer: Option<&Overseer>,
    wasm: &[u8],
    grants: &Capabilities,
    signers: &BTreeSet<String>,
) -> Allowance {
    let Some(overseer) = overseer.filter(|_| !embedded::is_inside(wasm)) else { return grants.into() };
    let manifest = component::manifest(wasm).ok().and_then(|text| Manifest::parse(text).ok());
    // What says no name is not loaded anyhow.
    let Some(manifest) = manifest else { return (&Capabilities::default()).into() };
    let component = Digest::of(wasm);
    let ceiling = overseer.policy.ceiling(&component, signers, &manifest.buildpack.id);
    Allowance::within(grants, Limit { policy: overseer.shown(), component, ceiling })
}

/// Has it written down what a component was denied before it ran.
pub(crate) fn note_refusal(ledger: &dyn Ledger, error: &LoadError) {
    let LoadError::Refused(Refusal::Ungranted { component, excess, allowance, .. }) = error else { return };
    let mut record = Record::default();
    for what in excess {
        record.denies(what.clone(), allowance.withholder(what));
    }
    ledger.enter(component, &record);
}
