//! Ctrl-C: the first asks everything to stop and clean up, the second ends at once.

use std::{io, thread};

use signal_hook::{consts::TERM_SIGNALS, flag, iterator::Signals};
use stave_lifecycle::port::cancel::Cancel;
use stave_transport::client::Client;

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

/// Ends the network's use as well when a signal comes: whoever waits for a silent server looks at no flag.
pub(crate) fn wake(client: &Client) -> io::Result<()> {
    let client = client.clone();
    let mut signals = Signals::new(TERM_SIGNALS)?;
    let wait = move || {
        if signals.forever().next().is_some() {
            client.shutdown();
        }
    };
    thread::Builder::new().name("interrupt".to_owned()).spawn(wait).map(drop)
}
