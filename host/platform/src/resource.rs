//! What people wish for and what came of it: image, builder, stack, store, buildpack, and the record of a build.
//!
//! Field names are those of kpack's resources, so that its manifests are read as they are ([`manifest`]). What a field means
//! that only a cluster has (tolerations, affinity) is carried and not looked into.

pub mod build;
pub mod builder;
pub mod image;
pub mod manifest;
pub mod name;
pub mod order;
pub mod package;
pub mod policy;
pub mod quantity;
pub mod read;
pub mod reference;
pub mod source;
pub mod stack;

use std::fmt;

/// One thing that is wrong with a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, such as `spec.source.git.url`.
    pub path: String,
    /// What holds there, and does not.
    pub rule: String,
}

impl Problem {
    /// A problem at a path.
    pub fn new(path: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { path: path.into(), rule: rule.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.rule)
    }
}

/// A resource that is not taken, with everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{subject} is refused: {}", list(.problems))]
pub struct Refused {
    /// Kind and name, as far as they could be told.
    pub subject: String,
    /// At least one.
    pub problems: Vec<Problem>,
}

/// Text that others chose, without anything that steers a terminal, and cut.
pub(crate) fn plain(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for (at, c) in text.chars().enumerate() {
        if at == most {
            shown.push('…');
            break;
        }
        // Direction marks can make a line read as another than it is.
        let is_direction =
            matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{061c}');
        if c.is_control() || is_direction { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    shown
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
