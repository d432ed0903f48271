//! What is thrown out of a cache that is too large, and in which order: a decision, and the names and sizes it is made of.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::Deserialize;
use stave_archive::content::Content as _;
use stave_model::digest::Digest;

use crate::{blobs::DiskBlobs, files, results::DiskResults};

/// The largest document that is looked into for others, in bytes (as manifests and indexes are capped where they are read).
const MAX_DOCUMENT: u64 = 4 << 20;

/// What a thing in the cache is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Bytes by their digest.
    Blob,
    /// A result by its key.
    Result,
    /// Compiled code of a component.
    Code,
    /// A git repository that sources are fetched into.
    Repository,
}

/// One thing in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// Its digest or key.
    pub name: Digest,
    /// Its files.
    pub files: Vec<PathBuf>,
    /// Their bytes.
    pub size: u64,
    /// When it was used last.
    pub used: SystemTime,
    /// Whether its file has another name too, such as the image store's.
    pub is_shared: bool,
}

impl Item {
    /// What the system says of one or several files of the cache.
    pub fn of_files(kind: Kind, name: Digest, found: impl IntoIterator<Item = (PathBuf, fs::Metadata)>) -> Self {
        let mut item = Self { kind, name, files: Vec::new(), size: 0, used: SystemTime::UNIX_EPOCH, is_shared: false };
        for (path, said) in found {
            item.files.push(path);
            item.size += said.len();
            item.used = item.used.max(files::used(&said));
            item.is_shared |= said.nlink() > 1;
        }
        item
    }

