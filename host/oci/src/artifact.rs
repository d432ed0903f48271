//! Artefacts: manifests of one file that name an image as their subject (OCI image spec, "Guidelines for Artifact Usage").

use serde_json::json;
use stave_lifecycle::image::{Descriptor, MANIFEST};
use stave_model::digest::Digest;

/// The media type and bytes of a configuration that says nothing.
pub(crate) const EMPTY: (&str, &[u8]) = ("application/vnd.oci.empty.v1+json", b"{}");

/// What leads to these bytes.
pub(crate) fn descriptor(media_type: &str, bytes: &[u8]) -> Descriptor {
    Descriptor { media_type: media_type.to_owned(), digest: Digest::of(bytes), size: bytes.len() as u64 }
}

/// The manifest of a file about `subject`. The same file and subject give the same bytes.
pub(crate) fn about(subject: &Descriptor, media_type: &str, file: &[u8]) -> Vec<u8> {
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": media_type,
        "config": descriptor(EMPTY.0, EMPTY.1), "layers": [descriptor(media_type, file)], "subject": subject,
    });
    manifest.to_string().into_bytes()
}
