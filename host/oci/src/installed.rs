//! Which packages an image's base has: read out of its layers, where the package managers wrote it down.
//!
//! The layers are read from the lowest to the highest, as they are laid over one another, and nothing of them is unpacked.
//! What was found is remembered under the layers' digests: a base is read once on a machine, however many images stand on it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
};

use serde_json::Value;
use stave_archive::limits::Limits;
use stave_lifecycle::{
    image::{Image, ImageLayer},
    port::{
        blobs::Results,
        cancel::Cancel,
        failure::{Fault, PortError},
    },
};
use stave_model::{
    digest::{Digest, Hasher, Key},
    image::LIFECYCLE_LABEL,
    installed::{of_apk, of_dpkg},
    sbom::{Component, sorted},
    target::os_release::{self, PLACES},
};

use crate::validate::{Hashing, normal, unpacked};

/// Lists of what is installed, and the folder of lists of one package each.
const DPKG: &str = "var/lib/dpkg/status";
const DPKG_FOLDER: &str = "var/lib/dpkg/status.d/";
const APK: [&str; 2] = ["lib/apk/db/installed", "usr/lib/apk/db/installed"];

/// The largest list that is read, in bytes: those of whole distributions have a few megabytes.
const MAX_LIST: u64 = 64 << 20;
/// How many bytes all lists together may have.
const MAX_LISTS: u64 = 128 << 20;
/// How many packed bytes a base may have whose layers are read.
pub(crate) const MAX_BASE: u64 = 8 << 30;
/// How many packages are listed.
const MAX_PACKAGES: usize = 100_000;

/// The packages of an image's base, as its label says where that ends; of an image that nobody built on a base, its own.
pub fn of_base(image: &Image, results: Option<&dyn Results>, cancel: &Cancel) -> Result<Vec<Component>, PortError> {
    let layers = base_layers(image);
    if let Some(known) = remembered(layers, results) {
        return Ok(known);
    }
    let attempt = "could not read which packages the image's base has";
    let bytes = layers.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.descriptor.size));
    if bytes > MAX_BASE {
        let cause = format!("its layers have {bytes} bytes, and {MAX_BASE} are allowed");
        return Err(PortError::new(Fault::TooLarge, attempt).caused_by(cause));
    }
    let mut lists = Lists::new();
    for layer in layers {
        cancel.check()?;
        read(layer, &mut lists, cancel).map_err(|error| PortError::of_io(attempt, Fault::InvalidInput, error))?;
    }
    let packages = packages(&lists);
    if packages.len() > MAX_PACKAGES {
        let cause = format!("there are {} of them, and {MAX_PACKAGES} are allowed", packages.len());
        return Err(PortError::new(Fault::TooLarge, attempt).caused_by(cause));
    }
    if let (Some(results), Ok(bytes)) = (results, serde_json::to_vec(&packages)) {
        results.put(&key(layers), &bytes);
    }
    Ok(packages)
}

/// The same of an image that was built on a base, where no layer has to be fetched: they are remembered, or the layers did not
/// come out of a registry.
pub fn at_hand(
    image: &Image,
    results: Option<&dyn Results>,
    cancel: &Cancel,
) -> Result<Option<Vec<Component>>, PortError> {
    if label(image).is_none() {
        return Ok(None);
    }
    let layers = base_layers(image);
    if layers.iter().all(|layer| layer.origin.is_none()) {
        return of_base(image, results, cancel).map(Some);
    }
    Ok(remembered(layers, results))
}

fn key(layers: &[ImageLayer]) -> Digest {
    let key = Key::new("packages of a base 1");
    layers.iter().fold(key, |key, layer| key.field(layer.diff_id.to_string())).finish()
}

fn remembered(layers: &[ImageLayer], results: Option<&dyn Results>) -> Option<Vec<Component>> {
    serde_json::from_slice(&results?.get(&key(layers))?).ok()
}

/// The layers below the app. A label that names none as the base's last leaves it unknown where that ends.
fn base_layers(image: &Image) -> &[ImageLayer] {
    let Some(label) = label(image) else { return &image.layers };
    let label: Value = label.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let top = label.pointer("/runImage/topLayer").and_then(Value::as_str).unwrap_or_default();
    let top = image.layers.iter().position(|layer| layer.diff_id.to_string() == top);
    top.map_or(&[], |top| &image.layers[..=top])
}

fn label(image: &Image) -> Option<Value> {
    let config: Value = serde_json::from_slice(&image.config).ok()?;
    config.get("config")?.get("Labels")?.get(LIFECYCLE_LABEL).cloned()
}

