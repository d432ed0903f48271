//! Images whose layers are nearly all where they go: a rebase, which exchanges configurations and manifests.
//!
//! Nothing is asked first. What the registry itself named in this repository a moment ago is taken to be there, what is in
//! another of its repositories is mounted, a configuration is sent in one request. Only when the registry then misses
//! something is every blob looked for, as for any other push.

use std::collections::BTreeSet;

use stave_lifecycle::{
    image::{Descriptor, Image},
    port::{
        cancel::Cancel,
        failure::{Fault, PortError},
        observer::Observer,
        sink::Stored,
    },
};
use stave_model::digest::Digest;
use stave_transport::{Method, Request, request::Body};

use super::{
    super::{registry_of, upload},
    Blob, Document, Found, Push, RegistryTag, SENT, blobs_of, compare, is_refused_as, said_by, side_by_side,
};
use crate::{index::Rewritten, json::MAX_DOCUMENT};

impl RegistryTag {
    /// Publishes images, or an index of them (its media type, and what is in it), under the name.
    pub fn replace(
        &self,
        images: &[Image],
        index: Option<(&str, &Rewritten)>,
        observer: &dyn Observer,
        cancel: &Cancel,
    ) -> Result<Stored, PortError> {
        self.published(images, index, true, observer, cancel)
    }

    /// Gives what was published in this repository a moment ago another name there: nothing but manifests is sent.
    pub fn name_again(
        &self,
        images: &[Image],
        index: Option<(&str, &Rewritten)>,
        observer: &dyn Observer,
        cancel: &Cancel,
    ) -> Result<Stored, PortError> {
        self.published(images, index, false, observer, cancel)
    }

    fn published(
        &self,
        images: &[Image],
        index: Option<(&str, &Rewritten)>,
        is_new: bool,
        observer: &dyn Observer,
        cancel: &Cancel,
    ) -> Result<Stored, PortError> {
        let Some(first) = images.first() else {
            let attempt = format!("could not publish `{}`: there is no image", self.reference);
            return Err(PortError::new(Fault::InvalidInput, attempt));
        };
        let last = match index {
            Some((media_type, index)) => written(media_type, &index.bytes),
            None => Document::of(first),
        };
        let push = self.begin(images, &last, observer, cancel)?;
        let own = format!("{}/{}", registry_of(&self.reference, "publish")?, self.reference.repository);
        let layers = images.iter().flat_map(|image| &image.layers);
        let there = layers.filter(|layer| layer.origin.as_deref() == Some(&own)).map(|layer| layer.descriptor.digest);
        let mut seen: BTreeSet<Digest> = there.collect();
        let moving = images.iter().flat_map(blobs_of).filter(|blob| seen.insert(blob.descriptor.digest));
        let moving: Vec<Blob> = if is_new { moving.collect() } else { Vec::new() };
        side_by_side(SENT, &moving, |blob| push.brisk(blob))?;
        let mut documents: Vec<Document<'_>> = Vec::new();
        if let Some((_, index)) = index {
            documents.extend(images.iter().map(Document::of));
            documents.extend(index.nested.iter().map(|(below, bytes)| written(&below.media_type, bytes)));
        }
        let target = self.target(&last);
        let stored = match push.documents(&documents, &last, &target) {
            // The registry does not have what it named, or said that it had mounted.
            Err(error) if is_refused_as(&error, "MANIFEST_BLOB_UNKNOWN") => {
                for image in images {
                    push.image(image, &image.digest().to_string())?;
                }
                push.documents(&documents, &last, &target)
            }
            other => other,
        }?;
        // What hung on the images as they were hangs on these no more: they have other digests.
        for image in images.iter().filter(|_| self.has_bills && is_new) {
            push.attach(image)?;
        }
        Ok(stored)
    }
}

fn written<'a>(media_type: &'a str, bytes: &[u8]) -> Document<'a> {
    Document { media_type, digest: Digest::of(bytes), bytes: bytes.to_vec() }
}

impl Push<'_> {
    /// Brings a blob there without asking whether it is.
    fn brisk(&self, blob: &Blob) -> Result<(), PortError> {
        let attempt = self.attempt(blob);
        if let Some(lender) = self.lenders.get(&blob.descriptor.digest) {
            if self.mount(&attempt, &blob.descriptor.digest, lender)?.is_some_and(|made| made.status() == 201) {
                return Ok(());
            }
        } else if blob.descriptor.size <= MAX_DOCUMENT {
            let bytes = blob.content.bytes(MAX_DOCUMENT);
            let bytes = bytes.map_err(|error| PortError::of_io(attempt.as_str(), Fault::Io, error))?;
            return self.small(&attempt, &blob.descriptor, &bytes);
        }
        match self.look(blob)? {
            Found::There => Ok(()),
            Found::Missing(session) => self.send(&[(blob, session)]),
        }
    }

    /// Sends a few bytes in one request (OCI distribution spec, "Single POST"), or in two where the registry wants that.
    pub(super) fn small(&self, attempt: &str, blob: &Descriptor, bytes: &[u8]) -> Result<(), PortError> {
        let digest = blob.digest.to_string();
        let post = |digest: Option<&str>, bytes: &[u8]| {
            let mut url = self.repository.url("blobs/uploads/");
            if let Some(digest) = digest {
                url.query_pairs_mut().append_pair("digest", digest);
            }
            let request = Request::new(Method::Post, url).header("content-type", "application/octet-stream");
            request.body(Body::Bytes(bytes.to_vec()))
        };
        let opened = self.repository.exchange(attempt, &[201, 202], || Ok(post(Some(&digest), bytes)))?;
        if opened.status() == 201 {
            return Ok(());
        }
        let mut session = Some(upload::session_of(&self.repository, attempt, &opened)?);
        let sent = self.repository.exchange(attempt, &[201, 204], || {
            let mut url = if let Some(url) = session.take() {
                url
            } else {
                // What was opened is spent after a fault.
                let opened = self.repository.exchange(attempt, &[202], || Ok(post(None, b"")))?;
                upload::session_of(&self.repository, attempt, &opened)?
            };
            url.query_pairs_mut().append_pair("digest", &digest);
            let request = Request::new(Method::Put, url).header("content-type", "application/octet-stream");
            Ok(request.body(Body::Bytes(bytes.to_vec())))
        });
        sent.map(drop)
    }

    /// Sends documents by their digests, then the last one under the name. The registry confirms its digest, or is asked.
    fn documents(&self, below: &[Document<'_>], last: &Document<'_>, target: &str) -> Result<Stored, PortError> {
        for document in below {
            self.put(document, &document.digest.to_string())?;
        }
        let attempt = format!("could not publish `{}`", self.reference);
        let put = self.put_document(&attempt, last, target)?;
        if compare(&attempt, &self.repository.registry, last, said_by(&put))? {
            return Ok(Stored { digest: last.digest });
        }
        self.read_back(last, target)
    }
}
