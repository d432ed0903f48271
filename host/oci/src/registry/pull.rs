//! Base images out of a registry. Manifest and configuration are fetched at once; a layer when somebody reads it, which
//! for a base that is already where the image goes is never.

mod builder;
mod component;
mod every;
mod signatures;
mod source;

use std::{
    fmt,
    io::{self, Read, Write},
    sync::{Arc, Mutex, PoisonError},
};

use stave_archive::content::{Content, Span};
use stave_lifecycle::{
    image::{Descriptor, INDEX, Image, MANIFEST},
    port::{
        bases::{Base, Bases},
        blobs::{Blobs, NewBlob},
        cancel::Cancel,
        failure::{Fault, PortError},
        observer::{Event, Level, Observer},
    },
};
use stave_model::{
    digest::{Digest, Hasher},
    target::Platform,
};
use stave_transport::{
    Error, Request, Response,
    download::{Sink, download},
};

pub use self::every::Every;
use super::{Registries, registry_of, repository::Repository};
use crate::{
    config::{Config, ConfigError},
    image,
    json::MAX_DOCUMENT,
    manifest::{DOCKER_INDEX, DOCKER_MANIFEST, Document, MAX_NESTING, Manifest},
    reference::Reference,
};

/// How much more than before is worth an event, in bytes.
const STEP: u64 = 512 * 1024;

/// An image in a registry as a base.
pub struct RegistryImage {
    registries: Registries,
    reference: Reference,
    /// What is looked for behind the name, in words.
    noun: &'static str,
    blobs: Arc<dyn Blobs>,
    observer: Arc<dyn Observer>,
    cancel: Cancel,
    /// What the name led to when it was first asked: bytes and media type.
    first: Mutex<Option<(Vec<u8>, Option<String>)>>,
}

impl fmt::Debug for RegistryImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RegistryImage").field(&self.reference).finish()
    }
}

impl RegistryImage {
    /// The image called `reference`. What is fetched of it lands in `blobs`; one that is named by its digest and is all
    /// there needs no network.
    pub fn new(
        registries: Registries,
        reference: Reference,
        blobs: Arc<dyn Blobs>,
        observer: Arc<dyn Observer>,
        cancel: Cancel,
    ) -> Self {
        Self { registries, reference, noun: "image", blobs, observer, cancel, first: Mutex::default() }
    }

    /// The image for `platform`.
    pub fn image(&self, platform: &Platform) -> Result<Image, PortError> {
        let registry = registry_of(&self.reference, "pull")?;
        let name = &self.reference.repository;
        let repository = Repository::new(&self.registries, registry, name, "pull", &[], &self.cancel)?;
        let (bytes, manifest) = self.manifest(&repository, platform)?;
        let image = self.assembled(&repository, bytes, manifest)?;
        if image.platform.serves(platform) {
            return Ok(image);
        }
        let attempt = format!("the image `{}` is not for {platform}", self.reference);
        Err(PortError::new(Fault::NotFound, attempt).hint(format!("it is for {}", image.platform)))
    }

    /// The digest that the name leads to now: of a manifest, or of an index of several.
    pub fn digest(&self) -> Result<Digest, PortError> {
        let registry = registry_of(&self.reference, "pull")?;
        let name = &self.reference.repository;
        let repository = Repository::new(&self.registries, registry, name, "pull", &[], &self.cancel)?;
        Ok(Digest::of(&self.first(&repository)?.0))
    }

    /// The image of a manifest, its layers to be fetched when they are read.
    fn assembled(&self, repository: &Repository, bytes: Vec<u8>, manifest: Manifest) -> Result<Image, PortError> {
        self.assembled_by(Config::parse, repository, bytes, manifest)
    }

    /// The same, where `parse` says what has to be in its configuration.
    fn assembled_by(
        &self,
        parse: fn(&[u8], usize) -> Result<Config, ConfigError>,
        repository: &Repository,
        bytes: Vec<u8>,
        manifest: Manifest,
    ) -> Result<Image, PortError> {
        let config = self.document(repository, &manifest.config, "blobs")?;
        let (repository, origin) = (Arc::new(repository.clone()), self.reference.name());
        image::assemble_by(parse, bytes, manifest, config, Some(&origin), |layer| {
            Ok(Arc::new(RemoteLayer {
                repository: Arc::clone(&repository),
                descriptor: layer.clone(),
                blobs: Arc::clone(&self.blobs),
                observer: Arc::clone(&self.observer),
                fetched: Mutex::default(),
            }))
        })
    }

    fn parsed(&self, bytes: &[u8], media_type: Option<&str>) -> Result<Document, PortError> {
        Document::parse(bytes, media_type).map_err(|error| {
            PortError::new(Fault::InvalidInput, format!("could not use the image `{}`", self.reference))
                .caused_by(error)
        })
    }

