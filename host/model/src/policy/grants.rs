//! What a policy lets a component do: by its digest, or by who signed it; never by a name alone, which anybody can take.
//!
//! A builder's grants count as far as the policy goes along with them. What is withheld is told with the lines that would lift
//! it, in the file where they belong: the builder's, the policy's, or both.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Policy, PolicyError, record::Withholder};
use crate::{
    capability::{Capabilities, Excess, Interface, lines},
    digest::Digest,
    id::BuildpackId,
};

/// The most entries of `[[grants]]`.
const MAX_GRANTS: usize = 1000;
/// The most names and patterns of one entry, and the most bytes of one of them.
const MAX_NAMES: usize = 1000;
const MAX_NAME: usize = 256;

/// One of `[[grants]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawGrant", into = "RawGrant")]
pub struct Grant {
    /// Which components it is for.
    pub whose: Whose,
    /// Of these, only the buildpack of this id.
    pub id: Option<BuildpackId>,
    /// What they may do.
    pub allows: Capabilities,
}

/// Which components an entry is for: exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whose {
    /// The one with this digest.
    Digest(Digest),
    /// All that were signed with the key of this name.
    Signer(String),
}

/// The keys of `[[grants]]`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGrant {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<BuildpackId>,
    #[serde(default)]
    interfaces: BTreeSet<Interface>,
    #[serde(default)]
    ecosystems: BTreeSet<String>,
    #[serde(default)]
    settings: BTreeSet<String>,
    #[serde(default)]
    bindings: BTreeSet<String>,
    #[serde(default)]
    hosts: BTreeSet<String>,
}

/// An entry that is for nobody, or for two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an entry of `[[grants]]` has either a `digest` or a `signer`; an `id` beside it only narrows it")]
pub struct InvalidGrant;

impl TryFrom<RawGrant> for Grant {
    type Error = InvalidGrant;

    fn try_from(raw: RawGrant) -> Result<Self, Self::Error> {
        let RawGrant { digest, signer, id, interfaces, ecosystems, settings, bindings, hosts } = raw;
        let whose = match (digest, signer) {
            (Some(digest), None) => Whose::Digest(digest),
            (None, Some(signer)) => Whose::Signer(signer),
            _ => return Err(InvalidGrant),
        };
        Ok(Self { whose, id, allows: Capabilities { interfaces, ecosystems, settings, bindings, hosts } })
    }
}

impl From<Grant> for RawGrant {
    fn from(Grant { whose, id, allows }: Grant) -> Self {
        let (digest, signer) = match whose {
            Whose::Digest(digest) => (Some(digest), None),
            Whose::Signer(signer) => (None, Some(signer)),
        };
        let Capabilities { interfaces, ecosystems, settings, bindings, hosts } = allows;
        Self { digest, signer, id, interfaces, ecosystems, settings, bindings, hosts }
    }
}

/// Checks what the grammar cannot say: signers are keys, hosts are hosts, and nothing is without end.
pub(super) fn check(grants: &[Grant], keys: &BTreeMap<String, String>) -> Result<(), PolicyError> {
    for (index, Grant { whose, allows, .. }) in grants.iter().enumerate() {
        let short = |name: &str| name.chars().take(100).collect::<String>().escape_debug().to_string();
        let rule = if index >= MAX_GRANTS {
            format!("there are at most {MAX_GRANTS}")
        } else if let Whose::Signer(signer) = whose
            && !keys.contains_key(signer)
        {
            format!("its signer `{}` is not in `[keys]`", short(signer))
        } else if allows.names().count() > MAX_NAMES || allows.names().any(|name| name.len() > MAX_NAME) {
            format!("it has more than {MAX_NAMES} names, or one of more than {MAX_NAME} bytes")
        } else if let Some(host) = allows.hosts.iter().find(|host| !is_host(host)) {
            format!("`{}` is neither a host nor `*.` and the end of one, without port and path", short(host))
        } else {
            continue;
        };
        return Err(PolicyError::Grant { number: index + 1, rule });
    }
    Ok(())
}

fn is_host(pattern: &str) -> bool {
    let host = pattern.strip_prefix("*.").unwrap_or(pattern);
    let is_address = host.starts_with('[') && host.ends_with(']');
    !host.is_empty() && (is_address || host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b)))
}

/// The most that a policy lets a component do, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceiling {
    /// [`Capabilities::usual`], and what the entries that are for it allow.
    pub allows: Capabilities,
    /// These entries, in the policy's sequence.
    pub entries: Vec<Entry>,
}

