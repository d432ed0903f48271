//! The app's source as a tree: a folder indexed once, or a jar, war or zip seen as if it were unpacked.

use std::{fs::File, io, path::Path, sync::Arc};

use stave_archive::{
    content::{Content, Known, Span},
    folder,
    limits::Limits,
    tree::{Node, Tree, TreeError, TreePath},
    zip,
};
use stave_model::digest::{Digest, Key};

/// An app, ready to be looked at.
#[derive(Debug, Clone)]
pub struct App {
    /// Its files. They are never changed; buildpacks lay changes over them.
    pub tree: Tree,
    /// What was left out while indexing, such as sockets: for a note to the user.
    pub skipped: Vec<String>,
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
}

/// Opens a folder, or a jar, war or zip as if it were unpacked (as `pack build --path app.jar` does). A symbolic link is
/// followed, and it is the name as given that says what kind of file it is.
pub fn open(path: &Path, limits: &Limits) -> Result<App, AppError> {
    let shown = path.display().to_string().escape_debug().to_string();
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => AppError::Missing(shown.clone()),
        _ => AppError::Unreadable(shown.clone(), error),
    })?;
    if metadata.is_dir() {
        let index = folder::read(path, limits).map_err(|error| match error {
            // The folder itself, which the index calls by no name or by the one that it was given.
            folder::FolderError::Read { path: at, source } if at.is_empty() || Path::new(&at) == path => {
                AppError::Unreadable(shown, source)
            }
            error => AppError::Folder(shown, error),
        })?;
        let mut skipped: Vec<String> = index.skipped.iter().map(ToString::to_string).collect();
        if index.skipped_count > skipped.len() {
            skipped.push(format!("{} more", index.skipped_count - skipped.len()));
        }
        return Ok(App { tree: index.tree, skipped });
    }
    let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    if !metadata.is_file() || !matches!(extension.as_deref(), Some("jar" | "war" | "zip")) {
        return Err(AppError::UnknownKind(shown));
    }
    let unreadable = |error| AppError::Unreadable(shown.clone(), error);
    let span = Span::whole(File::open(path).map_err(unreadable)?).map_err(unreadable)?;
    let digest = span.digest().map_err(unreadable)?;
    let tree = zip::read(span, limits).map_err(|error| AppError::Jar(shown.clone(), error))?;
    Ok(App { tree: with_origin(tree, &digest), skipped: Vec::new() })
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

/// One key over paths, permissions and contents of some nodes: equal only where a layer made of them would be.
pub fn identity<'a>(nodes: impl Iterator<Item = (&'a TreePath, &'a Node)>) -> io::Result<Digest> {
    let mut key = Key::new("nodes 1");
    for (path, node) in nodes {
        key = key.field(path.as_str());
        key = match node {
            Node::Folder(access) => key.field("folder").field(access.mode.to_le_bytes()),
            Node::Link(text) => key.field("link").field(text),
            Node::File(access, content) => {
                key.field("file").field(access.mode.to_le_bytes()).field(content.identity()?.hex())
            }
        };
    }
    Ok(key.finish())
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
        let id = |files: &[(&str, &str)]| identity(tree(files).iter()).unwrap();
        assert_eq!(id(&[("a", "1"), ("b", "2")]), id(&[("b", "2"), ("a", "1")]));
        assert_ne!(id(&[("a", "1")]), id(&[("a", "2")]));
        assert_ne!(id(&[("a", "1")]), id(&[("b", "1")]));
    }

    #[test]
    fn an_entry_is_known_by_its_archive() {
        let one = with_origin(tree(&[("a", "1")]), &Digest::of(b"x"));
        let same = with_origin(tree(&[("a", "1")]), &Digest::of(b"x"));
        let other = with_origin(tree(&[("a", "1")]), &Digest::of(b"y"));
        assert_eq!(identity(one.iter()).unwrap(), identity(same.iter()).unwrap());
        assert_ne!(identity(one.iter()).unwrap(), identity(other.iter()).unwrap());
    }

    /// The error and its cause for `name` in `folder`.
    fn refusal(folder: &Path, name: &str) -> String {
        let error = open(&folder.join(name), &Limits::default()).unwrap_err();
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
        let said = open(&closed, &Limits::default()).is_err().then(|| refusal(folder.path(), "app"));
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
            let app = open(&folder.join(name), &Limits::default()).unwrap();
            let paths: Vec<String> = app.tree.iter().map(|(path, _)| path.to_string()).collect();
            assert_eq!(paths, ["a"], "{name}");
            assert!(app.skipped.is_empty());
        }
    }

    #[test]
    fn says_what_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("s")).unwrap();
        assert_eq!(open(folder.path(), &Limits::default()).unwrap().skipped, ["s"]);
    }
}
