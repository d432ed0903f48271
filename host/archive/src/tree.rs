//! A tree of files as a sorted map.

mod path;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

pub use self::path::{InvalidPath, MAX_DEPTH, MAX_NAME, MAX_PATH, TreePath, link_stays_inside};
use crate::content::Content;

/// How many symbolic links are followed before a path is taken for a loop (as Linux counts, `path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// Who may do what with a file, in the words of `chmod(2)` and `chown(2)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Permission bits, at most `0o7777`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Access {
    /// A folder that all may read, owned by root.
    pub const FOLDER: Access = Access { mode: 0o755, uid: 0, gid: 0 };
    /// A file that all may read, owned by root.
    pub const FILE: Access = Access { mode: 0o644, uid: 0, gid: 0 };
    /// A file that all may read and run, owned by root.
    pub const PROGRAM: Access = Access { mode: 0o755, uid: 0, gid: 0 };

    /// The only two kinds of file there are in an app or a layer, whatever the umask of the machine it came from was.
    pub fn of_file(executable: bool) -> Self {
        if executable { Self::PROGRAM } else { Self::FILE }
    }
}

/// What stands at a path.
#[derive(Debug, Clone)]
pub enum Node {
    /// A folder.
    Folder(Access),
    /// A regular file.
    File(Access, Arc<dyn Content>),
    /// A symbolic link and its text, which is never followed outside of the tree.
    Link(String),
}

impl Node {
    /// A file that all may read, or run.
    pub fn file(content: Arc<dyn Content>, executable: bool) -> Self {
        Self::File(Access::of_file(executable), content)
    }
}

/// Something that cannot be put into a tree, or taken from it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The path is not one that a tree may hold.
    #[error(transparent)]
    Path(#[from] InvalidPath),
    /// Something else stands where the path or one of its folders should go.
    #[error("`{}` is there twice, or below something that is not a folder", .0.escape_debug())]
    Occupied(String),
    /// A symbolic link's text is empty, too long, or leads outside.
    #[error("symbolic link `{}` leads outside of its tree: `{}`", .0.escape_debug(), .1.escape_debug())]
    LinkOutside(String, String),
    /// The tree would hold more entries than allowed.
    #[error("more than {0} files and folders")]
    TooMany(usize),
    /// Symbolic links lead round in circles.
    #[error("`{}` follows more than 40 symbolic links", .0.escape_debug())]
    LinkLoop(String),
}

/// The most entries that one tree may hold.
pub const MAX_ENTRIES: usize = 500_000;

/// A sorted map of paths to nodes in which every parent is a folder.
///
/// A copy costs nothing until one of the two is changed.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    nodes: Arc<BTreeMap<TreePath, Node>>,
}

impl Tree {
    /// A tree with nothing but its root.
    pub fn new() -> Self {
        Self::default()
    }

    /// A tree of nodes in any order, each at a path of its own, and the folders above each among them. It takes less time and
    /// less memory than putting them one by one.
    pub(crate) fn of(mut nodes: Vec<(TreePath, Node)>) -> Result<Self, TreeError> {
        if nodes.len() > MAX_ENTRIES {
            return Err(TreeError::TooMany(MAX_ENTRIES));
        }
        nodes.sort_by(|(a, _), (b, _)| a.cmp(b));
        if let Some([(twice, _), _]) = nodes.array_windows().find(|[(a, _), (b, _)]| a == b) {
            return Err(TreeError::Occupied(twice.to_string()));
        }
        Ok(Self { nodes: Arc::new(nodes.into_iter().collect()) })
    }

