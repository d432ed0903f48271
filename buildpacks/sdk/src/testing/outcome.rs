//! What a buildpack did, to be looked at by a test.

use std::{collections::BTreeMap, fmt};

use stave_archive::tree::{Node, Tree, TreePath};
use stave_lifecycle::{
    build::BuildError,
    port::{buildpack::RunError, cancel::Cancel},
    workbench::DraftLayer,
};
use stave_model::{
    env::{self, EnvChange, Phase, Variables},
    id::ProcessType,
};

use super::convert;
use crate::{Blame, Failure, Report, Verdict, layers::Usage, log::Level};

/// Why a buildpack did not answer: the families of failure of the real host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// It gave up, and says why.
    Failed(Failure),
    /// It would have been stopped: it panicked. What it did, with the place in its source.
    Stopped(String),
    /// It answered with something that the contract does not allow, or would give a secret away.
    BadAnswer(String),
    /// The host failed.
    Host(String),
}

impl NoAnswer {
    pub(super) fn of(error: RunError) -> Self {
        match error {
            RunError::Refused(failure) => Self::Failed(convert::failure(*failure)),
            RunError::Stopped { reason, .. } => Self::Stopped(reason),
            RunError::BadAnswer(reason) => Self::BadAnswer(reason),
            leak @ RunError::Leak { .. } => Self::BadAnswer(leak.to_string()),
            error @ (RunError::Cancelled | RunError::Host(_)) => Self::Host(error.to_string()),
        }
    }

    pub(super) fn of_build(error: BuildError) -> Self {
        match error {
            BuildError::Buildpack { source, .. } => Self::of(source),
            unmet @ BuildError::Unmet { .. } => Self::BadAnswer(unmet.to_string()),
            other => Self::Host(other.to_string()),
        }
    }
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => {
                let whose = match failure.blame {
                    Blame::App => "app",
                    Blame::Buildpack => "buildpack",
                    Blame::Environment => "environment",
                };
                write!(f, "failed ({whose}): {}", failure.summary)?;
                let line = failure.line.map(|line| line.to_string());
                let more =
                    [("detail", &failure.detail), ("hint", &failure.hint), ("file", &failure.file), ("line", &line)];
                more.into_iter().try_for_each(|(what, text)| match text {
                    Some(text) => write!(f, "\n  {what}: {text}"),
                    None => Ok(()),
                })
            }
            Self::Stopped(reason) => write!(f, "stopped: {reason}"),
            Self::BadAnswer(reason) => write!(f, "answered what the contract does not allow: {reason}"),
            Self::Host(reason) => write!(f, "the host failed: {reason}"),
        }
    }
}

/// Something that a buildpack said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A step of the work begins.
    Step(String),
    /// A message.
    Said(Level, String),
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(title) => write!(f, "step: {title}"),
            Self::Said(Level::Debug, text) => write!(f, "debug: {text}"),
            Self::Said(Level::Info, text) => write!(f, "info: {text}"),
            Self::Said(Level::Warning, text) => write!(f, "warning: {text}"),
            Self::Said(Level::Error, text) => write!(f, "error: {text}"),
        }
    }
}

/// What detect did. As text it is all of this, in lines, for a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detected {
    /// What it answered.
    pub answer: Result<Verdict, NoAnswer>,
    /// What it said, in order.
    pub messages: Vec<Message>,
}

impl Detected {
    /// Whether it takes part.
    pub fn passes(&self) -> bool {
        matches!(self.answer, Ok(Verdict::Pass(_)))
    }

    /// Why it has nothing to do; none if it has, or failed.
    pub fn skipped(&self) -> Option<&str> {
        match &self.answer {
            Ok(Verdict::Skip(reason)) => Some(reason),
            _ => None,
        }
    }

    /// Why it gave up; none if it did not.
    pub fn failure(&self) -> Option<&Failure> {
        failure(&self.answer)
    }
}

fn failure<T>(answer: &Result<T, NoAnswer>) -> Option<&Failure> {
    match answer {
        Err(NoAnswer::Failed(failure)) => Some(failure),
        _ => None,
    }
}

