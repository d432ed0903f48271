//! Registries (OCI distribution spec): images in, images out.
//!
//! | Module | Holds |
//! |---|---|
//! | [`repository`] | one repository: addresses, exchanges with credentials and retries |
//! | [`auth`] | what a registry asks for before it answers, and whether it gets it |
//! | [`credentials`] | logins that docker and podman keep |
//! | [`pull`] | base images, their layers fetched when they are read |
//! | [`push`] | finished images, their tag last |
//!
//! # Why not `oci-client`
//! The crate of that name is good, and was weighed (0.18). It is built on reqwest and tokio, and would bring a second HTTP
//! client, a second TLS set-up and an async runtime beside the ones that the rest of the program uses, whose rules
//! (deadlines, slow servers, redirects into private networks, proxies, what a cancelled run does) would then have to hold
//! twice. It reads manifests and tokens without caps of ours, knows docker's and podman's credential files only through
//! further crates, and hides the upload's session, on which going on after an interruption depends. This path is what the
//! program is for; the protocol it needs is eight requests.

pub mod auth;
pub mod credentials;
pub mod pull;
pub mod push;
pub mod repository;

use std::{collections::BTreeSet, sync::Arc};

use stave_lifecycle::port::failure::{Fault, PortError};
use stave_transport::{Client, retry::Policy};

use self::credentials::Credentials;
use crate::reference::{Reference, Registry};

/// The variable that lists registries which are spoken to without encryption, separated by commas.
pub const INSECURE_VARIABLE: &str = "STAVE_INSECURE_REGISTRIES";

/// How registries are reached, by whom.
#[derive(Debug, Clone)]
pub struct Registries {
    client: Client,
    credentials: Arc<Credentials>,
    insecure: Arc<BTreeSet<String>>,
    policy: Policy,
}

impl Registries {
    /// Registries reached through `client`. Those listed in `insecure` (host, or host and port) are spoken to without
    /// encryption, as those of this machine always are.
    pub fn new(client: Client, credentials: Credentials, insecure: impl IntoIterator<Item = String>) -> Self {
        let insecure =
            insecure.into_iter().map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty());
        let (insecure, policy) = (Arc::new(insecure.collect()), Policy::default());
        Self { client, credentials: Arc::new(credentials), insecure, policy }
    }

    /// The same with another patience.
    #[must_use]
    pub fn patient(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    fn is_plain(&self, registry: &Registry) -> bool {
        registry.is_loopback() || self.insecure.contains(registry.as_str()) || self.insecure.contains(registry.host())
    }
}

/// The registry that a name says, or an error that says how to say one.
fn registry_of<'a>(reference: &'a Reference, verb: &str) -> Result<&'a Registry, PortError> {
    reference.registry.as_ref().ok_or_else(|| {
        let hint = format!("name the registry, as in registry.example.com/{}", reference.repository);
        PortError::new(Fault::InvalidInput, format!("could not {verb} `{reference}`: the name says no registry"))
            .hint(hint)
    })
}

#[cfg(test)]
mod tests;
