//! The bills of materials of an image: those within it, which the lifecycle's label says whoever built it, and those that
//! follow from it: of its base's packages, and of everything together.
//!
//! The latter two are not kept within it. They are about layers that a rebase exchanges, whoever does it, and so they are
//! always as true as the image is.

use std::{
    collections::BTreeMap,
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
    digest::{Digest, Hasher},
    image::{LIFECYCLE_LABEL, SBOM_DIR},
    sbom::{self, Component, Format, sorted},
};

use crate::{
    installed,
    validate::{Hashing, normal, unpacked_within},
};

/// The largest bill that is read, in bytes. Those of whole distributions have a few dozen megabytes.
const MAX_BILL: u64 = 256 << 20;
/// How many bytes all of an image's bills may have.
const MAX_BILLS: u64 = 512 << 20;
/// What the bill of a base calls itself.
const BASE: &str = "base";
/// The largest bill that is taken apart, in bytes.
const MAX_MERGED: u64 = 64 << 20;
/// How many entries the layer may have.
const MAX_ENTRIES: usize = 20_000;

/// The bills of an image: path in the image without the leading `/`, and bytes.
pub type Bills = BTreeMap<String, Vec<u8>>;

/// All bills of an image: those it carries, `base/` of its base's packages, and the whole at the top. The whole is left out of
/// an image that carries bills, but none of all of its app: there is nothing to make it from. The base's layers are fetched if
/// they have to be. A base that cannot be read takes nothing from what the image says of its app: `warn` is told, and there is
/// no bill of the base nor of the whole.
pub fn of(
    image: &Image,
    results: Option<&dyn Results>,
    cancel: &Cancel,
    warn: &mut dyn FnMut(&PortError),
) -> Result<Bills, PortError> {
    let carried = read(image)?;
    let base = match installed::of_base(image, results, cancel) {
        Ok(base) => base,
        Err(error) => {
            cancel.check()?;
            if carried.as_ref().is_none_or(BTreeMap::is_empty) {
                return Err(error);
            }
            warn(&error);
            return Ok(carried.unwrap_or_default());
        }
    };
    let app = match &carried {
        None => Some(Vec::new()),
        Some(bills) => bills.get(&path("launch/", Format::CycloneDx)).map(|bill| components(bill)).transpose()?,
    };
    let whole = app.map(|app| sorted(app.into_iter().chain(base.iter().cloned())));
    let mut bills = carried.unwrap_or_default();
    for (folder, name, components) in [("base/", BASE, Some(base)), ("", "image", whole)] {
        if let Some(components) = components.filter(|components| !components.is_empty()) {
            bills.extend(Format::ALL.map(|format| (path(folder, format), format.write(name, &components))));
        }
    }
    Ok(bills)
}

/// The bills that an image carries of all of its app, one of each format.
pub fn of_app(image: &Image) -> Result<Vec<(Format, Vec<u8>)>, PortError> {
    let mut carried = read(image)?.unwrap_or_default();
    let bill = |format| carried.remove(&path("launch/", format)).map(|bill| (format, bill));
    Ok(Format::ALL.into_iter().filter_map(bill).collect())
}

/// The bills of the base's packages, one of each format, where these are known without fetching a layer.
pub fn of_base(
    image: &Image,
    results: Option<&dyn Results>,
    cancel: &Cancel,
) -> Result<Vec<(Format, Vec<u8>)>, PortError> {
    let base = installed::at_hand(image, results, cancel)?.filter(|base| !base.is_empty());
    let bills = base.map(|base| Format::ALL.map(|format| (format, format.write(BASE, &base))));
    Ok(bills.into_iter().flatten().collect())
}

/// Where the bill of a part is, in the image or beside it.
fn path(folder: &str, format: Format) -> String {
    format!("{}/{folder}{}", SBOM_DIR.trim_start_matches('/'), format.file_name())
}

fn components(bill: &[u8]) -> Result<Vec<Component>, PortError> {
    let attempt = "could not use the SBOM of the app in the image";
    if bill.len() as u64 > MAX_MERGED {
        let cause = format!("it has {} bytes, and {MAX_MERGED} are allowed", bill.len());
        return Err(PortError::new(Fault::TooLarge, attempt).caused_by(cause));
    }
    sbom::read(bill).map_err(|error| PortError::new(Fault::InvalidInput, attempt).caused_by(error))
}

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
    unpacked_within(layer, &limits, |reader| {
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
