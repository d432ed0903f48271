//! Facts for people: what happens, as values. How they look is for whoever shows them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use stave_model::id::{BuildpackId, LayerName};

use super::recall::Recall;

/// A phase of the lifecycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The source is indexed, the base resolved.
    Analyze,
    /// Buildpacks look at the app.
    Detect,
    /// Buildpacks do their work.
    Build,
    /// Layers and image are written.
    Export,
}

/// How important a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// For those who ask for more.
    Debug,
    /// For everybody.
    Info,
    /// Something may be wrong.
    Warning,
    /// Something is wrong.
    Error,
}

/// Something that happened. Texts of buildpacks come as they are: whoever shows them makes control characters visible.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A phase begins.
    Phase(Phase),
    /// The host has something to say.
    Note(Level, String),
    /// A buildpack has something to say.
    Message {
        /// Who.
        buildpack: BuildpackId,
        /// How important.
        level: Level,
        /// One or more lines.
        text: String,
    },
    /// A buildpack begins a step of its work.
    Step {
        /// Who.
        buildpack: BuildpackId,
        /// What.
        title: String,
    },
    /// A buildpack takes part (`Ok`) or says why not.
    Detected {
        /// Who, as id@version.
        buildpack: String,
        /// Passed, or the reason it did not.
        verdict: Result<(), String>,
    },
    /// A buildpack is about to answer: from memory, or by running. What it says follows.
    Recalled {
        /// Who, as id@version.
        buildpack: String,
        /// Whether it looks at the app or builds.
        phase: Phase,
        /// Whether it runs, and why.
        recall: Recall,
    },
    /// A group was chosen: its members, as id@version.
    Chosen(Vec<String>),
    /// A buildpack begins to build.
    Building {
        /// Who, as id@version.
        buildpack: String,
    },
    /// A buildpack has built.
    Built {
        /// Who, as id@version.
        buildpack: String,
        /// How long it took.
        took: Duration,
    },
    /// Long work goes on. `done` of `total` bytes; the same `what` comes again and again.
    Progress {
        /// What is being done, such as `fetch jre 21.0.8`.
        what: String,
        /// Bytes so far.
        done: u64,
        /// Bytes in all, if known.
        total: Option<u64>,
    },
    /// Long work is done.
    ProgressEnd {
        /// What was being done.
        what: String,
    },
    /// A layer is ready.
    Layer {
        /// What it holds, such as `stave/java:jre` or `app slice 1`.
        what: String,
        /// Whether it was made now, or why it did not have to be.
        how: Made,
        /// Bytes as stored.
        size: u64,
    },
    /// A layer of a buildpack is left out of the image.
    LeftOut {
        /// Whose.
        buildpack: BuildpackId,
        /// Which.
        layer: LayerName,
        /// Why.
        reason: String,
    },
    /// The image went somewhere.
    Exported {
        /// Where to, in words.
        to: String,
        /// The manifest's digest.
        digest: String,
    },
}

/// How a layer came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// Written now.
    Written,
    /// The same description was met before: its blob is kept.
    Kept,
    /// Its buildpack keeps the previous build's as it is.
    Reused,
}

/// Takes in what happens. Called from several threads.
pub trait Observer: Send + Sync {
    /// Takes in one event; quick, and never fails.
    fn observe(&self, event: Event);
}

/// Looks away.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn observe(&self, _event: Event) {}
}
