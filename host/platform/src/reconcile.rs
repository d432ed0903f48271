//! From wishes to images: looks at the world, asks for decisions, lets builds start in the queue's order, and writes down what
//! came of them. One process does this at a time; it may end at any moment, and the next one goes on where it was.
//!
//! A build's record is written before the build begins and completed when it is over, both in one transaction of the records.
//! A record that says that it runs, while nobody runs it, is a build that somebody was stopped in the middle of: it is done
//! again from the same inputs under its own number ([`Reconciler::take_over`]). Equal inputs give an equal image, so that what
//! was pushed already is pushed again as it is, and no build is lost or counted twice.

mod floor;
mod lookup;
mod observe;
mod sources;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    decide::{BuilderState, Decision, Question, Verdict, decide},
    plan::{Rules, world::BuilderKey},
    port::{
        Done, Event, Failed, Outside, Records, Work,
        records::{ImageRecord, Snapshot},
    },
    queue::Turn,
    resource::{
        build::{Build, Failure, Fault, Outcome},
        name::ImageKey,
    },
};

use floor::Floor;

/// How often whoever runs a build may be stopped in the middle of it. One that stops its platform each time would do so for
/// ever.
const MAX_STOPPED: u32 = 5;
/// How long nobody looks whether somebody else changed something.
const GLANCE: Duration = Duration::from_millis(200);
/// How much longer than a look at everything took, nobody looks again.
const REST: u32 = 5;
/// The first pause after the records could not be read or written; the next ones are twice as long each.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest. Who went on for longer than that begins with the first one again.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Which images are looked after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All.
    All,
    /// These.
    Images(BTreeSet<ImageKey>),
    /// None: only stacks, stores and builders.
    Builders,
}

impl Scope {
    /// Whether an image is among them.
    pub fn has(&self, key: &ImageKey) -> bool {
        match self {
            Self::All => true,
            Self::Images(keys) => keys.contains(key),
            Self::Builders => false,
        }
    }
}

/// What a run came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settled {
    /// The builds that came to an end, in their order; of a run that never ends by itself, none.
    pub ended: Vec<Build>,
    /// What could not be looked up or made, by what it is: `ClusterStack default`.
    pub trouble: BTreeMap<String, String>,
}

/// Reconciles, by itself: nobody else does so on the same records.
pub struct Reconciler<'a> {
    /// Who remembers.
    pub records: &'a dyn Records,
    /// Who looks and does.
    pub outside: &'a dyn Outside,
    /// How many builds at once, and how often what fails by chance is tried, until [`Outside::rules`] says otherwise.
    pub rules: Rules,
    /// The version of the lifecycle.
    pub lifecycle: &'a str,
    /// Set by whoever wants this to end: builds are stopped, and taken up again by the next one.
    pub stop: &'a AtomicBool,
}

/// What happens while builds run.
enum Note {
    /// A build is over.
    Done(ImageKey, Done),
    /// A source was looked up, and what was found is written down, or cannot be.
    Looked(ImageKey, Result<(), Failed>),
}

impl Reconciler<'_> {
    /// Takes over from whoever was stopped: a build in the middle of which that happened too often has failed. The others are
    /// done again when their turn comes, and only then that counts: who looks after other images leaves them as they are.
    pub fn take_over(&self) -> Result<(), Failed> {
        for key in
            self.records.snapshot()?.images.into_iter().filter(|(_, record)| is_given_up(record)).map(|(key, _)| key)
        {
            let (now, mut ended) = (self.outside.now(), None);
            self.records.amend_image(&key, &mut |record| {
                if is_given_up(record) {
                    let message = format!("the platform stopped in the middle of it {MAX_STOPPED} times");
                    ended = end(record, now, Done { outcome: failed(Fault::Interrupted, message), log: None });
                }
                Ok(())
            })?;
            if let Some(build) = ended {
                self.outside.tell(Event::Ended { build: Box::new(build) });
            }
        }
        Ok(())
    }

    /// Goes on until there is nothing to do.
    pub fn settle(&self, scope: &Scope) -> Result<Settled, Failed> {
        self.run(scope, false)
    }

    /// Goes on until somebody wants it to end. Records that cannot be written just now, on a disk that is full, end what goes on
    /// and not whoever serves: after a pause everything is taken up again.
    pub fn serve(&self) -> Result<Settled, Failed> {
        let mut pause = FIRST_PAUSE;
        loop {
            let began = Instant::now();
            let error = match self.run(&Scope::All, true) {
                Err(error) if error.fault.is_transient() => error,
                ended => return ended,
            };
            if began.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            self.outside.tell(Event::Trouble { what: "the records".to_owned(), why: error.sentence() });
            if self.is_stopped_within(pause) {
                return Ok(Settled::default());
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits. Whether somebody wants this to end meanwhile.
    fn is_stopped_within(&self, pause: Duration) -> bool {
        let end = later(pause);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if self.stop.load(Ordering::Relaxed) || left.is_zero() {
                return self.stop.load(Ordering::Relaxed);
            }
            thread::sleep(left.min(GLANCE));
        }
    }

    fn run<'env>(&'env self, scope: &'env Scope, forever: bool) -> Result<Settled, Failed> {
        let (sender, notes) = mpsc::channel();
        let mut floor = Floor::new(self, scope, sender, forever);
        let done = thread::scope(|threads| {
            let done = self.rounds(&mut floor, threads, &notes, forever);
            // Whatever went wrong, nobody stays behind.
            floor.stop_all();
            while floor.is_busy() {
                let Ok(note) = notes.recv() else { break };
                if let Note::Done(key, done) = note {
                    floor.leave(&key, &done);
                }
            }
            done
        });
        done?;
        Ok(Settled { ended: floor.ended, trouble: floor.trouble })
    }

    fn rounds<'scope, 'env: 'scope>(
        &'env self,
        floor: &mut Floor<'env>,
        threads: &'scope thread::Scope<'scope, 'env>,
        notes: &mpsc::Receiver<Note>,
        forever: bool,
    ) -> Result<(), Failed> {
        floor.refresh(threads)?;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            if !floor.is_busy() && !forever {
                if !floor.has_news()? {
                    return Ok(());
                }
                floor.refresh(threads)?;
                continue;
            }
            match notes.recv_timeout(floor.patience()) {
                Ok(Note::Done(key, done)) => floor.done(threads, &key, done)?,
                Ok(Note::Looked(key, written)) => {
                    written?;
                    floor.looked(threads, &key)?;
                }
                Err(_) => {}
            }
            floor.tick(threads)?;
        }
    }
}

