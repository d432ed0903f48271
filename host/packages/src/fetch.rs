//! From a declared artefact to a verified blob: look into the store, else into each registry in turn, and keep what has
//! the pinned digest. Nothing else is ever kept.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Write},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use stave_archive::content::Span;
use stave_lifecycle::port::{
    artifacts::ArtifactSource,
    blobs::{Blobs, NewBlob},
    cancel::Cancel,
    failure::{Fault, PortError},
    observer::{Event, Level, Observer},
};
use stave_model::{
    dependency::{Artifact, Dependency},
    digest::{Digest, Hasher},
};
use stave_transport::{
    Client, Request,
    download::{Sink, download},
    origin::{Origin, shown},
    retry::Policy,
};
use url::Url;

use crate::{
    locate::{self, Inquiry, Place, Wanted, authorization_for},
    machine::Machine,
    registry::{Ecosystem, Reason, Registry},
    settings::{self, Group, Settings, Sources},
};

/// The largest file that is fetched. The largest runtimes and models that buildpacks bring have a few hundred megabytes.
const LARGEST_FILE: u64 = 4 << 30;

/// Progress is told each time so many bytes have arrived.
const PROGRESS_STEP: u64 = 1 << 20;

/// Fetches declared dependencies. One for a run: what it learns about registries holds as long as it lives.
pub struct Packages {
    client: Client,
    settings: Settings,
    machine: Machine,
    blobs: Arc<dyn Blobs>,
    policy: Policy,
    known: Mutex<BTreeMap<(Ecosystem, Group), Known>>,
    /// One lock a digest, so that two builds that want the same file fetch it once.
    fetching: Mutex<BTreeMap<Digest, Arc<Mutex<()>>>>,
}

/// The registries of an ecosystem, and a client that trusts their certificates.
#[derive(Clone)]
struct Known {
    sources: Arc<Sources>,
    client: Client,
}