/// An entry that is for a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which of `[[grants]]`, from 1.
    pub number: usize,
    /// What it says.
    pub grant: Grant,
}

impl Policy {
    /// The most that a component may do. `signers` are the names of the keys whose signatures of it were checked.
    pub fn ceiling(&self, component: &Digest, signers: &BTreeSet<String>, id: &BuildpackId) -> Ceiling {
        let is_for = |grant: &Grant| {
            let is_whose = match &grant.whose {
                Whose::Digest(digest) => digest == component,
                Whose::Signer(signer) => signers.contains(signer),
            };
            is_whose && grant.id.as_ref().is_none_or(|only| only == id)
        };
        let numbered = self.grants.iter().enumerate().filter(|(_, grant)| is_for(grant));
        let entries: Vec<Entry> =
            numbered.map(|(index, grant)| Entry { number: index + 1, grant: grant.clone() }).collect();
        let allows = entries.iter().fold(Capabilities::usual(), |all, entry| all.join(&entry.grant.allows));
        Ceiling { allows, entries }
    }
}

/// A policy's part in what a component may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The policy's file, fit for a message.
    pub policy: String,
    /// The component's digest, for the lines that would lift it.
    pub component: Digest,
    /// The most that it may do.
    pub ceiling: Ceiling,
}

/// What a buildpack may do, and who withholds the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    builder: Capabilities,
    limit: Option<Limit>,
    may: Capabilities,
}

impl From<&Capabilities> for Allowance {
    /// What a builder grants, where there is no policy.
    fn from(grants: &Capabilities) -> Self {
        Self { builder: grants.clone(), limit: None, may: grants.clone() }
    }
}

impl From<&Allowance> for Allowance {
    fn from(allowance: &Allowance) -> Self {
        allowance.clone()
    }
}

impl Allowance {
    /// What a builder grants, as far as a policy goes along with it.
    pub fn within(grants: &Capabilities, limit: Limit) -> Self {
        let may = grants.meet(&limit.ceiling.allows);
        Self { builder: grants.clone(), limit: Some(limit), may }
    }

    /// The same, together with what every buildpack has.
    #[must_use]
    pub fn with_always(self) -> Self {
        Self { builder: self.builder.with_always(), may: self.may.with_always(), limit: self.limit }
    }

    /// What it may do.
    pub fn may(&self) -> &Capabilities {
        &self.may
    }

    /// The policy's part in it, if there is a policy.
    pub fn limit(&self) -> Option<&Limit> {
        self.limit.as_ref()
    }

    /// Who withholds something that it may not do.
    pub fn withholder(&self, wanted: &Excess) -> Withholder {
        let by_policy = self.limit.as_ref().is_some_and(|limit| !limit.ceiling.allows.allows(wanted));
        match (self.builder.allows(wanted), by_policy) {
            (true, _) => Withholder::Policy,
            (false, true) => Withholder::Both,
            (false, false) => Withholder::Builder,
        }
    }

    /// The policy that withholds all of this alone, if one does.
    pub fn policy_alone(&self, missing: &[Excess]) -> Option<&str> {
        let alone = missing.iter().all(|one| self.withholder(one) == Withholder::Policy);
        self.limit.as_ref().filter(|_| alone).map(|limit| limit.policy.as_str())
    }

    /// What lifts a refusal of all this: the lines to add, and where. `whom` is what the buildpack is called in the sentence.
    pub fn remedy(&self, whom: &str, missing: &[Excess]) -> String {
        let by = |who: &[Withholder]| -> Vec<Excess> {
            missing.iter().filter(|one| who.contains(&self.withholder(one))).cloned().collect()
        };
        let to_builder = lines(&by(&[Withholder::Builder, Withholder::Both])).join(", ");
        let to_policy = lines(&by(&[Withholder::Policy, Withholder::Both]));
        let to_builder = (!to_builder.is_empty()).then(|| format!("adds {to_builder} to its `grants` in the builder"));
        let to_policy = self.limit.as_ref().filter(|_| !to_policy.is_empty()).map(|limit| {
            let Limit { policy, component, .. } = limit;
            format!("adds to {policy}:\n[[grants]]\ndigest = \"{component}\"\n{}", to_policy.join("\n"))
        });
        let both = to_builder.into_iter().chain(to_policy).collect::<Vec<_>>();
        format!("whoever trusts {whom} {}", both.join(", and "))
    }
}
