//! Finished images into a registry: what is missing there is sent, several blobs at once, and the tag moves last.
//!
//! First every blob is looked for, side by side; one that another repository of the registry could lend is mounted from
//! there. Then what is missing is sent (`super::upload`). Where the registry turns out not to have what it said to have,
//! that is sent too, before the name leads anywhere (N21). Images for several platforms go by their digests; the index
//! that names them is what gets the tag. At the end the name is read back.

mod attach;
mod known;
mod replace;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use stave_archive::content::{Bytes, Content};
use stave_lifecycle::{
    image::{Descriptor, INDEX, Image, Index},
    port::{
        cancel::Cancel,
        failure::{Fault, PortError},
        observer::{Event, Level, Observer},
        sink::{Sink, Stored},
    },
};
use stave_model::digest::Digest;
use stave_transport::{Method, Request, Response, request::Body};
use url::Url;

use super::{
    Registries, lenders,
    memory::Memory,
    registry_of,
    repository::{Repository, is_refused_as},
    upload::{self, Parcel},
};
use crate::{
    json::MAX_DOCUMENT,
    reference::{Reference, Registry},
};

pub(crate) use self::attach::MAX_REFERRERS;

/// How many blobs are looked for at once.
const LOOKED_FOR: usize = 8;
/// How many blobs are sent at once.
const SENT: usize = 4;

/// A name in a registry as the place where an image goes.
#[derive(Debug, Clone)]
pub struct RegistryTag {
    registries: Registries,
    reference: Reference,
    has_bills: bool,
}

impl RegistryTag {
    /// The name `reference`, or an error if it says no registry.
    pub fn new(registries: Registries, reference: Reference) -> Result<Self, PortError> {
        registry_of(&reference, "publish")?;
        Ok(Self { registries, reference, has_bills: false })
    }

    /// The same, with an image's bills of materials attached to it.
    #[must_use]
    pub fn with_bills(mut self) -> Self {
        self.has_bills = true;
        self
    }

    fn target(&self, document: &Document<'_>) -> String {
        self.reference.tag.clone().unwrap_or_else(|| document.digest.to_string())
    }

    fn begin<'a>(
        &self,
        images: &[Image],
        last: &Document<'_>,
        observer: &'a dyn Observer,
        cancel: &'a Cancel,
    ) -> Result<Push<'a>, PortError> {
        let registry = registry_of(&self.reference, "publish")?;
        if let Some(digest) = self.reference.digest.filter(|digest| *digest != last.digest) {
            let attempt = format!("could not publish the image {} as one with the digest {digest}", last.digest);
            return Err(PortError::new(Fault::InvalidInput, attempt).hint("publish it by a tag"));
        }
        cancel.check()?;
        observer.observe(Event::Note(Level::Info, format!("connecting to {registry}")));
        let (name, memory) = (&self.reference.repository, self.registries.memory.clone());
        let lenders = lenders::choose(registry, name, images, &memory);
        let neighbours: BTreeSet<String> = lenders.values().cloned().collect();
        let neighbours: Vec<String> = neighbours.into_iter().collect();
        let repository = Repository::new(&self.registries, registry, name, "pull,push", &neighbours, cancel)?;
        Ok(Push { repository, memory, lenders, reference: self.reference.to_string(), observer })
    }
}

impl Sink for RegistryTag {
    fn describe(&self) -> String {
        self.reference.to_string()
    }

    fn put(&self, image: &Image, observer: &dyn Observer, cancel: &Cancel) -> Result<Stored, PortError> {
        let document = Document::of(image);
        let target = self.target(&document);
        let push = self.begin(std::slice::from_ref(image), &document, observer, cancel)?;
        push.image(image, &target)?;
        let stored = push.read_back(&document, &target)?;
        if self.has_bills {
            push.attach(image)?;
        }
        Ok(stored)
    }

    fn holds_platforms(&self) -> bool {
        true
    }

    fn put_platforms(&self, images: &[Image], observer: &dyn Observer, cancel: &Cancel) -> Result<Stored, PortError> {
        // Each by its digest, and then the index of them all.
        let index = Document::index(images);
        let push = self.begin(images, &index, observer, cancel)?;
        for image in images {
            push.image(image, &image.digest().to_string())?;
            if self.has_bills {
                push.attach(image)?;
            }
        }
        let target = self.target(&index);
        push.put(&index, &target)?;
        push.read_back(&index, &target)
    }
}

