//! Where a layout has the signatures of an artefact: beside it in the index, or under names made of its digest.

use serde_json::Value;
use stave_lifecycle::{
    image::{Descriptor, INDEX},
    port::failure::PortError,
};
use stave_model::digest::Digest;

use super::Layout;
use crate::{
    artifact::referrers_tag,
    signature::{BUNDLE, Shelf, entries},
};

impl Layout {
    /// What stands in the index under a name.
    fn under(&self, name: &str) -> Result<Option<Descriptor>, PortError> {
        let named = self.entries()?.into_iter().find(|entry| name_of(entry) == Some(name));
        named.map(|entry| serde_json::from_value(entry).map_err(|error| self.refuse(error))).transpose()
    }
}

pub(super) fn name_of(entry: &Value) -> Option<&str> {
    entry["annotations"][super::super::NAME].as_str()
}

/// Whether an entry is about another one: it says to be a bill of materials or a signature, or has a name made of a digest.
pub(super) fn is_about_another(entry: &Value) -> bool {
    let kind = entry.get("artifactType").and_then(Value::as_str).unwrap_or_default();
    let is_attached = kind == BUNDLE || stave_model::sbom::Format::ALL.iter().any(|format| format.media_type() == kind);
    let digits = name_of(entry).and_then(|name| name.strip_prefix("sha256-"));
    is_attached || digits.is_some_and(|digits| Digest::from_hex(digits.split('.').next().unwrap_or_default()).is_ok())
}

impl Shelf for Layout {
    fn referrers(&self, subject: &Digest) -> Result<Vec<Value>, PortError> {
        let is_bundle = |entry: &Value| entry.get("artifactType").and_then(Value::as_str) == Some(BUNDLE);
        let mut all: Vec<Value> = self.entries()?.into_iter().filter(is_bundle).collect();
        let list = self.under(&referrers_tag(subject))?.filter(|list| list.media_type == INDEX);
        if let Some(list) = list {
            all.extend(entries(&format!("could not read `{}`", self.place), &self.document(&list)?)?);
        }
        Ok(all)
    }

    fn tagged(&self, tag: &str) -> Result<Option<Vec<u8>>, PortError> {
        self.under(tag)?.map(|entry| self.document(&entry)).transpose()
    }

    fn manifest(&self, promised: &Descriptor) -> Result<Vec<u8>, PortError> {
        self.document(promised)
    }

    fn blob(&self, promised: &Descriptor) -> Result<Vec<u8>, PortError> {
        self.document(promised)
    }
}
