//! Turns what was built into an image: layers in the lifecycle's order, configuration and labels.
//!
//! A layer that was met before is not written again: its blob is kept under the key of its description. Those that are
//! new are written side by side, each in one pass.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use serde::{Deserialize, Serialize};
use stave_archive::{
    content::Bytes,
    glob::GlobError,
    layer::{self, LayerError, Packing, Place},
    tree::{Access, InvalidPath, Node, Tree, TreeError, TreePath},
};
use stave_model::{
    digest::{Digest, Key},
    env::{self, InvalidChange},
    image::{
        self, APP_DIR, Addition, BUILD_LABEL, BuildpackLayers, ImageError, LAUNCHER, LAYERS_DIR, LIFECYCLE_LABEL,
        LayerEntry, LayerSha, LifecycleMetadata, NewLayer, PROCESS_DIR, PROJECT_LABEL, RunImage, RunImageNames,
        StackMetadata, Store,
    },
    launch::metadata::{Api, BuildMetadata, InvalidMetadata, Metadata, Participant},
};

use crate::{
    build::{Built, Part},
    image::{Descriptor, Image, ImageLayer},
    port::{
        bases::Base,
        blobs::{Blobs, Results},
        cancel::Cancel,
        failure::PortError,
        observer::{Event, Made, Observer, Phase},
    },
    slices,
    workbench::DraftLayer,
};

/// The buildpack API whose rules for processes and environment our buildpacks follow, for the launcher.
const BUILDPACK_API: Api = Api { major: 0, minor: 10 };

/// What export needs beside the image's parts.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// Where layers are kept.
    pub blobs: &'a dyn Blobs,
    /// Where it is kept which layers there are.
    pub results: &'a dyn Results,
    /// Who is told.
    pub observer: &'a dyn Observer,
    /// Whether to stop.
    pub cancel: &'a Cancel,
    /// The launcher for the image's platform.
    pub launcher: &'static [u8],
    /// The launcher's version.
    pub launcher_version: &'a str,
}

