//! The root file system that packages come to, as a tree: what `dpkg` would have unpacked, without running anything.
//!
//! Packages may still ship files below `/bin`, `/lib` and the like; all of them go below `/usr`, and the old names become
//! links (`usrmerge`, Debian's only supported layout since bookworm). Where one package has a link and another a folder of
//! the same name, the link stays and the other's files go where it leads. Files that two packages have are refused, unless
//! they are equal or one of the packages says that it replaces the other (Debian Policy 7.6.1). Set-user-id and
//! set-group-id bits are taken away: an app that does not run as root has no use for a way to become it.

use std::{collections::BTreeMap, io, sync::Arc};

use debversion::Version;
use stave_archive::{
    content::{Bytes, Content},
    deb::Deb,
    tree::{Access, InvalidPath, Node, Tree, TreeError, TreePath},
};

use crate::{
    definition::Definition,
    paragraph::{self, Paragraph, ParagraphError},
    relation,
};

/// Folders of the root that are links into `/usr`. The first three always are.
const MERGED: [&str; 7] = ["bin", "lib", "sbin", "lib32", "lib64", "libo32", "libx32"];
/// The most links that are followed on the way to one file.
const MAX_LINKS: usize = 40;
/// The most bytes of a package's control file, and of its list of checksums.
const MAX_CONTROL: u64 = 1 << 20;
const MAX_SUMS: u64 = 64 << 20;
/// Where scanners look for packages that no package manager administers, one file each (as distroless images have it).
const STATUS: &str = "var/lib/dpkg/status.d";

/// Packages that cannot become one root file system.
#[derive(Debug, thiserror::Error)]
pub enum RootfsError {
    /// A package's control file is missing, or says something else than the index.
    #[error("package `{package}` is refused: {rule}")]
    Control {
        /// Which package.
        package: String,
        /// Which rule it breaks.
        rule: &'static str,
    },
    /// A package's control file cannot be understood.
    #[error("could not read the control file of package `{package}`")]
    Text {
        /// Which package.
        package: String,
        /// What is wrong.
        #[source]
        source: ParagraphError,
    },
    /// A file cannot be put into the tree.
    #[error("could not unpack package `{package}`")]
    Tree {
        /// Which package.
        package: String,
        /// What is wrong.
        #[source]
        source: TreeError,
    },
    /// Two packages have different files of one name.
    #[error("`/{path}` is in package `{first}` and in package `{second}`", path = .path.escape_debug())]
    Collision {
        /// The path.
        path: String,
        /// A package.
        first: String,
        /// Another package.
        second: String,
    },
    /// A file cannot be read.
    #[error("could not read `/{path}`", path = .path.escape_debug())]
    Read {
        /// The path.
        path: String,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
}

/// A package's files, and who it says it is.
#[derive(Debug)]
pub struct Unpacked {
    name: String,
    version: Version,
    control: Paragraph,
    sums: Option<Arc<dyn Content>>,
    data: Tree,
}

impl Unpacked {
    /// Takes an opened package that must be the one named.
    pub fn new(deb: Deb, name: &str, version: &str) -> Result<Self, RootfsError> {
        let refuse = |rule| RootfsError::Control { package: name.to_owned(), rule };
        let Some(Node::File(_, content)) = deb.control.get("control") else {
            return Err(refuse("it has no control file"));
        };
        let bytes = content.bytes(MAX_CONTROL).map_err(|_| refuse("its control file is longer than 1 MiB"))?;
        let text = String::from_utf8_lossy(&bytes);
        let control =
            paragraph::single(&text).map_err(|source| RootfsError::Text { package: name.to_owned(), source })?;
        let version: Version = version.parse().map_err(|_| refuse("its version is not one"))?;
        let own = control.get("Version").and_then(|text| text.parse::<Version>().ok());
        if control.get("Package") != Some(name) || own.as_ref() != Some(&version) {
            return Err(refuse("its control file is that of another package or version"));
        }
        let sums = match deb.control.get("md5sums") {
            Some(Node::File(_, content)) if content.size() <= MAX_SUMS => Some(Arc::clone(content)),
            _ => None,
        };
        Ok(Self { name: name.to_owned(), version, control, sums, data: deb.data })
    }

