//! WASI with everything closed: enough for an ordinary program to run, and nothing that tells it where or when it runs.
//!
//! No arguments, no environment, no folders, standard input at its end. The wall clock stands still, the steady clock counts
//! how often it was asked, and random numbers follow from the component's digest: equal inputs give equal outputs on any
//! machine. A program that sleeps really sleeps, within the time it has.

mod output;
mod random;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use stave_lifecycle::{port::observer::Level, workbench::Workbench};
use stave_model::digest::{Digest, Key};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder};

use self::{output::Lines, random::Stream};
use crate::{guest::LastWords, limits::Limits};

/// 1980-01-01T00:00:01Z, which the lifecycle gives to every file of an image (platform spec, "Reproducibility").
const NOW: Duration = Duration::from_secs(315_532_801);
/// How far the steady clock goes each time it is asked. A clock that stood still would hang a program that waits.
const STEP: u64 = 1_000_000;

/// The world as a buildpack sees it. What it prints goes to `bench`.
pub(crate) fn closed(bench: &Arc<Workbench>, component: &Digest, last_words: &LastWords, limits: &Limits) -> WasiCtx {
    let seed = |purpose: &str| Key::new("random 1").field(purpose).field(component.hex()).finish();
    let mut number = [0; 16];
    number.copy_from_slice(&seed("seed").bytes()[..16]);
    WasiCtxBuilder::new()
        .stdout(Lines::new(bench, Level::Info, None))
        .stderr(Lines::new(bench, Level::Warning, Some(last_words.clone())))
        .secure_random(Stream::new(seed("secure")))
        .insecure_random(Stream::new(seed("insecure")))
        .insecure_random_seed(u128::from_le_bytes(number))
        .max_random_size(limits.random_bytes)
        .wall_clock(StandingClock)
        .monotonic_clock(CountingClock::default())
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        // Nothing of this is ever done on another thread: there are no files.
        .allow_blocking_current_thread(true)
        .build()
}

struct StandingClock;

impl HostWallClock for StandingClock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        NOW
    }
}

#[derive(Default)]
struct CountingClock(AtomicU64);

impl HostMonotonicClock for CountingClock {
    fn resolution(&self) -> u64 {
        STEP
    }

    fn now(&self) -> u64 {
        self.0.fetch_add(STEP, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_tell_nothing() {
        let utc = StandingClock.now().as_secs();
        assert_eq!(utc, (10 * 365 + 2) * 86_400 + 1, "ten years with two leap days after 1970, and a second");
        let clock = CountingClock::default();
        assert_eq!([clock.now(), clock.now(), clock.now()], [0, STEP, 2 * STEP]);
    }
}
