//! Indexes a folder of the user's (an app) without copying it and without following a link out of it.
//!
//! The folder is opened once; everything below is reached through that handle. A file's bytes are read when they are wanted,
//! and only if it is still the file that was indexed: same file, same size, same time. Its digest is not even read for if an
//! earlier run did and the file is the same ([`crate::seen`]).

use std::{
    fmt,
    io::{self, Read},
    path::Path,
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use cap_std::{
    ambient_authority,
    fs::{Dir, DirEntry, File, FileType, FileTypeExt, Metadata, MetadataExt, OpenOptions, OpenOptionsExt},
};
use rustix::fs::OFlags;
use stave_model::digest::Digest;

use crate::{
    content::{Content, Span, hash},
    limits::Limits,
    seen::{Seen, Stat},
    tree::{Access, InvalidPath, MAX_PATH, Node, Tree, TreeError, TreePath},
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
    read_knowing(path, limits, &Arc::default(), &mut |_, _| false)
}

/// The same, where some files were `seen` before: their digests are known. What is read of the others is learnt. What
/// `passes` over is not looked at, nor is anything below it; it is told the path and whether a folder stands there.
pub fn read_knowing(
    path: &Path,
    limits: &Limits,
    seen: &Arc<Seen>,
    passes: &mut dyn FnMut(&TreePath, bool) -> bool,
) -> Result<Folder, FolderError> {
    let unreadable = |source| FolderError::Read { path: path.display().to_string(), source };
    let root = Dir::open_ambient_dir(path, ambient_authority()).map_err(unreadable)?;
    let identity = Identity::of(&root.dir_metadata().map_err(unreadable)?);
    let folder = Folder { tree: Tree::new(), skipped: Vec::new(), skipped_count: 0 };
    let ahead = vec![(TreePath::root(), identity)];
    let mut walk = Walk { root: Arc::new(root), limits, folder, seen, passes, bytes: 0, ahead };
    while let Some((path, identity)) = walk.ahead.pop() {
        walk.list(&path, &identity)?;
    }
    Ok(walk.folder)
}

/// What makes a file the one that was indexed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

struct Walk<'a> {
    root: Arc<Dir>,
    limits: &'a Limits,
    folder: Folder,
    seen: &'a Arc<Seen>,
    passes: &'a mut dyn FnMut(&TreePath, bool) -> bool,
    bytes: u64,
    ahead: Vec<(TreePath, Identity)>,
}

impl Walk<'_> {
    /// Puts what one folder holds; its folders are listed later, so that one handle is open at a time.
    fn list(&mut self, at: &TreePath, identity: &Identity) -> Result<(), FolderError> {
        let unreadable = |source| FolderError::Read { path: at.as_str().to_owned(), source };
        let name = if *at == TreePath::root() { "." } else { at.as_str() };
        let dir = self.root.open_dir(name).map_err(unreadable)?;
        if Identity::of(&dir.dir_metadata().map_err(unreadable)?) != *identity {
            return Err(FolderError::Changed(at.as_str().to_owned()));
        }
        for entry in dir.entries().map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                let path = format!("{at}/{}", name.display());
                return Err(FolderError::NotText(path.trim_start_matches('/').to_owned()));
            };
            let path = at.join(&name.parse()?)?;
            self.put(&dir, &entry, path)?;
        }
        Ok(())
    }

    fn put(&mut self, dir: &Dir, entry: &DirEntry, path: TreePath) -> Result<(), FolderError> {
        let unreadable = |source| FolderError::Read { path: path.as_str().to_owned(), source };
        if (self.passes)(&path, entry.file_type().map_err(unreadable)?.is_dir()) {
            return Ok(());
        }
        if self.folder.tree.len() >= self.limits.entries {
            let rule = format!("more than {} files and folders", self.limits.entries);
            return Err(FolderError::Limit { path: path.as_str().to_owned(), rule });
        }
        let metadata = entry.metadata().map_err(unreadable)?;
        let kind = metadata.file_type();
        let node = if kind.is_dir() {
            self.ahead.push((path.clone(), Identity::of(&metadata)));
            Node::Folder(Access::FOLDER)
        } else if kind.is_symlink() {
            Node::Link(link_text(dir, entry, &path)?)
        } else if is_special(kind) {
            self.folder.skipped_count += 1;
            if self.folder.skipped.len() < MAX_SKIPPED {
                self.folder.skipped.push(path);
            }
            return Ok(());
        } else {
            self.count(&path, metadata.len())?;
            let stat = Stat::of(&metadata);
            let digest = self.seen.recall(path.as_str(), &stat).map_or_else(OnceLock::new, OnceLock::from);
            let (root, seen) = (Arc::clone(&self.root), Arc::clone(self.seen));
            let file = FolderFile { root, path: path.clone(), stat, digest, seen };
            Node::file(Arc::new(file), metadata.mode() & 0o111 != 0)
        };
        Ok(self.folder.tree.insert(path, node)?)
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

fn link_text(dir: &Dir, entry: &DirEntry, path: &TreePath) -> Result<String, FolderError> {
    let text = dir.read_link_contents(entry.file_name());
    let text = text.map_err(|source| FolderError::Read { path: path.as_str().to_owned(), source })?;
    match text.into_os_string().into_string() {
        Ok(text) if text.len() <= MAX_PATH => Ok(text),
        _ => Err(FolderError::NotText(path.as_str().to_owned())),
    }
}

fn is_special(kind: FileType) -> bool {
    kind.is_socket() || kind.is_fifo() || kind.is_block_device() || kind.is_char_device()
}

/// A file of the folder, opened when it is read.
struct FolderFile {
    root: Arc<Dir>,
    path: TreePath,
    stat: Stat,
    digest: OnceLock<Digest>,
    seen: Arc<Seen>,
}

impl fmt::Debug for FolderFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FolderFile({:?}, {})", self.path, self.stat.size())
    }
}