    /// Whether its files take the place of the other's.
    fn replaces(&self, other: &Unpacked) -> bool {
        let clauses = relation::parse(self.control.get("Replaces").unwrap_or_default()).unwrap_or_default();
        clauses.iter().flat_map(|clause| &clause.0).any(|relation| {
            let version = relation.version.as_ref().is_none_or(|(compare, named)| compare.holds(&other.version, named));
            relation.name == other.name && version
        })
    }
}

/// Lays packages upon each other, in the order of their names; what is omitted by the definition is left out.
pub fn merge(packages: &[Unpacked], definition: &Definition) -> Result<Tree, RootfsError> {
    let mut root = Rootfs { tree: Tree::new(), owners: BTreeMap::new(), links: links_of(packages)?, packages };
    let mut order: Vec<usize> = (0..packages.len()).collect();
    // The package of the base folders says what they are, as the one that is always there first.
    order.sort_by_key(|number| (packages[*number].name != "base-files", &packages[*number].name));
    for number in order {
        let package = &packages[number];
        let failed = |source| RootfsError::Tree { package: package.name.clone(), source };
        for (path, node) in package.data.iter() {
            let path = merged(path).map_err(|error| failed(error.into()))?;
            if !MERGED.contains(&path.as_str()) && !definition.omits(&path) {
                root.put(number, &path, node)?;
            }
        }
    }
    let Rootfs { mut tree, .. } = root;
    finish(&mut tree, packages, definition)?;
    Ok(tree)
}

/// `/lib/x` is `/usr/lib/x`.
fn merged(path: &TreePath) -> Result<TreePath, InvalidPath> {
    let (first, rest) = path.as_str().split_once('/').unwrap_or((path.as_str(), ""));
    if MERGED.contains(&first) && !rest.is_empty() { format!("usr/{path}").parse() } else { Ok(path.clone()) }
}

/// All links of all packages by path: the shape that the files are laid into.
fn links_of(packages: &[Unpacked]) -> Result<BTreeMap<String, String>, RootfsError> {
    let mut links = BTreeMap::new();
    for package in packages {
        for (path, node) in package.data.iter() {
            let Node::Link(text) = node else { continue };
            let failed = |error: InvalidPath| RootfsError::Tree { package: package.name.clone(), source: error.into() };
            links.entry(merged(path).map_err(failed)?.as_str().to_owned()).or_insert_with(|| text.clone());
        }
    }
    for name in MERGED {
        links.insert(name.to_owned(), format!("usr/{name}"));
    }
    Ok(links)
}

struct Rootfs<'a> {
    tree: Tree,
    owners: BTreeMap<TreePath, usize>,
    links: BTreeMap<String, String>,
    packages: &'a [Unpacked],
}

impl Rootfs<'_> {
    fn put(&mut self, number: usize, path: &TreePath, node: &Node) -> Result<(), RootfsError> {
        let failed = |source| RootfsError::Tree { package: self.packages[number].name.clone(), source };
        let path = land(&self.links, path).map_err(failed)?;
        let node = match node {
            Node::Folder(_) if self.links.contains_key(path.as_str()) || self.tree.get(path.as_str()).is_some() => {
                return Ok(());
            }
            Node::File(access, content) => {
                Node::File(Access { mode: access.mode & 0o1777, ..*access }, Arc::clone(content))
            }
            other => other.clone(),
        };
        if let Some(other) = self.owners.get(&path).copied() {
            let (new, old) = (&self.packages[number], &self.packages[other]);
            if self.tree.get(path.as_str()).is_some_and(|there| equal(there, &node)) || old.replaces(new) {
                return Ok(());
            }
            if !new.replaces(old) {
                let path = path.as_str().to_owned();
                return Err(RootfsError::Collision { path, first: old.name.clone(), second: new.name.clone() });
            }
        }
        let is_folder = matches!(node, Node::Folder(_));
        if is_folder { self.tree.insert(path.clone(), node) } else { self.tree.replace(path.clone(), node) }
            .map_err(failed)?;
        if !is_folder {
            self.owners.insert(path, number);
        }
        Ok(())
    }
}

