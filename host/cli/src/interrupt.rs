//! Ctrl-C: the first asks everything to stop and clean up, the second ends at once.

use std::io;

use signal_hook::{consts::TERM_SIGNALS, flag};
use stave_lifecycle::port::cancel::Cancel;

use crate::exit::INTERRUPTED;

/// Lets SIGINT, SIGTERM and SIGQUIT set `cancel`; one that comes when it is set already ends the process.
pub(crate) fn watch(cancel: &Cancel) -> io::Result<()> {
    for signal in TERM_SIGNALS {
        // In this order: the conditional end looks at the flag before this very signal sets it.
        flag::register_conditional_shutdown(*signal, i32::from(INTERRUPTED), cancel.flag())?;
        flag::register(*signal, cancel.flag())?;
    }
    Ok(())
}
