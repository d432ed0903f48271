//! How the image is started, labelled and cut into layers, as buildpacks say it, and how what they say becomes one
//! (buildpack spec, `launch.toml`; platform spec, "launch"). What the launcher reads is in [`metadata`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::{BuildpackId, ProcessType};

pub mod metadata;

/// Most processes of an image.
pub const MAX_PROCESSES: usize = 100;
/// Most entries of a command and its arguments together.
pub const MAX_WORDS: usize = 512;
/// Most bytes of a command and its arguments together.
pub const MAX_COMMAND: usize = 64 * 1024;
/// Most labels of an image that come from buildpacks.
pub const MAX_LABELS: usize = 200;
/// Longest label key, in bytes.
pub const MAX_LABEL_KEY: usize = 256;
/// Longest label value, in bytes.
pub const MAX_LABEL_VALUE: usize = 64 * 1024;
/// Most slices of an app; each is a layer, and runtimes stop at 127.
pub const MAX_SLICES: usize = 32;
/// Most patterns of one slice.
pub const MAX_SLICE_PATHS: usize = 10_000;
/// Most execution environments that a process names.
pub const MAX_EXEC_ENVS: usize = 32;
/// The execution environment of an image where nothing is said.
pub const DEFAULT_EXEC_ENV: &str = "production";
/// Longest path or pattern, in bytes.
pub const MAX_PATH: usize = 4096;

/// One way to start the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its type, such as `web`.
    pub kind: ProcessType,
    /// The program and the arguments that always go with it; never empty.
    pub command: Vec<String>,
    /// The arguments that a user's own replace.
    pub args: Vec<String>,
    /// Whether it starts without a shell; always so for buildpacks of the contract. Other images have processes that a
    /// shell reads.
    pub direct: bool,
    /// Whether its buildpack wants it as the default.
    pub default: bool,
    /// Where it starts, relative to the app's folder; there if none.
    pub working_directory: Option<String>,
    /// The execution environments that have it (platform API 0.15); see [`Process::is_in`].
    pub exec_env: Vec<String>,
    /// The buildpack that contributed it.
    pub buildpack: BuildpackId,
}

/// A label of the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// Files of the app that share a layer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// Patterns in the manner of Go's `filepath.Match`, relative to the app's folder.
    pub paths: Vec<String>,
}

/// What one buildpack says about launch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// Processes, at most one of them the default.
    pub processes: Vec<Process>,
    /// Labels.
    pub labels: Vec<Label>,
    /// Slices, in order.
    pub slices: Vec<Slice>,
}

/// Something about launch that no image can carry or that no launcher could start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLaunch {
    /// Too many of something.
    #[error("{count} {what} are wanted; at most {limit} are taken")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A process that could not be started.
    #[error("the process `{kind}` {rule}")]
    Process {
        /// Its type.
        kind: ProcessType,
        /// What is wrong.
        rule: &'static str,
    },
    /// Two defaults in one buildpack.
    #[error("`{first}` and `{second}` both want to be the default process")]
    TwoDefaults {
        /// The one that came first.
        first: ProcessType,
        /// The other.
        second: ProcessType,
    },
    /// A label with a key or a value that is not taken.
    #[error("the label `{}` {rule}", shown(key))]
    Label {
        /// Its key.
        key: String,
        /// What is wrong.
        rule: &'static str,
    },
    /// A slice's pattern that is not taken.
    #[error("the slice pattern `{}` {rule}", shown(pattern))]
    Slice {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        rule: &'static str,
    },
}

/// Text from outside, fit for a message.
fn shown(text: &str) -> String {
    text.chars().take(100).collect::<String>().escape_debug().to_string()
}

/// Fails when there are more than `limit`.
fn cap(what: &'static str, count: usize, limit: usize) -> Result<(), InvalidLaunch> {
    if count > limit { Err(InvalidLaunch::TooMany { what, count, limit }) } else { Ok(()) }
}

impl Process {
    /// Whether the execution environment has it: every one does where none is named, or `*`.
    pub fn is_in(&self, exec_env: &str) -> bool {
        self.exec_env.is_empty() || self.exec_env.iter().any(|name| name == "*" || name == exec_env)
    }

    /// Whether it can be started and shown. Scripts as arguments, and as the command that a shell reads, may have lines and
    /// tabs; nothing else that is a control character gets through, and the program's name has none.
    pub fn check(&self) -> Result<(), InvalidLaunch> {
        let words = || self.command.iter().chain(&self.args);
        let bytes: usize = words().map(|word| word.len() + 1).sum();
        let rule = if self.command.first().is_none_or(String::is_empty) {
            "has no command"
        } else if words().count() > MAX_WORDS || bytes > MAX_COMMAND {
            "has too long a command: at most 512 words and 64 KiB are taken"
        } else if self.direct && self.command[0].chars().any(char::is_control)
            || words().any(|word| word.chars().any(|c| c.is_control() && c != '\n' && c != '\t'))
        {
            "has control characters in its command"
        } else if self.working_directory.as_deref().is_some_and(|path| !is_path(path)) {
            "has a working directory that is empty, too long or holds control characters"
        } else if self.exec_env.len() > MAX_EXEC_ENVS || !self.exec_env.iter().all(|name| is_exec_env(name)) {
            "names execution environments that are none: at most 32 are taken, of visible ASCII without `/`, each of at most 64 bytes"
        } else {
            return Ok(());
        };
        Err(InvalidLaunch::Process { kind: self.kind.clone(), rule })
    }
}

