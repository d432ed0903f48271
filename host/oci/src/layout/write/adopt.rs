//! A layout that was made aside, taken into another: its blobs by renaming them, its entries last.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use rustix::fs::{FlockOperation, flock};
use serde_json::Value;
use stave_lifecycle::port::cancel::Cancel;
use stave_model::digest::Digest;

use super::{State, has_digest, list, named, read, replace, state};
use crate::{aside, json as strict};

/// Takes over all blobs of the layout in `aside`, which are what their names say, and lists `entries` in the index of `folder`. They
/// take the place of all that has one of their names, or is called `name` with something behind a `+`. Where there is no layout
/// yet, this one becomes it.
pub(crate) fn adopt(
    folder: &Path,
    aside: aside::Folder,
    name: &str,
    entries: Vec<Value>,
    cancel: &Cancel,
) -> io::Result<()> {
    let made = aside.folder.path();
    if let State::Free = state(folder) {
        let mut index = Value::Null;
        for entry in &entries {
            list(&mut index, entry.clone());
        }
        replace(made, "index.json", &serde_json::to_vec(&index)?)?;
        match fs::rename(made, folder) {
            Ok(()) => {
                // Nothing is left at the old name to remove.
                drop(aside.folder.keep());
                return Ok(());
            }
            // Somebody else was quicker.
            Err(error) if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) => {}
            Err(error) => return Err(error),
        }
    }
    if let State::Other = state(folder) {
        let message = format!("`{}` is not an image layout", folder.display().to_string().escape_debug());
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let lock = File::open(folder)?;
    flock(&lock, FlockOperation::LockExclusive)?;
    let blobs = folder.join("blobs/sha256");
    aside::sweep(folder);
    aside::sweep(&blobs);
    for blob in fs::read_dir(made.join("blobs/sha256"))? {
        take(&blob?, &blobs, cancel)?;
    }
    let mut index = match read::read(&lock, "index.json") {
        Ok(bytes) => strict::value(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Value::Null,
        Err(error) => return Err(error),
    };
    if let Some(listed) = index.get_mut("manifests").and_then(Value::as_array_mut) {
        let is_part = |entry: &Value| {
            named(entry).and_then(|other| other.strip_prefix(name)).is_some_and(|rest| rest.starts_with('+'))
        };
        listed.retain(|entry| !is_part(entry));
    }
    for entry in entries {
        list(&mut index, entry);
    }
    replace(folder, "index.json", &serde_json::to_vec(&index)?)
}

/// Gives one blob its place, if what stands there is not the same.
fn take(blob: &fs::DirEntry, blobs: &Path, cancel: &Cancel) -> io::Result<()> {
    let digest = blob.file_name().to_str().and_then(|name| Digest::from_hex(name).ok());
    let Some(digest) = digest else { return Ok(()) };
    let place = blobs.join(digest.hex());
    let there = match fs::symlink_metadata(&place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        there => Some(there?),
    };
    if let Some(there) = there {
        if !there.is_file() {
            let message = format!("{digest} is there, and is not a regular file");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        if there.len() == blob.metadata()?.len() && has_digest(&place, digest, cancel)? {
            return Ok(());
        }
    }
    fs::rename(blob.path(), place)
}