/// Why a file could not be fetched.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("this run is offline, and {sha256} is not in the store")]
    Offline { sha256: Digest },
    #[error("packages of type `{kind}` cannot be fetched: pypi, npm, maven and generic can")]
    Unsupported { kind: String },
    #[error(transparent)]
    Settings(#[from] settings::Error),
    #[error(transparent)]
    Locate(#[from] locate::Error),
    #[error("no registry has it: looked in {}", .looked.join(", "))]
    NotFound { ecosystem: Ecosystem, looked: Vec<String>, reason: Reason },
    #[error("{place} is another file than the one that is pinned: expected {expected}, got {got}")]
    Mismatch { place: String, expected: Digest, got: Digest },
    #[error("could not download {place}")]
    Download {
        place: String,
        #[source]
        cause: stave_transport::Error,
    },
    #[error("could not read {place}")]
    Local {
        place: String,
        #[source]
        cause: io::Error,
    },
    #[error("could not keep what was fetched")]
    Store(#[source] PortError),
    #[error("stopped on request")]
    Cancelled,
}

impl Error {
    fn fault(&self) -> Fault {
        use stave_transport::Error as Transport;
        let of_transport = |error: &Transport| match error {
            Transport::Cancelled { .. } => Fault::Cancelled,
            Transport::TooLarge { .. } => Fault::TooLarge,
            Transport::Sink { .. } | Transport::Roots(_) => Fault::Io,
            Transport::Redirect { .. } => Fault::Denied,
            _ => Fault::Network,
        };
        match self {
            Self::Offline { .. } | Self::Locate(locate::Error::Unreadable { .. }) => Fault::Network,
            Self::Unsupported { .. } => Fault::Unsupported,
            Self::Settings(_) | Self::Locate(locate::Error::Incomplete { .. }) => Fault::InvalidInput,
            Self::NotFound { .. } => Fault::NotFound,
            Self::Mismatch { .. } | Self::Locate(locate::Error::Mismatch { .. }) => Fault::Integrity,
            Self::Download { cause, .. } | Self::Locate(locate::Error::Network { cause, .. }) => of_transport(cause),
            Self::Local { .. } => Fault::Io,
            Self::Store(error) => error.fault,
            Self::Cancelled => Fault::Cancelled,
        }
    }

    /// What a person can do about it.
    fn hint(&self) -> Option<String> {
        match self {
            Self::Offline { .. } => {
                Some("run once without --offline, import a bundle that has it, or put the file into a folder that `registries` or pip's find-links names".to_owned())
            }
            Self::Settings(error) => Some(error.hint()),
            Self::NotFound { reason: Reason::Pattern(pattern), .. } => {
                Some(format!("put it there: `{pattern}` of `registries.for` has it come from nowhere else"))
            }
            Self::NotFound { ecosystem: Ecosystem::Generic, .. } => Some(settings::Error::Unknown(Ecosystem::Generic).hint()),
            Self::NotFound { ecosystem, .. } => {
                Some(format!("set `registries.{}` in Stave's configuration to a registry that has it", ecosystem.name()))
            }
            Self::Mismatch { .. } | Self::Locate(locate::Error::Mismatch { .. }) => {
                Some("the registry or something before it changed the file; if the pin is wrong, the buildpack must be corrected".to_owned())
            }
            Self::Download { cause: stave_transport::Error::Sink { cause, .. }, .. } => {
                let inner = cause.get_ref().and_then(|inner| inner.downcast_ref::<PortError>());
                inner.and_then(|error| error.hint.clone())
            }
            Self::Download { cause, .. } | Self::Locate(locate::Error::Network { cause, .. }) => cause.hint().map(str::to_owned),
            Self::Store(error) => error.hint.clone(),
            _ => None,
        }
    }

    /// Which of several registries' failures is told: the one that a person should hear of first.
    fn weight(&self) -> u8 {
        match self.fault() {
            Fault::Integrity | Fault::Denied => 2,
            _ => 1,
        }
    }

    /// Whether another registry makes no difference.
    fn is_final(&self) -> bool {
        match self {
            Self::Locate(locate::Error::Incomplete { .. }) | Self::Store(_) | Self::Cancelled => true,
            _ => matches!(self.fault(), Fault::Cancelled),
        }
    }

    /// Whether it only says that the file is not there.
    fn is_absence(&self) -> bool {
        match self {
            Self::Download { cause, .. } => matches!(cause.status(), Some(404 | 410)),
            Self::Local { cause, .. } => matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
            _ => false,
        }
    }
}

/// One fetch: what is wanted, and how it goes on.
struct Errand<'a> {
    wanted: Wanted<'a>,
    ecosystem: Ecosystem,
    title: String,
    observer: &'a dyn Observer,
    cancel: &'a Cancel,
}

impl ArtifactSource for Packages {
    fn fetch(
        &self,
        dependency: &Dependency,
        artifact: &Artifact,
        observer: &dyn Observer,
        cancel: &Cancel,
    ) -> Result<Span, PortError> {
        if let Some(span) = self.blobs.get(&artifact.sha256)? {
            return Ok(span);
        }
        let title = format!("{} {}", named(&dependency.id), dependency.version);
        let purl = artifact.purl.to_string();
        self.fetch_missing(artifact, &title, observer, cancel).map_err(|error| {
            if matches!(error.fault(), Fault::Cancelled) {
                return PortError::cancelled();
            }
            let (fault, hint) = (error.fault(), error.hint());
            let failed = PortError::new(fault, format!("could not fetch {title} ({})", named(&purl))).caused_by(error);
            hint.into_iter().fold(failed, PortError::hint)
        })
    }
}

impl Packages {
    /// Fetches with `client` into `blobs`, from where `settings` and `machine` say.
    pub fn new(client: Client, settings: Settings, machine: Machine, blobs: Arc<dyn Blobs>) -> Self {
        let (known, fetching) = (Mutex::default(), Mutex::default());
        // What a tool would say is of no use offline: its registry will not be asked.
        let machine = if client.is_offline() { machine.without_programs() } else { machine };
        Self { client, settings, machine, blobs, policy: Policy::default(), known, fetching }
    }

    /// The same with another patience.
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    fn fetch_missing(
        &self,
        artifact: &Artifact,
        title: &str,
        observer: &dyn Observer,
        cancel: &Cancel,
    ) -> Result<Span, Error> {
        let kind = &artifact.purl.kind;
        let ecosystem = Ecosystem::of(kind).ok_or_else(|| Error::Unsupported { kind: named(kind) })?;
        let lock = {
            let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(fetching.entry(artifact.sha256).or_default())
        };
        let _one_at_a_time = lock.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(span) = self.blobs.get(&artifact.sha256).map_err(Error::Store)? {
            return Ok(span);
        }
        let wanted = Wanted { purl: &artifact.purl, sha256: &artifact.sha256 };
        let title = format!("fetch {title}");
        self.search(&Errand { wanted, ecosystem, title, observer, cancel })
    }

    /// Tries each registry until one has the file.
    fn search(&self, errand: &Errand<'_>) -> Result<Span, Error> {
        let sha256 = *errand.wanted.sha256;
        let Known { sources, client } = match self.known(errand) {
            // Offline, no tool and no index is needed to know that the file cannot be had.
            Err(settings::Error::Unknown(_)) if self.client.is_offline() => return Err(Error::Offline { sha256 }),
            found => found?,
        };
        let mut worst: Option<Error> = None;
        for registry in &sources.registries {
            if errand.cancel.is_set() {
                return Err(Error::Cancelled);
            }
            if client.is_offline() && registry.url().is_some() {
                continue;
            }
            let from = format!("{}: from {registry}, because of {}", errand.title, registry.reason);
            errand.observer.observe(Event::Note(Level::Debug, from));
            match self.take_from(registry, &sources, &client, errand) {
                Ok(Some(span)) => return Ok(span),
                Ok(None) => {}
                Err(error) if error.is_final() => return Err(error),
                Err(error) if error.is_absence() => {}
                Err(error) if worst.as_ref().is_some_and(|worst| worst.weight() >= error.weight()) => {}
                Err(error) => worst = Some(error),
            }
        }
        Err(match worst {
            Some(error) => error,
            None if client.is_offline() => Error::Offline { sha256 },
            None => {
                let looked = sources.registries.iter().map(ToString::to_string).collect();
                let reason = sources.registries.first().map(|one| one.reason.clone()).unwrap_or_default();
                Error::NotFound { ecosystem: errand.ecosystem, looked, reason }
            }
        })
    }

    /// The registries, found once.
    fn known(&self, errand: &Errand<'_>) -> Result<Known, settings::Error> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (errand.ecosystem, self.settings.group_of(errand.ecosystem, errand.wanted.purl));
        if let Some(found) = known.get(&key) {
            return Ok(found.clone());
        }
        let found = settings::find(&self.settings, &self.machine, errand.ecosystem, errand.wanted.purl)?;
        let found = Known { client: self.client.trusting(&found.ca_bundles), sources: Arc::new(found) };
        known.insert(key, found.clone());
        Ok(found)
    }

    fn take_from(
        &self,
        registry: &Registry,
        sources: &Sources,
        client: &Client,
        errand: &Errand<'_>,
    ) -> Result<Option<Span>, Error> {
        let flag = errand.cancel.flag();
        let inquiry = Inquiry { client, policy: &self.policy, cancel: &flag };
        let Some(place) = locate::place(errand.ecosystem, errand.wanted, registry, inquiry)? else { return Ok(None) };
        let mut landing = Landing::new(&*self.blobs).map_err(Error::Store)?;
        let name = match &place {
            Place::Address { url, led_by } => {
                let request = request(url, led_by.as_ref(), registry, sources);
                let told = download_into(&request, inquiry, &mut landing, errand);
                told.map_err(|cause| Error::Download { place: shown(url), cause })?;
                shown(url)
            }
            Place::File(path) => {
                let place = path.display().to_string();
                copy(path, &mut landing, errand.cancel)
                    .map_err(|cause| Error::Local { place: place.clone(), cause })?;
                place
            }
        };
        landing.keep(errand, name).map(Some)
    }
}

/// The request for a file, with the registry's credentials at its own origin and `.netrc`'s elsewhere.
fn request(url: &Url, led_by: Option<&Url>, registry: &Registry, sources: &Sources) -> Request<'static> {
    let mut request = Request::get(url.clone()).cap(LARGEST_FILE);
    let from_netrc = || Origin::of(url).and_then(|origin| sources.netrc.find(origin.host()).cloned());
    if let Some(authorization) = authorization_for(registry, url).or_else(from_netrc) {
        request = request.authorization(authorization);
    }
    match led_by {
        Some(index) => request.led_by(index),
        None => request,
    }
}

