//! Messages of a buildpack, up to a limit.

use stave_model::capability::Interface;

use super::{Workbench, journal::Call};
use crate::port::observer::{Event, Level};

impl Workbench {
    /// Passes a message on, until the buildpack has said too much.
    pub fn log(&self, level: Level, text: &str) {
        if let Some(text) = self.within_budget(text) {
            self.saying(Call::Message { level, text: text.clone() });
            self.shop.observer.observe(Event::Message { buildpack: self.buildpack().clone(), level, text });
        }
    }

    /// Passes on that a step begins.
    pub fn step(&self, title: &str) {
        if let Some(title) = self.within_budget(title) {
            self.saying(Call::Step { title: title.clone() });
            self.shop.observer.observe(Event::Step { buildpack: self.buildpack().clone(), title });
        }
    }

    /// The text, cut where the limit is reached; none once it was.
    fn within_budget(&self, text: &str) -> Option<String> {
        const CUT: &str = "… (it has said too much: further messages are left out)";
        let text = self.hidden(text);
        self.uses(Interface::Log);
        let mut state = self.state();
        let limit = self.shop.limits.log_bytes;
        if state.logged > limit {
            return None;
        }
        let left = usize::try_from(limit - state.logged).unwrap_or(usize::MAX);
        // An empty message costs something too, or there would be no end of them.
        state.logged += text.len() as u64 + 1;
        if text.len() <= left && state.logged <= limit {
            return Some(text);
        }
        let mut cut = left.min(text.len());
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        state.logged = limit + 1;
        Some(format!("{}{CUT}", &text[..cut]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bench, shop, tree};

    /// What passes a limit of `log_bytes`, of these messages.
    fn passed(log_bytes: u64, messages: &[&str]) -> Vec<String> {
        let (mut shop, observer) = shop(crate::testing::Artifacts::default());
        shop.limits.log_bytes = log_bytes;
        let bench = bench(&shop, tree(&[]));
        for text in messages {
            bench.log(Level::Info, text);
        }
        let text = |event| match event {
            Event::Message { buildpack, level: Level::Info, text } if buildpack.as_str() == "acme/tool" => text,
            other => panic!("{other:?}"),
        };
        observer.take().into_iter().map(text).collect()
    }

    /// T5.
    #[test]
    fn a_buildpack_says_so_much_and_no_more() {
        const CUT: &str = "… (it has said too much: further messages are left out)";
        assert_eq!(passed(4, &["abc"]), ["abc"]);
        assert_eq!(passed(8, &["abc", "def"]), ["abc", "def"]);
        assert_eq!(passed(7, &["abc", "def", "g", "h"]), ["abc".to_owned(), format!("def{CUT}")]);
        assert_eq!(passed(3, &["abcdef", ""]), [format!("abc{CUT}")]);
        // Never within a character: é and — have two and three bytes.
        assert_eq!(passed(2, &["aé"]), [format!("a{CUT}")]);
        assert_eq!(passed(3, &["a—"]), [format!("a{CUT}")]);
        assert_eq!(passed(0, &["a", "b"]), [CUT]);
        assert_eq!(passed(2, &["", "", "", ""]), ["", "", CUT], "an empty one costs something too");
    }

    #[test]
    fn steps_and_messages_share_the_limit() {
        let (mut shop, observer) = shop(crate::testing::Artifacts::default());
        shop.limits.log_bytes = 10;
        let bench = bench(&shop, tree(&[]));
        bench.step("Java 21");
        bench.log(Level::Error, "0123456789");
        bench.step("more");
        let events = observer.take();
        assert_eq!(events.len(), 2);
        assert!(matches!(&events[0], Event::Step { title, .. } if title == "Java 21"));
        assert!(matches!(&events[1], Event::Message { text, level: Level::Error, .. } if text.starts_with("01…")));
    }
}