impl fmt::Display for Detected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.answer {
            Err(why) => writeln!(f, "{why}")?,
            Ok(Verdict::Skip(reason)) => writeln!(f, "skips: {reason}")?,
            Ok(Verdict::Pass(alternatives)) => {
                writeln!(f, "passes")?;
                for alternative in alternatives {
                    writeln!(f, "  provides: {}", alternative.provides.join(", "))?;
                    for need in &alternative.requires {
                        let details: Vec<String> =
                            need.metadata.iter().map(|(name, value)| format!(" {name}={value}")).collect();
                        writeln!(f, "  requires: {}{}", need.name, details.concat())?;
                    }
                }
            }
        }
        self.messages.iter().try_for_each(|message| writeln!(f, "{message}"))
    }
}

/// What build did. As text it is all of this, in lines, for a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// What it answered.
    pub answer: Result<Report, NoAnswer>,
    /// Its layers that are for something, sorted by name; none if it did not answer.
    pub layers: Vec<Layer>,
    /// The app as it will stand in the image; nothing if the buildpack did not answer.
    pub app: Files,
    /// What it said, in order.
    pub messages: Vec<Message>,
}

impl Built {
    /// What it answered. A test that asks for it of a build that failed ends with the reason.
    #[track_caller]
    pub fn report(&self) -> &Report {
        self.answer.as_ref().unwrap_or_else(|why| panic!("the build has no report, because it {why}"))
    }

    /// The layer `name`. A test that asks for one that is not there ends with those that are.
    #[track_caller]
    pub fn layer(&self, name: &str) -> &Layer {
        let names: Vec<&str> = self.layers.iter().map(Layer::name).collect();
        let found = self.layers.iter().find(|layer| layer.name() == name);
        found.unwrap_or_else(|| panic!("there is no layer `{name}`, but {names:?}"))
    }

    /// Why it gave up; none if it did not.
    pub fn failure(&self) -> Option<&Failure> {
        failure(&self.answer)
    }

    /// The environment that its layers give a process of this type, where nothing was set before: what the launcher does.
    pub fn environment(&self, process: &str) -> BTreeMap<String, String> {
        let process: Option<ProcessType> = process.parse().ok();
        let mut variables = Variables::new();
        let layers = || self.layers.iter().filter(|layer| layer.draft.usage.launch);
        for layer in layers() {
            let present = |folder: &str| matches!(layer.files.0.get(folder), Some(Node::Folder(_)));
            env::add_root_dirs(Phase::Launch, layer.path.as_bytes(), present, &mut variables);
        }
        for layer in layers() {
            let files = env::files(&layer.draft.env).unwrap_or_default();
            for folder in env::directories(Phase::Launch, process.as_ref()) {
                let inside = |path: &String| {
                    path.strip_prefix(&format!("{folder}/")).filter(|name| !name.contains('/')).map(str::to_owned)
                };
                let here = files.iter().filter_map(|(path, bytes)| Some((inside(path)?, bytes.clone())));
                // What the workbench took, the launcher takes.
                let _ = env::apply(&here.collect(), &mut variables);
            }
        }
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        variables.into_iter().map(|(name, value)| (text(name), text(value))).collect()
    }
}

impl fmt::Display for Built {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.answer {
            Err(why) => writeln!(f, "{why}")?,
            Ok(report) => {
                for process in &report.processes {
                    let default = if process.default { " (default)" } else { "" };
                    let words: Vec<&str> = process.command.iter().chain(&process.args).map(String::as_str).collect();
                    writeln!(f, "process {}{default}: {words:?}", process.kind)?;
                }
                report.labels.iter().try_for_each(|(key, value)| writeln!(f, "label {key}: {value}"))?;
                report.slices.iter().try_for_each(|paths| writeln!(f, "slice: {}", paths.join(", ")))?;
                report.unmet.iter().try_for_each(|name| writeln!(f, "unmet: {name}"))?;
                report.store.iter().try_for_each(|(name, value)| writeln!(f, "note {name}: {value}"))?;
            }
        }
        self.layers.iter().try_for_each(|layer| write!(f, "{layer}"))?;
        self.messages.iter().try_for_each(|message| writeln!(f, "{message}"))
    }
}

/// A layer that a buildpack made.
#[derive(Debug, Clone)]
pub struct Layer {
    draft: DraftLayer,
    path: String,
    /// Its files, without those that carry its environment.
    pub files: Files,
}

