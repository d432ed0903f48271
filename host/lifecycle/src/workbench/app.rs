//! Questions about the app, answered from its index, and about archives within it.

use std::sync::Arc;

use stave_archive::{
    content::Content,
    glob::{Globs, find},
    tree::{Node, Tree, TreePath},
};
use stave_model::{
    capability::Interface,
    digest::{Digest, Key},
};

use super::{
    Answer, Phase, State, Workbench,
    journal::{Call, Said},
    short,
};
use crate::{
    app::{identity, with_origin},
    port::failure::{Fault, PortError},
};

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
}

/// What a buildpack is told of a file, folder or link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Bytes of a file; 0 otherwise.
    pub size: u64,
    /// Whether it can be run.
    pub executable: bool,
}

impl Entry {
    fn new(path: &TreePath, node: &Node) -> Self {
        let (kind, size, executable) = match node {
            Node::File(access, content) => (Kind::File, content.size(), access.mode & 0o111 != 0),
            Node::Folder(_) => (Kind::Folder, 0, false),
            Node::Link(_) => (Kind::Link, 0, false),
        };
        Self { path: path.to_string(), kind, size, executable }
    }
}

impl Workbench {
    /// Everything of the app that matches, sorted, at most `limit`.
    pub fn find(&self, patterns: &[String], limit: u32) -> Answer<Vec<Entry>> {
        let work = || {
            self.begin(Interface::App, Phase::Detect)?;
            let globs = super::globs(patterns)?;
            Ok(self.entries(&self.state().app, &globs, limit))
        };
        self.asking(work, |found| Said::entries(found), |said| Call::Find { patterns: patterns.to_vec(), limit, said })
    }

    /// What stands at a path of the app, links followed.
    pub fn stat(&self, path: &str) -> Answer<Option<Entry>> {
        let work = || {
            self.begin(Interface::App, Phase::Detect)?;
            let at = super::path(path)?;
            let state = self.state();
            let attempt = || format!("could not look at `{}`", short(path));
            let found = state.app.resolve(&at);
            let found = found.map_err(|error| PortError::new(Fault::InvalidInput, attempt()).caused_by(error))?;
            Ok(found.map(|(_, node)| Entry::new(&at, node)))
        };
        self.asking(work, |found| Said::entries(found), |said| Call::Stat { path: path.to_owned(), said })
    }

    /// Reads a file of the app.
    pub fn read(&self, path: &str, limit: u64) -> Answer<Vec<u8>> {
        let work = || {
            self.begin(Interface::App, Phase::Detect)?;
            self.read_file(&self.state().app, path, limit)
        };
        self.asking(work, |bytes| Said::bytes(bytes), |said| Call::Read { path: path.to_owned(), limit, said })
    }

    /// One digest over all files of the app that match.
    pub fn digest(&self, patterns: &[String]) -> Answer<Digest> {
        let work = || {
            self.begin(Interface::App, Phase::Detect)?;
            let globs = super::globs(patterns)?;
            let state = self.state();
            let files = state.app.iter().filter(|(path, node)| matches!(node, Node::File(..)) && globs.matches(path));
            let digest = identity(files, &self.shop.cancel);
            self.shop.cancel.check()?;
            digest.map_err(|error| PortError::of_io("could not hash files of the app", Fault::Io, error))
        };
        self.asking(work, |digest| Said::is(*digest), |said| Call::Digest { patterns: patterns.to_vec(), said })
    }

    /// Opens an archive of the app; the answer stands for it in the other calls.
    pub fn open_archive(&self, path: &str) -> Answer<usize> {
        let work = || {
            self.begin(Interface::App, Phase::Detect)?;
            let limit = self.shop.limits.open;
            if self.state().archives.len() >= limit {
                let attempt =
                    format!("could not open the archive `{}` of the app: at most {limit} are opened", short(path));
                return Err(PortError::new(Fault::TooLarge, attempt));
            }
            let archive = self.app_archive(path)?;
            let mut state = self.state();
            let said = archive.said();
            state.archives.push(archive.tree);
            Ok((state.archives.len() - 1, said))
        };
        let opened = self.asking(work, |(_, said)| *said, |said| Call::OpenArchive { path: path.to_owned(), said });
        opened.map(|(archive, _)| archive)
    }

