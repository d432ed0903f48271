//! Messages of a buildpack, up to a limit.

use super::Workbench;
use crate::port::observer::{Event, Level};

impl Workbench {
    /// Passes a message on, until the buildpack has said too much.
    pub fn log(&self, level: Level, text: &str) {
        if let Some(text) = self.within_budget(text) {
            self.shop.observer.observe(Event::Message { buildpack: self.buildpack().clone(), level, text });
        }
    }

    /// Passes on that a step begins.
    pub fn step(&self, title: &str) {
        if let Some(title) = self.within_budget(title) {
            self.shop.observer.observe(Event::Step { buildpack: self.buildpack().clone(), title });
        }
    }

    /// The text, cut where the limit is reached; none once it was.
    fn within_budget(&self, text: &str) -> Option<String> {
        const CUT: &str = "… (it has said too much: further messages are left out)";
        let mut state = self.state();
        let limit = self.shop.limits.log_bytes;
        if state.logged > limit {
            return None;
        }
        let left = usize::try_from(limit - state.logged).unwrap_or(usize::MAX);
        // An empty message costs something too, or there would be no end of them.
        state.logged += text.len() as u64 + 1;
        if text.len() <= left && state.logged <= limit {
            return Some(text.to_owned());
        }
        let mut cut = left.min(text.len());
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        state.logged = limit + 1;
        Some(format!("{}{CUT}", &text[..cut]))
    }
}