impl FolderFile {
    /// Opens it without waiting, should it be a fifo by now.
    fn file(&self) -> io::Result<File> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(flags.bits().cast_signed());
        let file = self.root.open_with(self.path.as_str(), &options)?;
        self.check(&file)?;
        Ok(file)
    }

    fn check(&self, file: &File) -> io::Result<()> {
        if Stat::of(&file.metadata()?).is_same_file(&self.stat) {
            return Ok(());
        }
        let message = format!("`{}` changed since the folder was read", self.path.as_str().escape_debug());
        Err(io::Error::new(io::ErrorKind::InvalidData, message))
    }
}

impl Content for FolderFile {
    fn size(&self) -> u64 {
        self.stat.size()
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(Unchanged { of: self, file: self.file()?, left: self.stat.size() }))
    }

    fn digest(&self) -> io::Result<Digest> {
        if let Some(known) = self.digest.get() {
            return Ok(*known);
        }
        let began = SystemTime::now();
        let mut reader = Unchanged { of: self, file: self.file()?, left: self.stat.size() };
        let digest = hash(&mut reader, self.stat.size())?;
        if Stat::of(&reader.file.metadata()?) == self.stat {
            self.seen.learn(self.path.as_str(), &self.stat, digest, began);
        }
        Ok(*self.digest.get_or_init(|| digest))
    }

    fn span(&self) -> io::Result<Option<Span>> {
        Ok(Some(Span::whole(self.file()?.into_std())?))
    }
}

/// Reads the size that was indexed, and looks again before the last bytes are passed on.
struct Unchanged<'a> {
    of: &'a FolderFile,
    file: File,
    left: u64,
}

