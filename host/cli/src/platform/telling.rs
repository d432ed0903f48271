//! What a person sees while the platform works: a line for each build that begins and ends, or all that one build says.

use std::sync::Arc;

use stave_platform::{
    port::Event,
    resource::build::{Build, Outcome, joined},
};

use crate::{
    exit::one_line,
    ui::{Ui, seconds},
};

/// The longest line about a build, in characters.
const MAX_LINE: usize = 400;

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// A line for what begins and ends.
    Lines,
    /// All that builds say: where there is one image.
    Logs,
    /// Nothing.
    Nothing,
}

/// Tells a person what happens.
pub(super) struct Teller {
    ui: Arc<Ui>,
    show: Show,
}

impl Teller {
    pub(super) fn new(ui: Arc<Ui>, show: Show) -> Self {
        Self { ui, show }
    }

    /// Takes the lines of a build's log.
    pub(super) fn echo(&self) -> Box<dyn Fn(&str) + Send + Sync> {
        let (ui, is_shown) = (Arc::clone(&self.ui), self.show == Show::Logs);
        Box::new(move |line| {
            if is_shown {
                ui.say(line);
            }
        })
    }

    pub(super) fn tell(&self, event: Event) {
        if self.show == Show::Nothing {
            return;
        }
        match event {
            Event::Began { build, waiting, .. } if self.show == Show::Lines => {
                let waiting = if waiting > 0 { format!(" ({waiting} more wait)") } else { String::new() };
                self.ui.say(&format!(
                    "{}: {} {} begins: {}{waiting}",
                    build.image,
                    build.mode,
                    build.number,
                    joined(&build.changes)
                ));
            }
            Event::Ended { build } if self.show == Show::Lines => self.ui.say(&one_line(&ended(&build), MAX_LINE)),
            Event::Began { .. } | Event::Ended { .. } => {}
            Event::Made { builder, number } => self.ui.say(&format!("{builder} is at revision {number}")),
            Event::Trouble { what, why } => self.ui.say(&one_line(&format!("{what}: {why}"), MAX_LINE)),
        }
    }
}

/// How a build ended, in a line.
fn ended(build: &Build) -> String {
    let took = build.finished.map(|finished| std::time::Duration::from_secs(finished.saturating_sub(build.started)));
    let took = took.filter(|took| !took.is_zero()).map(|took| format!(" in {}", seconds(took))).unwrap_or_default();
    let head = format!("{}: {} {}", build.image, build.mode, build.number);
    match &build.outcome {
        Outcome::Succeeded(made) => format!("{head} is {}{took}", made.image),
        Outcome::Failed(failure) => format!("{head} failed{took}: {}", failure.message),
        Outcome::Cancelled => format!("{head} was stopped{took}"),
        Outcome::Superseded => format!("{head} gave way to a newer source{took}"),
        Outcome::Running => format!("{head} is running"),
    }
}
