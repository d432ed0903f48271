//! Buildpacks as resources of their own: one artefact each, of one namespace or of all.
//!
//! A store with a source that cannot be read is not ready as a whole; of these, each stands for itself.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Problem, builder::AccountRef, image::Metadata, name::Name, reference::Reference};

/// Which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PackageKind {
    /// Of one namespace.
    Buildpack,
    /// Of all.
    ClusterBuildpack,
}

impl fmt::Display for PackageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Buildpack => "Buildpack",
            Self::ClusterBuildpack => "ClusterBuildpack",
        })
    }
}

/// Which one: one of a namespace, or of all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackageKey {
    /// Whose, if it is somebody's.
    pub namespace: Option<Name>,
    /// What it is called.
    pub name: Name,
}

impl PackageKey {
    /// Which kind it is.
    pub fn kind(&self) -> PackageKind {
        if self.namespace.is_some() { PackageKind::Buildpack } else { PackageKind::ClusterBuildpack }
    }

    /// Whether builders of a namespace, or those of all, may take from it.
    pub fn is_seen_by(&self, namespace: Option<&Name>) -> bool {
        self.namespace.is_none() || self.namespace.as_ref() == namespace
    }
}

/// `ClusterBuildpack java`, `Buildpack team-a/java`.
impl fmt::Display for PackageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind(), self.name),
            None => write!(f, "{} {}", self.kind(), self.name),
        }
    }
}

/// A `Buildpack` or `ClusterBuildpack`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Which kind.
    pub kind: PackageKind,
    /// What it is called. One of all namespaces has none.
    pub metadata: Metadata,
    /// What is wished for.
    pub spec: PackageSpec,
}

/// Where a buildpack is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PackageSpec {
    /// The artefact that is a buildpack.
    pub image: Reference,
    /// Whose secrets are used to read it, of a `Buildpack`; those of `default`, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<Name>,
    /// Whose secrets are used to read it, of a `ClusterBuildpack`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<AccountRef>,
}

impl Package {
    /// What it is known by. One of a namespace that does not say which is of `default`.
    pub fn key(&self) -> PackageKey {
        let namespace = match self.kind {
            PackageKind::Buildpack => {
                Some(self.metadata.namespace.clone().unwrap_or_else(super::builder::default_name))
            }
            PackageKind::ClusterBuildpack => None,
        };
        PackageKey { namespace, name: self.metadata.name.clone() }
    }

    /// What is wrong with it.
    pub fn problems(&self) -> Vec<Problem> {
        let (mut problems, spec) = (Vec::new(), &self.spec);
        match self.kind {
            PackageKind::Buildpack if spec.service_account_ref.is_some() => {
                problems.push(Problem::new("spec.serviceAccountRef", "a Buildpack has a serviceAccountName"));
            }
            PackageKind::Buildpack => {}
            PackageKind::ClusterBuildpack => {
                if spec.service_account_name.is_some() {
                    let rule = "a ClusterBuildpack has a serviceAccountRef";
                    problems.push(Problem::new("spec.serviceAccountName", rule));
                }
                if self.metadata.namespace.is_some() {
                    problems.push(Problem::new("metadata.namespace", "a ClusterBuildpack is of no namespace"));
                }
            }
        }
        problems
    }
}
