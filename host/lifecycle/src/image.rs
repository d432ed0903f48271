//! An image with everything that is needed to send it somewhere: manifest, configuration, and layers whose bytes can be read.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stave_archive::content::Content;
use stave_model::{digest::Digest, target::Platform};

/// OCI's media type of an image manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI's media type of an index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI's media type of an image configuration.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// OCI's media type of a gzip-compressed layer.
pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// OCI's media type of a zstd-compressed layer.
pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// OCI's media type of an uncompressed layer.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// What a manifest says of a blob (OCI image spec, "Content Descriptors").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
}

/// A layer and where its bytes are.
#[derive(Debug, Clone)]
pub struct ImageLayer {
    /// What the manifest says of it.
    pub descriptor: Descriptor,
    /// SHA-256 of the uncompressed tar.
    pub diff_id: Digest,
    /// The bytes as stored, of the descriptor's size and digest.
    pub content: Arc<dyn Content>,
    /// The registry and repository where it is known to be, for a mount instead of an upload.
    pub origin: Option<String>,
}

/// Docker's media types of layers and OCI's for the same (OCI image spec, "Compatibility Matrix").
const DOCKER_LAYERS: [(&str, &str); 2] = [
    ("application/vnd.docker.image.rootfs.diff.tar.gzip", LAYER_GZIP),
    ("application/vnd.docker.image.rootfs.diff.tar", LAYER),
];

impl ImageLayer {
    /// The layer as an OCI manifest names it. Docker's words mean the same bytes, but not every reader takes both together.
    #[must_use]
    pub fn in_oci_words(&self) -> Self {
        let mut layer = self.clone();
        let said = layer.descriptor.media_type.as_str();
        if let Some((_, ours)) = DOCKER_LAYERS.iter().find(|(docker, _)| *docker == said) {
            layer.descriptor.media_type = (*ours).to_owned();
        }
        layer
    }
}

/// Images of several platforms as one: an index of their manifests (OCI image spec, "Image Index").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The index, exactly as it is hashed and sent.
    pub bytes: Vec<u8>,
}

impl Index {
    /// The index of some images, in their order.
    pub fn of(images: &[Image]) -> Self {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Document<'a> {
            schema_version: u32,
            media_type: &'a str,
            manifests: Vec<Entry<'a>>,
        }
        #[derive(Serialize)]
        struct Entry<'a> {
            #[serde(flatten)]
            descriptor: Descriptor,
            platform: Fields<'a>,
        }
        #[derive(Serialize)]
        struct Fields<'a> {
            architecture: &'a str,
            os: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            variant: Option<&'a str>,
        }
        let entry = |image: &'_ Image| -> Descriptor {
            let (media_type, size) = (image.media_type.clone(), image.manifest.len() as u64);
            Descriptor { media_type, digest: image.digest(), size }
        };
        let manifests = images.iter().map(|image| {
            let Platform { os, arch, variant } = &image.platform;
            let platform = Fields { architecture: arch, os, variant: variant.as_deref() };
            Entry { descriptor: entry(image), platform }
        });
        let document = Document { schema_version: 2, media_type: INDEX, manifests: manifests.collect() };
        Self { bytes: serde_json::to_vec(&document).expect("strings, numbers and digests are always JSON") }
    }

    /// What leads to it.
    pub fn descriptor(&self) -> Descriptor {
        let (digest, size) = (Digest::of(&self.bytes), self.bytes.len() as u64);
        Descriptor { media_type: INDEX.to_owned(), digest, size }
    }
}

/// One image for one platform.
#[derive(Debug, Clone)]
pub struct Image {
    /// The platform that its configuration names.
    pub platform: Platform,
    /// The manifest, exactly as it is hashed and sent.
    pub manifest: Vec<u8>,
    /// The manifest's media type.
    pub media_type: String,
    /// The configuration, exactly as it is hashed and sent.
    pub config: Vec<u8>,
    /// The layers, bottom first.
    pub layers: Vec<ImageLayer>,
}

impl Image {
    /// The manifest's digest, which is the image's name for ever.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }

    /// The configuration's descriptor.
    pub fn config_descriptor(&self) -> Descriptor {
        let media_type =
            if self.media_type == MANIFEST { CONFIG } else { "application/vnd.docker.container.image.v1+json" };
        Descriptor {
            media_type: media_type.to_owned(),
            digest: Digest::of(&self.config),
            size: self.config.len() as u64,
        }
    }

    /// Makes an OCI image of a configuration and layers: the manifest follows from them.
    pub fn new(platform: Platform, config: Vec<u8>, layers: Vec<ImageLayer>) -> Self {
        let mut image = Self { platform, manifest: Vec::new(), media_type: MANIFEST.to_owned(), config, layers };
        image.manifest = image.written(None);
        image
    }

    /// The same with the annotations of another image's manifest, but for those that name its base.
    #[must_use]
    pub fn annotated_as(mut self, other: &Image) -> Self {
        let manifest: Value = serde_json::from_slice(&other.manifest).unwrap_or_default();
        let mut annotations = manifest.get("annotations").and_then(Value::as_object).cloned().unwrap_or_default();
        annotations.retain(|name, _| !name.starts_with("org.opencontainers.image.base."));
        if !annotations.is_empty() {
            self.manifest = self.written(Some(&annotations));
        }
        self
    }

    fn written(&self, annotations: Option<&Map<String, Value>>) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Manifest<'a> {
            schema_version: u32,
            media_type: &'a str,
            config: Descriptor,
            layers: Vec<&'a Descriptor>,
            #[serde(skip_serializing_if = "Option::is_none")]
            annotations: Option<&'a Map<String, Value>>,
        }
        let manifest = Manifest {
            schema_version: 2,
            media_type: MANIFEST,
            config: self.config_descriptor(),
            layers: self.layers.iter().map(|layer| &layer.descriptor).collect(),
            annotations,
        };
        serde_json::to_vec(&manifest).expect("strings, numbers and digests are always JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_names_each_platform_s_manifest() {
        let image = |platform: &str| Image::new(platform.parse().unwrap(), platform.as_bytes().to_vec(), Vec::new());
        let index = Index::of(&[image("linux/amd64"), image("linux/arm64/v8")]);
        let text = String::from_utf8(index.bytes.clone()).unwrap();
        insta::assert_snapshot!(text, @r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:2717e5e19d2ee8234b6c809ade85f4f05a43c88d1c88e60d1b08e5413bbc692f","size":247,"platform":{"architecture":"amd64","os":"linux"}},{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:ecfe00b9cc60e2f07c7be3543554f3cc3f175bd434e89dd4dcbd7f6e8faf3626","size":247,"platform":{"architecture":"arm64","os":"linux","variant":"v8"}}]}"#);
        assert_eq!(index.descriptor().digest, Digest::of(text.as_bytes()));
    }
}
