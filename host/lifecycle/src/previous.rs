//! What the previous build of an image left for the next one: the notes and layers that the image's label tells of.

use std::collections::BTreeMap;

use serde_json::Value;
use stave_model::{
    digest::Digest,
    id::{BuildpackId, LayerName},
    image::{BuildpackLayers, LIFECYCLE_LABEL, LifecycleMetadata},
    layer::Usage,
    restore::{Reason, Restored, restore},
};

use crate::image::Image;

/// The previous build, by buildpack.
#[derive(Debug, Clone, Default)]
pub struct Previous(BTreeMap<BuildpackId, BuildpackLayers>);

/// A layer of the previous build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousLayer {
    /// What it was for.
    pub usage: Usage,
    /// The notes that were kept with it.
    pub metadata: BTreeMap<String, String>,
}

impl Previous {
    /// What an image's configuration tells; nothing if it is not one that was built.
    pub fn of_image(image: &Image) -> Self {
        let label = |config: Value| config.pointer("/config/Labels")?.get(LIFECYCLE_LABEL)?.as_str().map(str::to_owned);
        let text = serde_json::from_slice(&image.config).ok().and_then(label).unwrap_or_default();
        let metadata = serde_json::from_str::<LifecycleMetadata>(&text).ok();
        let parts = metadata.map(|metadata| metadata.buildpacks).unwrap_or_default();
        Self(parts.into_iter().map(|part| (part.key.clone(), part)).collect())
    }

    /// The same as if no layer came back. Notes stay: a cache is not what they are in.
    #[must_use]
    pub fn without_layers(mut self) -> Self {
        self.0.values_mut().for_each(|part| part.layers.clear());
        self
    }

    /// The notes of a buildpack, whatever became of its layers.
    pub fn notes(&self, buildpack: &BuildpackId) -> BTreeMap<String, String> {
        let store = self.0.get(buildpack).and_then(|part| part.store.clone());
        store.map(|store| store.metadata).unwrap_or_default()
    }

    /// What a buildpack gets back of one of its layers, or why it gets nothing. No contents are kept between builds: they are
    /// known by their recipe when a layer is described again.
    pub fn layer(&self, buildpack: &BuildpackId, name: &LayerName) -> Result<PreviousLayer, Reason> {
        let entry = self.0.get(buildpack).and_then(|part| part.layers.get(name));
        let entry = entry.ok_or(Reason::NotInImage)?;
        let in_image: Option<Digest> = entry.sha.parse().ok();
        match restore(entry.usage, in_image.as_ref(), None) {
            (Restored::Nothing, reason) => Err(reason),
            (Restored::Metadata | Restored::Contents, _) => {
                Ok(PreviousLayer { usage: entry.usage, metadata: entry.data.clone() })
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;
    use stave_model::target::Platform;

    use super::*;

    /// An image in which `acme/tool` left notes and a layer for each kind of use.
    pub(crate) fn image(seen: &str) -> Image {
        let layer = |build: bool, launch: bool, cache: bool| {
            let sha = Digest::of(b"layer");
            json!({ "sha": sha, "data": { "version": seen }, "build": build, "launch": launch, "cache": cache })
        };
        let label = json!({
            "app": [], "config": { "sha": "" }, "launcher": { "sha": "" }, "process-types": { "sha": "" },
            "runImage": { "topLayer": "", "reference": "" }, "stack": { "runImage": { "image": "" } },
            "buildpacks": [
                { "key": "acme/tool", "version": "1.0.0", "store": { "metadata": { "seen": seen } }, "layers": {
                    "jre": layer(false, true, false), "jdk": layer(true, true, false), "kept": layer(false, true, true) } },
                { "key": "acme/other", "version": "1.0.0", "layers": {} }
            ]
        });
        let config = json!({ "config": { "Labels": { LIFECYCLE_LABEL: label.to_string() } } });
        Image::new(Platform::linux("amd64"), config.to_string().into_bytes(), Vec::new())
    }

    #[test]
    fn an_image_tells_of_its_build() {
        let previous = Previous::of_image(&image("yes"));
        let (tool, other) = ("acme/tool".parse().unwrap(), "acme/other".parse().unwrap());
        assert_eq!(previous.notes(&tool), [("seen".to_owned(), "yes".to_owned())].into());
        assert_eq!(previous.notes(&other), BTreeMap::new());
        let layer = |name: &str| match previous.layer(&tool, &name.parse().unwrap()) {
            Ok(layer) => format!("{name}: {:?}", layer.metadata),
            Err(reason) => format!("{name}: {reason}"),
        };
        insta::assert_snapshot!(["jre", "jdk", "kept", "none"].map(layer).join("\n"), @r#"
        jre: {"version": "yes"}
        jdk: it was for later buildpacks and not to be kept
        kept: its contents are not kept any more
        none: the previous image does not have it
        "#);
        assert!(previous.layer(&other, &"jre".parse().unwrap()).is_err());
        let cleared = previous.clone().without_layers();
        assert_eq!(cleared.notes(&tool), previous.notes(&tool));
        assert_eq!(cleared.layer(&tool, &"jre".parse().unwrap()), Err(Reason::NotInImage));
    }

    #[test]
    fn an_image_that_tells_nothing_is_none() {
        for config in ["", "{}", r#"{"config":{"Labels":{"io.buildpacks.lifecycle.metadata":"[]"}}}"#] {
            let image = Image::new(Platform::linux("amd64"), config.as_bytes().to_vec(), Vec::new());
            assert!(Previous::of_image(&image).0.is_empty(), "{config}");
        }
    }
}
