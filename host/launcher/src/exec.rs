//! The last step: finding the app's program, or the shell that reads its command, and becoming it, so that signals and the
//! exit code are the app's own.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

use stave_model::env::Variables;

use crate::{
    choose::{By, Start},
    report::shown,
    shell,
};

/// The app could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotStarted {
    /// No such program.
    #[error("the program `{}` was not found", shown(program))]
    NotFound {
        /// As it was named.
        program: OsString,
        /// The search path, or none where a path was given.
        searched: Option<String>,
    },
    /// A shell is needed, and there is none.
    #[error("{what} needs a shell, and the image has no {}", shell::BASH)]
    NoShell {
        /// What needs it.
        what: String,
        /// Whether it is a command that a user gave.
        is_command: bool,
    },
    /// There is no such working directory.
    #[error("could not enter the working directory `{}`", shown(path))]
    WorkingDirectory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// The system refused to start the program.
    #[error("could not start `{}`", shown(program))]
    Refused {
        /// Where it was found.
        program: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
}

impl NotStarted {
    /// What to do about it, where the system's answer leaves people puzzled.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound { searched: Some(path), .. } => Some(format!("the search path is `{path}`")),
            Self::NotFound { searched: None, .. } => {
                Some("a path is taken from the app's folder and must name an executable file".to_owned())
            }
            Self::NoShell { is_command: true, .. } => {
                Some("put `--` before the command to start it without a shell, its words as they are".to_owned())
            }
            Self::NoShell { is_command: false, .. } => {
                Some("build on a stack that has bash, or with a buildpack that makes the process direct".to_owned())
            }
            Self::WorkingDirectory { .. } => None,
            Self::Refused { cause, .. } => match cause.kind() {
                io::ErrorKind::NotFound => {
                    Some("the file is there; what it needs to run, an interpreter or a C library, is not in the image")
                }
                io::ErrorKind::ArgumentListTooLong => Some("the arguments and the environment together are too long"),
                io::ErrorKind::PermissionDenied => Some("the image's user may not execute it"),
                // The kind for ENOEXEC has no stable name.
                _ if cause.raw_os_error() == Some(8) => {
                    Some("it is made for another architecture, or it is a script without a first line `#!…`")
                }
                _ => None,
            }
            .map(ToOwned::to_owned),
        }
    }
}

/// An environment as the standard library takes it.
pub(crate) fn os_pairs(variables: &Variables) -> impl Iterator<Item = (&OsStr, &OsStr)> {
    variables.iter().map(|(name, value)| (OsStr::from_bytes(name), OsStr::from_bytes(value)))
}

/// Becomes the app; returns only if that fails. `caller` is what the launcher was called and `profiles` what a shell reads
/// first.
pub(crate) fn become_app(
    start: &Start,
    caller: &OsStr,
    profiles: &[PathBuf],
    app: &Path,
    variables: &Variables,
) -> NotStarted {
    match start.by {
        By::System => become_program(start, app, variables),
        By::Shell => become_shell(start, caller, profiles, app, variables),
    }
}

/// Becomes the shell that reads the command. It enters the working directory itself, once it has read the profiles.
fn become_shell(start: &Start, caller: &OsStr, profiles: &[PathBuf], app: &Path, variables: &Variables) -> NotStarted {
    if !Path::new(shell::BASH).exists() {
        let what = match &start.kind {
            Some(kind) => format!("the process `{kind}`"),
            None => format!("the command `{}`", shown(&start.program)),
        };
        return NotStarted::NoShell { what, is_command: start.kind.is_none() };
    }
    let directory = directory(start, app);
    let arguments = shell::arguments(caller, profiles, &directory, &start.program, &start.arguments);
    let mut command = Command::new(shell::BASH);
    command.arg0("bash").args(arguments).env_clear().envs(os_pairs(variables));
    NotStarted::Refused { program: shell::BASH.into(), cause: command.exec() }
}

fn directory(start: &Start, app: &Path) -> PathBuf {
    start.working_directory.as_ref().map_or_else(|| app.to_owned(), |path| app.join(path))
}

/// Becomes the program itself.
///
/// The program is looked up from the app's folder, before the working directory is entered, as the specification has it.
fn become_program(start: &Start, app: &Path, variables: &Variables) -> NotStarted {
    let path = variables.get(b"PATH".as_slice()).map(Vec::as_slice).unwrap_or_default();
    let Some(found) = find(&start.program, path, app) else {
        let searched = (!start.program.as_bytes().contains(&b'/')).then(|| shown(OsStr::from_bytes(path)));
        return NotStarted::NotFound { program: start.program.clone(), searched };
    };
    let directory = directory(start, app);
    if let Err(cause) = std::env::set_current_dir(&directory) {
        return NotStarted::WorkingDirectory { path: directory, cause };
    }
    let mut command = Command::new(&found);
    command.arg0(&start.program).args(&start.arguments).env_clear().envs(os_pairs(variables));
    NotStarted::Refused { program: found, cause: command.exec() }
}

/// The absolute path of `program`: as it is if it has a slash, else the first executable of that name on the path.
/// Relative paths start at `app`; an empty part of the search path means `app` itself.
fn find(program: &OsStr, path: &[u8], app: &Path) -> Option<PathBuf> {
    let executable = |file: &PathBuf| {
        file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    if program.as_bytes().contains(&b'/') {
        return Some(app.join(program)).filter(executable);
    }
    let folders = path.split(|byte| *byte == b':').filter(|_| !program.is_empty());
    folders.map(|folder| app.join(OsStr::from_bytes(folder)).join(program)).find(executable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_a_shell_would() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for (file, mode) in [("a/tool", 0o644), ("b/tool", 0o755), ("c/tool", 0o755), ("app/run", 0o755)] {
            std::fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            std::fs::write(root.join(file), "").unwrap();
            std::fs::set_permissions(root.join(file), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        std::fs::create_dir_all(root.join("d/tool")).unwrap();
        let app = root.join("app");
        let path = ["a", "d", "b", "c"].map(|folder| root.join(folder).into_os_string()).join(OsStr::new(":"));
        let cases = [
            ("tool", Some("b/tool")),
            ("gone", None),
            ("", None),
            ("run", None),
            ("./run", Some("app/./run")),
            ("../c/tool", Some("app/../c/tool")),
            ("../a/tool", None),
        ];
        for (program, found) in cases {
            let found = found.map(|file| root.join(file));
            assert_eq!(find(OsStr::new(program), path.as_bytes(), &app), found, "{program}");
        }
        assert_eq!(find(OsStr::new("run"), b"/nowhere:", &app), Some(app.join("run")));
        assert_eq!(find(OsStr::new("run"), b".", &app), Some(app.join("./run")));
    }

    /// Here and not beside the other failures: glibc, with which tests run, gives such a file to a shell; musl, with which
    /// images get the launcher, does not.
    #[test]
    fn a_program_of_another_architecture_has_a_hint() {
        let cause = io::Error::from_raw_os_error(8);
        let error = NotStarted::Refused { program: PathBuf::from("/app"), cause };
        insta::assert_snapshot!(error.hint().unwrap(),
            @"it is made for another architecture, or it is a script without a first line `#!…`");
    }
}
