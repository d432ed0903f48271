//! Names of resources. An image's name is a label of its builds, so all of them keep to what a label can say.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The longest name: that of a label's value.
const MAX_NAME: usize = 63;

/// Names a resource or a namespace.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// A text that names nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a valid name: use lower-case letters, digits, `-` and `.`, a letter or digit first and last, at most 63 characters", .0.escape_debug())]
pub struct InvalidName(String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_edge = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let bytes = text.as_bytes();
        let is_good = bytes.len() <= MAX_NAME
            && is_edge(bytes.first())
            && is_edge(bytes.last())
            && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(b));
        if is_good { Ok(Self(text.to_owned())) } else { Err(InvalidName(text.chars().take(100).collect())) }
    }
}

impl TryFrom<String> for Name {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Which image: its namespace and its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageKey {
    /// Whose it is.
    pub namespace: Name,
    /// What it is called there.
    pub name: Name,
}

impl fmt::Display for ImageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels() {
        for name in ["web", "spring-webdb", "a", "0.1", &"a".repeat(63)] {
            assert!(name.parse::<Name>().is_ok(), "{name}");
        }
        for name in ["", "Web", "-a", "a-", "a/b", "a b", "a\u{1b}", "..", &"a".repeat(64)] {
            assert!(name.parse::<Name>().is_err(), "{name}");
        }
    }
}
