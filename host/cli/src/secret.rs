//! A password that is typed at the terminal and not shown there.
//!
//! The terminal is given back as it was, also after Ctrl-C: keys that stop a program are read as what they are meanwhile, so
//! that nobody is left with a terminal that shows nothing.

use std::io::{self, IsTerminal as _, Read as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use stave_lifecycle::port::cancel::Cancel;
use zeroize::Zeroizing;

use crate::{exit::printable, ui::Ui};

/// The longest password, in bytes.
const MAX_PASSWORD: usize = 4096;
/// What Ctrl-C and Ctrl-\ send, which stop; Ctrl-D, which ends; and what deletes.
const STOP: [u8; 2] = [0x03, 0x1c];
const END: u8 = 0x04;
const DELETE: [u8; 2] = [0x08, 0x7f];

/// Asks for a password; nobody is asked where there is no terminal. Whoever stops the program there has it stopped.
pub(crate) fn ask(ui: &Ui, question: &str, cancel: &Cancel) -> Option<Zeroizing<Vec<u8>>> {
    let input = io::stdin();
    if !input.is_terminal() || !io::stderr().is_terminal() {
        return None;
    }
    ui.aside(|| {
        let mut output = io::stderr().lock();
        write!(output, "{}", printable(question)).and_then(|()| output.flush()).ok()?;
        let before = Hidden::begin(tcgetattr(&input).ok()?)?;
        let typed = typed(&mut input.lock().bytes().map_while(Result::ok), cancel);
        drop(before);
        let _ = writeln!(output);
        typed
    })
}

/// The terminal's settings while nothing is shown; they are put back when it is dropped.
struct Hidden(Termios);

impl Hidden {
    fn begin(before: Termios) -> Option<Self> {
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
        hidden.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden).ok()?;
        Some(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}

/// A line out of single keys.
fn typed(keys: &mut dyn Iterator<Item = u8>, cancel: &Cancel) -> Option<Zeroizing<Vec<u8>>> {
    // It never grows, so that no copy is left behind.
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_PASSWORD));
    for key in keys {
        match key {
            b'\n' | b'\r' => return Some(line),
            END if line.is_empty() => return None,
            key if STOP.contains(&key) => {
                cancel.set();
                return None;
            }
            key if DELETE.contains(&key) => while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            key if line.len() < MAX_PASSWORD => line.push(key),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_is_typed() {
        let cancel = Cancel::new();
        let line = |keys: &[u8]| typed(&mut keys.iter().copied(), &cancel).map(|line| line.to_vec());
        assert_eq!(line(b"secret\rmore"), Some(b"secret".to_vec()));
        assert_eq!(line("hä\u{7f}\u{7f}s x\n".as_bytes()), Some(b"s x".to_vec()));
        assert_eq!(line(b"\x7f\n"), Some(Vec::new()));
        assert_eq!((line(b"\x04"), line(b"no end"), line(&[b'x'; MAX_PASSWORD + 1])), (None, None, None));
        assert!(!cancel.is_set());
        assert_eq!(line(b"abc\x03"), None);
        assert!(cancel.is_set());
    }
}
