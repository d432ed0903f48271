//! Files of an archive, over the network and into the store: nothing is kept whose digest is not the promised one.

use std::{
    io::{self, Write},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use stave_archive::content::Span;
use stave_lifecycle::port::{
    blobs::{Blobs, NewBlob},
    cancel::Cancel,
    failure::{Fault, PortError},
    observer::{Event, Observer},
};
use stave_model::digest::{Digest, Hasher};
use stave_transport::{
    client::Client,
    download::{self, download},
    fault,
    request::Request,
    retry::{Policy, retry},
};
use url::Url;

/// How many files are fetched at once: enough to hide the waiting, few enough for a mirror.
const AT_ONCE: usize = 8;

/// What reaches the world.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The network.
    pub client: &'a Client,
    /// Where files are kept.
    pub blobs: &'a dyn Blobs,
    /// Who is told.
    pub observer: &'a dyn Observer,
    /// Who may stop it.
    pub cancel: &'a Cancel,
}

/// A file that was not got.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No server gave it.
    #[error("could not fetch {what}")]
    Transport {
        /// Which file.
        what: String,
        /// What went wrong.
        #[source]
        source: Box<fault::Error>,
    },
    /// Its bytes are not the promised ones.
    #[error("{what} from {url} is not what was promised: expected {expected} of {size} bytes, got {got} of {got_size}")]
    Integrity {
        /// Which file.
        what: String,
        /// Where from.
        url: String,
        /// The promised digest.
        expected: Digest,
        /// The promised size.
        size: u64,
        /// The digest of what came.
        got: Digest,
        /// The size of what came.
        got_size: u64,
    },
    /// It could not be kept.
    #[error("could not keep {what}")]
    Store {
        /// Which file.
        what: String,
        /// What went wrong.
        #[source]
        source: PortError,
    },
    /// Nobody named a place where it could be.
    #[error("there is no archive to fetch {what} from")]
    Nowhere {
        /// Which file.
        what: String,
    },
}

impl FetchError {
    /// What a person could do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Transport { source, .. } if source.status().is_some_and(is_missing) => Some(
                "the archive may have moved on, or be incomplete: try again later, or another mirror; a lock that is too old \
                 can only be made anew"
                    .to_owned(),
            ),
            Self::Transport { source, .. } => source.hint().map(str::to_owned),
            Self::Integrity { .. } => Some("the mirror is being updated, or is not to be trusted: try again later, or another one".to_owned()),
            Self::Store { source, .. } => source.hint.clone(),
            Self::Nowhere { .. } => None,
        }
    }

    /// What kind of thing went wrong.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Transport { source, .. } if matches!(**source, fault::Error::Cancelled { .. }) => Fault::Cancelled,
            Self::Transport { source, .. } if source.status().is_some_and(is_missing) => Fault::NotFound,
            Self::Transport { .. } => Fault::Network,
            Self::Integrity { .. } => Fault::Integrity,
            Self::Store { source, .. } => source.fault,
            Self::Nowhere { .. } => Fault::NotFound,
        }
    }
}

/// A file by its promised bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// How people call it.
    pub what: String,
    /// Where it may be, the first place tried first.
    pub urls: Vec<Url>,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

