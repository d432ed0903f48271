//! Where sources are, and their files: images, git repositories, archives.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
};

use serde::{Deserialize, Serialize};
use stave_archive::tree::Tree;
use stave_lifecycle::port::{blobs::Results as _, failure::PortError};
use stave_model::digest::Key;
use stave_oci::registry::credentials::Login;
use stave_platform::{
    port::Failed,
    resource::{
        build::Fault,
        image::Image,
        name::Name,
        source::{Found, ResolvedSource},
    },
};
use stave_sources::{
    Fence, Secret as Hidden,
    blob::{Archives, Seen},
    git::{Credentials, Repositories},
};
use stave_store::{
    folders::Folder,
    secrets::{DiskSecrets, Purpose, Secret, keys},
    tidy,
};
use stave_transport::{Client, request::Authorization};

use url::Url;

use super::{PRIVATE_SOURCES, fault, keeping, making::without_query};

use crate::{
    exit::{ANALYZE, Exit},
    fetched,
    workshop::Workshop,
};

/// Whose credentials are used.
pub(super) struct Keys {
    /// The secrets of the service account.
    held: Vec<Secret>,
    /// How it is asked for where the wish may be somebody else's.
    outer: Option<Outer>,
}

/// What others' wishes reach of the networks that this machine is in.
#[derive(Clone)]
pub(super) struct Outer {
    /// The hosts that operators named.
    pub(super) hosts: BTreeSet<String>,
    /// The client that asks no others there.
    pub(super) client: Client,
}

impl Keys {
    /// Those of a service account. Nobody asks as somebody else because a secret is damaged.
    pub(super) fn of_account(
        workshop: &Workshop,
        namespace: &Name,
        account: &str,
        outer: Option<Outer>,
    ) -> Result<Self, PortError> {
        let secrets = DiskSecrets::of(&workshop.data);
        let mut keys = Self { held: Vec::new(), outer };
        for one in secrets.list(Some(namespace))? {
            if one.service_account.as_ref().is_some_and(|held| held.as_str() == account) {
                keys.held.extend(secrets.get(namespace, &one.name)?);
            }
        }
        Ok(keys)
    }

    /// Whether the wish may be somebody else's.
    pub(super) fn are_others(&self) -> bool {
        self.outer.is_some()
    }

    /// The workshop for asking where the wish leads.
    pub(super) fn at(&self, workshop: &Workshop) -> Workshop {
        let mut workshop = workshop.beside(workshop.ui.clone(), workshop.cancel.clone());
        if let Some(outer) = &self.outer {
            workshop.client = outer.client.clone();
        }
        workshop
    }

    /// A failure with the rule that it is by, where it is that the wish leads into a private network.
    pub(super) fn ruled(&self, failed: Failed) -> Failed {
        if self.are_stopped(&failed) { Failed::new(failed.fault, rule()).caused_by(failed) } else { failed }
    }