    /// How many files, links and folders there are, the root not counted.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is nothing but the root.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// All nodes, sorted by path in byte order.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, &Node)> {
        self.nodes.iter()
    }

    /// What stands at `within` and below it with at most so many `names` in its path, in the order of [`Tree::iter`]. What is
    /// deeper is passed over without being looked at.
    pub(crate) fn near(&self, within: &str, names: usize) -> impl Iterator<Item = (&TreePath, &Node)> {
        let below = if within.is_empty() { String::new() } else { format!("{within}/") };
        let mut range = self.nodes.range::<str, _>((Bound::Included(below.as_str()), Bound::Unbounded));
        let deeper = move || {
            loop {
                let (path, node) = range.next().filter(|(path, _)| path.as_str().starts_with(&below))?;
                let Some((end, _)) = path.as_str().match_indices('/').nth(names.saturating_sub(1)) else {
                    return Some((path, node));
                };
                // Everything in a folder comes before what begins with the folder's name and the byte behind the slash.
                let next = format!("{}0", &path.as_str()[..end]);
                range = self.nodes.range::<str, _>((Bound::Included(next.as_str()), Bound::Unbounded));
            }
        };
        self.nodes.get_key_value(within).into_iter().chain(std::iter::from_fn(deeper))
    }

    /// What is below `folder`, as a tree of its own. None where no folder stands there; links are not followed.
    pub fn within(&self, folder: &TreePath) -> Option<Self> {
        if folder.as_str().is_empty() {
            return Some(self.clone());
        }
        let Some(Node::Folder(_)) = self.get(folder.as_str()) else { return None };
        let below = format!("{folder}/");
        let range = self.nodes.range::<str, _>((Bound::Excluded(below.as_str()), Bound::Unbounded));
        let nodes = range.map_while(|(path, node)| Some((path.as_str().strip_prefix(&below)?, node)));
        Some(Self { nodes: Arc::new(nodes.map(|(path, node)| (TreePath::known(path), node.clone())).collect()) })
    }

    /// The same tree with every node changed.
    #[must_use]
    pub fn map(self, change: impl Fn(&TreePath, Node) -> Node) -> Self {
        let nodes = Arc::unwrap_or_clone(self.nodes).into_iter().map(|(path, node)| {
            let node = change(&path, node);
            (path, node)
        });
        Self { nodes: Arc::new(nodes.collect()) }
    }

    /// What stands at `path`; symbolic links are not followed.
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Puts a node where nothing stands yet, making missing folders. A folder may be put over a folder: its access changes.
    pub fn insert(&mut self, path: TreePath, node: Node) -> Result<(), TreeError> {
        self.check_parents(&path)?;
        match (self.nodes.get(&path), &node) {
            (None, _) | (Some(Node::Folder(_)), Node::Folder(_)) if !path.as_str().is_empty() => self.put(path, node),
            _ => Err(TreeError::Occupied(path.to_string())),
        }
    }

    /// Puts a file or link at `path`, taking the place of a file or link that stands there.
    pub fn replace(&mut self, path: TreePath, node: Node) -> Result<(), TreeError> {
        self.check_parents(&path)?;
        match self.nodes.get(&path) {
            Some(Node::Folder(_)) if !matches!(node, Node::Folder(_)) => Err(TreeError::Occupied(path.to_string())),
            _ if path.as_str().is_empty() => Err(TreeError::Occupied(path.to_string())),
            _ => self.put(path, node),
        }
    }

    /// Takes away `path` and everything below it; answers how many nodes went. It takes as long as those are many.
    pub fn remove(&mut self, path: &TreePath) -> usize {
        let below = self.remove_below(path);
        let is_there = !path.as_str().is_empty() && self.nodes.contains_key(path);
        if is_there {
            Arc::make_mut(&mut self.nodes).remove(path);
        }
        below + usize::from(is_there)
    }

    /// The same, but for `folder` itself.
    pub(crate) fn remove_below(&mut self, folder: &TreePath) -> usize {
        let below = if folder.as_str().is_empty() { String::new() } else { format!("{folder}/") };
        let range = self.nodes.range::<str, _>((Bound::Included(below.as_str()), Bound::Unbounded));
        let gone: Vec<TreePath> =
            range.map(|(path, _)| path).take_while(|path| path.as_str().starts_with(&below)).cloned().collect();
        if !gone.is_empty() {
            let nodes = Arc::make_mut(&mut self.nodes);
            for path in &gone {
                nodes.remove(path);
            }
        }
        gone.len()
    }

    /// Takes away every node that `doomed` names, and everything below it; answers how many nodes went.
    pub fn remove_where(&mut self, doomed: impl Fn(&TreePath) -> bool) -> usize {
        let before = self.nodes.len();
        let named: BTreeSet<TreePath> = self.nodes.keys().filter(|path| doomed(path)).cloned().collect();
        let is_gone = |path: &TreePath| {
            let mut at = Some(path.clone());
            while let Some(path) = at {
                if named.contains(&path) {
                    return true;
                }
                at = path.parent();
            }
            false
        };
        Arc::make_mut(&mut self.nodes).retain(|path, _| !is_gone(path));
        before - self.nodes.len()
    }

    /// The node that `path` leads to when symbolic links are followed, and where it really stands. None if it leads nowhere.
    /// A link that leads outside of the tree leads nowhere.
    pub fn resolve(&self, path: &TreePath) -> Result<Option<(TreePath, &Node)>, TreeError> {
        let mut links = 0;
        let mut done: Vec<String> = Vec::new();
        let mut ahead: Vec<String> = path.as_str().split('/').rev().map(str::to_owned).collect();
        while let Some(name) = ahead.pop() {
            match name.as_str() {
                "" | "." => continue,
                ".." => match done.pop() {
                    Some(_) => continue,
                    None => return Ok(None),
                },
                _ => done.push(name),
            }
            match self.nodes.get(done.join("/").as_str()) {
                None => return Ok(None),
                Some(Node::Link(text)) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(TreeError::LinkLoop(path.to_string()));
                    }
                    if text.starts_with('/') {
                        return Ok(None);
                    }
                    done.pop();
                    ahead.extend(text.split('/').rev().map(str::to_owned));
                }
                Some(Node::File(..)) if !ahead.is_empty() => return Ok(None),
                Some(_) => {}
            }
        }
        let real = TreePath::known(&done.join("/"));
        Ok(self.nodes.get(&real).map(|node| (real, node)))
    }

    fn put(&mut self, path: TreePath, node: Node) -> Result<(), TreeError> {
        let mut missing = Vec::new();
        let mut at = path.as_str();
        while let Some((parent, _)) = at.rsplit_once('/').filter(|(parent, _)| !self.nodes.contains_key(*parent)) {
            missing.push(TreePath::known(parent));
            at = parent;
        }
        if self.nodes.len() + missing.len() >= MAX_ENTRIES {
            return Err(TreeError::TooMany(MAX_ENTRIES));
        }
        let nodes = Arc::make_mut(&mut self.nodes);
        nodes.extend(missing.into_iter().map(|at| (at, Node::Folder(Access::FOLDER))));
        nodes.insert(path, node);
        Ok(())
    }

    fn check_parents(&self, path: &TreePath) -> Result<(), TreeError> {
        let mut at = path.as_str();
        while let Some((parent, _)) = at.rsplit_once('/') {
            match self.nodes.get(parent) {
                // What is above a folder are folders.
                Some(Node::Folder(_)) => break,
                Some(_) => return Err(TreeError::Occupied(path.to_string())),
                None => at = parent,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Bytes;

    fn path(text: &str) -> TreePath {
        text.parse().unwrap()
    }

    fn file() -> Node {
        Node::file(Arc::new(Bytes::new(*b"x")), false)
    }

    #[test]
    fn a_name_is_taken_once_and_parents_are_folders() {
        let mut tree = Tree::new();
        tree.insert(path("a/b"), file()).unwrap();
        assert!(matches!(tree.get("a"), Some(Node::Folder(_))));
        assert!(matches!(tree.insert(path("a/b"), file()), Err(TreeError::Occupied(_))));
        assert!(matches!(tree.insert(path("a/b/c"), file()), Err(TreeError::Occupied(_))));
        assert!(matches!(tree.insert(path("a"), file()), Err(TreeError::Occupied(_))));
        tree.insert(path("l"), Node::Link("a".to_owned())).unwrap();
        assert!(matches!(tree.insert(path("l/x"), file()), Err(TreeError::Occupied(_))), "nothing goes through a link");
        tree.replace(path("a/b"), Node::Link("c".to_owned())).unwrap();
        assert_eq!(tree.remove(&path("a")), 2);
    }

    #[test]
    fn a_tree_holds_so_many_and_no_more() {
        let mut nodes: Vec<_> =
            (0..MAX_ENTRIES).map(|n| (TreePath::known(&n.to_string()), Node::Link(String::new()))).collect();
        assert_eq!(Tree::of(nodes.clone()).unwrap().len(), MAX_ENTRIES);
        nodes.push((TreePath::known("more"), Node::Link(String::new())));
        assert!(matches!(Tree::of(nodes), Err(TreeError::TooMany(MAX_ENTRIES))));
    }

    #[test]
    fn what_is_removed_goes_with_all_that_is_in_it_and_nothing_else() {
        let mut tree = Tree::new();
        for at in ["a", "app-1/x", "app/b/c", "app/d", "app0"] {
            tree.insert(path(at), file()).unwrap();
        }
        let (whole, left) =
            (tree.clone(), |tree: &Tree| tree.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>());
        assert_eq!((tree.remove(&path("none")), tree.remove(&path("ap")), tree.remove(&path("app/d/e"))), (0, 0, 0));
        assert_eq!(
            (tree.remove(&path("app/b")), left(&tree).join(" ")),
            (2, "a app app-1 app-1/x app/d app0".to_owned())
        );
        assert_eq!((tree.remove_below(&path("app")), tree.remove(&path("app"))), (1, 1));
        assert_eq!(left(&tree), ["a", "app-1", "app-1/x", "app0"]);
        assert_eq!((tree.remove(&TreePath::root()), tree.len()), (4, 0));
        assert_eq!(whole.len(), 8, "a copy is not touched");
    }

    #[test]
    fn a_folder_of_a_tree_is_a_tree() {
        let mut tree = Tree::new();
        for at in ["a", "app-1/x", "app/b/c", "app/d", "app0"] {
            tree.insert(path(at), file()).unwrap();
        }
        tree.insert(path("app/empty"), Node::Folder(Access::FOLDER)).unwrap();
        tree.insert(path("link"), Node::Link("app".to_owned())).unwrap();
        let within = |at: TreePath| {
            let below = tree.within(&at)?;
            Some(below.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(within(path("app")).as_deref(), Some("b b/c d empty"));
        assert_eq!(within(path("app/b")).as_deref(), Some("c"));
        assert_eq!(within(path("app/empty")).as_deref(), Some(""));
        assert_eq!(within(TreePath::root()).map(|all| all.split(' ').count()), Some(tree.len()));
        for at in ["a", "none", "app/d/e", "link"] {
            assert_eq!(within(path(at)), None, "{at}");
        }
    }

    #[test]
    fn links_are_followed_inside_only() {
        let mut tree = Tree::new();
        tree.insert(path("lib/real"), file()).unwrap();
        tree.insert(path("bin"), Node::Link("lib".to_owned())).unwrap();
        tree.insert(path("lib/up"), Node::Link("../bin/real".to_owned())).unwrap();
        tree.insert(path("out"), Node::Link("../../etc/passwd".to_owned())).unwrap();
        tree.insert(path("abs"), Node::Link("/etc/passwd".to_owned())).unwrap();
        tree.insert(path("loop"), Node::Link("loop".to_owned())).unwrap();
        let real = |p: &str| tree.resolve(&path(p)).map(|found| found.map(|(at, _)| at.to_string()));
        assert_eq!(real("bin/up"), Ok(Some("lib/real".to_owned())));
        assert_eq!(real("out"), Ok(None));
        assert_eq!(real("abs"), Ok(None));
        assert_eq!(real("lib/real/x"), Ok(None));
        assert!(matches!(real("loop"), Err(TreeError::LinkLoop(_))));
    }
}