impl Layer {
    pub(super) fn new(draft: DraftLayer, folder: &str) -> Self {
        let files = Files(draft.tree().map(std::borrow::Cow::into_owned).unwrap_or_default());
        Self { path: format!("{folder}/{}", draft.name), files, draft }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.draft.name.as_str()
    }

    /// What it is for.
    pub fn usage(&self) -> Usage {
        convert::usage(self.draft.usage)
    }

    /// Where it stands in the image.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The notes that are kept with it.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.draft.metadata
    }

    /// What it does to the environment, a line a change: scope, how, name, value.
    pub fn variables(&self) -> Vec<String> {
        let line = |EnvChange { scope, op, name, value, delimiter }: &EnvChange| {
            let delimiter = delimiter.as_ref().map(|text| format!(" by {text:?}")).unwrap_or_default();
            let value = String::from_utf8_lossy(value);
            format!("{} {} {name}={value}{delimiter}", scope.directory(), format!("{op:?}").to_lowercase())
        };
        self.draft.env.iter().map(line).collect()
    }
}

/// Equal where the host would take one for the other: name, uses, environment, notes, and the recipe of its files.
impl PartialEq for Layer {
    fn eq(&self, other: &Self) -> bool {
        let of = |layer: &Self| {
            let DraftLayer { name, usage, env, metadata, contents, recipe, .. } = layer.draft.clone();
            (name, usage, env, metadata, contents, recipe, layer.files.clone())
        };
        of(self) == of(other)
    }
}

impl Eq for Layer {}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uses = self.draft.usage;
        let uses = [(uses.build, "build"), (uses.launch, "launch"), (uses.cache, "cache")];
        let uses: Vec<&str> = uses.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
        writeln!(f, "layer {} for {}", self.name(), uses.join(", "))?;
        self.variables().iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        self.metadata().iter().try_for_each(|(name, value)| writeln!(f, "  note {name}: {value}"))?;
        self.files.lines().iter().try_for_each(|line| writeln!(f, "  file {line}"))
    }
}

/// Files of a layer, or of the app.
#[derive(Debug, Clone, Default)]
pub struct Files(pub(super) Tree);

impl Files {
    /// The paths of all files and links, sorted.
    pub fn paths(&self) -> Vec<&str> {
        let nodes = self.0.iter().filter(|(_, node)| !matches!(node, Node::Folder(_)));
        nodes.map(|(path, _)| path.as_str()).collect()
    }

    /// The bytes of a file; none if there is no such file.
    pub fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        match self.0.get(path)? {
            Node::File(_, content) => content.bytes(u64::MAX).ok(),
            _ => None,
        }
    }

    /// A file's text. A test that asks for one that is not there ends with those that are.
    #[track_caller]
    pub fn text(&self, path: &str) -> String {
        let bytes = self.bytes(path).unwrap_or_else(|| panic!("there is no file `{path}`, but {:?}", self.paths()));
        String::from_utf8(bytes).unwrap_or_else(|_| panic!("the file `{path}` is not UTF-8 text"))
    }

    /// Whether it is a file that can be run.
    pub fn is_executable(&self, path: &str) -> bool {
        matches!(self.0.get(path), Some(Node::File(access, _)) if access.mode & 0o111 != 0)
    }

    /// Where a symbolic link leads; none if there is no link.
    pub fn link(&self, path: &str) -> Option<&str> {
        match self.0.get(path) {
            Some(Node::Link(text)) => Some(text),
            _ => None,
        }
    }

    /// A line for each file and link: a program has a star behind it.
    fn lines(&self) -> Vec<String> {
        let line = |(path, node): (&TreePath, &Node)| match node {
            Node::Folder(_) => None,
            Node::Link(text) => Some(format!("{path} -> {text}")),
            Node::File(access, _) if access.mode & 0o111 != 0 => Some(format!("{path}*")),
            Node::File(..) => Some(path.to_string()),
        };
        self.0.iter().filter_map(line).collect()
    }
}

/// Equal where all paths, kinds and sizes are, and whatever is known of the contents without reading them again.
impl PartialEq for Files {
    fn eq(&self, other: &Self) -> bool {
        let identity = |files: &Self| stave_lifecycle::app::identity(files.0.iter(), &Cancel::new()).ok();
        self.lines() == other.lines() && identity(self) == identity(other)
    }
}

impl Eq for Files {}
