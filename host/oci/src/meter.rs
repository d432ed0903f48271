//! Tells an observer how far long work is, often enough to be watched and seldom enough to cost nothing.

use stave_lifecycle::port::observer::{Event, Observer};

/// How many bytes pass between two events.
const STEP: u64 = 512 * 1024;

/// Counts bytes of one piece of work. Dropping it ends the work.
pub(crate) struct Meter<'a> {
    observer: &'a dyn Observer,
    what: String,
    done: u64,
    told: u64,
    total: u64,
}

impl<'a> Meter<'a> {
    /// Begins work of `total` bytes.
    pub(crate) fn begin(observer: &'a dyn Observer, what: String, total: u64) -> Self {
        let meter = Self { observer, what, done: 0, told: 0, total };
        meter.tell();
        meter
    }

    /// Counts `bytes` more.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.at(self.done + bytes);
    }

    /// Counts `done` in all, which may be less than before.
    pub(crate) fn at(&mut self, done: u64) {
        self.done = done;
        if self.done.abs_diff(self.told) >= STEP {
            self.told = self.done;
            self.tell();
        }
    }

    fn tell(&self) {
        let (what, total) = (self.what.clone(), Some(self.total));
        self.observer.observe(Event::Progress { what, done: self.done, total });
    }
}

impl Drop for Meter<'_> {
    fn drop(&mut self) {
        self.observer.observe(Event::ProgressEnd { what: self.what.clone() });
    }
}
