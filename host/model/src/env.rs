//! Changes of the environment, as layers carry them: small files whose name says what to do and whose content is the
//! value (buildpack spec, "Environment"). A buildpack asks for changes, [`files`] writes them, [`apply`] obeys them, at
//! build and, in the launcher, at launch. Everything works on bytes, because an environment is bytes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::{ProcessType, VariableName};

/// Most changes that one layer may ask for.
pub const MAX_CHANGES: usize = 256;
/// Longest value in bytes. Linux takes 128 KiB a variable, and several layers may add to one.
pub const MAX_VALUE: usize = 64 * 1024;
/// Longest delimiter in bytes.
pub const MAX_DELIMITER: usize = 16;
/// Longest `NAME=value` in bytes that Linux hands to a program, its closing NUL left out (`MAX_ARG_STRLEN`).
pub const MAX_VARIABLE: usize = 128 * 1024 - 1;

/// An environment: names and values as the system keeps them.
pub type Variables = BTreeMap<Vec<u8>, Vec<u8>>;

/// What a change does to the value that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EnvOp {
    /// Sets it where it is unset or empty.
    Default,
    /// Replaces it.
    Override,
    /// Puts the new value, then the delimiter, before it.
    Prepend,
    /// Puts the delimiter, then the new value, after it.
    Append,
}

impl EnvOp {
    /// The end of the file's name, its dot included.
    fn suffix(self) -> &'static str {
        match self {
            Self::Default => ".default",
            Self::Override => ".override",
            Self::Prepend => ".prepend",
            Self::Append => ".append",
        }
    }
}

/// When a change counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EnvScope {
    /// At build, for the buildpacks that follow, and at launch.
    Both,
    /// At build alone.
    Build,
    /// At launch, for every process.
    Launch,
    /// At launch, for one process type.
    Process(ProcessType),
}

impl EnvScope {
    /// The folder, below the layer, that holds the changes of this scope.
    pub fn directory(&self) -> String {
        match self {
            Self::Both => "env".to_owned(),
            Self::Build => "env.build".to_owned(),
            Self::Launch => "env.launch".to_owned(),
            Self::Process(kind) => format!("env.launch/{kind}"),
        }
    }
}

/// One wish of a buildpack about one variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvChange {
    /// When it counts.
    pub scope: EnvScope,
    /// What it does.
    pub op: EnvOp,
    /// The variable.
    pub name: VariableName,
    /// The value; any bytes but NUL.
    pub value: Vec<u8>,
    /// What stands between old and new, for prepend and append; nothing if none.
    pub delimiter: Option<String>,
}

/// A change, or a set of changes, that cannot be written down as it was meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidChange {
    /// More than [`MAX_CHANGES`].
    #[error("a layer may change the environment {MAX_CHANGES} times, not {count} times")]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// A value or delimiter that no environment can hold, or that is too long.
    #[error("the {part} for `{name}` {rule}")]
    Bytes {
        /// The variable.
        name: VariableName,
        /// "value" or "delimiter".
        part: &'static str,
        /// What is wrong with it.
        rule: String,
    },
    /// A change that would reach further than a buildpack may; see [`refusal`].
    #[error("may not {} `{name}` in `{directory}`: {reason}", verb(*op))]
    Refused {
        /// The variable.
        name: VariableName,
        /// What the change does.
        op: EnvOp,
        /// The folder of its scope.
        directory: String,
        /// Why not.
        reason: &'static str,
    },
    /// The same variable, scope and operation with two values or two delimiters.
    #[error("`{path}` is wanted twice, with different content")]
    Twice {
        /// The file, below the layer.
        path: String,
    },
    /// Two operations of which one can never have an effect, because files are obeyed in the order of their names.
    #[error(
        "{}, {} and {} of `{name}` in `{directory}` undo each other: keep one of them, or put one in another scope",
        verb(EnvOp::Append),
        verb(EnvOp::Default),
        verb(EnvOp::Override)
    )]
    Undone {
        /// The variable.
        name: VariableName,
        /// The folder of the scope.
        directory: String,
    },
    /// A process type that is also the name of a file.
    #[error("`{path}` would be a file and the folder of a process type")]
    FileAndFolder {
        /// The path, below the layer.
        path: String,
    },
}

/// An operation as a verb.
fn verb(op: EnvOp) -> &'static str {
    op.suffix().trim_start_matches('.')
}

