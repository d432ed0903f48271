//! The names in a layout, and what each leads to.

use serde_json::Value;
use stave_lifecycle::port::failure::PortError;
use stave_model::digest::Digest;

use super::{
    Layout, read,
    signatures::{is_about_another, name_of},
};
use crate::{
    json,
    manifest::{MAX_ENTRIES, check_count},
};

impl Layout {
    /// What its index lists.
    pub(in super::super) fn entries(&self) -> Result<Vec<Value>, PortError> {
        let index = read(&self.root, "index.json").map_err(|error| self.refuse(error))?;
        let index = json::value(&index).map_err(|error| self.refuse(error))?;
        check_count("entries", index.get("manifests"), MAX_ENTRIES).map_err(|error| self.refuse(error))?;
        Ok(index.get("manifests").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    /// Every name but those of signatures, with the digest of what it leads to, by name. One that leads to an image for each platform is there for each.
    pub fn names(&self) -> Result<Vec<(String, Digest)>, PortError> {
        let mut names: Vec<(String, Digest)> = self
            .entries()?
            .iter()
            .filter(|entry| !is_about_another(entry))
            .filter_map(|entry| Some((name_of(entry)?.to_owned(), entry["digest"].as_str()?.parse().ok()?)))
            .collect();
        names.sort();
        Ok(names)
    }
}
