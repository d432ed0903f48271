//! Whether an image needs a build: the one question that the platform asks, of what is and of what would be.
//!
//! The last build is compared with what is wished for and with what the builder came to, for six reasons in a fixed order
//! ([`mod@compare`]). An image is put on another base without a build if and only if nothing but the run image's digest differs
//! from its last successful build. The answer is a [`Verdict`] with both values of every comparison, so that "why was this
//! built" and "why was it not" are one question.
//!
//! What failed is treated by whose fault it was. What failed because of its inputs is not tried again until one of them is
//! another, the operator's among them; what failed because a registry was out of order is tried again, with growing pauses, a
//! bounded number of times.

pub mod compare;
pub mod explain;
pub mod status;
#[cfg(test)]
mod tests;
pub mod verdict;

use crate::resource::{
    build::{Build, Change, Inputs, Mode, Outcome, Reason},
    builder::BuilderRevision,
    image::Image,
    source::ResolvedSource,
};

use compare::{Comparison, compare};
pub use verdict::{Decision, Held, Priority, Start, Unknown, Verdict, Why};

/// All that a decision is made from.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The wish.
    pub image: &'a Image,
    /// Its builds, by rising number.
    pub builds: &'a [Build],
    /// What its builder came to.
    pub builder: &'a BuilderState,
    /// Where its source is now.
    pub source: &'a SourceState,
    /// How often what fails by chance is tried.
    pub retry: Retry,
    /// Seconds since 1970.
    pub now: u64,
}

/// What is known of a builder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuilderState {
    /// There is none of that name.
    Missing,
    /// It cannot be used, and why.
    NotReady(String),
    /// It was changed, and nobody has looked since.
    Stale,
    /// It can be used.
    Ready {
        /// What it came to.
        revision: Box<BuilderRevision>,
        /// Why it is not what it should be by now: what it was before is used.
        behind: Option<String>,
    },
}

/// What is known of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceState {
    /// It was not found, and why.
    NotReady(String),
    /// The image names another one, and nobody has looked since.
    Stale,
    /// It was found.
    Ready(ResolvedSource),
}

/// How often what fails by chance is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// At most so many times, the first included.
    pub attempts: u32,
    /// How long to wait before the second, in seconds. The next pauses are twice as long each.
    pub first_pause: u64,
    /// The longest pause.
    pub longest_pause: u64,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 5, first_pause: 30, longest_pause: 3600 }
    }
}

impl Retry {
    /// How long to wait after an attempt, counted from 1.
    pub fn pause(&self, attempt: u32) -> u64 {
        let doubled = 1_u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX);
        self.first_pause.saturating_mul(doubled).min(self.longest_pause)
    }
}

/// Decides.
pub fn decide(question: &Question<'_>) -> Decision {
    let Question { image, builds, .. } = *question;
    if let Some(running) = builds.iter().rev().find(|build| build.is_running()) {
        return while_running(question, running);
    }
    let unknown = |why| Decision { verdict: Verdict::Unknown(why), comparisons: Vec::new(), compared_with: None };
    let source = match question.source {
        SourceState::Ready(source) => source,
        // What is wrong with the builder is told first, as kpack does.
        SourceState::NotReady(_) | SourceState::Stale => {
            let why =
                builder(question).err().unwrap_or_else(|| Unknown::SourceNotReady(source_message(question.source)));
            return unknown(why);
        }
    };
    match builder(question) {
        Err(why) => unknown(why),
        Ok(revision) => {
            Known { question, history: History::of(builds), inputs: inputs(image, source, revision) }.decide()
        }
    }
}

/// What the builder is for this image: what it was, if the image is locked to that.
fn builder<'a>(question: &Question<'a>) -> Result<&'a BuilderRevision, Unknown> {
    match (&question.image.status.lock, question.builder) {
        (Some(lock), _) => Ok(&lock.revision),
        (None, BuilderState::Ready { revision, .. }) => Ok(revision),
        (None, BuilderState::Missing) => Err(Unknown::BuilderNotFound),
        (None, BuilderState::NotReady(message)) => Err(Unknown::BuilderNotReady(message.clone())),
        (None, BuilderState::Stale) => Err(Unknown::BuilderNotReady("it was changed, and is not made yet".to_owned())),
    }
}

fn source_message(source: &SourceState) -> String {
    match source {
        SourceState::NotReady(message) => message.clone(),
        SourceState::Stale | SourceState::Ready(_) => "the source was changed, and is not looked up yet".to_owned(),
    }
}

/// What a build of now would be made from.
fn inputs(image: &Image, source: &ResolvedSource, revision: &BuilderRevision) -> Inputs {
    Inputs {
        builder: image.spec.builder.clone(),
        revision: revision.clone(),
        source: source.clone(),
        env: image.spec.build.env.clone(),
        resources: image.spec.build.resources.clone(),
        services: image.spec.build.services.clone(),
    }
}