    fn are_stopped(&self, error: &(dyn Error + 'static)) -> bool {
        self.are_others() && fault::is_private(error)
    }

    /// Logins by registry.
    pub(super) fn logins(&self) -> BTreeMap<String, Login> {
        let login = |secret: &Secret| match &secret.purpose {
            Purpose::Registry { host, user } => {
                let password = value(secret, keys::PASSWORD)?;
                Some((host.clone(), Login::Password { user: user.clone(), password }))
            }
            _ => None,
        };
        self.held.iter().filter_map(login).collect()
    }

    /// Refuses a repository of this machine where the wish may be somebody else's.
    fn check(&self, address: &str) -> Result<(), Failed> {
        let is_local = address.starts_with(['/', '.', '~']) || address.to_ascii_lowercase().starts_with("file:");
        if !self.are_others() || !is_local {
            return Ok(());
        }
        let attempt = "a repository of the server's own machine is not read for others".to_owned();
        Err(Failed::new(Fault::Refused, attempt).hint("name one by https or ssh"))
    }

    fn git(&self, address: &str) -> Credentials {
        let of = |secret: &Secret| {
            let Purpose::Git { url, user } = &secret.purpose else { return None };
            if !is_within(address, url) {
                return None;
            }
            if let Some(key) = value(secret, keys::SSH_KEY) {
                let known_hosts = value(secret, keys::KNOWN_HOSTS);
                return Some(Credentials::SshKey { key: Hidden::new(key), known_hosts });
            }
            let password = Hidden::new(value(secret, keys::PASSWORD)?);
            Some(Credentials::Password { user: Hidden::new(user.clone().unwrap_or_default()), password })
        };
        let otherwise = if self.are_others() { Credentials::None } else { Credentials::Machine };
        self.held.iter().find_map(of).unwrap_or(otherwise)
    }

    fn blob(&self, address: &str) -> Option<Authorization> {
        self.held.iter().find_map(|secret| {
            let Purpose::Blob { url, user } = &secret.purpose else { return None };
            if !is_within(address, url) {
                return None;
            }
            let password = value(secret, keys::PASSWORD);
            match (user, password, value(secret, keys::AUTHORIZATION)) {
                (Some(user), Some(password), _) => Some(Authorization::Basic { user: user.clone(), password }),
                (_, _, Some(whole)) => {
                    whole.strip_prefix("Bearer ").map(|token| Authorization::Bearer(token.to_owned()))
                }
                _ => None,
            }
        })
    }
}

fn value(secret: &Secret, key: &str) -> Option<String> {
    let (_, value) = secret.values.iter().find(|(name, _)| name.as_str() == key)?;
    String::from_utf8(value.0.reveal().to_vec()).ok()
}

/// Whether an address is at the server, or below the path, that a secret is for: `https://git.example.com/team` means
/// `https://git.example.com/team/web`, and not `https://git.example.com.evil.example`.
fn is_within(address: &str, secret: &str) -> bool {
    let below = |address: &str, secret: &str, parting: &[char]| {
        let rest = address.strip_prefix(secret.trim_end_matches(parting));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(parting))
    };
    if !address.contains("://") && !secret.contains("://") {
        return below(address, secret, &['/', ':']);
    }
    let (Ok(at), Ok(of)) = (Url::parse(address), Url::parse(secret)) else { return false };
    // A login before the host makes another host of what looks like it.
    let authority = address.split_once("://").and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default();
    let is_plain = !authority.contains('@') || at.scheme() == "ssh" && at.username() == of.username();
    is_plain
        && at.password().is_none()
        && at.scheme() == of.scheme()
        && at.host_str().is_some_and(|host| Some(host) == of.host_str())
        && at.port_or_known_default() == of.port_or_known_default()
        && below(at.path(), of.path(), &['/'])
}

fn rule() -> String {
    format!(
        "sources of others come from public addresses and from the hosts that `stave config {PRIVATE_SOURCES}` names"
    )
}

/// Where fetched commits are kept.
fn repositories(workshop: &Workshop, keys: &Keys) -> Result<Repositories, PortError> {
    let folder = workshop.cache.within(keeping::REPOSITORIES).map_err(PortError::from)?;
    let repositories = Repositories::new(folder.path()).asking_from(sessions(workshop)?.path());
    Ok(match &keys.outer {
        Some(outer) => repositories.within(Fence::new(outer.hosts.clone())),
        None => repositories,
    })
}

/// Where keys are while git asks with them.
fn sessions(workshop: &Workshop) -> Result<Folder, PortError> {
    workshop.data.within("platform").and_then(|folder| folder.within("sessions")).map_err(PortError::from)
}

/// Takes away what somebody left who was killed while git asked, keys among it. For who has the lease: nobody else asks.
pub(super) fn sweep(workshop: &Workshop) -> Result<(), PortError> {
    let folder = sessions(workshop)?;
    for (path, _) in tidy::leftovers(folder.path(), "") {
        tidy::sweep(&path).map_err(|error| folder.failed("could not remove what git left behind", error))?;
    }
    Ok(())
}

/// What was seen behind a URL, kept from one look to the next.
#[derive(Serialize, Deserialize)]
struct Kept(Seen);

/// Where a source is now that is no image.
pub(super) fn resolve(
    workshop: &Workshop,
    keys: &Keys,
    image: &Image,
    last: Option<&ResolvedSource>,
) -> Result<Found, Failed> {
    let source = &image.spec.source;
    let failed = |error: PortError| {
        Failed::new(Fault::Transient, format!("could not look up the source of the image {}", image.key()))
            .caused_by(error)
    };
    if let Some(git) = &source.git {
        keys.check(&git.url)?;
        let repositories = repositories(workshop, keys).map_err(failed)?;
        let sub_path = source.sub_path.as_deref();
        let found = repositories.resolve(git, sub_path, &keys.git(&git.url), last, &workshop.cancel)?;
        return Ok(Found::Git(found.found));
    }
    let Some(blob) = &source.blob else {
        return Err(Failed::new(Fault::Refused, format!("the image {} has no source", image.key())));
    };
    let scratch = workshop.cache.within("scratch").map_err(|error| failed(error.into()))?;
    let workshop = &keys.at(workshop);
    let archives = Archives::new(&workshop.client, workshop.blobs.as_ref(), scratch.path());
    let key = Key::new("archive seen 1").field(&blob.url).finish();
    let kept: Option<Kept> = workshop.results.get(&key).and_then(|kept| serde_json::from_slice(&kept).ok());
    let seen =
        archives.resolve(blob, keys.blob(&blob.url).as_ref(), kept.as_ref().map(|kept| &kept.0), &workshop.cancel)?;
    let found = seen.found(blob);
    keeping::note(workshop, &seen.digest);
    if kept.is_none_or(|kept| kept.0.digest != seen.digest) {
        keeping::tidy(workshop);
    }
    if let Ok(text) = serde_json::to_vec(&Kept(seen)) {
        workshop.results.put(&key, &text);
    }
    Ok(Found::Blob(found))
}