    /// The manifest for `platform`. What the name leads to is decided here once; all else follows by digest (N9).
    fn manifest(&self, repository: &Repository, platform: &Platform) -> Result<(Vec<u8>, Manifest), PortError> {
        let refused = |fault, cause: Box<dyn std::error::Error + Send + Sync>| {
            PortError::new(fault, format!("could not use the image `{}`", self.reference)).caused_by(cause)
        };
        let (mut bytes, mut media_type) = self.first(repository)?;
        for _ in 0..MAX_NESTING {
            let index = match self.parsed(&bytes, media_type.as_deref())? {
                Document::Manifest(manifest) => return Ok((bytes, manifest)),
                Document::Index(index) => index,
            };
            let entry = index.choose(platform).map_err(|error| refused(Fault::NotFound, error.into()))?;
            bytes = self.document(repository, &entry.descriptor, "manifests")?;
            media_type = Some(entry.descriptor.media_type.clone());
        }
        Err(refused(Fault::InvalidInput, "its indexes lie too deep in one another".into()))
    }

    /// What the name leads to, and the media type that the registry says.
    fn first(&self, repository: &Repository) -> Result<(Vec<u8>, Option<String>), PortError> {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*first {
            return Ok(known.clone());
        }
        Ok(first.insert(self.ask_first(repository)?).clone())
    }

    fn ask_first(&self, repository: &Repository) -> Result<(Vec<u8>, Option<String>), PortError> {
        let attempt = format!("could not pull the {} `{}`", self.noun, self.reference);
        let wanted = self.reference.digest;
        if let Some(kept) = wanted.map(|digest| self.kept(&digest)).transpose()?.flatten() {
            return Ok((kept, None));
        }
        let text = format!("connecting to {}", repository.registry);
        self.observer.observe(Event::Note(Level::Info, text));
        let target = self.reference.target();
        let accept = [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_INDEX].join(", ");
        let make = || {
            let url = repository.url(&format!("manifests/{target}"));
            Ok(Request::get(url).header("accept", &accept).cap(MAX_DOCUMENT))
        };
        let (media_type, promised, bytes) = repository.exchange_for(&attempt, &[200], make, |response| {
            let header = |name| response.header(name).map(str::to_owned);
            Ok((header("content-type"), header("docker-content-digest"), response.bytes()?))
        })?;
        let digest = Digest::of(&bytes);
        let right =
            wanted.is_none_or(|wanted| wanted == digest) && promised.is_none_or(|said| said == digest.to_string());
        if !right {
            let cause = "the manifest's digest is not the one that was asked for, or that the registry named";
            return Err(PortError::new(Fault::Integrity, attempt).caused_by(cause));
        }
        self.keep(&digest, &bytes)?;
        Ok((bytes, media_type))
    }

    /// A manifest or configuration by its digest.
    fn document(&self, repository: &Repository, promised: &Descriptor, kind: &str) -> Result<Vec<u8>, PortError> {
        if let Some(kept) = self.kept(&promised.digest)? {
            return Ok(kept);
        }
        let attempt = format!("could not pull {} of `{}`", promised.digest, self.reference);
        let make = || {
            let url = repository.url(&format!("{kind}/{}", promised.digest));
            Ok(Request::get(url).header("accept", &promised.media_type).cap(promised.size))
        };
        let bytes = repository.exchange_for(&attempt, &[200], make, Response::bytes)?;
        image::check(promised, &bytes)?;
        self.keep(&promised.digest, &bytes)?;
        Ok(bytes)
    }

    fn kept(&self, digest: &Digest) -> Result<Option<Vec<u8>>, PortError> {
        let Some(span) = self.blobs.get(digest)? else { return Ok(None) };
        let bytes = span.bytes(MAX_DOCUMENT);
        // One that is damaged is fetched again.
        Ok(bytes.ok().filter(|bytes| Digest::of(bytes) == *digest))
    }

    fn keep(&self, digest: &Digest, bytes: &[u8]) -> Result<(), PortError> {
        let mut blob = self.blobs.create()?;
        let attempt = || format!("could not keep {digest}");
        blob.write_all(bytes).map_err(|error| PortError::of_io(attempt(), Fault::Io, error))?;
        blob.keep(digest).map(drop)
    }
}

impl Bases for RegistryImage {
    fn base(&self, platform: &Platform) -> Result<Base, PortError> {
        let image = self.image(platform)?;
        let named = Reference { digest: None, ..self.reference.clone() };
        let reference = self.reference.pinned(image.digest()).to_string();
        Ok(Base { image, name: named.to_string(), reference })
    }
}

