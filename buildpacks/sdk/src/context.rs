//! What the build is for, and what its user chose.

use std::collections::BTreeMap;

use crate::backend::context;
pub use crate::{Error, bindings::stave::buildpack::context::Target};

/// The target of this build.
pub fn target() -> Target {
    context::build_target()
}

/// The execution environment that the image is for, such as `production` or `test`.
pub fn exec_env() -> String {
    context::exec_env()
}

/// A setting that the user gave; none if it is not given or empty.
///
/// The manifest must ask for it under `asks.settings`.
pub fn setting(name: &str) -> Result<Option<String>, Error> {
    Ok(context::setting(name)?.filter(|value| !value.is_empty()))
}

/// The settings that the user gave and whose names begin with `prefix`, sorted by name; empty ones too, because there an
/// empty value can be meant.
///
/// The manifest must ask for all of them under `asks.settings`, such as `BPE_*`.
pub fn settings(prefix: &str) -> Result<Vec<(String, String)>, Error> {
    context::settings(prefix)
}

/// The notes with which this buildpack's previous build of the same image ended; empty where there was none.
pub fn notes() -> Result<BTreeMap<String, String>, Error> {
    Ok(context::notes()?.into_iter().collect())
}

impl Target {
    /// Operating system and architecture, such as `linux/arm64`.
    pub fn platform(&self) -> String {
        format!("{}/{}", self.os, self.arch)
    }
}
