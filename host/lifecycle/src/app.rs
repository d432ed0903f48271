//! The app's source as a tree: a folder indexed once, a jar, war or zip seen as if it were unpacked, or a tree that somebody
//! else read.

pub mod secrets;
pub mod selection;

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::SystemTime,
};

use stave_archive::{
    content::{Content, Known, Span},
    folder,
    limits::Limits,
    seen::{self, Seen, Sighting, Stat},
    tree::{MAX_ENTRIES, Node, Tree, TreeError, TreePath},
    zip,
};
use stave_model::digest::{Digest, Key};

use self::selection::{LeftOut, Selection};
use crate::port::{blobs::Results, cancel::Cancel};

/// Files with more bytes than this together are hashed by several threads.
const MUCH: u64 = 4 << 20;
/// As long as it takes to open a file, so many bytes could be hashed.
const OPENING: u64 = 16 << 10;
/// How many files are looked at together, so that an app of many takes no more memory than its tree.
const AT_ONCE: usize = 8192;
/// What a folder may hold. It is on the user's disk already and unpacks to nothing more, so it may be what an image's layer can
/// be (`oci` takes compressed ones of 32 GiB), less what an archive and a stored block add.
const FOLDER: Limits = Limits { entries: MAX_ENTRIES, total_bytes: 30 << 30, entry_bytes: 30 << 30, ratio: u64::MAX };

/// An app, ready to be looked at.
#[derive(Debug, Clone)]
pub struct App {
    /// Its files. They are never changed; buildpacks lay changes over them.
    pub tree: Tree,
    /// What was left out while indexing, such as sockets: for a note to the user.
    pub skipped: Vec<String>,
    /// What people, or a rule of the house, left out.
    pub left_out: LeftOut,
    /// Which of its files were known without reading them; none where they are no files of a disk.
    memory: Option<FileMemory>,
}

/// What earlier runs read of an app's files, so that this one need not: where it is kept, and of how many files.
#[derive(Debug, Clone)]
struct FileMemory {
    device: u64,
    inode: u64,
    files: usize,
}

impl FileMemory {
    fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino(), files: 0 }
    }

    /// What is `kept` of the folder or file; nothing if there is no `kept`.
    fn recall(&mut self, kept: Option<&dyn Results>) -> Seen {
        let parts = (0..).map_while(|part| kept?.get(&self.key(part)));
        let seen = Seen::from_parts(parts);
        self.files = seen.len();
        seen
    }

    fn key(&self, part: u64) -> Digest {
        let numbers = [self.device, self.inode, part];
        numbers.iter().fold(Key::new("files seen 1"), |key, number| key.field(number.to_le_bytes())).finish()
    }
}

impl App {
    /// Keeps what is known of its files now, for [`open`]; of those of a tree nothing, because there is nothing to know them by.
    pub fn keep(&self, results: &dyn Results) {
        let Some(memory) = &self.memory else { return };
        let sightings = || {
            self.tree.iter().filter_map(|(path, node)| match node {
                Node::File(_, content) => Some((path, content.sighting()?)),
                _ => None,
            })
        };
        if !seen::is_news(sightings().map(|(_, sighting)| sighting), memory.files) {
            return;
        }
        let mut number = 0;
        seen::write_parts(sightings(), |part| {
            results.put(&memory.key(number), part);
            number += 1;
        });
    }
}

