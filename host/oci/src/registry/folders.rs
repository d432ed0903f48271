//! The folders of one person in which podman and docker keep what they know of registries: logins and certificates.

use std::{ffi::OsString, path::PathBuf};

/// As far as the environment tells where they are.
pub(super) struct Folders {
    /// For configuration of every program: `XDG_CONFIG_HOME`, or `~/.config`.
    pub(super) config: Option<PathBuf>,
    /// Docker's own: `DOCKER_CONFIG`, or `~/.docker`.
    pub(super) docker: Option<PathBuf>,
}

impl Folders {
    pub(super) fn of_environment(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let home = path(&variable, "HOME");
        let in_home = |name: &str| home.as_ref().map(|home| home.join(name));
        Self {
            config: path(&variable, "XDG_CONFIG_HOME").or_else(|| in_home(".config")),
            docker: path(&variable, "DOCKER_CONFIG").or_else(|| in_home(".docker")),
        }
    }
}

/// The path that a variable holds. An empty one says as much as none.
pub(super) fn path(variable: impl Fn(&str) -> Option<OsString>, name: &str) -> Option<PathBuf> {
    variable(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
