//! Manifest and configuration of a component, written and read.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use stave_archive::content::Content;
use stave_lifecycle::image::{Descriptor, Image, ImageLayer, MANIFEST};
use stave_model::{digest::Digest, image::CREATED, target::Platform, time};

use super::{COMPONENT, CONFIG};
use crate::{
    artifact::descriptor,
    json::{self, JsonError, MAX_DOCUMENT},
    manifest::{self, ManifestError, cut, is_index},
};

/// Configurations that were written before the layout was agreed on.
const OLDER_CONFIGS: [&str; 1] = ["application/vnd.wasm.config.v1+json"];
/// Media types that components had before.
const OLDER_COMPONENTS: [&str; 2] =
    ["application/vnd.wasm.content.layer.v1+wasm", "application/vnd.module.wasm.content.layer.v1+wasm"];
/// The annotation that names a layer's file (OCI image spec, "Pre-Defined Annotation Keys").
const TITLE: &str = "org.opencontainers.image.title";
const ARCHITECTURE: &str = "wasm";
const OS: &str = "wasip2";

/// What a component is published with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// What it imports, by full names such as `stave:buildpack/app@0.1.0`.
    pub imports: BTreeSet<String>,
    /// What it exports.
    pub exports: BTreeSet<String>,
    /// The manifest's annotations, which let tools list it.
    pub annotations: BTreeMap<String, String>,
    /// The name of the file that tools write which know nothing of components.
    pub file: Option<String>,
    /// When it was made, in seconds since 1970; [`CREATED`] when none.
    pub created: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    created: String,
    architecture: &'static str,
    os: &'static str,
    layer_digests: [Digest; 1],
    component: Surface<'a>,
}

#[derive(Serialize)]
struct Surface<'a> {
    exports: &'a BTreeSet<String>,
    imports: &'a BTreeSet<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    schema_version: u32,
    media_type: &'static str,
    config: Descriptor,
    layers: [Layer<'a>; 1],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Layer<'a> {
    #[serde(flatten)]
    descriptor: &'a Descriptor,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<BTreeMap<&'static str, &'a str>>,
}

/// A component as what sinks take. The same component and facts give the same bytes.
pub fn artifact(component: Arc<dyn Content>, digest: Digest, facts: &Facts) -> Image {
    let layer = Descriptor { media_type: COMPONENT.to_owned(), digest, size: component.size() };
    let config = Config {
        created: facts.created.map_or_else(|| CREATED.to_owned(), time::rfc3339),
        architecture: ARCHITECTURE,
        os: OS,
        layer_digests: [digest],
        component: Surface { exports: &facts.exports, imports: &facts.imports },
    };
    let config = serde_json::to_vec(&config).expect("texts and digests are always JSON");
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST,
        config: descriptor(CONFIG, &config),
        layers: [Layer { descriptor: &layer, annotations: facts.file.as_deref().map(|file| [(TITLE, file)].into()) }],
        annotations: &facts.annotations,
    };
    let manifest = serde_json::to_vec(&manifest).expect("texts and digests are always JSON");
    Image {
        platform: Platform { os: OS.to_owned(), arch: ARCHITECTURE.to_owned(), variant: None },
        manifest,
        media_type: MANIFEST.to_owned(),
        config,
        layers: vec![ImageLayer { descriptor: layer, diff_id: digest, content: component, origin: None }],
    }
}

/// Why a manifest is not one of a component that is taken.
#[derive(Debug, thiserror::Error)]
pub enum NotAComponent {
    /// It is no manifest at all.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// It lists manifests.
    #[error("it is an index of several manifests, and a component has one for all platforms")]
    Index,
    /// It is something else: an image, most likely.
    #[error("it is something else than a component: its configuration is `{}`", .0.escape_debug())]
    Other(String),
    /// It has no layer, or several.
    #[error("it has {0} layers, and a component has one")]
    Layers(usize),
    /// Its layer is none that we read.
    #[error("its layer is `{}`, and a component is `{COMPONENT}`", .0.escape_debug())]
    Layer(String),
    /// The component is larger than is taken, or has no bytes.
    #[error("the component says to have {size} bytes; 1 to {limit} are taken")]
    Size {
        /// What it says.
        size: u64,
        /// What is taken.
        limit: u64,
    },
    /// The configuration cannot be read.
    #[error("its configuration cannot be read")]
    Config(#[source] JsonError),
    /// The configuration is about another one.
    #[error("its configuration is about another component than its manifest")]
    OtherComponent,
}

impl NotAComponent {
    /// What a person could do.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Index | Self::Other(_) => Some("buildpacks are published with `stave buildpack publish`"),
            _ => None,
        }
    }
}