/// Why a buildpack may not make this change, if it may not. A policy, not part of the specification:
///
/// * `CNB_…` belongs to the platform and the launcher.
/// * `PATH` and `LD_LIBRARY_PATH` may be added to, never replaced: that would hide the base's and other buildpacks'
///   programs. An empty `PATH` part means the working directory, so an empty addition is refused as well.
/// * What makes a linker or a shell load code first (`LD_PRELOAD` and its like) is fine at launch, where a buildpack
///   chooses the command anyway and preloaded allocators are common. At build it would run inside tools that *other*
///   buildpacks were granted, so there it is refused.
pub fn refusal(change: &EnvChange) -> Option<&'static str> {
    const INJECTING: [&str; 7] =
        ["LD_PRELOAD", "LD_AUDIT", "LD_DEBUG", "GLIBC_TUNABLES", "BASH_ENV", "SHELLOPTS", "BASHOPTS"];
    let name = change.name.as_str();
    let search_path = name == "PATH" || name == "LD_LIBRARY_PATH";
    let at_build = matches!(change.scope, EnvScope::Both | EnvScope::Build);
    if name.starts_with("CNB_") {
        Some("names that begin with CNB_ belong to the platform")
    } else if search_path && change.op == EnvOp::Override {
        Some("it would hide every program and library of the base and of other buildpacks; prepend or append to it")
    } else if search_path && change.value.is_empty() {
        Some("an empty part of a search path means the working directory")
    } else if at_build && INJECTING.contains(&name) {
        Some("at build it would load code into the tools of other buildpacks; set it for launch")
    } else {
        None
    }
}

/// The files that carry `changes`, by their path below the layer, such as `env.launch/JAVA_TOOL_OPTIONS.append`.
///
/// The same change said twice is taken once; two that differ in value or delimiter are an error, as is a pair of which
/// one is without effect (`append`, `default` and `override` of one variable in one scope; `prepend` goes with each).
pub fn files(changes: &[EnvChange]) -> Result<BTreeMap<String, Vec<u8>>, InvalidChange> {
    if changes.len() > MAX_CHANGES {
        return Err(InvalidChange::TooMany { count: changes.len() });
    }
    let mut files = BTreeMap::new();
    let mut delimiters = BTreeMap::new();
    let mut operations: BTreeMap<(String, &str), BTreeSet<EnvOp>> = BTreeMap::new();
    for change in changes {
        check(change)?;
        let stem = format!("{}/{}", change.scope.directory(), change.name);
        put(&mut files, format!("{stem}{}", change.op.suffix()), &change.value)?;
        if matches!(change.op, EnvOp::Prepend | EnvOp::Append) {
            put(&mut delimiters, format!("{stem}.delim"), change.delimiter.as_deref().unwrap_or_default().as_bytes())?;
        }
        let known = operations.entry((change.scope.directory(), change.name.as_str())).or_default();
        known.insert(change.op);
        if known.iter().filter(|op| **op != EnvOp::Prepend).count() > 1 {
            let (name, directory) = (change.name.clone(), change.scope.directory());
            return Err(InvalidChange::Undone { name, directory });
        }
    }
    files.extend(delimiters.into_iter().filter(|(_, delimiter)| !delimiter.is_empty()));
    for change in changes {
        let folder = change.scope.directory();
        if files.contains_key(&folder) {
            return Err(InvalidChange::FileAndFolder { path: folder });
        }
    }
    Ok(files)
}

/// Whether one change, by itself, may be written.
fn check(change: &EnvChange) -> Result<(), InvalidChange> {
    let broken = |part, rule| Err(InvalidChange::Bytes { name: change.name.clone(), part, rule });
    let delimiter = change.delimiter.as_deref().unwrap_or_default().as_bytes();
    for (part, bytes, limit) in [("value", change.value.as_slice(), MAX_VALUE), ("delimiter", delimiter, MAX_DELIMITER)]
    {
        if bytes.contains(&0) {
            return broken(part, "holds a NUL byte, which no environment can carry".to_owned());
        }
        if bytes.len() > limit {
            return broken(part, format!("is {} bytes long; at most {limit} are taken", bytes.len()));
        }
    }
    if !delimiter.is_empty() && matches!(change.op, EnvOp::Default | EnvOp::Override) {
        return broken("delimiter", "has no use: only prepend and append join values".to_owned());
    }
    match refusal(change) {
        Some(reason) => Err(InvalidChange::Refused {
            name: change.name.clone(),
            op: change.op,
            directory: change.scope.directory(),
            reason,
        }),
        None => Ok(()),
    }
}