    /// Removes it. What is gone already is no failure.
    pub fn remove(&self) -> io::Result<()> {
        for path in &self.files {
            match sweep(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// All blobs and results of a cache.
pub fn survey(blobs: &DiskBlobs, results: &DiskResults) -> Vec<Item> {
    let blob = |(digest, said)| Item::of_files(Kind::Blob, digest, [(blobs.path(&digest), said)]);
    let result = |(key, said)| Item::of_files(Kind::Result, key, [(results.path(&key), said)]);
    blobs.list().map(blob).chain(results.list().map(result)).collect()
}

/// What is to go, and what that leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What goes, what was not used for the longest time first.
    pub remove: Vec<Item>,
    /// The bytes that stay and count.
    pub left: u64,
}

impl Plan {
    /// The bytes that go.
    pub fn freed(&self) -> u64 {
        self.remove.iter().map(|item| item.size).sum()
    }
}

/// Decides: nothing goes while the cache takes `max` bytes or less, and nothing `live` ever does. What is live and has a
/// second name in the image store takes no room of its own, and does not count.
pub fn plan(mut items: Vec<Item>, live: &BTreeSet<Digest>, max: u64) -> Plan {
    let is_live = |item: &Item| item.kind == Kind::Blob && live.contains(&item.name);
    let counts = |item: &&Item| !(is_live(item) && item.is_shared);
    let mut left: u64 = items.iter().filter(counts).map(|item| item.size).sum();
    items.sort_by_key(|item| (item.used, item.kind, item.name));
    let mut remove = Vec::new();
    for item in items {
        if left <= max {
            break;
        }
        if !is_live(&item) {
            left -= item.size;
            remove.push(item);
        }
    }
    Plan { remove, left }
}

/// The digests that a text names, such as a lock: 64 hexadecimal digits, behind `sha256:` or, as dependencies have them, by themselves.
pub fn named_in(text: &str) -> BTreeSet<Digest> {
    let words = text.split(|c: char| !c.is_ascii_hexdigit()).filter(|word| word.len() == 64);
    words.filter_map(|hex| Digest::from_hex(hex).ok()).collect()
}

/// What of a document leads to others: a manifest's configuration and layers, an index's manifests.
#[derive(Deserialize)]
struct Leading {
    config: Option<LedTo>,
    #[serde(default)]
    layers: Vec<LedTo>,
    #[serde(default)]
    manifests: Vec<LedTo>,
}

#[derive(Deserialize)]
struct LedTo {
    digest: Digest,
}

/// These blobs, and those that the manifests and indexes among them lead to: an image is of no use by its manifest alone.
pub fn with_what_they_lead_to(named: BTreeSet<Digest>, blobs: &DiskBlobs) -> BTreeSet<Digest> {
    let mut waiting: Vec<Digest> = named.into_iter().collect();
    let mut found = BTreeSet::new();
    while let Some(digest) = waiting.pop() {
        if !found.insert(digest) {
            continue;
        }
        // Whatever is no such document leads nowhere.
        let Ok(Some(file)) = files::open_to_check(&blobs.path(&digest)) else { continue };
        let Ok(bytes) = file.bytes(MAX_DOCUMENT) else { continue };
        if let Ok(Leading { config, layers, manifests }) = serde_json::from_slice(&bytes) {
            waiting.extend(config.into_iter().chain(layers).chain(manifests).map(|led_to| led_to.digest));
        }
    }
    found
}

/// What was begun in a folder and never finished, by somebody who is no more: all of a folder of unfinished files, or the files
/// whose names begin with `prefix`. Right only for whoever is alone.
pub fn leftovers(folder: &Path, prefix: &str) -> Vec<(PathBuf, u64)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let entries = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    entries.map(|entry| (entry.path(), size_of(&entry.path()))).collect()
}

/// Removes a leftover, which may be a folder.
pub fn sweep(path: &Path) -> io::Result<()> {
    let is_folder = fs::symlink_metadata(path)?.is_dir();
    if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

fn size_of(path: &Path) -> u64 {
    let Ok(said) = fs::symlink_metadata(path) else { return 0 };
    if !said.is_dir() {
        return said.len();
    }
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| size_of(&entry.path())).sum()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn item(kind: Kind, name: &str, size: u64, used: u64) -> Item {
        Item {
            kind,
            name: Digest::of(name.as_bytes()),
            files: vec![name.into()],
            size,
            used: SystemTime::UNIX_EPOCH + Duration::from_secs(used),
            is_shared: false,
        }
    }

    /// Names of what goes, and the bytes that stay.
    fn decide(items: &[Item], live: &[&str], max: u64) -> (Vec<String>, u64) {
        let live = live.iter().map(|name| Digest::of(name.as_bytes())).collect();
        let plan = plan(items.to_vec(), &live, max);
        (plan.remove.iter().map(|item| item.files[0].display().to_string()).collect(), plan.left)
    }

    #[test]
    fn what_was_not_used_for_long_goes_first_and_what_is_live_never() {
        let shared = Item { is_shared: true, ..item(Kind::Blob, "shared", 50, 0) };
        let items = [
            item(Kind::Blob, "new", 10, 9),
            item(Kind::Blob, "old", 10, 1),
            item(Kind::Code, "older", 5, 0),
            item(Kind::Result, "middle", 1, 5),
            shared,
        ];
        for (live, max, gone, left) in [
            (&["shared"][..], 26, &[][..], 26),
            (&["shared"], 25, &["older"], 21),
            (&["shared"], 20, &["older", "old"], 11),
            (&["shared", "old"], 20, &["older", "middle"], 20),
            (&["shared", "old", "new"], 0, &["older", "middle"], 20),
            // A second name that is not the image store's does not keep it.
            (&[], 30, &["shared"], 26),
            (&[], 0, &["older", "shared", "old", "middle", "new"], 0),
        ] {
            let (mut expected, found) = (gone.to_vec(), decide(&items, live, max));
            expected.sort_unstable();
            let mut names = found.0.clone();
            names.sort_unstable();
            assert_eq!(
                (names, found.1),
                (expected.iter().map(|&name| name.to_owned()).collect(), left),
                "{live:?} {max}"
            );
        }
    }

    #[test]
    fn a_lock_names_what_it_needs() {
        let [one, other, file] = [&b"1"[..], b"2", b"3"].map(Digest::of);
        let text =
            format!("a = \"name@{one}\"\n[b]\nsha256 = \"{}\"\nc = \"{other} {}\" sha256:abc", file.hex(), one.hex());
        assert_eq!(named_in(&text), [one, other, file].into());
        assert_eq!(named_in(&format!("{}0", one.hex())), BTreeSet::new());
        assert_eq!(named_in("sha256:äöü"), BTreeSet::new());
    }

    #[test]
    fn what_is_named_keeps_what_it_leads_to() {
        let temp = tempfile::tempdir().unwrap();
        let cache = crate::folders::Folder::open(temp.path().join("cache"), crate::folders::CACHE_VARIABLE).unwrap();
        let blobs = DiskBlobs::open(&cache).unwrap();
        let put = |bytes: &[u8]| {
            let digest = Digest::of(bytes);
            let path = blobs.path(&digest);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
            digest
        };
        let led_to = |digest: &Digest| serde_json::json!({ "mediaType": "m", "digest": digest, "size": 1 });
        let document = |value: serde_json::Value| put(value.to_string().as_bytes());
        let (config, layer, other) = (put(b"{\"config\": {}}"), put(b"layer"), put(b"other"));
        // One layer is not here, and stays known: whoever fetches it wants to keep it.
        let missing = Digest::of(b"missing");
        let layers = [led_to(&layer), led_to(&missing)];
        let manifest = document(serde_json::json!({ "config": led_to(&config), "layers": layers }));
        let index = document(serde_json::json!({ "manifests": [led_to(&manifest)] }));
        let kept = with_what_they_lead_to([index].into(), &blobs);
        assert_eq!(kept, [index, manifest, config, layer, missing].into());
        assert_eq!(with_what_they_lead_to([other, layer].into(), &blobs), [other, layer].into());
    }

    #[test]
    fn leftovers_are_found_with_what_is_in_them() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir_all(temp.path().join(".tmpa/b")).unwrap();
        fs::write(temp.path().join(".tmpa/b/c"), "four").unwrap();
        fs::write(temp.path().join("kept"), "x").unwrap();
        let found = leftovers(temp.path(), ".tmp");
        assert_eq!(found, [(temp.path().join(".tmpa"), 4)]);
        sweep(&found[0].0).unwrap();
        assert!(leftovers(temp.path(), ".tmp").is_empty() && temp.path().join("kept").exists());
    }
}
