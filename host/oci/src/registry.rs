//! Registries (OCI distribution spec): images in, images out.
//!
//! | Module | Holds |
//! |---|---|
//! | [`repository`] | one repository: addresses, exchanges with credentials and retries |
//! | [`auth`] | what a registry asks for before it answers, and whether it gets it |
//! | [`credentials`] | logins that docker and podman keep |
//! | [`certificates`] | whom to trust, and who we are, as docker and podman keep it |
//! | `folders` | where docker and podman keep these two |
//! | `lenders` | which repository could lend a blob |
//! | `memory` | where blobs were seen, and uploads that did not end |
//! | [`pull`] | base images, their layers fetched when they are read |
//! | [`push`] | finished images, their tag last |
//! | `upload` | one blob, through faults |
//!
//! # Why not `oci-client`
//! The crate of that name is good, and was weighed (0.18). It is built on reqwest and tokio, and would bring a second HTTP
//! client, a second TLS set-up and an async runtime beside the ones that the rest of the program uses, whose rules
//! (deadlines, slow servers, redirects into private networks, proxies, what a cancelled run does) would then have to hold
//! twice. It reads manifests and tokens without caps of ours, knows docker's and podman's credential files only through
//! further crates, and hides the upload's session, on which going on after an interruption depends. This path is what the
//! program is for; the protocol it needs is eight requests.

pub mod auth;
pub mod certificates;
pub mod credentials;
mod folders;
mod lenders;
mod memory;
pub mod pull;
pub mod push;
pub mod repository;
mod upload;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use stave_lifecycle::port::{
    blobs::Results,
    failure::{Fault, PortError},
};
use stave_transport::{Client, retry::Policy};

use self::{certificates::Certificates, credentials::Credentials, memory::Memory};
use crate::reference::{Reference, Registry};

/// The variable that lists registries which are spoken to without encryption, separated by commas.
pub const INSECURE_VARIABLE: &str = "STAVE_INSECURE_REGISTRIES";

/// How registries are reached, by whom.
#[derive(Debug, Clone)]
pub struct Registries {
    client: Client,
    credentials: Arc<Credentials>,
    certificates: Certificates,
    insecure: Arc<BTreeSet<String>>,
    policy: Policy,
    memory: Memory,
    ways: Arc<Mutex<BTreeMap<Registry, Way>>>,
}

/// How one registry is reached.
#[derive(Debug, Clone)]
struct Way {
    client: Client,
    /// Without encryption.
    plain: bool,
}

impl Registries {
    /// Registries reached through `client`. Those listed in `insecure` (host, or host and port) are spoken to without
    /// encryption, as are those of this machine for which no certificates are kept.
    pub fn new(client: Client, credentials: Credentials, insecure: impl IntoIterator<Item = String>) -> Self {
        let insecure =
            insecure.into_iter().map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty());
        Self {
            client,
            credentials: Arc::new(credentials),
            certificates: Certificates::none(),
            insecure: Arc::new(insecure.collect()),
            policy: Policy::default(),
            memory: Memory::default(),
            ways: Arc::default(),
        }
    }

    /// The same with certificates that are kept for some of them.
    #[must_use]
    pub fn certified(mut self, certificates: Certificates) -> Self {
        self.certificates = certificates;
        self
    }

    /// The same with a place to remember where blobs were seen and which uploads did not end.
    #[must_use]
    pub fn remembering(mut self, results: Arc<dyn Results>) -> Self {
        self.memory = Memory::within(results);
        self
    }

    /// The same with another patience.
    #[must_use]
    pub fn patient(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// How `registry` is reached; decided once.
    fn way(&self, registry: &Registry) -> Result<Way, PortError> {
        let mut ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(way) = ways.get(registry) {
            return Ok(way.clone());
        }
        let kept = self.certificates.find(registry)?;
        let insecure = self.insecure.contains(registry.as_str()) || self.insecure.contains(registry.host());
        let plain = insecure || registry.is_loopback() && kept.is_none();
        let kept = kept.unwrap_or_default();
        let client = self.client.trusting(&kept.authorities);
        let client = kept.identity.map_or(client.clone(), |identity| client.identified_by(identity));
        Ok(ways.entry(registry.clone()).or_insert(Way { client, plain }).clone())
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