fn equal(a: &Node, b: &Node) -> bool {
    match (a, b) {
        (Node::Link(a), Node::Link(b)) => a == b,
        (Node::File(a, one), Node::File(b, other)) => {
            let digests = || one.digest().ok().zip(other.digest().ok());
            a == b && one.size() == other.size() && digests().is_some_and(|(one, other)| one == other)
        }
        _ => false,
    }
}

/// Where `path` comes to stand when the links among its folders are followed. The last name is not followed, and nothing
/// leads above the root, as in a real root file system.
fn land(links: &BTreeMap<String, String>, path: &TreePath) -> Result<TreePath, TreeError> {
    let mut followed = 0;
    let mut done: Vec<String> = Vec::new();
    let mut ahead: Vec<String> = path.as_str().split('/').rev().map(str::to_owned).collect();
    while let Some(name) = ahead.pop() {
        match name.as_str() {
            "" | "." => continue,
            ".." => {
                done.pop();
                continue;
            }
            _ => done.push(name),
        }
        let Some(text) = links.get(&done.join("/")).filter(|_| !ahead.is_empty()) else { continue };
        followed += 1;
        if followed > MAX_LINKS {
            return Err(TreeError::LinkLoop(path.as_str().to_owned()));
        }
        done.pop();
        if text.starts_with('/') {
            done.clear();
        }
        ahead.extend(text.split('/').rev().map(str::to_owned));
    }
    Ok(done.join("/").parse()?)
}

/// The links of the merged `/usr`, those of the definition, and what scanners read.
fn finish(tree: &mut Tree, packages: &[Unpacked], definition: &Definition) -> Result<(), RootfsError> {
    let by_stave = |source| RootfsError::Tree { package: "stave".to_owned(), source };
    for (index, name) in MERGED.into_iter().enumerate() {
        let target = format!("usr/{name}");
        if index < 3 && tree.get(&target).is_none() {
            put(tree, &target, Node::Folder(Access::FOLDER)).map_err(by_stave)?;
        }
        if tree.get(&target).is_some() {
            put(tree, name, Node::Link(target)).map_err(by_stave)?;
        }
    }
    for (path, text) in &definition.links {
        put(tree, path, Node::Link(text.clone())).map_err(by_stave)?;
    }
    for package in packages {
        let failed = |source| RootfsError::Tree { package: package.name.clone(), source };
        let text = Bytes::new(package.control.as_str().as_bytes());
        put(tree, &format!("{STATUS}/{}", package.name), Node::file(Arc::new(text), false)).map_err(failed)?;
        if let Some(sums) = &package.sums {
            let node = Node::file(Arc::clone(sums), false);
            put(tree, &format!("{STATUS}/{}.md5sums", package.name), node).map_err(failed)?;
        }
    }
    Ok(())
}

