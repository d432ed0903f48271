//! Service bindings: what the person who builds hands over beside the app. To be granted, by type.

use crate::backend::bindings;
pub use crate::{Error, bindings::stave::buildpack::bindings::Binding};

/// The bindings of a type, sorted by name. The manifest must ask for the type under `asks.bindings`.
pub fn find(kind: &str) -> Result<Vec<Binding>, Error> {
    bindings::find(kind)
}

impl Binding {
    /// The value of an entry; none where the binding has no such entry. It may be a secret.
    pub fn read(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        if self.keys.iter().any(|other| other == key) { bindings::read(&self.name, key).map(Some) } else { Ok(None) }
    }

    /// The text of an entry, without space around it; none where there is no such entry, or it is not text.
    pub fn read_text(&self, key: &str) -> Result<Option<String>, Error> {
        let value = self.read(key)?.and_then(|value| String::from_utf8(value).ok());
        Ok(value.map(|text| text.trim().to_owned()))
    }
}
