//! Bills of materials as referrers: small artefacts that name the image as their subject (OCI distribution spec,
//! "Listing Referrers"; image spec, "Guidelines for Artifact Usage").
//!
//! A registry that knows no referrers is given the list under a tag of the subject's digest, as the specification wants it
//! of clients.

use serde_json::{Value, json};
use stave_lifecycle::{
    image::{INDEX, Image, MANIFEST},
    port::{
        failure::{Fault, PortError},
        observer::{Event, Level},
    },
};
use stave_model::digest::Digest;
use stave_transport::{Request, Response};

use super::{Document, Push};
use crate::{
    artifact::{EMPTY, about, descriptor},
    index::descriptor_of,
    json::{self as strict, JsonError, MAX_DOCUMENT},
    sbom,
};

/// How many referrers a list may have.
const MAX_REFERRERS: usize = 1000;

impl Push<'_> {
    /// Hangs an image's bills on it: of its app, and of its base where no layer has to be fetched for it. The image is there:
    /// that something could not be hung on it is worth a word, and no more.
    pub(super) fn attach(&self, image: &Image) -> Result<(), PortError> {
        self.try_attach(image).or_else(|error| self.warn(&error))
    }

    fn warn(&self, error: &PortError) -> Result<(), PortError> {
        self.repository.cancel.check()?;
        self.observer.observe(Event::Note(Level::Warning, told(error)));
        Ok(())
    }

    fn try_attach(&self, image: &Image) -> Result<(), PortError> {
        let mut bills = sbom::of_app(image)?;
        // A base that cannot be read takes nothing from what the image says of its app.
        match sbom::of_base(image, self.memory.results(), &self.repository.cancel) {
            Ok(base) => bills.extend(base),
            Err(error) => self.warn(&error)?,
        }
        let mut unlisted = Vec::new();
        for (format, bill) in bills.iter().filter(|(_, bill)| bill.len() as u64 <= MAX_DOCUMENT) {
            unlisted.extend(self.bill(image, format.media_type(), bill)?);
        }
        if unlisted.is_empty() { Ok(()) } else { self.list(image, &unlisted) }
    }

    /// Hangs a bill on an image, unless it hangs there. The answer is its entry, if the registry did not take note of it.
    fn bill(&self, image: &Image, media_type: &str, bill: &[u8]) -> Result<Option<Value>, PortError> {
        let attempt = format!("could not attach the SBOM ({media_type}) to `{}`", self.reference);
        let bytes = about(&descriptor_of(image), media_type, bill);
        let document = Document { media_type: MANIFEST, digest: Digest::of(&bytes), bytes };
        let target = document.digest.to_string();
        let url = || self.repository.url(&format!("manifests/{target}"));
        let head = || Ok(Request::head(url()).header("accept", MANIFEST));
        if self.repository.exchange(&attempt, &[200, 404], head)?.status() == 200 {
            return Ok(None);
        }
        for (media_type, bytes) in [EMPTY, (media_type, bill)] {
            self.small(&attempt, &descriptor(media_type, bytes), bytes)?;
        }
        let put = self.put_document(&attempt, &document, &target)?;
        if put.header("oci-subject").is_some() {
            return Ok(None);
        }
        let (digest, size) = (document.digest, document.bytes.len());
        Ok(Some(json!({ "mediaType": MANIFEST, "artifactType": media_type, "digest": digest, "size": size })))
    }

    /// Lists referrers under the tag that stands for the subject where a registry does not list them itself. What others
    /// listed there stays, and is not followed: it may lead anywhere, back to itself too.
    fn list(&self, image: &Image, entries: &[Value]) -> Result<(), PortError> {
        let attempt = format!("could not list the SBOM of `{}`", self.reference);
        let tag = image.digest().to_string().replace(':', "-");
        let url = || self.repository.url(&format!("manifests/{tag}"));
        let get = || Ok(Request::get(url()).header("accept", INDEX).cap(MAX_DOCUMENT));
        let old = self.repository.exchange_for(&attempt, &[200, 404], get, |response: Response| {
            let is_there = response.status() == 200;
            Ok(if is_there { Some(response.bytes()?) } else { None })
        })?;
        let refused = |why| PortError::new(Fault::InvalidInput, attempt.as_str()).caused_by(why);
        let index = longer(old.as_deref(), entries).map_err(refused)?;
        let document = Document { media_type: INDEX, digest: Digest::of(&index), bytes: index };
        self.put_document(&attempt, &document, &tag).map(drop)
    }
}

/// An error with its causes, on one line.
fn told(error: &PortError) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |error| (*error).source());
    causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}"))
}

/// Why a list of referrers is not made longer.
#[derive(Debug, thiserror::Error)]
enum NoList {
    #[error("what the registry has under its tag cannot be read")]
    Unreadable(#[source] JsonError),
    #[error("what the registry has under its tag is no index")]
    Other,
    #[error("it has {0} entries already, and {MAX_REFERRERS} are allowed")]
    Long(usize),
}

/// A list of referrers, which may be there already, with these in it too.
fn longer(old: Option<&[u8]>, entries: &[Value]) -> Result<Vec<u8>, NoList> {
    let mut index = match old {
        Some(old) => strict::value(old).map_err(NoList::Unreadable)?,
        None => json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] }),
    };
    let listed = index.get_mut("manifests").and_then(Value::as_array_mut).ok_or(NoList::Other)?;
    let is_listed = |entry: &&Value| listed.iter().any(|old| old["digest"] == entry["digest"]);
    let new: Vec<Value> = entries.iter().filter(|entry| !is_listed(entry)).cloned().collect();
    if listed.len() + new.len() > MAX_REFERRERS {
        return Err(NoList::Long(listed.len()));
    }
    listed.extend(new);
    Ok(index.to_string().into_bytes())
}
