//! Builders as artefacts: one manifest whose configuration says what the builder is made of, and whose layers are its
//! components, each as it is. The images of a stack that is in no registry are listed beside that manifest in an index, so
//! that whoever copies the name copies all of it.
//!
//! What is written depends on the builder and on nothing else, so that creating it twice gives one digest.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stave_archive::content::Content;
use stave_lifecycle::{
    image::{Descriptor, Image, ImageLayer, Index, MANIFEST},
    port::{
        failure::{Fault, PortError},
        sink::Sink as _,
    },
};
use stave_model::{
    builder::pinned::{MAX_BUILDPACKS, PinnedBuilder, PinnedError},
    digest::Digest,
    target::Platform,
};

use crate::{
    artifact::descriptor,
    component::{COMPONENT, Means, Place},
    image,
    index::descriptor_of,
    json::{self, JsonError, MAX_DOCUMENT},
    layout::{Layout, LayoutFolder},
    manifest::{self, MAX_ENTRIES, ManifestError, cut, is_index},
    registry::{pull::RegistryImage, push::RegistryTag},
};

/// The type of a builder's manifest.
pub const ARTIFACT: &str = "application/vnd.stave.builder.v1";
/// The media type of a builder's configuration.
pub const CONFIG: &str = "application/vnd.stave.builder.config.v1+json";
/// What indexes call the platform of something that is for none.
const NO_PLATFORM: &str = "unknown";

/// A builder that was found: what it is made of, and its components, whose bytes are fetched when they are read.
#[derive(Debug, Clone)]
pub struct Found {
    /// Where it is, by its digest.
    pub resolved: Place,
    /// The digest of all of it.
    pub digest: Digest,
    /// What it is made of.
    pub builder: PinnedBuilder,
    /// Its components, in the sequence of its buildpacks.
    pub components: Vec<Arc<dyn Content>>,
    manifest: Vec<u8>,
    config: Vec<u8>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    schema_version: u32,
    media_type: &'static str,
    artifact_type: &'static str,
    config: Descriptor,
    layers: Vec<Descriptor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<Annotations<'a>>,
}

#[derive(Serialize)]
struct Annotations<'a> {
    #[serde(rename = "org.opencontainers.image.description")]
    description: &'a str,
}

/// A builder's own manifest as what sinks take. `components` come in the sequence of its buildpacks.
pub fn artifact(builder: &PinnedBuilder, components: Vec<Arc<dyn Content>>) -> Image {
    let config = builder.to_json();
    let mut layers: Vec<ImageLayer> = Vec::new();
    for (buildpack, content) in builder.buildpacks.iter().zip(components) {
        let descriptor =
            Descriptor { media_type: COMPONENT.to_owned(), digest: buildpack.digest, size: buildpack.size };
        layers.push(ImageLayer { descriptor, diff_id: buildpack.digest, content, origin: None });
    }
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST,
        artifact_type: ARTIFACT,
        config: descriptor(CONFIG, &config),
        layers: layers.iter().map(|layer| layer.descriptor.clone()).collect(),
        annotations: (!builder.description.is_empty()).then_some(Annotations { description: &builder.description }),
    };
    let manifest = serde_json::to_vec(&manifest).expect("texts and digests are always JSON");
    assembled(manifest, config, layers)
}

fn assembled(manifest: Vec<u8>, config: Vec<u8>, layers: Vec<ImageLayer>) -> Image {
    let platform = Platform { os: NO_PLATFORM.to_owned(), arch: NO_PLATFORM.to_owned(), variant: None };
    Image { platform, manifest, media_type: MANIFEST.to_owned(), config, layers }
}

/// The digest of a builder and the images that travel with it.
pub fn digest(artifact: &Image, carried: &[Image]) -> Digest {
    descriptor_of_all(artifact, carried).digest
}

/// What leads to a builder and the images that travel with it.
pub fn descriptor_of_all(artifact: &Image, carried: &[Image]) -> Descriptor {
    if carried.is_empty() { descriptor_of(artifact) } else { Index::of(&all(artifact, carried)).descriptor() }
}

