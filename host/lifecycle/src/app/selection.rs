//! Which files of a source are the app: what people include and exclude, and what never gets into an image.
//!
//! A file is the app's if an `include` names it (or there is none), no `exclude` does, no `.gitignore` does where those are
//! followed, and it is no history of versions. Each of these can only take away, so none can bring back a secret that
//! another one keeps out. Whoever leaves a file out is remembered, to be told.

use std::collections::{BTreeMap, BTreeSet};

use stave_archive::{
    ignore::{List, Meaning, git_names},
    tree::{Node, Tree, TreeError, TreePath},
};

/// Histories of versions: with all that was ever in the app, and often with logins.
const HISTORIES: [&str; 4] = [".git", ".hg", ".svn", ".jj"];
/// How many of the left out are named; the rest are counted.
const MAX_NAMED: usize = 200;
/// The largest `.gitignore` that is followed, in bytes.
const MAX_GITIGNORE: u64 = 1 << 20;

/// A list of patterns and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What it is called in messages, such as `.dockerignore`.
    pub origin: String,
    /// The patterns.
    pub list: List,
}

/// What people chose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only what this names is the app's; all, when none.
    pub include: Option<Choice>,
    /// What these name is not.
    pub exclude: Vec<Choice>,
    /// Whether what the app's own `.gitignore` files name is not either.
    pub gitignore: bool,
}

/// What was left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// The first of them, each with who left it out. What is below a folder that was left out whole is not named.
    pub named: Vec<(String, Reason)>,
    /// How many there are, histories not counted.
    pub chosen: usize,
    /// Lists of patterns that could not be followed, with what is wrong.
    pub unread: Vec<String>,
}

/// Why a file is not the app's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It is a history of versions.
    History,
    /// Nobody included it.
    NotIncluded(String),
    /// A line names it.
    Line {
        /// Of which list.
        origin: String,
        /// Which line, from 1.
        line: usize,
        /// What it says.
        text: String,
    },
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::History => f.write_str("a history of versions never gets into an image"),
            Self::NotIncluded(origin) => write!(f, "{origin} does not name it"),
            Self::Line { origin, line, text } => write!(f, "`{}`, line {line} of {origin}", text.escape_debug()),
        }
    }
}

impl LeftOut {
    /// The same in the order of paths, whatever the order was in which a folder was read.
    pub(super) fn sorted(mut self) -> Self {
        self.named.sort_by(|(one, _), (other, _)| one.cmp(other));
        self
    }

    fn add(&mut self, path: &TreePath, is_folder: bool, reason: Reason) {
        self.chosen += usize::from(reason != Reason::History);
        if self.named.len() < MAX_NAMED {
            self.named.push((format!("{path}{}", if is_folder { "/" } else { "" }), reason));
        }
    }
}

impl Selection {
    /// Whether `path` and everything below it can be passed over while a folder is indexed, and why.
    pub(super) fn passes_over(&self, path: &TreePath, is_folder: bool, left_out: &mut LeftOut) -> bool {
        let reason = if is_history(path) {
            Some(Reason::History)
        } else {
            let may_decide = |choice: &&Choice| !is_folder || choice.list.is_final();
            self.exclude.iter().filter(may_decide).find_map(|choice| choice.line(path, is_folder))
        };
        let passes = reason.is_some();
        if let Some(reason) = reason {
            left_out.add(path, is_folder, reason);
        }
        passes
    }

    /// Whether [`Self::passes_over`] has not yet said everything.
    fn has_more_to_say(&self) -> bool {
        self.include.is_some() || self.gitignore || self.exclude.iter().any(|choice| !choice.list.is_final())
    }

