//! Whether to try again, and after how long. The decision is pure; the waiting ends within a tenth of a second when
//! the run is cancelled.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::fault::{Error, Kind};

/// The longest that a server may make us wait between two attempts.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(1);

/// How long a cancelled run may go on waiting.
const SLICE: Duration = Duration::from_millis(50);

/// How often and how patiently.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// How many attempts there are, the first included.
    pub attempts: u32,
    /// The wait before the second attempt; it doubles from there.
    pub first: Duration,
    /// The longest wait of our own choosing.
    pub longest: Duration,
    /// After how long no further attempt begins.
    pub total: Duration,
}

impl Default for Policy {
    /// Four faults in a row are survived; 0.2 s to 30 s between them; five minutes in all.
    fn default() -> Self {
        Self {
            attempts: 5,
            first: Duration::from_millis(200),
            longest: Duration::from_secs(30),
            total: Duration::from_mins(5),
        }
    }
}

impl Policy {
    /// The wait before another attempt after `attempt` failed attempts in a row; none if there should be none.
    ///
    /// The wait doubles each time, is spread by `chance` (0 to 1) over its upper half so that many clients do not come
    /// back at once, and is never shorter than what the server asked for, which itself counts for at most
    /// [`LONGEST_RETRY_AFTER`].
    pub fn next_delay(&self, attempt: u32, kind: Kind, chance: f64) -> Option<Duration> {
        let Kind::Passing { retry_after } = kind else { return None };
        if attempt >= self.attempts {
            return None;
        }
        let doubled = self.first.saturating_mul(1 << attempt.saturating_sub(1).min(20)).min(self.longest);
        let spread = doubled.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0);
        Some(spread.max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER)))
    }
}

/// Does `step` until it succeeds, fails for good, or the policy or `cancel` ends it. It is given the attempt's number,
/// from 1.
pub fn retry<T>(
    policy: &Policy,
    cancel: &AtomicBool,
    mut step: impl FnMut(u32) -> Result<T, Error>,
) -> Result<T, Error> {
    let begun = Instant::now();
    let mut attempt = 1;
    loop {
        let error = match step(attempt) {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let delay = policy.next_delay(attempt, error.kind(), chance());
        let Some(delay) = delay.filter(|delay| begun.elapsed() + *delay < policy.total) else { return Err(error) };
        if !wait(delay, cancel) {
            return Err(error);
        }
        attempt += 1;
    }
}

/// Waits for `delay`; false as soon as `cancel` is set.
pub fn wait(delay: Duration, cancel: &AtomicBool) -> bool {
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

/// A number from 0 to 1 that differs from call to call and from process to process.
pub(crate) fn chance() -> f64 {
    let bits = u32::try_from(RandomState::new().hash_one(()) >> 32).unwrap_or(u32::MAX);
    f64::from(bits) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSING: Kind = Kind::Passing { retry_after: None };

    #[test]
    fn waits_double_up_to_a_limit() {
        let policy = Policy { attempts: 20, ..Policy::default() };
        let waits: Vec<u128> =
            (1..10).map(|attempt| policy.next_delay(attempt, PASSING, 1.0).unwrap().as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000]);
        assert_eq!(policy.next_delay(1, PASSING, 0.0), Some(Duration::from_millis(100)));
    }

    #[test]
    fn ends_when_it_makes_no_sense() {
        let policy = Policy::default();
        assert!(policy.next_delay(4, PASSING, 0.5).is_some());
        assert_eq!(policy.next_delay(5, PASSING, 0.5), None);
        assert_eq!(policy.next_delay(1, Kind::Lasting, 0.5), None);
    }

    #[test]
    fn a_servers_wish_is_honoured_within_reason() {
        let delay = |secs| {
            let asked = Kind::Passing { retry_after: Some(Duration::from_secs(secs)) };
            Policy::default().next_delay(1, asked, 1.0).unwrap()
        };
        assert_eq!(delay(7), Duration::from_secs(7));
        assert_eq!(delay(86400), LONGEST_RETRY_AFTER);
        assert_eq!(delay(0), Duration::from_millis(200));
    }

    #[test]
    fn a_cancelled_run_does_not_wait() {
        let cancelled = AtomicBool::new(true);
        let mut attempts = 0;
        let result: Result<(), Error> = retry(&Policy::default(), &cancelled, |_| {
            attempts += 1;
            Err(Error::Status { url: String::new(), status: 503, retry_after: Some(LONGEST_RETRY_AFTER) })
        });
        assert_eq!((result.unwrap_err().status(), attempts), (Some(503), 1));
    }

    #[test]
    fn tries_until_it_works() {
        let policy = Policy { first: Duration::ZERO, ..Policy::default() };
        let result = retry(&policy, &AtomicBool::new(false), |attempt| match attempt {
            4 => Ok(attempt),
            _ => Err(Error::Status { url: String::new(), status: 502, retry_after: None }),
        });
        assert_eq!(result.unwrap(), 4);
    }

    #[test]
    fn chances_are_spread() {
        let chances: Vec<f64> = (0..32).map(|_| chance()).collect();
        assert!(chances.iter().all(|chance| (0.0..=1.0).contains(chance)));
        assert!(chances.windows(2).any(|pair| pair[0].to_bits() != pair[1].to_bits()));
    }
}
