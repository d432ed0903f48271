//! Groups of buildpacks that are tried in order until one takes the app.

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::id::BuildpackId;

/// `[[order]]`: the first group that takes the app builds it.
pub type Order = Vec<Group>;

/// `[[order.group]]`: buildpacks that build together, in this sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The members.
    pub group: Vec<Member>,
}

/// One buildpack of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Which one.
    pub id: BuildpackId,
    /// In which version; the only one there is, when none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Whether the group can do without it.
    #[serde(default)]
    pub optional: bool,
}