    /// Takes away from a tree what is not the app's. `was_indexed` says that [`Self::passes_over`] was asked before.
    pub(super) fn select(&self, tree: Tree, was_indexed: bool, left_out: &mut LeftOut) -> Result<Tree, TreeError> {
        if was_indexed && !self.has_more_to_say() {
            return Ok(tree);
        }
        let gitignores = if self.gitignore { gitignores(&tree, left_out) } else { BTreeMap::new() };
        let gitignores: Vec<(TreePath, &List)> =
            gitignores.iter().map(|(folder, list)| (folder.clone(), list)).collect();
        let (mut kept, mut gone) = (BTreeSet::new(), BTreeMap::new());
        for (path, node) in tree.iter() {
            let is_folder = matches!(node, Node::Folder(_));
            if let Some(reason) = self.reason(path, is_folder, &gitignores) {
                gone.insert(path.clone(), (is_folder, reason));
                continue;
            }
            kept.insert(path.clone());
            // A folder that was left out comes back with what is kept in it.
            let mut parent = path.parent();
            while let Some(folder) = parent.filter(|folder| *folder != TreePath::root()) {
                parent = folder.parent();
                kept.insert(folder);
            }
        }
        let is_whole = |path: &TreePath| !kept.contains(path) && gone.contains_key(path);
        for (path, (is_folder, reason)) in &gone {
            if is_whole(path) && !path.parent().is_some_and(|parent| is_whole(&parent)) {
                left_out.add(path, *is_folder, reason.clone());
            }
        }
        let mut selected = Tree::new();
        for (path, node) in tree.iter().filter(|(path, _)| kept.contains(*path)) {
            selected.insert(path.clone(), node.clone())?;
        }
        Ok(selected)
    }

    fn reason(&self, path: &TreePath, is_folder: bool, gitignores: &[(TreePath, &List)]) -> Option<Reason> {
        if is_history(path) {
            return Some(Reason::History);
        }
        let not_included = |choice: &Choice| {
            let named = choice.list.names(path, is_folder).is_some();
            (!named).then(|| Reason::NotIncluded(choice.origin.clone()))
        };
        let excluded = || self.exclude.iter().find_map(|choice| choice.line(path, is_folder));
        let ignored = || {
            let (folder, pattern) = git_names(gitignores, path, is_folder)?;
            let origin = folder.join(&".gitignore".parse().ok()?).ok()?.to_string();
            Some(Reason::Line { origin, line: pattern.line, text: pattern.text.clone() })
        };
        excluded().or_else(ignored).or_else(|| self.include.as_ref().and_then(not_included))
    }
}

impl Choice {
    fn line(&self, path: &TreePath, is_folder: bool) -> Option<Reason> {
        let pattern = self.list.names(path, is_folder)?;
        Some(Reason::Line { origin: self.origin.clone(), line: pattern.line, text: pattern.text.clone() })
    }
}

fn is_history(path: &TreePath) -> bool {
    path.as_str().split('/').any(|name| HISTORIES.contains(&name))
}

