//! The operator's policy: `--policy FILE`, or `policy` in `config.toml`.

use std::path::{Path, PathBuf};

use stave_model::policy::Policy;

use crate::{
    config::read_capped,
    exit::{Exit, USAGE},
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
        let unreadable = |error: anyhow::Error| {
            Exit::new(USAGE, error.context(format!("could not read the policy {}", file.display())))
        };
        let text = read_capped(file).map_err(|error| unreadable(error.into()))?;
        let policy = Policy::parse(&text).map_err(|error| unreadable(error.into()))?;
        Ok(Some(Self { file: file.clone(), policy }))
    }

    /// What relative paths in it start from.
    pub(crate) fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("."))
    }
}
