//! Real repositories in folders that go, a store in memory, and trees as text.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Seek, Write},
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use stave_archive::{
    content::{Content, Span},
    tree::{Node, Tree},
};
use stave_lifecycle::port::{
    blobs::{Blobs, NewBlob},
    failure::{Fault, PortError},
};
use stave_model::digest::Digest;
use tempfile::TempDir;

/// A repository with a working tree, of which we are the only user.
pub(crate) struct Repo {
    pub(crate) folder: TempDir,
}

impl Repo {
    /// One with no commit.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repo = Self { folder };
        repo.git(&["init", "--quiet", "--initial-branch=main", "."]);
        repo
    }

    /// One whose branch `main` has these files.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let repo = Self::new();
        repo.commit(files);
        repo
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// The repository as an address.
    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    /// Runs git in it, and gives what it writes.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let mut command = Command::new("git");
        command.current_dir(self.folder.path()).args(args).env_clear();
        command.envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
        for (name, value) in [
            ("HOME", "/nonexistent"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_AUTHOR_NAME", "Ada"),
            ("GIT_AUTHOR_EMAIL", "ada@example.com"),
            ("GIT_AUTHOR_DATE", "2001-02-03T04:05:06Z"),
            ("GIT_COMMITTER_NAME", "Ada"),
            ("GIT_COMMITTER_EMAIL", "ada@example.com"),
            ("GIT_COMMITTER_DATE", "2001-02-03T04:05:06Z"),
        ] {
            command.env(name, value);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Writes files, commits all, and gives the commit. See [`shown`] for what texts mean.
    pub(crate) fn commit(&self, files: &[(&str, &str)]) -> String {
        use std::os::unix::fs::{PermissionsExt, symlink};
        for (path, text) in files {
            let path = self.folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if let Some(to) = text.strip_prefix("-> ") {
                symlink(to, path).unwrap();
            } else {
                fs::write(&path, text).unwrap();
                let mode = if text.starts_with("#!") { 0o755 } else { 0o600 };
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
        self.git(&["add", "--all", "--force"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message=change"]);
        self.git(&["rev-parse", "HEAD"])
    }
}

/// A tree as lines: `path = text`, with a `*` where it is a program, `path -> text`, and empty folders with a slash.
pub(crate) fn shown(tree: &Tree) -> String {
    let has_children = |folder: &str| tree.iter().any(|(path, _)| path.parent().is_some_and(|p| p.as_str() == folder));
    let line = |(path, node): (&stave_archive::tree::TreePath, &Node)| match node {
        Node::Folder(_) if has_children(path.as_str()) => None,
        Node::Folder(_) => Some(format!("{path}/")),
        Node::Link(text) => Some(format!("{path} -> {text}")),
        Node::File(access, content) => {
            let bytes = content.bytes(1 << 20).unwrap();
            let star = if access.mode & 0o111 == 0 { "" } else { "*" };
            let line = format!("{path}{star} = {}", String::from_utf8_lossy(&bytes).escape_debug());
            Some(line.trim_end().to_owned())
        }
    };
    tree.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

/// Blobs in files without names.
#[derive(Default)]
pub(crate) struct Shelf(std::sync::Arc<Mutex<BTreeMap<Digest, Span>>>);

impl Shelf {
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Blobs for Shelf {
    fn get(&self, digest: &Digest) -> Result<Option<Span>, PortError> {
        Ok(self.0.lock().unwrap().get(digest).cloned())
    }

    fn discard(&self, digest: &Digest) -> Result<(), PortError> {
        self.0.lock().unwrap().remove(digest);
        Ok(())
    }

    fn create(&self) -> Result<Box<dyn NewBlob>, PortError> {
        Ok(Box::new(Placed { shelf: std::sync::Arc::clone(&self.0), file: tempfile::tempfile().unwrap() }))
    }
}

struct Placed {
    shelf: std::sync::Arc<Mutex<BTreeMap<Digest, Span>>>,
    file: File,
}

impl Write for Placed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl NewBlob for Placed {
    fn keep(mut self: Box<Self>, digest: &Digest) -> Result<Span, PortError> {
        self.file.rewind().unwrap();
        let span = Span::whole(self.file).unwrap();
        if span.digest().unwrap() != *digest {
            return Err(PortError::new(Fault::Integrity, "could not keep a blob: it has another digest"));
        }
        self.shelf.lock().unwrap().insert(*digest, span.clone());
        Ok(span)
    }
}

/// The git that serves repositories over HTTP, where it is installed.
pub(crate) fn http_backend() -> Option<PathBuf> {
    let output = Command::new("git").arg("--exec-path").output().ok()?;
    let path = Path::new(String::from_utf8(output.stdout).ok()?.trim()).join("git-http-backend");
    path.exists().then_some(path)
}