/// The builder's own manifest is first.
pub(crate) fn all(artifact: &Image, carried: &[Image]) -> Vec<Image> {
    [artifact].into_iter().chain(carried).cloned().collect()
}

/// Puts a builder and the images that travel with it at `place`; answers where it is, by its digest.
pub fn push(place: &Place, artifact: &Image, carried: &[Image], means: &Means) -> Result<Place, PortError> {
    let (observer, cancel) = (means.observer.as_ref(), &means.cancel);
    let stored = match place {
        Place::Registry(reference) => {
            let tag = RegistryTag::new(means.registries.clone(), reference.clone())?;
            match carried {
                [] => tag.put(artifact, observer, cancel)?,
                carried => tag.put_platforms(&all(artifact, carried), observer, cancel)?,
            }
        }
        Place::Layout { place, digest: None } => {
            let layout = LayoutFolder::new(place.clone());
            match carried {
                [] => layout.of_artifacts(ARTIFACT).put(artifact, observer, cancel)?,
                carried => layout.put_platforms(&all(artifact, carried), observer, cancel)?,
            }
        }
        Place::Layout { digest: Some(_), .. } => {
            let attempt = format!("could not write the builder `{place}`: a name in a layout has no digest");
            return Err(PortError::new(Fault::InvalidInput, attempt).hint("leave the digest away"));
        }
    };
    Ok(place.pinned(stored.digest))
}

/// Finds the builder at `place`. One that is named by its digest, and is all among the blobs, needs no network.
pub fn find(place: &Place, means: &Means) -> Result<Found, PortError> {
    let Means { registries, blobs, observer, cancel } = means.clone();
    match place {
        Place::Registry(reference) => {
            let image = RegistryImage::new(registries, reference.clone(), blobs, observer, cancel);
            image.documents(|documents| found(place, documents))
        }
        Place::Layout { place: layout, digest } => {
            let layout = Layout::open(layout.clone())?;
            found(place, &mut layout.documents(*digest))
        }
    }
}

impl Found {
    /// The builder's own manifest, as what sinks take.
    pub fn artifact(&self) -> Image {
        let layers = self.builder.buildpacks.iter().zip(&self.components).map(|(buildpack, content)| ImageLayer {
            descriptor: Descriptor { media_type: COMPONENT.to_owned(), digest: buildpack.digest, size: buildpack.size },
            diff_id: buildpack.digest,
            content: Arc::clone(content),
            origin: None,
        });
        assembled(self.manifest.clone(), self.config.clone(), layers.collect())
    }
}

/// Where the documents and blobs of a name come from.
pub(crate) trait Documents {
    /// What the name leads to: bytes, and the media type that somebody says.
    fn root(&mut self) -> Result<(Vec<u8>, Option<String>), PortError>;
    /// A manifest that an index lists.
    fn manifest(&mut self, promised: &Descriptor) -> Result<Vec<u8>, PortError>;
    /// A small blob.
    fn small(&mut self, promised: &Descriptor) -> Result<Vec<u8>, PortError>;
    /// A blob that is fetched when it is read, and then compared with its descriptor.
    fn content(&mut self, promised: &Descriptor) -> Result<Arc<dyn Content>, PortError>;
}