impl Read for Unchanged<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let n = self.file.read(&mut buffer[..wanted])?;
        self.left -= n as u64;
        if n == 0 || self.left == 0 {
            self.of.check(&self.file)?;
        }
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::{ffi::OsStrExt, fs::PermissionsExt, fs::symlink, net::UnixListener},
    };

    use super::*;

    fn content<'a>(folder: &'a Folder, path: &str) -> &'a dyn Content {
        match folder.tree.get(path) {
            Some(Node::File(_, content)) => content.as_ref(),
            other => panic!("{path}: {other:?}"),
        }
    }

    fn text_of(folder: &Folder, path: &str) -> io::Result<Vec<u8>> {
        content(folder, path).bytes(1000)
    }

    #[test]
    fn files_links_and_folders_are_indexed_and_the_rest_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("a/b")).unwrap();
        fs::write(at("a/b/run"), "run").unwrap();
        fs::set_permissions(at("a/b/run"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(at("a/text"), "text").unwrap();
        fs::set_permissions(at("a/text"), fs::Permissions::from_mode(0o666)).unwrap();
        symlink("/etc/passwd", at("out")).unwrap();
        symlink("a", at("in")).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        let folder = read(dir.path(), &Limits::default()).unwrap();
        let paths: Vec<&str> = folder.tree.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["a", "a/b", "a/b/run", "a/text", "in", "out"]);
        assert!(matches!(folder.tree.get("a/b/run"), Some(Node::File(Access::PROGRAM, _))));
        assert!(matches!(folder.tree.get("a/text"), Some(Node::File(Access::FILE, _))));
        assert!(matches!(folder.tree.get("out"), Some(Node::Link(text)) if text == "/etc/passwd"));
        assert_eq!(text_of(&folder, "a/b/run").unwrap(), b"run");
        assert_eq!(folder.skipped_count, 1);
        assert_eq!(folder.skipped[0].as_str(), "socket");
        assert_eq!(content(&folder, "a/text").span().unwrap().unwrap().bytes(10).unwrap(), b"text");
    }

    #[test]
    fn a_file_that_changed_is_not_read() {
        type Change = fn(&Path);
        let changes: [(&str, Change); 6] = [
            ("longer", |path| fs::write(path, "text and more").unwrap()),
            ("touched", |path| {
                let file = fs::File::options().write(true).open(path).unwrap();
                file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
            }),
            ("another file", |path| {
                let modified = fs::metadata(path).unwrap().modified().unwrap();
                let other = path.with_extension("new");
                fs::write(&other, "evil").unwrap();
                fs::File::options().write(true).open(&other).unwrap().set_modified(modified).unwrap();
                fs::rename(other, path).unwrap();
            }),
            ("a link", |path| {
                fs::rename(path, path.with_extension("old")).unwrap();
                symlink(path.with_extension("old"), path).unwrap();
            }),
            ("a link out", |path| {
                fs::remove_file(path).unwrap();
                symlink("/etc/passwd", path).unwrap();
            }),
            ("its folder a link", |path| {
                let folder = path.parent().unwrap();
                fs::rename(folder, folder.with_extension("old")).unwrap();
                symlink("/etc", folder).unwrap();
            }),
        ];
        for (what, change) in changes {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("folder/passwd");
            fs::create_dir(file.parent().unwrap()).unwrap();
            fs::write(&file, "text").unwrap();
            let folder = read(dir.path(), &Limits::default()).unwrap();
            assert_eq!(text_of(&folder, "folder/passwd").unwrap(), b"text");
            change(&file);
            assert!(text_of(&folder, "folder/passwd").is_err(), "{what}");
        }
    }

    /// Reads a folder in which `file` was seen to have the digest of other bytes: who answers with it has not read it.
    #[test]
    fn a_file_that_was_seen_is_not_read_for_its_digest() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["file", "other"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        let stat = Stat::of_file(&fs::File::open(dir.path().join("file")).unwrap()).unwrap();
        let seen = Seen::default();
        let later = SystemTime::now() + std::time::Duration::from_mins(1);
        seen.learn("file", &stat, Digest::of(b"seen"), later);
        let seen = Arc::new(Seen::from_parts(seen.to_parts().unwrap()));
        let digest = |name: &str| {
            let folder = read_knowing(dir.path(), &Limits::default(), &seen, &mut |_, _| false).unwrap();
            let content = content(&folder, name);
            assert_eq!(content.identity().unwrap(), content.digest().unwrap());
            content.digest().unwrap()
        };
        assert_eq!([digest("file"), digest("other")], [Digest::of(b"seen"), Digest::of(b"other")]);
        // A new mode moves one of its times.
        fs::set_permissions(dir.path().join("file"), fs::Permissions::from_mode(0o711)).unwrap();
        assert_eq!(digest("file"), Digest::of(b"file"));
    }

    #[test]
    fn a_change_while_reading_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("log");
        fs::write(&file, "0123456789").unwrap();
        let folder = read(dir.path(), &Limits::default()).unwrap();
        let mut reader = content(&folder, "log").open().unwrap();
        reader.read_exact(&mut [0; 5]).unwrap();
        fs::write(&file, "0123456789 and more").unwrap();
        let error = reader.read_exact(&mut [0; 5]).unwrap_err();
        insta::assert_snapshot!(error, @"`log` changed since the folder was read");
    }

    #[test]
    fn what_cannot_be_indexed_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |name: &[u8], limits: Limits| {
            let path = dir.path().join(std::ffi::OsStr::from_bytes(name));
            fs::write(&path, "12345").unwrap();
            let error = read(dir.path(), &limits).unwrap_err().to_string();
            fs::remove_file(path).unwrap();
            error
        };
        let limits = Limits::default();
        let messages = [
            refused(b"caf\xe9", limits),
            refused(b"back\\slash", limits),
            refused(b"large", Limits { entry_bytes: 4, ..limits }),
            refused(b"much", Limits { total_bytes: 4, ..limits }),
            refused(b"many", Limits { entries: 0, ..limits }),
            read(Path::new("/no/such\x1bfolder"), &limits).unwrap_err().to_string(),
        ];
        insta::assert_snapshot!(messages.join("\n"), @r"
        `caf�` has a name, or a link with a text, that is not UTF-8
        path `back\\slash` is refused: it holds a backslash or a NUL
        `large` goes beyond the limit: 5 bytes in one file, more than 4
        `much` goes beyond the limit: more than 4 bytes in all files
        `many` goes beyond the limit: more than 0 files and folders
        cannot read `/no/such\u{1b}folder`
        ");
    }
}