/// A manifest or an index, as it is sent.
struct Document<'a> {
    media_type: &'a str,
    bytes: Vec<u8>,
    digest: Digest,
}

impl<'a> Document<'a> {
    fn of(image: &'a Image) -> Self {
        Self { media_type: &image.media_type, bytes: image.manifest.clone(), digest: image.digest() }
    }

    /// The index of these images (OCI image spec, "Image Index").
    fn index(images: &[Image]) -> Self {
        let index = Index::of(images);
        Self { media_type: INDEX, digest: index.descriptor().digest, bytes: index.bytes }
    }
}

/// A blob that has to be there before the manifest.
struct Blob {
    descriptor: Descriptor,
    content: Arc<dyn Content>,
}

/// Layers and configuration, each digest once.
fn blobs_of(image: &Image) -> Vec<Blob> {
    let layers = image.layers.iter().map(|layer| (layer.descriptor.clone(), Arc::clone(&layer.content)));
    let config: Arc<dyn Content> = Arc::new(Bytes::new(image.config.clone()));
    let mut seen = BTreeSet::new();
    let blobs = layers.chain([(image.config_descriptor(), config)]);
    let blobs = blobs.map(|(descriptor, content)| Blob { descriptor, content });
    blobs.filter(|blob| seen.insert(blob.descriptor.digest)).collect()
}

/// What a look for a blob led to.
enum Found {
    There,
    /// And where it can be sent, if an upload was opened meanwhile.
    Missing(Option<Url>),
}

struct Push<'a> {
    repository: Repository,
    memory: Memory,
    /// By blob, which other repository could lend it.
    lenders: BTreeMap<Digest, String>,
    reference: String,
    observer: &'a dyn Observer,
}

