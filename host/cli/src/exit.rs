//! How the program ends: exit codes, and errors with their causes and hints.
//!
//! The codes are the CNB lifecycle's where they fit, so that scripts around it keep their meaning.

use std::{error::Error, fmt::Write as _};

use stave_lifecycle::port::failure::{Fault, PortError};

/// Something else went wrong.
pub(crate) const GENERAL: u8 = 1;
/// The command line or a configuration file is not right.
pub(crate) const USAGE: u8 = 3;
/// A buildpack is written for a contract that this program does not speak.
pub(crate) const CONTRACT: u8 = 12;
/// A buildpack was refused before it ran: not a component, or it wants more than it is granted.
pub(crate) const REFUSED: u8 = 13;
/// An input is not the one that is locked.
pub(crate) const LOCKED: u8 = 14;
/// An update wants more than was accepted.
pub(crate) const UNACCEPTED: u8 = 15;
/// A signature that the policy needs is missing or wrong.
pub(crate) const UNTRUSTED: u8 = 16;
/// No buildpack takes the app.
pub(crate) const NO_GROUP: u8 = 20;
/// No buildpack takes the app, and one failed while it looked.
pub(crate) const DETECT_FAILED: u8 = 21;
/// Detection failed otherwise: the order names what is not there, or comes to more groups than are tried.
pub(crate) const DETECT_OTHER: u8 = 22;
/// The app, an image, a stack, a builder, a buildpack or a bundle could not be read or fetched.
pub(crate) const ANALYZE: u8 = 32;
/// A stack could not be composed.
pub(crate) const STACK: u8 = 33;
/// A buildpack failed while it built.
pub(crate) const BUILDPACK: u8 = 51;
/// Building failed otherwise.
pub(crate) const BUILD: u8 = 52;
/// The image, builder, buildpack or bundle could not be written or sent.
pub(crate) const EXPORT: u8 = 62;
/// The image cannot be put on that base.
pub(crate) const REBASE: u8 = 72;
/// The one buildpack that was asked does not take the app, as buildpacks themselves say it (buildpack specification, "Detection").
pub(crate) const DECLINED: u8 = 100;
/// An image is not what its source gives, or what comes of a buildpack's fixture is not what is expected.
pub(crate) const DIFFERS: u8 = 112;
/// Stopped with Ctrl-C, as shells number it.
pub(crate) const INTERRUPTED: u8 = 130;

/// The codes for the long help.
pub(crate) const HELP: &str = "\
Exit codes:
    0  done
    1  something else went wrong
    3  the command line or a configuration file is not right
   12  a buildpack is written for another contract
   13  a buildpack was refused: not a component, or it wants more than it is granted
   14  an input is not the one that is locked
   15  an update wants more than was accepted
   16  a signature that the policy needs is missing or wrong
   20  no buildpack takes the app
   21  no buildpack takes the app, and one failed while it looked
   22  the builder's order names a buildpack that is not there, or is not right otherwise
   32  the app, an image, a stack, a builder, a buildpack or a bundle could not be read or fetched
   33  a stack could not be composed
   51  a buildpack failed while it built
   52  the build failed otherwise
   62  the image, builder, buildpack or bundle could not be written or sent
   72  the image cannot be put on that base
  100  the one buildpack that was asked does not take the app
  112  an image is not what its source gives, or a buildpack's fixture not what is expected
  130  stopped with Ctrl-C";

/// Why the program ends with something else than 0.
#[derive(Debug)]
pub(crate) struct Exit {
    /// The exit code.
    pub(crate) code: u8,
    error: Box<dyn Error + Send + Sync>,
    details: Vec<String>,
    hints: Vec<String>,
}

impl Exit {
    /// Ends with `code` because of `error`. Hints of port errors among its causes are found by themselves.
    pub(crate) fn new(code: u8, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { code, error: error.into(), details: Vec::new(), hints: Vec::new() }
    }

    /// The same with lines that explain it.
    pub(crate) fn detail(mut self, text: impl Into<String>) -> Self {
        self.details.push(text.into());
        self
    }

    /// The same with something that a person could do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The code, unless a cause says that somebody asked to stop.
    pub(crate) fn final_code(&self) -> u8 {
        let cancelled = self.port_errors().any(|error| error.fault == Fault::Cancelled);
        if cancelled { INTERRUPTED } else { self.code }
    }

    /// Errors of ports among the causes, also those that travel in an I/O error.
    fn port_errors(&self) -> impl Iterator<Item = &PortError> {
        let mut next = PortError::within(self.error.as_ref());
        std::iter::from_fn(move || {
            let error = next?;
            next = error.source().and_then(PortError::within);
            Some(error)
        })
    }

