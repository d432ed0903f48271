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

use crate::report::shown;

/// From this buildpack API on, a command has fixed arguments of its own and a user's arguments replace the rest.
const REPLACING_ARGUMENTS: Api = Api { major: 0, minor: 9 };

/// What is to be started.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// The process type, if it is one of the image's.
    pub(crate) kind: Option<ProcessType>,
    /// The program.
    pub(crate) program: OsString,
    /// Its arguments.
    pub(crate) arguments: Vec<OsString>,
    /// Where it starts, relative to the app's folder.
    pub(crate) working_directory: Option<String>,
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
    /// A command that asks to be read by a shell.
    #[error("the command `{}` would need a shell, which this launcher does not start", shown(.0))]
    CommandNeedsShell(OsString),
    /// A process of the image that asks to be read by a shell.
    #[error("the process `{0}` would need a shell, which this launcher does not start")]
    ProcessNeedsShell(ProcessType),
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
            Self::CommandNeedsShell(_) => {
                "put `--` before the command to start it directly; for shell syntax, start a shell of the image: -- sh -c '…'"
                    .to_owned()
            }
            Self::ProcessNeedsShell(_) => "rebuild the image with a buildpack that makes the process direct".to_owned(),
        }
    }
}

/// Decides what `argv`, the launcher's own words, name.
///
/// The last part of the first word chooses a process type, so that `/cnb/process/web` starts `web`. Otherwise the rest
/// is a command, after `--`.
pub(crate) fn choose(argv: &[OsString], metadata: &Metadata) -> Result<Start, NoStart> {
    let (name, words) = argv.split_first().map_or((OsStr::new(""), argv), |(name, words)| (name.as_os_str(), words));
    let called = Path::new(name).file_name().unwrap_or_default();
    if let Some(process) = metadata.launch.processes.iter().find(|process| process.kind.as_str() == called) {
        return start(process, words, metadata);
    }
    match words {
        [dashes, program, arguments @ ..] if dashes == "--" => {
            Ok(Start { kind: None, program: program.clone(), arguments: arguments.to_vec(), working_directory: None })
        }
        [command, ..] if command != "--" => Err(NoStart::CommandNeedsShell(command.clone())),
        _ => Err(NoStart::NothingNamed { known: metadata.launch.processes.iter().map(|p| p.kind.clone()).collect() }),
    }
}

/// A process of the image with the user's words.
fn start(process: &Process, words: &[OsString], metadata: &Metadata) -> Result<Start, NoStart> {
    let Some((program, fixed)) = process.command.split_first().filter(|_| process.direct) else {
        return Err(NoStart::ProcessNeedsShell(process.kind.clone()));
    };
    let buildpack = metadata.buildpacks.iter().find(|buildpack| buildpack.id == process.buildpack);
    let replaces = buildpack.is_none_or(|buildpack| buildpack.api >= REPLACING_ARGUMENTS);
    let defaults = process.args.iter().filter(|_| words.is_empty() || !replaces);
    let arguments = fixed.iter().chain(defaults).map(OsString::from).chain(words.iter().cloned()).collect();
    Ok(Start {
        kind: Some(process.kind.clone()),
        program: program.into(),
        arguments,
        working_directory: process.working_directory.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = r#"
        buildpacks = [{ id = "a/new", version = "1.0.0", api = "0.10" }, { id = "a/old", version = "1.0.0", api = "0.8" }]
        [[processes]]
        type = "web"
        command = ["java", "-jar"]
        args = ["app.jar", "--port=80"]
        direct = true
        buildpack-id = "a/new"
        working-dir = "sub"
        [[processes]]
        type = "one"
        command = ["echo"]
        args = ["default"]
        direct = true
        buildpack-id = "a/new"
        [[processes]]
        type = "old"
        command = ["echo"]
        args = ["default"]
        direct = true
        buildpack-id = "a/old"
        [[processes]]
        type = "shell"
        command = ["echo $HOME"]
        direct = false
        buildpack-id = "a/old"
    "#;

    fn chosen(words: &str) -> Result<(Option<String>, String), NoStart> {
        let argv: Vec<OsString> = words.split_whitespace().map(OsString::from).collect();
        choose(&argv, &Metadata::from_toml(METADATA).unwrap()).map(|start| {
            let line = [&[start.program], start.arguments.as_slice()].concat().join(OsStr::new(" "));
            (start.kind.map(String::from), line.into_string().unwrap())
        })
    }

    #[test]
    fn names_and_arguments_choose() {
        // (the launcher's words, the process type, what is started)
        let cases = [
            ("/cnb/process/web", Some("web"), "java -jar app.jar --port=80"),
            ("web", Some("web"), "java -jar app.jar --port=80"),
            ("/cnb/process/web other.jar", Some("web"), "java -jar other.jar"),
            ("/cnb/process/web -- x", Some("web"), "java -jar -- x"),
            ("/cnb/process/one", Some("one"), "echo default"),
            ("/cnb/process/one a b", Some("one"), "echo a b"),
            ("/cnb/process/old", Some("old"), "echo default"),
            ("/cnb/process/old a b", Some("old"), "echo default a b"),
            ("/cnb/lifecycle/launcher -- ls -l", None, "ls -l"),
            ("/cnb/lifecycle/launcher -- -- x", None, "-- x"),
            ("/cnb/process/gone -- web", None, "web"),
        ];
        for (words, kind, line) in cases {
            assert_eq!(chosen(words).unwrap(), (kind.map(ToOwned::to_owned), line.to_owned()), "{words}");
        }
    }

    #[test]
    fn what_cannot_start_says_what_could() {
        let refused = |words: &str| {
            let error = chosen(words).unwrap_err();
            format!("{error}\n{}", error.hint())
        };
        insta::assert_snapshot!(refused("/cnb/lifecycle/launcher"), @"
        no process to start was named
        the image has the process types web, one, old, shell: set the entrypoint to one, or give a command after `--`
        ");
        insta::assert_snapshot!(refused("/cnb/lifecycle/launcher --"), @"
        no process to start was named
        the image has the process types web, one, old, shell: set the entrypoint to one, or give a command after `--`
        ");
        insta::assert_snapshot!(refused(""), @"
        no process to start was named
        the image has the process types web, one, old, shell: set the entrypoint to one, or give a command after `--`
        ");
        insta::assert_snapshot!(refused("/cnb/lifecycle/launcher --version"), @"
        the command `--version` would need a shell, which this launcher does not start
        put `--` before the command to start it directly; for shell syntax, start a shell of the image: -- sh -c '…'
        ");
        insta::assert_snapshot!(refused("/cnb/process/shell"), @"
        the process `shell` would need a shell, which this launcher does not start
        rebuild the image with a buildpack that makes the process direct
        ");
        let error = choose(&[], &Metadata::from_toml("").unwrap()).unwrap_err();
        insta::assert_snapshot!(error.hint(), @"the image has no process types; give a command after `--`");
    }
}