/// Downloads and tells how it goes on.
fn download_into(
    request: &Request<'_>,
    inquiry: Inquiry<'_>,
    landing: &mut Landing<'_>,
    errand: &Errand<'_>,
) -> Result<(), stave_transport::Error> {
    let what = || errand.title.clone();
    let mut told: Option<u64> = None;
    let mut progress = |done: u64, total: Option<u64>| {
        let due = told.is_none_or(|told| done < told || done >= told + PROGRESS_STEP) || Some(done) == total;
        if due {
            told = Some(done);
            errand.observer.observe(Event::Progress { what: what(), done, total });
        }
    };
    let result = download(inquiry.client, request, inquiry.policy, inquiry.cancel, landing, &mut progress);
    if told.is_some() {
        errand.observer.observe(Event::ProgressEnd { what: what() });
    }
    result.map(drop)
}

/// Copies a local file, which may be anything but must end.
fn copy(path: &Path, landing: &mut Landing<'_>, cancel: &Cancel) -> io::Result<()> {
    // A pipe or a device would block or never end; opening one may block already.
    if !path.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut file = File::open(path)?.take(LARGEST_FILE + 1);
    let mut buffer = vec![0; 128 * 1024];
    let mut copied = 0;
    loop {
        let n = file.read(&mut buffer)?;
        copied += n as u64;
        if copied > LARGEST_FILE {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {LARGEST_FILE} bytes")));
        }
        if n == 0 {
            return Ok(());
        }
        cancel.check().map_err(io::Error::other)?;
        landing.write_all(&buffer[..n])?;
    }
}

/// Where a file arrives: hashed on its way into a blob that is kept only if the digest is right.
struct Landing<'a> {
    blobs: &'a dyn Blobs,
    blob: Box<dyn NewBlob>,
    hasher: Hasher,
}

impl<'a> Landing<'a> {
    fn new(blobs: &'a dyn Blobs) -> Result<Self, PortError> {
        Ok(Self { blobs, blob: blobs.create()?, hasher: Hasher::new() })
    }

    fn keep(self, errand: &Errand<'_>, place: String) -> Result<Span, Error> {
        let (got, expected) = (self.hasher.finish(), *errand.wanted.sha256);
        if got != expected {
            return Err(Error::Mismatch { place, expected, got });
        }
        self.blob.keep(&got).map_err(Error::Store)
    }
}

impl Write for Landing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.blob.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.blob.flush()
    }
}

impl Sink for Landing<'_> {
    fn restart(&mut self) -> io::Result<()> {
        self.blob = self.blobs.create().map_err(io::Error::other)?;
        self.hasher = Hasher::new();
        Ok(())
    }
}

/// A text from a manifest, for a message.
fn named(text: &str) -> String {
    text.chars().take(300).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests;