    /// What [`Workbench::open_archive`] would say of the file at `path`, without reading it as an archive.
    pub(super) fn said_of_archive(&self, path: &str) -> Answer<Said> {
        let at = super::path(path)?;
        let (real, content) = found_archive(&self.state(), &at, &format!("could not look at `{}`", short(path)))?;
        let identity = content.identity();
        let identity = identity.map_err(|e| PortError::of_io("could not hash a file of the app", Fault::Io, e))?;
        Ok(said_of_archive(&real, &identity))
    }

    /// What is in an opened archive.
    pub fn archive_find(&self, archive: usize, patterns: &[String], limit: u32) -> Answer<Vec<Entry>> {
        let work = || {
            self.begin(Interface::App, Phase::Detect)?;
            let globs = super::globs(patterns)?;
            let state = self.state();
            let tree = state.archives.get(archive).ok_or_else(|| unknown("archive"))?;
            Ok(self.entries(tree, &globs, limit))
        };
        let call = |said| Call::ArchiveFind { archive, patterns: patterns.to_vec(), limit, said };
        self.asking(work, |found| Said::entries(found), call)
    }

    /// Reads a file of an opened archive.
    pub fn archive_read(&self, archive: usize, path: &str, limit: u64) -> Answer<Vec<u8>> {
        let work = || {
            self.begin(Interface::App, Phase::Detect)?;
            let state = self.state();
            let tree = state.archives.get(archive).ok_or_else(|| unknown("archive"))?;
            self.read_file(tree, path, limit)
        };
        let call = |said| Call::ArchiveRead { archive, path: path.to_owned(), limit, said };
        self.asking(work, |bytes| Said::bytes(bytes), call)
    }

    pub(super) fn entries(&self, tree: &Tree, globs: &Globs, limit: u32) -> Vec<Entry> {
        let limit = (limit as usize).min(self.shop.limits.results);
        find(tree, globs, limit).nodes.into_iter().map(|(path, node)| Entry::new(path, node)).collect()
    }

    /// An archive that is a file of the app.
    pub(super) fn app_archive(&self, path: &str) -> Answer<AppArchive> {
        let at = super::path(path)?;
        let mut state = self.state();
        let attempt = format!("could not open the archive `{}` of the app", short(path));
        let (real, content) = found_archive(&state, &at, &attempt)?;
        let identity = content.identity().map_err(|e| PortError::of_io(attempt.clone(), Fault::Io, e))?;
        let tree = self.unpack(&mut state, content.as_ref(), real.name(), &attempt)?;
        state.room_for(tree.len(), &self.shop.limits, &attempt)?;
        Ok(AppArchive { real, identity, tree: with_origin(tree, &identity) })
    }
}

/// An opened archive of the app.
pub(super) struct AppArchive {
    /// Where it really stands.
    pub(super) real: TreePath,
    /// What is in it.
    pub(super) tree: Tree,
    identity: Digest,
}

impl AppArchive {
    fn said(&self) -> Said {
        said_of_archive(&self.real, &self.identity)
    }
}

/// What an archive holds follows from its bytes and from its name, which tells the format.
fn said_of_archive(real: &TreePath, identity: &Digest) -> Said {
    Said::is(Key::new("archive 1").field(real.as_str()).field(identity.hex()).finish())
}

/// The file of the app that `at` leads to, and where it really stands.
fn found_archive(state: &State, at: &TreePath, attempt: &str) -> Answer<(TreePath, Arc<dyn Content>)> {
    let found = state.app.resolve(at);
    match found.map_err(|error| PortError::new(Fault::InvalidInput, attempt).caused_by(error))? {
        Some((real, Node::File(_, content))) => Ok((real, content.clone())),
        _ => Err(PortError::new(Fault::NotFound, format!("{attempt}: there is no such file"))),
    }
}

/// A handle that was never given out: only a faulty adapter can bring one.
pub(super) fn unknown(what: &str) -> PortError {
    PortError::new(Fault::InvalidInput, format!("could not find the {what}: it was never opened"))
}
