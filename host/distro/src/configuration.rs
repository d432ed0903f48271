//! What a system's installer and maintainer scripts would have made, as far as an app needs it: accounts, the bundle of CA
//! certificates, the time zone, a home, a place for temporary files.
//!
//! No script of any package runs. What they do beyond this is not there, and is not missed by an app: `ld.so.cache` (the
//! loader looks into its standard folders itself), `update-alternatives` (a definition's `links` stand for it), hashed
//! names of certificates (programs that want them can be pointed at the bundle), databases of menus, icons and MIME types.

use std::{fmt::Write as _, sync::Arc};

use stave_archive::{
    content::Bytes,
    tree::{Access, Node, Tree, TreeError, TreePath},
};
use stave_model::target::os_release;

use crate::{definition::User, rootfs::RootfsError};

/// The bundle of CA certificates, where Debian's programs look for it.
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";
/// Where the package of CA certificates has them one by one.
const CERTIFICATES: &str = "usr/share/ca-certificates/";
/// Where Debian keeps what `/etc/passwd` begins as.
const MASTERS: [(&str, &str); 2] =
    [("etc/passwd", "usr/share/base-passwd/passwd.master"), ("etc/group", "usr/share/base-passwd/group.master")];
/// The most bytes of one of the files that are read here.
const MAX_FILE: u64 = 1 << 20;

const NOBODY: &str = "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
/// The files of glibc's name service: accounts from files, hosts from files and DNS.
const NSSWITCH: &str = "passwd: files\ngroup: files\nshadow: files\ngshadow: files\n\nhosts: files dns\nnetworks: files\n\n\
    protocols: db files\nservices: db files\nethers: db files\nrpc: db files\n\nnetgroup: nis\n";

/// The files that come on top of the packages' root file system.
pub fn of(root: &Tree, user: &User) -> Result<Tree, RootfsError> {
    let mut tree = Tree::new();
    let failed = |source| RootfsError::Tree { package: "stave".to_owned(), source };
    let (passwd, group) = accounts(root, user)?;
    let mut put = |path: &str, node: Node| put(&mut tree, root, path, node).map_err(failed);
    put("etc/passwd", text(passwd))?;
    put("etc/group", text(group))?;
    if root.get("etc/nsswitch.conf").is_none() {
        put("etc/nsswitch.conf", text(NSSWITCH.to_owned()))?;
    }
    if let Some(bundle) = bundle(root)? {
        put(BUNDLE, text(bundle))?;
    }
    if root.get("usr/share/zoneinfo/Etc/UTC").is_some() && root.get("etc/localtime").is_none() {
        put("etc/localtime", Node::Link("/usr/share/zoneinfo/Etc/UTC".to_owned()))?;
        put("etc/timezone", text("Etc/UTC\n".to_owned()))?;
    }
    put("tmp", Node::Folder(Access { mode: 0o1777, uid: 0, gid: 0 }))?;
    put(&format!("home/{}", user.name), Node::Folder(Access { mode: 0o755, uid: user.uid, gid: user.gid }))?;
    Ok(tree)
}

fn text(text: String) -> Node {
    Node::file(Arc::new(Bytes::new(text.into_bytes())), false)
}

/// Puts a node into the upper tree; its folders are what they are in the lower one.
fn put(tree: &mut Tree, root: &Tree, path: &str, node: Node) -> Result<(), TreeError> {
    let path: TreePath = path.parse()?;
    let mut folder = path.parent();
    while let Some(at) = folder {
        if let Some(lower @ Node::Folder(_)) = root.get(at.as_str()) {
            tree.insert(at.clone(), lower.clone())?;
        }
        folder = at.parent();
    }
    tree.insert(path, node)
}

/// `/etc/passwd` and `/etc/group`: the distribution's own if its package is in, else root and nobody; then the user.
fn accounts(root: &Tree, user: &User) -> Result<(String, String), RootfsError> {
    let [mut passwd, mut group] = [String::new(), String::new()];
    for ((path, master), own) in MASTERS.into_iter().zip([&mut passwd, &mut group]) {
        if let Some(lower) = [path, master].into_iter().find_map(|path| read(root, path).transpose()) {
            *own = lower?;
        }
    }
    if passwd.is_empty() {
        let shell = if root.get("usr/bin/bash").is_some() { "/bin/bash" } else { "/usr/sbin/nologin" };
        passwd = format!("root:x:0:0:root:/root:{shell}\n{NOBODY}");
    }
    if group.is_empty() {
        "root:x:0:\nnogroup:x:65534:\n".clone_into(&mut group);
    }
    let User { uid, gid, name } = user;
    let shell = if root.get("usr/bin/sh").is_some() { "/bin/sh" } else { "/usr/sbin/nologin" };
    // Writing to a string cannot fail.
    let _ = writeln!(passwd, "{name}:x:{uid}:{gid}:{name}:/home/{name}:{shell}");
    let _ = writeln!(group, "{name}:x:{gid}:");
    Ok((passwd, group))
}

/// All CA certificates in one file, sorted by their paths; none if there are none.
fn bundle(root: &Tree) -> Result<Option<String>, RootfsError> {
    let mut bundle = String::new();
    for (path, _) in root.iter().filter(|(path, _)| is_certificate(path.as_str())) {
        if let Some(certificate) = read(root, path.as_str())? {
            bundle.push_str(certificate.trim_end());
            bundle.push('\n');
        }
    }
    Ok((!bundle.is_empty()).then_some(bundle))
}

fn is_certificate(path: &str) -> bool {
    path.strip_prefix(CERTIFICATES).is_some_and(|name| name.strip_suffix(".crt").is_some())
}

fn read(root: &Tree, path: &str) -> Result<Option<String>, RootfsError> {
    let Some(Node::File(_, content)) = root.get(path) else { return Ok(None) };
    let bytes = content.bytes(MAX_FILE).map_err(|source| RootfsError::Read { path: path.to_owned(), source })?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The distribution's name and version as `/usr/lib/os-release` has them (`ID`, `VERSION_ID`).
pub fn distro(root: &Tree) -> Result<Option<(String, String)>, RootfsError> {
    let Some(text) = read(root, "usr/lib/os-release")? else { return Ok(None) };
    let distro = os_release::parse(&text).filter(|distro| !distro.version.is_empty());
    Ok(distro.map(|distro| (distro.name, distro.version)))
}
