//! Declared dependencies: offered, fetched, looked into, and put into layers.

use std::sync::Arc;

use stave_archive::{
    content::{Content, Span},
    format::{self, Format},
    intake::ArchiveError,
    spool::Spool,
    tree::{Access, Node, Tree, TreePath},
};
use stave_model::{
    capability::Interface,
    dependency::{Artifact, Dependency},
    digest::{Digest, Key},
};

use super::{Answer, Entry, Phase, Shop, State, Workbench, app::unknown, layers::graft_into_layer, short};
use crate::{
    app::with_origin,
    port::failure::{Fault, PortError},
};

/// A declared dependency that has an artefact for the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Available {
    /// The declaration.
    pub dependency: Dependency,
    /// Its artefact for the target.
    pub artifact: Artifact,
}

/// What part of an archive goes where in a layer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unpacking {
    /// The folder in the archive to take; everything, when empty.
    pub from: String,
    /// The folder in the layer to put it; its root, when empty.
    pub into: String,
    /// Patterns to take; everything, when empty.
    pub keep: Vec<String>,
    /// Patterns to leave out.
    pub drop: Vec<String>,
    /// Patterns of files to make executable.
    pub executable: Vec<String>,
}

/// An artefact whose bytes are here. Its tree is read when it is first asked for.
pub(super) struct Fetched {
    digest: Digest,
    name: String,
    file: Span,
    tree: Option<Tree>,
}

impl Workbench {
    /// The versions of a declared dependency that there are for the target, newest first.
    pub fn available(&self, id: &str) -> Answer<Vec<Available>> {
        self.begin(Interface::Artifacts, Phase::Build)?;
        let platform = &self.shop.target.platform;
        let mut found: Vec<Available> = Vec::new();
        for dependency in self.manifest.dependencies.iter().filter(|dependency| dependency.id == id) {
            if let Some(artifact) = dependency.artifact_for(platform) {
                found.push(Available { dependency: dependency.clone(), artifact: artifact.clone() });
            }
        }
        found.sort_by(|a, b| b.dependency.version.cmp(&a.dependency.version));
        Ok(found)
    }

    /// Fetches and verifies a declared dependency; the answer stands for it in the other calls.
    pub fn fetch(&self, id: &str, version: &str) -> Answer<usize> {
        let available = self.available(id)?;
        let attempt = format!("fetch {} {} for {}", short(id), short(version), self.shop.target.platform);
        let Some(wanted) = available.into_iter().find(|a| a.dependency.version.to_string() == version) else {
            let attempt = format!("{attempt}: its manifest declares no such dependency");
            return Err(PortError::new(Fault::NotFound, attempt));
        };
        let ecosystem = &wanted.artifact.purl.kind;
        if !self.grants.ecosystems.contains(ecosystem) {
            return Err(self.denied(&format!("{attempt} from {ecosystem}"), &format!("ecosystems = [{ecosystem:?}]")));
        }
        if self.state().artifacts.len() >= self.shop.limits.open {
            return Err(PortError::new(Fault::TooLarge, format!("{attempt}: too many artefacts are open")));
        }
        // Not under the lock: this takes as long as a download takes.
        let Shop { artifacts, observer, cancel, .. } = &self.shop;
        let file = artifacts.fetch(&wanted.dependency, &wanted.artifact, observer.as_ref(), cancel)?;
        let purl = &wanted.artifact.purl;
        let name = purl.qualifiers.get("file_name").unwrap_or(&purl.name).clone();
        let mut state = self.state();
        state.artifacts.push(Fetched { digest: wanted.artifact.sha256, name, file, tree: None });
        Ok(state.artifacts.len() - 1)
    }

    /// The size of an artefact's file in bytes.
    pub fn artifact_size(&self, artifact: usize) -> Answer<u64> {
        Ok(self.state().artifacts.get(artifact).ok_or_else(|| unknown("artefact"))?.file.size())
    }

    /// What is in an artefact that is an archive.
    pub fn artifact_find(&self, artifact: usize, patterns: &[String], limit: u32) -> Answer<Vec<Entry>> {
        self.begin(Interface::Artifacts, Phase::Build)?;
        let globs = super::globs(patterns)?;
        let mut state = self.state();
        Ok(self.entries(self.artifact_tree(&mut state, artifact)?, &globs, limit))
    }

    /// Reads a file of an artefact that is an archive.
    pub fn artifact_read(&self, artifact: usize, path: &str, limit: u64) -> Answer<Vec<u8>> {
        self.begin(Interface::Artifacts, Phase::Build)?;
        let mut state = self.state();
        let tree = self.artifact_tree(&mut state, artifact)?;
        self.read_file(tree, path, limit)
    }

