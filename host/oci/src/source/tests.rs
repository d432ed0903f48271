//! Source images, made of folders and jars as they lie around, and read of whatever somebody else may have pushed.

mod hostile;

use std::{fs, os::unix::fs::PermissionsExt, time::SystemTime};

use stave_archive::{
    content::Bytes,
    ignore::{List, Meaning},
    tree::TreePath,
};
use stave_lifecycle::{
    app::{
        self,
        selection::{Choice, Selection},
    },
    image::{LAYER, LAYER_GZIP},
};
use stave_model::digest::Digest;

use super::*;
use crate::testing::{FolderBlobs, image, packed_layer};

/// A file of a source: where, what is in it (a link's text behind `-> `), and whether it may be run.
type File<'a> = (&'a str, &'a str, bool);

const APP: [File<'static>; 7] = [
    ("META-INF/MANIFEST.MF", "Main-Class: App\n", false),
    ("bin/run", "#!/bin/sh\n", true),
    ("empty/", "", false),
    ("lib/app-1.jar", "one", false),
    ("lib/app.jar", "two", false),
    ("lib-x", "", false),
    ("link", "-> lib/app.jar", false),
];

/// A folder of these files, written in this order, with this umask, as old as it is told.
fn folder<'a>(files: impl IntoIterator<Item = &'a File<'a>>, umask: u32, time: SystemTime) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode & !umask)).unwrap();
    };
    for (path, text, may_run) in files {
        let at = root.path().join(path);
        if path.ends_with('/') {
            fs::create_dir_all(&at).unwrap();
            mode(&at, 0o777);
            continue;
        }
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        mode(at.parent().unwrap(), 0o777);
        if let Some(to) = text.strip_prefix("-> ") {
            std::os::unix::fs::symlink(to, &at).unwrap();
            continue;
        }
        fs::write(&at, text).unwrap();
        mode(&at, if *may_run { 0o777 } else { 0o666 });
        fs::File::options().append(true).open(&at).unwrap().set_modified(time).unwrap();
    }
    root
}

fn opened(path: &Path, selection: &Selection) -> Tree {
    app::open(path, selection, &Limits::default(), None).unwrap().tree
}

fn tree(path: &Path) -> Tree {
    opened(path, &Selection::default())
}

fn made(tree: &Tree) -> (Image, tempfile::TempDir) {
    let blobs = tempfile::tempdir().unwrap();
    (make(tree, &FolderBlobs::new(blobs.path()), &Cancel::new()).unwrap(), blobs)
}

fn source(image: &Image) -> Result<Tree, PortError> {
    read(image, &Limits::default(), &std::env::temp_dir(), &Cancel::new())
}