/// The files that say something of packages, by their paths.
type Lists = BTreeMap<String, Vec<u8>>;

fn packages(lists: &Lists) -> Vec<Component> {
    let text = |path: &str| lists.get(path).map(|bytes| String::from_utf8_lossy(bytes));
    let system = PLACES.iter().find_map(|path| os_release::parse(&text(path)?));
    let dpkg = lists.iter().filter(|(path, _)| *path == DPKG || path.starts_with(DPKG_FOLDER));
    let dpkg = dpkg.flat_map(|(_, bytes)| of_dpkg(&String::from_utf8_lossy(bytes), system.as_ref()));
    let apk = APK.iter().filter_map(|path| text(path)).flat_map(|text| of_apk(&text, system.as_ref()));
    sorted(dpkg.chain(apk))
}

/// Whether a file is one of the lists, or says what system it is. The sums of distroless images are about files.
fn is_list(path: &str) -> bool {
    let of_folder =
        path.strip_prefix(DPKG_FOLDER).is_some_and(|name| !name.contains('/') && !name.ends_with(".md5sums"));
    of_folder || path == DPKG || APK.contains(&path) || PLACES.contains(&path)
}

/// Lays a layer over those below it.
fn read(layer: &ImageLayer, lists: &mut Lists, cancel: &Cancel) -> io::Result<()> {
    let (over, diff_id) = unpacked(layer, |reader| {
        let mut reader = Hashing { reader, hasher: Hasher::new(), bytes: 0 };
        let over = entries(&mut reader, cancel)?;
        io::copy(&mut reader, &mut io::sink())?;
        Ok((over, reader.hasher.finish()))
    })?;
    if diff_id != layer.diff_id {
        let why = format!("a layer's diffID is {diff_id}, not {}", layer.diff_id);
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    lists.retain(|path, _| !over.hides(path));
    lists.extend(over.lists);
    if lists.values().map(|bytes| bytes.len() as u64).sum::<u64>() > MAX_LISTS {
        return Err(too_large());
    }
    Ok(())
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "its lists of packages are larger than such lists are")
}

/// What a layer does to the lists below it.
#[derive(Default)]
struct Over {
    lists: Lists,
    /// Paths that are gone, or something else now, with all that was below them.
    gone: BTreeSet<String>,
    /// Folders whose content is gone.
    emptied: BTreeSet<String>,
}

impl Over {
    fn hides(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(at, _)| at);
        let mut above = ends.map(|at| &path[..at]);
        self.gone.contains(path)
            || self.emptied.contains("")
            || above.any(|folder| self.gone.contains(folder) || self.emptied.contains(folder))
    }
}

fn entries(tar: &mut impl Read, cancel: &Cancel) -> io::Result<Over> {
    let (mut over, mut count, mut total) = (Over::default(), 0, 0_u64);
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries()? {
        let mut entry = entry?;
        count += 1;
        if count > Limits::default().entries {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a layer has more than {count} entries")));
        }
        if count % 1024 == 0 {
            cancel.check().map_err(io::Error::other)?;
        }
        let Some(path) = normal(&String::from_utf8_lossy(&entry.path_bytes())) else { continue };
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let below = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        // OCI image spec, "Whiteouts".
        match name.strip_prefix(".wh.") {
            Some(".wh..opq") if is_above_a_list(folder) => drop(over.emptied.insert(folder.to_owned())),
            Some(gone) if is_above_a_list(&below(gone)) => drop(over.gone.insert(below(gone))),
            _ => {}
        }
        let kind = entry.header().entry_type();
        if !is_above_a_list(&path) || kind == tar::EntryType::Directory {
            continue;
        }
        over.gone.insert(path.clone());
        if is_list(&path) && matches!(kind, tar::EntryType::Regular | tar::EntryType::Continuous) {
            total = total.saturating_add(entry.size());
            if entry.size() > MAX_LIST || total > MAX_LISTS {
                return Err(too_large());
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            over.lists.insert(path, bytes);
        }
    }
    Ok(over)
}

/// Whether a list is here or could be below.
fn is_above_a_list(path: &str) -> bool {
    let leads_to = |list: &str| list == path || list.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
    path.is_empty() || is_list(path) || [DPKG_FOLDER, DPKG].iter().chain(&APK).chain(&PLACES).any(|list| leads_to(list))
}

#[cfg(test)]
mod tests;
