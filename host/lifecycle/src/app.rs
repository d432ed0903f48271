//! The app's source as a tree: a folder indexed once, or a jar seen as if it were unpacked.

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
    #[error("`{0}` is neither a folder nor a jar")]
    UnknownKind(String),
    /// A jar that is damaged or hostile.
    #[error("could not read the jar `{0}`")]
    Jar(String, #[source] stave_archive::intake::ArchiveError),
    /// A folder that could not be indexed.
    #[error("could not index the app's folder `{0}`")]
    Folder(String, #[source] folder::FolderError),
}

/// Opens a folder, or a jar or war as if it were unpacked (as `pack build --path app.jar` does).
pub fn open(path: &Path, limits: &Limits) -> Result<App, AppError> {
    let shown = path.display().to_string();
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => AppError::Missing(shown.clone()),
        _ => AppError::Unreadable(shown.clone(), error),
    })?;
    if metadata.is_dir() {
        let index = folder::read(path, limits).map_err(|error| AppError::Folder(shown, error))?;
        let mut skipped: Vec<String> = index.skipped.iter().map(ToString::to_string).collect();
        if index.skipped_count > skipped.len() {
            skipped.push(format!("{} more", index.skipped_count - skipped.len()));
        }
        return Ok(App { tree: index.tree, skipped });
    }
    let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    if !metadata.is_file() || !matches!(extension.as_deref(), Some("jar" | "war")) {
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

    #[test]
    fn says_what_is_not_an_app() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("notes.txt");
        std::fs::write(&file, "x").unwrap();
        let message = |path: &Path| {
            let error = open(path, &Limits::default()).unwrap_err().to_string();
            error.replace(&folder.path().display().to_string(), "/app")
        };
        assert_eq!(message(&folder.path().join("none")), "no app at `/app/none`: there is no such file or folder");
        assert_eq!(message(&file), "`/app/notes.txt` is neither a folder nor a jar");
        let jar = folder.path().join("x.jar");
        std::fs::write(&jar, "not a zip").unwrap();
        assert_eq!(message(&jar), "could not read the jar `/app/x.jar`");
    }
}
