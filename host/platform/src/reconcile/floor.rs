//! The floor on which builds run: what is known by now, what waits, what runs, and what happens next.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::mpsc,
    thread::Scope as Threads,
    time::{Duration, Instant},
};

use stave_model::digest::Digest;

use super::{GLANCE, Note, REST, Reconciler, Scope, begin, decision, end, failed, later, resume, tell_began};
use crate::{
    decide::{Priority, SourceState, Verdict},
    plan::{Rules, world::BuilderKey},
    port::{
        Done, Event, Failed, Stopper, Work,
        records::{ImageRecord, Snapshot},
    },
    queue::{Job, Queue, Step, Stop, Turn},
    resource::{
        build::{Build, Fault, Inputs, Outcome},
        builder::BuilderRevision,
        image::BuildSettings,
        name::ImageKey,
    },
};

/// Everything that changes while it goes on.
pub(super) struct Floor<'a> {
    pub(super) on: &'a Reconciler<'a>,
    pub(super) scope: &'a Scope,
    pub(super) known: Snapshot,
    /// The rules that hold.
    rules: Rules,
    pub(super) notes: mpsc::Sender<Note>,
    /// Builds that came to an end.
    pub(super) ended: Vec<Build>,
    /// What could not be looked up or made.
    pub(super) trouble: BTreeMap<String, String>,
    /// When what failed is tried again.
    pub(super) pauses: BTreeMap<String, Pause>,
    /// What was refused when it was to be made, of which generation of its wish: the same is not asked for again.
    pub(super) refused: BTreeMap<BuilderKey, (u64, BuilderRevision)>,
    /// Images whose sources are being looked up, and which look in a row that is.
    pub(super) looking: BTreeMap<ImageKey, u32>,
    /// Those whose turn comes after that, by when they were looked up last.
    pub(super) to_look: BTreeSet<(u64, ImageKey)>,
    /// When this began, if it is to come to an end by itself.
    pub(super) began: Option<u64>,
    /// When an image is asked again.
    wake: BTreeMap<ImageKey, u64>,
    pub(super) queue: Queue,
    running: BTreeMap<ImageKey, Stopper>,
    next_look: Instant,
    /// What the clock said at the last look.
    clock: u64,
}

/// Something that could not be looked up or made, and is tried again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pause {
    /// How often it failed.
    pub(super) times: u32,
    /// When it is tried again.
    pub(super) until: Instant,
    /// The generation of the wish that it was about: another one does not wait.
    pub(super) generation: u64,
}

impl<'a> Floor<'a> {
    pub(super) fn new(on: &'a Reconciler<'a>, scope: &'a Scope, notes: mpsc::Sender<Note>, forever: bool) -> Self {
        Self {
            on,
            scope,
            known: Snapshot::default(),
            rules: on.rules,
            notes,
            ended: Vec::new(),
            trouble: BTreeMap::new(),
            pauses: BTreeMap::new(),
            refused: BTreeMap::new(),
            looking: BTreeMap::new(),
            to_look: BTreeSet::new(),
            began: (!forever).then(|| on.outside.now()),
            wake: BTreeMap::new(),
            queue: Queue::new(on.rules.limits),
            running: BTreeMap::new(),
            next_look: Instant::now(),
            clock: on.outside.now(),
        }
    }

    /// Whether something is going on.
    pub(super) fn is_busy(&self) -> bool {
        !self.running.is_empty() || !self.looking.is_empty()
    }

    /// Whether somebody changed something that was not looked at.
    pub(super) fn has_news(&self) -> Result<bool, Failed> {
        Ok(self.on.records.version()? != self.known.version)
    }

