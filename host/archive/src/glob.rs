//! Patterns over the paths of a tree.

use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::tree::{Node, Tree, TreePath};

/// The most patterns in one set.
pub const MAX_GLOBS: usize = 256;
/// The longest pattern, in bytes.
pub const MAX_GLOB: usize = 1024;
/// The most parts of a tree that are looked at by themselves; for more, all of it is walked once.
const MAX_REACH: usize = 16;
/// How deep `{a,b}` may nest: each level multiplies what the pattern compiles to.
const MAX_BRACES: usize = 4;

/// A set of patterns: `*` and `?` stay within one name, `**` spans folders, `[ab]` and `{a,b}` choose, `\` escapes.
#[derive(Debug, Clone)]
pub struct Globs {
    set: GlobSet,
    /// Where matches can be; none if that is anywhere.
    reach: Option<BTreeSet<Reach>>,
}

/// Where the matches of a pattern can be, so that a tree of many files is not walked for `*.jar`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Reach {
    /// The names before the first that is more than a name; the root if there is none.
    within: String,
    /// How many names a match has at most.
    names: usize,
}

/// Patterns that cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GlobError {
    /// Too many of them.
    #[error("{0} patterns, more than the limit of {MAX_GLOBS}")]
    TooMany(usize),
    /// One is too long or nests too deep.
    #[error("pattern `{}` is longer than {MAX_GLOB} bytes, or nests braces deeper than {MAX_BRACES}", .0.escape_debug())]
    TooLarge(String),
    /// One would match nothing, since the paths it is held against are relative and plain.
    #[error("pattern `{}` matches nothing: paths start without `/` and hold no `.`, `..` or empty names", .0.escape_debug())]
    Idle(String),
    /// One is not a pattern.
    #[error("pattern `{}` cannot be understood", .pattern.escape_debug())]
    Syntax {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: globset::Error,
    },
    /// Together they compile to too much.
    #[error("the patterns are too large together")]
    Set(#[source] globset::Error),
}

impl Globs {
    /// Compiles the patterns.
    pub fn new<T: AsRef<str>>(patterns: &[T]) -> Result<Self, GlobError> {
        if patterns.len() > MAX_GLOBS {
            return Err(GlobError::TooMany(patterns.len()));
        }
        let mut set = GlobSetBuilder::new();
        for pattern in patterns.iter().map(AsRef::as_ref) {
            if pattern.len() > MAX_GLOB || brace_depth(pattern) > MAX_BRACES {
                return Err(GlobError::TooLarge(pattern.chars().take(100).collect()));
            }
            if pattern.split('/').any(|name| matches!(name, "" | "." | "..")) {
                return Err(GlobError::Idle(pattern.to_owned()));
            }
            let glob = GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build();
            set.add(glob.map_err(|source| GlobError::Syntax { pattern: pattern.to_owned(), source })?);
        }
        let reach = patterns.iter().map(|pattern| Reach::of(pattern.as_ref())).collect::<Option<BTreeSet<_>>>();
        let reach = reach.filter(|reach| reach.len() <= MAX_REACH);
        Ok(Self { set: set.build().map_err(GlobError::Set)?, reach })
    }

    /// Whether any pattern matches the whole path.
    pub fn matches(&self, path: &TreePath) -> bool {
        self.set.is_match(path.as_str())
    }
}

impl Reach {
    /// The reach of a pattern; none if it is the whole tree.
    fn of(pattern: &str) -> Option<Self> {
        // Braces may hold slashes, and a class may, so names are counted only where there are neither.
        if pattern.contains("**") || pattern.contains(['{', '[', '\\']) {
            return None;
        }
        let names: Vec<&str> = pattern.split('/').collect();
        let plain = names.iter().take_while(|name| !name.contains(['*', '?'])).count();
        Some(Self { within: names[..plain].join("/"), names: names.len() })
    }
}

fn brace_depth(pattern: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    for byte in pattern.bytes() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// What a search found.
#[derive(Debug, Clone)]
pub struct Found<'a> {
    /// Matches of every kind, sorted by path.
    pub nodes: Vec<(&'a TreePath, &'a Node)>,
    /// Whether there are more than the limit.
    pub more: bool,
}

