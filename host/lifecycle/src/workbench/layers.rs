//! Layers as a buildpack describes them: a tree, an environment, notes, and the recipe that says how it came to be.

use std::{borrow::Cow, collections::BTreeMap, error::Error, sync::Arc};

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
    sbom::Component,
};

use super::{
    Answer, Entry, Phase, State, Workbench,
    app::unknown,
    journal::{Call, Said, Written},
    replay::Again,
    short,
};
use crate::{
    app::{graft, identity},
    image::ImageLayer,
    port::failure::{Fault, PortError},
};

/// A layer that is being described, or that is described to the end.
#[derive(Debug, Clone)]
pub struct DraftLayer {
    /// Its name, once in a buildpack.
    pub name: LayerName,
    /// What it is for.
    pub usage: Usage,
    /// The layer of the previous build that it is, files and environment and all; the draft has neither then.
    pub(crate) reused: Option<ImageLayer>,
    /// Its files, as far as they are made: see [`DraftLayer::tree`].
    pub(super) tree: Tree,
    /// How to make its files, where they are remembered.
    pub(super) again: Option<Arc<Again>>,
    /// What it does to the environment.
    pub env: Vec<EnvChange>,
    /// The buildpack's notes.
    pub metadata: BTreeMap<String, String>,
    /// What of it has a name and a version of its own, in the order in which it came.
    pub contents: Vec<Component>,
    /// A key over everything that was done to the tree, in order.
    pub recipe: Digest,
}

impl DraftLayer {
    /// One in which nothing is yet.
    pub(super) fn empty(name: LayerName, usage: Usage) -> Self {
        Self {
            name,
            usage,
            reused: None,
            tree: Tree::new(),
            again: None,
            env: Vec::new(),
            metadata: BTreeMap::new(),
            contents: Vec::new(),
            recipe: Key::new("layer 1").finish(),
        }
    }

    /// Its files, without those that carry its environment. Where a layer is remembered they are made now, which may fetch
    /// and unpack: whoever has a layer of the same recipe does not ask.
    pub fn tree(&self) -> Answer<Cow<'_, Tree>> {
        match &self.again {
            None => Ok(Cow::Borrowed(&self.tree)),
            Some(again) => again.tree(&self.name).map(Cow::Owned),
        }
    }

    /// Puts other files in place of its own, as if by a step.
    #[cfg(test)]
    pub(crate) fn set_tree(&mut self, tree: Tree) {
        self.tree = tree;
        self.did(&Digest::of(b"set"));
    }

    /// Adds a step to the recipe.
    fn did(&mut self, step: &Digest) {
        self.recipe = Key::new("recipe 1").field(self.recipe.hex()).field(step.hex()).finish();
    }

    /// The folder of the layer in the image.
    pub(super) fn folder(&self, buildpack: &str) -> String {
        format!("{LAYERS_DIR}/{buildpack}/{}", self.name)
    }
}

impl Workbench {
    /// Begins a layer; the answer stands for it in the other calls.
    pub fn create_layer(&self, name: &str, usage: Usage) -> Answer<usize> {
        self.doing(Call::CreateLayer { name: name.to_owned(), usage }, || self.begin_layer(name, usage))
    }

    fn begin_layer(&self, name: &str, usage: Usage) -> Answer<usize> {
        self.begin(Interface::Layers, Phase::Build)?;
        let attempt = format!("could not begin the layer `{}`", short(name));
        let name = self.free_name(name, &attempt)?;
        Ok(self.state().begins(DraftLayer::empty(name, usage)))
    }

    /// The name of a layer, if one more can be begun and this was not.
    pub(super) fn free_name(&self, name: &str, attempt: &str) -> Answer<LayerName> {
        let name: LayerName = name.parse().map_err(|error| invalid(attempt, error))?;
        let state = self.state();
        if state.layers.len() >= self.shop.limits.layers {
            let attempt = format!("{attempt}: a buildpack has at most {} layers", self.shop.limits.layers);
            return Err(PortError::new(Fault::TooLarge, attempt));
        }
        if state.layers.iter().any(|layer| layer.name == name) {
            return Err(PortError::new(Fault::InvalidInput, format!("{attempt}: it was begun before")));
        }
        Ok(name)
    }

