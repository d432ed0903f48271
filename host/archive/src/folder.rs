//! Indexes a folder of the user's (an app) without copying it and without following a link out of it.
//!
//! Folders are listed by all the machine's cores, some at a time, and taken in in an order that does not depend on them.
//! The folder is opened once; everything below is reached through that handle. A file's bytes are read when they are wanted,
//! and only if it is still the file that was indexed: same file, same size, same time. Its digest is not even read for if an
//! earlier run did and the file is the same ([`crate::seen`]).

mod file;
mod listing;

use std::{io, ops::Range, path::Path, sync::Arc};

use cap_std::{ambient_authority, fs::Dir};

use self::{
    file::FolderFile,
    listing::{Entry, Found, Kind, list_all},
};
use crate::{
    limits::Limits,
    seen::{Seen, Stat},
    tree::{Access, InvalidPath, Node, Tree, TreeError, TreePath},
};

/// How many skipped things are named; the rest are counted.
const MAX_SKIPPED: usize = 100;

/// Why a folder was not indexed.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Something in it cannot be looked at.
    #[error("cannot read `{}`", .path.escape_debug())]
    Read {
        /// Where, relative to the folder or as the folder was given.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A name or link text is not UTF-8, so no image could carry it unchanged.
    #[error("`{}` has a name, or a link with a text, that is not UTF-8", .0.escape_debug())]
    NotText(String),
    /// A path cannot stand in a tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The folder holds too much.
    #[error("`{}` goes beyond the limit: {rule}", .path.escape_debug())]
    Limit {
        /// Where the limit was reached.
        path: String,
        /// Which one it was.
        rule: String,
    },
    /// A folder was swapped for something else while it was indexed.
    #[error("`{}` changed while it was read", .0.escape_debug())]
    Changed(String),
}

impl From<InvalidPath> for FolderError {
    fn from(invalid: InvalidPath) -> Self {
        Self::Tree(invalid.into())
    }
}

/// An indexed folder.
#[derive(Debug, Clone)]
pub struct Folder {
    /// Files, folders and links. Modes are [`Access::of_file`]'s two, so that a umask changes nothing.
    pub tree: Tree,
    /// Sockets, devices and fifos that were left out: the first hundred.
    pub skipped: Vec<TreePath>,
    /// How many were left out.
    pub skipped_count: usize,
}

/// Indexes everything below `path`. Symbolic links keep their text, whatever it is; none is followed, but for `path` itself.
pub fn read(path: &Path, limits: &Limits) -> Result<Folder, FolderError> {
    read_knowing(path, limits, &Seen::default(), &mut |_, _| false)
}

/// The same, where some files were `seen` before: their digests are known. What
/// `passes` over is not in the index, nor is anything below it; it is told the path and whether a folder stands there.
pub fn read_knowing(
    path: &Path,
    limits: &Limits,
    seen: &Seen,
    passes: &mut dyn FnMut(&TreePath, bool) -> bool,
) -> Result<Folder, FolderError> {
    let unreadable = |source| FolderError::Read { path: path.display().to_string(), source };
    let root = Dir::open_ambient_dir(path, ambient_authority()).map_err(unreadable)?;
    let stat = Stat::of_handle(&root).map_err(|error| unreadable(error.into()))?;
    let mut walk = Walk {
        root: Arc::new(root),
        seen,
        limits,
        passes,
        index: Index::default(),
        bytes: 0,
        skipped: Vec::new(),
        skipped_count: 0,
    };
    walk.index.folders.push((TreePath::root(), stat));
    let names = limits.entries.saturating_mul(NAMES).max(AHEAD);
    let (mut done, mut at_once) = (0, 1);
    while done < walk.index.folders.len() {
        let end = walk.index.folders.len().min(done + at_once);
        let listings = list_all(&walk.root, &walk.index.folders[done..end], names);
        for (number, listing) in (done..).zip(listings) {
            walk.take_in(number, listing?)?;
        }
        done = end;
        at_once = (AHEAD * done).div_ceil(walk.index.nodes.len().max(1)).max(1);
    }
    let tree = Tree::of(walk.index.in_order())?;
    Ok(Folder { tree, skipped: walk.skipped, skipped_count: walk.skipped_count })
}

/// About how many entries are listed before they are taken in.
const AHEAD: usize = 8192;
/// So many names are listed at once, at most, for each entry that may be taken in: what is passed over is listed too.
const NAMES: usize = 4;

struct Walk<'a> {
    root: Arc<Dir>,
    seen: &'a Seen,
    limits: &'a Limits,
    passes: &'a mut dyn FnMut(&TreePath, bool) -> bool,
    index: Index,
    bytes: u64,
    skipped: Vec<TreePath>,
    skipped_count: usize,
}