    /// Unpacks an artefact into a layer; answers how many files and links were put there.
    pub fn artifact_unpack(&self, artifact: usize, layer: usize, how: &Unpacking) -> Answer<u64> {
        self.begin(Interface::Artifacts, Phase::Build)?;
        let from = super::folder(&how.from)?;
        let into = super::folder(&how.into)?;
        let keep = if how.keep.is_empty() { None } else { Some(super::globs(&how.keep)?) };
        let drop = super::globs(&how.drop)?;
        let executable = super::globs(&how.executable)?;
        let mut state = self.state();
        let source = self.artifact_tree(&mut state, artifact)?.clone();
        let digest = state.artifacts[artifact].digest;
        let mut part = Tree::new();
        for (path, node) in source.iter() {
            let Some(path) = path.strip(&from).filter(|path| !path.as_str().is_empty()) else { continue };
            if keep.as_ref().is_some_and(|keep| !keep.matches(&path)) || drop.matches(&path) {
                continue;
            }
            let node = normal(node, executable.matches(&path));
            part.insert(path, node).map_err(|error| {
                PortError::new(Fault::InvalidInput, "unpack an artefact into a layer").caused_by(error)
            })?;
        }
        if part.is_empty() {
            let attempt = format!("unpack `{}` of an artefact: nothing there matches", short(&how.from));
            return Err(PortError::new(Fault::NotFound, attempt));
        }
        let recipe = Key::new("unpack 1").field(digest.hex()).field(&how.from).field(&how.into);
        let recipe = recipe.list(&how.keep).list(&how.drop).list(&how.executable).finish();
        graft_into_layer(&mut state, layer, &into, &part, recipe)
    }

    /// Puts an artefact's file itself into a layer.
    pub fn artifact_save(&self, artifact: usize, layer: usize, path: &str, executable: bool) -> Answer<()> {
        self.begin(Interface::Artifacts, Phase::Build)?;
        let at = super::path(path)?;
        let mut state = self.state();
        let fetched = state.artifacts.get(artifact).ok_or_else(|| unknown("artefact"))?;
        let recipe = Key::new("save 1").field(fetched.digest.hex()).field(path).field([u8::from(executable)]).finish();
        let mut part = Tree::new();
        let node = Node::file(Arc::new(fetched.file.clone()), executable);
        part.insert(at, node)
            .map_err(|error| PortError::new(Fault::InvalidInput, "save an artefact into a layer").caused_by(error))?;
        graft_into_layer(&mut state, layer, &TreePath::root(), &part, recipe)?;
        Ok(())
    }

    fn artifact_tree<'a>(&self, state: &'a mut State, artifact: usize) -> Answer<&'a Tree> {
        let fetched = state.artifacts.get(artifact).ok_or_else(|| unknown("artefact"))?;
        if fetched.tree.is_none() {
            let (file, name, digest) = (fetched.file.clone(), fetched.name.clone(), fetched.digest);
            let tree = self.unpack(state, &file, &name, &format!("look into the artefact `{}`", short(&name)))?;
            state.artifacts[artifact].tree = Some(with_origin(tree, &digest));
        }
        state.artifacts[artifact].tree.as_ref().ok_or_else(|| unknown("artefact"))
    }

    /// The tree of an archive, whatever its format is.
    pub(super) fn unpack(&self, state: &mut State, content: &dyn Content, name: &str, attempt: &str) -> Answer<Tree> {
        let failed = |error: ArchiveError| {
            let fault = match error {
                ArchiveError::Unknown(_) => Fault::Unsupported,
                ArchiveError::Spool(_) => Fault::Io,
                _ => Fault::Integrity,
            };
            PortError::new(fault, attempt).caused_by(error)
        };
        if state.spool.is_none() {
            let made = Spool::new_in(&self.shop.scratch);
            state.spool = Some(made.map_err(|error| PortError::new(Fault::Io, attempt).caused_by(error))?);
        }
        let Some(spool) = &mut state.spool else { return Err(PortError::new(Fault::Io, attempt)) };
        let span = spool.span_of(content).map_err(|error| PortError::new(Fault::Io, attempt).caused_by(error))?;
        let format = Format::of(name, &span).map_err(failed)?;
        format::unpack(span, format, &self.shop.limits.archive, spool).map_err(failed)
    }
}

/// A node as layers have them: owned by whoever the image says, and of one of two modes.
fn normal(node: &Node, executable: bool) -> Node {
    match node {
        Node::Folder(_) => Node::Folder(Access::FOLDER),
        Node::File(access, content) => Node::file(content.clone(), executable || access.mode & 0o111 != 0),
        Node::Link(text) => Node::Link(text.clone()),
    }
}
