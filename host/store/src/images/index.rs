//! The store's `index.json`: which image has which name, for which platform (OCI image spec, "Image Index").

use serde::{Deserialize, Serialize};
use stave_lifecycle::image::{Descriptor, INDEX};
use stave_model::{digest::Digest, target::Platform};

/// The index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Index {
    schema_version: u32,
    media_type: String,
    manifests: Vec<Record>,
}

/// One manifest with its platform and name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    #[serde(flatten)]
    descriptor: Descriptor,
    platform: PlatformFields,
    annotations: Annotations,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct PlatformFields {
    architecture: String,
    os: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Annotations {
    /// What names an image within a layout (OCI image spec, "Pre-Defined Annotation Keys").
    #[serde(rename = "org.opencontainers.image.ref.name")]
    name: String,
}

/// An image in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub platform: Platform,
    /// Its manifest.
    pub manifest: Descriptor,
}

impl Index {
    /// An index of nothing.
    pub(super) fn empty() -> Self {
        Self { schema_version: 2, media_type: INDEX.to_owned(), manifests: Vec::new() }
    }

    /// Reads an index.
    pub(super) fn parse(bytes: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(bytes)
    }

    /// The index as bytes.
    pub(super) fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, numbers and digests are always JSON")
    }

    /// All images, sorted by name and platform.
    pub(super) fn entries(&self) -> Vec<Entry> {
        self.manifests.iter().map(Record::entry).collect()
    }

    /// Gives `name` an image; the one it had for the same platform loses the name.
    pub(super) fn set(&mut self, entry: Entry) {
        let platform = PlatformFields::of(&entry.platform);
        self.manifests.retain(|record| record.annotations.name != entry.name || record.platform != platform);
        let annotations = Annotations { name: entry.name };
        self.manifests.push(Record { descriptor: entry.manifest, platform, annotations });
        let order = |record: &Record| (record.annotations.name.clone(), record.platform.clone());
        self.manifests.sort_by_key(order);
    }

    /// Takes `name` from all its images; answers how many there were.
    pub(super) fn remove(&mut self, name: &str) -> usize {
        let before = self.manifests.len();
        self.manifests.retain(|record| record.annotations.name != name);
        before - self.manifests.len()
    }

    /// The image called `name` for `platform`: the exact one, else one that serves it.
    pub(super) fn find(&self, name: &str, platform: &Platform) -> Option<Entry> {
        let mut entries: Vec<Entry> = self.entries().into_iter().filter(|entry| entry.name == name).collect();
        entries.sort_by_key(|entry| entry.platform != *platform);
        entries.into_iter().find(|entry| entry.platform.serves(platform))
    }

    /// The digests of all manifests.
    pub(super) fn digests(&self) -> impl Iterator<Item = Digest> {
        self.manifests.iter().map(|record| record.descriptor.digest)
    }
}

impl Record {
    fn entry(&self) -> Entry {
        let PlatformFields { architecture, os, variant } = self.platform.clone();
        Entry {
            name: self.annotations.name.clone(),
            platform: Platform { os, arch: architecture, variant },
            manifest: self.descriptor.clone(),
        }
    }
}

impl PlatformFields {
    fn of(platform: &Platform) -> Self {
        Self { architecture: platform.arch.clone(), os: platform.os.clone(), variant: platform.variant.clone() }
    }
}

#[cfg(test)]
mod tests {
    use stave_lifecycle::image::MANIFEST;

    use super::*;

    fn entry(name: &str, platform: &str, bytes: &[u8]) -> Entry {
        let digest = Digest::of(bytes);
        let manifest = Descriptor { media_type: MANIFEST.to_owned(), digest, size: bytes.len() as u64 };
        Entry { name: name.to_owned(), platform: platform.parse().unwrap(), manifest }
    }

    #[test]
    fn is_the_index_of_an_image_layout() {
        let mut index = Index::empty();
        index.set(entry("app:latest", "linux/arm64/v8", b"{}"));
        let text = String::from_utf8(index.bytes()).unwrap();
        insta::assert_snapshot!(text, @r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"platform":{"architecture":"arm64","os":"linux","variant":"v8"},"annotations":{"org.opencontainers.image.ref.name":"app:latest"}}]}"#);
        assert_eq!(Index::parse(text.as_bytes()).unwrap(), index);
    }

    #[test]
    fn a_name_has_one_image_for_each_platform() {
        let mut index = Index::empty();
        for (name, platform, bytes) in [
            ("b", "linux/amd64", b"1"),
            ("a", "linux/arm64", b"2"),
            ("a", "linux/amd64", b"3"),
            ("a", "linux/amd64", b"4"),
        ] {
            index.set(entry(name, platform, bytes));
        }
        let shown: Vec<String> =
            index.entries().iter().map(|entry| format!("{} {}", entry.name, entry.platform)).collect();
        assert_eq!(shown, ["a linux/amd64", "a linux/arm64", "b linux/amd64"]);
        assert_eq!(index.find("a", &Platform::linux("amd64")), Some(entry("a", "linux/amd64", b"4")));
        assert_eq!(index.find("b", &Platform::linux("arm64")), None);
        assert_eq!((index.remove("a"), index.remove("a")), (2, 0));
    }

    #[test]
    fn an_exact_platform_goes_before_one_that_serves() {
        let mut index = Index::empty();
        for platform in ["linux/arm64", "linux/arm64/v8"] {
            index.set(entry("a", platform, platform.as_bytes()));
        }
        for platform in ["linux/arm64", "linux/arm64/v8"] {
            let platform: Platform = platform.parse().unwrap();
            assert_eq!(index.find("a", &platform).unwrap().platform, platform);
        }
        assert!(index.find("a", &"linux/arm64/v9".parse().unwrap()).is_some());
    }
}
