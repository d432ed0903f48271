//! Finds the group of buildpacks that takes the app, and says why each other one did not.
//!
//! The order is written out group by group ([`stave_model::order::groups`]); the members of a group look at the app side by
//! side, and an answer is remembered for the groups that follow. What they offer is matched by
//! [`stave_model::plan::resolve`]. All that was tried is kept, and [`explain`] says it in words.
//!
//! Where the lifecycle is known to differ from what it promises, this follows the promise: a buildpack whose targets do not
//! fit is not asked, optional or not, and has declined rather than failed; and a buildpack that failed in any group makes
//! the whole of it a failure (exit code 21), also in the groups of an optional composite.

pub mod alone;
pub mod explain;
#[cfg(test)]
mod tests;
mod turns;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use stave_archive::tree::Tree;
use stave_model::{
    id::ExecEnv,
    manifest::Manifest,
    order::{
        Selection,
        groups::{Flat, Groups, LeftOut, OrderError, TooMany},
    },
    plan::{self, Alternative, Candidate, Effort, Plan, Resolution},
};

use self::turns::Turns;
use crate::{
    memory,
    port::{
        buildpack::{Buildpack, RunError, Verdict},
        observer::{Event, Level, Phase as FlowPhase},
    },
    workbench::Shop,
};

/// How many characters of what a buildpack says about itself are kept.
const MAX_REASON: usize = 400;

/// Who may build, and in which groups.
#[derive(Clone, Copy)]
pub struct Lineup<'a> {
    /// All that there are.
    pub buildpacks: &'a [Arc<dyn Buildpack>],
    /// Which of them are tried together.
    pub selection: &'a Selection,
    /// What the image is for.
    pub exec_env: &'a ExecEnv,
}

/// The group that takes the app.
#[derive(Clone)]
pub struct Detection {
    /// Its buildpacks, in order, as the plan names them.
    pub members: Vec<Arc<dyn Buildpack>>,
    /// What they provide to each other.
    pub plan: Plan<String>,
    /// All groups that were tried; the last is the one.
    pub attempts: Vec<Attempt>,
}

/// Why no group takes the app.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// The order cannot be used.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// Nobody takes the app.
    #[error("no buildpack takes this app")]
    NoGroup(Vec<Attempt>),
    /// Nobody takes the app, as far as was tried.
    #[error("no group that was tried takes this app")]
    TooMany(Vec<Attempt>, #[source] TooMany),
    /// Somebody asked to stop.
    #[error("stopped on request")]
    Cancelled,
}

impl DetectError {
    /// The groups that were tried.
    pub fn attempts(&self) -> &[Attempt] {
        match self {
            Self::NoGroup(attempts) | Self::TooMany(attempts, _) => attempts,
            Self::Order(_) | Self::Cancelled => &[],
        }
    }

    /// Whether a buildpack failed while it looked, rather than that all declined (the lifecycle's exit codes 21 and 20).
    pub fn has_failure(&self) -> bool {
        let mut members = self.attempts().iter().flat_map(|attempt| &attempt.members);
        members.any(|member| matches!(*member.outcome, Outcome::Failed(_)))
    }
}

/// One group that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Which one, such as `group 2`, or `group 2, acme/java group 1`.
    pub group: String,
    /// What each member said.
    pub members: Vec<MemberAttempt>,
    /// Who was left out before anybody was asked.
    pub left_out: Vec<LeftOut>,
    /// How those who passed fit together; none if somebody who is needed did not pass.
    pub resolution: Option<Resolution<String>>,
}

/// What one member of a group said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberAttempt {
    /// The buildpack, as id@version.
    pub title: String,
    /// Whether the group can do without it.
    pub optional: bool,
    /// What it said.
    pub outcome: Arc<Outcome>,
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

/// Tries the groups of the order until one takes the app.
pub fn detect(shop: &Shop, lineup: &Lineup<'_>, app: &Tree) -> Result<Detection, DetectError> {
    shop.observer.observe(Event::Phase(FlowPhase::Detect));
    let manifests: Vec<&Manifest> = lineup.buildpacks.iter().map(|buildpack| buildpack.manifest()).collect();
    let groups = Groups::new(lineup.selection, &manifests, lineup.exec_env)?;
    let mut asked = Asked { shop, buildpacks: lineup.buildpacks, app, known: vec![None; manifests.len()] };
    let mut effort = Effort::default();
    let mut attempts = Vec::new();
    for flat in groups {
        let flat = match flat {
            Ok(flat) => flat,
            Err(too_many) => return Err(DetectError::TooMany(attempts, too_many)),
        };
        let mut attempt = asked.attempt(&flat)?;
        attempt.resolution = candidates(&attempt).map(|candidates| plan::resolve(&candidates, &mut effort));
        let said = format!("{}: {}", attempt.group, attempt.conclusion());
        shop.observer.observe(Event::Note(Level::Debug, said));
        let plan = attempt.resolution.as_ref().and_then(|resolution| resolution.plan.clone());
        attempts.push(attempt);
        if let Some(plan) = plan {
            shop.observer.observe(Event::Chosen(plan.members.clone()));
            let seated = || flat.members.iter().map(|seat| &lineup.buildpacks[seat.buildpack]);
            let find = |title: &String| seated().find(|buildpack| buildpack.manifest().title() == *title).cloned();
            return Ok(Detection { members: plan.members.iter().filter_map(find).collect(), plan, attempts });
        }
    }
    Err(DetectError::NoGroup(attempts))
}

