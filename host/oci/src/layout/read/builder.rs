//! The documents and components of a builder in a layout.

use std::sync::Arc;

use stave_archive::content::Content;
use stave_lifecycle::{
    image::Descriptor,
    port::failure::{Fault, PortError},
};
use stave_model::digest::Digest;

use super::{Layout, signatures::is_about_another};
use crate::{
    builder::{Documents, checked},
    checked::Checked,
    json::MAX_DOCUMENT,
};

/// One name of a layout, or one digest.
struct Local<'a> {
    layout: &'a Layout,
    digest: Option<Digest>,
}

impl Layout {
    /// What the place's name leads to; or what has this digest, also where the index no longer lists it.
    pub(crate) fn documents(&self, digest: Option<Digest>) -> impl Documents + '_ {
        Local { layout: self, digest }
    }

    /// What the place's name leads to, or what has this digest: bytes, and the media type that the index says.
    pub(crate) fn root(&self, digest: Option<Digest>, noun: &str) -> Result<(Vec<u8>, Option<String>), PortError> {
        if let Some(digest) = digest {
            let bytes = self.blob(&digest)?.bytes(MAX_DOCUMENT).map_err(|error| self.refuse(error))?;
            return checked(digest, bytes).map(|bytes| (bytes, None));
        }
        let entry = self.only(noun)?;
        Ok((self.document(&entry)?, Some(entry.media_type)))
    }

    /// What the index lists under the place's name: the only entry, but for those that are about another.
    fn only(&self, noun: &str) -> Result<Descriptor, PortError> {
        let entries: Vec<_> = self.entries()?.into_iter().filter(|entry| !is_about_another(entry)).collect();
        let name_of = |entry: &serde_json::Value| entry["annotations"][super::super::NAME].as_str().map(str::to_owned);
        let meant = |entry: &&serde_json::Value| self.place.name.is_none() || name_of(entry) == self.place.name;
        let mut found = entries.iter().filter(meant);
        if let (Some(entry), None) = (found.next(), found.next()) {
            return serde_json::from_value(entry.clone()).map_err(|error| self.refuse(error));
        }
        let names: Vec<String> =
            entries.iter().filter_map(name_of).take(20).map(|name| name.escape_debug().to_string()).collect();
        let article = if noun.starts_with('a') { "an" } else { "a" };
        let count = entries.iter().filter(meant).count();
        let error = if count == 0 {
            PortError::new(Fault::NotFound, format!("there is no {noun} at `{}`", self.place))
        } else {
            let attempt = format!("there are {count} entries at `{}`, and {article} {noun} is one", self.place);
            PortError::new(Fault::InvalidInput, attempt)
        };
        Err(if names.is_empty() { error } else { error.hint(format!("the names there are {}", names.join(", "))) })
    }
}

impl Documents for Local<'_> {
    fn root(&mut self) -> Result<(Vec<u8>, Option<String>), PortError> {
        self.layout.root(self.digest, "builder")
    }

    fn manifest(&mut self, promised: &Descriptor) -> Result<Vec<u8>, PortError> {
        self.layout.document(promised)
    }

    fn small(&mut self, promised: &Descriptor) -> Result<Vec<u8>, PortError> {
        self.layout.document(promised)
    }

    fn content(&mut self, promised: &Descriptor) -> Result<Arc<dyn Content>, PortError> {
        let span = self.layout.blob(&promised.digest)?;
        Ok(Arc::new(Checked::new(Arc::new(span), promised.clone())))
    }
}
