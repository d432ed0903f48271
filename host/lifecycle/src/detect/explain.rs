//! Detection in words: why a group was taken or not, in one line, in a few, or with everything that was tried.

use std::fmt::Write as _;

use stave_model::plan::{Alternative, Mismatch, Resolution, Trial};

use super::{Attempt, Detection, MemberAttempt, Outcome};
use crate::port::buildpack::visible;

/// Most groups that a short explanation names.
const MAX_GROUPS: usize = 20;
/// Most of one kind that a line or a list names.
const MAX_NAMED: usize = 10;
/// Most characters of a name or value that a buildpack chose.
const MAX_TEXT: usize = 100;

impl Attempt {
    /// Whether this group takes the app.
    pub fn is_taken(&self) -> bool {
        self.resolution.as_ref().is_some_and(|resolution| resolution.plan.is_some())
    }

    /// Why the group is taken or not, as a clause.
    pub fn conclusion(&self) -> String {
        let Some(resolution) = &self.resolution else {
            let is_missing = |m: &&MemberAttempt| !m.optional && !matches!(*m.outcome, Outcome::Passed(_));
            let missing: Vec<String> = self.members.iter().filter(is_missing).map(|m| m.title.clone()).collect();
            let are = if missing.len() == 1 { "is" } else { "are" };
            return format!("{} {are} needed, and did not pass", some(missing, " and "));
        };
        if resolution.plan.is_some() {
            return "everybody who is needed passed, and what is provided and required fits".to_owned();
        }
        match why_not(resolution) {
            (None, reasons) => reasons.join("; "),
            (Some(head), reasons) => format!("{head} {}", reasons.join("; ")),
        }
    }
}

/// Why nobody takes the app: what each buildpack said, and, where there is more to it, why each group does not take it.
pub fn briefly(attempts: &[Attempt]) -> String {
    let mut text = String::new();
    let mut line = |line: &str| {
        let _ = writeln!(text, "{line}");
    };
    if let [attempt] = attempts {
        attempt.members.iter().for_each(|member| line(&verdict(member)));
        let has = |name: &str| attempt.members.iter().any(|member| member.title == name);
        let left_out = attempt.left_out.iter().filter(|left_out| !has(&left_out.name));
        left_out.for_each(|left_out| line(&format!("{}: {}", left_out.name, left_out.reason)));
        if let Some(resolution) = &attempt.resolution {
            let (head, reasons) = why_not(resolution);
            head.iter().chain(&reasons).for_each(|reason| line(reason));
        }
        return text;
    }
    // Where each group lacks one that it needs, there is no more to it than why those did not pass.
    let is_plain = attempts.iter().all(|attempt| attempt.resolution.is_none());
    let matters = |member: &MemberAttempt| match &*member.outcome {
        Outcome::Passed(_) => !is_plain,
        Outcome::Declined(_) => !is_plain || !member.optional,
        Outcome::Failed(_) => true,
    };
    let mut told: Vec<&str> = Vec::new();
    for attempt in attempts {
        for member in &attempt.members {
            if matters(member) && !told.contains(&member.title.as_str()) {
                told.push(&member.title);
                line(&format!("{}: {}", member.title, said(&member.outcome)));
            }
        }
        for left_out in &attempt.left_out {
            if !is_plain && !told.contains(&&*left_out.name) {
                told.push(&left_out.name);
                line(&format!("{}: {}", left_out.name, left_out.reason));
            }
        }
    }
    if is_plain {
        return text;
    }
    attempts.iter().take(MAX_GROUPS).for_each(|a| line(&format!("{}: {}", a.group, a.conclusion())));
    if attempts.len() > MAX_GROUPS {
        line(&format!("and {} more groups", attempts.len() - MAX_GROUPS));
    }
    text
}

