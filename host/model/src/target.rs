//! What an image is for: operating system, architecture, variant, and the distribution of its base.

pub mod os_release;
pub mod pattern;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Operating system and architecture in OCI's words, written `linux/amd64` or `linux/arm64/v8`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Platform {
    /// Operating system, such as `linux`.
    pub os: String,
    /// Architecture in Go's words, such as `amd64`.
    pub arch: String,
    /// Architecture variant, such as `v8`.
    pub variant: Option<String>,
}

/// A text that is not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a platform: expected os/arch or os/arch/variant, such as linux/amd64", .0.escape_debug())]
pub struct InvalidPlatform(String);

impl Platform {
    /// `linux/ARCH`.
    pub fn linux(arch: &str) -> Self {
        Self { os: "linux".to_owned(), arch: arch.to_owned(), variant: None }
    }

    /// The platform of Linux containers on this machine: containers are Linux wherever they are started.
    pub fn of_this_machine() -> Self {
        Self::linux(match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        })
    }

    /// Whether something made for `self` runs on `other`: equal where both say something (buildpack spec, targets).
    pub fn serves(&self, other: &Platform) -> bool {
        let variants_agree = match (&self.variant, &other.variant) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        self.os == other.os && self.arch == other.arch && variants_agree
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.arch)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

impl FromStr for Platform {
    type Err = InvalidPlatform;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('/').collect();
        if !(2..=3).contains(&parts.len()) || !parts.iter().all(|part| is_word(part)) {
            return Err(InvalidPlatform(text.chars().take(100).collect()));
        }
        Ok(Self {
            os: parts[0].to_owned(),
            arch: parts[1].to_owned(),
            variant: parts.get(2).map(|variant| (*variant).to_owned()),
        })
    }
}

/// Whether a text can be an operating system, an architecture or a variant.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.len() <= 32 && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

impl TryFrom<String> for Platform {
    type Error = InvalidPlatform;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Platform> for String {
    fn from(platform: Platform) -> Self {
        platform.to_string()
    }
}

/// A Linux distribution as `/etc/os-release` names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distro {
    /// `ID`, such as `debian`.
    pub name: String,
    /// `VERSION_ID`, such as `12`.
    pub version: String,
}

/// What a build is for: a platform and, where the base says so, its distribution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Operating system and architecture.
    pub platform: Platform,
    /// The base image's distribution.
    pub distro: Option<Distro>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        for text in ["linux/amd64", "linux/arm64/v8", "windows/amd64"] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), text);
        }
        for text in ["", "linux", "linux/", "/amd64", "linux/amd64/v8/x", "linux/am d64"] {
            assert!(text.parse::<Platform>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_missing_variant_serves_any() {
        let any: Platform = "linux/arm64".parse().unwrap();
        let v8: Platform = "linux/arm64/v8".parse().unwrap();
        let v7: Platform = "linux/arm64/v7".parse().unwrap();
        assert!(any.serves(&v8) && v8.serves(&any));
        assert!(!v7.serves(&v8) && !any.serves(&Platform::linux("amd64")));
    }
}