    /// How long there is nothing to do, if nothing happens.
    pub(super) fn patience(&self) -> Duration {
        self.next_look.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(5), GLANCE)
    }

    /// Looks at everything: first what operators wish, then every image. Images are asked once all of that is known, so that one
    /// change of several things is one build; until then nothing else begins, and no end of a build is heard.
    pub(super) fn refresh<'scope>(&mut self, threads: &'scope Threads<'scope, '_>) -> Result<(), Failed>
    where
        'a: 'scope,
    {
        let began = Instant::now();
        self.known = self.on.records.snapshot()?;
        self.rules = self.on.outside.rules().unwrap_or(self.rules);
        let before = Instant::now();
        self.observe_operators()?;
        // Registries that answer slowly are no reason to look less often.
        let waited = before.elapsed();
        let keys: Vec<ImageKey> = self.known.images.keys().filter(|key| self.scope.has(key)).cloned().collect();
        self.wake.retain(|key, _| self.known.images.contains_key(key));
        self.look_at_sources(threads, &keys);
        let jobs: Vec<Job> = keys.iter().filter_map(|key| self.ask_unless_looking(key)).collect();
        self.drop_removed();
        let now = self.on.outside.now();
        let mut steps = self.queue.set_limits(self.rules.limits, now);
        steps.extend(self.queue.submit(jobs, now));
        self.take(threads, steps)?;
        self.next_look = later((began.elapsed().saturating_sub(waited) * REST).max(GLANCE));
        Ok(())
    }

    /// What an image needs by now. What its owner changed waits while its source is looked up, for that is the owner's too: it is
    /// asked again then, and what waits in the queue meanwhile keeps its place.
    fn ask_unless_looking(&mut self, key: &ImageKey) -> Option<Job> {
        let is_begun = self.known.images.get(key).is_some_and(|record| record.running().is_some())
            && !self.running.contains_key(key);
        let job = self.ask(key)?;
        let is_owners = job.priority == Priority::High && !is_begun;
        (!is_owners || !self.waits_for_look(key)).then_some(job)
    }

    /// What an image needs by now, as the queue takes it. What waits of one that needs nothing is withdrawn.
    pub(super) fn ask(&mut self, key: &ImageKey) -> Option<Job> {
        self.wake.remove(key);
        let job = self.needed(key);
        if job.is_none() {
            drop(self.queue.withdraw(key));
        }
        job
    }

    fn needed(&mut self, key: &ImageKey) -> Option<Job> {
        let record = self.known.images.get(key)?;
        if let Some(build) = record.running() {
            // Its record says that it runs, and nobody runs it: it was taken over.
            let is_run = self.running.contains_key(key);
            return if is_run {
                self.newer(record, build)
            } else {
                Some(job(record, Priority::High, build.inputs.wish()))
            };
        }
        let decision = decision(&self.known, record, &self.rules, self.on.outside.now());
        match decision.verdict {
            Verdict::Start(start) => return Some(job(record, start.priority, start.inputs.wish())),
            Verdict::Held(held) => self.wake.extend(held.until.map(|until| (key.clone(), until))),
            _ => {}
        }
        None
    }

    /// What is wished for by now, where a build that runs gives way to that.
    fn newer(&self, record: &ImageRecord, running: &Build) -> Option<Job> {
        let SourceState::Ready(source) = record.source_state() else { return None };
        let BuildSettings { env, resources, services, .. } = record.image.spec.build.clone();
        let wish = Inputs { source, env, resources, services, ..running.inputs.clone() }.wish();
        let gives_way = self.rules.limits.stop_outdated && wish != running.inputs.wish();
        gives_way.then(|| job(record, Priority::High, wish))
    }

    /// Does what the queue says. A build that is not needed any more when its turn comes lets the next one go.
    pub(super) fn take<'scope>(&mut self, threads: &'scope Threads<'scope, '_>, steps: Vec<Step>) -> Result<(), Failed>
    where
        'a: 'scope,
    {
        let mut steps = std::collections::VecDeque::from(steps);
        while let Some(step) = steps.pop_front() {
            match step {
                Step::Start { job, turn } => {
                    if !self.start(threads, &job.image, turn)? {
                        steps.extend(self.queue.finished(&job.image, self.on.outside.now()));
                    }
                }
                Step::Stop { image, why } => {
                    self.running.get(&image).into_iter().for_each(|stopper| stopper.stop(why));
                }
                Step::Drop { .. } => {}
            }
        }
        Ok(())
    }

    fn start<'scope>(
        &mut self,
        threads: &'scope Threads<'scope, '_>,
        key: &ImageKey,
        turn: Turn,
    ) -> Result<bool, Failed>
    where
        'a: 'scope,
    {
        let (now, mut work) = (self.on.outside.now(), None);
        let (known, rules) = (&self.known, &self.rules);
        let record = self.on.records.amend_image(key, &mut |record| {
            work = resume(record).or_else(|| begin(record, known, rules, now));
            Ok(())
        })?;
        if let Some(record) = record {
            self.known.images.insert(key.clone(), record);
        }
        let Some(work) = work else { return Ok(false) };
        tell_began(self.on.outside, &work, turn, self.queue.waiting());
        let stopper = Stopper::default();
        self.running.insert(key.clone(), stopper.clone());
        let (outside, notes, key) = (self.on.outside, self.notes.clone(), key.clone());
        threads.spawn(move || {
            let done = build(outside, &work, &stopper);
            // Who asked waits for it as long as it is there.
            let _ = notes.send(Note::Done(key, done));
        });
        Ok(true)
    }

    /// A build is over: its record is completed, and its image asked again.
    pub(super) fn done<'scope>(
        &mut self,
        threads: &'scope Threads<'scope, '_>,
        key: &ImageKey,
        done: Done,
    ) -> Result<(), Failed>
    where
        'a: 'scope,
    {
        let done = self.outcome(key, done);
        self.running.remove(key);
        self.complete(key, &done)?;
        let now = self.on.outside.now();
        let mut steps = self.queue.finished(key, now);
        self.look_at_sources(threads, [key]);
        // What waited for its end may be what starts now.
        if !self.queue.running().any(|one| one == key) {
            let again = self.ask_unless_looking(key);
            steps.extend(self.queue.submit(again, now));
        }
        self.take(threads, steps)
    }

    /// What came of a build, whatever it says itself, if it was told to stop.
    fn outcome(&self, key: &ImageKey, done: Done) -> Done {
        if matches!(done.outcome, Outcome::Succeeded(_)) {
            return done;
        }
        let outcome = match self.running.get(key).and_then(Stopper::why) {
            Some(Stop::Superseded) => Outcome::Superseded,
            Some(Stop::Cancelled | Stop::Needless) => Outcome::Cancelled,
            Some(Stop::TimedOut) => {
                failed(Fault::Timeout, "it took longer than its buildTimeout, the deadline it was given")
            }
            None => return done,
        };
        Done { outcome, ..done }
    }

    fn complete(&mut self, key: &ImageKey, done: &Done) -> Result<(), Failed> {
        let (now, mut ended) = (self.on.outside.now(), None);
        let record = self.on.records.amend_image(key, &mut |record| {
            ended = end(record, now, done.clone());
            Ok(())
        })?;
        match record {
            Some(record) => drop(self.known.images.insert(key.clone(), record)),
            None => drop(self.known.images.remove(key)),
        }
        if let Some(build) = ended {
            self.on.outside.tell(Event::Ended { build: Box::new(build.clone()) });
            // Who never ends would keep them for ever.
            self.ended.extend(self.began.map(|_| build));
        }
        Ok(())
    }

    /// Time has passed: deadlines, images that are to be asked again, and what somebody else changed.
    pub(super) fn tick<'scope>(&mut self, threads: &'scope Threads<'scope, '_>) -> Result<(), Failed>
    where
        'a: 'scope,
    {
        let now = self.on.outside.now();
        let mut steps = self.queue.tick(now);
        let due: Vec<ImageKey> = self.wake.iter().filter(|(_, at)| **at <= now).map(|(key, _)| key.clone()).collect();
        let jobs: Vec<Job> = due.iter().filter_map(|key| self.ask_unless_looking(key)).collect();
        steps.extend(self.queue.submit(jobs, now));
        self.take(threads, steps)?;
        if self.next_look > Instant::now() {
            return Ok(());
        }
        self.next_look = later(GLANCE);
        // What waits for a time that was near would wait until a clock that was set back is there again.
        let is_set_back = now < mem::replace(&mut self.clock, now);
        if is_set_back || self.has_news()? || self.is_operators_turn() {
            self.refresh(threads)?;
        }
        self.stop_wanted();
        let moving: Vec<ImageKey> = self.known.images.keys().filter(|key| self.scope.has(key)).cloned().collect();
        self.look_at_sources(threads, &moving);
        Ok(())
    }

    /// What somebody wants to be stopped.
    fn stop_wanted(&mut self) {
        let wanted = self.running.keys().filter(|key| {
            let record = self.known.images.get(key);
            record.is_some_and(|record| {
                record.run.stop.is_some() && record.run.stop == record.running().map(|b| b.number)
            })
        });
        let wanted: Vec<ImageKey> = wanted.cloned().collect();
        for key in wanted {
            // One that gives way already is told as well: that somebody said so counts more.
            drop(self.queue.cancel(&key));
            self.running.get(&key).into_iter().for_each(|stopper| stopper.stop(Stop::Cancelled));
        }
    }

    /// Images that are gone are built no more.
    fn drop_removed(&mut self) {
        for (key, stopper) in &self.running {
            if !self.known.images.contains_key(key) {
                stopper.stop(Stop::Needless);
            }
        }
    }

    /// Stops everything: its records say that it runs, and the next one takes it up.
    pub(super) fn stop_all(&mut self) {
        self.running.values().for_each(|stopper| stopper.stop(Stop::Needless));
        self.looking.clear();
        self.to_look.clear();
    }

    /// A build is over while everything ends. What it made is written down; else it is taken up again, and that is no fault of
    /// its own.
    pub(super) fn leave(&mut self, key: &ImageKey, done: &Done) {
        self.running.remove(key);
        if matches!(done.outcome, Outcome::Succeeded(_)) {
            // A record that cannot be written now is completed by the next one.
            let _ = self.complete(key, done);
            return;
        }
        let _ = self.on.records.amend_image(key, &mut |record: &mut ImageRecord| {
            record.run.resumed = record.run.resumed.saturating_sub(1);
            Ok(())
        });
    }
}

fn job(record: &ImageRecord, priority: Priority, wish: Digest) -> Job {
    Job { image: record.image.key(), priority, wish, timeout: record.image.spec.build.build_timeout }
}

/// Does a build. Whatever it breaks, its record is completed.
fn build(outside: &dyn crate::port::Outside, work: &Work, stopper: &Stopper) -> Done {
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| outside.build(work, stopper)));
    done.unwrap_or_else(|_| Done {
        outcome: failed(Fault::Buildpack, "the platform itself failed while it built"),
        log: None,
    })
}