/// A build is running: what its owner changed since is told, and waits.
fn while_running(question: &Question<'_>, running: &Build) -> Decision {
    let mut comparisons = Vec::new();
    if let (SourceState::Ready(source), Ok(revision)) = (question.source, builder(question)) {
        comparisons = compare(question.image, Some(running), &inputs(question.image, source, revision));
    }
    Decision { verdict: Verdict::Running { build: running.number }, comparisons, compared_with: Some(running.number) }
}

/// The builds that matter.
struct History<'a> {
    builds: &'a [Build],
    /// What is compared with ([`basis`]).
    basis: Option<&'a Build>,
    /// The last that made an image.
    success: Option<&'a Build>,
    /// The last that came to an end, if it failed by chance.
    chance: Option<&'a Build>,
}

impl<'a> History<'a> {
    fn of(builds: &'a [Build]) -> Self {
        Self {
            builds,
            basis: basis(builds),
            success: ended(builds).find(|build| build.made().is_some()),
            chance: ended(builds).next().filter(|build| is_by_chance(build)),
        }
    }
}

/// What the next decision compares with: the last build that succeeded, or failed because of its inputs. What failed by chance
/// says nothing of them, and what was superseded never came to an end.
pub(crate) fn basis(builds: &[Build]) -> Option<&Build> {
    ended(builds).find(|build| !is_by_chance(build))
}

/// Those that came to an end, the last one first.
fn ended(builds: &[Build]) -> impl Iterator<Item = &Build> {
    builds.iter().rev().filter(|build| build.outcome != Outcome::Superseded && !build.is_running())
}

fn is_by_chance(build: &Build) -> bool {
    build.failure().is_some_and(|failure| failure.fault.is_transient())
}

/// A question to which everything is known.
struct Known<'a> {
    question: &'a Question<'a>,
    history: History<'a>,
    inputs: Inputs,
}

