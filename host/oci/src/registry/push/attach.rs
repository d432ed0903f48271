//! Bills of materials as referrers: small artefacts that name the image as their subject (OCI distribution spec,
//! "Listing Referrers"; image spec, "Guidelines for Artifact Usage").
//!
//! A registry that knows no referrers is given the list under a tag of the subject's digest, as the specification wants it
//! of clients.

use serde::Deserialize;
use serde_json::{Value, json};
use stave_lifecycle::{
    image::{Descriptor, INDEX, Image, MANIFEST},
    port::{
        failure::PortError,
        observer::{Event, Level},
    },
};
use stave_model::{digest::Digest, image::SBOM_DIR, sbom::Format};
use stave_transport::{Request, Response};

use super::{Document, Push};
use crate::{index::descriptor_of, json as strict, json::MAX_DOCUMENT, sbom};

/// The media type and bytes of a configuration that says nothing.
const EMPTY: (&str, &[u8]) = ("application/vnd.oci.empty.v1+json", b"{}");

impl Push<'_> {
    /// Hangs an image's merged bills on it. The image is there: that something could not be hung on it is worth a word, and
    /// no more.
    pub(super) fn attach(&self, image: &Image) -> Result<(), PortError> {
        if let Err(error) = self.try_attach(image) {
            self.repository.cancel.check()?;
            let causes = std::iter::successors(std::error::Error::source(&error), |error| (*error).source());
            let told = causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}"));
            self.observer.observe(Event::Note(Level::Warning, told));
        }
        Ok(())
    }

    fn try_attach(&self, image: &Image) -> Result<(), PortError> {
        let Some(bills) = sbom::read(image)? else { return Ok(()) };
        let mut unlisted = Vec::new();
        for format in Format::ALL {
            let path = format!("{}/launch/{}", SBOM_DIR.trim_start_matches('/'), format.file_name());
            if let Some(bill) = bills.get(&path).filter(|bill| bill.len() as u64 <= MAX_DOCUMENT) {
                unlisted.extend(self.bill(image, format.media_type(), bill)?);
            }
        }
        if unlisted.is_empty() { Ok(()) } else { self.list(image, &unlisted) }
    }

    /// Hangs a bill on an image, unless it hangs there. The answer is its entry, if the registry did not take note of it.
    fn bill(&self, image: &Image, media_type: &str, bill: &[u8]) -> Result<Option<Value>, PortError> {
        let attempt = format!("could not attach the SBOM ({media_type}) to `{}`", self.reference);
        let document = artifact(&descriptor_of(image), media_type, bill);
        let target = document.digest.to_string();
        let url = || self.repository.url(&format!("manifests/{target}"));
        let head = || Ok(Request::head(url()).header("accept", MANIFEST));
        if self.repository.exchange(&attempt, &[200, 404], head)?.status() == 200 {
            return Ok(None);
        }
        for (media_type, bytes) in [EMPTY, (media_type, bill)] {
            let (media_type, digest, size) = (media_type.to_owned(), Digest::of(bytes), bytes.len() as u64);
            self.small(&attempt, &Descriptor { media_type, digest, size }, bytes)?;
        }
        let put = self.put_document(&attempt, &document, &target)?;
        if put.header("oci-subject").is_some() {
            return Ok(None);
        }
        let (digest, size) = (document.digest, document.bytes.len());
        Ok(Some(json!({ "mediaType": MANIFEST, "artifactType": media_type, "digest": digest, "size": size })))
    }

    /// Lists referrers under the tag that stands for the subject where a registry does not list them itself.
    fn list(&self, image: &Image, entries: &[Value]) -> Result<(), PortError> {
        let attempt = format!("could not list the SBOM of `{}`", self.reference);
        let tag = image.digest().to_string().replace(':', "-");
        let url = || self.repository.url(&format!("manifests/{tag}"));
        let get = || Ok(Request::get(url()).header("accept", INDEX).cap(MAX_DOCUMENT));
        let old = self.repository.exchange_for(&attempt, &[200, 404], get, |response: Response| {
            let is_there = response.status() == 200;
            Ok(if is_there { response.bytes()? } else { Vec::new() })
        })?;
        let listed = strict::value(&old).ok().and_then(|old| Vec::<Value>::deserialize(&old["manifests"]).ok());
        let mut listed = listed.unwrap_or_default();
        for entry in entries {
            if !listed.iter().any(|old| old["digest"] == entry["digest"]) {
                listed.push(entry.clone());
            }
        }
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": listed }).to_string().into_bytes();
        let document = Document { media_type: INDEX, digest: Digest::of(&index), bytes: index };
        self.put_document(&attempt, &document, &tag).map(drop)
    }
}

/// An artefact's manifest: one file, hung on a subject.
fn artifact(subject: &Descriptor, media_type: &str, file: &[u8]) -> Document<'static> {
    let descriptor = |media_type: &str, bytes: &[u8]| json!({ "mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len() });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": media_type,
        "config": descriptor(EMPTY.0, EMPTY.1), "layers": [descriptor(media_type, file)], "subject": subject,
    });
    let bytes = manifest.to_string().into_bytes();
    Document { media_type: MANIFEST, digest: Digest::of(&bytes), bytes }
}
