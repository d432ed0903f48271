//! Built images and composed stacks by name and platform: an OCI image layout in the data folder, so that other tools
//! can read it too (`skopeo inspect oci:FOLDER:NAME`; they take the first platform of a name).
//!
//! An image gets its name last, by one rename of `index.json`. What no name leads to any more is removed with the next
//! change. Changes hold a kernel lock alone, readers share it. A blob that is there already is compared with its digest before
//! it is counted on, once for each file; a damaged one is replaced.

mod care;
mod checked;
mod index;
mod named;

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{Read, Write},
    path::PathBuf,
    sync::Arc,
};

use rustix::fs::FlockOperation;
use serde::Deserialize;
use stave_archive::content::{Content, Span};
use stave_lifecycle::{
    image::{Descriptor, Image, ImageLayer},
    port::{
        cancel::Cancel,
        failure::{Fault, PortError},
        observer::Observer,
    },
};
use stave_model::{
    digest::{Digest, Hasher},
    target::Platform,
};

pub use self::{care::Damage, index::Entry, named::NamedImage};
use self::{checked::Checked, index::Index};
use crate::{
    blobs::{Condition, DiskBlobs},
    files,
    folders::Folder,
    locks::{self, Waiting},
    staged::{Staging, sync_folder},
};

/// The largest `index.json` that is read, in bytes: tens of thousands of images.
const MAX_INDEX: u64 = 16 << 20;
/// The largest manifest or configuration that is read, in bytes (OCI distribution spec: 4 MiB are to be expected).
const MAX_DOCUMENT: u64 = 4 << 20;
/// The file that says which blobs were compared with their digest.
const CHECKED: &str = "checked.json";
/// The longest name, in bytes.
const MAX_NAME: usize = 512;
/// The images in a folder.
#[derive(Debug, Clone)]
pub struct ImageStore {
    folder: Folder,
    blobs: Folder,
    staging: Staging,
    cache: Option<DiskBlobs>,
    waiting: Waiting,
}

