//! What the entries of an order name: a buildpack by its id, wherever one has it; or what is in one `Buildpack` or
//! `ClusterBuildpack`.

use semver::Version;
use serde::{Deserialize, Serialize};
use stave_model::id::BuildpackId;

use super::{
    builder::{BuildpackVersion, Member},
    name::Name,
    package::PackageKind,
};

/// One entry of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Entry {
    /// What it names.
    pub pick: Pick,
    /// Whether the group can do without it.
    pub optional: bool,
}

/// What an entry names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    /// A buildpack, wherever it is; the highest version there is, where none is said.
    Anywhere {
        /// Which one.
        id: BuildpackId,
        /// In which version.
        version: Option<Version>,
    },
    /// The buildpack of a resource; it has to be the one that is said, if one is.
    Of {
        /// The resource's kind.
        kind: PackageKind,
        /// Its name.
        name: Name,
        /// Which one.
        id: Option<BuildpackId>,
        /// In which version.
        version: Option<Version>,
    },
}

impl Pick {
    /// Whether a buildpack is one that is meant.
    pub fn fits(&self, one: &BuildpackVersion) -> bool {
        let (id, version) = match self {
            Self::Anywhere { id, version } => (Some(id), version),
            Self::Of { id, version, .. } => (id.as_ref(), version),
        };
        id.is_none_or(|id| *id == one.id) && version.as_ref().is_none_or(|version| *version == one.version)
    }
}

/// An entry as it is written: any of these may be missing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<PackageKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<BuildpackId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<Version>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    optional: bool,
}

/// An entry of which it cannot be told what it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Nameless {
    /// It has nothing.
    #[error("it names no buildpack: write its `id`, or `kind` and `name` of a Buildpack or ClusterBuildpack")]
    Nothing,
    /// It has a kind alone.
    #[error("it has a `kind` and no `name`")]
    NoName,
    /// It has a name alone.
    #[error("it has a `name` and no `kind`: write Buildpack or ClusterBuildpack")]
    NoKind,
}

impl TryFrom<Written> for Entry {
    type Error = Nameless;

    fn try_from(written: Written) -> Result<Self, Nameless> {
        let Written { kind, name, id, version, optional } = written;
        let pick = match (kind, name, id) {
            (Some(kind), Some(name), id) => Pick::Of { kind, name, id, version },
            (None, None, Some(id)) => Pick::Anywhere { id, version },
            (Some(_), None, _) => return Err(Nameless::NoName),
            (None, Some(_), _) => return Err(Nameless::NoKind),
            (None, None, None) => return Err(Nameless::Nothing),
        };
        Ok(Self { pick, optional })
    }
}

impl From<Entry> for Written {
    fn from(entry: Entry) -> Self {
        let optional = entry.optional;
        match entry.pick {
            Pick::Anywhere { id, version } => Self { kind: None, name: None, id: Some(id), version, optional },
            Pick::Of { kind, name, id, version } => Self { kind: Some(kind), name: Some(name), id, version, optional },
        }
    }
}

impl From<Member> for Entry {
    fn from(Member { id, version, optional }: Member) -> Self {
        Self { pick: Pick::Anywhere { id, version }, optional }
    }
}
