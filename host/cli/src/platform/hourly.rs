//! What a server does beside its work once an hour, whoever works at that moment.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const HOUR: Duration = Duration::from_hours(1);

/// When it was done last.
#[derive(Debug)]
pub(super) struct Hourly {
    done: Mutex<Instant>,
}

impl Hourly {
    /// It was done now.
    pub(super) fn since(now: Instant) -> Self {
        Self { done: Mutex::new(now) }
    }

    /// Whether it is due. Who is told so does it: nobody else is told for an hour.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = now.saturating_duration_since(*done) >= HOUR;
        if is_due {
            *done = now;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_alone_is_told_and_not_again_within_an_hour() {
        let start = Instant::now();
        let hourly = Hourly::since(start);
        let minutes = [0, 59, 60, 61, 119, 120, 120, 600];
        let told = minutes.map(|minute| hourly.is_due(start + Duration::from_mins(minute)));
        assert_eq!(told, [false, false, true, false, false, true, false, true]);
        assert!(!hourly.is_due(start), "a clock that is behind is no reason");
    }
}
