//! What tests of images and registries need: small real images, and a registry in this process.

pub mod registry;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
};

use serde_json::json;
use stave_archive::{
    content::{Bytes, Span},
    layer::{self, Packing, Place},
    tree::{Node, Tree},
};
use stave_lifecycle::{
    image::{Descriptor, Image, ImageLayer},
    port::{
        bases::Base,
        blobs::{Blobs, NewBlob, Results},
        failure::{Fault, PortError},
    },
};
use stave_model::{
    digest::Digest,
    image::{Addition, LIFECYCLE_LABEL, LifecycleMetadata, NewLayer, assemble},
    target::Platform,
};

/// A layer with these files (path and text), as the layer writer makes it.
///
/// # Panics
/// If a path is none, as everything here does: this is for tests.
pub fn layer(files: &[(&str, &str)]) -> ImageLayer {
    packed_layer(files, Packing::GZIP)
}

/// The same, packed otherwise.
///
/// # Panics
/// If a path is none.
#[expect(clippy::unwrap_used, reason = "a test that cannot make its image should end")]
pub fn packed_layer(files: &[(&str, &str)], packing: Packing) -> ImageLayer {
    let mut tree = Tree::new();
    for (path, text) in files {
        let content = Arc::new(Bytes::new(text.as_bytes()));
        tree.insert(path.parse().unwrap(), Node::file(content, true)).unwrap();
    }
    let mut bytes = Vec::new();
    let written = layer::write(&tree, &Place::root(), packing, &AtomicBool::new(false), &mut bytes).unwrap();
    let media_type = packing.media_type().to_owned();
    let descriptor = Descriptor { media_type, digest: written.digest, size: written.size };
    ImageLayer { descriptor, diff_id: written.diff_id, content: Arc::new(Bytes::new(bytes)), origin: None }
}

/// An image of these layers for Linux, without an entrypoint.
///
/// # Panics
/// Never: its configuration is always JSON.
#[expect(clippy::unwrap_used, reason = "a test that cannot make its image should end")]
pub fn image(arch: &str, layers: Vec<ImageLayer>) -> Image {
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| layer.diff_id).collect();
    let history: Vec<_> = layers.iter().map(|_| json!({ "created": "1980-01-01T00:00:01Z" })).collect();
    let config = json!({
        "architecture": arch, "os": "linux", "config": {}, "history": history,
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    Image::new(Platform::linux(arch), serde_json::to_vec(&config).unwrap(), layers)
}

/// An app with these files, built on a base as the lifecycle would have done it.
///
/// # Panics
/// If the base is none.
pub fn app_on(base: &Base, files: &[(&str, &str)]) -> Image {
    billed_app_on(base, files, &[])
}

/// The same with bills of materials, which are files in a layer of their own.
///
/// # Panics
/// If the base is none.
#[expect(clippy::unwrap_used, reason = "a test that cannot make its image should end")]
pub fn billed_app_on(base: &Base, files: &[(&str, &str)], bills: &[(&str, &str)]) -> Image {
    let mut added = vec![layer(files), layer(&[("cnb/lifecycle/launcher", "#!")])];
    added.extend((!bills.is_empty()).then(|| layer(bills)));
    let sha = |at: usize| json!({ "sha": added[at].diff_id });
    let sbom = (added.len() > 2).then(|| sha(2));
    let metadata: LifecycleMetadata = serde_json::from_value(json!({
        "app": [sha(0)], "buildpacks": [], "config": sha(0), "launcher": sha(1), "process-types": { "sha": "" }, "sbom": sbom,
        "runImage": { "topLayer": base.image.layers.last().unwrap().diff_id, "reference": base.reference, "image": base.name },
        "stack": { "runImage": { "image": base.name } },
    }))
    .unwrap();
    let new = |layer: &ImageLayer| NewLayer { diff_id: layer.diff_id, created_by: "test".to_owned() };
    let labels = vec![(LIFECYCLE_LABEL.to_owned(), serde_json::to_string(&metadata).unwrap())];
    let layers = added.iter().map(new).collect();
    let addition = Addition { layers, labels, default_process: None, exec_env: None, created: None };
    let config = assemble(&base.image.config, &addition).unwrap();
    let layers = base.image.layers.iter().map(ImageLayer::in_oci_words).chain(added);
    Image::new(base.image.platform.clone(), config, layers.collect())
}

/// Blobs in a folder, without the care of a real store.
#[derive(Debug, Clone)]
pub struct FolderBlobs(Arc<Path>);

impl FolderBlobs {
    /// Blobs in `folder`, which exists.
    pub fn new(folder: &Path) -> Self {
        Self(folder.into())
    }
}

struct FolderBlob(Arc<Path>, tempfile::NamedTempFile);

fn failed(error: std::io::Error) -> PortError {
    PortError::of_io("could not use the folder of blobs", Fault::Io, error)
}

impl Blobs for FolderBlobs {
    fn get(&self, digest: &Digest) -> Result<Option<Span>, PortError> {
        let Ok(file) = std::fs::File::open(self.0.join(digest.hex())) else { return Ok(None) };
        Span::whole(file).map(Some).map_err(failed)
    }

    fn discard(&self, digest: &Digest) -> Result<(), PortError> {
        std::fs::remove_file(self.0.join(digest.hex())).map_err(failed)
    }

    fn create(&self) -> Result<Box<dyn NewBlob>, PortError> {
        let file = tempfile::NamedTempFile::new_in(&self.0).map_err(failed)?;
        Ok(Box::new(FolderBlob(Arc::clone(&self.0), file)))
    }
}

impl std::io::Write for FolderBlob {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.1.write(buffer)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.1.flush()
    }
}

impl NewBlob for FolderBlob {
    fn keep(self: Box<Self>, digest: &Digest) -> Result<Span, PortError> {
        let path = self.0.join(digest.hex());
        self.1.persist(&path).map_err(|error| failed(error.error))?;
        std::fs::File::open(path).and_then(Span::whole).map_err(failed)
    }
}

/// Results in memory.
#[derive(Debug, Default)]
pub struct MemoryResults(Mutex<BTreeMap<Digest, Vec<u8>>>);

impl Results for MemoryResults {
    fn get(&self, key: &Digest) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn put(&self, key: &Digest, value: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(*key, value.to_vec());
    }
}
