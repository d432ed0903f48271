//! What becomes of a panic: a line in the log, then a trap.
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_panic_is_described_with_its_place() {
        let said = Arc::new(Mutex::new(String::new()));
        let before = panic::take_hook();
        panic::set_hook({
            let said = Arc::clone(&said);
            Box::new(move |info| *said.lock().unwrap() = describe(info))
        });
        let result = panic::catch_unwind(|| panic!("no {}", "cask"));
        panic::set_hook(before);
        assert!(result.is_err());
        let said = said.lock().unwrap();
        assert!(said.starts_with("the buildpack panicked at ") && said.contains("crash.rs:"), "{said}");
        assert!(said.ends_with(": no cask"), "{said}");
    }
}
