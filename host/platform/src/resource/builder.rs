//! Builders: an order of buildpacks on a stack, of one namespace or of all; and what a builder came to.

use std::{collections::BTreeMap, fmt};

use semver::Version;
use serde::{Deserialize, Serialize};
use stave_model::{digest::Digest, id::BuildpackId};

use super::{
    Problem,
    image::Metadata,
    name::Name,
    order::{Entry, Pick},
    package::PackageKind,
    reference::{Pinned, Tag},
};

/// Which kind of builder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum BuilderKind {
    /// Of one namespace.
    Builder,
    /// Of all.
    #[default]
    ClusterBuilder,
}

impl fmt::Display for BuilderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Builder => "Builder",
            Self::ClusterBuilder => "ClusterBuilder",
        })
    }
}

/// `spec.builder` of an image: the cluster builder `default`, where nothing is said.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuilderRef {
    /// Which kind.
    pub kind: BuilderKind,
    /// Which of them.
    pub name: Name,
}

impl Default for BuilderRef {
    fn default() -> Self {
        Self { kind: BuilderKind::default(), name: default_name() }
    }
}

impl fmt::Display for BuilderRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// `default`.
pub(super) fn default_name() -> Name {
    "default".parse().unwrap_or_else(|_| unreachable!("it is a name"))
}

/// A `Builder` or `ClusterBuilder`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Builder {
    /// Which kind.
    pub kind: BuilderKind,
    /// What it is called. One of all namespaces has none.
    pub metadata: Metadata,
    /// What is wished for.
    pub spec: BuilderSpec,
}

/// What a builder is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct BuilderSpec {
    /// Where it is put, where it is put anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Tag>,
    /// The stack of its images.
    #[serde(default)]
    pub stack: StackRef,
    /// The lifecycle, which here is the program itself: only kpack's default may be named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Named>,
    /// The store that its buildpacks are looked for in beside cluster buildpacks; all of them, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreRef>,
    /// Groups of buildpacks that are tried in order.
    #[serde(default)]
    pub order: Vec<Group<Entry>>,
    /// More labels of the builder.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub additional_labels: BTreeMap<String, String>,
    /// Whose secrets are used, of a `Builder`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// Whose secrets are used, of a `ClusterBuilder`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<AccountRef>,
}

macro_rules! reference {
    ($(#[$doc:meta])* $name:ident, $kind:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// Its kind, of which there is one.
            #[serde(default)]
            pub kind: $kind,
            /// Its name.
            pub name: Name,
        }

        impl Default for $name {
            fn default() -> Self {
                Self { kind: $kind::default(), name: default_name() }
            }
        }

        /// The kind that is meant.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
        pub enum $kind {
            /// The only one.
            #[default]
            $kind,
        }
    };
}

reference! {
    /// Names a stack.
    StackRef, ClusterStack
}

reference! {
    /// Names a store.
    StoreRef, ClusterStore
}

/// Something by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its name.
    pub name: Name,
}

/// Names a service account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountRef {
    /// Its name.
    pub name: Name,
    /// Where it is.
    pub namespace: Name,
}

/// Buildpacks that build together: as they are wished for, or as they were found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group<M = Member> {
    /// The members, in their sequence.
    pub group: Vec<M>,
}

/// One buildpack of a group, as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Which one.
    pub id: BuildpackId,
    /// In which version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Whether the group can do without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

impl Member {
    /// `id` or `id@version`.
    pub fn title(&self) -> String {
        match &self.version {
            Some(version) => format!("{}@{version}", self.id),
            None => self.id.to_string(),
        }
    }
}

impl Builder {
    /// What is wrong with it.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let spec = &self.spec;
        if spec.order.is_empty() {
            problems.push(Problem::new("spec.order", "at least one group is needed"));
        }
        for (at, group) in spec.order.iter().enumerate() {
            if group.group.is_empty() {
                problems.push(Problem::new(format!("spec.order[{at}].group"), "at least one buildpack is needed"));
            }
            let is_amiss = |entry: &Entry| self.kind == BuilderKind::ClusterBuilder && is_of_a_namespace(entry);
            let somebodys = group.group.iter().enumerate().filter(|(_, entry)| is_amiss(entry));
            let rule = "a ClusterBuilder is of no namespace: name a ClusterBuildpack";
            problems.extend(
                somebodys.map(|(member, _)| Problem::new(format!("spec.order[{at}].group[{member}].kind"), rule)),
            );
        }
        if spec.lifecycle.as_ref().is_some_and(|lifecycle| lifecycle.name.as_str() != "default-lifecycle") {
            problems.push(Problem::new("spec.lifecycle", "the program is its own lifecycle: leave it out"));
        }
        match self.kind {
            BuilderKind::Builder if spec.service_account_ref.is_some() => {
                problems.push(Problem::new("spec.serviceAccountRef", "a Builder has a serviceAccountName"));
            }
            BuilderKind::ClusterBuilder if spec.service_account_name.is_some() => {
                problems.push(Problem::new("spec.serviceAccountName", "a ClusterBuilder has a serviceAccountRef"));
            }
            BuilderKind::ClusterBuilder if self.metadata.namespace.is_some() => {
                problems.push(Problem::new("metadata.namespace", "a ClusterBuilder is of no namespace"));
            }
            BuilderKind::Builder | BuilderKind::ClusterBuilder => {}
        }
        problems
    }
}

/// Whether an entry names what one namespace has.
fn is_of_a_namespace(entry: &Entry) -> bool {
    matches!(&entry.pick, Pick::Of { kind: PackageKind::Buildpack, .. })
}

/// A buildpack in one version; by its component's digest, where that is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildpackVersion {
    /// Its id.
    pub id: BuildpackId,
    /// Its version.
    pub version: Version,
    /// The digest of its component. A record that was taken over from elsewhere may have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Where people read about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
}

impl BuildpackVersion {
    /// `id@version`.
    pub fn title(&self) -> String {
        format!("{}@{}", self.id, self.version)
    }

    /// Whether this is the same buildpack in the same version, and the same component as far as that is known.
    pub fn is(&self, other: &Self) -> bool {
        let is_same_component = self.digest.is_none() || other.digest.is_none() || self.digest == other.digest;
        self.id == other.id && self.version == other.version && is_same_component
    }
}

/// What a builder came to: everything of it that a build takes part of, by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct BuilderRevision {
    /// The builder's own name, where it is kept anywhere. Not compared: a builder of the same parts builds the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Pinned>,
    /// The digest of its artefact, where one is kept. Not compared, for the same reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artefact: Option<Digest>,
    /// All its buildpacks.
    pub buildpacks: Vec<BuildpackVersion>,
    /// Its groups, with versions.
    pub order: Vec<Group>,
    /// What its images stand on.
    pub run_image: Pinned,
    /// Which stack that is; images are put on other run images of the same one without a build.
    pub stack_id: String,
    /// The version of the lifecycle.
    pub lifecycle: String,
}

impl BuilderRevision {
    /// Whether two builders are made of the same, wherever they are kept.
    pub fn is_made_of_the_same(&self, other: &Self) -> bool {
        let parts = |one: &Self| Self { image: None, artefact: None, ..one.clone() };
        parts(self) == parts(other)
    }
}
