//! Signatures that hang on an artefact, as cosign hangs them there: found, brought and attached, and believed by nobody here.
//!
//! There are two ways. Sigstore bundles are referrers of the artefact, listed by the registry or under the tag that stands for
//! it. Before that, cosign put all signatures into one manifest under a tag that ends with `.sig`: payloads as layers, the
//! signatures as annotations of these. Both are read; bundles are written.
//!
//! Everything that is listed was written by somebody else, who need not be who wrote the artefact. So what cannot be read is
//! named and passed over: a stranger's bad signature takes nothing from a good one. But where there are more than anybody
//! needs, nothing is read at all.

use serde::Deserialize;
use serde_json::Value;
use stave_lifecycle::{
    image::{CONFIG, Descriptor, MANIFEST},
    port::failure::{Fault, PortError},
};
use stave_model::digest::Digest;

use crate::{
    artifact::{Attachment, EMPTY, descriptor, referrers_tag},
    component::{Means, Place},
    json::{self, JsonError},
    layout::{Layout, LayoutFolder},
    manifest,
    registry::{pull::RegistryImage, push::RegistryTag},
};

/// The media type of Sigstore bundles.
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The media type of payloads in the older format.
const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Where the older format has the signature of a payload.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// Where it has the certificate that the signature stands on.
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
/// How many signatures of one artefact are looked at.
pub const MAX_SIGNATURES: usize = 64;
/// The largest bundle, payload, or manifest of one, in bytes.
const MAX_BYTES: u64 = 256 << 10;

/// A signature as it was found. Whether it is one, and whose, is somebody else's to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signature {
    /// A Sigstore bundle.
    Bundle(Vec<u8>),
    /// A payload with the signature beside it.
    Simple {
        /// What is signed.
        payload: Vec<u8>,
        /// The signature in base64.
        signature: String,
        /// Whether a certificate comes with it.
        has_certificate: bool,
    },
    /// Something that could not be read, and why.
    Unreadable(String),
}

/// Where signatures are looked for.
pub(crate) trait Shelf {
    /// The entries of everything that may be about a subject.
    fn referrers(&self, subject: &Digest) -> Result<Vec<Value>, PortError>;
    /// The manifest under a tag, if there is one.
    fn tagged(&self, tag: &str) -> Result<Option<Vec<u8>>, PortError>;
    /// A manifest that an entry leads to.
    fn manifest(&self, promised: &Descriptor) -> Result<Vec<u8>, PortError>;
    /// A blob that a manifest leads to.
    fn blob(&self, promised: &Descriptor) -> Result<Vec<u8>, PortError>;
}

/// What the name leads to, whatever it is.
pub fn subject(place: &Place, means: &Means) -> Result<Descriptor, PortError> {
    let Means { registries, blobs, observer, cancel } = means.clone();
    let (bytes, outer) = match place {
        Place::Registry(reference) => {
            RegistryImage::new(registries, reference.clone(), blobs, observer, cancel).root()?
        }
        Place::Layout { place, digest } => Layout::open(place.clone())?.root(*digest, "artefact")?,
    };
    let refused = |error: manifest::ManifestError| {
        PortError::new(Fault::InvalidInput, format!("could not use what is at `{place}`")).caused_by(error)
    };
    let value = json::value(&bytes).map_err(|error| refused(manifest::ManifestError::Json(error)))?;
    // What is named by its digest alone is announced by nobody.
    let outer = outer.or_else(|| value.get("mediaType").is_none().then(|| MANIFEST.to_owned()));
    let media_type = manifest::media_type(&value, outer.as_deref()).map_err(refused)?;
    Ok(descriptor(&media_type, &bytes))
}

/// The signatures that hang on what has this digest.
pub fn list(place: &Place, subject: &Digest, means: &Means) -> Result<Vec<Signature>, PortError> {
    let Means { registries, blobs, observer, cancel } = means.clone();
    match place {
        Place::Registry(reference) => {
            let image = RegistryImage::new(registries, reference.clone(), blobs, observer, cancel);
            image.signatures(|shelf| collect(shelf, place, subject))
        }
        Place::Layout { place: layout, .. } => collect(&Layout::open(layout.clone())?, place, subject),
    }
}

/// Hangs a signature on what has this digest. The artefact stays as it is, and so do other signatures.
pub fn attach(
    place: &Place,
    subject: &Descriptor,
    attachment: &Attachment<'_>,
    means: &Means,
) -> Result<(), PortError> {
    let (observer, cancel) = (means.observer.as_ref(), &means.cancel);
    match place {
        Place::Registry(reference) => {
            RegistryTag::new(means.registries.clone(), reference.clone())?.attach(subject, attachment, observer, cancel)
        }
        Place::Layout { place, .. } => LayoutFolder::new(place.clone()).attach(subject, attachment, observer, cancel),
    }
}

fn collect(shelf: &dyn Shelf, place: &Place, subject: &Digest) -> Result<Vec<Signature>, PortError> {
    let too_many = || {
        let attempt = format!("could not look at the signatures of `{place}`");
        PortError::new(Fault::TooLarge, attempt).caused_by(format!("there are more than {MAX_SIGNATURES}"))
    };
    let entries: Vec<Value> = shelf.referrers(subject)?.into_iter().filter(may_be_signature).collect();
    if entries.len() > MAX_SIGNATURES {
        return Err(too_many());
    }
    let mut found = Vec::new();
    for entry in entries {
        found.extend(bundles(shelf, entry, subject)?);
    }
    if let Some(manifest) = shelf.tagged(&older_tag(subject))? {
        found.extend(payloads(shelf, &manifest)?);
    }
    if found.len() > MAX_SIGNATURES { Err(too_many()) } else { Ok(found) }
}

