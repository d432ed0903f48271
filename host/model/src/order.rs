//! Groups of buildpacks that are tried in order until one takes the app, and what stands for more of them: composites, which
//! are orders with a name, and system buildpacks, which are in every group.

pub mod groups;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::id::{BuildpackId, ExecEnv};

/// `[[order]]`: the first group that takes the app builds it.
pub type Order = Vec<Group>;

/// `[[order.group]]`: buildpacks that build together, in this sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The members.
    pub group: Vec<Member>,
}

/// One buildpack of a group, or a composite.
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
    /// Execution environments in which the group has it; all, when empty.
    #[serde(default, rename = "exec-env", skip_serializing_if = "Vec::is_empty")]
    pub exec_env: Vec<ExecEnv>,
}

impl Member {
    /// As the order names it: id, or id@version.
    pub fn title(&self) -> String {
        title(&self.id, self.version.as_ref())
    }

    /// Whether this is what it names.
    fn names(&self, id: &BuildpackId, version: Option<&Version>) -> bool {
        self.id == *id && self.version.as_ref().is_none_or(|ours| Some(ours) == version)
    }
}

/// `[[composites]]`: an order with a name. A member that has this name stands for each of its groups in turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Composite {
    /// Its id. No buildpack has the same.
    pub id: BuildpackId,
    /// Its version, where there are several of that id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Its groups.
    pub order: Order,
}

impl Composite {
    /// Id, or id@version.
    pub fn title(&self) -> String {
        title(&self.id, self.version.as_ref())
    }
}

/// `[system]`: buildpacks that every group of the order has, unless it names them itself (buildpack specification, "System
/// Buildpacks").
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct System {
    /// Before the group's own members.
    pub pre: SystemMembers,
    /// After them.
    pub post: SystemMembers,
}

impl System {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// `[system.pre]` or `[system.post]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SystemMembers {
    /// The members.
    pub buildpacks: Vec<Member>,
}

/// Everything that says which buildpacks are tried together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// The order.
    pub order: Order,
    /// What its members may name beside buildpacks.
    pub composites: Vec<Composite>,
    /// What all its groups have.
    pub system: System,
}

impl From<Order> for Selection {
    fn from(order: Order) -> Self {
        Self { order, ..Self::default() }
    }
}

fn title(id: &BuildpackId, version: Option<&Version>) -> String {
    let version = version.map(|version| format!("@{version}")).unwrap_or_default();
    format!("{id}{version}")
}