/// What a component's manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outline {
    pub(crate) config: Descriptor,
    pub(crate) component: Descriptor,
    pub(crate) annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct RawManifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
    annotations: Option<BTreeMap<String, String>>,
}

impl Outline {
    /// Reads a manifest. `outer` is the media type that a registry or descriptor says; `limit` how large a component may be.
    pub(crate) fn parse(bytes: &[u8], outer: Option<&str>, limit: u64) -> Result<Self, NotAComponent> {
        let value = json::value(bytes).map_err(ManifestError::Json)?;
        let has = |key: &str| value.get(key).is_some();
        // One that is kept by its digest need not say what it is: its shape does.
        let outer = outer.or_else(|| (!has("mediaType")).then_some(MANIFEST));
        let media_type = manifest::media_type(&value, outer)?;
        if is_index(&media_type) {
            return Err(NotAComponent::Index);
        }
        if media_type != MANIFEST {
            return Err(ManifestError::MediaType { what: "a component", media_type: cut(&media_type) }.into());
        }
        if value.get("schemaVersion").is_none_or(|version| *version != 2) {
            return Err(ManifestError::Ambiguous("its `schemaVersion` is not 2").into());
        }
        if has("manifests") || has("fsLayers") {
            return Err(ManifestError::Ambiguous("it is a manifest and an index at once").into());
        }
        manifest::check_count("layers", value.get("layers"), manifest::MAX_LAYERS)?;
        let malformed = |error| ManifestError::Json(JsonError::Malformed(error));
        let RawManifest { config, layers, annotations } = RawManifest::deserialize(value).map_err(malformed)?;
        if config.media_type != CONFIG && !OLDER_CONFIGS.contains(&config.media_type.as_str()) {
            return Err(NotAComponent::Other(cut(&config.media_type)));
        }
        manifest::check_size("the configuration", &config, MAX_DOCUMENT)?;
        let [component] = <[Descriptor; 1]>::try_from(layers).map_err(|layers| NotAComponent::Layers(layers.len()))?;
        if component.media_type != COMPONENT && !OLDER_COMPONENTS.contains(&component.media_type.as_str()) {
            return Err(NotAComponent::Layer(cut(&component.media_type)));
        }
        if !(1..=limit).contains(&component.size) {
            return Err(NotAComponent::Size { size: component.size, limit });
        }
        Ok(Self { config, component, annotations: annotations.unwrap_or_default() })
    }

    /// What the configuration claims of the component; none where it says nothing, as older ones do.
    pub(crate) fn claims(&self, config: &[u8]) -> Result<Option<Claims>, NotAComponent> {
        let raw = json::value(config).map_err(NotAComponent::Config)?;
        if self.config.media_type != CONFIG {
            return Ok(None);
        }
        let malformed = |error| NotAComponent::Config(JsonError::Malformed(error));
        let raw = RawConfig::deserialize(raw).map_err(malformed)?;
        if raw.layer_digests.is_some_and(|digests| digests != [self.component.digest]) {
            return Err(NotAComponent::OtherComponent);
        }
        Ok(raw.component)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawConfig {
    layer_digests: Option<Vec<Digest>>,
    component: Option<Claims>,
}

/// What a configuration claims of a component. Nobody has checked it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Claims {
    /// What it is said to import.
    pub imports: BTreeSet<String>,
    /// What it is said to export.
    pub exports: BTreeSet<String>,
}

/// In what a configuration says something else than the component does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Denial {
    /// What it imports, and the configuration does not say.
    pub hidden: Vec<String>,
    /// What it does not import, and the configuration says.
    pub invented: Vec<String>,
}

impl Claims {
    /// In what these claims are denied by what the component does import; none if they are true.
    pub fn denied_by(&self, imports: &BTreeSet<String>) -> Option<Denial> {
        let hidden = imports.difference(&self.imports).cloned().collect();
        let invented = self.imports.difference(imports).cloned().collect();
        let denial = Denial { hidden, invented };
        (denial != Denial::default()).then_some(denial)
    }
}
