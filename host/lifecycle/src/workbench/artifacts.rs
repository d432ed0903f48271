//! Declared dependencies: offered, fetched, looked into, and put into layers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stave_archive::{
    content::{Content, Span},
    format::{self, Format},
    intake::ArchiveError,
    spool::{Spool, SpoolError},
    tree::{Access, Node, Tree, TreeError, TreePath, link_stays_inside},
};
use stave_model::{
    capability::{Excess, Interface},
    dependency::{Artifact, Dependency, GENERIC},
    digest::{Digest, Key},
    sbom::Component,
};

use super::{
    Answer, Entry, Phase, Shop, State, Workbench,
    app::unknown,
    journal::{Call, Said},
    short,
};
use crate::{
    app::with_origin,
    port::{
        failure::{Fault, PortError},
        recall::Unkept,
    },
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
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
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
    component: Component,
    digest: Digest,
    name: String,
    file: Span,
    tree: Option<Tree>,
}

impl Fetched {
    /// Its tree, if it was asked for.
    pub(super) fn tree(&self) -> Option<&Tree> {
        self.tree.as_ref()
    }
}

impl State {
    /// Notes that a layer holds something of an artefact.
    fn holds(&mut self, layer: usize, artifact: usize) {
        let contents = &mut self.layers[layer].contents;
        let component = &self.artifacts[artifact].component;
        if !contents.contains(component) {
            contents.push(component.clone());
        }
    }
}

impl Workbench {
    /// The versions of a declared dependency that there are for the target, newest first.
    pub fn available(&self, id: &str) -> Answer<Vec<Available>> {
        let said = |found: &Vec<Available>| Said::available(found);
        self.asking(|| self.offered(id), said, |said| Call::Available { id: id.to_owned(), said })
    }

    fn offered(&self, id: &str) -> Answer<Vec<Available>> {
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
        let work = || {
            let wanted = self.wanted(id, version)?;
            // Not under the lock: this takes as long as a download takes.
            let Shop { artifacts, observer, cancel, .. } = &self.shop;
            let file = artifacts.fetch(&wanted.dependency, &wanted.artifact, observer.as_ref(), cancel);
            // Whatever is said of a fetch that failed, it says nothing about the next one.
            let file = file.inspect_err(|_| self.forget(Unkept::Failure))?;
            let purl = &wanted.artifact.purl;
            let name = purl.qualifiers.get("file_name").unwrap_or(&purl.name).clone();
            let mut state = self.state();
            let component = Component::of_dependency(&wanted.dependency, &wanted.artifact);
            state.artifacts.push(Fetched { component, digest: wanted.artifact.sha256, name, file, tree: None });
            Ok((state.artifacts.len() - 1, wanted.artifact.sha256))
        };
        let call = |said| Call::Fetch { id: id.to_owned(), version: version.to_owned(), said };
        self.asking(work, |(_, digest)| Said::is(*digest), call).map(|(artifact, _)| artifact)
    }

    /// A declared dependency that may be fetched, before it is.
    pub(super) fn wanted(&self, id: &str, version: &str) -> Answer<Available> {
        let available = self.offered(id)?;
        let attempt = format!("could not fetch {} {} for {}", short(id), short(version), self.shop.target.platform);
        let Some(wanted) = available.into_iter().find(|a| a.dependency.version.to_string() == version) else {
            let title = self.manifest.title();
            let attempt = format!("{attempt}: the manifest of {title} declares no such dependency");
            return Err(PortError::new(Fault::NotFound, attempt));
        };
        let purl = &wanted.artifact.purl;
        self.may_come_from(&attempt, Excess::Ecosystem(purl.kind.clone()))?;
        if purl.kind == GENERIC {
            let Some(host) = purl.download_host() else {
                let rule = "its `download_url` names no host in plain letters";
                return Err(PortError::new(Fault::InvalidInput, format!("{attempt}: {rule}")));
            };
            self.may_come_from(&attempt, Excess::Host(host))?;
        }
        let limit = self.shop.limits.open;
        if self.state().artifacts.len() >= limit {
            return Err(PortError::new(Fault::TooLarge, format!("{attempt}: at most {limit} are fetched")));
        }
        Ok(wanted)
    }

