//! From a package URL to a place where its file may be: one file an ecosystem.
//!
//! Whatever a registry answers is only a place to look at. What counts is the digest, which is known beforehand.

pub mod generic;
pub mod links;
pub mod maven;
pub mod npm;
pub mod pypi;

use std::{path::PathBuf, sync::atomic::AtomicBool};

use stave_model::{dependency::PackageUrl, digest::Digest};
use stave_transport::{
    Client, Request, Response,
    origin::shown,
    request::Authorization,
    retry::{Policy, retry},
};
use url::Url;

use crate::registry::{Ecosystem, Registry};

/// An index of one package: the largest that are known have some ten megabytes.
const LARGEST_INDEX: u64 = 64 << 20;

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// By which name.
    pub purl: &'a PackageUrl,
    /// With which content.
    pub sha256: &'a Digest,
}

/// Where a file may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// At an address.
    Address {
        /// The address.
        url: Url,
        /// The index that named it, whose wish it is.
        led_by: Option<Url>,
    },
    /// In a file of this machine.
    File(PathBuf),
}

/// Why a registry could not be searched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The package URL does not say enough for its ecosystem.
    #[error("a package URL of type {} {rule}", .ecosystem.name())]
    Incomplete {
        /// The ecosystem.
        ecosystem: Ecosystem,
        /// What it must have.
        rule: &'static str,
    },
    /// The registry has a file of that name with another digest.
    #[error("{registry} lists another file of that name: expected {expected}, got {got}")]
    Mismatch {
        /// The registry.
        registry: String,
        /// The digest that was pinned.
        expected: Digest,
        /// The digest that the registry gives.
        got: Digest,
    },
    /// The registry answered with something else than its API.
    #[error("{registry} does not answer like a {} registry: {why}", .ecosystem.name())]
    Unreadable {
        /// The registry.
        registry: String,
        /// The ecosystem.
        ecosystem: Ecosystem,
        /// What is wrong.
        why: String,
    },
    /// The registry could not be asked.
    #[error("could not ask {registry}")]
    Network {
        /// The registry.
        registry: String,
        /// Why not.
        #[source]
        cause: stave_transport::Error,
    },
}

/// How registries are asked.
#[derive(Debug, Clone, Copy)]
pub struct Inquiry<'a> {
    /// By whom.
    pub client: &'a Client,
    /// How patiently.
    pub policy: &'a Policy,
    /// Until when.
    pub cancel: &'a AtomicBool,
}

/// Looks for the file in one registry; none if it is not there. A file at a place that is merely computed may be
/// missing all the same.
pub fn place(
    ecosystem: Ecosystem,
    wanted: Wanted<'_>,
    registry: &Registry,
    inquiry: Inquiry<'_>,
) -> Result<Option<Place>, Error> {
    match ecosystem {
        Ecosystem::Pypi => pypi::place(wanted, registry, inquiry),
        Ecosystem::Npm => npm::place(wanted, registry, inquiry),
        Ecosystem::Maven => maven::place(wanted.purl, registry).map(Some),
        Ecosystem::Generic => generic::place(wanted.purl, registry),
    }
}

/// What is asked for first in one registry, without asking: the file itself where its place follows from its name, else the
/// index that says where it is, or the folder that it would be looked for in. None if the registry cannot have it.
pub fn first_look(ecosystem: Ecosystem, purl: &PackageUrl, registry: &Registry) -> Result<Option<String>, Error> {
    let place = match ecosystem {
        Ecosystem::Pypi => return pypi::page(purl, registry).map(Some),
        Ecosystem::Npm => return npm::document(purl, registry).map(Some),
        Ecosystem::Maven => Some(maven::place(purl, registry)?),
        Ecosystem::Generic => generic::place(purl, registry)?,
    };
    Ok(place.map(|place| match place {
        Place::Address { url, .. } => shown(&url),
        Place::File(path) => path.display().to_string(),
    }))
}

impl Inquiry<'_> {
    /// A document of a registry; none if it has no such thing.
    fn ask(&self, registry: &Registry, url: &Url, accept: &str) -> Result<Option<Document>, Error> {
        let answer = retry(self.client.clock(), self.policy, self.cancel, |_| {
            let mut request = Request::get(url.clone()).header("accept", accept).cap(LARGEST_INDEX);
            if let Some(authorization) = authorization_for(registry, url) {
                request = request.authorization(authorization);
            }
            Document::read(self.client.send(request)?.success()?)
        });
        match answer {
            Ok(document) => Ok(Some(document)),
            Err(error) if matches!(error.status(), Some(404 | 410)) => Ok(None),
            Err(cause) => Err(Error::Network { registry: registry.to_string(), cause }),
        }
    }
}

/// The registry's credentials, if `url` is at its origin.
pub(crate) fn authorization_for(registry: &Registry, url: &Url) -> Option<Authorization> {
    use stave_transport::origin::Origin;
    let same = registry.url().is_some_and(|own| Origin::of(own) == Origin::of(url));
    registry.authorization.clone().filter(|_| same)
}

/// What a registry answered.
struct Document {
    url: Url,
    media_type: String,
    bytes: Vec<u8>,
}

impl Document {
    fn read(response: Response) -> Result<Self, stave_transport::Error> {
        let media_type = response.header("content-type").unwrap_or_default().to_ascii_lowercase();
        Ok(Self { url: response.url().clone(), media_type, bytes: response.bytes()? })
    }
}

/// A file name that stands for itself: no folder, no way up.
pub(crate) fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && name != "." && name != ".." && !name.contains(['/', '\\', '\0'])
}
