//! Stacks (what images stand on) and stores (where buildpacks are looked for).

use serde::{Deserialize, Serialize};

use super::{Problem, builder::AccountRef, image::Metadata, reference::Reference};

/// A `ClusterStack`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stack {
    /// What it is called.
    pub metadata: Metadata,
    /// What is wished for.
    pub spec: StackSpec,
}

/// What a stack is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct StackSpec {
    /// Which stack it is: run images of the same one can be exchanged without a build.
    pub id: String,
    /// What kpack's buildpacks run in. Ours run in a sandbox of their own; it is carried for who reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_image: Option<ImageName>,
    /// What images stand on.
    pub run_image: ImageName,
    /// Whose secrets are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<AccountRef>,
}

/// An image by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageName {
    /// The name.
    pub image: Reference,
}

impl Stack {
    /// What is wrong with it.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = no_namespace(&self.metadata, "ClusterStack");
        if self.spec.id.is_empty() {
            problems.push(Problem::new("spec.id", "it is empty"));
        }
        problems
    }
}

/// A `ClusterStore`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// What it is called.
    pub metadata: Metadata,
    /// What is wished for.
    pub spec: StoreSpec,
}

/// What a store is to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct StoreSpec {
    /// Artefacts that are buildpacks.
    pub sources: Vec<ImageName>,
    /// Whose secrets are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<AccountRef>,
}

impl Store {
    /// What is wrong with it.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = no_namespace(&self.metadata, "ClusterStore");
        if self.spec.sources.is_empty() {
            problems.push(Problem::new("spec.sources", "at least one is needed"));
        }
        problems
    }
}

fn no_namespace(metadata: &Metadata, kind: &str) -> Vec<Problem> {
    let problem = || Problem::new("metadata.namespace", format!("a {kind} is of no namespace"));
    metadata.namespace.iter().map(|_| problem()).collect()
}