/// Why what a name leads to is no builder that can be used.
#[derive(Debug, thiserror::Error)]
pub enum NotABuilder {
    /// It is no document that is understood.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// It is something else: an image, most likely.
    #[error("it is something else than a builder: its type is `{}`", .0.escape_debug())]
    Other(String),
    /// Its index lists none, or several.
    #[error("its index lists {0} manifests that are for no platform, and a builder is one of them")]
    Several(usize),
    /// Its configuration cannot be read.
    #[error("its configuration cannot be read")]
    Config(#[source] JsonError),
    /// Its configuration is not a builder's.
    #[error("its configuration is not a builder's")]
    Builder(#[source] PinnedError),
    /// Manifest and configuration tell of other components.
    #[error("its layers are not the components that its configuration names")]
    Layers,
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
}

#[derive(Deserialize)]
struct RawPlatform {
    os: String,
}

#[derive(Deserialize)]
struct RawManifest {
    #[serde(rename = "artifactType")]
    artifact_type: Option<String>,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

pub(crate) fn found(place: &Place, documents: &mut dyn Documents) -> Result<Found, PortError> {
    let refused = |error: NotABuilder| {
        let is_other = matches!(error, NotABuilder::Other(_) | NotABuilder::Several(_));
        let error =
            PortError::new(Fault::InvalidInput, format!("could not use the builder `{place}`")).caused_by(error);
        if is_other { error.hint("builders are made with `stave builder create`") } else { error }
    };
    let (root, outer) = documents.root()?;
    let digest = Digest::of(&root);
    let manifest = match entry_of(&root, outer.as_deref()).map_err(refused)? {
        Some(entry) => documents.manifest(&entry)?,
        None => root,
    };
    let RawManifest { config, layers, .. } = manifest_of(&manifest).map_err(refused)?;
    let config = documents.small(&config)?;
    let builder = json::value(&config).map_err(|error| refused(NotABuilder::Config(error)))?;
    let builder = PinnedBuilder::read(builder).map_err(|error| refused(NotABuilder::Builder(error)))?;
    let named = builder.buildpacks.iter().map(|buildpack| (buildpack.digest, buildpack.size));
    if !named.eq(layers.iter().map(|layer| (layer.digest, layer.size))) {
        return Err(refused(NotABuilder::Layers));
    }
    let components = layers.iter().map(|layer| documents.content(layer)).collect::<Result<_, _>>()?;
    Ok(Found { resolved: place.pinned(digest), digest, builder, components, manifest, config })
}

/// The entry of the builder's own manifest, where the document is an index.
fn entry_of(bytes: &[u8], outer: Option<&str>) -> Result<Option<Descriptor>, NotABuilder> {
    let value = json::value(bytes).map_err(ManifestError::Json)?;
    let outer = outer.or_else(|| (value.get("mediaType").is_none()).then_some(MANIFEST));
    if !is_index(&manifest::media_type(&value, outer)?) {
        return Ok(None);
    }
    manifest::check_count("entries", value.get("manifests"), MAX_ENTRIES)?;
    let malformed = |error| ManifestError::Json(JsonError::Malformed(error));
    let RawIndex { manifests } = RawIndex::deserialize(value).map_err(malformed)?;
    let is_for_none = |entry: &RawEntry| entry.platform.as_ref().is_some_and(|platform| platform.os == NO_PLATFORM);
    let mut entries = manifests.into_iter().filter(is_for_none);
    match (entries.next(), entries.count()) {
        (Some(entry), 0) => {
            manifest::check_size("the manifest", &entry.descriptor, MAX_DOCUMENT)?;
            Ok(Some(entry.descriptor))
        }
        (first, more) => Err(NotABuilder::Several(more + usize::from(first.is_some()))),
    }
}

fn manifest_of(bytes: &[u8]) -> Result<RawManifest, NotABuilder> {
    let value: Value = json::value(bytes).map_err(ManifestError::Json)?;
    manifest::check_count("layers", value.get("layers"), MAX_BUILDPACKS)?;
    let malformed = |error| ManifestError::Json(JsonError::Malformed(error));
    let raw = RawManifest::deserialize(value).map_err(malformed)?;
    let types = [(raw.artifact_type.as_deref().unwrap_or(MANIFEST), ARTIFACT), (&raw.config.media_type, CONFIG)];
    if let Some((said, _)) = types.into_iter().find(|(said, wanted)| said != wanted) {
        return Err(NotABuilder::Other(cut(said)));
    }
    manifest::check_size("the configuration", &raw.config, MAX_DOCUMENT)?;
    for layer in &raw.layers {
        manifest::check_size("the component", layer, manifest::MAX_LAYER)?;
    }
    Ok(raw)
}

/// Checks a root that is named by its digest.
pub(crate) fn checked(digest: Digest, bytes: Vec<u8>) -> Result<Vec<u8>, PortError> {
    let promised = Descriptor { digest, ..descriptor(MANIFEST, &bytes) };
    image::check(&promised, &bytes).map(|()| bytes)
}
