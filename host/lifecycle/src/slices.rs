//! Splits the app into the layers that its slices ask for, so that a changed class does not resend its libraries.

use std::collections::HashSet;

use stave_archive::{
    glob::{GlobError, Globs},
    tree::{Node, Tree, TreePath},
};
use stave_model::launch::Slice;

/// One tree a slice, in order, then one with the rest; every file is in exactly one (platform specification, "Slices").
///
/// A folder that matches takes all below it. What an earlier slice took, a later one does not get. Folders stand in the
/// tree of whatever is below them, and empty ones in the rest.
pub fn split(app: &Tree, slices: &[Slice]) -> Result<Vec<Tree>, GlobError> {
    let patterns: Vec<Globs> = slices.iter().map(|slice| Globs::new(&cleaned(slice))).collect::<Result<_, _>>()?;
    let parents: HashSet<TreePath> = app.iter().filter_map(|(path, _)| path.parent()).collect();
    let mut trees = vec![Tree::new(); slices.len() + 1];
    for (path, node) in app.iter() {
        let place = patterns.iter().position(|globs| takes(globs, path)).unwrap_or(slices.len());
        let whole = match node {
            Node::Folder(_) => place == slices.len() && !parents.contains(path),
            _ => true,
        };
        if whole {
            // Parents come from the app itself and each path comes once, so nothing can stand in the way.
            let inserted = trees[place].insert(path.clone(), node.clone());
            debug_assert!(inserted.is_ok(), "{path} is there twice");
        }
    }
    Ok(trees)
}

/// Patterns as `layers.idx` and buildpacks write them: a folder may end in a slash, and a path may start with `./`.
fn cleaned(slice: &Slice) -> Vec<String> {
    let clean = |pattern: &String| pattern.trim_start_matches("./").trim_end_matches('/').to_owned();
    slice.paths.iter().map(clean).filter(|pattern| !pattern.is_empty()).collect()
}

/// Whether the path or one of its folders matches.
fn takes(globs: &Globs, path: &TreePath) -> bool {
    let mut at = Some(path.clone());
    while let Some(path) = at.filter(|path| !path.as_str().is_empty()) {
        if globs.matches(&path) {
            return true;
        }
        at = path.parent();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use stave_archive::{content::Bytes, tree::Access};

    use super::*;

    fn shares(paths: &[&str], slices: &[&[&str]]) -> Vec<String> {
        let mut app = Tree::new();
        for path in paths {
            let node = match path.strip_suffix('/') {
                Some(_) => Node::Folder(Access::FOLDER),
                None => Node::file(Arc::new(Bytes::new(*b"x")), false),
            };
            app.insert(path.parse().unwrap(), node).unwrap();
        }
        let slices: Vec<Slice> =
            slices.iter().map(|s| Slice { paths: s.iter().map(|p| (*p).to_owned()).collect() }).collect();
        let files = |tree: &Tree| {
            let is_empty = |folder: &TreePath| !tree.iter().any(|(path, _)| path.parent().as_ref() == Some(folder));
            let shown = tree.iter().filter(|(path, node)| !matches!(node, Node::Folder(_)) || is_empty(path));
            shown.map(|(path, _)| path.to_string()).collect::<Vec<_>>().join(" ")
        };
        split(&app, &slices).unwrap().iter().map(files).collect()
    }

    #[test]
    fn every_file_is_in_one_layer() {
        let app =
            ["BOOT-INF/lib/a.jar", "BOOT-INF/lib/s-SNAPSHOT.jar", "BOOT-INF/classes/A.class", "org/L.class", "tmp/"];
        assert_eq!(
            shares(&app, &[&["BOOT-INF/lib/*SNAPSHOT*"], &["BOOT-INF/lib/"], &["nothing"], &["./org"]]),
            ["BOOT-INF/lib/s-SNAPSHOT.jar", "BOOT-INF/lib/a.jar", "", "org/L.class", "BOOT-INF/classes/A.class tmp"]
        );
        assert_eq!(shares(&app[..1], &[]), ["BOOT-INF/lib/a.jar"]);
    }
}