/// A name without `/`, or `*`.
fn is_exec_env(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/')
}

/// Not empty, not too long, nothing unprintable.
fn is_path(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_PATH && !text.chars().any(char::is_control)
}

impl Label {
    /// Whether an image may carry it. `io.buildpacks.…` is what tools read to rebase and to inspect: a buildpack that
    /// wrote there could make an image lie about itself, so it may not, although the specification would let it.
    pub fn check(&self) -> Result<(), InvalidLaunch> {
        let rule = if self.key.is_empty() || self.key.len() > MAX_LABEL_KEY {
            "has a key that is empty or longer than 256 bytes"
        } else if !self.key.bytes().all(|b| b.is_ascii_graphic()) {
            "has a key with other characters than printable ASCII"
        } else if self.key.starts_with("io.buildpacks.") {
            "has a key that belongs to the platform"
        } else if self.value.len() > MAX_LABEL_VALUE {
            "has a value longer than 64 KiB"
        } else {
            return Ok(());
        };
        Err(InvalidLaunch::Label { key: self.key.clone(), rule })
    }
}

impl Slice {
    /// Whether its patterns stay inside the app.
    pub fn check(&self) -> Result<(), InvalidLaunch> {
        cap("patterns of one slice", self.paths.len(), MAX_SLICE_PATHS)?;
        for pattern in &self.paths {
            let rule = if !is_path(pattern) {
                "is empty, too long or holds control characters"
            } else if pattern.starts_with('/') || pattern.split('/').any(|part| part == "..") {
                "leads outside the app"
            } else {
                continue;
            };
            return Err(InvalidLaunch::Slice { pattern: pattern.clone(), rule });
        }
        Ok(())
    }
}

impl Launch {
    /// Whether this can be taken as it is, before anything else is known.
    pub fn check(&self) -> Result<(), InvalidLaunch> {
        cap("processes", self.processes.len(), MAX_PROCESSES)?;
        cap("labels", self.labels.len(), MAX_LABELS)?;
        cap("slices", self.slices.len(), MAX_SLICES)?;
        let mut kinds = BTreeSet::new();
        let mut default: Option<&ProcessType> = None;
        for process in &self.processes {
            process.check()?;
            if !kinds.insert(&process.kind) {
                return Err(InvalidLaunch::Process { kind: process.kind.clone(), rule: "is defined twice" });
            }
            if process.default
                && let Some(first) = default.replace(&process.kind)
            {
                return Err(InvalidLaunch::TwoDefaults { first: first.clone(), second: process.kind.clone() });
            }
        }
        self.labels.iter().try_for_each(Label::check)?;
        self.slices.iter().try_for_each(Slice::check)
    }
}

/// What all buildpacks together say about launch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aggregate {
    /// One process a type, sorted by type.
    pub processes: Vec<Process>,
    /// The type that starts when none is named, if one is left.
    pub default: Option<ProcessType>,
    /// One label a key, sorted by key.
    pub labels: Vec<Label>,
    /// All slices, in order.
    pub slices: Vec<Slice>,
}

/// A default process that is none any more, because a later buildpack took its type without wanting it as the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultCleared {
    /// The type.
    pub kind: ProcessType,
    /// The buildpack that redefined it.
    pub by: BuildpackId,
}

impl std::fmt::Display for DefaultCleared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} redefines the process `{}`, which is therefore no longer the default", self.by, self.kind)
    }
}

/// Joins what each buildpack says, in the order of the group (platform spec, "build"): a later process replaces an
/// earlier one of its type; the last that wants to be the default is; labels and slices are collected, and of two
/// labels with one key the later counts.
pub fn aggregate(all: &[Launch]) -> Result<(Aggregate, Vec<DefaultCleared>), InvalidLaunch> {
    let mut processes: BTreeMap<&ProcessType, &Process> = BTreeMap::new();
    let mut labels: BTreeMap<&str, &Label> = BTreeMap::new();
    let mut default: Option<&ProcessType> = None;
    let mut cleared = Vec::new();
    for launch in all {
        launch.check()?;
        let mut wanted = None;
        for process in &launch.processes {
            if process.default {
                wanted = Some(&process.kind);
            } else if default == Some(&process.kind) {
                default = None;
                cleared.push(DefaultCleared { kind: process.kind.clone(), by: process.buildpack.clone() });
            }
            processes.insert(&process.kind, process);
        }
        default = wanted.or(default);
        labels.extend(launch.labels.iter().map(|label| (label.key.as_str(), label)));
    }
    let aggregate = Aggregate {
        processes: processes.into_values().cloned().collect(),
        default: default.cloned(),
        labels: labels.into_values().cloned().collect(),
        slices: all.iter().flat_map(|launch| &launch.slices).cloned().collect(),
    };
    cap("processes", aggregate.processes.len(), MAX_PROCESSES)?;
    cap("labels", aggregate.labels.len(), MAX_LABELS)?;
    cap("slices", aggregate.slices.len(), MAX_SLICES)?;
    Ok((aggregate, cleared))
}

#[cfg(test)]
mod tests;