    /// Where a layer stands in the image.
    pub fn layer_path(&self, layer: usize) -> Answer<String> {
        let state = self.state();
        let layer = state.layers.get(layer).ok_or_else(|| unknown("layer"))?;
        Ok(layer.folder(&self.buildpack().escaped()))
    }

    /// Writes a file, in place of one that is there.
    pub fn layer_write(&self, layer: usize, path: &str, contents: Vec<u8>, executable: bool) -> Answer<()> {
        self.write(layer, path, &contents.into(), executable)
    }

    pub(super) fn write(&self, layer: usize, path: &str, contents: &Arc<[u8]>, executable: bool) -> Answer<()> {
        let work = || {
            self.begin(Interface::Layers, Phase::Build)?;
            let at = super::path(path)?;
            let attempt = format!("could not write `{}` in a layer", short(path));
            let step = Key::new("write 1").field(path).field([u8::from(executable)]).field(Digest::of(contents).hex());
            let mut state = self.state();
            state.room_for(at.as_str().split('/').count(), &self.shop.limits, &attempt)?;
            state.room_to_write(contents.len(), &self.shop.limits, &attempt)?;
            let node = Node::file(Arc::new(Bytes::new(Arc::clone(contents))), executable);
            replace(&mut state, layer, at, node, &attempt, &step.finish())?;
            state.written += contents.len() as u64;
            Ok(())
        };
        let contents = Written(Arc::clone(contents));
        self.doing(Call::WriteFile { layer, path: path.to_owned(), contents, executable }, work)
    }

    /// Makes a symbolic link, in place of a file or link that is there. A relative one must stay inside the layer; an
    /// absolute one is read in the image.
    pub fn layer_link(&self, layer: usize, path: &str, destination: &str) -> Answer<()> {
        let call = Call::Link { layer, path: path.to_owned(), destination: destination.to_owned() };
        self.doing(call, || self.link(layer, path, destination))
    }

    fn link(&self, layer: usize, path: &str, destination: &str) -> Answer<()> {
        self.begin(Interface::Layers, Phase::Build)?;
        let at = super::path(path)?;
        let attempt = format!("could not link `{}` to `{}` in a layer", short(path), short(destination));
        let in_image = destination.strip_prefix('/').is_some_and(|rest| rest.parse::<TreePath>().is_ok());
        if !in_image && !link_stays_inside(&at, destination) {
            let rule = "a relative link stays inside its layer, an absolute one has no empty names, `.` or `..`";
            return Err(PortError::new(Fault::InvalidInput, format!("{attempt}: {rule}")));
        }
        let step = Key::new("link 1").field(path).field(destination).finish();
        let mut state = self.state();
        state.room_for(at.as_str().split('/').count(), &self.shop.limits, &attempt)?;
        replace(&mut state, layer, at, Node::Link(destination.to_owned()), &attempt, &step)
    }

    /// Copies files and links of the app into a layer, keeping their paths; answers how many. A link keeps its text.
    pub fn layer_copy_app(&self, layer: usize, patterns: &[String], into: &str) -> Answer<u64> {
        self.begin(Interface::Layers, Phase::Build)?;
        let folder = super::folder(into)?;
        let call = |said| Call::CopyApp { layer, patterns: patterns.to_vec(), into: into.to_owned(), said };
        let (part, content) = self.asking(|| self.app_part(patterns), |(_, content)| Said::is(*content), call)?;
        let step = Key::new("copy 1").field(into).field(content.hex()).finish();
        self.graft_into_layer(&mut self.state(), layer, &folder, &part, &step)
    }

    /// The files and links of the app that match, and a digest over them.
    pub(super) fn app_part(&self, patterns: &[String]) -> Answer<(Tree, Digest)> {
        let globs = super::globs(patterns)?;
        let attempt = "could not copy files of the app into a layer";
        let state = self.state();
        let mut part = Tree::new();
        for (path, node) in
            state.app.iter().filter(|(path, node)| globs.matches(path) && !matches!(node, Node::Folder(_)))
        {
            part.insert(path.clone(), node.clone()).map_err(|error| invalid(attempt, error))?;
        }
        let content = identity(part.iter(), &self.shop.cancel);
        let content = content.map_err(|error| PortError::of_io(attempt, Fault::Io, error))?;
        self.shop.cancel.check()?;
        Ok((part, content))
    }

