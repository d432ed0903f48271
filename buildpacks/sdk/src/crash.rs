//! What becomes of a panic: a line in the log, then a trap; natively, the end of the run.
//!
//! A trap carries no message, and the standard library would write its own to the standard error, where it is one line
//! among others. The hook says it where the host listens.

use std::panic::{self, PanicHookInfo};

use crate::log;

/// From here on, a panic is told to the log as an error before it becomes a trap.
pub(crate) fn report_to_log() {
    panic::set_hook(Box::new(|info| log::error(&describe(info))));
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let message = info.payload_as_str().unwrap_or("no message");
    match info.location() {
        Some(place) => format!("the buildpack panicked at {}:{}: {message}", place.file(), place.line()),
        None => format!("the buildpack panicked: {message}"),
    }
}

#[cfg(any(test, all(feature = "testing", not(target_family = "wasm"))))]
pub(crate) use self::native::caught;

#[cfg(any(test, all(feature = "testing", not(target_family = "wasm"))))]
mod native {
    use std::{
        cell::RefCell,
        panic::{self, AssertUnwindSafe},
        sync::Once,
    };

    use super::describe;

    thread_local! {
        /// What this thread's buildpack said last, while one runs on it.
        static WORDS: RefCell<Option<String>> = const { RefCell::new(None) };
    }

    /// Does `work`; where it panics, the answer is what a component would have told the log. Panics of other threads, and of the
    /// test itself, go where they went before.
    pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                let is_ours = WORDS.with_borrow_mut(|words| match words {
                    Some(words) => {
                        *words = describe(info);
                        true
                    }
                    None => false,
                });
                if !is_ours {
                    before(info);
                }
            }));
        });
        let outer = WORDS.replace(Some(String::new()));
        let done = panic::catch_unwind(AssertUnwindSafe(work));
        let words = WORDS.replace(outer).unwrap_or_default();
        done.map_err(|_| words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_described_with_its_place() {
        let said = caught(|| panic!("no {}", "cask")).unwrap_err();
        assert!(said.starts_with("the buildpack panicked at ") && said.contains("crash.rs:"), "{said}");
        assert!(said.ends_with(": no cask"), "{said}");
        assert_eq!(caught(|| 7), Ok(7));
    }
}
