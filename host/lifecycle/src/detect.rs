//! Finds the group of buildpacks that takes the app, and says why each other one did not.
//!
//! Groups are tried in order; the members of a group look at the app side by side, and an answer is remembered for the
//! groups that follow. What they offer is matched by [`stave_model::plan::resolve`].

#[cfg(test)]
mod tests;

use std::{collections::HashMap, fmt, sync::Arc, thread};

use stave_archive::tree::Tree;
use stave_model::{
    order::{Group, Member, Order},
    plan::{self, Alternative, Candidate, Plan, Unresolved},
};

use crate::{
    memory,
    port::{
        buildpack::{Buildpack, RunError, Verdict, visible},
        observer::{Event, Phase as FlowPhase},
    },
    workbench::Shop,
};

/// The group that takes the app.
#[derive(Clone)]
pub struct Detection {
    /// Its buildpacks, in order, as the plan names them.
    pub members: Vec<Arc<dyn Buildpack>>,
    /// What they provide to each other.
    pub plan: Plan<String>,
}

/// Why no group takes the app.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// The order names a buildpack that is not there, or not in that version.
    #[error("the order names the buildpack {0}, and the builder has none such")]
    Unknown(String),
    /// The order names a buildpack in a way that fits several.
    #[error("the order names the buildpack {0}, and the builder has several such")]
    Ambiguous(String),
    /// Nobody takes the app.
    #[error("no buildpack takes this app")]
    NoGroup(Vec<Attempt>),
    /// Somebody asked to stop.
    #[error("stopped on request")]
    Cancelled,
}

impl DetectError {
    /// Whether a buildpack failed while it looked, rather than that all declined (the lifecycle's exit codes 21 and 20).
    pub fn has_failure(&self) -> bool {
        let Self::NoGroup(attempts) = self else { return false };
        attempts.iter().flat_map(|attempt| &attempt.members).any(|member| matches!(member.outcome, Outcome::Failed(_)))
    }
}

/// One group that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// What each member said.
    pub members: Vec<MemberAttempt>,
    /// Why those who passed do not fit together, where that was the reason.
    pub unresolved: Option<Unresolved<String>>,
}

/// What one member of a group said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberAttempt {
    /// The buildpack, as id@version.
    pub title: String,
    /// Whether the group can do without it.
    pub optional: bool,
    /// What it said.
    pub outcome: Outcome,
}

/// How one buildpack looked at the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It takes part in one of these ways.
    Passed(Vec<Alternative>),
    /// It has nothing to do, because ….
    Declined(String),
    /// It failed: what it or the sandbox said.
    Failed(String),
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |text: String| writeln!(f, "{text}");
        for member in &self.members {
            let optional = if member.optional { " (optional)" } else { "" };
            line(match &member.outcome {
                Outcome::Passed(_) => format!("{}{optional}: passed", member.title),
                Outcome::Declined(reason) => format!("{}{optional}: {}", member.title, visible(reason)),
                Outcome::Failed(reason) => format!("{}{optional}: failed: {}", member.title, visible(reason)),
            })?;
        }
        match &self.unresolved {
            Some(Unresolved::Mismatched(reasons)) => reasons.iter().try_for_each(|reason| line(reason.to_string())),
            Some(Unresolved::TooMany) => line("they offer more combinations of alternatives than are tried".to_owned()),
            Some(Unresolved::Nobody) => line("nobody is left to build".to_owned()),
            None => Ok(()),
        }
    }
}

/// Tries the groups of `order` until one takes the app.
pub fn detect(
    shop: &Shop,
    buildpacks: &[Arc<dyn Buildpack>],
    order: &Order,
    app: &Tree,
) -> Result<Detection, DetectError> {
    shop.observer.observe(Event::Phase(FlowPhase::Detect));
    let mut known: HashMap<String, Outcome> = HashMap::new();
    let mut attempts = Vec::new();
    for group in order {
        let members = find_members(buildpacks, group)?;
        ask(shop, &members, app, &mut known)?;
        let attempt = |(member, buildpack): &Participant<'_>| {
            let title = buildpack.manifest().title();
            let outcome = known.get(&title).cloned().unwrap_or_else(|| Outcome::Failed("it was not asked".to_owned()));
            MemberAttempt { title, optional: member.optional, outcome }
        };
        let mut attempt = Attempt { members: members.iter().map(attempt).collect(), unresolved: None };
        match resolve(&attempt) {
            Ok(plan) => {
                shop.observer.observe(Event::Chosen(plan.members.clone()));
                let find = |title: &String| {
                    members.iter().map(|(_, buildpack)| *buildpack).find(|b| b.manifest().title() == *title).cloned()
                };
                return Ok(Detection { members: plan.members.iter().filter_map(find).collect(), plan });
            }
            Err(unresolved) => attempt.unresolved = unresolved,
        }
        attempts.push(attempt);
    }
    Err(DetectError::NoGroup(attempts))
}