impl Push<'_> {
    /// Brings everything there that an image's manifest names, and then the manifest under `target`.
    fn image(&self, image: &Image, target: &str) -> Result<(), PortError> {
        let (blobs, document) = (blobs_of(image), Document::of(image));
        let found = side_by_side(LOOKED_FOR, &blobs, |blob| self.look(blob))?;
        let (mut missing, mut others) = (Vec::new(), Vec::new());
        for (blob, found) in blobs.iter().zip(found) {
            match found {
                Found::There => others.push((blob, None)),
                Found::Missing(session) => missing.push((blob, session)),
            }
        }
        self.send(&missing)?;
        match self.put(&document, target) {
            Err(error) if is_refused_as(&error, "MANIFEST_BLOB_UNKNOWN") && !others.is_empty() => {
                let text = "the registry does not have what it said to have: sending all of it".to_owned();
                self.observer.observe(Event::Note(Level::Warning, text));
                self.send(&others)?;
                self.put(&document, target)?;
            }
            put => put?,
        }
        let Repository { registry, name, .. } = &self.repository;
        for blob in &blobs {
            self.memory.note_home(registry, name, &blob.descriptor.digest);
        }
        Ok(())
    }

    /// Looks for a blob in the repository; first it is mounted, where somebody could lend it.
    fn look(&self, blob: &Blob) -> Result<Found, PortError> {
        let (attempt, digest) = (self.attempt(blob), blob.descriptor.digest);
        let lender = self.lenders.get(&digest);
        let mounted = lender.map(|lender| self.mount(&attempt, &digest, lender)).transpose()?.flatten();
        // A registry that says to have mounted it and has it not would let the manifest fail (N21).
        if !self.repository.has(&attempt, &blob.descriptor)? {
            return Ok(Found::Missing(mounted.and_then(|mounted| self.session(&mounted))));
        }
        let how = match (mounted.map(|mounted| mounted.status()), lender) {
            (Some(201), Some(lender)) => format!("mounted from {lender}"),
            _ => "there already".to_owned(),
        };
        let text = format!("{} ({} bytes): {how}", digest.short(), blob.descriptor.size);
        self.observer.observe(Event::Note(Level::Debug, text));
        Ok(Found::There)
    }

    /// Asks for a mount. One that is refused, whatever for, is only not made: the blob can still be sent.
    fn mount(&self, attempt: &str, digest: &Digest, lender: &str) -> Result<Option<Response>, PortError> {
        let make = || {
            let mut url = self.repository.url("blobs/uploads/");
            url.query_pairs_mut().append_pair("mount", &digest.to_string()).append_pair("from", lender);
            Ok(Request::new(Method::Post, url))
        };
        match self.repository.exchange(attempt, &[201, 202, 400, 403, 404, 405], make) {
            // Whoever may not read there may still write here.
            Err(error) if error.fault == Fault::Denied => Ok(None),
            answered => answered.map(Some),
        }
    }

    /// The upload that a registry opens where it does not mount.
    fn session(&self, mounted: &Response) -> Option<Url> {
        let opened = (mounted.status() == 202).then_some(mounted);
        opened.and_then(|opened| upload::session_of(&self.repository, "", opened).ok())
    }

    fn send(&self, blobs: &[(&Blob, Option<Url>)]) -> Result<(), PortError> {
        let send = |(blob, opened): &(&Blob, Option<Url>)| {
            let parcel = Parcel {
                repository: &self.repository,
                memory: &self.memory,
                observer: self.observer,
                attempt: &self.attempt(blob),
                descriptor: &blob.descriptor,
                content: &*blob.content,
            };
            upload::send(&parcel, opened.clone())
        };
        side_by_side(SENT, blobs, send).map(drop)
    }

    fn attempt(&self, blob: &Blob) -> String {
        let Repository { registry, name, .. } = &self.repository;
        format!("could not push {} to {registry}/{name}", blob.descriptor.digest)
    }

    /// Sends a manifest or index under `target`.
    fn put(&self, document: &Document<'_>, target: &str) -> Result<(), PortError> {
        let attempt = format!("could not publish `{}`", self.reference);
        let put = self.put_document(&attempt, document, target)?;
        compare(&attempt, &self.repository.registry, document, said_by(&put)).map(drop)
    }

    fn put_document(&self, attempt: &str, document: &Document<'_>, target: &str) -> Result<Response, PortError> {
        let url = self.repository.url(&format!("manifests/{target}"));
        self.repository.exchange(attempt, &[201], || {
            let request = Request::new(Method::Put, url.clone()).header("content-type", document.media_type);
            Ok(request.body(Body::Bytes(document.bytes.clone())))
        })
    }

    /// Looks whether the name leads to the document now.
    fn read_back(&self, document: &Document<'_>, target: &str) -> Result<Stored, PortError> {
        let attempt = format!("could not publish `{}`", self.reference);
        let registry = &self.repository.registry;
        let url = self.repository.url(&format!("manifests/{target}"));
        let head = || Ok(Request::head(url.clone()).header("accept", document.media_type));
        let head = self.repository.exchange(&attempt, &[200], head)?;
        if !compare(&attempt, registry, document, said_by(&head))? {
            // It does not say: what it gives does.
            let get = || Ok(Request::get(url.clone()).header("accept", document.media_type).cap(MAX_DOCUMENT));
            let bytes = self.repository.exchange_for(&attempt, &[200], get, Response::bytes)?;
            compare(&attempt, registry, document, Some(Digest::of(&bytes).to_string()))?;
        }
        Ok(Stored { digest: document.digest })
    }
}

/// The digest that a registry names, if it names one.
fn said_by(response: &Response) -> Option<String> {
    response.header("docker-content-digest").filter(|said| !said.is_empty()).map(str::to_owned)
}

/// Compares the digest that the registry names with ours (N22); false if it names none.
fn compare(
    attempt: &str,
    registry: &Registry,
    document: &Document<'_>,
    said: Option<String>,
) -> Result<bool, PortError> {
    let Some(said) = said else { return Ok(false) };
    if said == document.digest.to_string() {
        return Ok(true);
    }
    let said: String = said.chars().take(80).flat_map(char::escape_debug).collect();
    let cause = format!("the image is {}, and {registry} names {said}", document.digest);
    Err(PortError::new(Fault::Integrity, attempt.to_owned()).caused_by(cause))
}

/// Does `work` on all items, `at_once` at a time. The first failure ends the others between two items; the first item's
/// failure is told, not the fastest one's, so that the same trouble is told the same way each time.
fn side_by_side<T: Sync, R: Send>(
    at_once: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<R, PortError> + Sync,
) -> Result<Vec<R>, PortError> {
    let (next, ended, results) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..at_once.min(items.len()) {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(n) else { return };
                    let result = work(item);
                    if result.is_err() {
                        ended.store(true, Ordering::Relaxed);
                    }
                    results.lock().unwrap_or_else(PoisonError::into_inner).insert(n, result);
                }
            });
        }
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}
