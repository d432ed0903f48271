//! Which process starts, and with which arguments: decided from the name under which the launcher was called, its
//! arguments and what the build recorded (platform spec, "launch").

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

use stave_model::{
    id::ProcessType,
    launch::{
        Process,
        metadata::{Api, Metadata},
    },
};

/// From this buildpack API on, a command has fixed arguments of its own and a user's arguments replace the rest.
const REPLACING_ARGUMENTS: Api = Api { major: 0, minor: 9 };
/// Before this platform API the build wrote a command and its arguments down as one, so that nothing can be replaced.
const LISTED_COMMANDS: Api = Api { major: 0, minor: 10 };
/// From this platform API on, processes are there in some execution environments only.
const EXEC_ENVS: Api = Api { major: 0, minor: 15 };

/// What is to be started.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// The process type, if it is one of the image's.
    pub(crate) kind: Option<ProcessType>,
    /// Who makes it of these words.
    pub(crate) by: By,
    /// The program.
    pub(crate) program: OsString,
    /// Its arguments.
    pub(crate) arguments: Vec<OsString>,
    /// Where it starts, relative to the app's folder.
    pub(crate) working_directory: Option<String>,
}

/// Who makes a process of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The system: the words are taken as they are.
    System,
    /// A shell, which reads the layers' profiles first: a command alone is a script, one with arguments is a list of words
    /// that it expands one by one.
    Shell,
}

/// What the container says about the image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    /// The platform API that the image follows.
    pub(crate) platform: Api,
    /// The execution environment.
    pub(crate) exec_env: &'a str,
}

/// Nothing can be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoStart {
    /// Neither a process type nor a command was given.
    #[error("no process to start was named")]
    NothingNamed {
        /// The image's process types.
        known: Vec<ProcessType>,
    },
    /// The process is for other execution environments.
    #[error("the process `{kind}` is not for the execution environment `{}`", exec_env.escape_debug())]
    OtherExecEnv {
        /// The process type.
        kind: ProcessType,
        /// The execution environment.
        exec_env: String,
        /// Those that it is for.
        wanted: Vec<String>,
    },
}

impl NoStart {
    /// What to do about it.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::NothingNamed { known } if known.is_empty() => {
                "the image has no process types; give a command after `--`".to_owned()
            }
            Self::NothingNamed { known } => {
                let known: Vec<_> = known.iter().map(ProcessType::as_str).collect();
                format!(
                    "the image has the process types {}: set the entrypoint to one, or give a command after `--`",
                    known.join(", ")
                )
            }
            Self::OtherExecEnv { wanted, .. } => {
                format!("set CNB_EXEC_ENV to one that it is for: {}", wanted.join(", "))
            }
        }
    }
}

/// Decides what `argv`, the launcher's own words, name.
///
/// The last part of the first word chooses a process type, so that `/cnb/process/web` starts `web`. Otherwise the rest
/// is a command: after `--` for the system, without it for a shell.
pub(crate) fn choose(argv: &[OsString], metadata: &Metadata, around: Surroundings<'_>) -> Result<Start, NoStart> {
    let (name, words) = argv.split_first().map_or((OsStr::new(""), argv), |(name, words)| (name.as_os_str(), words));
    let called = Path::new(name).file_name().unwrap_or_default();
    let is_there = |process: &&Process| around.platform < EXEC_ENVS || process.is_in(around.exec_env);
    let all = &metadata.launch.processes;
    if let Some(process) = all.iter().filter(is_there).find(|process| process.kind.as_str() == called) {
        return Ok(start(process, words, metadata, around.platform));
    }
    let command = |by, program: &OsString, arguments: &[OsString]| Start {
        kind: None,
        by,
        program: program.clone(),
        arguments: arguments.to_vec(),
        working_directory: None,
    };
    match words {
        [dashes, program, arguments @ ..] if dashes == "--" => Ok(command(By::System, program, arguments)),
        [program, arguments @ ..] if program != "--" => Ok(command(By::Shell, program, arguments)),
        _ => Err(nothing(all, called, &is_there, around.exec_env)),
    }
}

/// Why there is nothing to start: the process that was called is not here, or none was.
fn nothing(all: &[Process], called: &OsStr, is_there: &dyn Fn(&&Process) -> bool, exec_env: &str) -> NoStart {
    match all.iter().find(|process| process.kind.as_str() == called) {
        Some(process) => NoStart::OtherExecEnv {
            kind: process.kind.clone(),
            exec_env: exec_env.chars().take(64).collect(),
            wanted: process.exec_env.clone(),
        },
        None => NoStart::NothingNamed { known: all.iter().filter(is_there).map(|p| p.kind.clone()).collect() },
    }
}

/// A process of the image with the user's words.
fn start(process: &Process, words: &[OsString], metadata: &Metadata, platform: Api) -> Start {
    let (program, fixed) = process.command.split_first().map_or((String::new(), &[][..]), |(p, f)| (p.clone(), f));
    let buildpack = metadata.buildpacks.iter().find(|buildpack| buildpack.id == process.buildpack);
    let is_new = buildpack.is_none_or(|buildpack| buildpack.api >= REPLACING_ARGUMENTS);
    // Only newer buildpacks can have a command of several words.
    let replaces = platform >= LISTED_COMMANDS && (is_new || !fixed.is_empty());
    let defaults = process.args.iter().filter(|_| words.is_empty() || !replaces);
    Start {
        kind: Some(process.kind.clone()),
        by: if process.direct { By::System } else { By::Shell },
        program: program.into(),
        arguments: fixed.iter().chain(defaults).map(OsString::from).chain(words.iter().cloned()).collect(),
        working_directory: process.working_directory.clone(),
    }
}

#[cfg(test)]
mod tests;
