//! `<layers>/config/metadata.toml`, by which the build tells the launcher what it made, and the same as a label of the
//! image, `io.buildpacks.build.metadata`, by which it tells everybody else (platform spec).

use std::{fmt, str::FromStr};

use serde::{
    Deserialize, Serialize,
    de::{SeqAccess, Visitor},
};

use super::{Aggregate, InvalidLaunch, Label, MAX_PROCESSES, Process, Slice, cap};
use crate::id::{BuildpackId, ProcessType};

/// Longest `metadata.toml` that is written and read, in bytes. The limits of [`super`] on single things would let all of
/// them together be longer; no registry takes an image configuration of that size.
pub const MAX_METADATA: usize = 4 * 1024 * 1024;
/// Most buildpacks of a group.
pub const MAX_BUILDPACKS: usize = 200;

/// The version of a contract, `major.minor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Api {
    /// Major.
    pub major: u16,
    /// Minor.
    pub minor: u16,
}

/// A text that is not the version of a contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not an API version: expected major.minor, such as 0.14", .0.escape_debug())]
pub struct InvalidApi(String);

impl FromStr for Api {
    type Err = InvalidApi;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten();
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        match (number(major), number(minor)) {
            (Some(major), Some(minor)) => Ok(Self { major, minor }),
            _ => Err(InvalidApi(text.chars().take(50).collect())),
        }
    }
}

impl TryFrom<String> for Api {
    type Error = InvalidApi;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Api> for String {
    fn from(api: Api) -> Self {
        api.to_string()
    }
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A buildpack that took part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participant {
    /// Its id.
    pub id: BuildpackId,
    /// Its version; text, because not every buildpack's is a semantic one.
    #[serde(default)]
    pub version: String,
    /// The buildpack API whose rules its processes follow.
    #[serde(default = "unsaid_api")]
    pub api: Api,
    /// Where to read about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
}

/// The buildpack API of a buildpack that says none (the lifecycle's rule).
fn unsaid_api() -> Api {
    Api { major: 0, minor: 2 }
}

/// What the launcher reads: the buildpacks in the order of their group, and everything about launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The buildpacks that took part, in order.
    pub buildpacks: Vec<Participant>,
    /// What they said together.
    pub launch: Aggregate,
}

/// A `metadata.toml` that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum InvalidMetadata {
    /// Longer than [`MAX_METADATA`].
    #[error("the launch metadata are {0} bytes long; at most {MAX_METADATA} are taken")]
    TooLong(usize),
    /// Not TOML, or not of this shape. The parser's message without its excerpt of the text.
    #[error("line {line} of the launch metadata is not understood: {message}")]
    NotUnderstood {
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// Understood, and wrong.
    #[error("the launch metadata cannot be followed")]
    Wrong(#[source] InvalidLaunch),
    /// Could not be written as TOML.
    #[error("could not write the launch metadata")]
    Unwritable(#[source] toml::ser::Error),
}

impl Metadata {
    /// Reads `metadata.toml`. Keys that are not known are ignored, as every reader of this file does.
    pub fn from_toml(text: &str) -> Result<Self, InvalidMetadata> {
        if text.len() > MAX_METADATA {
            return Err(InvalidMetadata::TooLong(text.len()));
        }
        let file: MetadataFile = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let message = error.message().chars().take(300).collect::<String>().escape_debug().to_string();
            InvalidMetadata::NotUnderstood { line: before.matches('\n').count() + 1, message }
        })?;
        let MetadataFile { default, buildpacks, labels, processes, slices } = file;
        cap("processes", processes.len(), MAX_PROCESSES).map_err(InvalidMetadata::Wrong)?;
        cap("buildpacks", buildpacks.len(), MAX_BUILDPACKS).map_err(InvalidMetadata::Wrong)?;
        let processes: Vec<Process> = processes.into_iter().map(Process::from).collect();
        processes.iter().try_for_each(Process::check).map_err(InvalidMetadata::Wrong)?;
        Ok(Self { buildpacks, launch: Aggregate { processes, default, labels, slices } })
    }

    /// Writes `metadata.toml`; equal metadata give equal bytes.
    pub fn to_toml(&self) -> Result<String, InvalidMetadata> {
        let text = toml::to_string(&MetadataFile {
            default: self.launch.default.clone(),
            buildpacks: self.buildpacks.clone(),
            labels: self.launch.labels.clone(),
            processes: self.launch.processes.iter().cloned().map(ProcessEntry::from).collect(),
            slices: self.launch.slices.clone(),
        })
        .map_err(InvalidMetadata::Unwritable)?;
        if text.len() > MAX_METADATA { Err(InvalidMetadata::TooLong(text.len())) } else { Ok(text) }
    }
}

/// The file as it stands.
#[derive(Serialize, Deserialize)]
struct MetadataFile {
    #[serde(rename = "buildpack-default-process-type", default, skip_serializing_if = "Option::is_none")]
    default: Option<ProcessType>,
    #[serde(default)]
    buildpacks: Vec<Participant>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    labels: Vec<Label>,
    #[serde(default)]
    processes: Vec<ProcessEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    slices: Vec<Slice>,
}

/// A process as it stands in the file. Whether it was the default is said once, at the top.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ProcessEntry {
    r#type: ProcessType,
    #[serde(deserialize_with = "one_or_more")]
    command: Vec<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    direct: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    working_dir: Option<String>,
    buildpack_id: BuildpackId,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exec_env: Vec<String>,
}

