//! Bills of materials that hang on images of a layout: artefacts beside them in its index, which name them as their subject.
//!
//! Stave hangs none there by itself, because many readers want a layout of one image to have one entry. But where somebody
//! hung bills on an image that is replaced, the new image gets its own in their place.

use std::{collections::BTreeSet, io};

use serde_json::{Value, json};
use stave_lifecycle::{
    image::{Descriptor, MANIFEST},
    port::{cancel::Cancel, failure::PortError},
};
use stave_model::{digest::Digest, sbom::Format};

use crate::{
    artifact::{EMPTY, about, descriptor},
    index::{Swaps, descriptor_of},
    json as strict,
    layout::Layout,
    sbom,
};

/// Exchanges the bills of replaced images in an index, and puts what is new where `put` says. A base that cannot be read takes
/// nothing from what an image says of its app: `warn` is told.
pub(super) fn exchange(
    index: &[u8],
    swaps: &Swaps,
    layout: &Layout,
    cancel: &Cancel,
    warn: &mut dyn FnMut(&PortError),
    put: &mut dyn FnMut(&Descriptor, &[u8]) -> io::Result<()>,
) -> io::Result<Vec<u8>> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let mut document: Value = strict::value(index).map_err(invalid)?;
    let Some(entries) = document.get_mut("manifests").and_then(Value::as_array_mut) else { return Ok(index.to_vec()) };
    let mut about_swapped = BTreeSet::new();
    entries.retain(|entry| {
        let subject = subject(entry, layout).filter(|subject| swaps.get(subject).is_some());
        about_swapped.extend(subject);
        subject.is_none()
    });
    if about_swapped.is_empty() {
        return Ok(index.to_vec());
    }
    for image in about_swapped.iter().filter_map(|old| swaps.get(old)) {
        let app = sbom::of_app(image).map_err(io::Error::other)?;
        let base = sbom::of_base(image, None, cancel).or_else(|error| {
            cancel.check()?;
            warn(&error);
            Ok::<_, PortError>(Vec::new())
        });
        let base = base.map_err(io::Error::other)?;
        for (format, bill) in app.into_iter().chain(base) {
            let artifact = about(&descriptor_of(image), format.media_type(), &bill);
            let manifest = descriptor(MANIFEST, &artifact);
            put(&descriptor(EMPTY.0, EMPTY.1), EMPTY.1)?;
            put(&descriptor(format.media_type(), &bill), &bill)?;
            put(&manifest, &artifact)?;
            let mut entry = json!(manifest);
            entry["artifactType"] = json!(format.media_type());
            entries.push(entry);
        }
    }
    Ok(document.to_string().into_bytes())
}

/// What an entry is about, if it is a bill of materials. One that cannot be read is left as it is.
fn subject(entry: &Value, layout: &Layout) -> Option<Digest> {
    let kind = entry.get("artifactType")?.as_str()?;
    Format::ALL.iter().find(|format| format.media_type() == kind)?;
    let descriptor: Descriptor = serde_json::from_value(entry.clone()).ok()?;
    let artifact: Value = strict::value(&layout.document(&descriptor).ok()?).ok()?;
    artifact.get("subject")?.get("digest")?.as_str()?.parse().ok()
}
