//! The root file system that the layers make together, as far as it takes to find a program in it.

use std::collections::BTreeMap;

use super::{Findings, layers::normal};

/// How many symbolic links are followed before a path is taken for a loop (as Linux counts).
const MAX_LINKS: usize = 40;
/// The prefix of names that remove others (OCI image spec, "Whiteouts").
const WHITEOUT: &str = ".wh.";
/// The name that empties its folder.
const OPAQUE: &str = ".wh..wh..opq";

/// One entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Without a slash at either end.
    pub(super) path: String,
    /// What it is.
    pub(super) kind: Kind,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A folder.
    Folder,
    /// A file, perhaps one that can be run.
    File {
        /// Whether anybody may run it.
        is_program: bool,
    },
    /// A symbolic link and its text.
    Link(String),
    /// Another name of a file.
    HardLink(String),
}

/// All layers so far, laid over one another.
#[derive(Debug, Default)]
pub(super) struct Root(BTreeMap<String, Kind>);

impl Root {
    /// Lays a layer on top.
    pub(super) fn lay(&mut self, part: &str, entries: Vec<Entry>, is_ours: bool, findings: &mut Findings) {
        for Entry { path, .. } in entries.iter().filter(|entry| name_of(&entry.path).starts_with(WHITEOUT)) {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            match name.strip_prefix(WHITEOUT) {
                _ if name == OPAQUE => self.remove_below(folder),
                Some(removed) if !removed.is_empty() && removed != "." && removed != ".." => {
                    let removed = if folder.is_empty() { removed.to_owned() } else { format!("{folder}/{removed}") };
                    self.0.remove(&removed);
                    self.remove_below(&removed);
                }
                _ => findings.add(part, format!("`{}` removes nothing", path.escape_debug())),
            }
        }
        for Entry { path, kind } in entries {
            if name_of(&path).starts_with(WHITEOUT) || path.is_empty() {
                continue;
            }
            if let Some(parent) = self.obstacle(&path).filter(|_| is_ours) {
                findings.add(
                    part,
                    format!("`{}` lies below `{}`, which is no folder", path.escape_debug(), parent.escape_debug()),
                );
            }
            self.put(part, path, kind, findings);
        }
    }

    fn put(&mut self, part: &str, path: String, kind: Kind, findings: &mut Findings) {
        let kind = if let Kind::HardLink(target) = &kind {
            let there = normal(target).and_then(|target| self.0.get(&target).cloned());
            let Some(there) = there.filter(|there| *there != Kind::Folder) else {
                let (path, target) = (path.escape_debug(), target.escape_debug());
                return findings.add(part, format!("`{path}` is a hard link to `{target}`, which is no file there"));
            };
            there
        } else {
            kind
        };
        if kind != Kind::Folder {
            self.remove_below(&path);
        }
        self.0.insert(path, kind);
    }

    fn remove_below(&mut self, folder: &str) {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let below: Vec<String> = self.0.range(prefix.clone()..).map(|(path, _)| path.clone()).collect();
        for path in below.into_iter().take_while(|path| path.starts_with(&prefix)) {
            self.0.remove(&path);
        }
    }

    /// The first folder of `path` that is none.
    fn obstacle(&self, path: &str) -> Option<String> {
        let ends = path.match_indices('/').map(|(at, _)| &path[..at]);
        ends.into_iter().find(|at| self.0.get(*at).is_some_and(|kind| *kind != Kind::Folder)).map(str::to_owned)
    }

    /// Whether an absolute path leads to a file that can be run; if not, why.
    pub(super) fn program(&self, path: &str) -> Result<(), String> {
        let mut ahead: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let (mut done, mut links): (Vec<String>, usize) = (Vec::new(), 0);
        while let Some(name) = ahead.pop() {
            match name.as_str() {
                "" | "." => continue,
                ".." => {
                    done.pop();
                    continue;
                }
                _ => done.push(name),
            }
            if let Some(Kind::Link(text)) = self.0.get(&done.join("/")) {
                links += 1;
                if links > MAX_LINKS {
                    return Err("leads round in circles".to_owned());
                }
                if text.starts_with('/') {
                    done.clear();
                } else {
                    done.pop();
                }
                ahead.extend(text.split('/').rev().map(str::to_owned));
            }
        }
        match self.0.get(&done.join("/")) {
            Some(Kind::File { is_program: true }) => Ok(()),
            Some(Kind::File { .. }) => Err("is a file that cannot be run".to_owned()),
            Some(_) => Err("is not a file".to_owned()),
            None => Err("is in no layer".to_owned()),
        }
    }
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