/// Adds a file; an equal one may be there.
fn put(files: &mut BTreeMap<String, Vec<u8>>, path: String, content: &[u8]) -> Result<(), InvalidChange> {
    match files.get(&path) {
        Some(there) if there.as_slice() != content => Err(InvalidChange::Twice { path }),
        Some(_) => Ok(()),
        None => {
            files.insert(path, content.to_vec());
            Ok(())
        }
    }
}

/// A file of an environment folder that cannot be obeyed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment file `{}` {rule}", .file.chars().take(200).collect::<String>().escape_debug())]
pub struct InvalidFile {
    file: String,
    rule: &'static str,
}

/// Obeys one environment folder: `files` by their plain name, in the order of their names, byte for byte.
///
/// The variable is the name up to its first dot. No suffix and `.override` replace, `.prepend` and `.append` join with
/// the folder's `.delim` unless there is nothing to join with, `.default` fills what is unset or empty, and any other
/// suffix is ignored, as the specification asks.
pub fn apply(files: &BTreeMap<String, Vec<u8>>, variables: &mut Variables) -> Result<(), InvalidFile> {
    for (file, content) in files {
        let (name, action) = file.split_once('.').unwrap_or((file, ""));
        let old = variables.get(name.as_bytes()).map(Vec::as_slice).unwrap_or_default();
        let delimiter = || match files.get(&format!("{name}.delim")) {
            Some(delimiter) if !old.is_empty() => delimiter.as_slice(),
            _ => &[],
        };
        let value = match action {
            "" | "override" => content.clone(),
            "prepend" => [content, delimiter(), old].concat(),
            "append" => [old, delimiter(), content].concat(),
            "default" if old.is_empty() => content.clone(),
            _ => continue,
        };
        let broken = |rule| Err(InvalidFile { file: file.clone(), rule });
        if name.is_empty() || name.contains(['=', '\0']) {
            return broken("does not begin with the name of a variable");
        }
        if value.contains(&0) {
            return broken("holds a NUL byte, which no environment can carry");
        }
        if name.len() + 1 + value.len() > MAX_VARIABLE {
            return broken("makes its variable longer than the 128 KiB that Linux allows");
        }
        variables.insert(name.as_bytes().to_vec(), value);
    }
    Ok(())
}

/// When an environment is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// For the buildpacks that follow.
    Build,
    /// For a process of the image.
    Launch,
}

/// The folders of a layer that hold changes for `phase`, in the order in which they are obeyed.
pub fn directories(phase: Phase, process: Option<&ProcessType>) -> Vec<String> {
    let mut scopes = vec![EnvScope::Both];
    match phase {
        Phase::Build => scopes.push(EnvScope::Build),
        Phase::Launch => {
            scopes.push(EnvScope::Launch);
            scopes.extend(process.cloned().map(EnvScope::Process));
        }
    }
    scopes.iter().map(EnvScope::directory).collect()
}

/// The folders at a layer's root that go on a search path, with the variables they go on.
pub fn search_paths(phase: Phase) -> &'static [(&'static str, &'static [&'static str])] {
    match phase {
        Phase::Build => &[
            ("bin", &["PATH"]),
            ("lib", &["LD_LIBRARY_PATH", "LIBRARY_PATH"]),
            ("include", &["CPATH"]),
            ("pkgconfig", &["PKG_CONFIG_PATH"]),
        ],
        Phase::Launch => &[("bin", &["PATH"]), ("lib", &["LD_LIBRARY_PATH"])],
    }
}

/// Prepends a layer's root folders to their search paths. `layer` is its absolute path, `present` says which exist.
///
/// A buildpack's layers are all added before the first of its environment folders is obeyed.
pub fn add_root_dirs(phase: Phase, layer: &[u8], present: impl Fn(&str) -> bool, variables: &mut Variables) {
    for (folder, names) in search_paths(phase).iter().filter(|(folder, _)| present(folder)) {
        for name in *names {
            let mut path = [layer, b"/", folder.as_bytes()].concat();
            let value = variables.entry(name.as_bytes().to_vec()).or_default();
            if !value.is_empty() {
                path.push(b':');
            }
            path.append(value);
            *value = path;
        }
    }
}

#[cfg(test)]
mod tests;
