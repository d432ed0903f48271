//! What the launcher adds to the app's environment by itself, because only the running container knows it: certificates of
//! service bindings, and options of a Java virtual machine.
//!
//! A buildpack is a component and cannot run where the app does. It asks for these by variables of its layers, which other
//! launchers ignore and the app does not see. What is decided is a function of the environment and a few files, and
//! nothing that somebody set by hand is changed.

use std::{borrow::Cow, io};

use stave_model::env::Variables;

mod certificates;
mod jvm;

use crate::report::shown;

/// The variable by which layers ask for help, with `:` between names. `jvm` is the only one.
const ASKED: &str = "STAVE_HELPERS";

/// What is added to the environment, and what is said to people.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    /// Variables to set.
    set: Vec<(Cow<'static, str>, String)>,
    /// One line each.
    said: Vec<String>,
}

/// A helper that could not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// A setting has a value that means nothing.
    #[error("{name} is `{}`: expected {expected}", shown(value))]
    Setting {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it could be.
        expected: &'static str,
    },
    /// A file could not be read or written.
    #[error("could not {attempt} `{}`", shown(path))]
    File {
        /// What was attempted.
        attempt: &'static str,
        /// The file.
        path: String,
        /// Why it failed.
        #[source]
        cause: io::Error,
    },
    /// The container's memory does not hold what must be in it.
    #[error("Java needs {needed} of memory ({parts}), and {total}")]
    Memory {
        /// The sum.
        needed: String,
        /// What is in it.
        parts: String,
        /// What there is, and who says so.
        total: String,
        /// What to change.
        hint: String,
    },
}

impl Failed {
    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Memory { hint, .. } => Some(hint.clone()),
            Self::Setting { .. } | Self::File { .. } => None,
        }
    }
}

/// Changes the environment; answers what there is to say.
pub(crate) fn help(variables: &mut Variables) -> Result<Vec<String>, Failed> {
    let asked = variables.remove(ASKED.as_bytes()).unwrap_or_default();
    let mut said = Vec::new();
    let mut add = |variables: &mut Variables, answer: Answer| {
        let set = answer.set.into_iter();
        variables.extend(set.map(|(name, value)| (name.into_owned().into_bytes(), value.into_bytes())));
        said.extend(answer.said);
    };
    if let Some(sources) = certificates::sources(variables) {
        let answer = certificates::answer(&Environment(variables), &sources)?;
        add(variables, answer);
    }
    if asked.split(|byte| *byte == b':').any(|name| name == b"jvm") {
        let answer = jvm::answer(&Environment(variables), &jvm::Machine::here(variables))?;
        add(variables, answer);
    }
    Ok(said)
}

/// An environment as it is asked here: texts, empty ones as if they were not set.
struct Environment<'a>(&'a Variables);

impl Environment<'_> {
    /// A variable.
    fn get(&self, name: &str) -> Option<String> {
        let value = self.0.get(name.as_bytes()).filter(|value| !value.is_empty())?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// A switch: `true` and `1`, `false` and `0`; off when nothing is said.
    fn is_on(&self, name: &'static str) -> Result<bool, Failed> {
        let Some(value) = self.get(name) else { return Ok(false) };
        match value.to_ascii_lowercase().as_str() {
            "true" | "1" | "t" | "yes" | "y" => Ok(true),
            "false" | "0" | "f" | "no" | "n" => Ok(false),
            _ => Err(Failed::Setting { name, value, expected: "true or false" }),
        }
    }

    /// A number from `least` to `most`.
    fn number(&self, name: &'static str, least: u32, most: u32, expected: &'static str) -> Result<Option<u32>, Failed> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.parse().ok().filter(|number| (least..=most).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(Failed::Setting { name, value, expected }),
        }
    }
}
