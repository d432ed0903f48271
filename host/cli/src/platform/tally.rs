//! What a server counts while it reconciles, for its metrics.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use stave_platform::{
    port::Event,
    resource::build::{Build, Mode, Outcome},
};
use stave_server::{Came, Counters, Ended, State};

/// Numbers of this process.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    up_since: u64,
    running: u64,
    waiting: u64,
    ended: BTreeMap<(Mode, Came), (u64, u64)>,
}

impl Tally {
    /// Nothing yet, since then.
    pub(crate) fn since(now: u64) -> Self {
        Self(Mutex::new(Numbers { up_since: now, ..Numbers::default() }))
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what happened.
    pub(super) fn count(&self, event: &Event) {
        let mut numbers = self.numbers();
        match event {
            Event::Began { waiting, .. } => {
                numbers.running += 1;
                numbers.waiting = *waiting as u64;
            }
            Event::Ended { build } => {
                numbers.running = numbers.running.saturating_sub(1);
                let entry = numbers.ended.entry((build.mode, came(build))).or_default();
                let seconds = build.finished.map_or(0, |finished| finished.saturating_sub(build.started));
                *entry = (entry.0 + 1, entry.1 + seconds * 1000);
            }
            Event::Made { .. } | Event::Trouble { .. } => {}
        }
    }
}

fn came(build: &Build) -> Came {
    match build.outcome {
        Outcome::Succeeded(_) => Came::Succeeded,
        Outcome::Cancelled => Came::Cancelled,
        Outcome::Superseded => Came::Superseded,
        Outcome::Failed(_) | Outcome::Running => Came::Failed,
    }
}

impl State for Tally {
    fn counters(&self) -> Counters {
        let numbers = self.numbers();
        let ended = numbers.ended.iter().map(|((mode, outcome), (count, milliseconds))| Ended {
            mode: *mode,
            outcome: *outcome,
            count: *count,
            milliseconds: *milliseconds,
        });
        Counters {
            up_since: numbers.up_since,
            running: numbers.running,
            waiting: numbers.waiting,
            ended: ended.collect(),
        }
    }
}
