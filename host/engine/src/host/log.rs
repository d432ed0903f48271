//! `log`: words for the person who watches.

use stave_lifecycle::port::observer;

use super::contract::stave::buildpack::log::{Host, Level};
use crate::guest::Guest;

impl From<Level> for observer::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warning => Self::Warning,
            Level::Error => Self::Error,
        }
    }
}

impl Host for Guest {
    fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.last_words.forget();
        if level == Level::Error {
            self.last_words.add(&self.bench.hidden(&message));
        }
        self.bench.log(level.into(), &message);
        Ok(())
    }

    fn step(&mut self, title: String) -> wasmtime::Result<()> {
        self.last_words.forget();
        self.bench.step(&title);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_keep_their_order() {
        let all = [Level::Debug, Level::Info, Level::Warning, Level::Error].map(observer::Level::from);
        assert!(all.is_sorted() && all[0] == observer::Level::Debug && all[3] == observer::Level::Error);
    }
}
