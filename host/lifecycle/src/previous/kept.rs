//! What a build keeps beside its image: the layers that are for the next build, as blobs that are found by what is written here.
//!
//! It is kept under the image's name and platform and replaced by each build, like the lifecycle's cache of an image. Whoever calls
//! says in the name whose image it is, where several share one cache.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use stave_archive::content::Span;
use stave_model::{
    digest::{Digest, Key},
    id::{BuildpackId, ExecEnv, LayerName},
    layer::Usage,
    restore::Stack,
    sbom::Component,
    target::Platform,
};

use crate::{
    image::{Descriptor, ImageLayer},
    port::blobs::{Blobs, Results},
};

/// Where kept contents are.
#[derive(Clone)]
pub struct Shelf {
    /// The contents by digest.
    pub blobs: Arc<dyn Blobs>,
    /// Which of them were compared with their digest.
    pub results: Arc<dyn Results>,
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").finish_non_exhaustive()
    }
}

/// The layers that a build keeps for the next one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The kind of base that they were made for.
    pub(crate) stack: Option<Stack>,
    /// The execution environment that they were made for.
    pub(crate) exec_env: ExecEnv,
    pub(crate) layers: BTreeMap<BuildpackId, BTreeMap<LayerName, KeptContents>>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeptContents {
    /// What it was for.
    pub(crate) usage: Usage,
    /// The buildpack's notes.
    pub(crate) metadata: BTreeMap<String, String>,
    /// What of it has a name and a version of its own.
    pub(crate) contents: Vec<Component>,
    /// The digest of its tar.
    pub(crate) diff_id: Digest,
    /// The blob.
    pub(crate) descriptor: Descriptor,
}

impl Kept {
    /// What the last build of the image `name` kept; nothing where that is not known any more.
    pub fn find(results: &dyn Results, name: &str, platform: &Platform) -> Self {
        let found = results.get(&key(name, platform));
        found.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Keeps this, in place of what an earlier build of the image `name` kept.
    pub fn keep(&self, results: &dyn Results, name: &str, platform: &Platform) {
        // Most images keep nothing, and nothing need be written down of that twice.
        if self != &Self::find(results, name, platform) {
            let bytes = serde_json::to_vec(self).expect("maps with text keys, texts and numbers are always JSON");
            results.put(&key(name, platform), &bytes);
        }
    }

    /// What is kept of a layer.
    pub(crate) fn of(&self, buildpack: &BuildpackId, name: &LayerName) -> Option<&KeptContents> {
        self.layers.get(buildpack)?.get(name)
    }
}

fn key(name: &str, platform: &Platform) -> Digest {
    Key::new("kept layers 2").field(name).field(platform.to_string()).finish()
}

impl KeptContents {
    /// The layer, its bytes being those of `span`.
    pub(crate) fn layer(&self, span: Span) -> ImageLayer {
        let (descriptor, diff_id) = (self.descriptor.clone(), self.diff_id);
        ImageLayer { descriptor, diff_id, content: Arc::new(span), origin: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Memory;

    #[test]
    fn each_image_and_platform_keeps_its_own() {
        let results = Memory::default();
        let (amd64, arm64) = (Platform::linux("amd64"), Platform::linux("arm64"));
        let nothing = Kept::default();
        nothing.keep(&results, "app", &amd64);
        assert_eq!(results.results(), 0, "nothing is kept of nothing");
        let kept = Kept { stack: Some(Stack::default()), ..Kept::default() };
        kept.keep(&results, "app", &amd64);
        let find = |name, platform| Kept::find(&results, name, platform);
        assert_eq!(find("app", &amd64), kept);
        assert_eq!((find("app", &arm64), find("other", &amd64)), (nothing.clone(), nothing.clone()));
        nothing.keep(&results, "app", &amd64);
        assert_eq!(find("app", &amd64), nothing);
        kept.keep(&results, "app", &amd64);
        results.garble();
        assert_eq!(find("app", &amd64), nothing, "what cannot be read is nothing");
    }
}
