//! The platform over HTTP: what is wished for, what came of it, and how it goes, as JSON.
//!
//! One process that reconciles serves this beside, on an address of its own machine where nobody says otherwise. Everything is
//! read from and written to the same records as the commands use, so that both may be used at once. Resources have the words of
//! their manifests; what is refused says so as a problem document (RFC 9457), with the path of everything that is wrong.
//!
//! ```text
//!  socket ─► serve    connections: how many, how slow, until when
//!              └─► guard    host, origin, credentials, the body's kind and size; rights
//!                    └─► routes    the table of all that can be asked
//!                          └─► api    plain functions over the records, each on a thread that may wait
//! ```
//!
//! | Module | Holds |
//! |---|---|
//! | [`mod@serve`] | the sockets: deadlines, caps, the end |
//! | `guard` | whose requests are taken: other sites' pages and strangers' are not |
//! | `rights` | who may do what: operators all, developers what is of a namespace |
//! | `routes` | method, path, queries and handler of everything, from which the router is made |
//! | `call` | one request as a handler sees it: names, queries, JSON |
//! | `answer`, `trouble` | what is answered, and what is wrong as a problem document |
//! | `api` | images, builds and logs, what operators keep, plans, webhooks, health and metrics |
//! | `hmac` | signatures of webhooks, compared in a time that tells nothing |
//! | [`openapi`] | the description of all this |

mod answer;
mod api;
mod call;
mod guard;
mod hmac;
pub mod openapi;
mod rights;
mod routes;
pub mod serve;
#[cfg(test)]
mod tests;
mod trouble;

use std::{
    fmt, io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use stave_model::digest::Digest;
use stave_platform::{
    plan::Rules,
    port::{Failed, Records, records::Snapshot},
    resource::{
        build::Mode,
        name::{ImageKey, Name},
    },
};

pub use serve::serve;

/// All that is asked for an answer.
#[derive(Clone)]
pub struct Services {
    /// Who remembers.
    pub records: Arc<dyn Records>,
    /// Who keeps what builds said.
    pub logs: Arc<dyn Logs>,
    /// The rules that builds are started by: plans and explanations follow them.
    pub rules: Rules,
    /// The version of the lifecycle.
    pub lifecycle: String,
    /// Seconds since 1970.
    pub now: fn() -> u64,
    /// What the one who reconciles counts.
    pub state: Arc<dyn State>,
    /// What `Authorization: Bearer` has to say, where it has to say something: the operators' token, with which all may be done.
    pub token: Option<Secret>,
    /// Who else may ask, and for what.
    pub developers: Option<Developers>,
    /// What webhooks have to know. Without it none is taken.
    pub hook_token: Option<Secret>,
}

/// Those who wish for images, and leave what the cluster has to operators.
#[derive(Clone)]
pub struct Developers {
    /// What their `Authorization: Bearer` has to say.
    pub token: Secret,
    /// In which namespaces they may change something; in all, where none is named.
    pub namespaces: Vec<Name>,
    /// Done before the first change that they make: from then on wishes are others'.
    pub first: Arc<dyn Fn() -> Result<(), Failed> + Send + Sync>,
}

/// Who keeps what builds said.
pub trait Logs: Send + Sync {
    /// What build `number` of an image said from byte `from` on: as much as is at hand, in pieces of a bounded size. `digest`
    /// names the whole log of a build that is over. That there is none is an error of the kind `NotFound`.
    fn read(&self, key: &ImageKey, number: u64, digest: Option<Digest>, from: u64) -> io::Result<Chunk>;
}

/// A piece of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chunk {
    /// The bytes. None of a build that runs means: nothing yet.
    pub bytes: Vec<u8>,
    /// That nothing comes after them, ever.
    pub is_over: bool,
}

/// What the one who reconciles counts.
pub trait State: Send + Sync {
    /// The numbers of now.
    fn counters(&self) -> Counters;
}

/// Numbers of one process, from its start on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Since when it reconciles, in seconds since 1970.
    pub up_since: u64,
    /// How many builds run.
    pub running: u64,
    /// How many wait for their turn.
    pub waiting: u64,
    /// The builds that came to an end, by how they were made and what came of them.
    pub ended: Vec<Ended>,
}

/// Builds that came to an end alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// How they were made.
    pub mode: Mode,
    /// What came of them, in a word.
    pub outcome: Came,
    /// How many.
    pub count: u64,
    /// How long all of them took together, in milliseconds.
    pub milliseconds: u64,
}

/// What comes of a build, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Came {
    /// An image.
    Succeeded,
    /// Nothing, and somebody's fault.
    Failed,
    /// Nothing, because somebody stopped it.
    Cancelled,
    /// Nothing, because a newer source came.
    Superseded,
}

impl Came {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
        }
    }
}

/// A text that is told to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text to itself. None if it is empty: an empty secret is known to all.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        (!text.is_empty()).then_some(Self(text))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What all requests share.
struct App {
    services: Services,
    /// Whether only this machine can ask: then a name that leads here is no proof that its owner lives here.
    is_local: bool,
    stop: Arc<AtomicBool>,
    /// What was remembered when somebody asked last: as long as nothing changed, it is not read again.
    last: Mutex<Option<Arc<Snapshot>>>,
    /// Whether it is written down that wishes are others' too.
    has_others: AtomicBool,
}

impl App {
    fn new(services: Services, is_local: bool, stop: Arc<AtomicBool>) -> Self {
        Self { services, is_local, stop, last: Mutex::new(None), has_others: AtomicBool::new(false) }
    }

    /// All that is remembered.
    fn snapshot(&self) -> Result<Arc<Snapshot>, Failed> {
        let version = self.services.records.version()?;
        let kept = |last: &Option<Arc<Snapshot>>| last.as_ref().filter(|last| last.version == version).map(Arc::clone);
        if let Some(last) = kept(&self.last.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(last);
        }
        let read = Arc::new(self.services.records.snapshot()?);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&read));
        Ok(read)
    }

    /// Before a change that developers make. If it cannot be written down that there are others, they change nothing.
    fn take_from_others(&self) -> Result<(), Failed> {
        if let Some(developers) = self.services.developers.as_ref().filter(|_| !self.has_others.load(Ordering::Relaxed))
        {
            (developers.first)()?;
            self.has_others.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn now(&self) -> u64 {
        (self.services.now)()
    }

    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
