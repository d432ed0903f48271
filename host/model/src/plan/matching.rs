//! Tries the combinations of what candidates offer.
//!
//! Names are numbered once, in their order, so that a trial compares no texts: there may be thousands of trials.

use std::collections::BTreeMap;

use super::{Alternative, Candidate, Effort, Entry, MAX_KEPT_TRIALS, MAX_TRIALS, Mismatch, Plan, Resolution, Trial};

/// Finds the first combination of alternatives in which everything fits. The last candidate's alternatives vary fastest.
pub fn resolve<T: Clone>(candidates: &[Candidate<T>], effort: &mut Effort) -> Resolution<T> {
    let mut resolution = Resolution { plan: None, trials: Vec::new(), tried: 0, cut_short: false };
    if candidates.is_empty() {
        return resolution;
    }
    let table = Table::new(candidates);
    let mut names = vec![Matching::default(); table.names.len()];
    let mut ways = vec![0; candidates.len()];
    loop {
        if resolution.tried == MAX_TRIALS || !table.can_afford(&ways, effort) {
            resolution.cut_short = true;
            return resolution;
        }
        resolution.tried += 1;
        let Tried { mut trial, plan } = table.try_one(&ways, &mut names, effort);
        let fits = plan.is_some();
        if fits || resolution.trials.len() < MAX_KEPT_TRIALS {
            trial.ways.clone_from(&ways);
            resolution.trials.push(trial);
        }
        resolution.plan = plan;
        if fits || !table.advance(&mut ways) {
            return resolution;
        }
    }
}

/// What all trials look at.
struct Table<'a, T> {
    candidates: &'a [Candidate<T>],
    /// Sorted.
    names: Vec<&'a str>,
    /// For each candidate, its alternatives.
    options: Vec<Vec<Choice<'a>>>,
}

/// An alternative of a candidate, its names as places in [`Table::names`].
struct Choice<'a> {
    /// Whether the candidate may drop out with this one.
    optional: bool,
    alternative: &'a Alternative,
    provides: Vec<usize>,
    requires: Vec<usize>,
}

/// A member of a trial: the place of the candidate, and what it chose.
type Member<'a> = (usize, &'a Choice<'a>);

static NEITHER: Alternative = Alternative { provides: Vec::new(), requires: Vec::new() };

impl Choice<'_> {
    /// What it costs to look at it.
    fn cost(&self) -> usize {
        1 + self.provides.len() + self.requires.len()
    }
}

/// What a trial knows of one name.
#[derive(Clone, Default)]
struct Matching {
    providers: Vec<usize>,
    pending: Vec<usize>,
    unmet: Vec<usize>,
}

impl Matching {
    fn clear(&mut self) {
        self.providers.clear();
        self.pending.clear();
        self.unmet.clear();
    }
}

struct Tried<T> {
    trial: Trial<T>,
    plan: Option<Plan<T>>,
}