/// A tree as a line; what may be run has a star.
fn shown(tree: &Tree) -> String {
    let one = |(path, node): (&TreePath, &Node)| match node {
        Node::Folder(access) => {
            assert_eq!(*access, Access::FOLDER, "{path}");
            format!("{path}/")
        }
        Node::Link(to) => format!("{path} -> {to}"),
        Node::File(access, content) => {
            assert!([Access::FILE, Access::PROGRAM].contains(access), "{path}");
            let text = String::from_utf8_lossy(&content.bytes(100).unwrap()).into_owned();
            format!("{path}{}={}", if *access == Access::PROGRAM { "*" } else { "" }, text.trim_end())
        }
    };
    tree.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// A zip of stored entries as Unix makes one, with modes or without.
fn zip(files: &[File<'_>], has_modes: bool) -> Vec<u8> {
    let crc = |bytes: &[u8]| {
        !bytes.iter().fold(!0_u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
        })
    };
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    let short = |n: usize| u16::try_from(n).unwrap().to_le_bytes();
    let long = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
    for (name, text, may_run) in files {
        let link = text.strip_prefix("-> ");
        let bytes = link.unwrap_or(text).as_bytes();
        let mode: u32 = match (link.is_some(), name.ends_with('/'), may_run) {
            (true, ..) => 0o120_777,
            (_, true, _) => 0o040_755,
            (.., true) => 0o100_755,
            (.., false) => 0o100_640,
        };
        let (system, attributes) = if has_modes { (3, mode << 16) } else { (0, 0) };
        let sizes = [crc(bytes).to_le_bytes(), long(bytes.len()), long(bytes.len())].concat();
        let offset = out.len();
        out.extend([&b"PK\x03\x04\x0a\0\0\0\0\0\0\0\0\0"[..], &sizes, &short(name.len()), b"\0\0"].concat());
        out.extend([name.as_bytes(), bytes].concat());
        directory.extend([&b"PK\x01\x02\x0a"[..], &[system], b"\x0a\0\0\0\0\0\0\0\0\0", &sizes].concat());
        directory.extend([&short(name.len())[..], &[0; 8], &attributes.to_le_bytes(), &long(offset)].concat());
        directory.extend(name.as_bytes());
    }
    let count = short(files.len());
    let end = [&b"PK\x05\x06\0\0\0\0"[..], &count, &count, &long(directory.len()), &long(out.len()), b"\0\0"].concat();
    [out, directory, end].concat()
}

#[test]
fn equal_files_make_an_equal_image_on_every_machine() {
    let here = folder(&APP, 0o022, SystemTime::now());
    let there = folder(APP.iter().rev(), 0o077, SystemTime::UNIX_EPOCH);
    let (one, other) = (made(&tree(here.path())).0, made(&tree(there.path())).0);
    assert_eq!((one.digest(), &one.manifest, &one.config), (other.digest(), &other.manifest, &other.config));
    insta::assert_snapshot!(String::from_utf8(one.config.clone()).unwrap(), @r#"{"architecture":"amd64","config":{"Labels":{"io.buildpacks.stave.source":"1"}},"created":"1980-01-01T00:00:01Z","history":[{"created":"1980-01-01T00:00:01Z","created_by":"source"}],"os":"linux","rootfs":{"diff_ids":["sha256:59a0ef43c1112f252f730d40a006c1a7f377ed38053de7e080d7284d98623489"],"type":"layers"}}"#);
    assert_eq!(one.layers.len(), 1);
    fs::write(there.path().join("lib-x"), "x").unwrap();
    assert_ne!(made(&tree(there.path())).0.digest(), one.digest());
    fs::write(there.path().join("lib-x"), "").unwrap();
    fs::set_permissions(there.path().join("lib-x"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_ne!(made(&tree(there.path())).0.digest(), one.digest(), "what may be run is another file");
}

/// Of what `unzip` makes of it. A zip that knows no modes makes files that nobody may run, as it does where it is built.
#[test]
fn a_jar_is_the_folder_that_it_unpacks_to() {
    let root = tempfile::tempdir().unwrap();
    let jar = root.path().join("app.jar");
    let unpacked = folder(&APP, 0o022, SystemTime::now());
    fs::write(&jar, zip(&APP, true)).unwrap();
    assert_eq!(made(&tree(&jar)).0.digest(), made(&tree(unpacked.path())).0.digest());
    let plain: Vec<File<'_>> = APP.iter().filter(|(path, ..)| *path != "link").copied().collect();
    fs::write(&jar, zip(&plain, false)).unwrap();
    fs::remove_file(unpacked.path().join("link")).unwrap();
    fs::set_permissions(unpacked.path().join("bin/run"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(made(&tree(&jar)).0.digest(), made(&tree(unpacked.path())).0.digest());
}

#[test]
fn what_went_up_comes_back() {
    let root = folder(&APP, 0o022, SystemTime::now());
    for (name, to) in [("absolute", "/etc/passwd"), ("out", "../../x"), ("loop", "loop")] {
        std::os::unix::fs::symlink(to, root.path().join(name)).unwrap();
    }
    fs::create_dir(root.path().join(".git")).unwrap();
    fs::write(root.path().join(".git/config"), "token").unwrap();
    fs::write(root.path().join(".gitignore"), "lib/\n").unwrap();
    let before = tree(root.path());
    let (image, _blobs) = made(&before);
    let after = source(&image).unwrap();
    assert_eq!(shown(&after), shown(&before));
    insta::assert_snapshot!(shown(&after), @".gitignore=lib/, META-INF/, META-INF/MANIFEST.MF=Main-Class: App, absolute -> /etc/passwd, bin/, bin/run*=#!/bin/sh, empty/, lib/, lib-x=, lib/app-1.jar=one, lib/app.jar=two, link -> lib/app.jar, loop -> loop, out -> ../../x");
    assert_eq!(made(&after).0.digest(), image.digest());
    assert!(after.resolve(&"absolute".parse().unwrap()).unwrap().is_none(), "no link leads out");
    assert!(after.resolve(&"out".parse().unwrap()).unwrap().is_none());
}

#[test]
fn nothing_is_a_source_too() {
    let (image, _blobs) = made(&Tree::new());
    assert!(source(&image).unwrap().is_empty());
}

/// What kpack, docker and tar do with it.
#[test]
fn another_reader_finds_plain_files() {
    let (image, _blobs) = made(&tree(folder(&APP, 0o022, SystemTime::now()).path()));
    assert_eq!(image.layers[0].descriptor.media_type, LAYER_GZIP);
    let listing = validate::unpacked(&image.layers[0], |reader| {
        let mut lines = Vec::new();
        for entry in tar::Archive::new(reader).entries()? {
            let entry = entry?;
            let (header, path) = (entry.header(), String::from_utf8_lossy(&entry.path_bytes()).into_owned());
            let (mode, owner) = (header.mode()?, (header.uid()?, header.gid()?));
            lines.push(format!("{path} {:?} {mode:o} {owner:?} {}", header.entry_type(), header.mtime()?));
        }
        Ok(lines.join("\n"))
    });
    insta::assert_snapshot!(listing.unwrap(), @"
    META-INF Directory 755 (0, 0) 315532801
    META-INF/MANIFEST.MF Regular 644 (0, 0) 315532801
    bin Directory 755 (0, 0) 315532801
    bin/run Regular 755 (0, 0) 315532801
    empty Directory 755 (0, 0) 315532801
    lib Directory 755 (0, 0) 315532801
    lib/app-1.jar Regular 644 (0, 0) 315532801
    lib/app.jar Regular 644 (0, 0) 315532801
    lib-x Regular 644 (0, 0) 315532801
    link Symlink 777 (0, 0) 315532801
    ");
}

#[test]
fn a_source_image_and_its_folder_are_the_same_app() {
    let files: [File<'_>; 6] = [
        (".dockerignore", "*.log\nsecret/\n!secret/README\n", false),
        (".gitignore", "target/\n", false),
        ("a.log", "log", false),
        ("secret/README", "text", false),
        ("secret/key", "key", false),
        ("src/run", "#!", true),
    ];
    let root = folder(&files, 0o027, SystemTime::now());
    let (image, _blobs) = made(&tree(root.path()));
    let uploaded = source(&image).unwrap();
    assert_eq!(uploaded.len(), tree(root.path()).len(), "everything goes up");
    let choice = |origin: &str, text: &str, meaning| Choice {
        origin: origin.to_owned(),
        list: List::parse(text, meaning).unwrap(),
    };
    for selection in [
        Selection::default(),
        Selection { exclude: vec![choice(".dockerignore", files[0].1, Meaning::Docker)], ..Selection::default() },
        Selection { include: Some(choice("project.toml", "src/\n", Meaning::Git)), ..Selection::default() },
    ] {
        let built = app::of_tree(uploaded.clone(), &selection).unwrap();
        let here = app::open(root.path(), &selection, &Limits::default(), None).unwrap();
        assert_eq!(shown(&built.tree), shown(&here.tree));
        assert_eq!(built.left_out, here.left_out);
        let identity = |tree: &Tree| app::identity(tree.iter(), &Cancel::new()).unwrap();
        assert_eq!(identity(&built.tree), identity(&here.tree), "what was remembered of one is of use for the other");
    }
}

#[test]
fn a_file_that_no_image_can_carry_is_named() {
    let root = folder(&[("lib/.wh.gone", "", false)], 0, SystemTime::now());
    let blobs = tempfile::tempdir().unwrap();
    let error = make(&tree(root.path()), &FolderBlobs::new(blobs.path()), &Cancel::new()).unwrap_err();
    insta::assert_snapshot!(told(&error), @"
    InvalidInput: could not put the source into a layer: `lib/.wh.gone` cannot be in a layer: names that start with `.wh.` remove files
      hint: rename the file, or take it out of the folder: no image can carry it
    ");
    assert_eq!(fs::read_dir(blobs.path()).unwrap().count(), 0, "nothing is left of it");
}

#[test]
fn whoever_stops_is_heard() {
    let root = folder(&APP, 0, SystemTime::now());
    let stopped = Cancel::new();
    stopped.set();
    let blobs = tempfile::tempdir().unwrap();
    let error = make(&tree(root.path()), &FolderBlobs::new(blobs.path()), &stopped).unwrap_err();
    assert_eq!(error.fault, Fault::Cancelled);
    let (image, _blobs) = made(&tree(root.path()));
    let error = read(&image, &Limits::default(), &std::env::temp_dir(), &stopped).unwrap_err();
    assert_eq!(error.fault, Fault::Cancelled);
    let stoppable = Stoppable { content: content(&image.layers[0]), cancel: &stopped };
    assert_eq!(PortError::of_io("read", Fault::Io, stoppable.bytes(1 << 20).unwrap_err()).fault, Fault::Cancelled);
}

/// A file of zeros that was made large before anything was written to it: its folder would be built.
#[test]
fn a_large_file_of_nothing_is_no_attack() {
    let root = tempfile::tempdir().unwrap();
    fs::File::create(root.path().join("zeros")).unwrap().set_len(80 << 20).unwrap();
    let (image, _blobs) = made(&tree(root.path()));
    let size = source(&image).unwrap().get("zeros").map(|node| match node {
        Node::File(_, content) => content.size(),
        _ => 0,
    });
    assert_eq!(size, Some(80 << 20));
}

fn content(layer: &ImageLayer) -> Checked {
    Checked::new(layer.content.clone(), layer.descriptor.clone())
}

/// An error with its causes and its hint.
fn told(error: &PortError) -> String {
    let hint = error.hint.as_ref().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
    format!("{:?}: {}{hint}", error.fault, error.sentence())
}
