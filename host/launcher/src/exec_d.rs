//! `exec.d`: programs of a layer that run before the app and add to its environment, by writing a TOML table to file
//! descriptor 3 (buildpack spec, "exec.d").
//!
//! They have no time limit of their own: what starts the container decides how long a start may take. A program that
//! leaves a child behind with descriptor 3 open is waited for, as the CNB launcher does.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use command_fds::{CommandFdExt, FdMapping, FdMappingCollision};
use stave_model::env::Variables;

use crate::{exec::os_pairs, report::shown};

/// Most bytes that one program may write.
const MAX_OUTPUT: usize = 1024 * 1024;

/// A program that did not do its work.
#[derive(Debug, thiserror::Error)]
#[error("the program `{}`, which adds to the environment, {outcome}", shown(program))]
pub(crate) struct Failed {
    program: PathBuf,
    outcome: &'static str,
    #[source]
    cause: Option<Cause>,
}

/// What went wrong with it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    /// The system says.
    #[error(transparent)]
    System(#[from] io::Error),
    /// Descriptor 3 is not free to be given.
    #[error(transparent)]
    Descriptor(#[from] FdMappingCollision),
    /// How it ended.
    #[error("{0}")]
    Ended(ExitStatus),
    /// What is wrong with what it wrote.
    #[error("{0}")]
    Output(String),
}

/// Runs `program` in `directory` and puts what it says into `variables`.
pub(crate) fn run(program: &Path, directory: &Path, variables: &mut Variables) -> Result<(), Failed> {
    let failed = |outcome| move |cause| Failed { program: program.to_owned(), outcome, cause: Some(cause) };
    let (mut reader, writer) = io::pipe().map_err(|error| failed("could not be given a pipe")(error.into()))?;
    let mut command = Command::new(program);
    command.current_dir(directory).env_clear().envs(os_pairs(variables)).stdin(Stdio::null());
    command
        .fd_mappings(vec![FdMapping { parent_fd: OwnedFd::from(writer), child_fd: 3 }])
        .map_err(|error| failed("could not be given a pipe")(error.into()))?;
    let mut child = command.spawn().map_err(|error| failed("could not be started")(error.into()))?;
    // The command holds the pipe's other end; without it the end of the output shows.
    drop(command);
    let mut output = Vec::new();
    let read = (&mut reader).take(MAX_OUTPUT as u64 + 1).read_to_end(&mut output);
    // A program that still writes gets a broken pipe instead of waiting for ever.
    drop(reader);
    let status = child.wait().map_err(|error| failed("could not be waited for")(error.into()))?;
    read.map_err(|error| failed("could not be listened to")(error.into()))?;
    if output.len() > MAX_OUTPUT {
        return Err(failed("wrote too much")(Cause::Output("at most 1 MiB is read".to_owned())));
    }
    if !status.success() {
        return Err(failed("failed")(Cause::Ended(status)));
    }
    let added = parse(&output).map_err(|rule| failed("wrote what is not understood")(Cause::Output(rule)))?;
    variables.extend(added.into_iter().map(|(name, value)| (name.into_bytes(), value.into_bytes())));
    Ok(())
}

/// A TOML table of strings, each fit for an environment.
fn parse(output: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let text = std::str::from_utf8(output).map_err(|error| error.to_string())?;
    let table: BTreeMap<String, String> = toml::from_str(text).map_err(|error| shown(error.message()))?;
    for (name, value) in &table {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(format!("`{}` cannot name a variable", shown(name)));
        }
        if value.contains('\0') {
            return Err(format!("the value of `{}` holds a NUL byte", shown(name)));
        }
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_strings_is_understood() {
        assert_eq!(parse(b"").unwrap(), BTreeMap::new());
        let table = parse(b"A = \"x\"\n\"b.c\" = '''\ntwo\nlines'''").unwrap();
        assert_eq!(table, BTreeMap::from([("A".into(), "x".into()), ("b.c".into(), "two\nlines".into())]));
    }

    #[test]
    fn everything_else_is_refused() {
        insta::assert_snapshot!(parse(b"A = 1").unwrap_err(), @"invalid type: integer `1`, expected a string");
        insta::assert_snapshot!(parse(b"[A]\nb = 'x'").unwrap_err(), @"invalid type: map, expected a string");
        insta::assert_snapshot!(parse(b"A=x").unwrap_err(), @"string values must be quoted, expected literal string");
        insta::assert_snapshot!(parse(b"\xff").unwrap_err(), @"invalid utf-8 sequence of 1 bytes from index 0");
        insta::assert_snapshot!(parse(b"'A=B' = 'x'").unwrap_err(), @"`A=B` cannot name a variable");
        insta::assert_snapshot!(parse(b"'' = 'x'").unwrap_err(), @"`` cannot name a variable");
        insta::assert_snapshot!(parse(b"A = \"\\u0000\"").unwrap_err(), @"the value of `A` holds a NUL byte");
    }
}