/// A source that is not an app.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Nothing is there.
    #[error("no app at `{0}`: there is no such file or folder")]
    Missing(String),
    /// It cannot be read.
    #[error("could not read the app at `{0}`")]
    Unreadable(String, #[source] io::Error),
    /// A file that is not a known kind of app.
    #[error("`{0}` is not an app: it is neither a folder nor a file that ends in .jar, .war or .zip")]
    UnknownKind(String),
    /// A jar, war or zip that is damaged or hostile.
    #[error("could not read the archive `{0}`")]
    Jar(String, #[source] stave_archive::intake::ArchiveError),
    /// A folder that could not be indexed.
    #[error("could not index the app's folder `{0}`")]
    Folder(String, #[source] folder::FolderError),
    /// What is left of it does not make a tree.
    #[error("could not select the files of the app at `{0}`")]
    Selection(String, #[source] TreeError),
}

/// Opens a folder, or a jar, war or zip as if it were unpacked (as `pack build --path app.jar` does). A symbolic link is
/// followed, and it is the name as given that says what kind of file it is.
///
/// Only what `selection` takes of it is the app. `limits` are those of an archive; a folder may be larger, up to 30 GiB.
///
/// Files that are what they were when they were read last are known by what `kept` holds of them, and not read for their
/// digests; without it all are. [`App::keep`] keeps what this run reads.
pub fn open(path: &Path, selection: &Selection, limits: &Limits, kept: Option<&dyn Results>) -> Result<App, AppError> {
    let shown = path.display().to_string().escape_debug().to_string();
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => AppError::Missing(shown.clone()),
        _ => AppError::Unreadable(shown.clone(), error),
    })?;
    let mut memory = FileMemory::of(&metadata);
    let seen = memory.recall(kept);
    let mut left_out = LeftOut::default();
    let unselected = |error| AppError::Selection(shown.clone(), error);
    if metadata.is_dir() {
        let mut passes = |path: &TreePath, is_folder| selection.passes_over(path, is_folder, &mut left_out);
        let index = folder::read_knowing(path, &FOLDER, &seen, &mut passes).map_err(|error| match error {
            // The folder itself, which the index calls by no name or by the one that it was given.
            folder::FolderError::Read { path: at, source } if at.is_empty() || Path::new(&at) == path => {
                AppError::Unreadable(shown.clone(), source)
            }
            error => AppError::Folder(shown.clone(), error),
        })?;
        let mut skipped: Vec<String> = index.skipped.iter().map(ToString::to_string).collect();
        if index.skipped_count > skipped.len() {
            skipped.push(format!("{} more", index.skipped_count - skipped.len()));
        }
        let tree = selection.select(index.tree, true, &mut left_out).map_err(unselected)?;
        return Ok(App { tree, skipped, left_out: left_out.sorted(), memory: Some(memory) });
    }
    let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    if !metadata.is_file() || !matches!(extension.as_deref(), Some("jar" | "war" | "zip")) {
        return Err(AppError::UnknownKind(shown));
    }
    let unreadable = |error| AppError::Unreadable(shown.clone(), error);
    let span = Span::whole(File::open(path).map_err(unreadable)?).map_err(unreadable)?;
    let stat = span.stat().map_err(unreadable)?;
    let jar = Arc::new(Jar { file: span.clone(), stat });
    let tree = zip::read(span, limits).map_err(|error| AppError::Jar(shown.clone(), error))?;
    let tree = tree.map(|path, node| match node {
        Node::File(access, content) => Node::File(access, Arc::new(jar.entry(path, content, &seen))),
        other => other,
    });
    let tree = selection.select(tree, false, &mut left_out).map_err(unselected)?;
    Ok(App { tree, skipped: Vec::new(), left_out: left_out.sorted(), memory: Some(memory) })
}

/// Takes a tree as an app: a source that came out of an image, say. What is the app's is decided as [`open`] decides it, so that
/// a folder and a tree of the same files are the same app.
pub fn of_tree(tree: Tree, selection: &Selection) -> Result<App, AppError> {
    let mut left_out = LeftOut::default();
    let tree = selection.select(tree, false, &mut left_out);
    let tree = tree.map_err(|error| AppError::Selection("its source".to_owned(), error))?;
    Ok(App { tree, skipped: Vec::new(), left_out: left_out.sorted(), memory: None })
}

/// The file whose entries are an app, as it was when it was opened.
#[derive(Debug)]
struct Jar {
    file: Span,
    stat: Stat,
}

impl Jar {
    fn entry(self: &Arc<Self>, path: &TreePath, content: Arc<dyn Content>, seen: &Seen) -> Entry {
        let identity = seen.recall(path.as_str(), &self.stat).map_or_else(OnceLock::new, OnceLock::from);
        Entry { jar: Arc::clone(self), content, identity }
    }
}

/// One file of a jar. Its identity is its own and not the jar's: a jar with one changed class has one changed file.
#[derive(Debug)]
struct Entry {
    jar: Arc<Jar>,
    content: Arc<dyn Content>,
    identity: OnceLock<seen::Known>,
}

impl Content for Entry {
    fn size(&self) -> u64 {
        self.content.size()
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        self.content.open()
    }

    fn span(&self) -> io::Result<Option<Span>> {
        self.content.span()
    }

    fn identity(&self) -> io::Result<Digest> {
        if let Some(known) = self.identity.get() {
            return Ok(known.digest);
        }
        let began = SystemTime::now();
        let identity = self.content.identity()?;
        let known = seen::Known::read(identity, &self.jar.stat, began, &self.jar.file.stat()?);
        Ok(self.identity.get_or_init(|| known).digest)
    }

    fn sighting(&self) -> Option<Sighting> {
        self.identity.get().and_then(|known| known.sighting(&self.jar.stat))
    }
}

/// Gives each file of an unpacked archive the identity "this path of that archive", so that nothing has to be inflated in
/// order to know whether it is the same as last time.
pub fn with_origin(tree: Tree, archive: &Digest) -> Tree {
    let known = |path: &TreePath, node: Node| match node {
        Node::File(access, content) => {
            let identity = Key::new("archive entry 1").field(archive.hex()).field(path.as_str()).finish();
            Node::File(access, Arc::new(Known::new(content, identity)))
        }
        other => other,
    };
    tree.map(known)
}

/// One key over paths, permissions and contents of some nodes: equal only where a layer made of them would be. Files that are
/// not known are read, which may take long; once `cancel` is set no more are, and the answer is of no use.
pub fn identity<'a>(mut nodes: impl Iterator<Item = (&'a TreePath, &'a Node)>, cancel: &Cancel) -> io::Result<Digest> {
    let mut key = Key::new("nodes 1");
    loop {
        let some: Vec<(&TreePath, &Node)> = nodes.by_ref().take(AT_ONCE).collect();
        if some.is_empty() || cancel.is_set() {
            return Ok(key.finish());
        }
        let mut files = identities(&some, cancel)?.into_iter();
        for (path, node) in some {
            key = key.field(path.as_str());
            key = match node {
                Node::Folder(access) => key.field("folder").field(access.mode.to_le_bytes()),
                Node::Link(text) => key.field("link").field(text),
                Node::File(access, _) => {
                    let file = files.next().map(|identity| identity.hex()).unwrap_or_default();
                    key.field("file").field(access.mode.to_le_bytes()).field(file)
                }
            };
        }
    }
}

