//! Bills of materials and signatures as referrers: small artefacts that name what they are about as their subject (OCI
//! distribution spec, "Listing Referrers"; image spec, "Guidelines for Artifact Usage").
//!
//! A registry that knows no referrers is given the list under a tag of the subject's digest, as the specification wants it
//! of clients.

use serde_json::{Value, json};
use stave_lifecycle::{
    image::{Descriptor, INDEX, Image, MANIFEST},
    port::{
        cancel::Cancel,
        failure::{Fault, PortError},
        observer::{Event, Level, Observer},
    },
};
use stave_model::digest::Digest;
use stave_transport::{Request, Response};

use super::{Document, Push, RegistryTag};
use crate::{
    artifact::{Attachment, descriptor, referrers_tag},
    index::descriptor_of,
    json::{self as strict, JsonError, MAX_DOCUMENT},
    registry::{registry_of, repository::Repository},
    sbom,
};

/// How many referrers a list may have.
pub(crate) const MAX_REFERRERS: usize = 1000;

impl RegistryTag {
    /// Hangs a file on what is in the repository already. Hanging the same file there again changes nothing.
    pub fn attach(
        &self,
        subject: &Descriptor,
        attachment: &Attachment<'_>,
        observer: &dyn Observer,
        cancel: &Cancel,
    ) -> Result<(), PortError> {
        let registry = registry_of(&self.reference, "sign")?;
        let name = &self.reference.repository;
        let repository = Repository::new(&self.registries, registry, name, "pull,push", &[], cancel)?;
        let (memory, reference) = (self.registries.memory.clone(), self.reference.to_string());
        let push = Push { repository, memory, lenders: std::collections::BTreeMap::new(), reference, observer };
        let attempt = format!("could not attach a signature to `{}`", self.reference);
        // Sent also where it is there: a run that broke off may not have listed it.
        match push.send_artifact(&attempt, &attachment.manifest(subject), attachment)? {
            Some(entry) => push.list(&attempt, &subject.digest, &[entry]),
            None => Ok(()),
        }
    }
}

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
            let media_type = format.media_type();
            let attempt = format!("could not attach the SBOM ({media_type}) to `{}`", self.reference);
            let bill = Attachment { media_type, annotations: &[], file: bill };
            unlisted.extend(self.hang(&attempt, &descriptor_of(image), &bill)?);
        }
        let attempt = format!("could not list the SBOM of `{}`", self.reference);
        if unlisted.is_empty() { Ok(()) } else { self.list(&attempt, &image.digest(), &unlisted) }
    }

    /// Hangs a file on a subject, unless it hangs there. The answer is its entry, if the registry did not take note of it.
    fn hang(
        &self,
        attempt: &str,
        subject: &Descriptor,
        attachment: &Attachment<'_>,
    ) -> Result<Option<Value>, PortError> {
        let manifest = attachment.manifest(subject);
        let url = || self.repository.url(&format!("manifests/{}", Digest::of(&manifest)));
        let head = || Ok(Request::head(url()).header("accept", MANIFEST));
        if self.repository.exchange(attempt, &[200, 404], head)?.status() == 200 {
            return Ok(None);
        }
        self.send_artifact(attempt, &manifest, attachment)
    }

    fn send_artifact(
        &self,
        attempt: &str,
        manifest: &[u8],
        attachment: &Attachment<'_>,
    ) -> Result<Option<Value>, PortError> {
        for (media_type, bytes) in attachment.blobs() {
            self.small(attempt, &descriptor(media_type, bytes), bytes)?;
        }
        let document = Document { media_type: MANIFEST, digest: Digest::of(manifest), bytes: manifest.to_vec() };
        let target = document.digest.to_string();
        let put = self.put_document(attempt, &document, &target)?;
        Ok(if put.header("oci-subject").is_some() { None } else { Some(attachment.entry(manifest)) })
    }

    /// Lists referrers under the tag that stands for the subject where a registry does not list them itself. What others
    /// listed there stays, and is not followed: it may lead anywhere, back to itself too.
    fn list(&self, attempt: &str, subject: &Digest, entries: &[Value]) -> Result<(), PortError> {
        let tag = referrers_tag(subject);
        let url = || self.repository.url(&format!("manifests/{tag}"));
        let get = || Ok(Request::get(url()).header("accept", INDEX).cap(MAX_DOCUMENT));
        let old = self.repository.exchange_for(attempt, &[200, 404], get, |response: Response| {
            let is_there = response.status() == 200;
            Ok(if is_there { Some(response.bytes()?) } else { None })
        })?;
        let refused = |why| PortError::new(Fault::InvalidInput, attempt).caused_by(why);
        let index = longer(old.as_deref(), entries).map_err(refused)?;
        let document = Document { media_type: INDEX, digest: Digest::of(&index), bytes: index };
        self.put_document(attempt, &document, &tag).map(drop)
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
