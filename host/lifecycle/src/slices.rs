//! Splits the app into the layers that its slices ask for, so that a changed class does not resend its libraries.

use std::collections::{HashMap, HashSet};

use stave_archive::{
    glob::{GlobError, Globs, MAX_GLOBS},
    tree::{Node, Tree, TreePath},
};
use stave_model::launch::Slice;

/// One tree a slice, in order, then one with the rest; every file is in exactly one (platform specification, "Slices").
///
/// A folder that matches takes all below it. What an earlier slice took, a later one does not get. Folders stand in the
/// tree of whatever is below them, and empty ones where they belong by themselves.
pub fn split(app: &Tree, slices: &[Slice]) -> Result<Vec<Tree>, GlobError> {
    if slices.is_empty() {
        return Ok(vec![app.clone()]);
    }
    let slices: Vec<Patterns> = slices.iter().map(Patterns::new).collect::<Result<_, _>>()?;
    let parents: HashSet<&str> = app.iter().map(|(path, _)| parent(path)).collect();
    let mut trees = vec![Tree::new(); slices.len() + 1];
    // Which slice each folder went to: the tree names folders before what is in them.
    let mut folders: HashMap<&str, usize> = HashMap::new();
    let root = slices.iter().position(|slice| slice.whole_app).unwrap_or(slices.len());
    for (path, node) in app.iter() {
        let above = folders.get(parent(path)).copied().unwrap_or(root);
        let place = slices[..above].iter().position(|slice| slice.name(path)).unwrap_or(above);
        let is_folder = matches!(node, Node::Folder(_));
        if is_folder {
            folders.insert(path.as_str(), place);
        }
        if !is_folder || !parents.contains(path.as_str()) {
            // Parents come from the app itself and each path comes once, so nothing can stand in the way.
            let inserted = trees[place].insert(path.clone(), node.clone());
            debug_assert!(inserted.is_ok(), "{path} is there twice");
        }
    }
    Ok(trees)
}

/// The folder that a path is in; empty for the root.
fn parent(path: &TreePath) -> &str {
    path.as_str().rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Whether all patterns are such, so that the buildpack that wrote others can be named while it is known.
pub fn check(slices: &[Slice]) -> Result<(), GlobError> {
    slices.iter().try_for_each(|slice| Patterns::new(slice).map(drop))
}

/// The patterns of one slice, in the manner of Go's `filepath.Match`: `*`, `?` and `[…]` within one name and nothing else.
struct Patterns {
    /// Those that are paths: an index of a jar's layers may name thousands.
    paths: HashSet<String>,
    globs: Vec<Globs>,
    whole_app: bool,
}

impl Patterns {
    fn new(slice: &Slice) -> Result<Self, GlobError> {
        let cleaned: Vec<String> = slice.paths.iter().map(|pattern| clean(pattern)).collect();
        let whole_app = cleaned.iter().any(String::is_empty);
        let (globs, paths): (Vec<_>, Vec<_>) =
            cleaned.into_iter().filter(|pattern| !pattern.is_empty()).partition(|p| p.contains(['*', '?', '[', '\\']));
        let globs: Vec<String> = globs.iter().map(|pattern| translate(pattern)).collect();
        let globs = globs.chunks(MAX_GLOBS).map(Globs::new).collect::<Result<_, _>>()?;
        Ok(Self { paths: paths.into_iter().collect(), globs, whole_app })
    }

    /// Whether one of them names just this path.
    fn name(&self, path: &TreePath) -> bool {
        self.paths.contains(path.as_str()) || self.globs.iter().any(|globs| globs.matches(path))
    }
}

/// The pattern without what says nothing: `./` before it, slashes at its end or in a row. Empty for the app's root.
fn clean(pattern: &str) -> String {
    let names: Vec<&str> = pattern.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
    names.join("/")
}

/// The same pattern in the words of [`Globs`], where `**` spans folders and braces choose: here they are nothing special.
fn translate(pattern: &str) -> String {
    let mut translated = String::with_capacity(pattern.len());
    let (mut in_class, mut after_star) = (false, false);
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                translated.push(c);
                translated.extend(chars.next());
            }
            '*' if after_star && !in_class => {}
            '{' | '}' if !in_class => translated.extend(['[', c, ']']),
            _ => translated.push(c),
        }
        in_class = (in_class && c != ']') || (!in_class && c == '[');
        after_star = c == '*';
    }
    translated
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
        assert_eq!(shares(&app[4..], &[&["tmp/"]]), ["tmp", ""], "an empty folder is not lost");
        assert_eq!(shares(&["a/b/c/d", "a/e"], &[&["a/b/c"], &["a"]]), ["a/b/c/d", "a/e", ""]);
        assert_eq!(shares(&["a/b/c/d", "a/e"], &[&["a"], &["a/b/c"]]), ["a/b/c/d a/e", "", ""]);
    }

    #[test]
    fn patterns_are_those_of_go() {
        for (pattern, taken, left) in [
            ("*", "a a-b/c {x}/y", ""),
            (".", "a a-b/c {x}/y", ""),
            ("?", "a", "a-b/c {x}/y"),
            ("a//.", "a", "a-b/c {x}/y"),
            ("a-b/**", "a-b/c", "a {x}/y"),
            // Not any number of folders: two names, whatever they are.
            ("**/c", "a-b/c", "a {x}/y"),
            ("**/**/c", "", "a a-b/c {x}/y"),
            ("{x}", "{x}/y", "a a-b/c"),
            ("{x}*", "{x}/y", "a a-b/c"),
            ("{a,b}*", "", "a a-b/c {x}/y"),
            ("[^a]*", "{x}/y", "a a-b/c"),
            ("[{*]x*", "{x}/y", "a a-b/c"),
            ("\\a", "a", "a-b/c {x}/y"),
        ] {
            assert_eq!(shares(&["a", "a-b/c", "{x}/y"], &[&[pattern]]), [taken, left], "{pattern}");
        }
        let broken = [Slice { paths: vec!["a[".to_owned()] }];
        insta::assert_snapshot!(check(&broken).unwrap_err(), @"pattern `a[` cannot be understood");
    }

    #[test]
    fn thousands_of_patterns_are_taken() {
        let names: Vec<String> = (0..600).flat_map(|n| [format!("lib/{n}.jar"), format!("lib/{n}-*.jar")]).collect();
        let patterns: Vec<&str> = names.iter().map(String::as_str).collect();
        let app = ["lib/599.jar", "lib/599-x.jar", "lib/600.jar"];
        assert_eq!(shares(&app, &[&patterns]), ["lib/599-x.jar lib/599.jar", "lib/600.jar"]);
    }
}
