//! Which build starts next, and which stops: pure scheduling, a transition for everything that can happen.
//!
//! * What an image's owner waits for goes before an operator's updates: a commit overtakes a thousand rebases. After
//!   [`Limits::patience`] such starts in a row one update goes first, so updates come to an end too.
//! * Namespaces share: the one with the fewest running builds is next, and of several the one that waited longest. Within a
//!   namespace who came first is first.
//! * An image has one build at a time. What is wished for meanwhile waits for its end, and only the newest wish is kept.
//! * As long as builds end, everything starts.
//!
//! Nothing is done here. A transition returns what is to be started and stopped, and why, and the caller reports back when a
//! build is over.

use std::{collections::BTreeMap, fmt};

use stave_model::digest::Digest;

use crate::{
    decide::Priority,
    resource::name::{ImageKey, Name},
};

/// How often in a row a running build of one image gives way to a newer source. Then one is let through.
const MAX_SUPERSEDED: u32 = 2;

/// What is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// At most so many builds at once.
    pub concurrent: usize,
    /// At most so many of one namespace, where that is limited.
    pub per_namespace: Option<usize>,
    /// How many builds that owners wait for go before an update that waits.
    pub patience: u32,
    /// Whether a running build stops when its source is no longer the newest. kpack lets it end.
    pub stop_outdated: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { concurrent: 2, per_namespace: None, patience: 8, stop_outdated: false }
    }
}

/// A build that is wished for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Of which image.
    pub image: ImageKey,
    /// Who waits for it.
    pub priority: Priority,
    /// What its owner wishes (`Inputs::wish`): another one is a newer source or other settings.
    pub wish: Digest,
    /// How many seconds it may run.
    pub timeout: Option<u64>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Start it.
    Start {
        /// What.
        job: Job,
        /// Why now.
        turn: Turn,
    },
    /// Stop a running one, and report when it is over.
    Stop {
        /// Of which image.
        image: ImageKey,
        /// Why.
        why: Stop,
    },
    /// One that waited will not be started.
    Drop {
        /// Of which image.
        image: ImageKey,
        /// Why.
        why: Stop,
    },
}

/// Why a build starts now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Its owner waits for it.
    Owner,
    /// It is an update, and no owner waits.
    Update,
    /// It is an update that was overtaken often enough.
    Patience,
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Owner => "its owner waits for it",
            Self::Update => "it is an update, and no owner waits for a build",
            Self::Patience => "it is an update that was overtaken often enough",
        })
    }
}

/// Why a build stops, or is not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// A newer source came.
    Superseded,
    /// Somebody said so.
    Cancelled,
    /// It took too long.
    TimedOut,
    /// It is no longer needed.
    Needless,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Superseded => "a newer source came",
            Self::Cancelled => "somebody stopped it",
            Self::TimedOut => "it took longer than it may",
            Self::Needless => "it is no longer needed",
        })
    }
}

/// One that waits, with its place in the line.
#[derive(Debug, Clone)]
struct Waiting {
    job: Job,
    place: u64,
}

/// One that runs.
#[derive(Debug, Clone)]
struct Running {
    job: Job,
    deadline: Option<u64>,
    /// That it was told to stop, and why.
    stopping: Option<Stop>,
    /// What starts when it is over.
    next: Option<Waiting>,
}

/// A namespace's own.
#[derive(Debug, Clone, Default)]
struct Share {
    /// What waits, by priority and place.
    lines: BTreeMap<Priority, BTreeMap<u64, ImageKey>>,
    running: usize,
    /// Which start its last was.
    served: u64,
}

impl Share {
    fn has(&self, priority: Priority) -> bool {
        self.lines.get(&priority).is_some_and(|line| !line.is_empty())
    }
}

/// Builds that wait and run.
#[derive(Debug, Clone)]
pub struct Queue {
    limits: Limits,
    waiting: BTreeMap<ImageKey, Waiting>,
    running: BTreeMap<ImageKey, Running>,
    shares: BTreeMap<Name, Share>,
    places: u64,
    starts: u64,
    /// How many builds in a row went before an update that waited.
    overtaken: u32,
    /// How often in a row a build of an image gave way.
    gave_way: BTreeMap<ImageKey, u32>,
}