/// All that was tried: every group, what every member said, and every combination of what they offer.
pub fn fully(attempts: &[Attempt]) -> String {
    let mut text = String::new();
    for attempt in attempts {
        let taken = if attempt.is_taken() { "taken" } else { "not taken" };
        let _ = writeln!(text, "{}: {taken}: {}", attempt.group, attempt.conclusion());
        for member in &attempt.members {
            let _ = writeln!(text, "  {}", verdict(member));
            if let Outcome::Passed(alternatives) = &*member.outcome {
                for way in ways(alternatives) {
                    let _ = writeln!(text, "    {way}");
                }
            }
        }
        for left_out in &attempt.left_out {
            let _ = writeln!(text, "  {}: left out: {}", left_out.name, left_out.reason);
        }
        if let Some(resolution) = &attempt.resolution {
            for line in combinations(attempt, resolution) {
                let _ = writeln!(text, "  {line}");
            }
        }
    }
    text
}

/// The plan of the group that was taken, an entry a line.
pub fn plan(detection: &Detection) -> String {
    let mut text = String::new();
    for entry in &detection.plan.entries {
        let members = &detection.plan.members;
        let providers = entry.providers.iter().filter_map(|at| members.get(*at).cloned()).collect();
        let requires = detection.requires_of(&entry.name).into_iter().map(|(who, requirement)| {
            let details = details(requirement.metadata.iter());
            format!("{who}{details}")
        });
        let (providers, requires) = (some(providers, ", "), some(requires.collect(), ", "));
        let _ = writeln!(text, "{}: provided by {providers}; required by {requires}", shown(&entry.name));
    }
    text
}

impl Detection {
    /// Who requires a name of the plan, and with which details.
    pub fn requires_of<'a>(&'a self, name: &str) -> Vec<(&'a str, &'a stave_model::plan::Requirement)> {
        let Some(attempt) = self.attempts.last() else { return Vec::new() };
        let Some(trial) = attempt.resolution.as_ref().and_then(|resolution| resolution.trials.last()) else {
            return Vec::new();
        };
        let takes_part = |member: &MemberAttempt| self.plan.members.contains(&member.title);
        let chosen = attempt.passed().zip(&trial.ways).filter(|((member, _), _)| takes_part(member));
        let requires = chosen.filter_map(|((member, alternatives), way)| Some((member, alternatives.get(*way)?)));
        requires
            .flat_map(|(member, alternative)| alternative.requires.iter().map(|r| (member.title.as_str(), r)))
            .filter(|(_, requirement)| requirement.name == name)
            .collect()
    }
}

impl Attempt {
    /// Those who passed, with what they offer: the candidates of the resolution, in its order.
    pub fn passed(&self) -> impl Iterator<Item = (&MemberAttempt, &[Alternative])> {
        self.members.iter().filter_map(|member| match &*member.outcome {
            Outcome::Passed(alternatives) => Some((member, alternatives.as_slice())),
            _ => None,
        })
    }

    /// Which of its ways each member took that has several, such as `acme/java@1.0.0 way 2`.
    fn choices(&self, trial: &Trial<String>) -> String {
        let several = self.passed().zip(&trial.ways).filter(|((_, alternatives), _)| alternatives.len() > 1);
        let choices = several.map(|((member, _), way)| format!("{} way {}", member.title, way + 1)).collect();
        some(choices, ", ")
    }
}

/// A member and what it said.
fn verdict(member: &MemberAttempt) -> String {
    let optional = if member.optional { " (optional)" } else { "" };
    format!("{}{optional}: {}", member.title, said(&member.outcome))
}

fn said(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Passed(_) => "passed".to_owned(),
        Outcome::Declined(reason) => visible(reason),
        Outcome::Failed(reason) => format!("failed: {}", visible(reason)),
    }
}

/// Why no combination fits: a line that goes before, if there were several, and the reasons of the first.
fn why_not(resolution: &Resolution<String>) -> (Option<String>, Vec<String>) {
    let Some(first) = resolution.trials.first() else {
        let reason =
            if resolution.cut_short { "they provide and require too much to try" } else { "nobody is left to build" };
        return (None, vec![reason.to_owned()]);
    };
    let mut reasons = reasons(first);
    if first.misfits.is_empty() {
        reasons.push("nobody is left to build".to_owned());
    }
    let head = match (resolution.tried, resolution.cut_short) {
        (1, false) => None,
        (tried, false) => Some(format!("none of {tried} combinations of what they offer fits; the first:")),
        (tried, true) => Some(format!(
            "none of the first {tried} combinations of what they offer fits, and no more are tried; the first:"
        )),
    };
    (head, reasons)
}

