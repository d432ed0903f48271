//! Where a registry has the signatures of an artefact: among its referrers, or under tags made of its digest.

use serde_json::Value;
use stave_lifecycle::{
    image::{Descriptor, INDEX, MANIFEST},
    port::failure::{Fault, PortError},
};
use stave_model::digest::Digest;
use stave_transport::{Request, Response};
use url::Url;

use super::{RegistryImage, registry_of};
use crate::{
    artifact::referrers_tag,
    json::MAX_DOCUMENT,
    registry::{push::MAX_REFERRERS, repository::Repository},
    signature::{BUNDLE, Shelf, entries},
};

/// How many pages of referrers are read.
const MAX_PAGES: usize = 10;

/// The repository that an artefact is in.
struct Remote<'a> {
    image: &'a RegistryImage,
    repository: Repository,
}

impl RegistryImage {
    /// What the name leads to, whatever it is, and the media type that the registry says.
    pub(crate) fn root(mut self) -> Result<(Vec<u8>, Option<String>), PortError> {
        self.noun = "artefact";
        let registry = registry_of(&self.reference, "pull")?;
        let name = &self.reference.repository;
        let repository = Repository::new(&self.registries, registry, name, "pull", &[], &self.cancel)?;
        self.first(&repository)
    }

    /// Hands the repository to `read`.
    pub(crate) fn signatures<T>(
        mut self,
        read: impl FnOnce(&dyn Shelf) -> Result<T, PortError>,
    ) -> Result<T, PortError> {
        self.noun = "signatures of";
        let registry = registry_of(&self.reference, "look for signatures of")?;
        let name = &self.reference.repository;
        let repository = Repository::new(&self.registries, registry, name, "pull", &[], &self.cancel)?;
        read(&Remote { image: &self, repository })
    }
}

/// A page of a list: its entries, and where the next one is.
type Page = (Vec<u8>, Option<String>);

impl Remote<'_> {
    fn attempt(&self) -> String {
        format!("could not look for signatures of `{}`", self.image.reference)
    }

    /// What the registry has at `url`, if it has anything there. A registry that does not know what is asked says so in several
    /// ways.
    fn page(&self, url: &Url) -> Result<Option<Page>, PortError> {
        let make = || Ok(Request::get(url.clone()).header("accept", INDEX).cap(MAX_DOCUMENT));
        self.repository.exchange_for(&self.attempt(), &[200, 400, 404, 405], make, |response: Response| {
            if response.status() != 200 {
                return Ok(None);
            }
            let next = response.headers("link").into_iter().find_map(next_of);
            Ok(Some((response.bytes()?, next)))
        })
    }

    /// All pages of the registry's own list; none if it keeps none.
    fn listed(&self, subject: &Digest) -> Result<Option<Vec<Value>>, PortError> {
        let first = self.repository.url(&format!("referrers/{subject}"));
        let mut url = first.clone();
        url.query_pairs_mut().append_pair("artifactType", BUNDLE);
        let mut all = Vec::new();
        for page in 0..MAX_PAGES {
            let Some((bytes, next)) = self.page(&url)? else {
                return if page == 0 { Ok(None) } else { Err(self.refused("a page of its list is not there")) };
            };
            all.extend(entries(&self.attempt(), &bytes)?);
            if all.len() > MAX_REFERRERS {
                return Err(self.refused("its list of referrers is too long"));
            }
            let Some(next) = next else { return Ok(Some(all)) };
            // The login goes along, so a list does not lead out of itself.
            url = first
                .join(&next)
                .ok()
                .filter(|next| self.repository.is_own(next) && next.path() == first.path())
                .ok_or_else(|| self.refused("its list of referrers goes on somewhere else"))?;
        }
        Err(self.refused("its list of referrers has too many pages"))
    }

    fn refused(&self, why: &'static str) -> PortError {
        PortError::new(Fault::InvalidInput, self.attempt()).caused_by(why)
    }

    fn under(&self, tag: &str, media_type: &str) -> Result<Option<Vec<u8>>, PortError> {
        let url = self.repository.url(&format!("manifests/{tag}"));
        let make = || Ok(Request::get(url.clone()).header("accept", media_type).cap(MAX_DOCUMENT));
        self.repository.exchange_for(&self.attempt(), &[200, 404], make, |response: Response| {
            let is_there = response.status() == 200;
            Ok(if is_there { Some(response.bytes()?) } else { None })
        })
    }
}

/// The address of a next page in a header (RFC 8288): `<address>; rel="next"`.
fn next_of(link: &str) -> Option<String> {
    let (address, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    let is_next = parameters.split(';').any(|one| matches!(one.trim(), "rel=\"next\"" | "rel=next"));
    is_next.then(|| address.to_owned())
}

impl Shelf for Remote<'_> {
    fn referrers(&self, subject: &Digest) -> Result<Vec<Value>, PortError> {
        if let Some(listed) = self.listed(subject)? {
            return Ok(listed);
        }
        let list = self.under(&referrers_tag(subject), INDEX)?;
        list.map_or_else(|| Ok(Vec::new()), |list| entries(&self.attempt(), &list))
    }

    fn tagged(&self, tag: &str) -> Result<Option<Vec<u8>>, PortError> {
        self.under(tag, MANIFEST)
    }

    fn manifest(&self, promised: &Descriptor) -> Result<Vec<u8>, PortError> {
        self.image.document(&self.repository, promised, "manifests")
    }

    fn blob(&self, promised: &Descriptor) -> Result<Vec<u8>, PortError> {
        self.image.document(&self.repository, promised, "blobs")
    }
}