fn put(tree: &mut Tree, path: &str, node: Node) -> Result<(), TreeError> {
    let path: TreePath = path.parse()?;
    match node {
        Node::Folder(_) => tree.insert(path, node),
        node => tree.replace(path, node),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, fields: &str, files: &[(&str, &str)]) -> Unpacked {
        let mut tree = Tree::new();
        for (path, content) in files {
            let node = match content.strip_prefix("-> ") {
                Some(text) => Node::Link(text.to_owned()),
                None => Node::file(Arc::new(Bytes::new(content.as_bytes())), false),
            };
            tree.insert(path.parse().unwrap(), node).unwrap();
        }
        let control = format!("Package: {name}\nVersion: 1\n{fields}");
        let file = Node::file(Arc::new(Bytes::new(control.as_bytes())), false);
        let mut control = Tree::new();
        control.insert("control".parse().unwrap(), file).unwrap();
        Unpacked::new(Deb { control, data: tree }, name, "1").unwrap()
    }

    /// What the packages come to, without what is always there.
    fn merged_tree(packages: &[Unpacked]) -> Result<Vec<String>, String> {
        let text = "id = 'x'\ndistribution = 'debian'\nsuite = 's'\npackages = ['a1']";
        let tree = merge(packages, &Definition::parse(text).unwrap()).map_err(|error| error.to_string())?;
        let line = |(path, node): (&TreePath, &Node)| match node {
            Node::Link(text) if !text.starts_with("usr/") => Some(format!("{path} -> {text}")),
            Node::File(_, content) if !path.as_str().starts_with(STATUS) => {
                Some(format!("{path} = {}", String::from_utf8_lossy(&content.bytes(100).unwrap())))
            }
            _ => None,
        };
        Ok(tree.iter().filter_map(line).collect())
    }

    #[test]
    fn old_paths_come_below_usr_and_links_stay() {
        let packages = [
            package(
                "a1",
                "",
                &[("lib/one", "1"), ("usr/lib/two", "2"), ("var/run/a1/pid", "3"), ("sbin/x", "-> ../bin/y")],
            ),
            package("z1", "", &[("var/run", "-> /run"), ("run/z1", "4"), ("usr/share/up", "-> ../../../../etc")]),
        ];
        let expected = [
            "run/a1/pid = 3",
            "run/z1 = 4",
            "usr/lib/one = 1",
            "usr/lib/two = 2",
            "usr/sbin/x -> ../bin/y",
            "usr/share/up -> ../../../../etc",
            "var/run -> /run",
        ];
        assert_eq!(merged_tree(&packages).unwrap(), expected);
    }

    #[test]
    fn a_file_of_two_packages_needs_a_reason() {
        let file = |name: &str, fields: &str, content: &str| package(name, fields, &[("lib/x", content)]);
        let merged = |a: Unpacked, b: Unpacked| merged_tree(&[a, b]);
        let collision = Err("`/usr/lib/x` is in package `a1` and in package `b1`".to_owned());
        assert_eq!(merged(file("a1", "", "1"), file("b1", "", "2")), collision);
        assert_eq!(merged(file("a1", "", "1"), file("b1", "", "1")).unwrap(), ["usr/lib/x = 1"]);
        assert_eq!(merged(file("a1", "", "1"), file("b1", "Replaces: a1\n", "2")).unwrap(), ["usr/lib/x = 2"]);
        assert_eq!(
            merged(file("a1", "Replaces: c1, b1 (<= 1)\n", "1"), file("b1", "", "2")).unwrap(),
            ["usr/lib/x = 1"]
        );
        assert_eq!(merged(file("a1", "Replaces: b1 (<< 1)\n", "1"), file("b1", "", "2")), collision);
        let other_place = package("b1", "", &[("usr/lib/x", "2")]);
        assert_eq!(merged(file("a1", "", "1"), other_place), collision, "both names are one place");
    }

    #[test]
    fn links_are_followed_within_the_root_and_not_for_ever() {
        let links = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let landed = |pairs: &[(&str, &str)], path: &str| {
            land(&links(pairs), &path.parse().unwrap())
                .map(|path| path.as_str().to_owned())
                .map_err(|error| error.to_string())
        };
        assert_eq!(landed(&[("a", "b"), ("b", "/c/d")], "a/x").unwrap(), "c/d/x");
        assert_eq!(landed(&[("a", "../../..")], "a/x").unwrap(), "x", "nothing leads above the root");
        assert_eq!(landed(&[("a", "b")], "a").unwrap(), "a", "the last name is not followed");
        assert_eq!(landed(&[("a", "a")], "a/x").unwrap_err(), "`a/x` follows more than 40 symbolic links");
        assert!(landed(&[("a", &"b/".repeat(300))], "a/x").is_err());
    }

    #[test]
    fn a_control_file_is_the_packages_own() {
        let deb = |text: &str| {
            let mut control = Tree::new();
            control
                .insert("control".parse().unwrap(), Node::file(Arc::new(Bytes::new(text.as_bytes())), false))
                .unwrap();
            Deb { control, data: Tree::new() }
        };
        let refused = |deb: Deb| Unpacked::new(deb, "a1", "1.0-1").unwrap_err().to_string();
        let messages = [
            refused(Deb { control: Tree::new(), data: Tree::new() }),
            refused(deb("Package: b1\nVersion: 1.0-1\n")),
            refused(deb("Package: a1\nVersion: 1.0-2\n")),
            refused(deb("nonsense\n")),
        ];
        insta::assert_snapshot!(messages.join("\n"), @"
        package `a1` is refused: it has no control file
        package `a1` is refused: its control file is that of another package or version
        package `a1` is refused: its control file is that of another package or version
        could not read the control file of package `a1`
        ");
    }
}
