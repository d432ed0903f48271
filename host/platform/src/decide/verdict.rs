//! The answers of a decision: what is to be done, or why nothing is.

use super::compare::Comparison;
use crate::resource::{
    build::{Change, Inputs, Mode},
    policy::Automatic,
};

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// What is to be done.
    pub verdict: Verdict,
    /// What was compared with which build; empty where nothing could be.
    pub comparisons: Vec<Comparison>,
    /// The number of the build that was compared with.
    pub compared_with: Option<u64>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// A build is to start, or the image is put on another base.
    Start(Box<Start>),
    /// Nothing: the image is what it should be.
    UpToDate {
        /// Since which build.
        build: u64,
    },
    /// Nothing yet: one is running.
    Running {
        /// Which.
        build: u64,
    },
    /// Something would be to do, and is not done.
    Held(Held),
    /// It cannot be told yet.
    Unknown(Unknown),
}

/// A build that is to start.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// Its number: no build of this image had it.
    pub number: u64,
    /// Whether buildpacks run.
    pub mode: Mode,
    /// Why; at least one.
    pub changes: Vec<Change>,
    /// Whether it goes before others.
    pub priority: Priority,
    /// Which attempt with these inputs it is, counted from 1.
    pub attempt: u32,
    /// The last build that succeeded: its layers are the cache, and a rebase puts its image on another base.
    pub based_on: Option<u64>,
    /// What it is made from.
    pub inputs: Inputs,
    /// How often somebody had asked for a build by now.
    pub triggers: u64,
    /// Why buildpacks run although the stack changed, where it did.
    pub no_rebase: Option<String>,
}

/// Which goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// What operators changed.
    Low,
    /// What the image's owner waits for.
    High,
}

impl Priority {
    /// The highest of the reasons'.
    pub fn of(changes: &[Change]) -> Self {
        if changes.iter().all(|change| change.reason.is_operators()) { Self::Low } else { Self::High }
    }
}

/// Something that is not done, although it would be to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// What.
    pub changes: Vec<Change>,
    /// Why not.
    pub why: Why,
    /// When it is asked again at the latest, where that is known.
    pub until: Option<u64>,
}

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The image is locked to what the builder was at a build.
    Locked {
        /// Which.
        build: u64,
    },
    /// The image was turned back, and its source has not changed since.
    RolledBack {
        /// To which build.
        to: u64,
    },
    /// The image takes no such updates by itself.
    Policy(Automatic),
    /// It is not the time for updates.
    Window,
    /// The stack is another one, a build would be needed, and that would take updates that the image does not take.
    NeedsBuild,
    /// The same has failed.
    FailedBefore {
        /// In which build.
        build: u64,
    },
    /// Somebody stopped the same.
    Cancelled {
        /// Which build.
        build: u64,
    },
    /// It failed by chance, and is tried again in a while.
    Pause {
        /// The build that failed.
        build: u64,
        /// Which attempt that was.
        attempt: u32,
    },
    /// It failed by chance too often.
    GaveUp {
        /// The build that failed last.
        build: u64,
        /// How often it was tried.
        attempts: u32,
    },
}

/// Why it cannot be told yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    /// There is no such builder.
    BuilderNotFound,
    /// The builder cannot be used.
    BuilderNotReady(String),
    /// The source was not found.
    SourceNotReady(String),
}
