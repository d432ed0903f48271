//! The bills of materials within an image: whoever built it, the lifecycle's label says which layer they are.

use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use serde_json::Value;
use stave_archive::limits::Limits;
use stave_lifecycle::{
    image::{Image, ImageLayer},
    port::failure::{Fault, PortError},
};
use stave_model::{
    digest::{Digest, Hasher},
    image::{LIFECYCLE_LABEL, SBOM_DIR},
};

use crate::validate::{Hashing, normal, unpacked};

/// The largest bill that is read, in bytes. Those of whole distributions have a few dozen megabytes.
const MAX_BILL: u64 = 256 << 20;
/// How many bytes all of an image's bills may have.
const MAX_BILLS: u64 = 512 << 20;
/// How many entries the layer may have.
const MAX_ENTRIES: usize = 20_000;

/// The bills of an image: path in the image without the leading `/`, and bytes.
pub type Bills = BTreeMap<String, Vec<u8>>;

/// Reads the bills that an image carries; none if its label names no layer of them. What is not a regular file below the
/// folder of bills, or has a name that is not plain, is not one.
pub fn read(image: &Image) -> Result<Option<Bills>, PortError> {
    let Some(sha) = sha(image) else { return Ok(None) };
    let layer = image.layers.iter().find(|layer| layer.diff_id.to_string() == sha).ok_or_else(|| {
        let shown: String = sha.chars().take(80).flat_map(char::escape_debug).collect();
        let cause = format!("its label names the layer {shown}, which it does not have");
        PortError::new(Fault::InvalidInput, "could not find the SBOM of the image").caused_by(cause)
    })?;
    let attempt = "could not read the SBOM of the image";
    let (bills, diff_id) = entries(layer).map_err(|error| PortError::of_io(attempt, Fault::InvalidInput, error))?;
    if diff_id != layer.diff_id {
        return Err(
            PortError::new(Fault::Integrity, attempt).caused_by("its layer is not the one that its label names")
        );
    }
    Ok(Some(bills))
}

fn sha(image: &Image) -> Option<String> {
    let config: Value = serde_json::from_slice(&image.config).ok()?;
    let label = config.get("config")?.get("Labels")?.get(LIFECYCLE_LABEL)?.as_str()?;
    let label: Value = serde_json::from_str(label).ok()?;
    label.pointer("/sbom/sha")?.as_str().filter(|sha| !sha.is_empty()).map(str::to_owned)
}

fn entries(layer: &ImageLayer) -> io::Result<(Bills, Digest)> {
    let limits = Limits { total_bytes: MAX_BILLS, entry_bytes: MAX_BILL, ..Limits::default() };
    unpacked(layer, &limits, |reader| {
        let mut reader = Hashing { reader, hasher: Hasher::new(), bytes: 0 };
        let bills = bills_of(&mut reader)?;
        io::copy(&mut reader, &mut io::sink())?;
        Ok((bills, reader.hasher.finish()))
    })
}

fn bills_of(tar: &mut impl Read) -> io::Result<Bills> {
    let refused = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let (mut bills, mut total, mut count) = (Bills::new(), 0_u64, 0);
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries()? {
        let mut entry = entry?;
        (count, total) = (count + 1, total.saturating_add(entry.size()));
        if count > MAX_ENTRIES || entry.size() > MAX_BILL || total > MAX_BILLS {
            return Err(refused("it is larger than bills of materials are".to_owned()));
        }
        let path = normal(&String::from_utf8_lossy(&entry.path_bytes()));
        let path = path.filter(|path| is_bill(path) && entry.header().entry_type() == tar::EntryType::Regular);
        if let Some(path) = path {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            if bills.insert(path.clone(), bytes).is_some() {
                return Err(refused(format!("`{path}` is there twice")));
            }
        }
    }
    Ok(bills)
}

/// Whether a path is below the folder of bills and made of plain names.
fn is_bill(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+@".contains(&byte);
    let below = path.strip_prefix(SBOM_DIR.trim_start_matches('/')).and_then(|rest| rest.strip_prefix('/'));
    below.is_some_and(|below| {
        below.len() <= 1024
            && below.split('/').all(|name| !name.is_empty() && !name.starts_with('.') && name.bytes().all(plain))
    })
}

#[cfg(test)]
mod tests;