    /// Takes away what matches; answers how many nodes went.
    pub fn layer_remove(&self, layer: usize, patterns: &[String]) -> Answer<u64> {
        self.doing(Call::Remove { layer, patterns: patterns.to_vec() }, || {
            self.begin(Interface::Layers, Phase::Build)?;
            let globs = super::globs(patterns)?;
            let step = Key::new("remove 1").list(patterns).finish();
            let mut state = self.state();
            let draft = state.layers.get_mut(layer).ok_or_else(|| unknown("layer"))?;
            let gone = draft.tree.remove_where(|path| globs.matches(path)) as u64;
            draft.did(&step);
            Ok(gone)
        })
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
        self.judging(|| {
            self.begin(Interface::Layers, Phase::Build)?;
            let state = self.state();
            let draft = state.layers.get(layer).ok_or_else(|| unknown("layer"))?;
            self.read_file(&draft.tree, path, limit)
        })
    }

    /// Changes the environment that a layer brings.
    pub fn layer_set_env(&self, layer: usize, change: EnvChange) -> Answer<()> {
        self.begin(Interface::Layers, Phase::Build)?;
        let attempt = format!("could not set `{}` in a layer", change.name);
        let mut state = self.state();
        let draft = state.layers.get_mut(layer).ok_or_else(|| unknown("layer"))?;
        draft.env.push(change);
        env::files(&draft.env).map(drop).map_err(|error| {
            draft.env.pop();
            invalid(&attempt, error)
        })
    }

    /// Keeps notes with a layer, in place of those there.
    pub fn layer_set_metadata(&self, layer: usize, values: Vec<(String, String)>) -> Answer<()> {
        self.begin(Interface::Layers, Phase::Build)?;
        let limit = self.shop.limits.metadata_bytes;
        if values.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > limit {
            let attempt = format!("could not keep notes with a layer: they have at most {limit} bytes");
            return Err(PortError::new(Fault::TooLarge, attempt));
        }
        let mut state = self.state();
        state.layers.get_mut(layer).ok_or_else(|| unknown("layer"))?.metadata = values.into_iter().collect();
        Ok(())
    }

    /// Puts a tree into a layer, as one step.
    pub(super) fn graft_into_layer(
        &self,
        state: &mut State,
        layer: usize,
        into: &TreePath,
        part: &Tree,
        step: &Digest,
    ) -> Answer<u64> {
        let draft = state.layers.get(layer).ok_or_else(|| unknown("layer"))?;
        let attempt = format!("could not put files into the layer `{}`", draft.name);
        state.room_for(part.len(), &self.shop.limits, &attempt)?;
        // On a copy, so that a step that fails leaves the layer as it was.
        let mut tree = draft.tree.clone();
        let count = graft(&mut tree, into, part).map_err(|error| invalid(&attempt, error))?;
        if let Some(folder) = ENV_FOLDERS.into_iter().find(|folder| tree.get(folder).is_some()) {
            return Err(environment(&attempt, folder));
        }
        let draft = &mut state.layers[layer];
        draft.tree = tree;
        draft.did(step);
        Ok(count)
    }
}

/// The folders at a layer's root whose files change the environment. They are written from what a buildpack sets, which was
/// checked ([`env::refusal`]), and from nothing else.
pub(super) const ENV_FOLDERS: [&str; 3] = ["env", "env.build", "env.launch"];

/// Puts one file or link into a layer, as one step.
fn replace(state: &mut State, layer: usize, at: TreePath, node: Node, attempt: &str, step: &Digest) -> Answer<()> {
    let draft = state.layers.get_mut(layer).ok_or_else(|| unknown("layer"))?;
    let first = at.as_str().split('/').next().unwrap_or_default();
    if let Some(folder) = ENV_FOLDERS.into_iter().find(|folder| *folder == first) {
        return Err(environment(attempt, folder));
    }
    draft.tree.replace(at, node).map_err(|error| invalid(attempt, error))?;
    draft.did(step);
    Ok(())
}

fn environment(attempt: &str, folder: &str) -> PortError {
    let attempt = format!("{attempt}: its `{folder}` carries what is set of the environment and nothing else");
    PortError::new(Fault::InvalidInput, attempt).hint("set variables by `set-env`")
}

pub(super) fn invalid(attempt: &str, cause: impl Into<Box<dyn Error + Send + Sync>>) -> PortError {
    PortError::new(Fault::InvalidInput, attempt).caused_by(cause)
}
