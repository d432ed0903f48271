//! Logins that docker and podman keep: their files, and docker's credential helpers.
//!
//! A login belongs to the registry under whose name it is kept (and, as podman has it, to a part of its repositories) and
//! is given to nobody else.

mod helper;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt, fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;
use stave_lifecycle::port::failure::{Fault, PortError};

use crate::reference::Registry;

/// The largest file of credentials that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Who we are to a registry. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// A user and a password, or a token in a password's place.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A token that is exchanged for others (docker's "identity token").
    IdentityToken(String),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Password(…)",
            Self::IdentityToken(_) => "IdentityToken(…)",
        })
    }
}

/// Where logins are looked for: files, in order. They are read when a registry asks.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    files: Vec<PathBuf>,
    /// `PATH`, for helpers.
    path: OsString,
}

/// `config.json` and `auth.json` have the same shape.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
    #[serde(default)]
    creds_store: Option<String>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Auth {
    #[serde(rename = "auth")]
    encoded: Option<String>,
    username: Option<String>,
    password: Option<String>,
    #[serde(rename = "identitytoken")]
    identity_token: Option<String>,
}

impl Credentials {
    /// No logins at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// The files that the environment names, in podman's order (containers-auth.json(5)): `REGISTRY_AUTH_FILE`, the
    /// `auth.json` of this login and of this user, docker's `config.json` (`DOCKER_CONFIG`).
    pub fn of_environment(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = set("HOME");
        let in_home = |path: &str| home.as_ref().map(|home| home.join(path));
        let files = [
            set("REGISTRY_AUTH_FILE"),
            set("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json")),
            set("XDG_CONFIG_HOME").or_else(|| in_home(".config")).map(|folder| folder.join("containers/auth.json")),
            set("DOCKER_CONFIG").or_else(|| in_home(".docker")).map(|folder| folder.join("config.json")),
        ];
        Self { files: files.into_iter().flatten().collect(), path: variable("PATH").unwrap_or_default() }
    }

    /// The login for a repository, if one is kept.
    pub fn find(&self, registry: &Registry, repository: &str) -> Result<Option<Login>, PortError> {
        for path in &self.files {
            let shown = path.display().to_string().escape_debug().to_string();
            let attempt = || format!("could not use the logins in `{shown}`");
            let file = read(path).map_err(|error| PortError::new(Fault::Io, attempt()).caused_by(error))?;
            let Some(file) = file else { continue };
            let login = self.search(&file, registry, repository);
            let login = login.map_err(|error| PortError::new(Fault::InvalidInput, attempt()).caused_by(error))?;
            if login.is_some() {
                return Ok(login);
            }
        }
        Ok(None)
    }

    fn search(&self, file: &File, registry: &Registry, repository: &str) -> io::Result<Option<Login>> {
        let host = registry.as_str();
        let helper = file.cred_helpers.iter().find(|(key, _)| host_of(key) == host).map(|(_, helper)| helper);
        let helper = helper.or(file.creds_store.as_ref()).filter(|helper| !helper.is_empty());
        let login = helper.map(|helper| helper::ask(helper, host, &self.path)).transpose()?.flatten();
        if login.is_some() {
            return Ok(login);
        }
        match best(&file.auths, host, repository) {
            Some(auth) => login_of(auth),
            None => Ok(None),
        }
    }
}

fn read(path: &Path) -> io::Result<Option<File>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 1 MiB"));
    }
    // The error's own text could hold what the file holds.
    let malformed = |error: serde_json::Error| {
        io::Error::new(io::ErrorKind::InvalidData, format!("it is not JSON as expected at line {}", error.line()))
    };
    serde_json::from_slice(&bytes).map(Some).map_err(malformed)
}

/// A key without the scheme and path that old logins have.
fn host_of(key: &str) -> &str {
    match key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")) {
        Some(rest) => rest.split('/').next().unwrap_or(rest),
        None => key,
    }
}

/// The entry for `host/repository`, for the longest part of it, or for the host.
fn best<'a>(auths: &'a BTreeMap<String, Auth>, host: &str, repository: &str) -> Option<&'a Auth> {
    let mut name = format!("{host}/{repository}");
    loop {
        if let Some((_, auth)) = auths.iter().find(|(key, _)| host_of(key).eq_ignore_ascii_case(&name)) {
            return Some(auth);
        }
        let end = name.rfind('/')?;
        name.truncate(end);
    }
}

fn login_of(auth: &Auth) -> io::Result<Option<Login>> {
    if let Some(token) = auth.identity_token.clone().filter(|token| !token.is_empty()) {
        return Ok(Some(Login::IdentityToken(token)));
    }
    if let (Some(user), Some(password)) = (auth.username.clone(), auth.password.clone()) {
        return Ok(Some(Login::Password { user, password }));
    }
    let Some(encoded) = auth.encoded.as_deref().map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "an `auth` in it is not user:password in base64");
    let decoded = BASE64_STANDARD.decode(encoded).map_err(|_| invalid())?;
    let decoded = String::from_utf8(decoded).map_err(|_| invalid())?;
    let (user, password) = decoded.split_once(':').ok_or_else(invalid)?;
    let password = password.trim_end_matches('\0').to_owned();
    Ok(Some(Login::Password { user: user.to_owned(), password }))
}

#[cfg(test)]
mod tests;