    /// Checks that what is fetched may come from an ecosystem or a host, and notes that it does.
    fn may_come_from(&self, attempt: &str, source: Excess) -> Answer<()> {
        let attempt = format!("{attempt} from {}", short(source.name()));
        if !self.manifest.asks.allows(&source) {
            return Err(self.unasked(&attempt, source));
        }
        if !self.allowed.may().allows(&source) {
            return Err(self.denied(&attempt, source));
        }
        self.used(source);
        Ok(())
    }

    /// The size of an artefact's file in bytes.
    pub fn artifact_size(&self, artifact: usize) -> Answer<u64> {
        Ok(self.state().artifacts.get(artifact).ok_or_else(|| unknown("artefact"))?.file.size())
    }

    /// What is in an artefact that is an archive.
    pub fn artifact_find(&self, artifact: usize, patterns: &[String], limit: u32) -> Answer<Vec<Entry>> {
        self.judging(|| {
            self.begin(Interface::Artifacts, Phase::Build)?;
            let globs = super::globs(patterns)?;
            let mut state = self.state();
            Ok(self.entries(self.artifact_tree(&mut state, artifact)?, &globs, limit))
        })
    }

    /// Reads a file of an artefact that is an archive.
    pub fn artifact_read(&self, artifact: usize, path: &str, limit: u64) -> Answer<Vec<u8>> {
        self.judging(|| {
            self.begin(Interface::Artifacts, Phase::Build)?;
            let mut state = self.state();
            let tree = self.artifact_tree(&mut state, artifact)?;
            self.read_file(tree, path, limit)
        })
    }

    /// Unpacks an artefact into a layer; answers how many files and links were put there.
    pub fn artifact_unpack(&self, artifact: usize, layer: usize, how: &Unpacking) -> Answer<u64> {
        let call = Call::Unpack { artifact, layer, how: how.clone() };
        self.doing(call, || self.unpack_into(artifact, layer, how))
    }

    fn unpack_into(&self, artifact: usize, layer: usize, how: &Unpacking) -> Answer<u64> {
        self.begin(Interface::Artifacts, Phase::Build)?;
        let from = super::folder(&how.from)?;
        let into = super::folder(&how.into)?;
        let keep = if how.keep.is_empty() { None } else { Some(super::globs(&how.keep)?) };
        let drop = super::globs(&how.drop)?;
        let executable = super::globs(&how.executable)?;
        let mut state = self.state();
        let source = self.artifact_tree(&mut state, artifact)?.clone();
        let Fetched { digest, name, .. } = &state.artifacts[artifact];
        let (digest, attempt) = (*digest, format!("could not unpack the artefact `{}` into a layer", short(name)));
        let mut part = Tree::new();
        for (path, node) in source.iter() {
            let Some(path) = path.strip(&from).filter(|path| !path.as_str().is_empty()) else { continue };
            if keep.as_ref().is_some_and(|keep| !keep.matches(&path)) || drop.matches(&path) {
                continue;
            }
            let node = normal(node, executable.matches(&path));
            check_link(&into, &path, &node)
                .map_err(|e| PortError::new(Fault::InvalidInput, attempt.as_str()).caused_by(e))?;
            part.insert(path, node).map_err(|e| PortError::new(Fault::InvalidInput, attempt.as_str()).caused_by(e))?;
        }
        if part.is_empty() {
            let what = if how.from.is_empty() { "it".to_owned() } else { format!("`{}`", short(&how.from)) };
            return Err(PortError::new(Fault::NotFound, format!("{attempt}: nothing in {what} is wanted")));
        }
        let recipe = Key::new("unpack 1").field(digest.hex()).field(&how.from).field(&how.into);
        let recipe = recipe.list(&how.keep).list(&how.drop).list(&how.executable).finish();
        let count = self.graft_into_layer(&mut state, layer, &into, &part, &recipe)?;
        state.holds(layer, artifact);
        Ok(count)
    }

    /// Puts an artefact's file itself into a layer.
    pub fn artifact_save(&self, artifact: usize, layer: usize, path: &str, executable: bool) -> Answer<()> {
        let call = Call::Save { artifact, layer, path: path.to_owned(), executable };
        self.doing(call, || self.save_into(artifact, layer, path, executable))
    }