    /// `error: …`, `caused by: …` for each cause, details, `hint: …`; each on lines of its own.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        let mut last = String::new();
        for (index, cause) in self.causes().enumerate() {
            let message = printable(&cause.to_string());
            if message != last {
                let _ = writeln!(text, "{}: {message}", if index == 0 { "error" } else { "caused by" });
            }
            last = message;
        }
        for detail in &self.details {
            for line in detail.lines() {
                let _ = writeln!(text, "  {}", printable(line));
            }
        }
        let mut hints: Vec<&String> = self.hints.iter().collect();
        for hint in self.port_errors().filter_map(|error| error.hint.as_ref()) {
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
        for hint in hints {
            let _ = writeln!(text, "hint: {}", printable(hint));
        }
        text
    }

    /// What went wrong.
    pub(crate) fn error(&self) -> &(dyn Error + 'static) {
        self.error.as_ref()
    }

    /// What went wrong, for whoever says what it was a part of.
    pub(crate) fn into_error(self) -> Box<dyn Error + Send + Sync> {
        self.error
    }

    /// What kind of thing went wrong underneath, where a port says so.
    pub(crate) fn port_fault(&self) -> Option<Fault> {
        self.port_errors().last().map(|error| error.fault)
    }

    /// What went wrong and why, as one line of something else that is told.
    pub(crate) fn summary(&self) -> String {
        self.causes().map(ToString::to_string).collect::<Vec<_>>().join(": ")
    }

    fn causes(&self) -> impl Iterator<Item = &(dyn Error + 'static)> {
        let mut next: Option<&(dyn Error + 'static)> = Some(self.error.as_ref());
        std::iter::from_fn(move || {
            let error = next?;
            next = error.source();
            Some(error)
        })
    }
}

impl From<PortError> for Exit {
    fn from(error: PortError) -> Self {
        Self::new(GENERAL, error)
    }
}

/// The text on one line, with control characters and direction marks made visible: it may come from anywhere. What machines of
/// pipelines take for commands in a log is broken too: `::…` at the begin of a line, `##[…` and `##vso[…` anywhere.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut begins = true;
    for (at, c) in text.char_indices() {
        let rest = &text[at..];
        if begins && rest.starts_with("::") || rest.starts_with("##[") || rest.starts_with("##vso[") {
            shown.extend(c.escape_unicode());
            begins = false;
            continue;
        }
        begins = c == '\n' || begins && c.is_whitespace();
        // Direction overrides and isolates can make a line read as another than it is (Trojan Source).
        let is_direction =
            matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{061c}');
        match c {
            '\t' => shown.push(c),
            '\n' => shown.push_str("\n  "),
            c if c.is_control() || is_direction => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

/// A text that others chose, as a part of one line: of so many characters at most, and no line end in it begins a line.
pub(crate) fn one_line(text: &str, most: usize) -> String {
    let mut cut: String = text.chars().take(most).collect();
    if text.chars().nth(most).is_some() {
        cut.push('…');
    }
    printable(&cut.replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_once_with_causes_and_hints() {
        let inner = PortError::new(Fault::Network, "reach registry.example.com").hint("check the name");
        let outer = PortError::new(Fault::Network, "push the image").caused_by(inner);
        let exit = Exit::new(EXPORT, outer).detail("one\ntwo").hint("try again");
        assert_eq!(exit.final_code(), EXPORT);
        assert_eq!(
            exit.render(),
            "error: push the image\ncaused by: reach registry.example.com\n  one\n  two\nhint: try again\nhint: check the name\n"
        );
    }

    #[test]
    fn being_stopped_has_a_code_of_its_own() {
        let outer = PortError::new(Fault::Io, "write a layer").caused_by(PortError::cancelled());
        assert_eq!(Exit::new(EXPORT, outer).final_code(), INTERRUPTED);
    }

    #[test]
    fn nothing_reaches_the_terminal_that_could_steer_it() {
        assert_eq!(printable("a\u{1b}[2J\rb\u{202e}c\u{7}"), r"a\u{1b}[2J\u{d}b\u{202e}c\u{7}");
        assert_eq!(printable("a\nb\tc"), "a\n  b\tc");
        assert_eq!(
            printable("::error::x ##vso[task.x]\n ::add-mask::x"),
            r"\u{3a}:error::x \u{23}#vso[task.x]
   \u{3a}:add-mask::x"
        );
        assert_eq!(printable("a::b ## [x]"), "a::b ## [x]");
        assert_eq!(one_line("a\n  digest sha256:0\u{1b}", 100), "a\\n  digest sha256:0\\u{1b}");
        assert_eq!((one_line("abcd", 3), one_line("abc", 3)), ("abc…".to_owned(), "abc".to_owned()));
    }
}
