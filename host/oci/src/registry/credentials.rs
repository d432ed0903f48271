//! Logins that docker and podman keep: their files, and docker's credential helpers; and those that a platform hands over in
//! a variable, as it does to the lifecycle of Cloud Native Buildpacks.
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

use super::folders::{self, Folders};
use crate::reference::Registry;

/// The variable with a JSON object of registries and the `Authorization` that each of them takes (CNB platform
/// specification): it wins over all files.
pub const HEADERS_VARIABLE: &str = "CNB_REGISTRY_AUTH";

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
    /// A token that the registry takes as it is.
    RegistryToken(String),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Password(…)",
            Self::IdentityToken(_) => "IdentityToken(…)",
            Self::RegistryToken(_) => "RegistryToken(…)",
        })
    }
}

/// Where logins are looked for: a variable, then files, in order. They are read when a registry asks.
#[derive(Clone, Default)]
pub struct Credentials {
    /// What [`HEADERS_VARIABLE`] says.
    headers: Option<OsString>,
    /// Logins by registry that somebody hands over: they win over all else.
    handed: BTreeMap<String, Login>,
    files: Vec<PathBuf>,
    /// `PATH`, for helpers.
    path: OsString,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?})", self.files)
    }
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

    /// What the environment brings or names: [`HEADERS_VARIABLE`], then files in podman's order (containers-auth.json(5)): `REGISTRY_AUTH_FILE`, the
    /// `auth.json` of this login and of this user, docker's `config.json` (`DOCKER_CONFIG`).
    pub fn of_environment(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let Folders { config, docker } = Folders::of_environment(&variable);
        let files = [
            folders::path(&variable, "REGISTRY_AUTH_FILE"),
            folders::path(&variable, "XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json")),
            config.map(|folder| folder.join("containers/auth.json")),
            docker.map(|folder| folder.join("config.json")),
        ];
        Self {
            headers: variable(HEADERS_VARIABLE).filter(|value| !value.is_empty()),
            handed: BTreeMap::new(),
            files: files.into_iter().flatten().collect(),
            path: variable("PATH").unwrap_or_default(),
        }
    }

    /// The same, with logins by registry (`registry.example.com:5000`) that win over all else.
    #[must_use]
    pub fn handed(self, logins: BTreeMap<String, Login>) -> Self {
        Self { handed: logins, ..self }
    }

    /// The login for a repository, if one is kept.
    pub fn find(&self, registry: &Registry, repository: &str) -> Result<Option<Login>, PortError> {
        if let Some(login) = self.handed.get(registry.as_str()) {
            return Ok(Some(login.clone()));
        }
        let handed = self.headers.as_ref().map(|text| login_of_header(text, registry)).transpose();
        let handed = handed.map_err(|error| {
            let attempt = format!("could not use the logins in {HEADERS_VARIABLE}");
            PortError::new(Fault::InvalidInput, attempt).caused_by(error)
        })?;
        if let Some(login) = handed.flatten() {
            return Ok(Some(login));
        }
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
    user_and_password(encoded).map(Some)
}

fn user_and_password(encoded: &str) -> io::Result<Login> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "a login in it is not user:password in base64");
    let decoded = BASE64_STANDARD.decode(encoded).map_err(|_| invalid())?;
    let decoded = String::from_utf8(decoded).map_err(|_| invalid())?;
    let (user, password) = decoded.split_once(':').ok_or_else(invalid)?;
    let password = password.trim_end_matches('\0').to_owned();
    Ok(Login::Password { user: user.to_owned(), password })
}

/// The login for a registry among headers. Nothing of the text is told: it is made of secrets.
fn login_of_header(text: &OsString, registry: &Registry) -> io::Result<Option<Login>> {
    let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let text = text.to_str().filter(|text| text.len() as u64 <= MAX_FILE);
    let headers: BTreeMap<String, String> = text
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or_else(|| invalid("it is not a JSON object of registries and headers"))?;
    let Some((_, header)) = headers.iter().find(|(key, _)| host_of(key).eq_ignore_ascii_case(registry.as_str())) else {
        return Ok(None);
    };
    let (scheme, value) = header.trim().split_once(' ').unwrap_or_default();
    match scheme.to_ascii_lowercase().as_str() {
        "basic" => user_and_password(value.trim()).map(Some),
        "bearer" => Ok(Some(Login::RegistryToken(value.trim().to_owned()))),
        "x-identity" => Ok(Some(Login::IdentityToken(value.trim().to_owned()))),
        _ => Err(invalid("a header in it is neither Basic nor Bearer nor X-Identity")),
    }
}

#[cfg(test)]
mod tests;
