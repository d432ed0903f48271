//! The app's source as a tree: a folder indexed once, or a jar, war or zip seen as if it were unpacked.

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
    seen::{self, Seen, Sighting, Stat, to_parts},
    tree::{Node, Tree, TreeError, TreePath},
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

/// An app, ready to be looked at.
#[derive(Debug, Clone)]
pub struct App {
    /// Its files. They are never changed; buildpacks lay changes over them.
    pub tree: Tree,
    /// What was left out while indexing, such as sockets: for a note to the user.
    pub skipped: Vec<String>,
    /// What people, or a rule of the house, left out.
    pub left_out: LeftOut,
    /// Which of its files were known without reading them.
    pub memory: FileMemory,
}

/// What earlier runs read of an app's files, so that this one need not: where it is kept, and of how many files.
#[derive(Debug, Clone)]
pub struct FileMemory {
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
    /// Keeps what is known of its files now, for [`open`].
    pub fn keep(&self, results: &dyn Results) {
        let sightings = self.tree.iter().filter_map(|(path, node)| match node {
            Node::File(_, content) => Some((path, content.sighting()?)),
            _ => None,
        });
        for (number, part) in (0..).zip(to_parts(sightings, self.memory.files).unwrap_or_default()) {
            results.put(&self.memory.key(number), &part);
        }
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
/// Only what `selection` takes of it is the app.
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
        let index = folder::read_knowing(path, limits, &seen, &mut passes).map_err(|error| match error {
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
        return Ok(App { tree, skipped, left_out: left_out.sorted(), memory });
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
    Ok(App { tree, skipped: Vec::new(), left_out: left_out.sorted(), memory })
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
mod tests {
    use stave_archive::content::Bytes;

    use super::*;
    use crate::testing::Memory;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::new();
        for (path, text) in files {
            let content: Arc<dyn Content> = Arc::new(Bytes::new(text.as_bytes()));
            tree.insert(path.parse().unwrap(), Node::file(content, false)).unwrap();
        }
        tree
    }

    #[test]
    fn an_identity_depends_on_path_and_content() {
        let id = |files: &[(&str, &str)]| identity(tree(files).iter(), &Cancel::new()).unwrap();
        assert_eq!(id(&[("a", "1"), ("b", "2")]), id(&[("b", "2"), ("a", "1")]));
        assert_ne!(id(&[("a", "1")]), id(&[("a", "2")]));
        assert_ne!(id(&[("a", "1")]), id(&[("b", "1")]));
    }

    #[test]
    fn an_entry_is_known_by_its_archive() {
        let one = with_origin(tree(&[("a", "1")]), &Digest::of(b"x"));
        let same = with_origin(tree(&[("a", "1")]), &Digest::of(b"x"));
        let other = with_origin(tree(&[("a", "1")]), &Digest::of(b"y"));
        let id = |tree: &Tree| identity(tree.iter(), &Cancel::new());
        assert_eq!(id(&one).unwrap(), id(&same).unwrap());
        assert_ne!(id(&one).unwrap(), id(&other).unwrap());
    }

    #[test]
    fn many_bytes_are_hashed_side_by_side_to_the_same_key() {
        let files: Vec<(String, String)> =
            (0..40_u8).map(|n| (format!("f{n:02}"), n.to_string().repeat(1 << 17))).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let whole = tree(&files);
        let nodes: Vec<_> = whole.iter().collect();
        let expected: Vec<Digest> = files.iter().map(|(_, text)| Digest::of(text.as_bytes())).collect();
        assert_eq!(identities(&nodes, &Cancel::new()).unwrap(), expected);
        let stopped = Cancel::new();
        stopped.set();
        assert!(identities(&nodes, &stopped).unwrap().is_empty());
    }

    /// A folder or jar of which other bytes were seen: whoever answers with them has not read it.
    #[test]
    fn what_was_seen_is_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("app")).unwrap();
        for (name, bytes) in [("app/a", &b"text"[..]), ("x.jar", ZIP)] {
            std::fs::write(at(name), bytes).unwrap();
        }
        let memory = Memory::default();
        for (name, path, file) in [("app", "a", "app/a"), ("x.jar", "a", "x.jar")] {
            let identity = |kept: Option<&dyn Results>| {
                let app = open(&at(name), &Selection::default(), &Limits::default(), kept).unwrap();
                identity(app.tree.iter(), &Cancel::new()).unwrap()
            };
            let read = identity(None);
            assert_eq!(identity(Some(&memory)), read);
            let seen = Span::whole(File::open(at(file)).unwrap()).unwrap().stat().unwrap();
            let app = open(&at(name), &Selection::default(), &Limits::default(), None).unwrap();
            let sighting = Sighting { stat: seen, digest: Digest::of(b"other"), is_new: true };
            let parts = to_parts([(&path.parse().unwrap(), sighting)].into_iter(), 0).unwrap();
            memory.put(&app.memory.key(0), &parts[0]);
            assert_ne!(identity(Some(&memory)), read, "{name}");
            assert_eq!(identity(None), read, "{name}: all is read where nothing is to be trusted");
        }
    }

    #[test]
    fn a_jar_with_one_changed_file_has_one_changed_file() {
        let folder = tempfile::tempdir().unwrap();
        let identities = |name: &str, files: &[(&str, &str)]| {
            let path = folder.path().join(name);
            std::fs::write(&path, crate::testing::zip(files)).unwrap();
            let tree = open(&path, &Selection::default(), &Limits::default(), None).unwrap().tree;
            identities(&tree.iter().collect::<Vec<_>>(), &Cancel::new()).unwrap()
        };
        let before = identities("before.jar", &[("a", "1"), ("b", "2"), ("lib/c", "3")]);
        let after = identities("after.jar", &[("a", "1"), ("b", "changed"), ("lib/c", "3")]);
        assert_eq!([before[0], before[2]], [after[0], after[2]]);
        assert_ne!(before[1], after[1]);
    }

    /// The error and its cause for `name` in `folder`.
    fn refusal(folder: &Path, name: &str) -> String {
        let error = open(&folder.join(name), &Selection::default(), &Limits::default(), None).unwrap_err();
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{error}{cause}").replace(&folder.display().to_string(), "/apps")
    }

    #[test]
    fn says_what_is_not_an_app() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for name in ["notes.txt", "x.jar", "x\n.txt", "jar"] {
            std::fs::write(folder.join(name), "not a zip").unwrap();
        }
        let fifo = std::process::Command::new("mkfifo").arg(folder.join("pipe.jar")).status().unwrap();
        assert!(fifo.success());
        std::os::unix::fs::symlink("nowhere", folder.join("dangling.jar")).unwrap();
        let names = ["none", "notes.txt", "jar", "x\n.txt", "x.jar", "pipe.jar", "dangling.jar", "notes.txt/app"];
        let said: Vec<String> = names.iter().map(|name| refusal(folder, name)).collect();
        insta::assert_snapshot!(said.join("\n"), @r#"
        no app at `/apps/none`: there is no such file or folder
        `/apps/notes.txt` is not an app: it is neither a folder nor a file that ends in .jar, .war or .zip
        `/apps/jar` is not an app: it is neither a folder nor a file that ends in .jar, .war or .zip
        `/apps/x\n.txt` is not an app: it is neither a folder nor a file that ends in .jar, .war or .zip
        could not read the archive `/apps/x.jar`: cannot read the zip archive
        `/apps/pipe.jar` is not an app: it is neither a folder nor a file that ends in .jar, .war or .zip
        no app at `/apps/dangling.jar`: there is no such file or folder
        could not read the app at `/apps/notes.txt/app`: Not a directory (os error 20)
        "#);
    }

    #[test]
    fn says_what_must_not_be_read() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let closed = folder.path().join("app");
        std::fs::create_dir(&closed).unwrap();
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
        let expected = match std::fs::read_dir(&closed) {
            // Nothing is closed to root.
            Ok(_) => None,
            Err(error) => Some(format!("could not read the app at `/apps/app`: {error}")),
        };
        let said = open(&closed, &Selection::default(), &Limits::default(), None)
            .is_err()
            .then(|| refusal(folder.path(), "app"));
        assert_eq!(said, expected);
    }

