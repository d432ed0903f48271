//! The build plan: what buildpacks provide and require, and how the two are matched.
//!
//! The rules are those of the buildpack specification ("Phase #1: Detection") as the lifecycle carries them out: options
//! are tried depth first, left to right; a requirement is met by a provider at the same or an earlier place; something
//! provided that nobody requires, or required and not provided, removes an optional buildpack and fails the trial
//! otherwise. [`resolve`] answers with the reason for every trial that failed.

mod matching;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

pub use self::matching::resolve;

/// The most alternatives one buildpack may offer.
pub const MAX_ALTERNATIVES: usize = 32;
/// The most trials that are made for one group: the product of all members' alternatives may be astronomic.
pub const MAX_TRIALS: usize = 10_000;
/// The most failed trials of which the reasons are kept.
pub const MAX_KEPT_TRIALS: usize = 50;

/// How many characters of a name an explanation shows.
const MAX_SHOWN: usize = 100;

/// A `requires` with its metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// The name that a `provides` must match.
    pub name: String,
    /// Details for whoever provides it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// One way in which a buildpack could take part.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Alternative {
    /// Names that it would provide.
    #[serde(default)]
    pub provides: Vec<String>,
    /// What it would need.
    #[serde(default)]
    pub requires: Vec<Requirement>,
}

/// A buildpack that passed detection, as the plan sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<T> {
    /// Who it is; carried through.
    pub who: T,
    /// Whether the group can do without it.
    pub optional: bool,
    /// Its alternatives in order; none is the same as one that neither provides nor requires.
    pub alternatives: Vec<Alternative>,
}

/// One name of a resolved plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// Who provides it: places in [`Plan::members`].
    pub providers: Vec<usize>,
    /// What was required of it, in order.
    pub requires: Vec<Requirement>,
}

/// A plan in which every requirement is met and everything provided is required.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan<T> {
    /// Who takes part, in order.
    pub members: Vec<T>,
    /// Names, sorted.
    pub entries: Vec<Entry>,
}

impl<T> Plan<T> {
    /// The requirements that member `index` is given: those of every entry that it provides and nobody before it met.
    pub fn requirements_for(&self, index: usize, met: &[String]) -> Vec<Requirement> {
        let open = self.entries.iter().filter(|entry| entry.providers.contains(&index) && !met.contains(&entry.name));
        open.flat_map(|entry| entry.requires.iter().cloned()).collect()
    }
}

/// Something that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mismatch<T> {
    /// Required, and provided by nobody at the same or an earlier place.
    Unmet {
        /// Who requires it.
        who: T,
        /// What.
        name: String,
    },
    /// Provided, and required by nobody at the same or a later place.
    Unused {
        /// Who provides it.
        who: T,
        /// What.
        name: String,
    },
}

impl<T: fmt::Display> fmt::Display for Mismatch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |name: &str| name.chars().take(MAX_SHOWN).collect::<String>().escape_debug().to_string();
        match self {
            Self::Unmet { who, name } => {
                write!(f, "{who} requires `{}`, which no buildpack up to it provides", shown(name))
            }
            Self::Unused { who, name } => {
                write!(f, "{who} provides `{}`, which no buildpack from it on requires", shown(name))
            }
        }
    }
}

/// One combination of alternatives that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial<T> {
    /// Which alternative each candidate took: places in [`Candidate::alternatives`].
    pub ways: Vec<usize>,
    /// Why optional candidates were dropped, in the sequence in which they were.
    pub dropped: Vec<Mismatch<T>>,
    /// Why the trial failed. Nothing, if it did not, or if everybody was dropped.
    pub misfits: Vec<Mismatch<T>>,
}

/// What became of a group's candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution<T> {
    /// The plan of the first combination in which everything fits.
    pub plan: Option<Plan<T>>,
    /// What was tried, in sequence: the first [`MAX_KEPT_TRIALS`] that failed, and the one that did not.
    pub trials: Vec<Trial<T>>,
    /// How many were tried; none where there was no candidate.
    pub tried: usize,
    /// Whether combinations are left that were not tried, because they are too many.
    pub cut_short: bool,
}

/// How much may be spent on trials; what many groups offer together is bounded by sharing it.
#[derive(Debug, Clone)]
pub struct Effort {
    /// Names that are still looked at.
    names: usize,
}

impl Default for Effort {
    /// A fraction of a second on any machine.
    fn default() -> Self {
        Self { names: 20_000_000 }
    }
}
