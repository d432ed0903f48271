//! Secrets of a platform: logins of registries, git servers and archives, and service bindings, each in a namespace and under a
//! name: `platform/secrets/<namespace>/<name>.json` in the data folder, for this user's eyes alone.
//!
//! They are told apart by what they are for, so nobody has to guess from their contents; and those that a service account holds
//! are known, because no image may have them as a binding. A list says everything but the values, and nothing here ever writes a
//! value into a message.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    io::Write as _,
    path::PathBuf,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use stave_archive::content::Content as _;
use stave_lifecycle::port::failure::{Fault, PortError};
use stave_model::{
    binding::{self, Binding, MAX_ENTRIES},
    id::{BindingKey, BindingType},
};
use stave_platform::resource::name::Name;

use crate::{
    files,
    folders::Folder,
    staged::{Staging, sync_folder},
};

/// How large the values of a secret are at most, together, in bytes: what a secret of Kubernetes may have.
pub const MAX_SECRET: usize = 1 << 20;
/// The most secrets of a platform.
pub const MAX_SECRETS: usize = 1000;
/// The longest address or user, in bytes.
const MAX_TEXT: usize = 2048;
/// The largest file that is read: a byte takes up to six there.
const MAX_FILE: u64 = 8 << 20;
/// How a file's name ends.
const END: &str = ".json";

/// Under which keys the values of logins are kept, as a cluster calls them.
pub mod keys {
    /// A password, or a token in its place.
    pub const PASSWORD: &str = "password";
    /// A private key of ssh.
    pub const SSH_KEY: &str = "ssh-privatekey";
    /// The servers that are known to ssh.
    pub const KNOWN_HOSTS: &str = "known_hosts";
    /// A whole `Authorization` header.
    pub const AUTHORIZATION: &str = "authorization";
}

/// A secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Secret {
    /// Whose it is.
    pub namespace: Name,
    /// What it is called there.
    pub name: Name,
    /// The service account that holds it. A binding is held by none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<Name>,
    /// What it is for.
    pub purpose: Purpose,
    /// Its values, by their keys.
    pub values: BTreeMap<BindingKey, Value>,
}

/// What a secret is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", tag = "kind")]
pub enum Purpose {
    /// A registry: its `password`.
    Registry {
        /// `registry.example.com`, with its port if it has one.
        host: String,
        /// Who logs in.
        user: String,
    },
    /// A git server: the `password` of a user, or an `ssh-privatekey`.
    Git {
        /// `https://git.example.com` or `git@git.example.com`.
        url: String,
        /// Who logs in, if not by a key of ssh.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
    },
    /// A server of archives: `password`, or a whole `authorization`.
    Blob {
        /// `https://files.example.com`.
        url: String,
        /// Who logs in, if somebody does by a password.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
    },
    /// A service binding: its entries.
    Binding {
        /// What it is for, such as `postgresql`.
        r#type: BindingType,
        /// Who provides it, where several could.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider: Option<String>,
    },
}

/// A value. It is never printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(pub binding::Secret);

/// What may be known of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Whose it is.
    pub namespace: Name,
    /// What it is called there.
    pub name: Name,
    /// The service account that holds it.
    pub service_account: Option<Name>,
    /// What it is for.
    pub purpose: Purpose,
    /// The keys of its values.
    pub keys: BTreeSet<BindingKey>,
}

/// The secrets of a user's platform.
#[derive(Debug, Clone)]
pub struct DiskSecrets {
    data: Folder,
}

impl DiskSecrets {
    /// The secrets in the data folder. Nothing is made there before there is something to keep.
    pub fn of(data: &Folder) -> Self {
        Self { data: data.clone() }
    }

    /// Keeps a secret in the stead of the one of its name, if there is one.
    pub fn put(&self, secret: &Secret) -> Result<(), PortError> {
        let Secret { namespace, name, .. } = secret;
        let attempt = || format!("could not keep the secret {namespace}/{name}");
        if let Some(problem) = secret.problem() {
            return Err(PortError::new(Fault::InvalidInput, attempt()).caused_by(problem));
        }
        let path = self.path(namespace, name);
        let is_there = path.symlink_metadata().is_ok();
        if !is_there && self.names(None).map_err(|error| self.failed(attempt(), error))?.len() >= MAX_SECRETS {
            let hint = "take those away that nobody uses any more";
            let problem = format!("there are {MAX_SECRETS} secrets already");
            return Err(PortError::new(Fault::TooLarge, attempt()).hint(hint).caused_by(problem));
        }
        let folder = self.data.within("platform")?.within("secrets")?;
        let place = folder.within(namespace.as_str())?;
        let staging = Staging::open(&folder)?;
        let write = || {
            let mut staged = staging.create()?;
            staged.write_all(&serde_json::to_vec(secret)?)?;
            // Whoever gave it away has no other copy.
            staged.settle()?.publish(&path, 0o600)?;
            sync_folder(place.path())
        };
        write().map_err(|error| self.failed(attempt(), error))
    }

