//! Whether to try again, and after how long. The decision is pure; the waiting is done by a [`Clock`] and ends within a
//! tenth of a second when the run is cancelled.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::AtomicBool,
    time::Duration,
};

use crate::{
    clock::Clock,
    fault::{Error, Kind},
};

/// The longest that a server may make us wait between two attempts.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(1);

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
    clock: &dyn Clock,
    policy: &Policy,
    cancel: &AtomicBool,
    mut step: impl FnMut(u32) -> Result<T, Error>,
) -> Result<T, Error> {
    let begun = clock.now();
    let mut attempt = 1;
    loop {
        let error = match step(attempt) {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let delay = policy.next_delay(attempt, error.kind(), chance());
        let in_time = |delay: &Duration| clock.now().saturating_sub(begun) + *delay < policy.total;
        let Some(delay) = delay.filter(in_time) else { return Err(error) };
        if !clock.wait(delay, cancel) {
            return Err(error);
        }
        attempt += 1;
    }
}

/// How long a server asks us to wait (RFC 9110, 10.2.3): seconds, or a moment, which counts from the server's own `Date`
/// so that a wrong clock on this machine does not matter.
pub fn retry_after(asked: &str, date: Option<&str>) -> Option<Duration> {
    let seconds = || asked.trim().parse().ok();
    let moment = || Some(seconds_of(asked)?.saturating_sub(seconds_of(date?)?));
    seconds().or_else(moment).map(Duration::from_secs)
}

/// The seconds since 1970 that a date such as `Sun, 06 Nov 1994 08:49:37 GMT` names (RFC 9110, 5.6.7; the two obsolete
/// forms are not read).
fn seconds_of(date: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = date.trim().split(' ').collect();
    let [_, day, month, year, time, "GMT"] = words[..] else { return None };
    let (day, year): (u64, u64) = (day.parse().ok()?, year.parse().ok()?);
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let clock: Vec<u64> = time.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [hour, minute, second] = clock[..] else { return None };
    if !(1..=31).contains(&day) || !(1970..10_000).contains(&year) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Years are counted from March, so that the leap day is their last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    Some((days - 719_468) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// A number from 0 to 1 that differs from call to call and from process to process: for [`Policy::next_delay`].
pub fn chance() -> f64 {
    let bits = u32::try_from(RandomState::new().hash_one(()) >> 32).unwrap_or(u32::MAX);
    f64::from(bits) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::testing::StillClock;

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
        let result: Result<(), Error> = retry(&StillClock::default(), &Policy::default(), &cancelled, |_| {
            attempts += 1;
            Err(Error::Status { url: String::new(), status: 503, retry_after: Some(LONGEST_RETRY_AFTER) })
        });
        assert_eq!((result.unwrap_err().status(), attempts), (Some(503), 1));
    }

    #[test]
    fn tries_until_it_works() {
        let clock = StillClock::default();
        let result = retry(&clock, &Policy::default(), &AtomicBool::new(false), |attempt| match attempt {
            4 => Ok(attempt),
            _ => Err(Error::Status { url: String::new(), status: 502, retry_after: None }),
        });
        assert_eq!((result.unwrap(), clock.waits().len()), (4, 3));
    }

    #[test]
    fn no_attempt_begins_after_the_deadline() {
        let (clock, policy) = (StillClock::default(), Policy { attempts: u32::MAX, ..Policy::default() });
        let result: Result<(), Error> = retry(&clock, &policy, &AtomicBool::new(false), |_| {
            Err(Error::Status { url: String::new(), status: 429, retry_after: Some(Duration::from_hours(24)) })
        });
        assert_eq!(result.unwrap_err().status(), Some(429));
        assert_eq!(clock.waits(), [LONGEST_RETRY_AFTER; 4], "a fifth minute would end at the deadline");
    }

    #[test]
    fn a_wish_is_read_in_seconds_or_as_a_moment() {
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        let cases = [
            ("120", None, Some(120)),
            (" 0 ", None, Some(0)),
            ("Sun, 06 Nov 1994 08:51:37 GMT", date, Some(120)),
            ("Tue, 29 Feb 2000 00:00:00 GMT", Some("Mon, 28 Feb 2000 23:59:59 GMT"), Some(1)),
            ("Sat, 05 Nov 1994 08:49:37 GMT", date, Some(0)),
            ("Sun, 06 Nov 1994 08:51:37 GMT", None, None),
            ("Sun, 06 Nov 1994 08:51:37 CET", date, None),
            ("Sun, 99 Nov 1994 08:51:37 GMT", date, None),
            ("Sun, 06 Nov 18446744073709551615 08:51:37 GMT", date, None),
            ("soon", date, None),
            ("-1", None, None),
        ];
        for (asked, date, expected) in cases {
            assert_eq!(retry_after(asked, date), expected.map(Duration::from_secs), "{asked}");
        }
        assert_eq!(seconds_of("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(seconds_of("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
    }

    #[test]
    fn chances_are_spread() {
        let chances: Vec<f64> = (0..32).map(|_| chance()).collect();
        assert!(chances.iter().all(|chance| (0.0..=1.0).contains(chance)));
        assert!(chances.windows(2).any(|pair| pair[0].to_bits() != pair[1].to_bits()));
    }
}