impl Ports<'_> {
    /// A small file of which nothing is known beforehand; none if the server says that there is no such file.
    pub fn small(&self, url: &Url, cap: u64) -> Result<Option<Vec<u8>>, FetchError> {
        let read = |_| {
            let response = self.client.send(Request::get(url.clone()).cap(cap))?;
            if is_missing(response.status()) {
                return Ok(None);
            }
            response.success()?.bytes().map(Some)
        };
        retry(self.client.clock(), &Policy::default(), &self.cancel.flag(), read)
            .map_err(|source| FetchError::Transport { what: url.to_string(), source: Box::new(source) })
    }

    /// A file from the store, or else from the first of its places that has it.
    pub fn file(&self, wanted: &Wanted, progress: &mut dyn FnMut(u64)) -> Result<Span, FetchError> {
        let store = |source| FetchError::Store { what: wanted.what.clone(), source };
        if let Some(kept) = self.blobs.get(&wanted.digest).map_err(store)? {
            progress(wanted.size);
            return Ok(kept);
        }
        let mut last = FetchError::Nowhere { what: wanted.what.clone() };
        for url in &wanted.urls {
            self.cancel.check().map_err(store)?;
            match self.fetch(wanted, url, progress) {
                Err(FetchError::Transport { what, source }) => last = FetchError::Transport { what, source },
                done => return done,
            }
        }
        Err(last)
    }

    /// Several files, a few at a time, in the order they were asked for. Told to the observer as one piece of work.
    pub fn files(&self, what: &str, wanted: &[Wanted]) -> Result<Vec<Span>, FetchError> {
        let total = wanted.iter().map(|one| one.size).sum();
        let tell = |done| self.observer.observe(Event::Progress { what: what.to_owned(), done, total: Some(total) });
        let done = Mutex::new(vec![0; wanted.len()]);
        let results: Mutex<Vec<Option<Result<Span, FetchError>>>> = Mutex::new(wanted.iter().map(|_| None).collect());
        let next = AtomicUsize::new(0);
        let failed = || results.lock().unwrap_or_else(PoisonError::into_inner).iter().flatten().any(Result::is_err);
        let work = || {
            while let Some((number, one)) =
                Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|n| Some((n, wanted.get(n)?)))
            {
                if failed() {
                    return;
                }
                let result = self.file(one, &mut |bytes| {
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done[number] = bytes;
                    tell(done.iter().sum());
                });
                results.lock().unwrap_or_else(PoisonError::into_inner)[number] = Some(result);
            }
        };
        thread::scope(|scope| {
            for _ in 0..AT_ONCE.min(wanted.len()) {
                scope.spawn(work);
            }
        });
        self.observer.observe(Event::ProgressEnd { what: what.to_owned() });
        let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        // A file is only without a result if an earlier one failed.
        results.into_iter().flatten().collect()
    }

    fn fetch(&self, wanted: &Wanted, url: &Url, progress: &mut dyn FnMut(u64)) -> Result<Span, FetchError> {
        let what = || wanted.what.clone();
        let store = |source| FetchError::Store { what: what(), source };
        let mut incoming =
            Incoming { blobs: self.blobs, blob: self.blobs.create().map_err(store)?, hasher: Hasher::new(), size: 0 };
        let request = Request::get(url.clone()).cap(wanted.size);
        let mut told = |done: u64, _: Option<u64>| progress(done);
        let cancel = self.cancel.flag();
        download(self.client, &request, &Policy::default(), &cancel, &mut incoming, &mut told)
            .map_err(|source| FetchError::Transport { what: what(), source: Box::new(source) })?;
        let Incoming { blob, hasher, size, .. } = incoming;
        let got = hasher.finish();
        if (got, size) == (wanted.digest, wanted.size) {
            return blob.keep(&got).map_err(store);
        }
        let url = url.to_string();
        Err(FetchError::Integrity {
            what: what(),
            url,
            expected: wanted.digest,
            size: wanted.size,
            got,
            got_size: size,
        })
    }
}

/// Statuses with which servers say that there is no such file. Buckets without a listing say 403.
fn is_missing(status: u16) -> bool {
    matches!(status, 403 | 404 | 410)
}

/// A blob that is hashed on its way in.
struct Incoming<'a> {
    blobs: &'a dyn Blobs,
    blob: Box<dyn NewBlob>,
    hasher: Hasher,
    size: u64,
}

impl Write for Incoming<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.blob.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.blob.flush()
    }
}

impl download::Sink for Incoming<'_> {
    fn restart(&mut self) -> io::Result<()> {
        self.blob = self.blobs.create().map_err(io::Error::other)?;
        self.hasher = Hasher::new();
        self.size = 0;
        Ok(())
    }
}
