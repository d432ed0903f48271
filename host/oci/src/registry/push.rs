//! Finished images into a registry: what is missing there is sent, four blobs at once, and the tag moves last.
//!
//! A blob's upload is one session: `POST` opens it, `PUT` sends everything and closes it. A fault begins a new session
//! with the first byte. Going on within a session (`PATCH`, offset by `GET`) has its seam in `Push::upload`.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use stave_archive::content::{Bytes, Content};
use stave_lifecycle::{
    image::{Descriptor, Image},
    port::{
        cancel::Cancel,
        failure::{Fault, PortError},
        observer::Observer,
        sink::{Sink, Stored},
    },
};
use stave_model::digest::Digest;
use stave_transport::{Method, Request, Response, origin::shown, request::Body};
use url::Url;

use super::{Registries, registry_of, repository::Repository};
use crate::{meter::Meter, reference::Reference};

/// How many blobs are sent at once.
const AT_ONCE: usize = 4;

/// A name in a registry as the place where an image goes.
#[derive(Debug, Clone)]
pub struct RegistryTag {
    registries: Registries,
    reference: Reference,
}

impl RegistryTag {
    /// The name `reference`, or an error if it says no registry.
    pub fn new(registries: Registries, reference: Reference) -> Result<Self, PortError> {
        registry_of(&reference, "publish")?;
        Ok(Self { registries, reference })
    }
}

impl Sink for RegistryTag {
    fn describe(&self) -> String {
        self.reference.to_string()
    }

    fn put(&self, image: &Image, observer: &dyn Observer, cancel: &Cancel) -> Result<Stored, PortError> {
        let registry = registry_of(&self.reference, "publish")?;
        if let Some(digest) = self.reference.digest.filter(|digest| *digest != image.digest()) {
            let attempt = format!("could not publish the image {} as one with the digest {digest}", image.digest());
            return Err(PortError::new(Fault::InvalidInput, attempt).hint("publish it by a tag"));
        }
        let prefix = format!("{registry}/");
        let neighbours = image.layers.iter().filter_map(|layer| layer.origin.as_deref()?.strip_prefix(&prefix));
        let neighbours: BTreeSet<String> =
            neighbours.filter(|other| *other != self.reference.repository).map(str::to_owned).collect();
        let neighbours: Vec<String> = neighbours.into_iter().collect();
        let name = &self.reference.repository;
        let repository = Repository::new(&self.registries, registry, name, "pull,push", &neighbours, cancel)?;
        let push = Push { repository, prefix, observer, cancel };
        push.blobs(&blobs_of(image))?;
        push.manifest(&self.reference, image)
    }
}

/// A blob that has to be there before the manifest.
struct Blob {
    descriptor: Descriptor,
    content: Arc<dyn Content>,
    origin: Option<String>,
}

/// Layers and configuration, each digest once.
fn blobs_of(image: &Image) -> Vec<Blob> {
    let layers = image.layers.iter().map(|layer| Blob {
        descriptor: layer.descriptor.clone(),
        content: Arc::clone(&layer.content),
        origin: layer.origin.clone(),
    });
    let config = Blob {
        descriptor: image.config_descriptor(),
        content: Arc::new(Bytes::new(image.config.clone())),
        origin: None,
    };
    let mut seen = BTreeSet::new();
    layers.chain([config]).filter(|blob| seen.insert(blob.descriptor.digest)).collect()
}

struct Push<'a> {
    repository: Repository,
    /// `registry/`, with which the origins of this registry begin.
    prefix: String,
    observer: &'a dyn Observer,
    cancel: &'a Cancel,
}

