//! What a buildpack looked at, in words: for its author, who wants to know what an answer was given for.

use super::{
    Workbench,
    journal::{Call, Presence},
    short,
};

/// How many patterns of one question are named.
const MAX_PATTERNS: usize = 8;

/// One question that a buildpack asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// What it asked for, such as "read `pom.xml`". Fit for a terminal.
    pub question: String,
    /// What it was told.
    pub answer: Sight,
}

/// Whether what was asked for is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// It is.
    There,
    /// It is not.
    Missing,
    /// The question was refused.
    Refused,
    /// Whether it is is kept as secret as what it is.
    Secret,
}

impl Workbench {
    /// The questions that were asked so far, in order; of one that was asked several times, the first. Of a buildpack that asks
    /// more than a journal holds, only its first ones are known.
    pub fn looks(&self) -> Vec<Look> {
        let state = self.state();
        let mut looks: Vec<Look> = Vec::new();
        for look in state.journal.calls().iter().filter_map(look) {
            if !looks.contains(&look) {
                looks.push(look);
            }
        }
        looks
    }
}

/// A question; none for something done.
fn look(call: &Call) -> Option<Look> {
    let answer = match call.said()?.presence {
        _ if matches!(call, Call::Binding { .. }) => Sight::Secret,
        Presence::There => Sight::There,
        Presence::Missing => Sight::Missing,
        Presence::Refused => Sight::Refused,
    };
    Some(Look { question: question(call)?, answer })
}

fn question(call: &Call) -> Option<String> {
    Some(match call {
        Call::Find { patterns, .. } => format!("find {}", all(patterns)),
        Call::Stat { path, .. } => format!("look at `{}`", short(path)),
        Call::Read { path, .. } => format!("read `{}`", short(path)),
        Call::Digest { patterns, .. } => format!("hash {}", all(patterns)),
        Call::OpenArchive { path, .. } => format!("open `{}`", short(path)),
        Call::ArchiveFind { patterns, .. } => format!("find {} in an archive", all(patterns)),
        Call::ArchiveRead { path, .. } => format!("read `{}` in an archive", short(path)),
        Call::Setting { name, .. } => format!("setting {}", short(name)),
        Call::Settings { prefix, .. } => format!("settings {}*", short(prefix)),
        Call::Target { .. } => "the target".to_owned(),
        Call::ExecEnv { .. } => "the execution environment".to_owned(),
        Call::Notes { .. } => "notes of the previous build".to_owned(),
        Call::PreviousLayer { name, .. } => format!("layer `{}` of the previous build", short(name)),
        Call::Bindings { kind, .. } => format!("bindings of type `{}`", short(kind)),
        Call::Binding { name, key, .. } => format!("entry `{}` of binding `{}`", short(key), short(name)),
        Call::Available { id, .. } => format!("versions of `{}`", short(id)),
        Call::Fetch { id, version, .. } => format!("fetch {} {}", short(id), short(version)),
        _ => return None,
    })
}

fn all(patterns: &[String]) -> String {
    let mut named: Vec<String> =
        patterns.iter().take(MAX_PATTERNS).map(|pattern| format!("`{}`", short(pattern))).collect();
    if patterns.len() > MAX_PATTERNS {
        named.push(format!("{} more", patterns.len() - MAX_PATTERNS));
    }
    named.join(", ")
}
