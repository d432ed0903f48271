//! What buildpacks that look at an app side by side say, in the order of their group and not in the order in which they finish.

use std::sync::{Arc, Mutex, PoisonError};

use crate::port::observer::{Event, Observer};

/// Lets one after the other be heard. Whose turn it is is heard at once; what others say waits for their turn.
pub(super) struct Turns {
    to: Arc<dyn Observer>,
    state: Mutex<State>,
}

struct State {
    turn: usize,
    /// What each said before it was its turn, and whether it has no more to say.
    waiting: Vec<(Vec<Event>, bool)>,
}

/// One of those who speak.
struct Speaker {
    turns: Arc<Turns>,
    number: usize,
}

impl Turns {
    /// Turns for so many speakers.
    pub(super) fn new(to: &Arc<dyn Observer>, count: usize) -> Arc<Self> {
        let waiting = (0..count).map(|_| (Vec::new(), false)).collect();
        Arc::new(Self { to: Arc::clone(to), state: Mutex::new(State { turn: 0, waiting }) })
    }

    /// Where a speaker is heard.
    pub(super) fn of(self: &Arc<Self>, number: usize) -> Arc<dyn Observer> {
        Arc::new(Speaker { turns: Arc::clone(self), number })
    }

    /// A speaker has no more to say: it is the next one's turn, if it was this one's.
    pub(super) fn end(&self, number: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, is_over)) = state.waiting.get_mut(number) {
            *is_over = true;
        }
        loop {
            let turn = state.turn;
            let Some((said, is_over)) = state.waiting.get_mut(turn) else { return };
            said.drain(..).for_each(|event| self.to.observe(event));
            if !*is_over {
                return;
            }
            state.turn += 1;
        }
    }
}

impl Observer for Speaker {
    fn observe(&self, event: Event) {
        let mut state = self.turns.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.turn == self.number {
            // Under the lock, so that nothing comes between.
            self.turns.to.observe(event);
        } else if let Some((said, _)) = state.waiting.get_mut(self.number)
            && !matches!(event, Event::Progress { .. })
        {
            // How far something was is of no interest later.
            said.push(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::observer::Level;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Observer for Heard {
        fn observe(&self, event: Event) {
            let text = match event {
                Event::Note(_, text) => text,
                other => format!("{other:?}"),
            };
            self.0.lock().unwrap().push(text);
        }
    }

    #[test]
    fn each_is_heard_in_turn_and_the_first_at_once() {
        let heard = Arc::new(Heard::default());
        let to: Arc<dyn Observer> = heard.clone();
        let turns = Turns::new(&to, 4);
        let speakers: Vec<_> = (0..4).map(|number| turns.of(number)).collect();
        let say = |number: usize, text: &str| speakers[number].observe(Event::Note(Level::Info, text.to_owned()));
        let so_far = || heard.0.lock().unwrap().join(" ");
        say(2, "2a");
        speakers[2].observe(Event::Progress { what: "fetch".to_owned(), done: 1, total: None });
        say(0, "0a");
        say(1, "1a");
        turns.end(2);
        assert_eq!(so_far(), "0a");
        say(0, "0b");
        turns.end(0);
        assert_eq!(so_far(), "0a 0b 1a");
        say(1, "1b");
        say(3, "3a");
        turns.end(1);
        assert_eq!(so_far(), "0a 0b 1a 1b 2a 3a");
        say(3, "3b");
        turns.end(3);
        assert_eq!(so_far(), "0a 0b 1a 1b 2a 3a 3b");
    }
}
