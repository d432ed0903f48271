//! Writes a tree as an image layer: the same tree in the same place gives the same bytes, on any machine, at any time.
//!
//! The form is the one that the CNB lifecycle gives its layers: fixed time, no owner names, folders without a trailing slash,
//! parents first, names in walking order, ustar headers with PAX records only where they are needed. One pass makes it all: tar,
//! its digest, compression, the digest of that. Blocks of a fixed size are compressed by themselves, so that neither the
//! number of threads nor their interplay shows in the bytes ([`LAYER_FORMAT`]).

mod block;
mod laying;
mod pack;
mod packing;
mod press;
mod reading;
mod tarring;

use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::atomic::AtomicBool,
};

use stave_model::digest::Digest;

pub use self::{
    laying::lay,
    packing::{InvalidPacking, LAYER_FORMAT, Level, Packing},
    press::Press,
    reading::{read, read_whole},
};
use crate::{
    member::Member,
    tree::{Access, InvalidPath, Node, Tree, TreePath},
};

/// A name that starts so is not a file in a layer: it removes one from the layers below (OCI image spec, "Whiteouts").
const WHITEOUT: &str = ".wh.";

/// Where in the image a tree goes, and whose it is there.
#[derive(Debug, Clone)]
pub struct Place {
    folder: TreePath,
    parents: BTreeMap<TreePath, Access>,
    owner: Option<(u32, u32)>,
    relative: bool,
    link_mode: u32,
}

impl Place {
    /// The image's root: no entry is written for it.
    pub fn root() -> Self {
        Self { folder: TreePath::root(), parents: BTreeMap::new(), owner: None, relative: false, link_mode: 0o777 }
    }

    /// A folder of the image such as `/layers/stave_java/jre`; the leading `/` may be left out. It gets an entry, and so do its
    /// parents: theirs say that they are root's and all may read them, unless [`Place::parent`] says otherwise.
    pub fn folder(path: &str) -> Result<Self, InvalidPath> {
        match path.strip_prefix('/').unwrap_or(path) {
            "" => Ok(Self::root()),
            rest => Ok(Self { folder: rest.parse()?, ..Self::root() }),
        }
    }

    /// What one of the parents is: `/layers` belongs to the user who built, say. Later layers repeat what earlier ones said.
    #[must_use]
    pub fn parent(mut self, path: TreePath, access: Access) -> Self {
        self.parents.insert(path, access);
        self
    }

    /// Gives the folder and everything below it to one user, and makes modes the two there are ([`Access::of_file`]), folders
    /// `0755`: for the layers of an app. Without it the tree's own are written: for a distribution.
    #[must_use]
    pub fn owned_by(mut self, uid: u32, gid: u32) -> Self {
        self.owner = Some((uid, gid));
        self
    }

    /// Writes names without the leading `/`, as base images have them. With it is how the lifecycle writes.
    #[must_use]
    pub fn relative(mut self) -> Self {
        self.relative = true;
        self
    }

    /// Writes this mode for symbolic links, instead of the `0777` that they have on a disk. No system reads it; layers that the
    /// lifecycle makes up have another.
    #[must_use]
    pub fn link_mode(mut self, mode: u32) -> Self {
        self.link_mode = mode;
        self
    }

    fn name(&self, path: &TreePath) -> String {
        format!("{}{path}", if self.relative { "" } else { "/" })
    }

    fn access(&self, access: Access, is_file: bool) -> Access {
        match self.owner {
            None => access,
            Some((uid, gid)) => {
                let normal = if is_file { Access::of_file(access.mode & 0o111 != 0) } else { Access::FOLDER };
                Access { uid, gid, ..normal }
            }
        }
    }
}

/// A layer that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Digest of the tar, as image configurations list it.
    pub diff_id: Digest,
    /// Digest of the bytes that were written, as manifests list it.
    pub digest: Digest,
    /// How many bytes were written.
    pub size: u64,
    /// How many bytes the tar has.
    pub tar_size: u64,
    /// OCI's name for the bytes that were written.
    pub media_type: &'static str,
}

/// Why a layer was not written. What was written of it so far is of no use.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// Someone asked to stop.
    #[error("writing the layer was cancelled")]
    Cancelled,
    /// A file would act as the removal of another.
    #[error("`{}` cannot be in a layer: names that start with `.wh.` remove files", .0.escape_debug())]
    Whiteout(String),
    /// A path is too long once it is in its place.
    #[error(transparent)]
    Path(#[from] InvalidPath),
    /// A file cannot be read, or is not what it was when it was indexed.
    #[error("cannot read `{}` into a layer", .path.escape_debug())]
    Content {
        /// The file, as it is named in the image.
        path: String,
        /// What was wrong.
        #[source]
        source: io::Error,
    },
    /// The layer cannot be written: most often a full disk.
    #[error("cannot write the layer")]
    Output(#[source] io::Error),
    /// The system gave no thread.
    #[error("cannot start a thread to write the layer")]
    Thread(#[source] io::Error),
}

/// Writes one layer on threads of its own, see [`Press::write`].
pub fn write(
    tree: &Tree,
    place: &Place,
    packing: Packing,
    cancel: &AtomicBool,
    out: impl Write,
) -> Result<Written, LayerError> {
    Press::new()?.write(tree, place, packing, cancel, &|_| (), out)
}

/// Everything a layer holds, in order: parents, the folder, what is below it. What an entry is called is put together when it is
/// its turn, so that the names of many files are not held all at once.
fn members<'a>(tree: &'a Tree, place: &'a Place) -> impl Iterator<Item = Result<Member<'a>, LayerError>> {
    let mut above = Vec::new();
    let mut at = place.folder.parent();
    while let Some(parent) = at.filter(|parent| *parent != TreePath::root()) {
        let access = place.parents.get(&parent).copied().unwrap_or(Access::FOLDER);
        above.push(Member::folder(place.name(&parent), access));
        at = parent.parent();
    }
    above.reverse();
    if place.folder != TreePath::root() {
        above.push(Member::folder(place.name(&place.folder), place.access(Access::FOLDER, false)));
    }
    let mut nodes: Vec<_> = tree.iter().collect();
    nodes.sort_by(|(a, _), (b, _)| walking_order(a).cmp(walking_order(b)));
    above.into_iter().map(Ok).chain(nodes.into_iter().map(|(path, node)| member(place, path, node)))
}

fn member<'a>(place: &Place, path: &TreePath, node: &'a Node) -> Result<Member<'a>, LayerError> {
    let whole = place.folder.join(path)?;
    if path.name().starts_with(WHITEOUT) {
        return Err(LayerError::Whiteout(place.name(&whole)));
    }
    let name = place.name(&whole);
    Ok(match node {
        Node::Folder(access) => Member::folder(name, place.access(*access, false)),
        Node::File(access, content) => Member::file(name, place.access(*access, true), content.as_ref()),
        Node::Link(text) => {
            let (uid, gid) = place.owner.unwrap_or((0, 0));
            Member::link(name, text, Access { mode: place.link_mode, uid, gid })
        }
    })
}

/// Sorts what is in a folder right behind it: `a`, `a/b`, `a-b`, where plain text order puts `a-b` before `a/b`.
fn walking_order(path: &TreePath) -> impl Iterator<Item = u8> + '_ {
    path.as_str().bytes().map(|byte| if byte == b'/' { 0 } else { byte })
}

#[cfg(test)]
mod tests;