/// The files of a source that was found, and the folder among them that is the app, where they are more than that.
pub(super) fn tree(workshop: &Workshop, keys: &Keys, source: &ResolvedSource) -> Result<(Tree, Option<String>), Exit> {
    let failed = |error: Failed| {
        let error = keys.ruled(error);
        let hint = error.hint.clone();
        let exit = Exit::new(ANALYZE, error);
        match hint {
            Some(hint) => exit.hint(hint),
            None => exit,
        }
    };
    let sub_path = source.sub_path.as_deref();
    let workshop = &keys.at(workshop);
    match &source.at {
        Found::Registry(found) => {
            workshop.ui.say(&format!("Pulling {}...", found.image));
            let tree = fetched::tree_of_image(workshop, &found.image).map_err(|exit| {
                let failed = || Failed::new(Fault::Refused, rule());
                if keys.are_stopped(exit.error()) {
                    Exit::new(ANALYZE, failed().caused_by(exit.into_error()))
                } else {
                    exit
                }
            })?;
            workshop.ui.say(&format!("Successfully pulled {}", found.image));
            Ok((tree, source.sub_path.clone()))
        }
        Found::Git(git) => {
            keys.check(&git.url).map_err(failed)?;
            workshop.ui.say(&format!("Fetching {} at {}...", crate::exit::printable(&git.url), git.revision));
            let fetched = repositories(workshop, keys)?.fetch(git, sub_path, &keys.git(&git.url), &workshop.cancel);
            keeping::tidy(workshop);
            Ok((fetched.map_err(failed)?, None))
        }
        Found::Blob(blob) => {
            let shown = crate::exit::printable(without_query(&blob.url));
            workshop.ui.say(&format!("Fetching {shown}..."));
            let scratch = workshop.cache.within("scratch").map_err(PortError::from)?;
            let archives = Archives::new(&workshop.client, workshop.blobs.as_ref(), scratch.path());
            let fetched = archives.fetch(blob, sub_path, keys.blob(&blob.url).as_ref(), &workshop.cancel);
            blob.digest.iter().for_each(|digest| keeping::note(workshop, digest));
            keeping::tidy(workshop);
            Ok((fetched.map_err(failed)?, None))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A secret is given to the server it is for, and to nobody whose name begins alike.
    #[test]
    fn a_secret_is_for_one_server() {
        for (address, secret, fits) in [
            ("https://git.example.com/team/web", "https://git.example.com", true),
            ("https://git.example.com/team/web", "https://git.example.com/", true),
            ("https://git.example.com/team/web", "https://git.example.com/team", true),
            ("git@git.example.com:team/web", "git@git.example.com", true),
            ("https://git.example.com", "https://git.example.com", true),
            ("https://git.example.com.evil.example/x", "https://git.example.com", false),
            ("https://git.example.com/teams", "https://git.example.com/team", false),
            ("http://git.example.com/team", "https://git.example.com", false),
            ("https://git.example.com:8443/team", "https://git.example.com", false),
            ("https://git.example.com:8443/team", "https://git.example.com:8443", true),
            ("https://git.example.com:443/team", "https://git.example.com", true),
            ("https://git.example.com:@evil.example/x", "https://git.example.com", false),
            ("https://git.example.com@evil.example/x", "https://git.example.com", false),
            ("https://git.example.com:8443@evil.example/x", "https://git.example.com:8443", false),
            ("ssh://git@git.example.com/team", "ssh://git@git.example.com", true),
            ("ssh://git@git.example.com/team", "git@git.example.com", false),
        ] {
            assert_eq!(is_within(address, secret), fits, "{address} {secret}");
        }
    }
}
