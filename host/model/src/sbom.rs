//! What is in a layer, by name and version: the plain data that bills of materials (SBOMs) are written from.
//!
//! The host knows it without asking anybody: a dependency that a buildpack unpacks is declared in its manifest, pinned and
//! verified, and a library of an app says its name itself.

use serde::{Deserialize, Serialize};

use crate::{
    dependency::{Artifact, Dependency, PackageUrl},
    digest::Digest,
};

/// One thing in a layer that has a name and a version of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Component {
    /// Its namespace, such as a Maven group id; empty where it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Its name, such as `jre` or `spring-core`.
    pub name: String,
    /// Its version; empty where it says none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// What the field's scanners know it by. Never made up: only where an ecosystem's own words say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purl: Option<PackageUrl>,
    /// SPDX licence expressions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<String>,
    /// SHA-256 of the file it came in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
}

impl Component {
    /// A declared dependency, as the artefact that was taken for the target.
    pub fn of_dependency(dependency: &Dependency, artifact: &Artifact) -> Self {
        Self {
            group: String::new(),
            name: dependency.id.clone(),
            version: dependency.version.to_string(),
            purl: Some(artifact.purl.clone()),
            licenses: dependency.licenses.clone(),
            sha256: Some(artifact.sha256),
        }
    }
}