/// Finds the files, links and folders of `tree` that match, at most `limit` of them.
pub fn find<'a>(tree: &'a Tree, globs: &Globs, limit: usize) -> Found<'a> {
    let Some(reach) = &globs.reach else {
        let mut matching = tree.iter().filter(|(path, _)| globs.matches(path));
        let nodes = matching.by_ref().take(limit).collect();
        return Found { nodes, more: matching.next().is_some() };
    };
    let near = reach.iter().flat_map(|reach| tree.near(&reach.within, reach.names));
    let mut nodes: Vec<_> = near.filter(|(path, _)| globs.matches(path)).collect();
    nodes.sort_unstable_by_key(|(path, _)| *path);
    nodes.dedup_by_key(|(path, _)| *path);
    let more = nodes.len() > limit;
    nodes.truncate(limit);
    Found { nodes, more }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::content::Bytes;

    fn tree() -> Tree {
        let mut tree = Tree::new();
        for path in ["BOOT-INF/lib/a.jar", "BOOT-INF/lib/b.jar", "BOOT-INF/classes/x/Y.class", "app.jar", "a*b"] {
            tree.insert(path.parse().unwrap(), Node::file(Arc::new(Bytes::new(*b"")), false)).unwrap();
        }
        tree
    }

    #[test]
    fn stars_stay_within_a_name_and_double_stars_do_not() {
        let tree = tree();
        let found = |pattern: &str| -> Vec<String> {
            let found = find(&tree, &Globs::new(&[pattern]).unwrap(), 100);
            found.nodes.iter().map(|(path, _)| path.to_string()).collect()
        };
        assert_eq!(found("*.jar"), ["app.jar"]);
        assert_eq!(found("**/*.jar"), ["BOOT-INF/lib/a.jar", "BOOT-INF/lib/b.jar", "app.jar"]);
        assert_eq!(found("BOOT-INF/*"), ["BOOT-INF/classes", "BOOT-INF/lib"]);
        assert_eq!(found("BOOT-INF/lib/{b,c}.jar"), ["BOOT-INF/lib/b.jar"]);
        assert_eq!(found("a\\*b"), ["a*b"]);
    }

    #[test]
    fn a_search_says_that_there_is_more() {
        let tree = tree();
        let globs = Globs::new(&["**/*.jar"]).unwrap();
        assert_eq!((find(&tree, &globs, 2).nodes.len(), find(&tree, &globs, 2).more), (2, true));
        assert!(!find(&tree, &globs, 3).more);
    }

    #[test]
    fn bad_patterns_are_named() {
        let refused = |pattern: &str| Globs::new(&[pattern]).unwrap_err().to_string();
        let messages = ["a[", "/etc/*", "../*", "{{{{{a}}}}}"].map(refused).join("\n");
        insta::assert_snapshot!(messages, @r"
        pattern `a[` cannot be understood
        pattern `/etc/*` matches nothing: paths start without `/` and hold no `.`, `..` or empty names
        pattern `../*` matches nothing: paths start without `/` and hold no `.`, `..` or empty names
        pattern `{{{{{a}}}}}` is longer than 1024 bytes, or nests braces deeper than 4
        ");
        insta::assert_snapshot!(Globs::new(&vec!["a"; 257]).unwrap_err(), @"257 patterns, more than the limit of 256");
    }

    /// Each pattern finds what a walk over all of the tree finds.
    #[test]
    fn a_search_leaves_out_only_what_cannot_match() {
        let mut tree = Tree::new();
        for folder in ["", "a/", "a-b/", "a/b/", "a/b/c/", "a0/b/", "b/a/", "x/y/z/"] {
            for name in ["a.jar", "b.jar", "a", "pom.xml", "a-", "a0"] {
                // Some are folders already.
                let _ = tree
                    .insert(format!("{folder}{name}").parse().unwrap(), Node::file(Arc::new(Bytes::new(*b"")), false));
            }
        }
        let sets: [&[&str]; 14] = [
            &["*.jar"],
            &["a"],
            &["a/*"],
            &["a/b"],
            &["a/b/*.jar", "*.jar", "a"],
            &["a", "a/*", "a/*/*"],
            &["*/*/*.jar"],
            &["a-b/?.jar", "a0/*/a*"],
            &["nothing/*", "nothing"],
            &["**/pom.xml", "a/*"],
            &["{a,x/y}/*"],
            &["a[/]b"],
            &["a/b/c/pom.xml"],
            &["?/pom.xml", "*"],
        ];
        for patterns in sets {
            let globs = Globs::new(patterns).unwrap();
            let all: Vec<&TreePath> = tree.iter().map(|(path, _)| path).filter(|path| globs.matches(path)).collect();
            for limit in [0, 1, all.len(), all.len() + 1] {
                let found = find(&tree, &globs, limit);
                let paths: Vec<&TreePath> = found.nodes.iter().map(|(path, _)| *path).collect();
                assert_eq!(paths, all[..limit.min(all.len())], "{patterns:?} {limit}");
                assert_eq!(found.more, limit < all.len(), "{patterns:?} {limit}");
            }
        }
    }
}
