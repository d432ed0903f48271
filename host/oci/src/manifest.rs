//! Manifests and indexes, OCI's and docker's (schema 2), with the caps that make a stranger's document harmless.

use serde::Deserialize;
use serde_json::Value;
use stave_lifecycle::image::{CONFIG, Descriptor, INDEX, LAYER, LAYER_GZIP, LAYER_ZSTD, MANIFEST};
use stave_model::{digest::Digest, target::Platform};

use crate::json::{self, JsonError, MAX_DOCUMENT};

/// Docker's media type of a manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's media type of a manifest list, its index.
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker's media type of a configuration.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Docker's media type of a gzip-compressed layer.
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Docker's media type of an uncompressed layer.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// The most layers of an image: far more than any runtime mounts.
pub const MAX_LAYERS: usize = 512;
/// The most entries of an index.
pub const MAX_ENTRIES: usize = 1024;
/// How deep indexes may lie in indexes (N5).
pub const MAX_NESTING: usize = 4;
/// The largest layer, in bytes.
pub const MAX_LAYER: u64 = 32 << 30;

/// A manifest or an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// One image for one platform.
    Manifest(Manifest),
    /// Images for several.
    Index(Index),
}

/// An image's manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Its own media type.
    pub media_type: String,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, bottom first.
    pub layers: Vec<Descriptor>,
}

/// An index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Its own media type.
    pub media_type: String,
    /// What it lists.
    pub entries: Vec<Entry>,
}

/// One entry of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The manifest or index that it leads to.
    pub descriptor: Descriptor,
    /// What that is for, if it says so in words that a platform may have.
    pub platform: Option<Platform>,
    /// The name within a layout (`org.opencontainers.image.ref.name`).
    pub name: Option<String>,
}

