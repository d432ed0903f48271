//! `Procfile`: lines of the form `type: command`. Empty lines and those that begin with `#` say nothing.

use stave_sdk::{Failure, words};

use crate::processes::Line;

/// Where it is.
pub(crate) const FILE: &str = "Procfile";
/// The largest one that is read, in bytes.
pub(crate) const MAX_SIZE: u32 = 64 * 1024;
/// The most characters of a text from the app that are shown.
const MAX_SHOWN: usize = 80;

/// Its lines, in order.
pub(crate) fn parse(text: &str) -> Result<Vec<Line>, Failure> {
    let mut lines: Vec<Line> = Vec::new();
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let broken = |summary: String| Failure::app(summary).file(FILE).line(number);
        let (kind, command) = line.split_once(':').ok_or_else(|| {
            broken(format!("`{}` names no process", shown(line)))
                .hint("a line is `type: command`, such as `web: ./server`")
        })?;
        let kind = kind.trim_end();
        if !is_type(kind) {
            return Err(broken(format!("`{}` is no process type", shown(kind)))
                .hint("a process type has letters, digits, `.`, `-` and `_`, at most 64 of them"));
        }
        if lines.iter().any(|other| other.kind == kind) {
            return Err(broken(format!("the process `{kind}` is there twice")).hint("keep one of the two lines"));
        }
        lines.push(Line { kind: kind.to_owned(), command: command_of(kind, command).map_err(broken)?, source: FILE });
    }
    Ok(lines)
}

/// The words of a command, or the sentence that says why there are none.
pub(crate) fn command_of(kind: &str, command: &str) -> Result<words::Words, String> {
    let words = words::split(command)
        .map_err(|words::Unclosed(quote)| format!("the command of `{kind}` leaves a `{quote}` open"))?;
    match words.words.first().map(String::as_str) {
        None | Some("") => Err(format!("the process `{kind}` has no command")),
        Some(_) => Ok(words),
    }
}

/// As the host takes them.
fn is_type(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b))
        && text.bytes().any(|b| b != b'.')
}

/// A text from the app as it may be printed.
fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_commands() {
        let text = "\u{feff}# what runs\nweb: java -jar 'my app.jar'\r\n\n  worker-1 :\tbin/work --at http://x:1  \nclock:./tick";
        let lines = parse(text).unwrap();
        let lines: Vec<_> = lines.iter().map(|line| (line.kind.as_str(), line.command.words.join("|"))).collect();
        let expected = [("web", "java|-jar|my app.jar"), ("worker-1", "bin/work|--at|http://x:1"), ("clock", "./tick")];
        assert_eq!(lines, expected.map(|(kind, command)| (kind, command.to_owned())));
        assert_eq!(parse("\n# nothing\n").unwrap(), []);
    }

    #[test]
    fn what_is_no_procfile_says_where() {
        let refused = |text: &str| {
            let failure = parse(text).unwrap_err();
            format!("{}:{}: {}", failure.file.unwrap(), failure.line.unwrap(), failure.summary)
        };
        let said = [
            refused("# x\nweb java\u{1b}[2J"),
            refused("we b: java"),
            refused("..: java"),
            refused("web: a\nweb: b"),
            refused("web:"),
            refused("web: ''"),
            refused("web: say 'hi"),
        ];
        insta::assert_snapshot!(said.join("\n"), @r"
        Procfile:2: `web java\u{1b}[2J` names no process
        Procfile:1: `we b` is no process type
        Procfile:1: `..` is no process type
        Procfile:2: the process `web` is there twice
        Procfile:1: the process `web` has no command
        Procfile:1: the process `web` has no command
        Procfile:1: the command of `web` leaves a `'` open
        ");
    }
}
