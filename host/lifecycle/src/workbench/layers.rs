//! Layers as a buildpack describes them: a tree, an environment, notes, and the recipe that says how it came to be.

use std::{collections::BTreeMap, sync::Arc};

use stave_archive::{
    content::Bytes,
    tree::{Node, Tree, TreePath, link_stays_inside},
};
use stave_model::{
    capability::Interface,
    digest::{Digest, Key},
    env::{self, EnvChange},
    id::LayerName,
    image::LAYERS_DIR,
    layer::Usage,
};

use super::{Answer, Entry, Phase, State, Workbench, app::unknown, short};
use crate::{
    app::{graft, identity},
    port::failure::{Fault, PortError},
};

/// A layer that is being described, or that is described to the end.
#[derive(Debug, Clone)]
pub struct DraftLayer {
    /// Its name, once in a buildpack.
    pub name: LayerName,
    /// What it is for.
    pub usage: Usage,
    /// Its files, without those that carry its environment.
    pub tree: Tree,
    /// What it does to the environment.
    pub env: Vec<EnvChange>,
    /// The buildpack's notes.
    pub metadata: BTreeMap<String, String>,
    /// A key over everything that was done to the tree, in order.
    pub recipe: Digest,
    written: u64,
}

impl DraftLayer {
    /// Adds a step to the recipe.
    fn did(&mut self, step: &Digest) {
        self.recipe = Key::new("recipe 1").field(self.recipe.hex()).field(step.hex()).finish();
    }

    /// The folder of the layer in the image.
    fn folder(&self, buildpack: &str) -> String {
        format!("{LAYERS_DIR}/{buildpack}/{}", self.name)
    }
}

impl Workbench {
    /// Begins a layer; the answer stands for it in the other calls.
    pub fn create_layer(&self, name: &str, usage: Usage) -> Answer<usize> {
        self.begin(Interface::Layers, Phase::Build)?;
        let attempt = format!("begin the layer `{}`", short(name));
        let name: LayerName =
            name.parse().map_err(|error| PortError::new(Fault::InvalidInput, attempt.clone()).caused_by(error))?;
        let mut state = self.state();
        if state.layers.len() >= self.shop.limits.layers {
            let attempt = format!("{attempt}: a buildpack has at most {} layers", self.shop.limits.layers);
            return Err(PortError::new(Fault::TooLarge, attempt));
        }
        if state.layers.iter().any(|layer| layer.name == name) {
            return Err(PortError::new(Fault::InvalidInput, format!("{attempt}: it was begun before")));
        }
        state.layers.push(DraftLayer {
            name,
            usage,
            tree: Tree::new(),
            env: Vec::new(),
            metadata: BTreeMap::new(),
            recipe: Key::new("layer 1").finish(),
            written: 0,
        });
        Ok(state.layers.len() - 1)
    }

    /// Where a layer stands in the image.
    pub fn layer_path(&self, layer: usize) -> Answer<String> {
        let state = self.state();
        let layer = state.layers.get(layer).ok_or_else(|| unknown("layer"))?;
        Ok(layer.folder(&self.buildpack().escaped()))
    }

    /// Writes a file, in place of one that is there.
    pub fn layer_write(&self, layer: usize, path: &str, contents: Vec<u8>, executable: bool) -> Answer<()> {
        self.begin(Interface::Layers, Phase::Build)?;
        let at = super::path(path)?;
        let attempt = format!("write `{}` in a layer", short(path));
        let limit = self.shop.limits.write_bytes;
        if contents.len() as u64 > limit {
            return Err(PortError::new(Fault::TooLarge, format!("{attempt}: a file has at most {limit} bytes")));
        }
        let step = Key::new("write 1").field(path).field([u8::from(executable)]).field(Digest::of(&contents).hex());
        self.change_layer(layer, step.finish(), |draft| {
            draft.written += contents.len() as u64;
            // What is written here is held in memory until it is exported.
            if draft.written > 16 * limit {
                let attempt =
                    format!("{attempt}: the files that a buildpack writes itself have at most {} bytes", 16 * limit);
                return Err(PortError::new(Fault::TooLarge, attempt));
            }
            let node = Node::file(Arc::new(Bytes::new(contents)), executable);
            draft.tree.replace(at, node).map_err(|e| PortError::new(Fault::InvalidInput, attempt.clone()).caused_by(e))
        })
    }

    /// Makes a symbolic link. A relative one must stay inside the layer; an absolute one is read in the image.
    pub fn layer_link(&self, layer: usize, path: &str, destination: &str) -> Answer<()> {
        self.begin(Interface::Layers, Phase::Build)?;
        let at = super::path(path)?;
        let attempt = format!("link `{}` to `{}` in a layer", short(path), short(destination));
        let in_image = destination.strip_prefix('/').is_some_and(|rest| rest.parse::<TreePath>().is_ok());
        if !in_image && !link_stays_inside(&at, destination) {
            return Err(PortError::new(Fault::InvalidInput, format!("{attempt}: it leads outside")));
        }
        let step = Key::new("link 1").field(path).field(destination).finish();
        self.change_layer(layer, step, |draft| {
            let node = Node::Link(destination.to_owned());
            draft.tree.replace(at, node).map_err(|e| PortError::new(Fault::InvalidInput, attempt.clone()).caused_by(e))
        })
    }

