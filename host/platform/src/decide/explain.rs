//! Decisions in words: one sentence for a reason, and the whole of a decision with both values of every comparison.
//!
//! Names, messages and values are others': what could steer a terminal is written out, and long ones are cut.

use std::fmt::Write as _;

use serde_json::Value;
use stave_model::time;

use super::{
    Decision, Held, Start, Unknown, Verdict, Why,
    compare::{Compared, Comparison},
};
use crate::resource::{
    build::{Change, Mode, Reason, joined},
    image::Image,
    plain,
    policy::Automatic,
};

/// Most characters of a value in a line.
const MAX_VALUE: usize = 200;

/// A value in a line.
fn value(value: &Value) -> String {
    let text = match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "nothing".to_owned(),
        Value::Array(items) => items.iter().map(item).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    plain(&text, MAX_VALUE)
}

/// An entry of a list: a text, or a buildpack.
fn item(item: &Value) -> String {
    let part = |key: &str| item.get(key).and_then(Value::as_str);
    match (item, part("id"), part("version"), part("digest")) {
        (Value::String(text), ..) => text.clone(),
        (_, Some(id), Some(version), None) => format!("{id}@{version}"),
        (_, Some(id), Some(version), Some(digest)) => format!("{id}@{version} ({digest})"),
        _ => item.to_string(),
    }
}

/// A reason as a clause.
pub fn sentence(change: &Change) -> String {
    let (old, new) = (value(&change.old), value(&change.new));
    match change.reason {
        Reason::Trigger => new,
        Reason::Commit => format!("the source moved from commit {old} to {new}"),
        Reason::Config if change.old["source"].as_object().is_some_and(serde_json::Map::is_empty) => {
            "there is no build yet".to_owned()
        }
        Reason::Config => format!("the image's settings changed: {}", differing_keys(&change.old, &change.new)),
        Reason::Buildpack if change.new.as_array().is_none_or(Vec::is_empty) => {
            format!("the builder no longer has {old}")
        }
        Reason::Buildpack if change.old.as_array().is_none_or(Vec::is_empty) => format!("the builder now has {new}"),
        Reason::Buildpack => format!("the builder has {new}, and had {old}"),
        Reason::Stack => format!("the run image changed from {old} to {new}"),
        Reason::Lifecycle => format!("the lifecycle changed from {old} to {new}"),
        Reason::Rollback => format!("the image was turned back from {old} to {new}"),
    }
}

fn differing_keys(old: &Value, new: &Value) -> String {
    let keys = ["source", "env", "resources", "services"];
    let differing: Vec<&str> = keys.into_iter().filter(|key| old.get(key) != new.get(key)).collect();
    differing.join(", ")
}

fn sentences(changes: &[Change]) -> String {
    changes.iter().map(sentence).collect::<Vec<_>>().join("; ")
}

impl Decision {
    /// The verdict in one line.
    pub fn line(&self) -> String {
        match &self.verdict {
            Verdict::Start(start) => due(start),
            Verdict::UpToDate { build } => format!("up to date since build {build}"),
            Verdict::Running { build } => {
                let waiting: Vec<Change> = self.comparisons.iter().filter_map(Comparison::change).collect();
                match waiting[..] {
                    [] => format!("build {build} is running"),
                    _ => format!("build {build} is running, and what came since waits for it: {}", sentences(&waiting)),
                }
            }
            Verdict::Held(held) => held.line(),
            Verdict::Unknown(unknown) => format!("cannot be told yet: {}", unknown.message()),
        }
    }
}

fn due(start: &Start) -> String {
    let how = match start.mode {
        Mode::Rebase => "a rebase",
        Mode::Build | Mode::Rollback => "a build",
    };
    let attempt = if start.attempt > 1 { format!(", attempt {}", start.attempt) } else { String::new() };
    let no_rebase = start.no_rebase.as_ref();
    let why = no_rebase.map(|why| format!("; it is not put on another base only, because {why}")).unwrap_or_default();
    let why = plain(&why, 2 * MAX_VALUE);
    format!(
        "{how} is due, number {}{attempt} ({}): {}{why}",
        start.number,
        joined(&start.changes),
        sentences(&start.changes)
    )
}

impl Held {
    /// What is not done, and why, as a line.
    pub fn line(&self) -> String {
        let what = if self.changes.is_empty() { String::new() } else { format!(": {}", sentences(&self.changes)) };
        let until = self.until.map(|at| format!(" until {}", time::rfc3339(at))).unwrap_or_default();
        let why = match &self.why {
            Why::Locked { build } => format!("not updated, because it is locked to the builder of build {build}"),
            Why::RolledBack { to } => {
                format!(
                    "not built, because it was turned back to build {to}, and its source and settings are the same since"
                )
            }
            Why::Policy(Automatic::None) => "not updated, because its policy takes no updates".to_owned(),
            Why::Policy(_) => "not updated, because its policy takes new run images only".to_owned(),
            Why::Window => format!("not updated{until}, because its policy takes updates at other times"),
            Why::NeedsBuild => {
                "not updated, because its policy takes new run images only, and this one would need a build".to_owned()
            }
            Why::FailedBefore { build } => format!("not built, because the same failed in build {build}"),
            Why::Cancelled { build } => format!("not built, because the same was stopped in build {build}"),
            Why::Pause { build, attempt } => {
                format!("not built{until}, because attempt {attempt} failed by chance in build {build}")
            }
            Why::GaveUp { build, attempts } => {
                format!("not built, because it failed by chance {attempts} times, last in build {build}")
            }
        };
        format!("{why}{what}")
    }
}

impl Unknown {
    /// What is missing.
    pub fn message(&self) -> String {
        match self {
            Self::BuilderNotFound => "there is no such builder".to_owned(),
            Self::BuilderNotReady(message) => format!("the builder is not ready: {}", plain(message, MAX_VALUE)),
            Self::SourceNotReady(message) => format!("the source is not ready: {}", plain(message, MAX_VALUE)),
        }
    }
}

/// The whole of a decision: the verdict, and every comparison with both values.
pub fn explain(image: &Image, decision: &Decision) -> String {
    let mut text = format!("{}: {}\n", image.key(), decision.line());
    let with = decision.compared_with.map(|build| format!("compared with build {build}")).unwrap_or_default();
    if !decision.comparisons.is_empty() && !with.is_empty() {
        let _ = writeln!(text, "  {with}");
    }
    for comparison in &decision.comparisons {
        let (word, detail) = match comparison.result {
            Compared::Skipped(why) => ("skipped", why.to_owned()),
            Compared::Same if comparison.reason == Reason::Trigger => ("same", "nobody asked for a build".to_owned()),
            Compared::Same => ("same", value(&comparison.new)),
            Compared::Differs => ("differs", format!("{} → {}", value(&comparison.old), value(&comparison.new))),
        };
        let _ = writeln!(text, "  {:<9}  {word:<7}  {detail}", comparison.reason);
    }
    text
}
