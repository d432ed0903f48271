//! A text that is shown to nobody, and wiped when it is no longer needed.

use std::fmt;

use zeroize::Zeroizing;

/// A password, a token, a key. Its copies are wiped when they are dropped; what is handed to another program is as safe as that
/// program's memory.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself, for whoever must hand it on.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}
