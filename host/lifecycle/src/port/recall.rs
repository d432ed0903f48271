//! Whether a buildpack's answer was remembered, and if not, why it ran: for people.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a buildpack's answer came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recall {
    /// Everything that it read is as it was: its answer of then was taken and it did not run.
    Remembered,
    /// It ran, because ….
    Ran(Cause),
}

/// Why a buildpack ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// This component, with these grants, was not asked this before, or nothing is known of it any more.
    FirstTime,
    /// The user wants everything to run.
    NoMemory,
    /// Its last answer was not kept.
    Unkept(Unkept),
    /// Something is not as it was: the first difference from the last time.
    Changed(Change),
}

/// Why an answer was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unkept {
    /// Something could not be read or fetched, which may go better the next time.
    Failure,
    /// The value of a service binding was read: nothing of a secret is kept.
    Secret,
    /// It asked or wrote more than is kept.
    TooMuch,
}

/// Something that a buildpack asked for and that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What.
    pub what: Subject,
    /// In which way.
    pub how: How,
}

/// What a buildpack can ask for. Texts are as the buildpack wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A file of the app.
    File(String),
    /// A file of an archive of the app: the archive and the path in it.
    Archived(String, String),
    /// The files of the app, or of one of its archives, that match some patterns.
    Matches(Option<String>, Vec<String>),
    /// The contents of the files of the app that match some patterns.
    Contents(Vec<String>),
    /// A setting, by name.
    Setting(String),
    /// The settings whose names begin so.
    Settings(String),
    /// The service bindings of a type.
    Bindings(String),
    /// A service binding, by name.
    Binding(String),
    /// The notes of its previous build.
    Notes,
    /// A layer of its previous build, by name.
    PreviousLayer(String),
    /// What the image is for.
    Target,
    /// The execution environment that the image is for.
    ExecEnv,
    /// A declared dependency, by id.
    Dependency(String),
}

/// In which way something is not as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It was not there before.
    Added,
    /// It is not there any more.
    Removed,
    /// It is another.
    Changed,
}

/// How many patterns are shown.
const SHOWN: usize = 3;

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstTime => f.write_str("first time"),
            Self::NoMemory => f.write_str("--no-memory"),
            Self::Unkept(Unkept::Failure) => f.write_str("something could not be read or fetched the last time"),
            Self::Unkept(Unkept::Secret) => f.write_str("it reads secrets, of which nothing is remembered"),
            Self::Unkept(Unkept::TooMuch) => f.write_str("it does more than is remembered"),
            Self::Changed(change) => change.fmt(f),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match (&self.what, self.how) {
            (_, How::Changed) => "changed",
            (Subject::Setting(_), How::Added) => "was set",
            (Subject::Setting(_), How::Removed) => "is no longer set",
            (_, How::Added) => "was added",
            (_, How::Removed) => "was removed",
        };
        match &self.what {
            Subject::File(path) => write!(f, "{} {how}", quoted(path)),
            Subject::Archived(archive, path) => write!(f, "{} in {} {how}", quoted(path), quoted(archive)),
            Subject::Matches(archive, patterns) => {
                let within = archive.as_ref().map(|archive| format!(" in {}", quoted(archive))).unwrap_or_default();
                write!(f, "what matches {}{within} changed", listed(patterns))
            }
            Subject::Contents(patterns) => write!(f, "the content of {} changed", listed(patterns)),
            Subject::Setting(name) => write!(f, "setting {} {how}", shown(name)),
            Subject::Settings(prefix) => write!(f, "settings {}* changed", shown(prefix)),
            Subject::Bindings(kind) => write!(f, "the bindings of the type {} changed", quoted(kind)),
            Subject::Binding(name) => write!(f, "the binding {} {how}", quoted(name)),
            Subject::Notes => write!(f, "the notes of the previous build changed"),
            Subject::PreviousLayer(name) => write!(f, "the layer {} of the previous build {how}", quoted(name)),
            Subject::Target => write!(f, "the target {how}"),
            Subject::ExecEnv => write!(f, "the execution environment {how}"),
            Subject::Dependency(id) => write!(f, "the dependency {} {how}", quoted(id)),
        }
    }
}

/// The beginning of a text that a buildpack chose, control characters made visible.
fn shown(text: &str) -> String {
    text.chars().take(200).collect::<String>().escape_debug().to_string()
}

fn quoted(text: &str) -> String {
    format!("`{}`", shown(text))
}

fn listed(patterns: &[String]) -> String {
    let some: Vec<String> = patterns.iter().take(SHOWN).map(|pattern| quoted(pattern)).collect();
    let more = patterns.len().saturating_sub(SHOWN);
    let more = if more == 0 { String::new() } else { format!(" and {more} more patterns") };
    format!("{}{more}", some.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_changed() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let file = || Subject::File("META-INF/MANIFEST.MF".to_owned());
        let setting = || Subject::Setting("BP_JVM_VERSION".to_owned());
        let changes = [
            (file(), How::Changed),
            (file(), How::Added),
            (file(), How::Removed),
            (Subject::Archived("app.jar".to_owned(), "a\n".to_owned()), How::Changed),
            (Subject::Matches(None, texts(&["*.jar", "*.war"])), How::Added),
            (Subject::Matches(Some("app.jar".to_owned()), texts(&["a", "b", "c", "d", "e"])), How::Changed),
            (Subject::Contents(texts(&["src/**"])), How::Changed),
            (setting(), How::Changed),
            (setting(), How::Added),
            (setting(), How::Removed),
            (Subject::Settings("BPE_".to_owned()), How::Added),
            (Subject::Bindings("maven".to_owned()), How::Added),
            (Subject::Binding("db".to_owned()), How::Added),
            (Subject::Notes, How::Added),
            (Subject::PreviousLayer("jre".to_owned()), How::Removed),
            (Subject::Target, How::Changed),
            (Subject::ExecEnv, How::Changed),
            (Subject::Dependency("jre".to_owned()), How::Changed),
        ];
        let mut said: Vec<String> =
            changes.into_iter().map(|(what, how)| Cause::Changed(Change { what, how }).to_string()).collect();
        let unkept = [Unkept::Failure, Unkept::Secret, Unkept::TooMuch].map(Cause::Unkept);
        said.extend([Cause::FirstTime, Cause::NoMemory].iter().chain(&unkept).map(ToString::to_string));
        insta::assert_snapshot!(said.join("\n"), @r"
        `META-INF/MANIFEST.MF` changed
        `META-INF/MANIFEST.MF` was added
        `META-INF/MANIFEST.MF` was removed
        `a\n` in `app.jar` changed
        what matches `*.jar`, `*.war` changed
        what matches `a`, `b`, `c` and 2 more patterns in `app.jar` changed
        the content of `src/**` changed
        setting BP_JVM_VERSION changed
        setting BP_JVM_VERSION was set
        setting BP_JVM_VERSION is no longer set
        settings BPE_* changed
        the bindings of the type `maven` changed
        the binding `db` was added
        the notes of the previous build changed
        the layer `jre` of the previous build was removed
        the target changed
        the execution environment changed
        the dependency `jre` changed
        first time
        --no-memory
        something could not be read or fetched the last time
        it reads secrets, of which nothing is remembered
        it does more than is remembered
        ");
    }
}