/// The tag that has all signatures in the older format.
pub(crate) fn older_tag(subject: &Digest) -> String {
    format!("{}.sig", referrers_tag(subject))
}

/// Whether an entry says to be a bundle, or nothing. Registries and tools do not agree on what an entry says of an artefact.
fn may_be_signature(entry: &Value) -> bool {
    let kind = entry.get("artifactType").and_then(Value::as_str).unwrap_or_default();
    let is_manifest = entry.get("mediaType").and_then(Value::as_str) == Some(MANIFEST);
    is_manifest && (kind.is_empty() || [BUNDLE, EMPTY.0, CONFIG].contains(&kind))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    subject: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Layer {
    #[serde(flatten)]
    descriptor: Descriptor,
    #[serde(default)]
    annotations: Option<serde_json::Map<String, Value>>,
}

/// The bundles of one artefact that says to be about the subject; none of one that is about something else.
fn bundles(shelf: &dyn Shelf, entry: Value, subject: &Digest) -> Result<Vec<Signature>, PortError> {
    let Ok(entry) = serde_json::from_value::<Descriptor>(entry) else {
        return Ok(vec![Signature::Unreadable("its entry is none".to_owned())]);
    };
    if !(1..=MAX_BYTES).contains(&entry.size) {
        return Ok(vec![too_large(entry.size)]);
    }
    let bytes = match passed_over(shelf.manifest(&entry))? {
        Ok(bytes) => bytes,
        Err(unreadable) => return Ok(vec![unreadable]),
    };
    let artifact = match artifact(&bytes) {
        Ok(artifact) => artifact,
        Err(error) => return Ok(vec![Signature::Unreadable(told(&error))]),
    };
    if artifact.subject.is_none_or(|named| named.digest != *subject) {
        return Ok(Vec::new());
    }
    let layers = artifact.layers.into_iter().filter(|layer| layer.descriptor.media_type == BUNDLE);
    layers
        .take(MAX_SIGNATURES + 1)
        .map(|layer| Ok(small(shelf, &layer.descriptor)?.map_or_else(|no| no, Signature::Bundle)))
        .collect()
}

/// The payloads of a manifest in the older format, with their signatures.
fn payloads(shelf: &dyn Shelf, manifest: &[u8]) -> Result<Vec<Signature>, PortError> {
    let artifact = match artifact(manifest) {
        Ok(artifact) => artifact,
        Err(error) => return Ok(vec![Signature::Unreadable(told(&error))]),
    };
    let mut found = Vec::new();
    let layers = artifact.layers.into_iter().filter(|layer| layer.descriptor.media_type == PAYLOAD);
    for Layer { descriptor, annotations } in layers.take(MAX_SIGNATURES + 1) {
        let annotation = |name: &str| Some(annotations.as_ref()?.get(name)?.as_str()?.to_owned());
        let Some(signature) = annotation(SIGNATURE) else {
            found.push(Signature::Unreadable("its payload has no signature beside it".to_owned()));
            continue;
        };
        let has_certificate = annotation(CERTIFICATE).is_some_and(|text| !text.is_empty());
        let payload = small(shelf, &descriptor)?;
        found.push(payload.map_or_else(|no| no, |payload| Signature::Simple { payload, signature, has_certificate }));
    }
    Ok(found)
}

fn artifact(bytes: &[u8]) -> Result<Artifact, JsonError> {
    json::parse(bytes)
}

fn small(shelf: &dyn Shelf, promised: &Descriptor) -> Result<Result<Vec<u8>, Signature>, PortError> {
    if (1..=MAX_BYTES).contains(&promised.size) {
        passed_over(shelf.blob(promised))
    } else {
        Ok(Err(too_large(promised.size)))
    }
}

fn too_large(size: u64) -> Signature {
    Signature::Unreadable(format!("it says to have {size} bytes; 1 to {MAX_BYTES} are taken"))
}

/// What is not there, or is not what it says, is passed over. What could not be asked for is no reason to go on.
fn passed_over(read: Result<Vec<u8>, PortError>) -> Result<Result<Vec<u8>, Signature>, PortError> {
    match read {
        Ok(bytes) => Ok(Ok(bytes)),
        Err(error)
            if matches!(error.fault, Fault::NotFound | Fault::InvalidInput | Fault::Integrity | Fault::TooLarge) =>
        {
            Ok(Err(Signature::Unreadable(told(&error))))
        }
        Err(error) => Err(error),
    }
}

/// An error with its causes, on one line.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}"))
}

/// The entries of a list of referrers, of which there may be only so many.
pub(crate) fn entries(attempt: &str, list: &[u8]) -> Result<Vec<Value>, PortError> {
    let refused = |cause: Box<dyn std::error::Error + Send + Sync>| {
        PortError::new(Fault::InvalidInput, attempt.to_owned()).caused_by(cause)
    };
    let value = json::value(list).map_err(|error| refused(error.into()))?;
    manifest::check_count("entries", value.get("manifests"), manifest::MAX_ENTRIES)
        .map_err(|error| refused(error.into()))?;
    match value.get("manifests").and_then(Value::as_array) {
        Some(entries) => Ok(entries.clone()),
        None => Err(refused("it is no list of manifests".into())),
    }
}
