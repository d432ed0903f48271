//! What the platform needs of the world: somebody who remembers ([`Records`]), and somebody who looks and does ([`Outside`]).
//!
//! A transition is decided by pure functions and written down in one step before anything is done about it, so whoever takes
//! over after a crash finds either all of it or nothing.

pub mod records;

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
};

use stave_model::digest::Digest;

use crate::{
    plan::{Rules, world::StackState},
    queue::{Stop, Turn},
    resource::{
        build::{Build, Fault, Outcome},
        builder::{Builder, BuilderRevision},
        image::Image,
        package::Package,
        reference::Pinned,
        source::ResolvedSource,
        stack::{Stack, Store},
    },
};

pub use records::{Applied, Records};

/// An attempt that failed: what was attempted, whose fault it is, what a person could do, and the cause as `source`.
#[derive(Debug, thiserror::Error)]
#[error("{attempt}")]
pub struct Failed {
    /// Whose fault it is: what is transient is tried again.
    pub fault: Fault,
    /// What was attempted, on what: lower case, no full stop.
    pub attempt: String,
    /// What a person could do about it.
    pub hint: Option<String>,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failed {
    /// An attempt that failed without a further cause.
    pub fn new(fault: Fault, attempt: impl Into<String>) -> Self {
        Self { fault, attempt: attempt.into(), hint: None, source: None }
    }

    /// The same with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same with something a person could do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The attempt and its causes in one line.
    pub fn sentence(&self) -> String {
        let mut text = self.to_string();
        let mut next = self.source();
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}

/// A buildpack that a store or a resource of its own has, and where its component is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stocked {
    /// Which one.
    pub buildpack: crate::resource::builder::BuildpackVersion,
    /// The artefact that it is.
    pub image: Pinned,
    /// Its component's size, in bytes.
    pub size: u64,
}

/// A builder's artefact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artefact {
    /// Its digest.
    pub digest: Digest,
    /// Where it was put for others, where its builder says so.
    pub image: Option<Pinned>,
}

/// One build that is to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// The wish, as it was when the build began.
    pub image: Image,
    /// The record of it: number, mode, reasons, tags, inputs.
    pub build: Build,
    /// The last build before it that made an image.
    pub based_on: Option<Build>,
    /// How often somebody stopped in the middle of it: it is done again, under its own number.
    pub resumed: u32,
}

/// What came of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// An image, or why there is none.
    pub outcome: Outcome,
    /// The digest of its log, where one is kept.
    pub log: Option<Digest>,
}

/// Whether a build is to stop, and why. Copies are about the same build.
#[derive(Debug, Clone, Default)]
pub struct Stopper {
    why: Arc<AtomicU8>,
    flag: Arc<AtomicBool>,
}

impl Stopper {
    /// Asks the build to stop. The first reason counts, but that somebody said so counts more.
    pub fn stop(&self, why: Stop) {
        let code = match why {
            Stop::Superseded => 1,
            Stop::Cancelled => 2,
            Stop::TimedOut => 3,
            Stop::Needless => 4,
        };
        if code == 2 {
            self.why.store(code, Ordering::Relaxed);
        } else {
            let _ = self.why.compare_exchange(0, code, Ordering::Relaxed, Ordering::Relaxed);
        }
        self.flag.store(true, Ordering::Relaxed);
    }

    /// The flag that is set when it is to stop, for code that looks at nothing else.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }

    /// Why it is to stop, if it is.
    pub fn why(&self) -> Option<Stop> {
        match self.why.load(Ordering::Relaxed) {
            1 => Some(Stop::Superseded),
            2 => Some(Stop::Cancelled),
            3 => Some(Stop::TimedOut),
            4 => Some(Stop::Needless),
            _ => None,
        }
    }
}

/// Something that happened, for whoever watches.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A build begins.
    Began {
        /// Its record.
        build: Box<Build>,
        /// Why now.
        turn: Turn,
        /// How many wait after it.
        waiting: usize,
    },
    /// A build is over.
    Ended {
        /// Its record.
        build: Box<Build>,
    },
    /// A builder is another one.
    Made {
        /// Which one: `ClusterBuilder default`.
        builder: String,
        /// Its revision's number.
        number: u64,
    },
    /// Something could not be looked up, made or written down; it is tried again.
    Trouble {
        /// What: `ClusterStack default`, `the records`.
        what: String,
        /// Why not.
        why: String,
    },
}

/// Everything that looks at the world or changes it, but for the records.
pub trait Outside: Send + Sync {
    /// Where an image's source is now; `last` is where it was when somebody looked last.
    fn source(&self, image: &Image, last: Option<&ResolvedSource>) -> Result<ResolvedSource, Failed>;

    /// What a stack's names lead to now.
    fn stack(&self, stack: &Stack) -> Result<StackState, Failed>;

    /// What is in a store's sources now.
    fn store(&self, store: &Store) -> Result<Vec<Stocked>, Failed>;

    /// What is in a buildpack's artefact now.
    fn package(&self, package: &Package) -> Result<Stocked, Failed>;

    /// Makes a builder's artefact, revision `number`, and puts it where the builder says. `stock` is all that there is for it.
    fn builder(
        &self,
        builder: &Builder,
        number: u64,
        revision: &BuilderRevision,
        stock: &[Stocked],
    ) -> Result<Artefact, Failed>;

    /// Does a build to its end, and keeps its log. When `stop` says so it stops soon; what it answers then does not matter.
    fn build(&self, work: &Work, stop: &Stopper) -> Done;

    /// What rules hold by now: asked after every change of the records, for a setting may be among them. None where nobody has
    /// others than those of the beginning.
    fn rules(&self) -> Option<Rules> {
        None
    }

    /// Seconds since 1970.
    fn now(&self) -> u64;

    /// Tells whoever watches.
    fn tell(&self, event: Event);
}