/// The `.gitignore` files of a tree, by the folders that they stand in. Like git, none is read through a link.
fn gitignores(tree: &Tree, left_out: &mut LeftOut) -> BTreeMap<TreePath, List> {
    let mut lists = BTreeMap::new();
    for (path, node) in tree.iter().filter(|(path, _)| path.name() == ".gitignore") {
        let Node::File(_, content) = node else { continue };
        let text = content.bytes(MAX_GITIGNORE).map_err(|error| error.to_string());
        let text = text.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        match text.and_then(|text| List::parse(&text, Meaning::Git).map_err(|error| error.to_string())) {
            Ok(list) => drop(lists.insert(path.parent().unwrap_or_else(TreePath::root), list)),
            Err(error) => left_out.unread.push(format!("{path}: {error}")),
        }
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::tree;

    fn choice(origin: &str, text: &str, meaning: Meaning) -> Choice {
        Choice { origin: origin.to_owned(), list: List::parse(text, meaning).unwrap() }
    }

    fn app() -> Tree {
        tree(&[
            (".git/config", "token"),
            (".gitignore", "*.log\ntarget/\n!keep.log\n"),
            ("a.log", ""),
            ("keep.log", ""),
            ("lib/.gitignore", "/gen\n"),
            ("lib/gen/x", ""),
            ("lib/module/.git", "gitdir: ../../.git"),
            ("lib/x", ""),
            ("node_modules/a/index.js", ""),
            ("node_modules/keep/index.js", ""),
            ("target/app.jar", ""),
            ("empty/", ""),
        ])
    }

    /// What stays, then what is left out and why.
    fn selected(selection: &Selection) -> String {
        let mut left_out = LeftOut::default();
        let tree = selection.select(app(), false, &mut left_out).unwrap();
        let stays: Vec<&str> = tree.iter().map(|(path, _)| path.as_str()).collect();
        let gone = left_out.named.iter().map(|(path, reason)| format!("- {path}: {reason}"));
        let gone: Vec<String> = gone.chain([format!("{} chosen", left_out.chosen)]).collect();
        format!("{}\n{}", stays.join(" "), gone.join("\n"))
    }

    #[test]
    fn histories_never_get_in_and_gitignore_does_not_count_unless_asked() {
        insta::assert_snapshot!(selected(&Selection::default()), @r"
        .gitignore a.log empty keep.log lib lib/.gitignore lib/gen lib/gen/x lib/module lib/x node_modules node_modules/a node_modules/a/index.js node_modules/keep node_modules/keep/index.js target target/app.jar
        - .git/: a history of versions never gets into an image
        - lib/module/.git: a history of versions never gets into an image
        0 chosen
        ");
    }

    #[test]
    fn gitignore_files_are_followed_where_somebody_asks() {
        insta::assert_snapshot!(selected(&Selection { gitignore: true, ..Selection::default() }), @r"
        .gitignore empty keep.log lib lib/.gitignore lib/module lib/x node_modules node_modules/a node_modules/a/index.js node_modules/keep node_modules/keep/index.js
        - .git/: a history of versions never gets into an image
        - a.log: `*.log`, line 1 of .gitignore
        - lib/gen/: `/gen`, line 1 of lib/.gitignore
        - lib/module/.git: a history of versions never gets into an image
        - target/: `target/`, line 2 of .gitignore
        3 chosen
        ");
    }

    #[test]
    fn exclusions_name_their_line_and_an_exception_brings_its_folders_back() {
        let docker = choice(".dockerignore", "# out\nnode_modules\n!node_modules/keep\n**/*.log", Meaning::Docker);
        let flags = choice("--exclude", "lib/", Meaning::Git);
        insta::assert_snapshot!(selected(&Selection { exclude: vec![docker, flags], ..Selection::default() }), @r"
        .gitignore empty node_modules node_modules/keep node_modules/keep/index.js target target/app.jar
        - .git/: a history of versions never gets into an image
        - a.log: `**/*.log`, line 4 of .dockerignore
        - keep.log: `**/*.log`, line 4 of .dockerignore
        - lib/: `lib/`, line 1 of --exclude
        - node_modules/a/: `node_modules`, line 2 of .dockerignore
        4 chosen
        ");
    }

    #[test]
    fn inclusions_leave_out_all_the_rest() {
        let include = Some(choice("project.toml", "*.jar\n/lib/\n", Meaning::Git));
        let exclude = vec![choice("--exclude", "gen", Meaning::Git)];
        insta::assert_snapshot!(selected(&Selection { include, exclude, gitignore: false }), @r"
        lib lib/.gitignore lib/module lib/x target target/app.jar
        - .git/: a history of versions never gets into an image
        - .gitignore: project.toml does not name it
        - a.log: project.toml does not name it
        - empty/: project.toml does not name it
        - keep.log: project.toml does not name it
        - lib/gen/: `gen`, line 1 of --exclude
        - lib/module/.git: a history of versions never gets into an image
        - node_modules/: project.toml does not name it
        6 chosen
        ");
    }

    #[test]
    fn what_can_be_said_at_once_is_said_while_indexing() {
        let passes = |choice: Choice, path: &str, is_folder: bool| {
            let selection = Selection { exclude: vec![choice], ..Selection::default() };
            selection.passes_over(&path.parse().unwrap(), is_folder, &mut LeftOut::default())
        };
        let docker = |text: &str| choice(".dockerignore", text, Meaning::Docker);
        assert!(passes(docker("a"), "a", true) && passes(docker("a"), "a", false));
        assert!(!passes(docker("a\n!a/b"), "a", true), "something below may stay");
        assert!(passes(docker("a\n!a/b"), "a/c", false) && !passes(docker("a\n!a/b"), "a/b", false));
        assert!(passes(choice("--exclude", "a/\n!a/b", Meaning::Git), "a", true));
        assert!(passes(docker(""), "x/.git", true) && !passes(docker(""), "x/.gitkeep", false));
    }
}
