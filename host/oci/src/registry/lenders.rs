//! Which other repository of a registry could lend a blob, so that it is mounted and not sent (OCI distribution spec,
//! "Mounting a blob from another repository").

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use stave_lifecycle::image::Image;
use stave_model::{
    digest::Digest,
    image::{LIFECYCLE_LABEL, LifecycleMetadata},
};

use super::memory::Memory;
use crate::reference::{Reference, Registry};

/// How many repositories may lend blobs: each makes the request for a token longer.
const MOST: usize = 8;

/// For each blob of `images` the repository of `registry` that could lend it to `target`: the one it came from, the base's
/// as the image's label names it, or the last one where it is remembered. What is remembered to be in the target itself is
/// asked of nobody else.
pub(super) fn choose(registry: &Registry, target: &str, images: &[Image], memory: &Memory) -> BTreeMap<Digest, String> {
    let prefix = format!("{registry}/");
    let (mut chosen, mut names) = (BTreeMap::new(), BTreeSet::new());
    for image in images {
        let (base, depth) = base_of(image).unwrap_or_default();
        for (n, layer) in image.layers.iter().enumerate() {
            let homes = memory.homes(registry, &layer.descriptor.digest);
            if homes.iter().any(|home| home == target) {
                continue;
            }
            let origin = layer.origin.as_deref().or((n < depth).then_some(base.as_str()));
            let origin = origin.and_then(|origin| origin.strip_prefix(&prefix)).map(str::to_owned);
            let lender = origin.or_else(|| homes.into_iter().next()).filter(|lender| lender != target);
            let Some(lender) = lender.filter(|lender| names.len() < MOST || names.contains(lender)) else { continue };
            names.insert(lender.clone());
            chosen.insert(layer.descriptor.digest, lender);
        }
    }
    chosen
}

/// The registry and repository of an image's base, and how many of its layers are the base's, as its label says.
fn base_of(image: &Image) -> Option<(String, usize)> {
    let config: Value = serde_json::from_slice(&image.config).ok()?;
    let label = config.get("config")?.get("Labels")?.get(LIFECYCLE_LABEL)?.as_str()?;
    let base = serde_json::from_str::<LifecycleMetadata>(label).ok()?.run_image;
    let top = image.layers.iter().position(|layer| layer.diff_id.to_string() == base.top_layer)?;
    let reference: Reference = base.reference.parse().ok()?;
    Some((reference.name(), top + 1))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use stave_lifecycle::image::ImageLayer;
    use stave_model::target::Platform;

    use super::*;
    use crate::testing::{MemoryResults, image, layer};

    fn registry() -> Registry {
        "registry.example.com".parse().unwrap()
    }

    fn lent(image: &Image, memory: &Memory) -> Vec<Option<String>> {
        let chosen = choose(&registry(), "team/app", std::slice::from_ref(image), memory);
        image.layers.iter().map(|layer| chosen.get(&layer.descriptor.digest).cloned()).collect()
    }

    fn layers() -> Vec<ImageLayer> {
        vec![layer(&[("a", "1")]), layer(&[("b", "2")]), layer(&[("c", "3")])]
    }

    #[test]
    fn a_blob_comes_from_where_it_was_pulled() {
        let mut image = image("amd64", layers());
        image.layers[0].origin = Some("registry.example.com/base".to_owned());
        image.layers[1].origin = Some("other.example.com/base".to_owned());
        image.layers[2].origin = Some("registry.example.com/team/app".to_owned());
        assert_eq!(lent(&image, &Memory::default()), [Some("base".to_owned()), None, None]);
    }

    #[test]
    fn a_bases_layers_come_from_where_the_label_says() {
        let labelled = |reference: &str| {
            let layers = layers();
            let base = json!({ "topLayer": layers[1].diff_id, "reference": reference });
            let sha = json!({ "sha": "" });
            let label = json!({
                "app": [], "buildpacks": [], "config": sha, "launcher": sha, "process-types": sha,
                "runImage": base, "stack": { "runImage": { "image": "base" } },
            });
            let plain = image("amd64", layers.clone());
            let mut config: Value = serde_json::from_slice(&plain.config).unwrap();
            config["config"]["Labels"] = json!({ LIFECYCLE_LABEL: label.to_string() });
            Image::new(Platform::linux("amd64"), serde_json::to_vec(&config).unwrap(), layers)
        };
        let base = || Some("stacks/tiny".to_owned());
        let digest = Digest::of(b"base");
        let here = labelled(&format!("registry.example.com/stacks/tiny@{digest}"));
        assert_eq!(lent(&here, &Memory::default()), [base(), base(), None]);
        for elsewhere in ["other.example.com/stacks/tiny", "stacks/tiny", "registry.example.com/team/app", "UPPER", ""]
        {
            assert_eq!(lent(&labelled(elsewhere), &Memory::default()), [None, None, None], "{elsewhere}");
        }
    }

    #[test]
    fn a_blob_that_was_seen_somewhere_comes_from_there() {
        let (image, memory) = (image("amd64", layers()), Memory::within(Arc::new(MemoryResults::default())));
        let digest = |n: usize| image.layers[n].descriptor.digest;
        memory.note_home(&registry(), "first", &digest(0));
        memory.note_home(&registry(), "second", &digest(0));
        memory.note_home(&registry(), "third", &digest(1));
        memory.note_home(&registry(), "team/app", &digest(1));
        memory.note_home(&"other.example.com".parse().unwrap(), "fourth", &digest(2));
        assert_eq!(lent(&image, &memory), [Some("second".to_owned()), None, None]);
    }

    #[test]
    fn there_are_not_too_many_lenders() {
        let layers = (0..20).map(|n| layer(&[("n", &n.to_string())])).collect();
        let mut image = image("amd64", layers);
        for (n, layer) in image.layers.iter_mut().enumerate() {
            layer.origin = Some(format!("registry.example.com/base-{}", n % 10));
        }
        assert_eq!(lent(&image, &Memory::default()).iter().flatten().count(), 16);
    }
}
