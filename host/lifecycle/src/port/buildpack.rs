//! A buildpack that can be run: behind it is a component in a sandbox, or in tests a few lines of Rust.

use std::{collections::BTreeMap, error::Error, sync::Arc};

use serde::{Deserialize, Serialize};
use stave_model::{
    capability::Capabilities,
    digest::Digest,
    launch::Launch,
    manifest::Manifest,
    plan::{Alternative, Requirement},
    policy::grants::Allowance,
};

use crate::workbench::Workbench;

/// A loaded, checked buildpack.
pub trait Buildpack: Send + Sync {
    /// Its manifest.
    fn manifest(&self) -> &Manifest;

    /// The component's digest.
    fn digest(&self) -> Digest;

    /// What it may do.
    fn grants(&self) -> &Capabilities;

    /// The same, with who withholds the rest.
    fn allowance(&self) -> Allowance {
        self.grants().into()
    }

    /// Asks whether it takes part.
    fn detect(&self, bench: &Arc<Workbench>) -> Result<Verdict, RunError>;

    /// Lets it do its work. `requirements` are the plan's entries that it provides.
    fn build(&self, bench: &Arc<Workbench>, requirements: &[Requirement]) -> Result<Report, RunError>;
}

/// What detect answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// It takes part in one of these ways.
    Pass(Vec<Alternative>),
    /// It does not, because ….
    Skip(String),
}

/// Prose of a buildpack in one line: line ends and control characters as escapes, quotes left as they are.
pub fn visible(text: &str) -> String {
    let pieces = text.split_inclusive(['"', '\'', '\\']).map(|piece| match piece.char_indices().next_back() {
        Some((at, quote @ ('"' | '\'' | '\\'))) => format!("{}{quote}", piece[..at].escape_debug()),
        _ => piece.escape_debug().to_string(),
    });
    pieces.collect()
}

/// What build answers, beside layers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// Processes, labels and slices of the image.
    pub launch: Launch,
    /// Requirements left to the next provider.
    pub unmet: Vec<String>,
    /// Notes for the next build.
    pub store: BTreeMap<String, String>,
}

/// Whose failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The app's.
    App,
    /// The buildpack's.
    Buildpack,
    /// The surroundings': network, disk, registry.
    Environment,
}

/// Why a buildpack gave up, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Whose it is.
    pub blame: Blame,
    /// One line.
    pub summary: String,
    /// More.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// The file of the app that it is about.
    pub file: Option<String>,
    /// The line in that file, from 1.
    pub line: Option<u32>,
}

/// Why a buildpack did not answer. Three families that are never mixed: it refused, the sandbox stopped it, the host failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It gave up and says why.
    #[error("{}", visible(&.0.summary))]
    Refused(Box<Failure>),
    /// It went over a limit or crashed.
    #[error("the sandbox stopped it: {reason}")]
    Stopped {
        /// What it did, such as `it ran for more than 5 seconds`.
        reason: String,
        /// What is known of the crash, for the buildpack's author.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// It answered with something that the contract does not allow.
    #[error("its answer breaks the contract: {0}")]
    BadAnswer(String),
    /// What it made holds a secret that it read, where others would find it. Nothing is made of it.
    #[error("it would give a secret away: {place} holds the value of {secret}, which {reader} could read")]
    Leak {
        /// Where the secret stands, such as ``the label `db` ``. Never the secret.
        place: String,
        /// What the secret is called.
        secret: String,
        /// Who would find it there.
        reader: &'static str,
    },
    /// Somebody asked to stop.
    #[error("stopped on request")]
    Cancelled,
    /// The host failed.
    #[error("the host failed while running it")]
    Host(#[source] Box<dyn Error + Send + Sync>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_stays_readable_and_harmless() {
        for (text, expected) in [
            ("", ""),
            ("there's no \"main\" in a\\b", "there's no \"main\" in a\\b"),
            ("two\nlines", "two\\nlines"),
            ("red \u{1b}[31m'", "red \\u{1b}[31m'"),
            ("\u{202e}gnp.exe", "\\u{202e}gnp.exe"),
            ("é — e\u{301}", "é — e\u{301}"),
        ] {
            assert_eq!(visible(text), expected);
        }
    }
}