    fn save_into(&self, artifact: usize, layer: usize, path: &str, executable: bool) -> Answer<()> {
        self.begin(Interface::Artifacts, Phase::Build)?;
        let at = super::path(path)?;
        let mut state = self.state();
        let fetched = state.artifacts.get(artifact).ok_or_else(|| unknown("artefact"))?;
        let recipe = Key::new("save 1").field(fetched.digest.hex()).field(path).field([u8::from(executable)]).finish();
        let mut part = Tree::new();
        let node = Node::file(Arc::new(fetched.file.clone()), executable);
        let attempt = format!("could not save the artefact `{}` into a layer", short(&fetched.name));
        part.insert(at, node).map_err(|error| PortError::new(Fault::InvalidInput, attempt).caused_by(error))?;
        self.graft_into_layer(&mut state, layer, &TreePath::root(), &part, &recipe)?;
        state.holds(layer, artifact);
        Ok(())
    }

    fn artifact_tree<'a>(&self, state: &'a mut State, artifact: usize) -> Answer<&'a Tree> {
        let fetched = state.artifacts.get(artifact).ok_or_else(|| unknown("artefact"))?;
        if fetched.tree.is_none() {
            let (file, name, digest) = (fetched.file.clone(), fetched.name.clone(), fetched.digest);
            let attempt = format!("could not look into the artefact `{}`", short(&name));
            let tree = self.unpack(state, &file, &name, &attempt)?;
            state.room_for(tree.len(), &self.shop.limits, &attempt)?;
            state.artifacts[artifact].tree = Some(with_origin(tree, &digest));
        }
        state.artifacts[artifact].tree.as_ref().ok_or_else(|| unknown("artefact"))
    }

    /// The tree of an archive, whatever its format is.
    pub(super) fn unpack(&self, state: &mut State, content: &dyn Content, name: &str, attempt: &str) -> Answer<Tree> {
        self.spooled(state, attempt, |spool| {
            let span = spool.span_of(content)?;
            let format = Format::of(name, &span)?;
            Ok(format::unpack(span, format, &self.shop.limits.archive, spool)?)
        })
    }

    /// What `work` unpacks to the bench's temporary file.
    pub(super) fn spooled<T>(
        &self,
        state: &mut State,
        attempt: &str,
        work: impl FnOnce(&mut Spool) -> Result<T, Unreadable>,
    ) -> Answer<T> {
        let limit = self.shop.limits.spool_bytes;
        if state.spool.as_ref().is_some_and(|spool| spool.size() > limit) {
            let attempt = format!("{attempt}: what a buildpack has unpacked takes at most {limit} bytes of disk");
            return Err(PortError::new(Fault::TooLarge, attempt));
        }
        let mut spool = match state.spool.take() {
            Some(spool) => spool,
            None => Spool::new_in(&self.shop.scratch).map_err(|e| PortError::of_io(attempt, Fault::Io, e))?,
        };
        let unpacked = work(&mut spool);
        state.spool = Some(spool);
        unpacked.map_err(|error| error.because(attempt))
    }
}

/// An archive that could not be read: by itself, or where it had to be copied first.
pub(super) enum Unreadable {
    Archive(ArchiveError),
    Copy(SpoolError),
}

impl From<ArchiveError> for Unreadable {
    fn from(error: ArchiveError) -> Self {
        Self::Archive(error)
    }
}

impl From<SpoolError> for Unreadable {
    fn from(error: SpoolError) -> Self {
        Self::Copy(error)
    }
}

impl Unreadable {
    /// The archive's fault, or the disk's.
    fn because(self, attempt: &str) -> PortError {
        match self {
            Self::Archive(ArchiveError::Unknown(name)) => {
                PortError::new(Fault::Unsupported, attempt).caused_by(ArchiveError::Unknown(name))
            }
            Self::Archive(ArchiveError::Spool(error)) | Self::Copy(SpoolError::Write(error)) => {
                PortError::of_io(attempt, Fault::Io, error)
            }
            Self::Archive(error) => PortError::new(Fault::Integrity, attempt).caused_by(error),
            Self::Copy(SpoolError::Read(error)) => PortError::of_io(attempt, Fault::Integrity, error),
            Self::Copy(error @ SpoolError::Short) => PortError::new(Fault::Integrity, attempt).caused_by(error),
        }
    }
}

/// A link that stayed inside its archive may lead outside of the part that is taken of it. Absolute ones, which only Debian
/// packages have, are for the image's own root.
fn check_link(into: &TreePath, path: &TreePath, node: &Node) -> Result<(), TreeError> {
    let at = into.join(path)?;
    match node {
        Node::Link(text) if !text.starts_with('/') && !link_stays_inside(&at, text) => {
            Err(TreeError::LinkOutside(at.to_string(), text.clone()))
        }
        _ => Ok(()),
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
