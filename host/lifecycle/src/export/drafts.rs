//! What each new layer of the image holds and where it goes, before a byte of it is written.

use std::{borrow::Cow, sync::Arc};

use stave_archive::{
    content::Bytes,
    layer::Place,
    tree::{Access, Node, Tree, TreeError, TreePath},
};
use stave_model::{
    digest::{Digest, Key},
    env,
    image::{APP_DIR, LAUNCHER, LAYERS_DIR, PROCESS_DIR},
    launch::metadata::Metadata,
};

use super::{EnvironmentError, ExportError, Ports, stop_if_asked};
use crate::{
    app::identity,
    build::{Built, Part},
    image::ImageLayer,
    port::{
        cancel::Cancel,
        failure::{Fault, PortError},
    },
    slices,
    workbench::DraftLayer,
};

/// A layer to be.
pub(super) struct Draft<'a> {
    pub(super) what: String,
    pub(super) created_by: String,
    pub(super) place: Place,
    pub(super) tree: DraftTree<'a>,
    pub(super) key: Digest,
}

/// What a layer holds.
pub(super) enum DraftTree<'a> {
    /// Just this.
    Made(Tree),
    /// A buildpack's files, which may not be made yet, and those that carry its environment.
    Described(&'a DraftLayer, Vec<(TreePath, Node)>),
    /// It is there, packed.
    Packed(&'a ImageLayer),
}

impl Draft<'_> {
    /// Everything that the layer holds. A remembered layer's files are made now.
    pub(super) fn tree(&self) -> Result<Cow<'_, Tree>, ExportError> {
        let (layer, environment) = match &self.tree {
            DraftTree::Made(tree) => return Ok(Cow::Borrowed(tree)),
            // Whoever has it packed needs no files.
            DraftTree::Packed(_) => return Ok(Cow::Owned(Tree::new())),
            DraftTree::Described(layer, environment) => (layer, environment),
        };
        let again = |source: PortError| match source.fault {
            Fault::Cancelled => ExportError::Cancelled,
            _ => ExportError::Again { what: self.what.clone(), source },
        };
        let mut tree = layer.tree().map_err(again)?.into_owned();
        for (path, node) in environment {
            let inserted = tree.insert(path.clone(), node.clone());
            inserted.map_err(|error| ExportError::Environment { what: self.what.clone(), source: error.into() })?;
        }
        Ok(Cow::Owned(tree))
    }
}

/// A key for a layer made of `content` at `folder`, so that it can be known again.
pub(super) fn blob_key(folder: &str, owner: (u32, u32), content: &Digest) -> Digest {
    let key = Key::new("layer blob 1").field(folder).field(owner.0.to_le_bytes()).field(owner.1.to_le_bytes());
    key.field(content.hex()).finish()
}

/// The folder of a layer, its parents below the root belonging to whoever owns the layer.
pub(super) fn owned_place(folder: &str, owner: (u32, u32)) -> Result<Place, ExportError> {
    let mut place = Place::folder(folder).map_err(ExportError::Place)?.owned_by(owner.0, owner.1);
    let path: TreePath = folder.trim_start_matches('/').parse().map_err(ExportError::Place)?;
    let mut parent = path.parent();
    while let Some(at) = parent.filter(|at| *at != TreePath::root()) {
        parent = at.parent();
        place = place.parent(at, Access { mode: 0o755, uid: owner.0, gid: owner.1 });
    }
    Ok(place)
}

pub(super) fn buildpack_drafts(
    parts: &[Part],
    owner: (u32, u32),
    wanted: fn(&DraftLayer) -> bool,
) -> Result<Vec<Draft<'_>>, ExportError> {
    let mut drafts = Vec::new();
    for part in parts {
        let title = part.manifest.title();
        for layer in part.layers.iter().filter(|layer| wanted(layer)) {
            let what = format!("{}:{}", part.manifest.buildpack.id, layer.name);
            let folder = format!("{LAYERS_DIR}/{}/{}", part.manifest.buildpack.id.escaped(), layer.name);
            let (environment, content) =
                with_environment(layer).map_err(|source| ExportError::Environment { what: what.clone(), source })?;
            drafts.push(Draft {
                created_by: format!("Layer: '{}', Created by buildpack: {title}", layer.name),
                place: owned_place(&folder, owner)?,
                key: blob_key(&folder, owner, &content),
                tree: match &layer.reused {
                    Some(packed) => DraftTree::Packed(packed),
                    None => DraftTree::Described(layer, environment),
                },
                what,
            });
        }
    }
    Ok(drafts)
}

