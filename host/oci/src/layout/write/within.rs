//! One image under a name that leads to an index: it takes the place of the one for its platform there, and the images for
//! other platforms stay under that name, as they do where each is an entry of its own.

use std::{fs::File, io};

use serde_json::{Value, json};
use stave_lifecycle::{
    image::{Descriptor, Image},
    port::cancel::Cancel,
};
use stave_model::digest::Digest;

use super::{blobs_into, entry, named, put_blob, read, replace};
use crate::{
    index::{self, Rewritten, Swaps, descriptor_of},
    json as strict,
    layout::{Layout, Place, write::replace::Trouble},
    manifest::is_index,
    meter::Meter,
};

/// Puts the image into the index that the place's name leads to, if it leads to one.
pub(super) fn put(place: &Place, image: &Image, meter: &mut Meter<'_>, cancel: &Cancel) -> io::Result<bool> {
    let old = match read::read(&File::open(&place.folder)?, "index.json") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        old => old?,
    };
    let outer = strict::value(&old).map_err(Trouble::Json)?;
    let is_meant = |entry: &Value| named(entry) == place.name.as_deref();
    let entries = outer["manifests"].as_array();
    if !entries.is_some_and(|entries| entries.iter().any(|entry| is_meant(entry) && leads_on(entry))) {
        return Ok(false);
    }
    let blobs = place.folder.join("blobs/sha256");
    blobs_into(&blobs, image, meter, cancel)?;
    let layout = Layout::open(place.clone()).map_err(io::Error::other)?;
    let mut swaps = Swaps::default();
    for digest in layout.exactly_for(&image.platform).map_err(io::Error::other)? {
        swaps.add(digest, image.clone());
    }
    if swaps.images().next().is_none() {
        return add(place, &layout, outer, image, meter, cancel).map(|()| true);
    }
    let mut document = |descriptor: &Descriptor| layout.document(descriptor).map_err(Trouble::Read);
    let Rewritten { bytes, nested } = index::rewrite::<Trouble>(&old, &swaps, &is_meant, &mut document)?;
    for (descriptor, bytes) in nested {
        put_blob(&blobs, &descriptor, || Ok(Box::new(&bytes[..])), meter, cancel)?;
    }
    replace(&place.folder, "index.json", &bytes).map(|()| true)
}

/// Adds the image to the first index of the name, which has none for its platform.
fn add(
    place: &Place,
    layout: &Layout,
    mut outer: Value,
    image: &Image,
    meter: &mut Meter<'_>,
    cancel: &Cancel,
) -> io::Result<()> {
    let entries = outer["manifests"].as_array_mut().into_iter().flatten();
    for listed in entries.filter(|entry| named(entry) == place.name.as_deref() && leads_on(entry)).take(1) {
        let descriptor: Descriptor = serde_json::from_value(listed.clone())?;
        let bytes = layout.document(&descriptor).map_err(io::Error::other)?;
        let mut inner = strict::value(&bytes).map_err(Trouble::Json)?;
        let Some(inside) = inner.get_mut("manifests").and_then(Value::as_array_mut) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} lists no images", descriptor.digest)));
        };
        inside.push(entry(&descriptor_of(image), Some(&image.platform), None));
        let bytes = inner.to_string().into_bytes();
        let new = Descriptor { digest: Digest::of(&bytes), size: bytes.len() as u64, ..descriptor };
        put_blob(&place.folder.join("blobs/sha256"), &new, || Ok(Box::new(&bytes[..])), meter, cancel)?;
        listed["digest"] = json!(new.digest);
        listed["size"] = json!(new.size);
    }
    replace(&place.folder, "index.json", &serde_json::to_vec(&outer)?)
}

/// Whether an entry is one of an index.
fn leads_on(entry: &Value) -> bool {
    entry.get("mediaType").and_then(Value::as_str).is_some_and(is_index)
}