/// Why no image came of it.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A layer could not be written.
    #[error("could not write the layer {what}")]
    Layer {
        /// Which.
        what: String,
        /// Why.
        #[source]
        source: LayerError,
    },
    /// A layer could not be kept.
    #[error("could not keep the layer {what}")]
    Keep {
        /// Which.
        what: String,
        /// Why.
        #[source]
        source: PortError,
    },
    /// A file of a layer could not be read.
    #[error("could not read the files of {what}")]
    Read {
        /// Which layer.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A layer's environment could not be put beside its files.
    #[error("could not put the environment of {what} into its layer")]
    Environment {
        /// Which layer.
        what: String,
        /// Why.
        #[source]
        source: EnvironmentError,
    },
    /// A slice's pattern is none.
    #[error("could not split the app into slices")]
    Slices(#[source] GlobError),
    /// A path in the image is none.
    #[error("could not place a layer in the image")]
    Place(#[source] InvalidPath),
    /// A process type's link could not be made.
    #[error("could not lay out the launcher")]
    Launcher(#[source] TreeError),
    /// The launcher's metadata could not be written.
    #[error("could not write down the processes")]
    Metadata(#[source] InvalidMetadata),
    /// The base's configuration is not one.
    #[error("could not put the layers on the base image")]
    Base(#[source] ImageError),
    /// Somebody asked to stop.
    #[error("stopped on request")]
    Cancelled,
}

/// Why a layer's environment could not be written beside its files.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// The changes themselves.
    #[error(transparent)]
    Change(#[from] InvalidChange),
    /// A file of the layer is in the way.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// A layer to be.
struct Draft {
    what: String,
    created_by: String,
    place: Place,
    tree: Tree,
    key: Digest,
}

/// What is kept of a layer that was written before.
#[derive(Serialize, Deserialize)]
struct KeptLayer {
    diff_id: Digest,
    #[serde(flatten)]
    descriptor: Descriptor,
}

/// A layer that is there.
struct Ready {
    created_by: String,
    layer: ImageLayer,
}

/// Assembles the image on its base.
pub fn export(ports: &Ports<'_>, base: &Base, built: &Built) -> Result<Image, ExportError> {
    ports.observer.observe(Event::Phase(Phase::Export));
    let owner = image::owner(&base.image.config).map_err(ExportError::Base)?;
    let metadata = Metadata { buildpacks: built.parts.iter().map(participant).collect(), launch: built.launch.clone() };
    let mut drafts = buildpack_drafts(&built.parts, owner)?;
    let buildpack_count = drafts.len();
    drafts.extend(app_drafts(built, owner)?);
    let app_end = drafts.len();
    drafts.push(launcher_draft(ports.launcher)?);
    drafts.push(config_draft(&metadata, owner)?);
    if !metadata.launch.processes.is_empty() {
        drafts.push(process_draft(&metadata)?);
    }
    let ready = make_all(ports, &drafts)?;
    let sha = |index: usize| ready.get(index).map_or(LayerSha { sha: String::new() }, |r| r.layer.diff_id.into());
    let lifecycle = LifecycleMetadata {
        app: (buildpack_count..app_end).map(sha).collect(),
        buildpacks: buildpack_labels(&built.parts, &ready),
        launcher: sha(app_end),
        config: sha(app_end + 1),
        process_types: sha(app_end + 2),
        run_image: run_image(base),
        stack: StackMetadata { run_image: RunImageNames { image: base.name.clone(), mirrors: Vec::new() } },
    };
    let mut labels = vec![
        (LIFECYCLE_LABEL.to_owned(), json(&lifecycle)),
        (BUILD_LABEL.to_owned(), json(&BuildMetadata::new(&metadata, ports.launcher_version))),
        (PROJECT_LABEL.to_owned(), "{}".to_owned()),
    ];
    labels.extend(metadata.launch.labels.iter().map(|label| (label.key.clone(), label.value.clone())));
    let addition = Addition {
        layers: ready.iter().map(|r| NewLayer { diff_id: r.layer.diff_id, created_by: r.created_by.clone() }).collect(),
        labels,
        default_process: metadata.launch.default.clone(),
    };
    let config = image::assemble(&base.image.config, &addition).map_err(ExportError::Base)?;
    let layers = base.image.layers.iter().cloned().chain(ready.into_iter().map(|r| r.layer)).collect();
    Ok(Image::new(base.image.platform.clone(), config, layers))
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("maps with text keys, texts and numbers are always JSON")
}

fn participant(part: &Part) -> Participant {
    let about = &part.manifest.buildpack;
    let homepage = Some(about.homepage.clone()).filter(|homepage| !homepage.is_empty());
    Participant { id: about.id.clone(), version: about.version.clone(), api: BUILDPACK_API, homepage }
}

fn run_image(base: &Base) -> RunImage {
    RunImage {
        top_layer: base.image.layers.last().map(|layer| layer.diff_id.to_string()).unwrap_or_default(),
        reference: base.reference.clone(),
        image: base.name.clone(),
        mirrors: Vec::new(),
    }
}

/// Layers of the image, not those that only serve later builds.
fn launch_layers(part: &Part) -> impl Iterator<Item = &DraftLayer> {
    part.layers.iter().filter(|layer| layer.usage.launch)
}

fn buildpack_labels(parts: &[Part], ready: &[Ready]) -> Vec<BuildpackLayers> {
    let mut ready = ready.iter();
    let mut labels = Vec::new();
    for part in parts {
        let layers: BTreeMap<_, _> = launch_layers(part)
            .zip(ready.by_ref())
            .map(|(draft, made)| {
                let entry = LayerEntry {
                    sha: made.layer.diff_id.to_string(),
                    data: draft.metadata.clone(),
                    usage: draft.usage,
                };
                (draft.name.clone(), entry)
            })
            .collect();
        labels.push(BuildpackLayers {
            key: part.manifest.buildpack.id.clone(),
            version: part.manifest.buildpack.version.to_string(),
            layers,
            store: Some(part.store.clone()).filter(|store| !store.is_empty()).map(|metadata| Store { metadata }),
        });
    }
    labels
}

/// A key for a layer made of `content` at `folder`, so that it can be known again.
fn blob_key(folder: &str, owner: (u32, u32), content: &Digest) -> Digest {
    let key = Key::new("layer blob 1").field(folder).field(owner.0.to_le_bytes()).field(owner.1.to_le_bytes());
    key.field(content.hex()).finish()
}

/// The folder of a layer, its parents below the root belonging to whoever owns the layer.
fn owned_place(folder: &str, owner: (u32, u32)) -> Result<Place, ExportError> {
    let mut place = Place::folder(folder).map_err(ExportError::Place)?.owned_by(owner.0, owner.1);
    let path: TreePath = folder.trim_start_matches('/').parse().map_err(ExportError::Place)?;
    let mut parent = path.parent();
    while let Some(at) = parent.filter(|at| *at != TreePath::root()) {
        parent = at.parent();
        place = place.parent(at, Access { mode: 0o755, uid: owner.0, gid: owner.1 });
    }
    Ok(place)
}

fn buildpack_drafts(parts: &[Part], owner: (u32, u32)) -> Result<Vec<Draft>, ExportError> {
    let mut drafts = Vec::new();
    for part in parts {
        let title = part.manifest.title();
        for layer in launch_layers(part) {
            let what = format!("{}:{}", part.manifest.buildpack.id, layer.name);
            let folder = format!("{LAYERS_DIR}/{}/{}", part.manifest.buildpack.id.escaped(), layer.name);
            let (tree, content) =
                with_environment(layer).map_err(|source| ExportError::Environment { what: what.clone(), source })?;
            drafts.push(Draft {
                created_by: format!("Layer: '{}', Created by buildpack: {title}", layer.name),
                place: owned_place(&folder, owner)?,
                key: blob_key(&folder, owner, &content),
                tree,
                what,
            });
        }
    }
    Ok(drafts)
}

/// The layer's tree with the files that carry its environment, and what identifies both.
fn with_environment(layer: &DraftLayer) -> Result<(Tree, Digest), EnvironmentError> {
    let mut tree = layer.tree.clone();
    let mut key = Key::new("layer with environment 1").field(layer.recipe.hex());
    for (path, bytes) in env::files(&layer.env)? {
        key = key.field(&path).field(&bytes);
        let path: TreePath = path.parse().map_err(TreeError::Path)?;
        tree.insert(path, Node::file(Arc::new(Bytes::new(bytes)), false))?;
    }
    Ok((tree, key.finish()))
}

fn app_drafts(built: &Built, owner: (u32, u32)) -> Result<Vec<Draft>, ExportError> {
    let trees = slices::split(&built.app, &built.launch.slices).map_err(ExportError::Slices)?;
    let last = trees.len() - 1;
    let mut drafts = Vec::new();
    for (index, tree) in trees.into_iter().enumerate() {
        let (what, created_by) = if index == last {
            ("app".to_owned(), "Application Layer".to_owned())
        } else {
            (format!("app slice {}", index + 1), format!("Application Slice: {}", index + 1))
        };
        let content =
            crate::app::identity(tree.iter()).map_err(|source| ExportError::Read { what: what.clone(), source })?;
        let key = blob_key(APP_DIR, owner, &content);
        drafts.push(Draft { what, created_by, place: owned_place(APP_DIR, owner)?, tree, key });
    }
    Ok(drafts)
}

/// A path of the image, below `/cnb`.
fn below_cnb(path: &str) -> Result<TreePath, ExportError> {
    path.trim_start_matches("/cnb/").parse().map_err(ExportError::Place)
}

fn cnb_draft(what: &str, created_by: &str, tree: Tree) -> Result<Draft, ExportError> {
    let content =
        crate::app::identity(tree.iter()).map_err(|source| ExportError::Read { what: what.to_owned(), source })?;
    let place = Place::folder("/cnb").map_err(ExportError::Place)?.owned_by(0, 0);
    let key = blob_key("/cnb", (0, 0), &content);
    Ok(Draft { what: what.to_owned(), created_by: created_by.to_owned(), place, tree, key })
}

fn launcher_draft(launcher: &'static [u8]) -> Result<Draft, ExportError> {
    let mut tree = Tree::new();
    let node = Node::file(Arc::new(Bytes::new(launcher)), true);
    tree.insert(below_cnb(LAUNCHER)?, node).map_err(ExportError::Launcher)?;
    cnb_draft("launcher", "Buildpacks Application Launcher", tree)
}

fn process_draft(metadata: &Metadata) -> Result<Draft, ExportError> {
    let mut tree = Tree::new();
    for process in &metadata.launch.processes {
        let link = below_cnb(&format!("{PROCESS_DIR}/{}", process.kind))?;
        tree.insert(link, Node::Link(LAUNCHER.to_owned())).map_err(ExportError::Launcher)?;
    }
    cnb_draft("process types", "Buildpacks Process Types", tree)
}

fn config_draft(metadata: &Metadata, owner: (u32, u32)) -> Result<Draft, ExportError> {
    let text = metadata.to_toml().map_err(ExportError::Metadata)?;
    let folder = format!("{LAYERS_DIR}/config");
    let mut tree = Tree::new();
    let path: TreePath = "metadata.toml".parse().map_err(ExportError::Place)?;
    let key = blob_key(&folder, owner, &Digest::of(text.as_bytes()));
    let inserted = tree.insert(path, Node::file(Arc::new(Bytes::new(text.into_bytes())), false));
    inserted.map_err(ExportError::Launcher)?;
    let created_by = "Buildpacks Launcher Config".to_owned();
    Ok(Draft { what: "launcher config".to_owned(), created_by, place: owned_place(&folder, owner)?, tree, key })
}

/// Makes all layers, as many at a time as the machine has cores; the order stays.
fn make_all(ports: &Ports<'_>, drafts: &[Draft]) -> Result<Vec<Ready>, ExportError> {
    let queue: Mutex<VecDeque<usize>> = Mutex::new((0..drafts.len()).collect());
    let done: Mutex<BTreeMap<usize, Result<Ready, ExportError>>> = Mutex::new(BTreeMap::new());
    let work = || {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(index) = next else { return };
            let made = make(ports, &drafts[index]);
            if made.is_err() {
                queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
            }
            done.lock().unwrap_or_else(PoisonError::into_inner).insert(index, made);
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from).min(drafts.len());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}

/// The layer from the store if its description was met before, else written now.
fn make(ports: &Ports<'_>, draft: &Draft) -> Result<Ready, ExportError> {
    let keep = |source| ExportError::Keep { what: draft.what.clone(), source };
    if let Some(layer) = find_kept(ports, &draft.key).map_err(keep)? {
        return Ok(ready(ports, draft, layer, Made::Kept));
    }
    let mut blob = ports.blobs.create().map_err(keep)?;
    let flag = ports.cancel.flag();
    let written =
        layer::write(&draft.tree, &draft.place, Packing::Gzip, &flag, &mut blob).map_err(|source| match source {
            LayerError::Cancelled => ExportError::Cancelled,
            source => ExportError::Layer { what: draft.what.clone(), source },
        })?;
    let span = blob.keep(&written.digest).map_err(keep)?;
    let descriptor =
        Descriptor { media_type: written.media_type.to_owned(), digest: written.digest, size: written.size };
    let kept = KeptLayer { diff_id: written.diff_id, descriptor };
    ports.results.put(&draft.key, json(&kept).as_bytes());
    let layer =
        ImageLayer { descriptor: kept.descriptor, diff_id: kept.diff_id, content: Arc::new(span), origin: None };
    Ok(ready(ports, draft, layer, Made::Written))
}

fn find_kept(ports: &Ports<'_>, key: &Digest) -> Result<Option<ImageLayer>, PortError> {
    let Some(kept) = ports.results.get(key).and_then(|bytes| serde_json::from_slice::<KeptLayer>(&bytes).ok()) else {
        return Ok(None);
    };
    let found = ports.blobs.get(&kept.descriptor.digest)?;
    Ok(found.map(|span| ImageLayer {
        descriptor: kept.descriptor,
        diff_id: kept.diff_id,
        content: Arc::new(span),
        origin: None,
    }))
}

fn ready(ports: &Ports<'_>, draft: &Draft, layer: ImageLayer, how: Made) -> Ready {
    let size = layer.descriptor.size;
    ports.observer.observe(Event::Layer { what: draft.what.clone(), how, size });
    Ready { created_by: draft.created_by.clone(), layer }
}
