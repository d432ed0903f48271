//! Writes a tree as an image layer: the same tree in the same place gives the same bytes, on any machine, at any time.
//!
//! The form is the one that the CNB lifecycle gives its layers: fixed time, no owner names, folders without a trailing slash,
//! parents first, names in walking order, ustar headers with PAX records only where they are needed. One pass makes it all: tar,
//! its digest, gzip, the digest of that. One thread reads and hashes the tar, the other compresses; blocks have a fixed size, so
//! that their interplay never shows in the bytes.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread,
};

use stave_model::digest::{Digest, Hasher};

use crate::{
    content::Content,
    header::BLOCK,
    member::{self, Member},
    tree::{Access, InvalidPath, Node, Tree, TreePath},
};

/// What passes between the two threads, in bytes. Part of the format: compressed bytes may depend on it.
const CHUNK: usize = 256 * 1024;
/// How many chunks there are; with them a layer of any size is written in this much memory.
const CHUNKS: usize = 6;
/// A name that starts so is not a file in a layer: it removes one from the layers below (OCI image spec, "Whiteouts").
const WHITEOUT: &str = ".wh.";

/// Where in the image a tree goes, and whose it is there.
#[derive(Debug, Clone)]
pub struct Place {
    folder: TreePath,
    parents: BTreeMap<TreePath, Access>,
    owner: Option<(u32, u32)>,
    relative: bool,
}

impl Place {
    /// The image's root: no entry is written for it.
    pub fn root() -> Self {
        Self { folder: TreePath::root(), parents: BTreeMap::new(), owner: None, relative: false }
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

/// How a layer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// Gzip at its fastest level, with an empty header.
    Gzip,
}

impl Packing {
    /// OCI's name for a layer that is packed so.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Plain => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
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

/// Writes `tree` at its `place` to `out`, until done or `cancel` is set.
pub fn write(
    tree: &Tree,
    place: &Place,
    packing: Packing,
    cancel: &AtomicBool,
    out: impl Write,
) -> Result<Written, LayerError> {
    let members = members(tree, place)?;
    let (full, filled) = sync_channel(CHUNKS);
    let (empty, emptied) = channel();
    for _ in 1..CHUNKS {
        // The receiver is right here.
        let _ = empty.send(Chunk::new());
    }
    thread::scope(|scope| {
        let read = move || {
            TarStream { full, emptied, chunk: Chunk::new(), hasher: Hasher::new(), size: 0, cancel }.run(&members)
        };
        let reading = thread::Builder::new().name("layer-tar".to_owned()).spawn_scoped(scope, read);
        let reading = reading.map_err(LayerError::Thread)?;
        let packed = pack(packing, filled, &empty, out);
        drop(empty);
        let read = reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match (read, packed) {
            (Err(Stop::Failed(error)), _) => Err(error),
            (_, Err(source)) => Err(LayerError::Output(source)),
            (Err(Stop::Unheard), Ok(_)) => Err(LayerError::Output(io::ErrorKind::BrokenPipe.into())),
            (Ok((diff_id, tar_size)), Ok((digest, size))) => {
                Ok(Written { diff_id, digest, size, tar_size, media_type: packing.media_type() })
            }
        }
    })
}

/// Everything the layer holds, in order: parents, the folder, what is below it.
fn members<'a>(tree: &'a Tree, place: &Place) -> Result<Vec<Member<'a>>, LayerError> {
    let mut members = Vec::with_capacity(tree.len() + 4);
    let mut parents = Vec::new();
    let mut at = place.folder.parent();
    while let Some(parent) = at.filter(|parent| *parent != TreePath::root()) {
        at = parent.parent();
        parents.push(parent);
    }
    for parent in parents.iter().rev() {
        let access = place.parents.get(parent).copied().unwrap_or(Access::FOLDER);
        members.push(Member::folder(place.name(parent), access));
    }
    if place.folder != TreePath::root() {
        members.push(Member::folder(place.name(&place.folder), place.access(Access::FOLDER, false)));
    }
    let mut nodes: Vec<_> = tree.iter().collect();
    nodes.sort_by(|(a, _), (b, _)| walking_order(a).cmp(walking_order(b)));
    for (path, node) in nodes {
        let whole = place.folder.join(path)?;
        if path.name().starts_with(WHITEOUT) {
            return Err(LayerError::Whiteout(place.name(&whole)));
        }
        let name = place.name(&whole);
        members.push(match node {
            Node::Folder(access) => Member::folder(name, place.access(*access, false)),
            Node::File(access, content) => Member::file(name, place.access(*access, true), content.as_ref()),
            Node::Link(text) => Member::link(name, text, place.owner.unwrap_or((0, 0))),
        });
    }
    Ok(members)
}

