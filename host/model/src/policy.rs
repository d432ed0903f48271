//! `policy.toml`: whose signature is needed, and what a buildpack may do by what it is: its digest or who signed it.
//!
//! A builder says what its parts are granted; a policy is the operator's last word on that. A name alone is never enough: anybody
//! can give a buildpack any name.

pub mod explain;
pub mod grants;
pub mod record;
pub mod trust;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use self::grants::Grant;
pub use self::trust::Trust;

/// A whole `policy.toml`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Policy {
    /// Public keys by a name of the operator's own: a PEM text, or a file relative to the policy's.
    pub keys: BTreeMap<String, String>,
    /// What has to be signed by whom; the first that names a place counts. Where there are any, what none of them names is
    /// refused.
    pub trust: Vec<Trust>,
    /// What buildpacks may do beyond [`Capabilities::usual`](crate::capability::Capabilities::usual).
    pub grants: Vec<Grant>,
}

/// The largest policy that is read, in bytes.
pub const MAX_POLICY: usize = 1 << 20;
/// The most keys.
const MAX_KEYS: usize = 256;

/// Why a text is not a policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It is too long to be one.
    #[error("the policy has {0} bytes, more than the limit of {MAX_POLICY}")]
    TooLarge(usize),
    /// It is not TOML, or not of this shape.
    #[error("the policy does not follow the format of policy.toml")]
    Format(#[source] Box<toml::de::Error>),
    /// It has too many keys.
    #[error("`[keys]` has {0} keys, more than the limit of {MAX_KEYS}")]
    Keys(usize),
    /// An entry of `[[grants]]` cannot be used.
    #[error("entry {number} of `[[grants]]`: {rule}")]
    Grant {
        /// Which, from 1.
        number: usize,
        /// What is wrong with it.
        rule: String,
    },
}

impl Policy {
    /// Reads a policy, and checks what its grammar cannot say.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.len() > MAX_POLICY {
            return Err(PolicyError::TooLarge(text.len()));
        }
        let policy: Self = toml::from_str(text).map_err(|error| PolicyError::Format(Box::new(error)))?;
        if policy.keys.len() > MAX_KEYS {
            return Err(PolicyError::Keys(policy.keys.len()));
        }
        grants::check(&policy.grants, &policy.keys)?;
        Ok(policy)
    }
}