/// The parts of a manifest that lead to other blobs.
#[derive(Deserialize)]
struct ManifestParts {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

/// The parts of a configuration that an [`Image`] repeats.
#[derive(Deserialize)]
struct ConfigParts {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<Digest>,
}

impl ImageStore {
    /// The store in `data`. Layers that `cache` holds are linked instead of copied where both are on one file system.
    pub fn open(data: &Folder, cache: Option<DiskBlobs>) -> Result<Self, PortError> {
        let folder = data.within("images")?;
        let blobs = folder.within("blobs")?.within("sha256")?;
        let staging = Staging::open(&folder)?;
        let store = Self { folder, blobs, staging, cache, waiting: Waiting::default() };
        if !store.folder.path().join("oci-layout").exists() {
            store.replace("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        }
        Ok(store)
    }

    /// The same, telling whoever waits for others that change the store.
    #[must_use]
    pub fn telling(self, waiting: Waiting) -> Self {
        Self { waiting, ..self }
    }

    /// Where it is: an OCI image layout.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// All images, sorted by name and platform.
    pub fn list(&self) -> Result<Vec<Entry>, PortError> {
        Ok(self.index()?.entries())
    }

    /// The image called `name` for `platform`, if there is one. Its layers are not compared with their digests:
    /// [`ImageStore::get_whole`] is for whoever counts on them.
    pub fn get(&self, name: &str, platform: &Platform) -> Result<Option<Image>, PortError> {
        let _lock = self.shared()?;
        self.index()?.find(name, platform).map(|entry| self.load(&entry)).transpose()
    }

    /// Stores an image under `name`. It replaces the one of the same name and platform.
    pub fn put(
        &self,
        name: &str,
        image: &Image,
        observer: &dyn Observer,
        cancel: &Cancel,
    ) -> Result<Digest, PortError> {
        check_name(name)?;
        let _lock = self.lock(FlockOperation::NonBlockingLockExclusive, observer, cancel)?;
        let mut index = self.index()?;
        let mut checked = self.checked();
        for layer in &image.layers {
            self.put_layer(layer, &mut checked, cancel)?;
        }
        self.put_bytes(&image.config_descriptor().digest, &image.config)?;
        let manifest = Descriptor {
            media_type: image.media_type.clone(),
            digest: image.digest(),
            size: image.manifest.len() as u64,
        };
        self.put_bytes(&manifest.digest, &image.manifest)?;
        let digest = manifest.digest;
        index.set(Entry { name: name.to_owned(), platform: image.platform.clone(), manifest });
        self.commit(&index, checked)?;
        Ok(digest)
    }

    /// Takes `name` from all its images; answers how many there were.
    pub fn remove(&self, name: &str) -> Result<usize, PortError> {
        let _lock = self.alone()?;
        let mut index = self.index()?;
        let removed = index.remove(name);
        self.commit(&index, self.checked())?;
        Ok(removed)
    }

    /// Makes `index` the truth, then removes what it does not lead to.
    fn commit(&self, index: &Index, mut checked: Checked) -> Result<(), PortError> {
        let failed = |error| self.folder.failed("could not flush the image store", error);
        sync_folder(self.blobs.path()).map_err(failed)?;
        self.replace("index.json", &index.bytes())?;
        sync_folder(self.folder.path()).map_err(failed)?;
        // What cannot be removed or kept now is so after the next change.
        if let Ok(used) = self.used(index) {
            if let Some(bytes) = checked.bytes(&used) {
                let _ = self.replace(CHECKED, &bytes);
            }
            for entry in fs::read_dir(self.blobs.path()).into_iter().flatten().flatten() {
                let digest = entry.file_name().to_str().and_then(|name| Digest::from_hex(name).ok());
                if digest.is_none_or(|digest| !used.contains(&digest)) {
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
        Ok(())
    }

    /// Every blob that a name leads to.
    fn used(&self, index: &Index) -> Result<BTreeSet<Digest>, PortError> {
        let mut used = BTreeSet::new();
        for digest in index.digests() {
            let parts: ManifestParts = self.document(&digest)?.1;
            used.extend([digest, parts.config.digest]);
            used.extend(parts.layers.iter().map(|layer| layer.digest));
        }
        Ok(used)
    }

    fn load(&self, entry: &Entry) -> Result<Image, PortError> {
        let (manifest, parts): (_, ManifestParts) = self.document(&entry.manifest.digest)?;
        let (config, facts): (_, ConfigParts) = self.document(&parts.config.digest)?;
        if facts.rootfs.diff_ids.len() != parts.layers.len() {
            return Err(damaged(format!("could not read the image `{}`", entry.name.escape_debug())));
        }
        let layers = parts.layers.into_iter().zip(facts.rootfs.diff_ids);
        let layers = layers.map(|(descriptor, diff_id)| {
            let content = self.blob(&descriptor.digest)?;
            if content.size() != descriptor.size {
                return Err(damaged(format!("could not read the layer {}", descriptor.digest)));
            }
            Ok(ImageLayer { descriptor, diff_id, content, origin: None })
        });
        Ok(Image {
            platform: entry.platform.clone(),
            manifest,
            media_type: entry.manifest.media_type.clone(),
            config,
            layers: layers.collect::<Result<_, _>>()?,
        })
    }

    /// A manifest or configuration: small, and therefore verified whenever it is read.
    fn document<T: for<'a> Deserialize<'a>>(&self, digest: &Digest) -> Result<(Vec<u8>, T), PortError> {
        let attempt = || format!("could not read {digest} from the image store");
        let bytes = self.blob(digest)?.bytes(MAX_DOCUMENT).map_err(|error| self.folder.failed(attempt(), error))?;
        if Digest::of(&bytes) != *digest {
            return Err(damaged(attempt()));
        }
        let parts = serde_json::from_slice(&bytes).map_err(|error| damaged(attempt()).caused_by(error))?;
        Ok((bytes, parts))
    }

    fn blob(&self, digest: &Digest) -> Result<Arc<dyn Content>, PortError> {
        let attempt = || format!("could not read {digest} from the image store");
        let span = files::open(&self.place(digest)).map_err(|error| self.folder.failed(attempt(), error))?;
        Ok(Arc::new(span.ok_or_else(|| damaged(attempt()))?))
    }

    fn place(&self, digest: &Digest) -> PathBuf {
        self.blobs.path().join(digest.hex())
    }

    fn put_layer(&self, layer: &ImageLayer, checked: &mut Checked, cancel: &Cancel) -> Result<(), PortError> {
        let Descriptor { digest, size, .. } = &layer.descriptor;
        cancel.check()?;
        let found = self.condition(&layer.descriptor, checked)?;
        if found == Condition::Sound || self.link(layer, found, checked)? {
            return Ok(());
        }
        let attempt = || format!("could not store the layer {digest}");
        let failed = |error| self.folder.failed(attempt(), error);
        let unreadable = |error| PortError::of_io(attempt(), Fault::Io, error);
        let mut staged = self.staging.create().map_err(failed)?;
        let (mut hasher, mut copied) = (Hasher::new(), 0_u64);
        let mut reader = layer.content.open().map_err(unreadable)?;
        let mut buffer = vec![0; 128 * 1024];
        loop {
            cancel.check()?;
            let n = reader.read(&mut buffer).map_err(unreadable)?;
            if n == 0 {
                break;
            }
            hasher.update(&buffer[..n]);
            copied += n as u64;
            staged.write_all(&buffer[..n]).map_err(failed)?;
        }
        if (copied, hasher.finish()) != (*size, *digest) {
            let cause = "its bytes are not the ones that its descriptor names";
            return Err(PortError::new(Fault::Integrity, attempt()).caused_by(cause));
        }
        let file = staged.settle().and_then(|staged| staged.publish(&self.place(digest), 0o444)).map_err(failed)?;
        checked.learn(digest, &Span::whole(file).map_err(failed)?);
        Ok(())
    }

    /// Whether the store has the blob with the right bytes. A damaged one loses its name, so that another can take its place.
    fn condition(&self, promised: &Descriptor, checked: &mut Checked) -> Result<Condition, PortError> {
        let Descriptor { digest, size, .. } = promised;
        let place = self.place(digest);
        if !fs::symlink_metadata(&place).is_ok_and(|found| found.is_file()) {
            return Ok(Condition::Missing);
        }
        let attempt = || format!("could not check {digest} in the image store");
        let failed = |error| self.folder.failed(attempt(), error);
        let Some(there) = files::open(&place).map_err(failed)? else { return Ok(Condition::Missing) };
        if !checked.knows(digest, &there) {
            if there.digest().map_err(failed)? != *digest {
                fs::remove_file(&place).map_err(failed)?;
                return Ok(Condition::Damaged);
            }
            checked.learn(digest, &there);
        }
        if there.size() == *size {
            return Ok(Condition::Sound);
        }
        let cause = format!("it has {} bytes, and its descriptor names {size}", there.size());
        Err(PortError::new(Fault::Integrity, attempt()).caused_by(cause))
    }

    /// Whether the cache has the blob with the right bytes and could lend them to a second name. A damaged one is taken out of
    /// the cache too. It is not read where it is the file that the layer's own bytes come from: whoever made the layer of it
    /// has compared them. But what was found damaged here may be that file.
    fn link(&self, layer: &ImageLayer, found: Condition, checked: &mut Checked) -> Result<bool, PortError> {
        let Descriptor { digest, size, .. } = &layer.descriptor;
        let Some(cache) = &self.cache else { return Ok(false) };
        // What cannot be looked into is copied instead.
        let Ok(Some(there)) = files::open_used(&cache.path(digest)) else { return Ok(false) };
        let is_vouched_for = found == Condition::Missing && there.size() == *size && is_same(&layer.content, &there);
        if !is_vouched_for && (cache.verify(digest)? != Condition::Sound || there.size() != *size) {
            return Ok(false);
        }
        let is_linked = fs::hard_link(cache.path(digest), self.place(digest)).is_ok();
        if is_linked {
            checked.learn(digest, &there);
        }
        Ok(is_linked)
    }

    fn put_bytes(&self, digest: &Digest, bytes: &[u8]) -> Result<(), PortError> {
        let there = files::open(&self.place(digest)).ok().flatten();
        if there.is_some_and(|there| there.bytes(bytes.len() as u64).is_ok_and(|there| there == bytes)) {
            return Ok(());
        }
        let write = || {
            let mut staged = self.staging.create()?;
            staged.write_all(bytes)?;
            staged.settle()?.publish(&self.place(digest), 0o444)
        };
        write().map(drop).map_err(|error| self.folder.failed(format!("could not store {digest}"), error))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), PortError> {
        let write = || {
            let mut staged = self.staging.create()?;
            staged.write_all(bytes)?;
            staged.settle()?.publish(&self.folder.path().join(name), 0o644)
        };
        write()
            .map(drop)
            .map_err(|error| self.folder.failed(format!("could not write {name} of the image store"), error))
    }

    fn checked(&self) -> Checked {
        let span = files::open(&self.folder.path().join(CHECKED)).ok().flatten();
        Checked::parse(&span.and_then(|span| span.bytes(MAX_INDEX).ok()).unwrap_or_default())
    }

    fn index(&self) -> Result<Index, PortError> {
        let attempt = "could not read index.json of the image store";
        let span = files::open(&self.folder.path().join("index.json"));
        let Some(span) = span.map_err(|error| self.folder.failed(attempt, error))? else { return Ok(Index::empty()) };
        let bytes = span.bytes(MAX_INDEX).map_err(|error| self.folder.failed(attempt, error))?;
        Index::parse(&bytes).map_err(|error| {
            let folder = self.folder.path().display();
            let hint = format!("move `{folder}` away and build the images again");
            PortError::new(Fault::Integrity, attempt).hint(hint).caused_by(error)
        })
    }

    fn shared(&self) -> Result<File, PortError> {
        let Waiting { observer, cancel } = &self.waiting;
        self.lock(FlockOperation::NonBlockingLockShared, observer.as_ref(), cancel)
    }

    fn alone(&self) -> Result<File, PortError> {
        let Waiting { observer, cancel } = &self.waiting;
        self.lock(FlockOperation::NonBlockingLockExclusive, observer.as_ref(), cancel)
    }

    fn lock(&self, operation: FlockOperation, observer: &dyn Observer, cancel: &Cancel) -> Result<File, PortError> {
        locks::take(&self.folder, ".lock", operation, "works on the image store", observer, cancel)
    }
}

/// Whether the content's bytes are those of this very file.
fn is_same(content: &Arc<dyn Content>, file: &Span) -> bool {
    let own = content.span().ok().flatten();
    own.is_some_and(|own| matches!((own.stat(), file.stat()), (Ok(own), Ok(file)) if own.is_same_file(&file)))
}

fn damaged(attempt: String) -> PortError {
    PortError::new(Fault::Integrity, attempt).hint("the image store is damaged there: build the image again")
}

fn check_name(name: &str) -> Result<(), PortError> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:@/+[]".contains(&byte);
    if !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(word) {
        return Ok(());
    }
    let shown: String = name.chars().take(100).flat_map(char::escape_debug).collect();
    Err(PortError::new(Fault::InvalidInput, format!("`{shown}` is not a name for an image")))
}

#[cfg(test)]
mod tests;