/// What did not fit in one combination, and who was left out before.
fn reasons(trial: &Trial<String>) -> Vec<String> {
    let dropped = trial.dropped.iter().map(|mismatch| format!("{mismatch}, so it is left out"));
    let all: Vec<String> = dropped.chain(trial.misfits.iter().map(Mismatch::to_string)).collect();
    let more = all.len().saturating_sub(MAX_NAMED);
    let rest = (more > 0).then(|| format!("and {more} more"));
    all.into_iter().take(MAX_NAMED).chain(rest).collect()
}

/// Each combination that was tried, where there is something to say about it.
fn combinations(attempt: &Attempt, resolution: &Resolution<String>) -> Vec<String> {
    let mut lines = Vec::new();
    let is_one = resolution.tried == 1 && !resolution.cut_short;
    for (index, trial) in resolution.trials.iter().enumerate() {
        let is_last = index + 1 == resolution.trials.len();
        let fits = is_last && resolution.plan.is_some();
        let mut reasons = reasons(trial);
        if is_one {
            // The reasons for which it is not taken were said already.
            if fits {
                lines.extend(reasons);
            }
            continue;
        }
        // Not all that failed are kept; the one that fits is.
        let number = if fits { resolution.tried } else { index + 1 };
        if fits && number > resolution.trials.len() {
            lines.push(format!("{} more combinations that do not fit", number - resolution.trials.len()));
        }
        if fits {
            reasons.insert(0, "it fits".to_owned());
        } else if trial.misfits.is_empty() {
            reasons.push("nobody is left to build".to_owned());
        }
        lines.push(format!("combination {number} ({}): {}", attempt.choices(trial), reasons.join("; ")));
    }
    if resolution.plan.is_none() && resolution.tried > resolution.trials.len() {
        lines.push(format!("{} more combinations that do not fit", resolution.tried - resolution.trials.len()));
    }
    lines
}

/// What a buildpack offers, a way a line. Nothing, if it neither provides nor requires anything.
fn ways(alternatives: &[Alternative]) -> Vec<String> {
    let is_plain = |alternative: &Alternative| alternative.provides.is_empty() && alternative.requires.is_empty();
    if alternatives.iter().all(is_plain) && alternatives.len() < 2 {
        return Vec::new();
    }
    let line = |(index, alternative): (usize, &Alternative)| {
        let provides = alternative.provides.iter().map(|name| shown(name)).collect();
        let requires = alternative.requires.iter().map(|r| format!("{}{}", shown(&r.name), details(r.metadata.iter())));
        let clauses = [("provides", some(provides, ", ")), ("requires", some(requires.collect(), ", "))];
        let said: Vec<String> = clauses
            .iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(verb, names)| format!("{verb} {names}"))
            .collect();
        let said = if said.is_empty() { "asks for nothing".to_owned() } else { said.join("; ") };
        if alternatives.len() == 1 { said } else { format!("way {}: {said}", index + 1) }
    };
    alternatives.iter().enumerate().map(line).collect()
}

/// ` (version=21, …)`, or nothing.
fn details<'a>(metadata: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    let pairs: Vec<String> = metadata.map(|(name, value)| format!("{}={}", bare(name), bare(value))).collect();
    if pairs.is_empty() { String::new() } else { format!(" ({})", some(pairs, ", ")) }
}

/// The first few, and how many more there are.
fn some(mut names: Vec<String>, between: &str) -> String {
    let more = names.len().saturating_sub(MAX_NAMED);
    if more > 0 {
        names.truncate(MAX_NAMED);
        names.push(format!("{more} more"));
    }
    names.join(between)
}

/// A name of a plan in backquotes.
fn shown(name: &str) -> String {
    format!("`{}`", bare(name))
}

fn bare(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect::<String>().escape_debug().to_string()
}
