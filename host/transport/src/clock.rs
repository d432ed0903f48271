//! What time it is, and how time passes: on this machine, or in a test that does not wait.

use std::{
    fmt::Debug,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How long a cancelled run may go on waiting.
const SLICE: Duration = Duration::from_millis(50);

/// A clock to wait by. It never goes back, whatever happens to the machine's date.
pub trait Clock: Debug + Send + Sync {
    /// How much time has passed since a moment that stays the same.
    fn now(&self) -> Duration;

    /// Lets `delay` pass; false as soon as `cancel` is set.
    fn wait(&self, delay: Duration, cancel: &AtomicBool) -> bool;
}

/// This machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct Monotonic(Instant);

impl Default for Monotonic {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for Monotonic {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn wait(&self, delay: Duration, cancel: &AtomicBool) -> bool {
        let end = Instant::now() + delay;
        while !cancel.load(Ordering::SeqCst) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            thread::sleep(left.min(SLICE));
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancelled_run_does_not_wait() {
        let clock = Monotonic::default();
        assert!(!clock.wait(Duration::from_hours(1), &AtomicBool::new(true)));
        assert!(clock.wait(Duration::ZERO, &AtomicBool::new(false)));
    }
}
