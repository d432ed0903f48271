//! Lays a layer over what is below it, as a runtime does when it makes a file system of an image's layers.
//!
//! What a layer removes it says in names that begin with `.wh.` (OCI image spec, "Whiteouts"). They are about the layers
//! below alone: what the same layer has is there, whichever comes first.

use super::WHITEOUT;
use crate::{
    intake::{ArchiveError, shown},
    tree::{Node, Tree, TreeError, TreePath},
};

/// The name that removes all that the layers below have in its folder.
const OPAQUE: &str = ".wh..wh..opq";
/// How the names begin under which a union file system kept notes for itself; nobody else means anything by them.
const NOTES: &str = ".wh..wh.";

/// The tree `below` with the layer `above` over it. A file or link takes the place of a folder with all that is in it, and a
/// folder that of a file or link; nothing is put through a link.
///
/// It takes as long as the layer is long and what it takes away is much, however large the rest is.
pub fn lay(below: Tree, above: &Tree) -> Result<Tree, ArchiveError> {
    let mut laid = below;
    let removes = |path: &TreePath| path.name().starts_with(WHITEOUT);
    for (path, node) in above.iter().filter(|(path, _)| removes(path)) {
        if !matches!(node, Node::File(..)) {
            return Err(refused(path, "a name that removes another one has to be a file"));
        }
        let folder = path.parent().unwrap_or_else(TreePath::root);
        if path.name() == OPAQUE {
            laid.remove_below(&folder);
        } else if !path.name().starts_with(NOTES) {
            let name = path.name()[WHITEOUT.len()..].parse();
            let name = name.map_err(|_| refused(path, "it removes something that has no name"))?;
            laid.remove(&folder.join(&name).map_err(TreeError::Path)?);
        }
    }
    for (path, node) in above.iter().filter(|(path, _)| !removes(path)) {
        match (laid.get(path.as_str()), node) {
            (None, _) | (Some(Node::Folder(_)), Node::Folder(_)) => {}
            // What is above it in the layer comes first, and what is in it later.
            (Some(_), _) => {
                laid.remove(path);
            }
        }
        laid.insert(path.clone(), node.clone())?;
    }
    Ok(laid)
}

fn refused(path: &TreePath, rule: &'static str) -> ArchiveError {
    ArchiveError::Entry { format: "layer", name: shown(path.as_str().as_bytes()), rule: rule.into() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{content::Bytes, tree::Access};

    /// `x/` is a folder, `x -> y` a link, `x` a file, `x=text` one with a text.
    fn tree(nodes: &[&str]) -> Tree {
        let mut tree = Tree::new();
        for text in nodes {
            let (path, node) = if let Some(path) = text.strip_suffix('/') {
                (path, Node::Folder(Access::FOLDER))
            } else if let Some((path, to)) = text.split_once(" -> ") {
                (path, Node::Link(to.to_owned()))
            } else {
                let (path, text) = text.split_once('=').unwrap_or((text, ""));
                (path, Node::file(Arc::new(Bytes::new(text.as_bytes())), false))
            };
            tree.insert(path.parse().unwrap(), node).unwrap();
        }
        tree
    }

    fn laid(layers: &[&[&str]]) -> String {
        let all = layers.iter().try_fold(Tree::new(), |below, above| lay(below, &tree(above)));
        let shown = |(path, node): (&TreePath, &Node)| match node {
            Node::Folder(_) => format!("{path}/"),
            Node::Link(to) => format!("{path} -> {to}"),
            Node::File(_, content) => match String::from_utf8(content.bytes(100).unwrap()).unwrap().as_str() {
                "" => path.to_string(),
                text => format!("{path}={text}"),
            },
        };
        all.map_or_else(|error| error.to_string(), |all| all.iter().map(shown).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn the_uppermost_layer_that_says_something_of_a_path_decides() {
        assert_eq!(laid(&[&["a=1", "b=1"], &["b=2", "c=2"]]), "a=1, b=2, c=2");
        assert_eq!(laid(&[&["a/b", "a/c/d"], &["a=file"]]), "a=file");
        assert_eq!(laid(&[&["a=file"], &["a/b"]]), "a/, a/b");
        assert_eq!(laid(&[&["a/b"], &["a/c"], &["a/"]]), "a/, a/b, a/c");
        assert_eq!(laid(&[&["a -> b", "b/x"], &["a/y"]]), "a/, a/y, b/, b/x");
        assert_eq!(laid(&[&["a/b"], &["a -> /etc"]]), "a -> /etc");
    }

    #[test]
    fn what_a_layer_removes_is_gone_of_the_layers_below_alone() {
        assert_eq!(laid(&[&["a", "b/c", "b/d/e", "bd"], &[".wh.a", "b/.wh.d"]]), "b/, b/c, bd");
        assert_eq!(laid(&[&["b/c", "x"], &[".wh.b", "b/new"]]), "b/, b/new, x");
        assert_eq!(laid(&[&["b/c", "b/d/e", "x"], &["b/.wh..wh..opq", "b/new"]]), "b/, b/new, x");
        assert_eq!(laid(&[&["b/c", "x"], &[".wh..wh..opq", "y"]]), "y");
        assert_eq!(laid(&[&[".wh.a", "a"]]), "a");
        assert_eq!(laid(&[&["a"], &[".wh.none", "b"]]), "a, b");
        assert_eq!(laid(&[&["a"], &[".wh.a"], &["a=again"]]), "a=again");
        assert_eq!(laid(&[&["a"], &[".wh..wh.aufs"]]), "a");
    }

    #[test]
    fn what_removes_nothing_that_can_be_is_refused() {
        let layers = [".wh.a/b", ".wh.a -> b", "x/.wh.", ".wh...", "x/.wh.."];
        insta::assert_snapshot!(layers.map(|entry| laid(&[&[entry]])).join("\n"), @r"
        layer entry `.wh.a` is refused: a name that removes another one has to be a file
        layer entry `.wh.a` is refused: a name that removes another one has to be a file
        layer entry `x/.wh.` is refused: it removes something that has no name
        layer entry `.wh...` is refused: it removes something that has no name
        layer entry `x/.wh..` is refused: it removes something that has no name
        ");
    }
}
