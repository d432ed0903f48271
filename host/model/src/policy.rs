//! `policy.toml`: whose signature is needed, and what a buildpack may do by what it is: its digest or who signed it.
//!
//! A builder says what its parts are granted; a policy is the operator's last word on that. A name alone is never enough: anybody
//! can give a buildpack any name.

pub mod trust;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::trust::Trust;
use crate::{capability::Capabilities, digest::Digest, id::BuildpackId};

/// A whole `policy.toml`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Policy {
    /// Public keys by a name of the operator's own: a PEM text, or a file relative to the policy's.
    pub keys: BTreeMap<String, String>,
    /// What has to be signed by whom; the first that names a place counts. Where there are any, what none of them names is
    /// refused.
    pub trust: Vec<Trust>,
    /// What buildpacks may do beyond [`Capabilities::usual`].
    pub grants: Vec<Grant>,
}

/// One of `[[grants]]`: of `digest` and `signer` exactly one is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Grant {
    /// The digest of the component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The name in `[keys]` of who signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// Of what that signer signs, only the buildpack of this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<BuildpackId>,
    /// What it may do.
    pub allows: Capabilities,
}

/// Why a text is not a policy.
#[derive(Debug, thiserror::Error)]
#[error("the policy does not follow the format of policy.toml")]
pub struct PolicyError(#[source] Box<toml::de::Error>);

impl Policy {
    /// Reads a policy.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        toml::from_str(text).map_err(|error| PolicyError(Box::new(error)))
    }
}