    /// A secret with its values.
    pub fn get(&self, namespace: &Name, name: &Name) -> Result<Option<Secret>, PortError> {
        let path = self.path(namespace, name);
        let attempt = || format!("could not read the secret {namespace}/{name}");
        let bytes = match files::open(&path) {
            Ok(None) => return Ok(None),
            Ok(Some(span)) => span.bytes(MAX_FILE),
            Err(error) => Err(error),
        };
        let bytes = bytes.map_err(|error| self.failed(attempt(), error))?;
        match serde_json::from_slice::<Secret>(&bytes) {
            Ok(secret) if secret.namespace == *namespace && secret.name == *name => Ok(Some(secret)),
            // What is wrong with it may quote a value, and is not told.
            _ => {
                let hint = "take it away and make it again";
                let cause = format!("`{}` is damaged", path.display().to_string().escape_debug());
                Err(PortError::new(Fault::Integrity, attempt()).hint(hint).caused_by(cause))
            }
        }
    }

    /// All secrets, of a namespace or of all, without their values.
    pub fn list(&self, namespace: Option<&Name>) -> Result<Vec<Listed>, PortError> {
        let names =
            self.names(namespace).map_err(|error| self.failed("could not list the secrets".to_owned(), error))?;
        let mut listed = Vec::new();
        for (namespace, name) in names {
            // Who is gone in this moment is not there.
            if let Some(secret) = self.get(&namespace, &name)? {
                let Secret { namespace, name, service_account, purpose, values } = secret;
                listed.push(Listed { namespace, name, service_account, purpose, keys: values.into_keys().collect() });
            }
        }
        Ok(listed)
    }

    /// Takes a secret away; answers whether it was there.
    pub fn remove(&self, namespace: &Name, name: &Name) -> Result<bool, PortError> {
        match fs::remove_file(self.path(namespace, name)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.failed(format!("could not take the secret {namespace}/{name} away"), error)),
        }
    }

    fn path(&self, namespace: &Name, name: &Name) -> PathBuf {
        let folder = self.data.path().join("platform").join("secrets");
        folder.join(namespace.as_str()).join(format!("{name}{END}"))
    }

    /// The names of secrets, in their order.
    fn names(&self, namespace: Option<&Name>) -> io::Result<BTreeSet<(Name, Name)>> {
        let folder = self.data.path().join("platform").join("secrets");
        let namespaces: Vec<Name> = match namespace {
            Some(only) => vec![only.clone()],
            None => entries(&folder)?.iter().filter_map(|name| name.parse().ok()).collect(),
        };
        let mut found = BTreeSet::new();
        for namespace in namespaces {
            for file in entries(&folder.join(namespace.as_str()))? {
                if let Some(Ok(name)) = file.strip_suffix(END).map(str::parse::<Name>) {
                    found.insert((namespace.clone(), name));
                }
            }
        }
        Ok(found)
    }

    fn failed(&self, attempt: String, error: io::Error) -> PortError {
        self.data.failed(attempt, error)
    }
}

/// What is in a folder, if there is one.
fn entries(folder: &std::path::Path) -> io::Result<Vec<String>> {
    match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(error),
        Ok(entries) => entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect(),
    }
}

impl Secret {
    /// The service binding that it is, if it is one.
    pub fn binding(&self) -> Option<Binding> {
        let Purpose::Binding { r#type, provider } = &self.purpose else { return None };
        let entries = self.values.iter().map(|(key, value)| (key.clone(), value.0.clone()));
        let name = self.name.as_str().parse().ok()?;
        Some(Binding { name, kind: r#type.clone(), provider: provider.clone(), entries: entries.collect() })
    }

    /// What keeps it from being kept.
    fn problem(&self) -> Option<String> {
        let lines: Vec<(&str, &str)> = match &self.purpose {
            Purpose::Registry { host, user } => vec![("host", host), ("user", user)],
            Purpose::Git { url, user } | Purpose::Blob { url, user } => {
                std::iter::once(("url", url.as_str())).chain(user.iter().map(|user| ("user", user.as_str()))).collect()
            }
            Purpose::Binding { provider, .. } => {
                provider.iter().map(|provider| ("provider", provider.as_str())).collect()
            }
        };
        let is_line = |text: &str| !text.is_empty() && text.len() <= MAX_TEXT && !text.chars().any(char::is_control);
        if let Some((what, _)) = lines.iter().find(|(_, text)| !is_line(text)) {
            return Some(format!("its {what} is not one line of text of at most {MAX_TEXT} bytes"));
        }
        if let Purpose::Git { url, .. } | Purpose::Blob { url, .. } = &self.purpose
            && has_password(url)
        {
            return Some("its url has a password in it, which would be seen where the secret is listed".to_owned());
        }
        if matches!(self.purpose, Purpose::Binding { .. }) && self.service_account.is_some() {
            return Some("a service account holds no bindings: buildpacks may not read what it holds".to_owned());
        }
        if self.values.is_empty() || self.values.len() > MAX_ENTRIES {
            return Some(format!("it has no values, or more than {MAX_ENTRIES}"));
        }
        let size: usize = self.values.values().map(|value| value.0.reveal().len()).sum();
        (size > MAX_SECRET).then(|| format!("its values have {size} bytes, and {MAX_SECRET} are allowed"))
    }
}

/// Whether a URL says a password: `https://user:password@…`.
fn has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

/// Text as it is, anything else as a list of bytes.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = self.0.reveal();
        match std::str::from_utf8(bytes) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => serializer.collect_seq(bytes),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Bytes(Vec<u8>),
        }
        let bytes = match Written::deserialize(deserializer)? {
            Written::Text(text) => text.into_bytes(),
            Written::Bytes(bytes) => bytes,
        };
        Ok(Self(binding::Secret::new(bytes)))
    }
}

#[cfg(test)]
mod tests;