/// The files that carry a layer's environment, and what identifies them together with its own.
fn with_environment(layer: &DraftLayer) -> Result<(Vec<(TreePath, Node)>, Digest), EnvironmentError> {
    let mut files = Vec::new();
    let mut key = Key::new("layer with environment 1").field(layer.recipe.hex());
    for (path, bytes) in env::files(&layer.env)? {
        key = key.field(&path).field(&bytes);
        let path: TreePath = path.parse().map_err(TreeError::Path)?;
        files.push((path, Node::file(Arc::new(Bytes::new(bytes)), false)));
    }
    Ok((files, key.finish()))
}

pub(super) fn app_drafts(
    ports: &Ports<'_>,
    built: &Built,
    owner: (u32, u32),
) -> Result<Vec<Draft<'static>>, ExportError> {
    let trees = slices::split(&built.app, &built.launch.slices).map_err(ExportError::Slices)?;
    let last = trees.len() - 1;
    let mut drafts = Vec::new();
    for (index, tree) in trees.into_iter().enumerate() {
        // The layer of the rest is a slice for the lifecycle too, if there are others.
        let created_by =
            if last == 0 { "Application Layer".to_owned() } else { format!("Application Slice: {}", index + 1) };
        let what = if index == last { "app".to_owned() } else { format!("app slice {}", index + 1) };
        // Every file that is not known is read here, which may take long.
        let content = identity(tree.iter(), ports.cancel);
        stop_if_asked(ports)?;
        let content = content.map_err(|source| ExportError::Read { what: what.clone(), source })?;
        // Where slices took everything, the lifecycle's layer of the rest does not even have the app's folder.
        let is_nothing = tree.is_empty() && !built.app.is_empty();
        let (folder, place) = if is_nothing { ("/", Place::root()) } else { (APP_DIR, owned_place(APP_DIR, owner)?) };
        let key = blob_key(folder, owner, &content);
        drafts.push(Draft { what, created_by, place, tree: DraftTree::Made(tree), key });
    }
    Ok(drafts)
}

/// A path of the image, below `/cnb`.
fn below_cnb(path: &str) -> Result<TreePath, ExportError> {
    path.trim_start_matches("/cnb/").parse().map_err(ExportError::Place)
}

fn cnb_draft(what: &str, created_by: &str, tree: Tree) -> Result<Draft<'static>, ExportError> {
    let content =
        identity(tree.iter(), &Cancel::new()).map_err(|source| ExportError::Read { what: what.to_owned(), source })?;
    // Links of another mode than those of files are how the lifecycle makes up this folder; so is the key's.
    let place = Place::folder("/cnb").map_err(ExportError::Place)?.owned_by(0, 0).link_mode(0o755);
    let key = blob_key("/cnb with links 0755", (0, 0), &content);
    let tree = DraftTree::Made(tree);
    Ok(Draft { what: what.to_owned(), created_by: created_by.to_owned(), place, tree, key })
}

pub(super) fn launcher_draft(launcher: &'static [u8]) -> Result<Draft<'static>, ExportError> {
    let mut tree = Tree::new();
    let node = Node::file(Arc::new(Bytes::new(launcher)), true);
    tree.insert(below_cnb(LAUNCHER)?, node).map_err(ExportError::Launcher)?;
    cnb_draft("launcher", "Buildpacks Application Launcher", tree)
}

pub(super) fn process_draft(metadata: &Metadata) -> Result<Draft<'static>, ExportError> {
    let mut tree = Tree::new();
    for process in &metadata.launch.processes {
        let link = below_cnb(&format!("{PROCESS_DIR}/{}", process.kind))?;
        tree.insert(link, Node::Link(LAUNCHER.to_owned())).map_err(ExportError::Launcher)?;
    }
    cnb_draft("process types", "Buildpacks Process Types", tree)
}

pub(super) fn config_draft(metadata: &Metadata, owner: (u32, u32)) -> Result<Draft<'static>, ExportError> {
    let text = metadata.to_toml().map_err(ExportError::Metadata)?;
    let folder = format!("{LAYERS_DIR}/config");
    let mut tree = Tree::new();
    let path: TreePath = "metadata.toml".parse().map_err(ExportError::Place)?;
    let key = blob_key(&folder, owner, &Digest::of(text.as_bytes()));
    let inserted = tree.insert(path, Node::file(Arc::new(Bytes::new(text.into_bytes())), false));
    inserted.map_err(ExportError::Launcher)?;
    let created_by = "Buildpacks Launcher Config".to_owned();
    let (what, tree) = ("launcher config".to_owned(), DraftTree::Made(tree));
    Ok(Draft { what, created_by, place: owned_place(&folder, owner)?, tree, key })
}
