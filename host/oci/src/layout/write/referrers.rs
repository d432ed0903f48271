//! Bills of materials and signatures that hang on what is in a layout: artefacts beside it in its index, which name it as their
//! subject.
//!
//! Stave hangs no bills there by itself, because many readers want a layout of one image to have one entry. But where somebody
//! hung bills on an image that is replaced, the new image gets its own in their place. Signatures are hung where somebody signs.

use std::{collections::BTreeSet, io};

use serde_json::Value;
use stave_lifecycle::{
    image::{Descriptor, MANIFEST},
    port::{cancel::Cancel, failure::PortError},
};
use stave_model::{digest::Digest, sbom::Format};

use crate::{
    artifact::{Attachment, descriptor},
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
            let bill = Attachment { media_type: format.media_type(), annotations: &[], file: &bill };
            entries.push(hang(&descriptor_of(image), &bill, put)?);
        }
    }
    Ok(document.to_string().into_bytes())
}

/// Puts a file about `subject` where `put` says; the answer is its entry.
pub(super) fn hang(
    subject: &Descriptor,
    attachment: &Attachment<'_>,
    put: &mut dyn FnMut(&Descriptor, &[u8]) -> io::Result<()>,
) -> io::Result<Value> {
    for (media_type, bytes) in attachment.blobs() {
        put(&descriptor(media_type, bytes), bytes)?;
    }
    let manifest = attachment.manifest(subject);
    put(&descriptor(MANIFEST, &manifest), &manifest)?;
    Ok(attachment.entry(&manifest))
}

/// What an entry is about, if it is a bill of materials. One that cannot be read is left as it is.
fn subject(entry: &Value, layout: &Layout) -> Option<Digest> {
    let kind = entry.get("artifactType")?.as_str()?;
    Format::ALL.iter().find(|format| format.media_type() == kind)?;
    let descriptor: Descriptor = serde_json::from_value(entry.clone()).ok()?;
    let artifact: Value = strict::value(&layout.document(&descriptor).ok()?).ok()?;
    artifact.get("subject")?.get("digest")?.as_str()?.parse().ok()
}