/// Sorts what is in a folder right behind it: `a`, `a/b`, `a-b`, where plain text order puts `a-b` before `a/b`.
fn walking_order(path: &TreePath) -> impl Iterator<Item = u8> + '_ {
    path.as_str().bytes().map(|byte| if byte == b'/' { 0 } else { byte })
}

/// Why the reading thread ended early.
enum Stop {
    Failed(LayerError),
    /// The writing thread is gone; it knows why.
    Unheard,
}

const SHORTER: &str = "it is shorter than it was when it was indexed";
const LONGER: &str = "it is longer than it was when it was indexed";

/// A piece of the tar on its way from one thread to the other, and back when it is empty.
struct Chunk {
    bytes: Box<[u8]>,
    len: usize,
}

impl Chunk {
    fn new() -> Self {
        Self { bytes: vec![0; CHUNK].into_boxed_slice(), len: 0 }
    }

    fn filled(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.len..]
    }
}

/// Makes the tar, in chunks.
struct TarStream<'a> {
    full: SyncSender<Chunk>,
    emptied: Receiver<Chunk>,
    chunk: Chunk,
    hasher: Hasher,
    size: u64,
    cancel: &'a AtomicBool,
}

impl TarStream<'_> {
    fn run(mut self, members: &[Member<'_>]) -> Result<(Digest, u64), Stop> {
        for member in members {
            self.put(&member::headers(member))?;
            if let Some(content) = member.content {
                self.content(&member.name, content)?;
            }
        }
        self.put(&[0; 2 * BLOCK])?;
        self.flush()?;
        Ok((self.hasher.finish(), self.size))
    }

    fn put(&mut self, mut bytes: &[u8]) -> Result<(), Stop> {
        while !bytes.is_empty() {
            let room = self.chunk.room();
            let (now, later) = bytes.split_at(bytes.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            bytes = later;
            self.took(now.len())?;
        }
        Ok(())
    }

    /// `count` bytes were put into the chunk's room; a full one is passed on.
    fn took(&mut self, count: usize) -> Result<(), Stop> {
        self.chunk.len += count;
        if self.chunk.len == CHUNK { self.flush() } else { Ok(()) }
    }

    fn content(&mut self, name: &str, content: &dyn Content) -> Result<(), Stop> {
        let failed = |source| Stop::Failed(LayerError::Content { path: name.to_owned(), source });
        let size = content.size();
        let mut reader = content.open().map_err(failed)?;
        let mut left = size;
        while left > 0 {
            let room = self.chunk.room();
            let wanted = usize::try_from(left).unwrap_or(CHUNK).min(room.len());
            match reader.read(&mut room[..wanted]) {
                Ok(0) => return Err(failed(io::Error::new(io::ErrorKind::UnexpectedEof, SHORTER))),
                Ok(read) => {
                    left -= read as u64;
                    self.took(read)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        if reader.read(&mut [0]).map_err(failed)? != 0 {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidData, LONGER)));
        }
        let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
        if over == 0 { Ok(()) } else { self.put(&[0; BLOCK][over..]) }
    }

    fn flush(&mut self) -> Result<(), Stop> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(Stop::Failed(LayerError::Cancelled));
        }
        self.hasher.update(self.chunk.filled());
        self.size += self.chunk.len as u64;
        let next = self.emptied.recv().map_err(|_| Stop::Unheard)?;
        self.full.send(std::mem::replace(&mut self.chunk, next)).map_err(|_| Stop::Unheard)
    }
}

/// Packs chunks as they come and hashes what it writes.
fn pack(
    packing: Packing,
    filled: Receiver<Chunk>,
    empty: &Sender<Chunk>,
    out: impl Write,
) -> io::Result<(Digest, u64)> {
    let sink = Sink { out, hasher: Hasher::new(), size: 0 };
    let mut sink = match packing {
        Packing::Plain => {
            let mut sink = sink;
            feed(filled, empty, &mut sink)?;
            sink
        }
        Packing::Gzip => {
            let header = flate2::GzBuilder::new().mtime(0).operating_system(255);
            let mut gzip = header.write(sink, flate2::Compression::fast());
            feed(filled, empty, &mut gzip)?;
            gzip.finish()?
        }
    };
    sink.out.flush()?;
    Ok((sink.hasher.finish(), sink.size))
}

fn feed(filled: Receiver<Chunk>, empty: &Sender<Chunk>, to: &mut impl Write) -> io::Result<()> {
    for mut chunk in filled {
        to.write_all(chunk.filled())?;
        chunk.len = 0;
        // Nobody needs it if the reading thread is through.
        let _ = empty.send(chunk);
    }
    Ok(())
}

struct Sink<W> {
    out: W,
    hasher: Hasher,
    size: u64,
}

impl<W: Write> Write for Sink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        self.size += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests;