/// A layer in a registry. Reading it fetches it into the blobs, whole and verified, and then reads it there: nobody ever
/// sees a byte that turns out to be another's.
struct RemoteLayer {
    repository: Arc<Repository>,
    descriptor: Descriptor,
    blobs: Arc<dyn Blobs>,
    observer: Arc<dyn Observer>,
    fetched: Mutex<Option<Span>>,
}

impl fmt::Debug for RemoteLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RemoteLayer").field(&self.descriptor.digest).finish()
    }
}

impl Content for RemoteLayer {
    fn size(&self) -> u64 {
        self.descriptor.size
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(self.fetch()?.cursor()))
    }

    fn span(&self) -> io::Result<Option<Span>> {
        self.fetch().map(Some)
    }
}

impl RemoteLayer {
    fn fetch(&self) -> io::Result<Span> {
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(span) = &*fetched {
            return Ok(span.clone());
        }
        let span = match self.blobs.get(&self.descriptor.digest).map_err(io::Error::other)? {
            // A disk may have changed it since it was fetched.
            Some(span) if span.size() == self.descriptor.size && span.digest()? == self.descriptor.digest => span,
            there => {
                if there.is_some() {
                    self.blobs.discard(&self.descriptor.digest).map_err(io::Error::other)?;
                }
                self.download().map_err(io::Error::other)?
            }
        };
        Ok(fetched.insert(span).clone())
    }

    fn download(&self) -> Result<Span, PortError> {
        let Descriptor { digest, size, .. } = &self.descriptor;
        let what = format!("pull layer {}", digest.short());
        let result = self.try_download(&what, *digest, *size);
        self.observer.observe(Event::ProgressEnd { what });
        result
    }

    fn try_download(&self, what: &str, digest: Digest, size: u64) -> Result<Span, PortError> {
        let repository = &self.repository;
        let attempt = format!("could not pull the layer {digest} of {}/{}", repository.registry, repository.name);
        let mut renewed = false;
        loop {
            let mut sink = Landing::new(&*self.blobs)?;
            let request = Request::get(repository.url(&format!("blobs/{digest}"))).cap(size);
            let request = match repository.authorization() {
                Some(authorization) => request.authorization(authorization),
                None => request,
            };
            let mut told = 0;
            let mut progress = |done: u64, _| {
                if done == 0 || done - told.min(done) >= STEP {
                    told = done;
                    self.observer.observe(Event::Progress { what: what.to_owned(), done, total: Some(size) });
                }
            };
            let flag = repository.cancel.flag();
            match download(&repository.client, &request, &repository.policy, &flag, &mut sink, &mut progress) {
                Ok(_) => return sink.keep(&attempt, digest, size),
                // The token has aged; asking for the headers gets another.
                Err(error) if error.status() == Some(401) && !renewed => {
                    renewed = true;
                    let head = || Ok(Request::head(repository.url(&format!("blobs/{digest}"))));
                    repository.exchange(&attempt, &[200], head)?;
                }
                Err(Error::TooLarge { .. }) => return Err(wrong(&attempt)),
                Err(error) => return Err(sink.failed.take().unwrap_or_else(|| repository.failed(&attempt, error))),
            }
        }
    }
}

fn wrong(attempt: &str) -> PortError {
    let cause = "its bytes are others than its descriptor promised";
    PortError::new(Fault::Integrity, attempt.to_owned()).caused_by(cause)
}

/// Where a download lands: a blob that is not kept yet, and the digest of what is in it.
struct Landing<'a> {
    blobs: &'a dyn Blobs,
    blob: Box<dyn NewBlob>,
    hasher: Hasher,
    size: u64,
    failed: Option<PortError>,
}

impl<'a> Landing<'a> {
    fn new(blobs: &'a dyn Blobs) -> Result<Self, PortError> {
        Ok(Self { blobs, blob: blobs.create()?, hasher: Hasher::new(), size: 0, failed: None })
    }

    fn keep(self, attempt: &str, digest: Digest, size: u64) -> Result<Span, PortError> {
        if (self.size, self.hasher.finish()) != (size, digest) {
            return Err(wrong(attempt));
        }
        self.blob.keep(&digest)
    }
}

impl Write for Landing<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let n = match self.blob.write(buffer) {
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                let kind = error.kind();
                self.failed = Some(PortError::of_io("could not keep what was pulled", Fault::Io, error));
                return Err(kind.into());
            }
        };
        self.hasher.update(&buffer[..n]);
        self.size += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.blob.flush()
    }
}

impl Sink for Landing<'_> {
    fn restart(&mut self) -> io::Result<()> {
        self.blob = self.blobs.create().map_err(io::Error::other)?;
        (self.hasher, self.size) = (Hasher::new(), 0);
        Ok(())
    }
}
