//! What an operator's change will do, before it is made: which images, why, rebuilt or rebased, in which order, for how long.
//!
//! The change is applied to a copy of the world, and every image is asked the same question as ever ([`decide`]). So a plan
//! cannot say anything but what happens.

mod shelves;
pub mod world;

use std::collections::{BTreeMap, VecDeque};

use crate::{
    decide::{Decision, Held, Priority, Question, Retry, Start, Unknown, Verdict, decide},
    history::usual_seconds,
    queue::{Job, Limits, Queue, Step},
    resource::{
        build::{Build, Change as Reasoned, Mode},
        name::ImageKey,
    },
};

use world::{Change, Unresolved, World};

/// What a change will do.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Builds that start, in their order.
    pub rows: Vec<Row>,
    /// Images that would be updated and are not.
    pub held: Vec<(ImageKey, Held)>,
    /// Images of which it cannot be told, and why.
    pub unknown: Vec<(ImageKey, String)>,
    /// How many images stay as they are.
    pub untouched: usize,
    /// How many seconds it takes until the last is done, where all builds' durations can be guessed.
    pub seconds: Option<u64>,
}

/// One build that will start.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Of which image.
    pub image: ImageKey,
    /// Rebuilt or rebased.
    pub mode: Mode,
    /// Why.
    pub changes: Vec<Reasoned>,
    /// Whether an owner waits for it.
    pub priority: Priority,
    /// Whether it was to be built anyway, without the change.
    pub is_due_already: bool,
    /// How long it takes: what its last builds took, or else what others' took.
    pub seconds: Option<u64>,
}

/// The rules that builds are started by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// How many at once.
    pub limits: Limits,
    /// How often what fails by chance is tried.
    pub retry: Retry,
}

/// Asks every image of a world.
pub(crate) fn decide_all<'a>(
    world: &'a World,
    rules: &Rules,
    now: u64,
) -> impl Iterator<Item = (&'a ImageKey, Decision)> + use<'a> {
    let retry = rules.retry;
    world.images.iter().map(move |(key, known)| {
        let builder = world.builder_of(&known.image);
        let question = Question {
            image: &known.image,
            builds: &known.builds,
            builder: &builder,
            source: &known.source,
            retry,
            now,
        };
        (key, decide(&question))
    })
}

/// What a change of a world will do.
pub fn plan(world: &World, change: &Change, rules: &Rules, now: u64) -> Result<Plan, Unresolved> {
    let after = world.with(change)?;
    let before: BTreeMap<&ImageKey, Decision> = decide_all(world, rules, now).collect();
    let guess = Guess::of(&after);
    let mut starting: BTreeMap<ImageKey, (Job, Row)> = BTreeMap::new();
    let (mut held, mut unknown, mut untouched) = (Vec::new(), Vec::new(), 0);
    for (key, decision) in decide_all(&after, rules, now) {
        let was = before.get(key).map(|decision| &decision.verdict);
        match decision.verdict {
            Verdict::Start(start) => {
                let builds = &after.images[key].builds;
                let seconds = guess.seconds(builds, start.mode);
                let is_due_already = matches!(was, Some(Verdict::Start(was)) if is_same(was, &start));
                starting.insert(key.clone(), (job(key, &start), row(key, *start, is_due_already, seconds)));
            }
            Verdict::Held(now) if !matches!(was, Some(Verdict::Held(was)) if *was == now) => {
                held.push((key.clone(), now));
            }
            Verdict::Running { build } => {
                unknown.push((
                    key.clone(),
                    format!("build {build} is running; what comes after it is told when it is over"),
                ));
            }
            Verdict::Unknown(why) if !matches!(was, Some(Verdict::Unknown(was)) if *was == why) => {
                unknown.push((key.clone(), message(&why)));
            }
            Verdict::Held(_) | Verdict::Unknown(_) | Verdict::UpToDate { .. } => untouched += 1,
        }
    }
    let (rows, seconds) = timetable(starting, rules.limits);
    Ok(Plan { rows, held, unknown, untouched, seconds })
}

fn message(why: &Unknown) -> String {
    why.message()
}

/// Whether two builds are the same but for their number.
fn is_same(a: &Start, b: &Start) -> bool {
    a.changes == b.changes && a.mode == b.mode
}

/// A build that is to start, as the queue takes it.
pub(crate) fn job(image: &ImageKey, start: &Start) -> Job {
    Job { image: image.clone(), priority: start.priority, wish: start.inputs.wish(), timeout: None }
}

fn row(image: &ImageKey, start: Start, is_due_already: bool, seconds: Option<u64>) -> Row {
    Row {
        image: image.clone(),
        mode: start.mode,
        changes: start.changes,
        priority: start.priority,
        is_due_already,
        seconds,
    }
}

/// How long builds take that never ran: what others usually take.
struct Guess(BTreeMap<Mode, u64>);

impl Guess {
    fn of(world: &World) -> Self {
        let middle = |mode| {
            let mut all: Vec<u64> =
                world.images.values().filter_map(|known| usual_seconds(&known.builds, mode)).collect();
            all.sort_unstable();
            Some((mode, *all.get(all.len() / 2)?))
        };
        Self([Mode::Build, Mode::Rebase].into_iter().filter_map(middle).collect())
    }

    fn seconds(&self, builds: &[Build], mode: Mode) -> Option<u64> {
        usual_seconds(builds, mode).or_else(|| self.0.get(&mode).copied())
    }
}

/// The order in which the queue starts them, and when the last is done.
fn timetable(mut starting: BTreeMap<ImageKey, (Job, Row)>, limits: Limits) -> (Vec<Row>, Option<u64>) {
    let mut queue = Queue::new(limits);
    let mut rows = Vec::new();
    let mut running: VecDeque<(u64, ImageKey)> = VecDeque::new();
    let mut clock = 0;
    let jobs: Vec<Job> = starting.values().map(|(job, _)| job.clone()).collect();
    let mut steps = queue.submit(jobs, clock);
    loop {
        for step in steps {
            if let Step::Start { job, .. } = step
                && let Some((_, row)) = starting.remove(&job.image)
            {
                let ends = clock + row.seconds.unwrap_or_default();
                let at = running.partition_point(|(other, _)| *other <= ends);
                running.insert(at, (ends, job.image));
                rows.push(row);
            }
        }
        let Some((ends, image)) = running.pop_front() else { break };
        clock = ends;
        steps = queue.finished(&image, clock);
    }
    let is_known = rows.iter().all(|row| row.seconds.is_some());
    (rows, is_known.then_some(clock))
}

#[cfg(test)]
pub(crate) mod tests;