impl Push<'_> {
    /// Brings all blobs there. The first failure ends the others between two blobs.
    fn blobs(&self, blobs: &[Blob]) -> Result<(), PortError> {
        let (next, ended) = (AtomicUsize::new(0), AtomicBool::new(false));
        let failures = Mutex::new(BTreeMap::new());
        thread::scope(|scope| {
            for _ in 0..AT_ONCE.min(blobs.len()) {
                scope.spawn(|| {
                    while !ended.load(Ordering::Relaxed) {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        let Some(blob) = blobs.get(n) else { return };
                        if let Err(error) = self.blob(blob) {
                            ended.store(true, Ordering::Relaxed);
                            failures.lock().unwrap_or_else(PoisonError::into_inner).insert(n, error);
                        }
                    }
                });
            }
        });
        // The first blob's failure, not the fastest one's: the same trouble is told the same way each time.
        let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
        failures.into_values().next().map_or(Ok(()), Err)
    }

    fn blob(&self, blob: &Blob) -> Result<(), PortError> {
        let digest = blob.descriptor.digest;
        let attempt = format!("could not push {digest} to {}{}", self.prefix, self.repository.name);
        if self.is_there(&attempt, &blob.descriptor)? {
            return Ok(());
        }
        if let Some(from) = blob.origin.as_deref().and_then(|origin| origin.strip_prefix(&self.prefix)) {
            let mounted = self.begin(&attempt, Some((digest, from)))?;
            // A registry that says so and has it not would let the manifest fail (N21).
            if mounted.status() == 201 && self.is_there(&attempt, &blob.descriptor)? {
                return Ok(());
            }
        }
        self.upload(&attempt, blob)
    }

    fn is_there(&self, attempt: &str, blob: &Descriptor) -> Result<bool, PortError> {
        let response = self.repository.exchange(attempt, &[200, 404], || {
            Ok(Request::head(self.repository.url(&format!("blobs/{}", blob.digest))))
        })?;
        Ok(response.status() == 200 && response.content_length().is_none_or(|size| size == blob.size))
    }

    /// Opens an upload, or mounts a blob of another repository.
    fn begin(&self, attempt: &str, mount: Option<(Digest, &str)>) -> Result<Response, PortError> {
        let accept: &[u16] = if mount.is_some() { &[201, 202] } else { &[202] };
        self.repository.exchange(attempt, accept, || {
            let mut url = self.repository.url("blobs/uploads/");
            if let Some((digest, from)) = mount {
                url.query_pairs_mut().append_pair("mount", &digest.to_string()).append_pair("from", from);
            }
            Ok(Request::new(Method::Post, url))
        })
    }

    /// Sends a blob. Each attempt has a session and a reader of its own.
    fn upload(&self, attempt: &str, blob: &Blob) -> Result<(), PortError> {
        let Descriptor { digest, size, .. } = &blob.descriptor;
        let trouble = Mutex::new(None);
        let sent = self.repository.exchange(attempt, &[201, 204], || {
            let opened = self.begin(attempt, None)?;
            let mut url = self.session(attempt, &opened)?;
            url.query_pairs_mut().append_pair("digest", &digest.to_string());
            let reader = blob.content.open().map_err(|error| PortError::of_io(attempt, Fault::Io, error))?;
            let meter = Meter::begin(self.observer, format!("push {}", digest.short()), *size);
            let reader = Outgoing { reader, meter, cancel: self.cancel, trouble: &trouble };
            let request = Request::new(Method::Put, url).header("content-type", "application/octet-stream");
            Ok(request.body(Body::Reader(*size, Box::new(reader))))
        });
        sent.map(drop).map_err(|error| {
            // What went wrong on our side says more than the exchange that broke because of it.
            let own = trouble.lock().unwrap_or_else(PoisonError::into_inner).take();
            own.map_or(error, |own| PortError::of_io(attempt, Fault::Io, own))
        })
    }

    /// Where an upload goes on: on this registry, or nowhere (N12).
    fn session(&self, attempt: &str, opened: &Response) -> Result<Url, PortError> {
        let refused = |cause: String| PortError::new(Fault::Network, attempt.to_owned()).caused_by(cause);
        let location = opened.header("location").filter(|location| location.len() <= 8192);
        let location = location.and_then(|location| opened.url().join(location).ok());
        let url = location.ok_or_else(|| refused("the registry did not say where to send it".to_owned()))?;
        if !self.repository.is_own(&url) || !url.username().is_empty() || url.password().is_some() {
            return Err(refused(format!("the registry wants it sent to another place, {}", shown(&url))));
        }
        Ok(url)
    }

    /// Sends the manifest under its name and looks whether that name now leads to it.
    fn manifest(&self, reference: &Reference, image: &Image) -> Result<Stored, PortError> {
        let attempt = format!("could not publish `{reference}`");
        let target = reference.tag.clone().unwrap_or_else(|| image.digest().to_string());
        let url = || self.repository.url(&format!("manifests/{target}"));
        let put = self.repository.exchange(&attempt, &[201], || {
            let request = Request::new(Method::Put, url()).header("content-type", &image.media_type);
            Ok(request.body(Body::Bytes(image.manifest.clone())))
        })?;
        self.compare(&attempt, image, &put)?;
        let head = self
            .repository
            .exchange(&attempt, &[200], || Ok(Request::head(url()).header("accept", &image.media_type)))?;
        self.compare(&attempt, image, &head)?;
        Ok(Stored { digest: image.digest() })
    }

    /// Compares the digest that the registry names, if it names one, with the image's (N22).
    fn compare(&self, attempt: &str, image: &Image, response: &Response) -> Result<(), PortError> {
        let said = response.header("docker-content-digest").unwrap_or_default();
        if said.is_empty() || said == image.digest().to_string() {
            return Ok(());
        }
        let said: String = said.chars().take(80).flat_map(char::escape_debug).collect();
        let cause = format!("the image is {}, and {} names {said}", image.digest(), self.repository.registry);
        Err(PortError::new(Fault::Integrity, attempt.to_owned()).caused_by(cause))
    }
}

/// A blob on its way: tells how far it is, ends when somebody asks to stop, and remembers what went wrong with it.
struct Outgoing<'a> {
    reader: Box<dyn Read + Send + 'a>,
    meter: Meter<'a>,
    cancel: &'a Cancel,
    trouble: &'a Mutex<Option<io::Error>>,
}

impl Read for Outgoing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.cancel.check().map_err(io::Error::other).and_then(|()| self.reader.read(buffer));
        match read {
            Ok(n) => {
                self.meter.add(n as u64);
                Ok(n)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.trouble.lock().unwrap_or_else(PoisonError::into_inner).replace(error);
                Err(kind.into())
            }
        }
    }
}
