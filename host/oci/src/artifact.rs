//! Artefacts: manifests of one file that name an image, or another artefact, as their subject (OCI image spec, "Guidelines for
//! Artifact Usage").

use serde_json::{Value, json};
use stave_lifecycle::image::{Descriptor, MANIFEST};
use stave_model::digest::Digest;

/// The media type and bytes of a configuration that says nothing.
pub(crate) const EMPTY: (&str, &[u8]) = ("application/vnd.oci.empty.v1+json", b"{}");

/// A file that is about an image or another artefact: a bill of materials, or a signature.
#[derive(Debug, Clone, Copy)]
pub struct Attachment<'a> {
    /// What it is.
    pub media_type: &'a str,
    /// What its manifest says of it.
    pub annotations: &'a [(&'a str, &'a str)],
    /// The file.
    pub file: &'a [u8],
}

/// What leads to these bytes.
pub(crate) fn descriptor(media_type: &str, bytes: &[u8]) -> Descriptor {
    Descriptor { media_type: media_type.to_owned(), digest: Digest::of(bytes), size: bytes.len() as u64 }
}

impl Attachment<'_> {
    /// Its manifest, with `subject` as what it is about. The same file and subject give the same bytes.
    pub(crate) fn manifest(&self, subject: &Descriptor) -> Vec<u8> {
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": self.media_type,
            "config": descriptor(EMPTY.0, EMPTY.1), "layers": [descriptor(self.media_type, self.file)], "subject": subject,
        });
        if !self.annotations.is_empty() {
            manifest["annotations"] = self.annotated();
        }
        manifest.to_string().into_bytes()
    }

    /// What lists its manifest among the referrers of the subject (OCI distribution spec, "Referrers Tag Schema").
    pub(crate) fn entry(&self, manifest: &[u8]) -> Value {
        let mut entry = json!(descriptor(MANIFEST, manifest));
        entry["artifactType"] = json!(self.media_type);
        if !self.annotations.is_empty() {
            entry["annotations"] = self.annotated();
        }
        entry
    }

    /// What has to be there before its manifest: media types and bytes.
    pub(crate) fn blobs(&self) -> [(&str, &[u8]); 2] {
        [EMPTY, (self.media_type, self.file)]
    }

    fn annotated(&self) -> Value {
        self.annotations.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
    }
}

/// The tag under which referrers of a subject are listed where a registry does not list them itself.
pub(crate) fn referrers_tag(subject: &Digest) -> String {
    subject.to_string().replace(':', "-")
}
