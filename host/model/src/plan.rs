//! The build plan: what buildpacks provide and require, and how the two are matched.
//!
//! The rules are those of the buildpack specification ("Phase #1: Detection") as the lifecycle carries them out: options
//! are tried depth first, left to right; a requirement is met by a provider at the same or an earlier place; something
//! provided that nobody requires, or required and not provided, removes an optional buildpack and fails the trial
//! otherwise. [`resolve`] answers with the reason for every trial that failed.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// The most alternatives one buildpack may offer.
pub const MAX_ALTERNATIVES: usize = 32;
/// The most trials that are made: the product of all members' alternatives.
const MAX_TRIALS: usize = 10_000;

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

/// One thing that made a trial fail.
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
        match self {
            Self::Unmet { who, name } => {
                write!(f, "{who} requires `{}`, which no buildpack up to it provides", name.escape_debug())
            }
            Self::Unused { who, name } => {
                write!(f, "{who} provides `{}`, which no buildpack from it on requires", name.escape_debug())
            }
        }
    }
}

/// Why no plan was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unresolved<T> {
    /// Nobody is left to take part.
    Nobody,
    /// There are more combinations of alternatives than are tried.
    TooMany,
    /// Every trial failed; these are the first trial's reasons.
    Mismatched(Vec<Mismatch<T>>),
}

/// Finds the first combination of alternatives in which everything fits.
pub fn resolve<T: Clone>(candidates: &[Candidate<T>]) -> Result<Plan<T>, Unresolved<T>> {
    let options: Vec<Vec<Choice<'_, T>>> = candidates.iter().map(options_of).collect();
    let trials = options.iter().try_fold(1usize, |product, o| product.checked_mul(o.len()));
    let trials = trials.filter(|n| *n <= MAX_TRIALS).ok_or(Unresolved::TooMany)?;
    let mut first_failure = None;
    for number in 0..trials {
        // The last candidate's alternatives vary fastest.
        let mut rest = number;
        let mut trial: Vec<Choice<'_, T>> = Vec::with_capacity(options.len());
        for choices in options.iter().rev() {
            trial.push(choices[rest % choices.len()]);
            rest /= choices.len();
        }
        trial.reverse();
        match try_one(trial) {
            Ok(plan) => return Ok(plan),
            Err(reasons) => first_failure = first_failure.or(Some(reasons)),
        }
    }
    match first_failure {
        Some(reasons) if !reasons.is_empty() => Err(Unresolved::Mismatched(reasons)),
        _ => Err(Unresolved::Nobody),
    }
}

/// A candidate with one of its alternatives chosen.
struct Choice<'a, T> {
    who: &'a T,
    optional: bool,
    alternative: &'a Alternative,
}

impl<T> Clone for Choice<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Choice<'_, T> {}

static NEITHER: Alternative = Alternative { provides: Vec::new(), requires: Vec::new() };

/// Only the last alternative of an optional buildpack lets it drop out; with the others it must fit.
fn options_of<T>(candidate: &Candidate<T>) -> Vec<Choice<'_, T>> {
    let alternatives: Vec<&Alternative> = match candidate.alternatives.as_slice() {
        [] => vec![&NEITHER],
        some => some.iter().take(MAX_ALTERNATIVES).collect(),
    };
    let last = alternatives.len() - 1;
    let option = |(index, alternative)| Choice {
        who: &candidate.who,
        optional: candidate.optional && index == last,
        alternative,
    };
    alternatives.into_iter().enumerate().map(option).collect()
}

#[derive(Default)]
struct Matching {
    providers: Vec<usize>,
    pending: Vec<usize>,
    requires: Vec<Requirement>,
    unmet: Vec<usize>,
}

/// Matches one trial, dropping optional members that do not fit until nothing changes.
fn try_one<T: Clone>(mut trial: Vec<Choice<'_, T>>) -> Result<Plan<T>, Vec<Mismatch<T>>> {
    let mut dropped = Vec::new();
    loop {
        let names = match_names(&trial);
        let mut misfits: BTreeMap<usize, Vec<Mismatch<T>>> = BTreeMap::new();
        for (name, matching) in &names {
            for &at in &matching.unmet {
                let mismatch = Mismatch::Unmet { who: trial[at].who.clone(), name: name.clone() };
                misfits.entry(at).or_default().push(mismatch);
            }
            for &at in &matching.pending {
                let mismatch = Mismatch::Unused { who: trial[at].who.clone(), name: name.clone() };
                misfits.entry(at).or_default().push(mismatch);
            }
        }
        let required: Vec<Mismatch<T>> =
            misfits.iter().filter(|(at, _)| !trial[**at].optional).flat_map(|(_, m)| m.iter().cloned()).collect();
        if !required.is_empty() {
            return Err(required);
        }
        if misfits.is_empty() {
            if trial.is_empty() {
                return Err(dropped);
            }
            let entry = |(name, m): (String, Matching)| Entry { name, providers: m.providers, requires: m.requires };
            let members = trial.iter().map(|option| option.who.clone()).collect();
            return Ok(Plan { members, entries: names.into_iter().map(entry).collect() });
        }
        let mut at = 0;
        trial.retain(|_| {
            at += 1;
            !misfits.contains_key(&(at - 1))
        });
        dropped.extend(misfits.into_values().flatten());
    }
}