    /// A zip without entries but one stored file.
    const ZIP: &[u8] = b"PK\x03\x04\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0a\
PK\x01\x02\x0a\0\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0a\
PK\x05\x06\0\0\0\0\x01\0\x01\0\x2f\0\0\0\x1f\0\0\0\0\0";

    #[test]
    fn takes_folders_and_archives_also_through_links() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for name in ["x.jar", "x.WAR", "x.Zip"] {
            std::fs::write(folder.join(name), ZIP).unwrap();
        }
        std::fs::create_dir(folder.join("app")).unwrap();
        std::fs::write(folder.join("app/a"), "").unwrap();
        std::os::unix::fs::symlink("x.jar", folder.join("link.jar")).unwrap();
        std::os::unix::fs::symlink("app", folder.join("link")).unwrap();
        for name in ["x.jar", "x.WAR", "x.Zip", "app", "link.jar", "link"] {
            let app = open(&folder.join(name), &Selection::default(), &Limits::default(), None).unwrap();
            let paths: Vec<String> = app.tree.iter().map(|(path, _)| path.to_string()).collect();
            assert_eq!(paths, ["a"], "{name}");
            assert!(app.skipped.is_empty());
        }
    }

    #[test]
    fn says_what_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("s")).unwrap();
        assert_eq!(open(folder.path(), &Selection::default(), &Limits::default(), None).unwrap().skipped, ["s"]);
    }
}
