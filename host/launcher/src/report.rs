//! What people see when the app cannot be started: the error, what caused it, what to do.

use std::{error::Error, ffi::OsStr, fmt::Write};

/// Text from outside, fit for a line on a terminal: escaped, and not too long.
pub(crate) fn shown(text: impl AsRef<OsStr>) -> String {
    text.as_ref().to_string_lossy().chars().take(300).collect::<String>().escape_debug().to_string()
}

/// `error: …`, a `caused by: …` a cause, and `hint: …`.
pub(crate) fn render(error: &dyn Error, hint: Option<&str>) -> String {
    let mut text = format!("error: {error}\n");
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "caused by: {error}");
        cause = error.source();
    }
    if let Some(hint) = hint {
        let _ = writeln!(text, "hint: {hint}");
    }
    text
}