/// Why a document is not a manifest or an index that we take.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is no JSON, too large, too deep, ambiguous or incomplete.
    #[error("the manifest cannot be read")]
    Json(#[source] JsonError),
    /// It says what it is in two ways, or in none.
    #[error("the manifest is ambiguous: {0}")]
    Ambiguous(&'static str),
    /// It is something else than an image.
    #[error("`{}` is not a media type of {what} that Stave reads", .media_type.escape_debug())]
    MediaType {
        /// Of what.
        what: &'static str,
        /// What it says.
        media_type: String,
    },
    /// A list is too long.
    #[error("it has {count} {what}, more than {limit}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A size is none that a blob of this kind has.
    #[error("{what} {digest} says to have {size} bytes; 1 to {limit} are possible")]
    Size {
        /// Of what.
        what: &'static str,
        /// Which.
        digest: Digest,
        /// What it says.
        size: u64,
        /// What is possible.
        limit: u64,
    },
}

/// Why an index has nothing for a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no image for {wanted}, only for {}", list(.there))]
pub struct NoPlatform {
    wanted: Platform,
    there: Vec<Platform>,
}

fn list(platforms: &[Platform]) -> String {
    let shown: Vec<String> = platforms.iter().take(20).map(Platform::to_string).collect();
    if shown.is_empty() { "no platform at all".to_owned() } else { shown.join(", ") }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawManifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct RawIndex {
    manifests: Vec<RawEntry>,
}

#[derive(Deserialize)]
struct RawEntry {
    #[serde(flatten)]
    descriptor: Descriptor,
    platform: Option<RawPlatform>,
    annotations: Option<RawAnnotations>,
    #[serde(rename = "artifactType")]
    artifact_type: Option<String>,
}

impl RawEntry {
    /// Whether it leads to something else than an image or an index: a bill of materials or a signature, which name an image
    /// as their subject.
    fn is_artifact(&self) -> bool {
        self.artifact_type.as_deref().is_some_and(|kind| !matches!(kind, "" | CONFIG | DOCKER_CONFIG))
    }
}

#[derive(Deserialize)]
struct RawPlatform {
    architecture: String,
    os: String,
    variant: Option<String>,
}

#[derive(Deserialize)]
struct RawAnnotations {
    #[serde(rename = "org.opencontainers.image.ref.name")]
    name: Option<String>,
}

impl Document {
    /// Reads a document. `outer` is the media type that its descriptor or the registry's `Content-Type` says; it must
    /// agree with the one inside and with the document's shape (CVE-2021-41190).
    pub fn parse(bytes: &[u8], outer: Option<&str>) -> Result<Self, ManifestError> {
        let value = json::value(bytes).map_err(ManifestError::Json)?;
        let media_type = media_type(&value, outer)?;
        let has = |key: &str| value.get(key).is_some();
        if value.get("schemaVersion").is_none_or(|version| *version != 2) {
            return Err(ManifestError::Ambiguous("its `schemaVersion` is not 2"));
        }
        match media_type.as_str() {
            MANIFEST | DOCKER_MANIFEST if !has("manifests") && !has("fsLayers") => {
                Manifest::read(media_type, value).map(Self::Manifest)
            }
            INDEX | DOCKER_INDEX if !has("layers") && !has("config") && !has("fsLayers") => {
                Index::read(media_type, value).map(Self::Index)
            }
            MANIFEST | DOCKER_MANIFEST | INDEX | DOCKER_INDEX => {
                Err(ManifestError::Ambiguous("it is a manifest and an index at once"))
            }
            _ => Err(ManifestError::MediaType { what: "an image", media_type: cut(&media_type) }),
        }
    }
}

/// The media type, said inside or outside, and the same where both say it.
pub(crate) fn media_type(value: &Value, outer: Option<&str>) -> Result<String, ManifestError> {
    let outer = outer.map(|text| text.split(';').next().unwrap_or(text).trim().to_ascii_lowercase());
    // What a server says about anything it does not know.
    let outer =
        outer.filter(|text| !matches!(text.as_str(), "application/json" | "application/octet-stream" | "text/plain"));
    let inner = match value.get("mediaType") {
        None => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(_) => return Err(ManifestError::Ambiguous("its `mediaType` is not a text")),
    };
    match (inner, outer) {
        (Some(inner), Some(outer)) if inner != outer => {
            Err(ManifestError::Ambiguous("its `mediaType` is not the one it was announced with"))
        }
        (Some(either), _) | (None, Some(either)) => Ok(either),
        (None, None) => Err(ManifestError::Ambiguous("nothing says its media type")),
    }
}

impl Manifest {
    fn read(media_type: String, value: Value) -> Result<Self, ManifestError> {
        let malformed = |error| ManifestError::Json(JsonError::Malformed(error));
        check_count("layers", value.get("layers"), MAX_LAYERS)?;
        let RawManifest { config, layers } = RawManifest::deserialize(value).map_err(malformed)?;
        if !matches!(config.media_type.as_str(), CONFIG | DOCKER_CONFIG) {
            return Err(ManifestError::MediaType {
                what: "an image's configuration",
                media_type: cut(&config.media_type),
            });
        }
        check_size("the configuration", &config, MAX_DOCUMENT)?;
        for layer in &layers {
            if !is_layer(&layer.media_type) {
                return Err(ManifestError::MediaType { what: "a layer", media_type: cut(&layer.media_type) });
            }
            check_size("the layer", layer, MAX_LAYER)?;
        }
        Ok(Self { media_type, config, layers })
    }
}

impl Index {
    fn read(media_type: String, value: Value) -> Result<Self, ManifestError> {
        let malformed = |error| ManifestError::Json(JsonError::Malformed(error));
        check_count("entries", value.get("manifests"), MAX_ENTRIES)?;
        let raw = RawIndex::deserialize(value).map_err(malformed)?;
        let images = raw.manifests.into_iter().filter(|entry| !entry.is_artifact());
        let entries = images.map(|entry| {
            check_size("the manifest", &entry.descriptor, MAX_DOCUMENT)?;
            Ok(Entry {
                descriptor: entry.descriptor,
                platform: entry.platform.and_then(RawPlatform::checked),
                name: entry.annotations.and_then(|annotations| annotations.name),
            })
        });
        Ok(Self { media_type, entries: entries.collect::<Result<_, _>>()? })
    }

    /// The entry for `platform`: one that says exactly this, else one that serves it.
    pub fn choose(&self, platform: &Platform) -> Result<&Entry, NoPlatform> {
        let serving = |entry: &&Entry| entry.platform.as_ref().is_some_and(|there| there.serves(platform));
        let exact = self.entries.iter().find(|entry| entry.platform.as_ref() == Some(platform));
        exact.or_else(|| self.entries.iter().find(serving)).ok_or_else(|| NoPlatform {
            wanted: platform.clone(),
            // Attestations hang in indexes as images for `unknown/unknown`.
            there: self.entries.iter().filter_map(|e| e.platform.clone()).filter(|p| p.os != "unknown").collect(),
        })
    }
}

impl RawPlatform {
    fn checked(self) -> Option<Platform> {
        let variant = self.variant.filter(|text| !text.is_empty()).map(|text| format!("/{text}")).unwrap_or_default();
        format!("{}/{}{variant}", self.os, self.architecture).parse().ok()
    }
}

/// Whether this is a media type of a layer that we can hand on and decompress. Foreign ("non-distributable") layers are
/// not: their bytes are elsewhere, and nobody follows their `urls` (N15).
pub fn is_layer(media_type: &str) -> bool {
    matches!(media_type, LAYER | LAYER_GZIP | LAYER_ZSTD | DOCKER_LAYER | DOCKER_LAYER_GZIP)
}

/// Whether this is a media type of an index.
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, INDEX | DOCKER_INDEX)
}

/// Refuses a list that is too long.
pub(crate) fn check_count(what: &'static str, value: Option<&Value>, limit: usize) -> Result<(), ManifestError> {
    match value.and_then(Value::as_array).map_or(0, Vec::len) {
        count if count > limit => Err(ManifestError::TooMany { what, count, limit }),
        _ => Ok(()),
    }
}

/// Refuses a size that no blob of the kind has.
pub(crate) fn check_size(what: &'static str, descriptor: &Descriptor, limit: u64) -> Result<(), ManifestError> {
    let Descriptor { digest, size, .. } = *descriptor;
    if (1..=limit).contains(&size) { Ok(()) } else { Err(ManifestError::Size { what, digest, size, limit }) }
}

/// As much of a stranger's text as is shown.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests;
