//! Names of images in registries, as far as a decision needs them: which registry, which tag, which digest.
//!
//! What moves bytes has its own, fuller one (`stave-oci`); here nothing is looked up.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use stave_model::digest::Digest;

/// The longest repository with its registry, in bytes.
const MAX_NAME: usize = 255;
/// The longest tag.
const MAX_TAG: usize = 128;
/// The tag of a name that says none.
pub const LATEST: &str = "latest";

/// `[registry/]repository[:tag][@digest]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    /// Host, with a port where there is one.
    pub registry: Option<String>,
    /// The repository within it.
    pub repository: String,
    /// The tag, if it says one.
    pub tag: Option<String>,
    /// The digest, if it says one.
    pub digest: Option<Digest>,
}

/// A text that does not name an image so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not {what}: {rule}", .text.escape_debug())]
pub struct InvalidReference {
    text: String,
    what: &'static str,
    rule: &'static str,
}

impl Reference {
    /// `registry/repository`.
    pub fn name(&self) -> String {
        match &self.registry {
            Some(registry) => format!("{registry}/{}", self.repository),
            None => self.repository.clone(),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |rule| Err(invalid(text, "the name of an image", rule));
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => match digest.parse() {
                Ok(digest) => (rest, Some(digest)),
                Err(_) => return refuse("after `@` comes `sha256:` and 64 lower-case hex digits"),
            },
            None => (text, None),
        };
        let (registry, rest) = match rest.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), rest),
            _ => (None, rest),
        };
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (rest, None),
        };
        if registry.is_some_and(|registry| !is_host(registry)) {
            return refuse("the registry is a host with, if need be, a port");
        }
        if text.len() > MAX_NAME + MAX_TAG + 72 || repository.len() > MAX_NAME || !repository.split('/').all(is_part) {
            return refuse("a repository is made of lower-case letters, digits and single separators, parted by `/`");
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return refuse("a tag is made of letters, digits, `_`, `-` and `.`, at most 128");
        }
        Ok(Self {
            registry: registry.map(str::to_owned),
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

fn invalid(text: &str, what: &'static str, rule: &'static str) -> InvalidReference {
    InvalidReference { text: text.chars().take(300).collect(), what, rule }
}

fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let is_good = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(is_label),
    };
    is_good && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

fn is_part(part: &str) -> bool {
    let is_edge = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = part.as_bytes();
    is_edge(bytes.first())
        && is_edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(b))
        && !part.contains("..")
}

fn is_tag(tag: &str) -> bool {
    tag.len() <= MAX_TAG
        && !tag.is_empty()
        && !tag.starts_with(['.', '-'])
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

macro_rules! kind {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Reference);

        impl $name {
            /// The whole name.
            pub fn reference(&self) -> &Reference {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidReference;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let reference: Reference = text.parse()?;
                let check: fn(&Reference) -> bool = $check;
                if check(&reference) { Ok(Self(reference)) } else { Err(invalid(text, $what, $rule)) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidReference;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

kind! {
    /// Where an image is put: a name without a digest, which only comes to be by building.
    Tag, "a tag", "a tag names no digest", |reference| reference.digest.is_none()
}

kind! {
    /// One image and no other: a name with its digest.
    Pinned, "an image by digest", "`@sha256:…` is missing", |reference| reference.digest.is_some()
}

impl Tag {
    /// The tag's own name.
    pub fn tag(&self) -> &str {
        self.0.tag.as_deref().unwrap_or(LATEST)
    }

    /// Another tag of the same repository; `tag` follows the grammar and is not too long.
    pub(crate) fn beside(&self, tag: String) -> Self {
        Self(Reference { tag: Some(tag), ..self.0.clone() })
    }
}

impl Pinned {
    /// An image of a repository by its digest.
    pub fn new(of: &Reference, digest: Digest) -> Self {
        Self(Reference { tag: None, digest: Some(digest), ..of.clone() })
    }

    /// The digest.
    pub fn digest(&self) -> Digest {
        self.0.digest.unwrap_or_else(|| unreachable!("it is made with one"))
    }
}

impl TryFrom<String> for Reference {
    type Error = InvalidReference;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let digest = Digest::of(b"x");
        for (text, registry, repository, tag) in [
            ("web", None, "web", "latest"),
            ("team/web:v1", None, "team/web", "v1"),
            ("registry.example.com/web", Some("registry.example.com"), "web", "latest"),
            ("registry.example.com:5000/a/b_c:1.0", Some("registry.example.com:5000"), "a/b_c", "1.0"),
            ("localhost:5000/web:x", Some("localhost:5000"), "web", "x"),
        ] {
            let read: Tag = text.parse().unwrap();
            assert_eq!(read.reference().registry.as_deref(), registry, "{text}");
            assert_eq!((read.reference().repository.as_str(), read.tag()), (repository, tag), "{text}");
            assert_eq!(read.to_string(), text);
            let pinned: Pinned = format!("{text}@{digest}").parse().unwrap();
            assert_eq!(pinned.digest(), digest);
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in
            ["", "Web", "a//b", "a:", "a:b:c", "a:-x", "../a", "a b", "host.example:x/a", "a@sha256:00", "a\u{1b}"]
        {
            assert!(text.parse::<Tag>().is_err(), "{text}");
        }
        let pinned = format!("a@{}", Digest::of(b""));
        assert!(pinned.parse::<Tag>().unwrap_err().to_string().ends_with("is not a tag: a tag names no digest"));
        assert_eq!(
            "a:1".parse::<Pinned>().unwrap_err().to_string(),
            "`a:1` is not an image by digest: `@sha256:…` is missing"
        );
    }
}
