//! Indexes rewritten: manifests that were replaced, the indexes above them, and everything else as it was.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stave_lifecycle::image::{Descriptor, Image};
use stave_model::digest::Digest;

use crate::{
    json::{self as strict, JsonError},
    manifest::{MAX_NESTING, is_index},
};

/// Which images take the place of which, by the digests of the manifests that go.
#[derive(Debug, Clone, Default)]
pub struct Swaps(BTreeMap<Digest, Image>);

impl Swaps {
    /// `image` in the place of the one with this digest.
    pub fn add(&mut self, old: Digest, image: Image) {
        self.0.insert(old, image);
    }

    /// All new images.
    pub fn images(&self) -> impl Iterator<Item = &Image> {
        self.0.values()
    }

    /// The image in the place of `old`.
    pub fn get(&self, old: &Digest) -> Option<&Image> {
        self.0.get(old)
    }
}

/// An index as it is afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Indexes below it that changed, the innermost first: descriptor and bytes.
    pub nested: Vec<(Descriptor, Vec<u8>)>,
}

/// What a manifest's descriptor says of an image.
pub fn descriptor_of(image: &Image) -> Descriptor {
    Descriptor { media_type: image.media_type.clone(), digest: image.digest(), size: image.manifest.len() as u64 }
}

/// Rewrites an index. `wanted` says which of its own entries are meant; `read` gives the bytes of an index below it, already
/// compared with its descriptor. What only talks of an image that goes (an attestation) goes with it.
pub fn rewrite<E: From<JsonError>>(
    index: &[u8],
    swaps: &Swaps,
    wanted: &dyn Fn(&Value) -> bool,
    read: &mut dyn FnMut(&Descriptor) -> Result<Vec<u8>, E>,
) -> Result<Rewritten, E> {
    let mut nested = Vec::new();
    let bytes = descend(index, swaps, wanted, read, &mut nested, MAX_NESTING)?;
    Ok(Rewritten { bytes, nested })
}

fn descend<E: From<JsonError>>(
    index: &[u8],
    swaps: &Swaps,
    wanted: &dyn Fn(&Value) -> bool,
    read: &mut dyn FnMut(&Descriptor) -> Result<Vec<u8>, E>,
    nested: &mut Vec<(Descriptor, Vec<u8>)>,
    levels: usize,
) -> Result<Vec<u8>, E> {
    let mut index = strict::value(index)?;
    let entries = index.get_mut("manifests").and_then(Value::as_array_mut);
    let mut kept = Vec::new();
    for mut entry in entries.map(std::mem::take).unwrap_or_default() {
        let old = serde_json::from_value::<Descriptor>(entry.clone()).ok().filter(|_| wanted(&entry));
        if talks_of_swapped(&entry, swaps) && wanted(&entry) {
            continue;
        }
        if let Some(old) = old {
            let new = match swaps.get(&old.digest) {
                Some(image) => Some(descriptor_of(image)),
                None if is_index(&old.media_type) && levels > 0 => {
                    let bytes = read(&old)?;
                    let again = descend(&bytes, swaps, &|_| true, read, nested, levels - 1)?;
                    let changed = strict::value(&bytes)? != strict::value(&again)?;
                    let digest = Digest::of(&again);
                    let new = Descriptor { media_type: old.media_type, digest, size: again.len() as u64 };
                    changed.then(|| {
                        nested.push((new.clone(), again));
                        new
                    })
                }
                None => None,
            };
            if let Some(new) = new {
                entry["mediaType"] = json!(new.media_type);
                entry["digest"] = json!(new.digest);
                entry["size"] = json!(new.size);
            }
        }
        kept.push(entry);
    }
    index["manifests"] = Value::Array(kept);
    Ok(index.to_string().into_bytes())
}

/// Whether an entry is an attestation (as buildkit hangs them into indexes) of an image that is replaced.
fn talks_of_swapped(entry: &Value, swaps: &Swaps) -> bool {
    let about = entry.get("annotations").and_then(|all| all.get("vnd.docker.reference.digest"));
    let about = about.and_then(Value::as_str).and_then(|text| text.parse().ok());
    about.is_some_and(|digest| swaps.get(&digest).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{image, layer};

    #[test]
    fn what_is_replaced_changes_and_nothing_else() {
        let (old, new) = (image("amd64", vec![layer(&[("a", "1")])]), image("amd64", vec![layer(&[("a", "2")])]));
        let mut swaps = Swaps::default();
        swaps.add(old.digest(), new.clone());
        let entry = |image: &Image| {
            let Descriptor { media_type, digest, size } = descriptor_of(image);
            json!({ "mediaType": media_type, "digest": digest, "size": size, "annotations": { "k": "v" },
                    "platform": { "architecture": "amd64", "os": "linux" } })
        };
        let other = image("arm64", vec![]);
        let attestation = json!({ "mediaType": "m", "digest": other.digest(), "size": 1,
            "annotations": { "vnd.docker.reference.digest": old.digest() } });
        let index = |entries: Value| json!({ "schemaVersion": 2, "manifests": entries, "annotations": { "x": "y" } });
        let inner = index(json!([entry(&old)])).to_string().into_bytes();
        let nested = |bytes: &[u8]| json!({ "mediaType": stave_lifecycle::image::INDEX, "digest": Digest::of(bytes), "size": bytes.len() });
        let outer = index(json!([entry(&old), entry(&other), attestation, nested(&inner)])).to_string().into_bytes();
        let mut read = |_: &Descriptor| Ok::<_, JsonError>(inner.clone());
        let done = rewrite(&outer, &swaps, &|_| true, &mut read).unwrap();
        let new_inner = index(json!([entry(&new)])).to_string().into_bytes();
        let expected = index(json!([entry(&new), entry(&other), nested(&new_inner)]));
        assert_eq!(serde_json::from_slice::<Value>(&done.bytes).unwrap(), expected);
        assert_eq!(done.nested.len(), 1);
        assert_eq!(done.nested[0].1, new_inner);
        // Nothing that is not wanted.
        let done = rewrite(&outer, &swaps, &|_| false, &mut read).unwrap();
        assert_eq!((done.bytes, done.nested.len()), (outer, 0));
    }
}
