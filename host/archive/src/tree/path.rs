//! The paths that may stand in a tree, and the links.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

/// The longest path that is accepted, in bytes (`PATH_MAX` on Linux, less the terminating zero).
pub const MAX_PATH: usize = 4095;
/// The longest name of one file or folder, in bytes (`NAME_MAX` on Linux).
pub const MAX_NAME: usize = 255;
/// The deepest nesting that is accepted.
pub const MAX_DEPTH: usize = 255;

/// A relative path that stays below its root: UTF-8, `/` between names, no empty, `.` or `..` names, no NUL, no backslash.
///
/// A copy shares the text: a tree of many files and what is known of them hold each path once.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(Arc<str>);

/// A path that may not stand in a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("path `{}` is refused: {rule}", .path.escape_debug())]
pub struct InvalidPath {
    path: String,
    rule: &'static str,
}

impl TreePath {
    /// The path as text; the root is the empty text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A text that is known to be one: cut from another path, or put together from names that were read of one.
    pub(super) fn known(text: &str) -> Self {
        Self(text.into())
    }

    /// The root of a tree.
    pub fn root() -> Self {
        Self(Arc::default())
    }

    /// The folder that holds it; none for the root.
    pub fn parent(&self) -> Option<TreePath> {
        if self.0.is_empty() {
            return None;
        }
        Some(Self(self.0.rsplit_once('/').map_or("", |(parent, _)| parent).into()))
    }

    /// The last name; empty for the root.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or("")
    }

    /// `self/below`.
    pub fn join(&self, below: &TreePath) -> Result<Self, InvalidPath> {
        match (self.0.is_empty(), below.0.is_empty()) {
            (true, _) => Ok(below.clone()),
            (_, true) => Ok(self.clone()),
            _ => format!("{}/{}", self.0, below.0).parse(),
        }
    }

    /// Whether `self` is `folder` or lies below it.
    pub fn is_within(&self, folder: &TreePath) -> bool {
        folder.0.is_empty()
            || self.0 == folder.0
            || self.0.strip_prefix(&*folder.0).is_some_and(|rest| rest.starts_with('/'))
    }

    /// What is left below `folder`, or none if it does not lie within.
    pub fn strip(&self, folder: &TreePath) -> Option<TreePath> {
        if !self.is_within(folder) {
            return None;
        }
        Some(Self(self.0[folder.0.len()..].trim_start_matches('/').into()))
    }

    /// The path without its first `count` names; none if nothing is left.
    pub fn strip_names(&self, count: usize) -> Option<TreePath> {
        let rest: Vec<&str> = self.0.split('/').skip(count).collect();
        (!rest.is_empty()).then(|| Self(rest.join("/").into()))
    }
}

impl FromStr for TreePath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |rule| Err(InvalidPath { path: text.chars().take(200).collect(), rule });
        if text.len() > MAX_PATH {
            return refuse("it is longer than 4095 bytes");
        }
        if text.starts_with('/') {
            return refuse("it is absolute");
        }
        if text.contains(['\\', '\0']) {
            return refuse("it holds a backslash or a NUL");
        }
        if text.as_bytes().get(1) == Some(&b':') && text.as_bytes()[0].is_ascii_alphabetic() {
            return refuse("it starts with a drive letter");
        }
        let text = text.strip_suffix('/').unwrap_or(text);
        let mut names = 0;
        for name in text.split('/') {
            match name {
                "" => return refuse("it holds an empty name"),
                "." | ".." => return refuse("it holds `.` or `..`"),
                name if name.len() > MAX_NAME => return refuse("a name is longer than 255 bytes"),
                _ => names += 1,
            }
        }
        if names > MAX_DEPTH {
            return refuse("it is deeper than 255 folders");
        }
        Ok(Self(text.into()))
    }
}

impl Borrow<str> for TreePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Whether a symbolic link at `path` with this text stays inside its tree: relative, and never above the root on the way.
/// Absolute texts are for the image's own root and are judged by who writes them.
pub fn link_stays_inside(path: &TreePath, text: &str) -> bool {
    if text.is_empty() || text.len() > MAX_PATH || text.starts_with('/') || text.contains('\0') {
        return false;
    }
    let mut depth = path.0.split('/').count() - 1;
    for name in text.split('/') {
        match name {
            "" | "." => {}
            ".." if depth == 0 => return false,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        text.parse().unwrap()
    }

    #[test]
    fn paths_that_climb_or_hide_are_refused() {
        let deep = "a/".repeat(256);
        let long = "a".repeat(256);
        for text in [
            "",
            "/",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a/./b",
            "a//b",
            "..",
            ".",
            "a\\b",
            "C:/x",
            "a\0",
            &deep,
            &long,
        ] {
            assert!(text.parse::<TreePath>().is_err(), "{text:?}");
        }
        assert_eq!(path("a/b/").as_str(), "a/b");
        let error = "a/../x".parse::<TreePath>().unwrap_err();
        assert_eq!(error.to_string(), "path `a/../x` is refused: it holds `.` or `..`");
    }

    #[test]
    fn paths_know_their_relations() {
        assert_eq!(path("a/b").parent(), Some(path("a")));
        assert_eq!(path("a").parent(), Some(TreePath::root()));
        assert!(path("a/b").is_within(&path("a")) && !path("ab").is_within(&path("a")));
        assert_eq!(path("a/b/c").strip(&path("a")), Some(path("b/c")));
        assert_eq!(path("a/b/c").strip_names(2), Some(path("c")));
        assert_eq!(path("a").strip_names(1), None);
    }

    #[test]
    fn a_links_text_is_judged_where_it_stands() {
        assert!(link_stays_inside(&path("a/b"), "../c") && link_stays_inside(&path("a"), "b/../c"));
        for text in ["", "/x", "../x", "b/../../x"] {
            assert!(!link_stays_inside(&path("a"), text), "{text}");
        }
    }
}