impl<'a, T: Clone> Table<'a, T> {
    fn new(candidates: &'a [Candidate<T>]) -> Self {
        let all = candidates.iter().flat_map(|candidate| &candidate.alternatives);
        let texts = |a: &'a Alternative| {
            a.provides.iter().map(String::as_str).chain(a.requires.iter().map(|requirement| requirement.name.as_str()))
        };
        let mut numbers: BTreeMap<&str, usize> = all.flat_map(texts).map(|name| (name, 0)).collect();
        numbers.values_mut().enumerate().for_each(|(number, value)| *value = number);
        let options = candidates.iter().map(|candidate| options_of(candidate, &numbers)).collect();
        Self { candidates, names: numbers.into_keys().collect(), options }
    }

    /// The next combination, as a counter counts whose last digit is the last candidate's. False after the last one.
    fn advance(&self, ways: &mut [usize]) -> bool {
        for (way, choices) in ways.iter_mut().zip(&self.options).rev() {
            *way += 1;
            if *way < choices.len() {
                return true;
            }
            *way = 0;
        }
        false
    }

    fn chosen(&self, ways: &[usize]) -> impl Iterator<Item = &Choice<'a>> {
        ways.iter().zip(&self.options).map(|(way, choices)| &choices[*way])
    }

    /// Whether a trial of this combination, without dropping anybody, is within what may be spent.
    fn can_afford(&self, ways: &[usize], effort: &Effort) -> bool {
        let cost: usize = self.chosen(ways).map(Choice::cost).sum();
        cost <= effort.names
    }

    /// Matches one combination, dropping optional members that do not fit until nothing changes.
    fn try_one(&self, ways: &[usize], names: &mut [Matching], effort: &mut Effort) -> Tried<T> {
        let mut members: Vec<Member<'_>> = self.chosen(ways).enumerate().collect();
        let mut trial = Trial { ways: Vec::new(), dropped: Vec::new(), misfits: Vec::new() };
        loop {
            let cost: usize = members.iter().map(|(_, choice)| choice.cost()).sum();
            effort.names = effort.names.saturating_sub(cost);
            let touched = match_names(&members, names);
            let misfits = self.misfits(&members, names, &touched);
            let needed: Vec<Mismatch<T>> = misfits
                .iter()
                .filter(|(at, _)| !members[**at].1.optional)
                .flat_map(|(_, misfits)| misfits.iter().cloned())
                .collect();
            let plan = (misfits.is_empty() && !members.is_empty()).then(|| self.plan(&members, names, &touched));
            for name in touched {
                names[name].clear();
            }
            if !needed.is_empty() {
                trial.misfits = needed;
                return Tried { trial, plan: None };
            }
            if misfits.is_empty() {
                return Tried { trial, plan };
            }
            let mut at = 0;
            members.retain(|_| {
                at += 1;
                !misfits.contains_key(&(at - 1))
            });
            trial.dropped.extend(misfits.into_values().flatten());
        }
    }

    /// What does not fit, by the place of the member that it is about.
    fn misfits(
        &self,
        members: &[Member<'_>],
        names: &[Matching],
        touched: &[usize],
    ) -> BTreeMap<usize, Vec<Mismatch<T>>> {
        let mut misfits: BTreeMap<usize, Vec<Mismatch<T>>> = BTreeMap::new();
        for &number in touched {
            let name = || self.names[number].to_owned();
            let who = |at: usize| self.candidates[members[at].0].who.clone();
            for &at in &names[number].unmet {
                misfits.entry(at).or_default().push(Mismatch::Unmet { who: who(at), name: name() });
            }
            for &at in &names[number].pending {
                misfits.entry(at).or_default().push(Mismatch::Unused { who: who(at), name: name() });
            }
        }
        misfits
    }

    fn plan(&self, members: &[Member<'_>], names: &[Matching], touched: &[usize]) -> Plan<T> {
        let mut entries: Vec<Entry> = touched
            .iter()
            .map(|&number| Entry {
                name: self.names[number].to_owned(),
                providers: names[number].providers.clone(),
                requires: Vec::new(),
            })
            .collect();
        for (_, choice) in members {
            for (requirement, number) in choice.alternative.requires.iter().zip(&choice.requires) {
                if let Ok(at) = touched.binary_search(number) {
                    entries[at].requires.push(requirement.clone());
                }
            }
        }
        let members = members.iter().map(|(candidate, _)| self.candidates[*candidate].who.clone()).collect();
        Plan { members, entries }
    }
}

/// Only the last alternative of an optional candidate lets it drop out; with the others it must fit.
fn options_of<'a, T>(candidate: &'a Candidate<T>, numbers: &BTreeMap<&str, usize>) -> Vec<Choice<'a>> {
    let alternatives = match candidate.alternatives.as_slice() {
        [] => std::slice::from_ref(&NEITHER),
        some => some,
    };
    let number = |name: &str| numbers.get(name).copied().unwrap_or_default();
    let option = |(index, alternative): (usize, &'a Alternative)| Choice {
        optional: candidate.optional && index + 1 == alternatives.len(),
        alternative,
        provides: alternative.provides.iter().map(|name| number(name)).collect(),
        requires: alternative.requires.iter().map(|requirement| number(&requirement.name)).collect(),
    };
    alternatives.iter().enumerate().map(option).collect()
}

/// Goes through the members in order. What a member provides comes before what it requires, so that it can meet itself.
/// Answers the names that the members speak of, sorted.
fn match_names(members: &[Member<'_>], names: &mut [Matching]) -> Vec<usize> {
    let mut touched = Vec::new();
    for (at, (_, choice)) in members.iter().enumerate() {
        for &name in &choice.provides {
            // Who says a name twice provides it once.
            if names[name].pending.last() != Some(&at) {
                names[name].pending.push(at);
            }
        }
        for &name in &choice.requires {
            let matching = &mut names[name];
            matching.providers.append(&mut matching.pending);
            if matching.providers.is_empty() && matching.unmet.last() != Some(&at) {
                matching.unmet.push(at);
            }
        }
        touched.extend(choice.provides.iter().chain(&choice.requires));
    }
    touched.sort_unstable();
    touched.dedup();
    touched
}
