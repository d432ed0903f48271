//! What people see of an image at a glance: conditions, with kpack's types and reasons.

use serde::Serialize;

use super::{BuilderState, Decision, Question, Unknown, Verdict};
use crate::resource::{
    build::{Build, Outcome},
    plain,
};

/// Most characters of a message that a build left.
const MAX_MESSAGE: usize = 800;

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// Which: `Ready`, `BuilderReady`, `BuilderUpToDate`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Whether it holds.
    pub status: Status,
    /// Why, in a word.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub reason: &'static str,
    /// Why, in a sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "they say it themselves")]
pub enum Status {
    True,
    False,
    Unknown,
}

impl Status {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// The conditions of an image: `Ready` first.
pub fn conditions(question: &Question<'_>, decision: &Decision) -> Vec<Condition> {
    let mut conditions = vec![ready(question, decision)];
    let mut add = |kind, status, reason, message: &str| {
        conditions.push(Condition { kind, status, reason, message: plain(message, MAX_MESSAGE) });
    };
    match question.builder {
        BuilderState::Ready { behind, .. } => {
            add("BuilderReady", Status::True, "BuilderReady", "");
            match behind {
                None => add("BuilderUpToDate", Status::True, "", ""),
                Some(why) => {
                    let message = format!("the newest stack and buildpacks may not be in use: {why}");
                    add("BuilderUpToDate", Status::False, "ReconcileFailed", &message);
                }
            }
        }
        BuilderState::Missing => add("BuilderReady", Status::False, "BuilderNotFound", ""),
        BuilderState::NotReady(message) => add("BuilderReady", Status::False, "BuilderNotReady", message),
        BuilderState::Stale => add("BuilderReady", Status::Unknown, "BuilderNotReady", "it was changed"),
    }
    conditions
}

fn ready(question: &Question<'_>, decision: &Decision) -> Condition {
    let condition = |status, reason, message| Condition { kind: "Ready", status, reason, message };
    match &decision.verdict {
        Verdict::UpToDate { .. } => condition(Status::True, "UpToDate", String::new()),
        Verdict::Running { .. } | Verdict::Start(_) => condition(Status::Unknown, "BuildRunning", decision.line()),
        Verdict::Unknown(unknown) => match unknown {
            Unknown::BuilderNotFound => {
                let message = format!("there is no {}", question.image.spec.builder);
                condition(Status::False, "BuilderNotFound", message)
            }
            Unknown::BuilderNotReady(_) => condition(Status::False, "BuilderNotReady", unknown.message()),
            Unknown::SourceNotReady(_) => condition(Status::Unknown, "ResolverNotReady", unknown.message()),
        },
        // What is held is no fault of the image, unless its last build was.
        Verdict::Held(held) => match last(question.builds) {
            Some(build) if build.made().is_none() => {
                condition(Status::False, "BuildFailed", format!("{}; {}", failure(build), held.line()))
            }
            _ => condition(Status::True, "UpToDate", held.line()),
        },
    }
}

/// The last build that came to an end.
fn last(builds: &[Build]) -> Option<&Build> {
    builds.iter().rev().find(|build| !build.is_running() && build.outcome != Outcome::Superseded)
}

fn failure(build: &Build) -> String {
    let Some(failure) = build.failure() else { return format!("build {} was stopped", build.number) };
    let line = failure.last_line.as_ref().map(|line| format!(" (its last line: {})", plain(line, MAX_MESSAGE)));
    let message = plain(&failure.message, MAX_MESSAGE);
    format!("build {} failed: {message}{}", build.number, line.unwrap_or_default())
}