impl Queue {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            waiting: BTreeMap::new(),
            running: BTreeMap::new(),
            shares: BTreeMap::new(),
            places: 0,
            starts: 0,
            overtaken: 0,
            gave_way: BTreeMap::new(),
        }
    }

    /// Builds are wished for, all at once.
    pub fn submit(&mut self, jobs: impl IntoIterator<Item = Job>, now: u64) -> Vec<Step> {
        let mut steps: Vec<Step> = jobs.into_iter().filter_map(|job| self.take_in(job)).collect();
        self.fill(now, &mut steps);
        steps
    }

    /// A build is over, however it ended.
    pub fn finished(&mut self, image: &ImageKey, now: u64) -> Vec<Step> {
        let mut steps = Vec::new();
        let Some(running) = self.running.remove(image) else { return steps };
        self.share(&image.namespace).running -= 1;
        if running.stopping == Some(Stop::Superseded) {
            *self.gave_way.entry(image.clone()).or_default() += 1;
        } else {
            self.gave_way.remove(image);
        }
        if let Some(next) = running.next {
            self.line_up(next);
        }
        self.fill(now, &mut steps);
        steps
    }

    /// Somebody stops an image's build, the one that runs and the one that waits.
    pub fn cancel(&mut self, image: &ImageKey) -> Vec<Step> {
        let mut steps = self.drop_waiting(image, Stop::Cancelled);
        if let Some(running) = self.running.get_mut(image)
            && running.stopping.is_none_or(|why| why == Stop::Superseded)
        {
            let is_told = running.stopping.replace(Stop::Cancelled).is_some();
            if !is_told {
                steps.push(Step::Stop { image: image.clone(), why: Stop::Cancelled });
            }
        }
        steps
    }

    /// What waits of an image is no longer needed.
    pub fn withdraw(&mut self, image: &ImageKey) -> Vec<Step> {
        self.drop_waiting(image, Stop::Needless)
    }

    /// Time has passed: what ran too long is to stop.
    pub fn tick(&mut self, now: u64) -> Vec<Step> {
        let late = self.running.iter_mut().filter(|(_, running)| {
            running.stopping.is_none() && running.deadline.is_some_and(|deadline| deadline <= now)
        });
        late.map(|(image, running)| {
            running.stopping = Some(Stop::TimedOut);
            Step::Stop { image: image.clone(), why: Stop::TimedOut }
        })
        .collect()
    }

    /// When [`Self::tick`] has something to do next.
    pub fn next_deadline(&self) -> Option<u64> {
        self.running.values().filter(|one| one.stopping.is_none()).filter_map(|one| one.deadline).min()
    }

    /// Other limits hold. What runs goes on.
    pub fn set_limits(&mut self, limits: Limits, now: u64) -> Vec<Step> {
        self.limits = limits;
        let mut steps = Vec::new();
        self.fill(now, &mut steps);
        steps
    }

    /// Which images have a build that runs.
    pub fn running(&self) -> impl Iterator<Item = &ImageKey> {
        self.running.keys()
    }

    /// How many wait, for a turn or for a build of the same image.
    pub fn waiting(&self) -> usize {
        self.waiting.len() + self.running.values().filter(|running| running.next.is_some()).count()
    }

    fn share(&mut self, namespace: &Name) -> &mut Share {
        self.shares.entry(namespace.clone()).or_default()
    }

    /// Lines a job up, or puts it behind the build of its image that runs.
    fn take_in(&mut self, job: Job) -> Option<Step> {
        self.places += 1;
        let (image, place) = (job.image.clone(), self.places);
        if let Some(running) = self.running.get_mut(&image) {
            let is_newer = running.job.wish != job.wish;
            // Who waits longest keeps the place, whatever is wished for by now.
            let place = running.next.as_ref().map_or(place, |next| next.place);
            running.next = Some(Waiting { job, place });
            let gave_way = self.gave_way.get(&image).copied().unwrap_or_default();
            let gives_way = is_newer && self.limits.stop_outdated && gave_way < MAX_SUPERSEDED;
            if !gives_way || running.stopping.is_some() {
                return None;
            }
            running.stopping = Some(Stop::Superseded);
            return Some(Step::Stop { image, why: Stop::Superseded });
        }
        let old = self.take_out(&image);
        let is_replaced = old.as_ref().is_some_and(|old| old.job.wish != job.wish);
        let place = old.map_or(place, |old| old.place);
        self.line_up(Waiting { job, place });
        is_replaced.then_some(Step::Drop { image, why: Stop::Superseded })
    }

    fn line_up(&mut self, waiting: Waiting) {
        let Waiting { job, place } = &waiting;
        let share = self.share(&job.image.namespace);
        share.lines.entry(job.priority).or_default().insert(*place, job.image.clone());
        self.waiting.insert(job.image.clone(), waiting);
    }

    fn take_out(&mut self, image: &ImageKey) -> Option<Waiting> {
        let waiting = self.waiting.remove(image)?;
        let share = self.share(&image.namespace);
        share.lines.entry(waiting.job.priority).or_default().remove(&waiting.place);
        Some(waiting)
    }

    fn drop_waiting(&mut self, image: &ImageKey, why: Stop) -> Vec<Step> {
        let waited = self.take_out(image).or_else(|| self.running.get_mut(image)?.next.take());
        waited.into_iter().map(|waiting| Step::Drop { image: waiting.job.image, why }).collect()
    }

    /// Starts what there is room for.
    fn fill(&mut self, now: u64, steps: &mut Vec<Step>) {
        while self.running.len() < self.limits.concurrent {
            let Some((image, turn)) = self.next() else { return };
            let Some(Waiting { job, .. }) = self.take_out(&image) else { return };
            self.starts += 1;
            let served = self.starts;
            let share = self.share(&image.namespace);
            share.running += 1;
            share.served = served;
            let deadline = job.timeout.map(|timeout| now.saturating_add(timeout));
            let running = Running { job: job.clone(), deadline, stopping: None, next: None };
            self.running.insert(image, running);
            steps.push(Step::Start { job, turn });
        }
    }

    /// Whose turn it is.
    fn next(&mut self) -> Option<(ImageKey, Turn)> {
        let (high, low) = (self.first_of(Priority::High), self.first_of(Priority::Low));
        match (high, low) {
            (Some(_), Some(low)) if self.overtaken >= self.limits.patience => {
                self.overtaken = 0;
                Some((low, Turn::Patience))
            }
            (Some(high), low) => {
                self.overtaken += u32::from(low.is_some());
                Some((high, Turn::Owner))
            }
            (None, low) => {
                self.overtaken = 0;
                low.map(|low| (low, Turn::Update))
            }
        }
    }

    /// Who is first of a priority: of the namespace with the fewest running, and of those the one that was served longest ago.
    fn first_of(&self, priority: Priority) -> Option<ImageKey> {
        let has_room = |share: &Share| self.limits.per_namespace.is_none_or(|most| share.running < most);
        let shares = self.shares.values().filter(|share| share.has(priority) && has_room(share));
        let next = shares.min_by_key(|share| (share.running, share.served))?;
        next.lines.get(&priority)?.values().next().cloned()
    }
}

#[cfg(test)]
mod tests;