    /// Copies files of the app into a layer; answers how many.
    pub fn layer_copy_app(&self, layer: usize, patterns: &[String], into: &str) -> Answer<u64> {
        self.begin(Interface::Layers, Phase::Build)?;
        let globs = super::globs(patterns)?;
        let folder = super::folder(into)?;
        let attempt = "copy files of the app into a layer";
        let mut state = self.state();
        let mut part = Tree::new();
        for (path, node) in
            state.app.iter().filter(|(path, node)| globs.matches(path) && !matches!(node, Node::Folder(_)))
        {
            let inserted = part.insert(path.clone(), node.clone());
            inserted.map_err(|error| PortError::new(Fault::InvalidInput, attempt).caused_by(error))?;
        }
        let step = identity(part.iter()).map_err(|error| PortError::new(Fault::Io, attempt).caused_by(error))?;
        let step = Key::new("copy 1").field(into).field(step.hex()).finish();
        graft_into_layer(&mut state, layer, &folder, &part, step)
    }

    /// Takes away what matches; answers how many nodes went.
    pub fn layer_remove(&self, layer: usize, patterns: &[String]) -> Answer<u64> {
        self.begin(Interface::Layers, Phase::Build)?;
        let globs = super::globs(patterns)?;
        let step = Key::new("remove 1").list(patterns).finish();
        self.change_layer(layer, step, |draft| Ok(draft.tree.remove_where(|path| globs.matches(path)) as u64))
    }

    /// What is in a layer.
    pub fn layer_find(&self, layer: usize, patterns: &[String], limit: u32) -> Answer<Vec<Entry>> {
        self.begin(Interface::Layers, Phase::Build)?;
        let globs = super::globs(patterns)?;
        let state = self.state();
        let draft = state.layers.get(layer).ok_or_else(|| unknown("layer"))?;
        Ok(self.entries(&draft.tree, &globs, limit))
    }

    /// Reads a file of a layer.
    pub fn layer_read(&self, layer: usize, path: &str, limit: u64) -> Answer<Vec<u8>> {
        self.begin(Interface::Layers, Phase::Build)?;
        let state = self.state();
        let draft = state.layers.get(layer).ok_or_else(|| unknown("layer"))?;
        self.read_file(&draft.tree, path, limit)
    }

    /// Changes the environment that a layer brings.
    pub fn layer_set_env(&self, layer: usize, change: EnvChange) -> Answer<()> {
        self.begin(Interface::Layers, Phase::Build)?;
        let attempt = format!("set `{}` in a layer", change.name);
        let mut state = self.state();
        let draft = state.layers.get_mut(layer).ok_or_else(|| unknown("layer"))?;
        draft.env.push(change);
        if let Err(error) = env::files(&draft.env) {
            draft.env.pop();
            return Err(PortError::new(Fault::InvalidInput, attempt).caused_by(error));
        }
        Ok(())
    }

    /// Keeps notes with a layer, in place of those there.
    pub fn layer_set_metadata(&self, layer: usize, values: Vec<(String, String)>) -> Answer<()> {
        self.begin(Interface::Layers, Phase::Build)?;
        let limit = self.shop.limits.metadata_bytes;
        if values.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > limit {
            return Err(PortError::new(Fault::TooLarge, format!("keep more than {limit} bytes of notes with a layer")));
        }
        let mut state = self.state();
        state.layers.get_mut(layer).ok_or_else(|| unknown("layer"))?.metadata = values.into_iter().collect();
        Ok(())
    }

    fn change_layer<T>(
        &self,
        layer: usize,
        step: Digest,
        change: impl FnOnce(&mut DraftLayer) -> Answer<T>,
    ) -> Answer<T> {
        let mut state = self.state();
        let draft = state.layers.get_mut(layer).ok_or_else(|| unknown("layer"))?;
        let answer = change(draft)?;
        draft.did(&step);
        Ok(answer)
    }
}

/// Puts a tree into a layer, as one step.
pub(super) fn graft_into_layer(
    state: &mut State,
    layer: usize,
    into: &TreePath,
    part: &Tree,
    step: Digest,
) -> Answer<u64> {
    let draft = state.layers.get_mut(layer).ok_or_else(|| unknown("layer"))?;
    let attempt = format!("put files into the layer `{}`", draft.name);
    // On a copy, so that a step that fails leaves the layer as it was.
    let mut tree = draft.tree.clone();
    let count =
        graft(&mut tree, into, part).map_err(|error| PortError::new(Fault::InvalidInput, attempt).caused_by(error))?;
    draft.tree = tree;
    draft.did(&step);
    Ok(count)
}
