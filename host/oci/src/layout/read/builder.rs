//! The documents and components of a builder in a layout.

use std::sync::Arc;

use stave_archive::content::Content;
use stave_lifecycle::{
    image::Descriptor,
    port::failure::{Fault, PortError},
};
use stave_model::digest::Digest;

use super::Layout;
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

    /// What the index lists under the place's name: the only entry.
    fn only(&self) -> Result<Descriptor, PortError> {
        let entries = self.entries()?;
        let name_of = |entry: &serde_json::Value| entry["annotations"][super::super::NAME].as_str().map(str::to_owned);
        let meant = |entry: &&serde_json::Value| self.place.name.is_none() || name_of(entry) == self.place.name;
        let mut found = entries.iter().filter(meant);
        if let (Some(entry), None) = (found.next(), found.next()) {
            return serde_json::from_value(entry.clone()).map_err(|error| self.refuse(error));
        }
        let names: Vec<String> =
            entries.iter().filter_map(name_of).take(20).map(|name| name.escape_debug().to_string()).collect();
        let count = entries.iter().filter(meant).count();
        let error = if count == 0 {
            PortError::new(Fault::NotFound, format!("there is no builder at `{}`", self.place))
        } else {
            let attempt = format!("there are {count} entries at `{}`, and a builder is one", self.place);
            PortError::new(Fault::InvalidInput, attempt)
        };
        Err(if names.is_empty() { error } else { error.hint(format!("the names there are {}", names.join(", "))) })
    }
}

impl Documents for Local<'_> {
    fn root(&mut self) -> Result<(Vec<u8>, Option<String>), PortError> {
        if let Some(digest) = self.digest {
            let bytes = self.layout.blob(&digest)?.bytes(MAX_DOCUMENT);
            let bytes = bytes.map_err(|error| self.layout.refuse(error))?;
            return checked(digest, bytes).map(|bytes| (bytes, None));
        }
        let entry = self.layout.only()?;
        Ok((self.layout.document(&entry)?, Some(entry.media_type)))
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