/// Those who passed, if every member that the group cannot do without has.
fn candidates(attempt: &Attempt) -> Option<Vec<Candidate<String>>> {
    let mut candidates = Vec::new();
    for member in &attempt.members {
        match &*member.outcome {
            Outcome::Passed(alternatives) => candidates.push(Candidate {
                who: member.title.clone(),
                optional: member.optional,
                alternatives: alternatives.clone(),
            }),
            _ if member.optional => {}
            _ => return None,
        }
    }
    Some(candidates)
}

/// Those who were asked so far, and those who can be.
struct Asked<'a> {
    shop: &'a Shop,
    buildpacks: &'a [Arc<dyn Buildpack>],
    app: &'a Tree,
    /// What each buildpack said; none if it was not asked yet.
    known: Vec<Option<Arc<Outcome>>>,
}

impl Asked<'_> {
    /// What the members of a group say. Those who were not asked yet are.
    fn attempt(&mut self, flat: &Flat) -> Result<Attempt, DetectError> {
        let stop_if_asked = || self.shop.cancel.check().map_err(|_| DetectError::Cancelled);
        stop_if_asked()?;
        let places = flat.members.iter().map(|seat| seat.buildpack);
        let new: Vec<usize> = places.filter(|place| self.known[*place].is_none()).collect();
        let answers = self.ask(&new);
        // What somebody says whose questions are no longer answered is not worth knowing.
        stop_if_asked()?;
        for (place, outcome) in new.into_iter().zip(answers) {
            let outcome = outcome?;
            let verdict = match &outcome {
                Outcome::Passed(_) => Ok(()),
                Outcome::Declined(reason) | Outcome::Failed(reason) => Err(reason.clone()),
            };
            let buildpack = self.buildpacks[place].manifest().title();
            self.shop.observer.observe(Event::Detected { buildpack, verdict });
            self.known[place] = Some(Arc::new(outcome));
        }
        let member = |seat: &stave_model::order::groups::Seat| {
            let outcome = self.known[seat.buildpack].clone()?;
            let title = self.buildpacks[seat.buildpack].manifest().title();
            Some(MemberAttempt { title, optional: seat.optional, outcome })
        };
        Ok(Attempt {
            group: flat.to_string(),
            members: flat.members.iter().filter_map(member).collect(),
            left_out: flat.left_out.clone(),
            resolution: None,
        })
    }

    /// Asks these, as many at a time as the machine has cores; the answers are in their order, and so is what they say.
    fn ask(&self, places: &[usize]) -> Vec<Result<Outcome, DetectError>> {
        let answers: Vec<OnceLock<_>> = places.iter().map(|_| OnceLock::new()).collect();
        let next = AtomicUsize::new(0);
        let turns = Turns::new(&self.shop.observer, places.len());
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let (Some(place), Some(answer)) = (places.get(at), answers.get(at)) else { return };
                let shop = Shop { observer: turns.of(at), ..self.shop.clone() };
                answer.get_or_init(|| ask_one(&shop, &self.buildpacks[*place], self.app));
                turns.end(at);
            }
        };
        let workers = thread::available_parallelism().map_or(1, usize::from).min(places.len());
        thread::scope(|scope| {
            // This thread is one of them.
            (1..workers).for_each(|_| drop(scope.spawn(work)));
            work();
        });
        answers.into_iter().map(|answer| answer.into_inner().unwrap_or(Err(DetectError::Cancelled))).collect()
    }
}

fn ask_one(shop: &Shop, buildpack: &Arc<dyn Buildpack>, app: &Tree) -> Result<Outcome, DetectError> {
    if let Err(misfit) = buildpack.manifest().fits(&shop.target) {
        return Ok(Outcome::Declined(misfit.to_string()));
    }
    match memory::detect(shop, buildpack.as_ref(), app) {
        Ok(Verdict::Pass(alternatives)) if alternatives.len() > plan::MAX_ALTERNATIVES => {
            Ok(Outcome::Failed(format!("it offers more than {} alternatives", plan::MAX_ALTERNATIVES)))
        }
        Ok(Verdict::Pass(alternatives)) => Ok(Outcome::Passed(alternatives)),
        Ok(Verdict::Skip(reason)) => Ok(Outcome::Declined(cut(&reason))),
        Err(RunError::Cancelled) => Err(DetectError::Cancelled),
        Err(error) => Ok(Outcome::Failed(in_one_line(&error))),
    }
}

/// An error for the one line that an explanation has: with its causes, but for a crash, whose cause is pages long.
fn in_one_line(error: &RunError) -> String {
    match error {
        RunError::Refused(failure) => {
            let unnamed = failure.file.as_ref().filter(|file| !failure.summary.contains(file.as_str()));
            let file = unnamed.map(|file| format!("{}: ", cut(file))).unwrap_or_default();
            let detail = failure.detail.as_ref().map(|detail| format!(": {}", cut(detail))).unwrap_or_default();
            let hint = failure.hint.as_ref().map(|hint| format!(" ({})", cut(hint))).unwrap_or_default();
            format!("{file}{}{detail}{hint}", cut(&failure.summary))
        }
        RunError::Stopped { .. } => cut(&error.to_string()),
        _ => {
            let mut line = cut(&error.to_string());
            let mut cause = std::error::Error::source(error);
            while let Some(error) = cause {
                line.push_str(": ");
                line.push_str(&cut(error.to_string().lines().next().unwrap_or_default()));
                cause = error.source();
            }
            line
        }
    }
}

/// The beginning of a text that somebody else chose: an explanation has many lines, and none is a page.
fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_REASON) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