impl Known<'_> {
    fn decide(self) -> Decision {
        let comparisons = compare(self.question.image, self.history.basis, &self.inputs);
        let verdict = self.verdict(&comparisons);
        Decision { verdict, comparisons, compared_with: self.history.basis.map(|build| build.number) }
    }

    fn verdict(&self, comparisons: &[Comparison]) -> Verdict {
        let differing: Vec<Change> = comparisons.iter().filter_map(Comparison::change).collect();
        if let Some(held) = self.rolled_back(&differing) {
            return Verdict::Held(held);
        }
        let is_owners = differing.iter().any(|change| !change.reason.is_operators());
        let (taken, withheld): (Vec<Change>, Vec<Change>) =
            differing.into_iter().partition(|change| is_owners || self.is_taken(change.reason));
        if taken.is_empty() {
            return self.nothing(withheld);
        }
        let start = self.start(taken, &withheld);
        if start.mode == Mode::Build && !withheld.is_empty() {
            let changes = start.changes.into_iter().chain(withheld).collect();
            return Verdict::Held(Held { changes, why: Why::NeedsBuild, until: None });
        }
        match self.failed_before(&start) {
            Some(held) => Verdict::Held(held),
            None => self.retried(start),
        }
    }

    /// Whether updates for this reason are taken by themselves, now.
    fn is_taken(&self, reason: Reason) -> bool {
        let policy = &self.question.image.spec.update_policy;
        policy.takes(reason) && policy.is_open(self.question.now)
    }

    /// That the image was turned back and stays so: until its owner changes something, or asks.
    fn rolled_back(&self, differing: &[Change]) -> Option<Held> {
        let rollback = self.question.image.status.rollback.as_ref()?;
        // What was built since is no longer what it was turned back to.
        self.history.basis.filter(|build| build.mode == Mode::Rollback)?;
        let is_asked = differing.iter().any(|change| change.reason == Reason::Trigger);
        let is_over = is_asked || rollback.wish != self.inputs.wish();
        let why = Why::RolledBack { to: rollback.to };
        (!is_over).then(|| Held { changes: differing.to_vec(), why, until: None })
    }

    /// Nothing is to be done: the image is up to date, or it is not and nothing is done about it.
    fn nothing(&self, withheld: Vec<Change>) -> Verdict {
        let Some(basis) = self.history.basis else { unreachable!("without a build, the settings differ from none") };
        let policy = &self.question.image.spec.update_policy;
        let held = |changes, why, until| Verdict::Held(Held { changes, why, until });
        if !withheld.is_empty() {
            if withheld.iter().any(|change| policy.takes(change.reason)) {
                return held(withheld, Why::Window, policy.opens(self.question.now));
            }
            return held(withheld, Why::Policy(policy.automatic), None);
        }
        match &basis.outcome {
            Outcome::Failed(_) => held(Vec::new(), Why::FailedBefore { build: basis.number }, None),
            Outcome::Cancelled => held(Vec::new(), Why::Cancelled { build: basis.number }, None),
            _ => self.locked().map_or(Verdict::UpToDate { build: basis.number }, Verdict::Held),
        }
    }

    /// What the builder has and the lock keeps away.
    fn locked(&self) -> Option<Held> {
        let lock = self.question.image.status.lock.as_ref()?;
        let BuilderState::Ready { revision, .. } = self.question.builder else { return None };
        let unlocked = Inputs { revision: (**revision).clone(), ..self.inputs.clone() };
        let comparisons = compare(self.question.image, self.history.basis, &unlocked);
        let changes: Vec<Change> = comparisons.iter().filter_map(Comparison::change).collect();
        let why = Why::Locked { build: lock.build };
        (!changes.is_empty()).then_some(Held { changes, why, until: None })
    }

    fn start(&self, changes: Vec<Change>, withheld: &[Change]) -> Start {
        let image = self.question.image;
        let no_rebase = self.no_rebase(&changes, withheld);
        let newest = self.history.builds.iter().map(|build| build.number).max().unwrap_or_default();
        Start {
            number: newest.max(image.status.build_counter) + 1,
            mode: if no_rebase.is_some() { Mode::Build } else { Mode::Rebase },
            priority: Priority::of(&changes),
            attempt: 1,
            based_on: self.history.success.map(|build| build.number),
            inputs: self.inputs.clone(),
            triggers: image.status.triggers,
            no_rebase: no_rebase.filter(|_| changes.iter().any(|change| change.reason == Reason::Stack)),
            changes,
        }
    }

    /// Why the image cannot just be put on another base; none if it can.
    fn no_rebase(&self, changes: &[Change], withheld: &[Change]) -> Option<String> {
        let Some((success, made)) = self.history.success.and_then(|build| Some((build, build.made()?))) else {
            return Some("there is no image yet that could be put on another base".to_owned());
        };
        let is_withheld = |reason: Reason| withheld.iter().any(|change| change.reason == reason);
        let since = compare(self.question.image, Some(success), &self.inputs);
        let since = since.iter().filter(|one| one.differs() && !is_withheld(one.reason)).map(|one| one.reason);
        let mut others: Vec<Reason> = since.chain(changes.iter().map(|change| change.reason)).collect();
        let has_stack = others.contains(&Reason::Stack);
        others.retain(|reason| *reason != Reason::Stack);
        others.sort_unstable();
        others.dedup();
        if !others.is_empty() {
            let names = others.iter().map(|reason| reason.as_str()).collect::<Vec<_>>().join(", ");
            return Some(format!("more than the run image differs from build {}: {names}", success.number));
        }
        if !has_stack {
            return Some(format!("the run image is that of build {}", success.number));
        }
        if made.stack_id != self.inputs.revision.stack_id {
            let (old, new) = (&made.stack_id, &self.inputs.revision.stack_id);
            return Some(format!("the image is of the stack {old}, and the builder of {new}"));
        }
        None
    }

    /// That the same has come to nothing, and not by chance.
    fn failed_before(&self, start: &Start) -> Option<Held> {
        if start.changes.iter().any(|change| change.reason == Reason::Trigger) {
            return None;
        }
        let fingerprint = start.inputs.fingerprint();
        let is_over = |build: &&Build| match &build.outcome {
            Outcome::Running | Outcome::Superseded => false,
            Outcome::Failed(failure) => !failure.fault.is_transient(),
            Outcome::Succeeded(_) | Outcome::Cancelled => true,
        };
        let same = |build: &&Build| build.mode == start.mode && build.inputs.fingerprint() == fingerprint;
        let build = self.history.builds.iter().rev().filter(is_over).find(same)?;
        let why = match build.outcome {
            Outcome::Failed(_) => Why::FailedBefore { build: build.number },
            Outcome::Cancelled => Why::Cancelled { build: build.number },
            _ => return None,
        };
        Some(Held { changes: start.changes.clone(), why, until: None })
    }

    /// The same failed by chance: it is tried again, later, and not for ever.
    fn retried(&self, mut start: Start) -> Verdict {
        let Some(failed) = self.history.chance else { return Verdict::Start(Box::new(start)) };
        let is_same = failed.mode == start.mode && failed.inputs.fingerprint() == start.inputs.fingerprint();
        if !is_same || start.triggers > failed.triggers {
            return Verdict::Start(Box::new(start));
        }
        let (build, attempt, retry) = (failed.number, failed.attempt, self.question.retry);
        if attempt >= retry.attempts {
            let why = Why::GaveUp { build, attempts: attempt };
            return Verdict::Held(Held { changes: start.changes, why, until: None });
        }
        let ended = failed.finished.unwrap_or(failed.started);
        let again = ended.saturating_add(retry.pause(attempt));
        // What ended later than now did so before the clock was set back: nobody waits for that time to come again.
        let is_set_back = ended > self.question.now;
        if again > self.question.now && !is_set_back {
            let why = Why::Pause { build, attempt };
            return Verdict::Held(Held { changes: start.changes, why, until: Some(again) });
        }
        start.attempt = attempt + 1;
        Verdict::Start(Box::new(start))
    }
}
