//! How long a call has been running, and whether somebody asked to stop it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use stave_lifecycle::port::cancel::Cancel;

use crate::stop::Stop;

/// Looked at every ten milliseconds while a buildpack computes, and while it waits.
///
/// Time is counted as a person counts it, except while the host fetches something for the buildpack: how long a download
/// takes says nothing about the buildpack, and the transport has its own patience.
#[derive(Debug)]
pub(crate) struct Watch {
    started: Instant,
    limit: Duration,
    /// Nanoseconds that do not count.
    away: AtomicU64,
    cancel: Cancel,
}

impl Watch {
    /// Begins to count.
    pub(crate) fn start(limit: Duration, cancel: &Cancel) -> Self {
        Self { started: Instant::now(), limit, away: AtomicU64::new(0), cancel: cancel.clone() }
    }

    /// Why to stop now, if there is a reason.
    pub(crate) fn check(&self) -> Result<(), Stop> {
        if self.cancel.is_set() {
            return Err(Stop::Cancelled);
        }
        let away = Duration::from_nanos(self.away.load(Ordering::Relaxed));
        if self.started.elapsed().saturating_sub(away) > self.limit { Err(Stop::Time(self.limit)) } else { Ok(()) }
    }

    /// Does work whose time does not count.
    pub(crate) fn uncounted<T>(&self, work: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let answer = work();
        let took = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.away.fetch_add(took, Ordering::Relaxed);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_runs_out_and_somebody_can_ask_to_stop() {
        let cancel = Cancel::new();
        assert_eq!(Watch::start(Duration::from_hours(1), &cancel).check(), Ok(()));
        let over = Watch::start(Duration::ZERO, &cancel);
        assert_eq!(over.check(), Err(Stop::Time(Duration::ZERO)));
        over.away.store(u64::MAX, Ordering::Relaxed);
        assert_eq!(over.check(), Ok(()), "time away does not count");
        cancel.set();
        assert_eq!(over.check(), Err(Stop::Cancelled));
    }

    #[test]
    fn what_is_fetched_meanwhile_is_not_counted() {
        let watch = Watch::start(Duration::ZERO, &Cancel::new());
        watch.uncounted(|| {
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_millis(1) {}
        });
        assert!(watch.away.load(Ordering::Relaxed) >= 1_000_000);
    }
}
