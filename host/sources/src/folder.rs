//! The folder within a source that is the app.

use stave_archive::tree::{Node, Tree, TreeError, TreePath};
use stave_platform::{port::Failed, resource::build::Fault};

/// A `subPath` as a path: `./web/` is `web`, and what names the source itself is the root.
pub(crate) fn path(sub_path: Option<&str>) -> Result<TreePath, Failed> {
    let text = sub_path.unwrap_or_default();
    let names: Vec<&str> = text.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
    if text.starts_with('/') || text.contains(['\n', '\r']) {
        return Err(refused(text, "it is no path within the source"));
    }
    if names.is_empty() {
        return Ok(TreePath::root());
    }
    names.join("/").parse().map_err(|error| refused(text, "it is no path within the source").caused_by(error))
}

fn refused(text: &str, rule: &str) -> Failed {
    let shown: String = text.chars().take(200).collect();
    Failed::new(Fault::Refused, format!("the subPath `{}` is refused: {rule}", shown.escape_debug()))
        .hint("name a folder within the source, such as services/web")
}

/// What is below `folder`, as a tree of its own; none if no folder stands there.
pub(crate) fn below(tree: Tree, folder: &TreePath) -> Result<Option<Tree>, TreeError> {
    if folder.as_str().is_empty() {
        return Ok(Some(tree));
    }
    if !matches!(tree.get(folder.as_str()), Some(Node::Folder(_))) {
        return Ok(None);
    }
    let mut found = Tree::new();
    for (path, node) in tree.iter() {
        if let Some(path) = path.strip(folder).filter(|path| !path.as_str().is_empty()) {
            found.insert(path, node.clone())?;
        }
    }
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sub_path_is_read_as_people_write_it() {
        let read = |text| path(text).map_or_else(|failed| failed.sentence(), |path| path.to_string());
        assert_eq!([read(None), read(Some("")), read(Some(".")), read(Some("./"))], [""; 4]);
        assert_eq!([read(Some("web")), read(Some("./web/")), read(Some("web//app"))], ["web", "web", "web/app"]);
        insta::assert_snapshot!([read(Some("/web")), read(Some("a/../b")), read(Some("a\nb"))].join("\n"), @r"
        the subPath `/web` is refused: it is no path within the source
        the subPath `a/../b` is refused: it is no path within the source: path `a/../b` is refused: it holds `.` or `..`
        the subPath `a\nb` is refused: it is no path within the source
        ");
    }
}