/// The plan of a group, if every member that it cannot do without has passed and they fit together.
fn resolve(attempt: &Attempt) -> Result<Plan<String>, Option<Unresolved<String>>> {
    let mut candidates = Vec::new();
    for member in &attempt.members {
        match &member.outcome {
            Outcome::Passed(alternatives) => candidates.push(Candidate {
                who: member.title.clone(),
                optional: member.optional,
                alternatives: alternatives.clone(),
            }),
            _ if member.optional => {}
            _ => return Err(None),
        }
    }
    plan::resolve(&candidates).map_err(Some)
}

/// A member of a group and the buildpack that it names.
type Participant<'a> = (&'a Member, &'a Arc<dyn Buildpack>);

/// Pairs each member with its buildpack. A member that comes twice is taken once, as the specification says.
fn find_members<'a>(
    buildpacks: &'a [Arc<dyn Buildpack>],
    group: &'a Group,
) -> Result<Vec<Participant<'a>>, DetectError> {
    let mut members: Vec<Participant<'_>> = Vec::new();
    for member in &group.group {
        if members.iter().any(|(other, _)| other.id == member.id) {
            continue;
        }
        let fits = |buildpack: &&Arc<dyn Buildpack>| {
            let about = &buildpack.manifest().buildpack;
            about.id == member.id && member.version.as_ref().is_none_or(|version| *version == about.version)
        };
        let mut found = buildpacks.iter().filter(fits);
        match (found.next(), found.next()) {
            (Some(buildpack), None) => members.push((member, buildpack)),
            (Some(_), Some(_)) => return Err(DetectError::Ambiguous(named(member))),
            (None, _) => return Err(DetectError::Unknown(named(member))),
        }
    }
    Ok(members)
}

/// A member as the order names it: id, or id@version.
fn named(member: &Member) -> String {
    let version = member.version.as_ref().map(|version| format!("@{version}")).unwrap_or_default();
    format!("{}{version}", member.id)
}

/// Asks those who were not asked yet, side by side.
fn ask(
    shop: &Shop,
    members: &[Participant<'_>],
    app: &Tree,
    known: &mut HashMap<String, Outcome>,
) -> Result<(), DetectError> {
    let stop_if_asked = || shop.cancel.check().map_err(|_| DetectError::Cancelled);
    stop_if_asked()?;
    let mut new: Vec<(String, &Arc<dyn Buildpack>)> = Vec::new();
    for (_, buildpack) in members {
        let title = buildpack.manifest().title();
        if !known.contains_key(&title) {
            new.push((title, *buildpack));
        }
    }
    let answers: Vec<Result<Outcome, DetectError>> = thread::scope(|scope| {
        let running: Vec<_> = new.iter().map(|(_, buildpack)| scope.spawn(|| ask_one(shop, buildpack, app))).collect();
        running.into_iter().map(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    // What somebody says whose questions are no longer answered is not worth knowing.
    stop_if_asked()?;
    for ((title, _), answer) in new.into_iter().zip(answers) {
        let outcome = answer?;
        let verdict = match &outcome {
            Outcome::Passed(_) => Ok(()),
            Outcome::Declined(reason) | Outcome::Failed(reason) => Err(reason.clone()),
        };
        shop.observer.observe(Event::Detected { buildpack: title.clone(), verdict });
        known.insert(title, outcome);
    }
    Ok(())
}

fn ask_one(shop: &Shop, buildpack: &Arc<dyn Buildpack>, app: &Tree) -> Result<Outcome, DetectError> {
    let platform = &shop.target.platform;
    if !buildpack.manifest().serves(platform) {
        return Ok(Outcome::Declined(format!("it does not build for {platform}")));
    }
    match memory::detect(shop, buildpack.as_ref(), app) {
        Ok(Verdict::Pass(alternatives)) if alternatives.len() > plan::MAX_ALTERNATIVES => {
            Ok(Outcome::Failed(format!("it offers more than {} alternatives", plan::MAX_ALTERNATIVES)))
        }
        Ok(Verdict::Pass(alternatives)) => Ok(Outcome::Passed(alternatives)),
        Ok(Verdict::Skip(reason)) => Ok(Outcome::Declined(reason)),
        Err(RunError::Cancelled) => Err(DetectError::Cancelled),
        Err(error) => Ok(Outcome::Failed(in_one_line(&error))),
    }
}

/// An error for the one line that an explanation has: with its causes, but for a crash, whose cause is pages long.
fn in_one_line(error: &RunError) -> String {
    match error {
        RunError::Refused(failure) => {
            let unnamed = failure.file.as_ref().filter(|file| !failure.summary.contains(file.as_str()));
            let file = unnamed.map(|file| format!("{file}: ")).unwrap_or_default();
            let detail = failure.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
            let hint = failure.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("{file}{}{detail}{hint}", failure.summary)
        }
        RunError::Stopped { .. } => error.to_string(),
        _ => {
            let mut line = error.to_string();
            let mut cause = std::error::Error::source(error);
            while let Some(error) = cause {
                line.push_str(": ");
                line.push_str(error.to_string().lines().next().unwrap_or_default());
                cause = error.source();
            }
            line
        }
    }
}
