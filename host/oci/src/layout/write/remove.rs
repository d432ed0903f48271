//! A name taken out of a layout, with the blobs that nothing there leads to any more.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
};

use rustix::fs::{FlockOperation, flock};
use serde_json::Value;
use stave_lifecycle::{
    image::Descriptor,
    port::failure::{Fault, PortError},
};
use stave_model::digest::Digest;

use super::{LayoutFolder, named, read, replace};
use crate::{
    json as strict,
    layout::Layout,
    manifest::{DOCKER_MANIFEST, is_index},
};

/// The most documents that are read to learn what is still needed.
const MAX_DOCUMENTS: usize = 10_000;

impl LayoutFolder {
    /// Takes the place's name away, and what only it led to. Answers how many bytes are free now; none if there is no such name.
    /// Where what the other names lead to cannot all be read, no blob goes.
    pub fn remove(&self) -> Result<Option<u64>, PortError> {
        let failed = |error| PortError::of_io(format!("could not remove `{}`", self.place), Fault::Io, error);
        let folder = match File::open(&self.place.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            folder => folder.map_err(failed)?,
        };
        flock(&folder, FlockOperation::LockExclusive).map_err(|errno| failed(errno.into()))?;
        let layout = Layout::open(self.place.clone())?;
        let bytes = read::read(&folder, "index.json").map_err(failed)?;
        let mut index = strict::value(&bytes).map_err(|error| failed(io::Error::other(error)))?;
        let Some(entries) = index.get_mut("manifests").and_then(Value::as_array_mut) else { return Ok(None) };
        let before = entries.len();
        entries.retain(|entry| named(entry) != self.place.name.as_deref());
        if entries.len() == before {
            return Ok(None);
        }
        let needed = needed(&layout, entries).ok();
        let bytes = serde_json::to_vec(&index).map_err(|error| failed(error.into()))?;
        replace(&self.place.folder, "index.json", &bytes).map_err(failed)?;
        needed.map_or(Ok(0), |needed| self.sweep(&needed)).map(Some).map_err(failed)
    }

    /// Removes all blobs but these; answers their bytes.
    fn sweep(&self, needed: &BTreeSet<Digest>) -> io::Result<u64> {
        let mut freed = 0;
        for blob in fs::read_dir(self.place.folder.join("blobs/sha256"))? {
            let blob = blob?;
            let digest = blob.file_name().to_str().and_then(|name| Digest::from_hex(name).ok());
            // What is no blob is not ours to remove.
            if digest.is_some_and(|digest| !needed.contains(&digest)) {
                freed += blob.metadata()?.len();
                fs::remove_file(blob.path())?;
            }
        }
        Ok(freed)
    }
}

/// Every blob that these entries lead to.
fn needed(layout: &Layout, entries: &[Value]) -> Result<BTreeSet<Digest>, PortError> {
    let descriptor = |value: &Value| serde_json::from_value::<Descriptor>(value.clone()).ok();
    let (mut needed, mut documents) = (BTreeSet::new(), 0);
    let mut next: Vec<Descriptor> = entries.iter().filter_map(descriptor).collect();
    while let Some(found) = next.pop() {
        if !needed.insert(found.digest) || !leads_on(&found.media_type) {
            continue;
        }
        documents += 1;
        if documents > MAX_DOCUMENTS {
            let attempt = format!("could not read more than {MAX_DOCUMENTS} documents of a layout");
            return Err(PortError::new(Fault::TooLarge, attempt));
        }
        let document = layout.document(&found)?;
        let document = strict::value(&document).map_err(|error| {
            PortError::new(Fault::InvalidInput, format!("could not read {}", found.digest)).caused_by(error)
        })?;
        let lists = ["manifests", "layers"].into_iter().filter_map(|key| document[key].as_array()).flatten();
        next.extend(lists.chain([&document["config"], &document["subject"]]).filter_map(descriptor));
    }
    Ok(needed)
}

/// Whether what has this media type names other blobs.
fn leads_on(media_type: &str) -> bool {
    is_index(media_type) || media_type == stave_lifecycle::image::MANIFEST || media_type == DOCKER_MANIFEST
}