/// Whether somebody runs a build, or did, and was stopped in the middle too often.
fn is_given_up(record: &ImageRecord) -> bool {
    record.running().is_some() && record.run.resumed + 1 >= MAX_STOPPED
}

/// Completes the record of the build that runs.
fn end(record: &mut ImageRecord, now: u64, done: Done) -> Option<Build> {
    let build = record.builds.iter_mut().rev().find(|build| build.is_running())?;
    build.finished = Some(now.max(build.started));
    build.outcome = done.outcome;
    build.log = done.log;
    let build = build.clone();
    if let Some(made) = build.made() {
        record.image.status.latest_image = Some(made.image.clone());
    }
    record.run = crate::port::records::Run::default();
    let gone: BTreeSet<u64> =
        crate::history::surplus(&record.image, &record.builds).iter().map(|surplus| surplus.number).collect();
    record.builds.retain(|build| !gone.contains(&build.number));
    Some(build)
}

fn failed(fault: Fault, message: impl Into<String>) -> Outcome {
    Outcome::Failed(Failure { fault, message: message.into(), last_line: None })
}

/// What an image's builder is.
pub fn builder_state(snapshot: &Snapshot, record: &ImageRecord) -> BuilderState {
    let key = BuilderKey::of(&record.image.spec.builder, &record.image.key().namespace);
    snapshot.builders.get(&key).map_or(BuilderState::Missing, crate::port::records::BuilderRecord::state)
}

/// Whether an image needs a build, of what is remembered.
pub fn decision(snapshot: &Snapshot, record: &ImageRecord, rules: &Rules, now: u64) -> Decision {
    let (builder, source) = (builder_state(snapshot, record), record.source_state());
    let question = Question {
        image: &record.image,
        builds: &record.builds,
        builder: &builder,
        source: &source,
        retry: rules.retry,
        now,
    };
    decide(&question)
}

/// A clock for pauses that no jump of the machine's clock reaches.
fn later(pause: Duration) -> Instant {
    Instant::now() + pause
}

/// Begins the build that a decision asks for, if it still does: the record is written, and what there is to do is answered.
fn begin(record: &mut ImageRecord, snapshot: &Snapshot, rules: &Rules, now: u64) -> Option<Work> {
    let Verdict::Start(start) = decision(snapshot, record, rules, now).verdict else { return None };
    let build = crate::history::begin(&record.image, *start, now);
    let based_on = build.based_on.and_then(|number| record.builds.iter().find(|one| one.number == number)).cloned();
    record.image.status.build_counter = record.image.status.build_counter.max(build.number);
    // From here on it is no longer what it was turned back to, and nobody keeps that for its sake.
    record.image.status.rollback = None;
    record.builds.push(build.clone());
    record.run = crate::port::records::Run::default();
    Some(Work { image: record.image.clone(), build, based_on, resumed: 0 })
}

/// Takes up a build that was begun by somebody who was stopped: that is written down, and what there is to do is answered.
fn resume(record: &mut ImageRecord) -> Option<Work> {
    let build = record.running()?.clone();
    record.run.resumed += 1;
    let based_on = build.based_on.and_then(|number| record.builds.iter().find(|one| one.number == number)).cloned();
    Some(Work { image: record.image.clone(), build, based_on, resumed: record.run.resumed })
}

/// Tells of a build that begins.
fn tell_began(outside: &dyn Outside, work: &Work, turn: Turn, waiting: usize) {
    outside.tell(Event::Began { build: Box::new(work.build.clone()), turn, waiting });
}
