//! Which processes come of a Procfile and the setting beside it.

use stave_sdk::{Failure, Process, words::Words};

use crate::procfile::command_of;

/// The process types that start when none is named: the first of these that is there.
const DEFAULTS: [&str; 2] = ["web", "worker"];

/// A process and its command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) kind: String,
    pub(crate) command: Words,
    /// The file or setting that says so.
    pub(crate) source: &'static str,
}

/// `lines` with the command of a setting as `web`, in place of the one that is there.
pub(crate) fn with_setting(
    mut lines: Vec<Line>,
    setting: Option<&str>,
    name: &'static str,
) -> Result<Vec<Line>, Failure> {
    let Some(command) = setting else { return Ok(lines) };
    let kind = DEFAULTS[0];
    let command = command_of(kind, command).map_err(|summary| Failure::environment(format!("{name}: {summary}")))?;
    lines.retain(|line| line.kind != kind);
    lines.push(Line { kind: kind.to_owned(), command, source: name });
    Ok(lines)
}

/// The processes. A user's arguments come after the words of a line.
pub(crate) fn of(lines: &[Line]) -> Vec<Process> {
    let default = DEFAULTS.into_iter().find(|kind| lines.iter().any(|line| line.kind == *kind));
    let process = |line: &Line| {
        let process = Process::new(&line.kind, &line.command.words);
        if default == Some(line.kind.as_str()) || lines.len() == 1 { process.default() } else { process }
    };
    lines.iter().map(process).collect()
}

/// What would need a shell, if something does: the command gets it as text.
pub(crate) fn warning(line: &Line) -> Option<String> {
    let Line { kind, command, source } = line;
    let name = command.words[0].split_once('=').map(|(name, _)| name);
    let is_variable = |name: &&str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let what = if let Some(name) = name.filter(is_variable) {
        format!("begins with a value for {name}, which a shell would set")
    } else if command.special.is_empty() {
        return None;
    } else {
        let list: Vec<String> = command.special.iter().map(|c| format!("`{c}`")).collect();
        format!("has {}, which a shell would obey", list.join(" "))
    };
    Some(format!(
        "{source}: the command of `{kind}` {what}; no shell reads it: quote it if it is text, or write `sh -c '…'` and build on a stack with a shell"
    ))
}

/// What an author of a Procfile wants to see of it.
pub(crate) fn told(process: &Process) -> String {
    let default = if process.default { " (default)" } else { "" };
    let words: Vec<String> = process.command.iter().map(|word| word.escape_debug().to_string()).collect();
    format!("{}{default}: {}", process.kind, words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::procfile;

    fn lines(text: &str) -> Vec<Line> {
        procfile::parse(text).unwrap()
    }

    fn told_of(text: &str, setting: Option<&str>) -> String {
        let lines = with_setting(lines(text), setting, "BP_X").unwrap();
        of(&lines).iter().map(told).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn one_process_is_the_default() {
        for (text, setting, expected) in [
            ("web: a\nworker: b", None, "web (default): a; worker: b"),
            ("clock: c\nworker: b", None, "clock: c; worker (default): b"),
            ("clock: c\ntask: t", None, "clock: c; task: t"),
            ("clock: c", None, "clock (default): c"),
            ("", Some("run 'a b'"), "web (default): run a b"),
            ("web: a\nworker: b", Some("run"), "worker: b; web (default): run"),
        ] {
            assert_eq!(told_of(text, setting), expected, "{text:?} {setting:?}");
        }
    }

    #[test]
    fn a_setting_that_is_no_command_says_so() {
        let failure = with_setting(Vec::new(), Some("say \"hi"), "BP_X").unwrap_err();
        assert_eq!(failure.summary, "BP_X: the command of `web` leaves a `\"` open");
    }

    #[test]
    fn what_would_need_a_shell_is_said() {
        let said = |text: &str| lines(text).first().and_then(warning);
        assert_eq!(said("web: run --port '$PORT' --a=b"), None);
        insta::assert_snapshot!(said("web: run --port $PORT | tee log").unwrap(), @"Procfile: the command of `web` has `$` `|`, which a shell would obey; no shell reads it: quote it if it is text, or write `sh -c '…'` and build on a stack with a shell");
        insta::assert_snapshot!(said("web: MODE=fast run").unwrap(), @"Procfile: the command of `web` begins with a value for MODE, which a shell would set; no shell reads it: quote it if it is text, or write `sh -c '…'` and build on a stack with a shell");
    }
}