/// The identities of the files among some nodes, in order; where many bytes have to be read, all the machine's cores do it.
fn identities(nodes: &[(&TreePath, &Node)], cancel: &Cancel) -> io::Result<Vec<Digest>> {
    let files: Vec<&dyn Content> = nodes
        .iter()
        .filter_map(|(_, node)| match node {
            Node::File(_, content) => Some(content.as_ref()),
            _ => None,
        })
        .collect();
    let unknown = files.iter().filter(|file| file.sighting().is_none());
    let bytes = unknown.fold(0, |sum: u64, file| sum.saturating_add(file.size()).saturating_add(OPENING));
    let threads =
        if bytes < MUCH { 1 } else { thread::available_parallelism().map_or(1, usize::from).min(files.len()) };
    if threads < 2 {
        return files.iter().take_while(|_| !cancel.is_set()).map(|file| file.identity()).collect();
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = files.get(index).filter(|_| !cancel.is_set()) else { return Ok::<_, io::Error>(done) };
            done.push((index, file.identity()?));
        }
    };
    let done: io::Result<Vec<Vec<(usize, Digest)>>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let join =
            |thread: thread::ScopedJoinHandle<'_, _>| thread.join().unwrap_or_else(|p| std::panic::resume_unwind(p));
        threads.into_iter().map(join).collect()
    });
    let mut done: Vec<(usize, Digest)> = done?.into_iter().flatten().collect();
    done.sort_unstable_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, identity)| identity).collect())
}

/// Puts `below` into `tree` at `into`; a file that is there already is an error, and so is a path too deep.
pub fn graft(tree: &mut Tree, into: &TreePath, below: &Tree) -> Result<u64, TreeError> {
    let mut count = 0;
    for (path, node) in below.iter() {
        tree.insert(into.join(path)?, node.clone())?;
        count += u64::from(!matches!(node, Node::Folder(_)));
    }
    Ok(count)
}

#[cfg(test)]
mod tests;