impl From<Process> for ProcessEntry {
    fn from(process: Process) -> Self {
        Self {
            r#type: process.kind,
            command: process.command,
            args: process.args,
            direct: process.direct,
            working_dir: process.working_directory,
            buildpack_id: process.buildpack,
            exec_env: process.exec_env,
        }
    }
}

impl From<ProcessEntry> for Process {
    fn from(entry: ProcessEntry) -> Self {
        Self {
            kind: entry.r#type,
            command: entry.command,
            args: entry.args,
            direct: entry.direct,
            default: false,
            working_directory: entry.working_dir.filter(|path| !path.is_empty()),
            exec_env: entry.exec_env,
            buildpack: entry.buildpack_id,
        }
    }
}

/// The label `io.buildpacks.build.metadata`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildMetadata {
    /// The processes, sorted by type.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub processes: Vec<LabelledProcess>,
    /// The buildpacks that took part, in order.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub buildpacks: Vec<LabelledBuildpack>,
    /// The type that starts when none is named.
    #[serde(rename = "buildpack-default-process-type", default, skip_serializing_if = "Option::is_none")]
    pub default: Option<ProcessType>,
    /// The launcher in the image.
    #[serde(default)]
    pub launcher: LabelledLauncher,
}

/// A process in the label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelledProcess {
    /// Its type.
    pub r#type: ProcessType,
    /// The program and its fixed arguments.
    #[serde(deserialize_with = "one_or_more")]
    pub command: Vec<String>,
    /// The arguments that a user's own replace.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub args: Vec<String>,
    /// Whether it starts without a shell.
    pub direct: bool,
    /// Where it starts.
    #[serde(rename = "working-dir", default, skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<String>,
    /// The buildpack that contributed it.
    #[serde(rename = "buildpackID")]
    pub buildpack: BuildpackId,
    /// The execution environments that have it; all, when empty.
    #[serde(rename = "exec-env", default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub exec_env: Vec<String>,
}

/// A buildpack in the label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelledBuildpack {
    /// Its id.
    pub id: BuildpackId,
    /// Its version; text, because not every buildpack's is a semantic one.
    pub version: String,
    /// Where to read about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
}

/// The launcher in the label.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelledLauncher {
    /// Its version.
    #[serde(default)]
    pub version: String,
}

/// Go writes an empty list as `null`.
fn null_is_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Before platform API 0.10 a command was one text.
fn one_or_more<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Command;

    impl<'de> Visitor<'de> for Command {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or a list of texts")
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(vec![text.to_owned()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some(text) = seq.next_element()? {
                all.push(text);
            }
            Ok(all)
        }
    }

    deserializer.deserialize_any(Command)
}

impl BuildMetadata {
    /// What the label says about `metadata` and the launcher of `launcher_version`.
    pub fn new(metadata: &Metadata, launcher_version: &str) -> Self {
        let process = |process: &Process| LabelledProcess {
            r#type: process.kind.clone(),
            command: process.command.clone(),
            args: process.args.clone(),
            direct: process.direct,
            working_directory: process.working_directory.clone(),
            buildpack: process.buildpack.clone(),
            exec_env: process.exec_env.clone(),
        };
        let buildpack = |buildpack: &Participant| LabelledBuildpack {
            id: buildpack.id.clone(),
            version: buildpack.version.clone(),
            homepage: buildpack.homepage.clone(),
        };
        Self {
            processes: metadata.launch.processes.iter().map(process).collect(),
            buildpacks: metadata.buildpacks.iter().map(buildpack).collect(),
            default: metadata.launch.default.clone(),
            launcher: LabelledLauncher { version: launcher_version.to_owned() },
        }
    }
}

#[cfg(test)]
mod tests;