fn match_names<T>(trial: &[Choice<'_, T>]) -> BTreeMap<String, Matching> {
    let mut names: BTreeMap<String, Matching> = BTreeMap::new();
    for (at, option) in trial.iter().enumerate() {
        for name in &option.alternative.provides {
            names.entry(name.clone()).or_default().pending.push(at);
        }
        for requirement in &option.alternative.requires {
            let matching = names.entry(requirement.name.clone()).or_default();
            let pending = std::mem::take(&mut matching.pending);
            matching.providers.extend(pending);
            if matching.providers.is_empty() {
                matching.unmet.push(at);
            } else {
                matching.requires.push(requirement.clone());
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `+x` provides x, `-x` requires x, `|` separates alternatives; a `?` first makes it optional.
    fn candidate(who: &'static str, text: &str) -> Candidate<&'static str> {
        let (optional, text) = text.strip_prefix('?').map_or((false, text), |rest| (true, rest));
        let alternative = |part: &str| {
            let mut alternative = Alternative::default();
            for word in part.split_whitespace() {
                match word.split_at(1) {
                    ("+", name) => alternative.provides.push(name.to_owned()),
                    (_, name) => {
                        alternative.requires.push(Requirement { name: name.to_owned(), metadata: BTreeMap::new() });
                    }
                }
            }
            alternative
        };
        Candidate { who, optional, alternatives: text.split('|').map(alternative).collect() }
    }

    fn outcome(group: &[(&'static str, &str)]) -> String {
        let candidates: Vec<_> = group.iter().map(|(who, text)| candidate(who, text)).collect();
        match resolve(&candidates) {
            Ok(plan) => {
                let entry = |e: &Entry| {
                    let providers: Vec<&str> = e.providers.iter().map(|at| plan.members[*at]).collect();
                    format!("{}={}*{}", e.name, providers.join("+"), e.requires.len())
                };
                let entries: Vec<String> = plan.entries.iter().map(entry).collect();
                format!("{}: {}", plan.members.join(" "), entries.join(" ")).trim_end().to_owned()
            }
            Err(Unresolved::Mismatched(reasons)) => {
                reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
            }
            Err(Unresolved::Nobody) => "nobody".to_owned(),
            Err(Unresolved::TooMany) => "too many".to_owned(),
        }
    }

    #[test]
    fn matches_as_the_specification_says() {
        for (group, expected) in [
            (&[("a", "")][..], "a:"),
            (&[("a", "+x -x")], "a: x=a*1"),
            (&[("a", "+x"), ("b", "-x")], "a b: x=a*1"),
            (
                &[("a", "-x"), ("b", "+x")],
                "a requires `x`, which no buildpack up to it provides; b provides `x`, which no buildpack from it on requires",
            ),
            (&[("a", "+x"), ("b", "")], "a provides `x`, which no buildpack from it on requires"),
            (&[("a", "?+x"), ("b", "")], "b:"),
            (
                &[("a", "?+x"), ("b", "?-y")],
                "a provides `x`, which no buildpack from it on requires; b requires `y`, which no buildpack up to it provides",
            ),
            // Dropping b leaves a's x unused, so a goes as well.
            (&[("a", "?+x"), ("b", "?-x -y"), ("c", "")], "c:"),
            (&[("a", "+x"), ("b", "+x"), ("c", "-x -x")], "a b c: x=a+b*2"),
            // The first alternative of an optional one must fit; only the last lets it drop out.
            (&[("a", "?+x|+y"), ("b", "-y")], "a b: y=a*1"),
            (&[("a", "?+x|+y"), ("b", "")], "b:"),
            (&[("a", "+jdk +jre|+jdk|+jre"), ("b", "-jre")], "a b: jre=a*1"),
            (&[], "nobody"),
        ] {
            assert_eq!(outcome(group), expected, "{group:?}");
        }
    }

    #[test]
    fn a_flood_of_alternatives_is_not_tried() {
        let many = vec!["+x"; 32].join("|");
        assert_eq!(outcome(&[("a", &many), ("b", &many), ("c", &many)]), "too many");
    }

    #[test]
    fn what_is_met_is_given_once() {
        let plan = resolve(&[candidate("a", "+x"), candidate("b", "+x"), candidate("c", "-x")]).unwrap();
        assert_eq!(plan.requirements_for(0, &[]).len(), 1);
        assert_eq!(plan.requirements_for(1, &[]).len(), 1, "not met yet: the next provider gets it too");
        assert_eq!(plan.requirements_for(1, &["x".to_owned()]).len(), 0);
    }
}