impl Walk<'_> {
    /// Takes in what the folder of this number holds; the folders in it are listed later.
    fn take_in(&mut self, number: usize, listing: Vec<Entry>) -> Result<(), FolderError> {
        let start = self.index.nodes.len();
        let folder = self.index.folders[number].0.clone();
        let mut path = String::from(folder.as_str());
        let prefix = if path.is_empty() { 0 } else { path.len() + 1 };
        for entry in listing {
            path.truncate(prefix.saturating_sub(1));
            if prefix > 0 {
                path.push('/');
            }
            path.push_str(&entry.name);
            self.put(path.parse()?, entry)?;
        }
        self.index.spans.push(start..self.index.nodes.len());
        Ok(())
    }

    fn put(&mut self, path: TreePath, entry: Entry) -> Result<(), FolderError> {
        if (self.passes)(&path, entry.is_folder) {
            return Ok(());
        }
        if self.index.nodes.len() >= self.limits.entries {
            let rule = format!("more than {} files and folders", self.limits.entries);
            return Err(FolderError::Limit { path: path.as_str().to_owned(), rule });
        }
        let Found { kind, stat } = entry.found.map_err(|error| error.at(&path))?;
        let node = match kind {
            Kind::Folder => {
                self.index.below.push((self.index.nodes.len(), self.index.folders.len()));
                self.index.folders.push((path.clone(), stat));
                Node::Folder(Access::FOLDER)
            }
            Kind::Link(text) => Node::Link(text),
            Kind::Special => {
                self.skipped_count += 1;
                if self.skipped.len() < MAX_SKIPPED {
                    self.skipped.push(path);
                }
                return Ok(());
            }
            Kind::File => {
                self.count(&path, stat.size())?;
                let known = self.seen.recall(path.as_str(), &stat);
                Node::file(Arc::new(FolderFile::new(&self.root, path.clone(), stat, known)), stat.is_executable())
            }
        };
        self.index.nodes.push(Some((path, node)));
        Ok(())
    }

    fn count(&mut self, path: &TreePath, size: u64) -> Result<(), FolderError> {
        self.bytes = self.bytes.saturating_add(size);
        let rule = if size > self.limits.entry_bytes {
            format!("{size} bytes in one file, more than {}", self.limits.entry_bytes)
        } else if self.bytes > self.limits.total_bytes {
            format!("more than {} bytes in all files", self.limits.total_bytes)
        } else {
            return Ok(());
        };
        Err(FolderError::Limit { path: path.as_str().to_owned(), rule })
    }
}

/// What was found so far: folder by folder, each sorted by name.
#[derive(Default)]
struct Index {
    nodes: Vec<Option<(TreePath, Node)>>,
    /// The folders, in the order in which they were found, and what the system said of each.
    folders: Vec<(TreePath, Stat)>,
    /// Which nodes are in a folder.
    spans: Vec<Range<usize>>,
    /// Which folder a node is, for those that are one; sorted by node.
    below: Vec<(usize, usize)>,
}

/// Something to do next when an index is brought into order.
enum Next {
    Node(usize),
    Below(usize),
}

impl Index {
    /// All nodes by path, in byte order. Sorting them would take several times longer.
    fn in_order(mut self) -> Vec<(TreePath, Node)> {
        let mut sorted = Vec::with_capacity(self.nodes.len());
        let mut ahead = vec![self.steps(0)];
        while let Some(steps) = ahead.last_mut() {
            match steps.next() {
                Some(Next::Node(at)) => sorted.extend(self.nodes[at].take()),
                Some(Next::Below(folder)) => ahead.push(self.steps(folder)),
                None => {
                    ahead.pop();
                }
            }
        }
        sorted
    }

    /// The nodes of a folder, and what is below each of them that is a folder itself: that comes where a `/` behind the name
    /// puts it, so `a`, `a-b`, `a/c`, `a0`.
    fn steps(&self, folder: usize) -> std::vec::IntoIter<Next> {
        let span = self.spans.get(folder).cloned().unwrap_or_default();
        let name = |at: usize| self.nodes[at].as_ref().map_or("", |(path, _)| path.name());
        let mut steps: Vec<(&str, &str, Next)> = span.clone().map(|at| (name(at), "", Next::Node(at))).collect();
        let from = self.below.partition_point(|(node, _)| *node < span.start);
        let folders = self.below[from..].iter().take_while(|(node, _)| *node < span.end);
        let nodes = steps.len();
        steps.extend(folders.map(|(node, folder)| (name(*node), "/", Next::Below(*folder))));
        if steps.len() > nodes {
            steps.sort_by(|(a, x, _), (b, y, _)| a.bytes().chain(x.bytes()).cmp(b.bytes().chain(y.bytes())));
        }
        steps.into_iter().map(|(_, _, next)| next).collect::<Vec<_>>().into_iter()
    }
}

#[cfg(test)]
mod tests;
