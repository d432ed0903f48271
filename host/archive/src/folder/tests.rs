//! A folder as it is indexed, and what is no longer read of it.

use std::{
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt, fs::symlink, net::UnixListener},
    time::SystemTime,
};

use stave_model::digest::Digest;

use super::*;
use crate::{
    content::Content,
    seen::{Sighting, write_parts},
};

fn content<'a>(folder: &'a Folder, path: &str) -> &'a dyn Content {
    match folder.tree.get(path) {
        Some(Node::File(_, content)) => content.as_ref(),
        other => panic!("{path}: {other:?}"),
    }
}

fn text_of(folder: &Folder, path: &str) -> io::Result<Vec<u8>> {
    content(folder, path).bytes(1000)
}

#[test]
fn files_links_and_folders_are_indexed_and_the_rest_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir_all(at("a/b")).unwrap();
    fs::write(at("a/b/run"), "run").unwrap();
    fs::set_permissions(at("a/b/run"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(at("a/text"), "text").unwrap();
    fs::set_permissions(at("a/text"), fs::Permissions::from_mode(0o666)).unwrap();
    symlink("/etc/passwd", at("out")).unwrap();
    symlink("a", at("in")).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    let folder = read(dir.path(), &Limits::default()).unwrap();
    let paths: Vec<&str> = folder.tree.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["a", "a/b", "a/b/run", "a/text", "in", "out"]);
    assert!(matches!(folder.tree.get("a/b/run"), Some(Node::File(Access::PROGRAM, _))));
    assert!(matches!(folder.tree.get("a/text"), Some(Node::File(Access::FILE, _))));
    assert!(matches!(folder.tree.get("out"), Some(Node::Link(text)) if text == "/etc/passwd"));
    assert_eq!(text_of(&folder, "a/b/run").unwrap(), b"run");
    assert_eq!(folder.skipped_count, 1);
    assert_eq!(folder.skipped[0].as_str(), "socket");
    assert_eq!(content(&folder, "a/text").span().unwrap().unwrap().bytes(10).unwrap(), b"text");
}

/// Many folders, so that they are listed in several rounds and by several threads, with names that sort around a slash.
#[test]
fn the_index_is_in_order_whoever_listed_what() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = std::collections::BTreeSet::new();
    for number in 0..40 {
        for below in ["", "/a", "/a/deep", "/a-b", "/a.b", "/a0", "/b"] {
            let folder = format!("{number}{below}");
            fs::create_dir_all(dir.path().join(&folder)).unwrap();
            for name in ["a", "a!", "z"].iter().filter(|name| **name != "a" || below == "/b") {
                fs::write(dir.path().join(&folder).join(name), "").unwrap();
                expected.insert(format!("{folder}/{name}"));
            }
            expected.insert(folder);
        }
    }
    let mut asked = Vec::new();
    let mut passes = |path: &TreePath, is_folder: bool| {
        asked.push((path.to_string(), is_folder));
        path.name() == "a!" || path.as_str() == "7/a"
    };
    let folder = read_knowing(dir.path(), &Limits::default(), &Seen::default(), &mut passes).unwrap();
    expected.retain(|path| !path.ends_with('!') && path != "7/a" && !path.starts_with("7/a/"));
    let found: Vec<&str> = folder.tree.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(found, expected.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(asked.contains(&("7/a".to_owned(), true)) && asked.contains(&("3/a!".to_owned(), false)));
    assert!(!asked.iter().any(|(path, _)| path.starts_with("7/a/")), "nobody looks below");
}

#[test]
fn a_file_that_changed_is_not_read() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 6] = [
        ("longer", |path| fs::write(path, "text and more").unwrap()),
        ("touched", |path| {
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        }),
        ("another file", |path| {
            let modified = fs::metadata(path).unwrap().modified().unwrap();
            let other = path.with_extension("new");
            fs::write(&other, "evil").unwrap();
            fs::File::options().write(true).open(&other).unwrap().set_modified(modified).unwrap();
            fs::rename(other, path).unwrap();
        }),
        ("a link", |path| {
            fs::rename(path, path.with_extension("old")).unwrap();
            symlink(path.with_extension("old"), path).unwrap();
        }),
        ("a link out", |path| {
            fs::remove_file(path).unwrap();
            symlink("/etc/passwd", path).unwrap();
        }),
        ("its folder a link", |path| {
            let folder = path.parent().unwrap();
            fs::rename(folder, folder.with_extension("old")).unwrap();
            symlink("/etc", folder).unwrap();
        }),
    ];
    for (what, change) in changes {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("folder/passwd");
        fs::create_dir(file.parent().unwrap()).unwrap();
        fs::write(&file, "text").unwrap();
        let folder = read(dir.path(), &Limits::default()).unwrap();
        assert_eq!(text_of(&folder, "folder/passwd").unwrap(), b"text");
        change(&file);
        assert!(text_of(&folder, "folder/passwd").is_err(), "{what}");
    }
}

/// Reads a folder in which `file` was seen to have the digest of other bytes: who answers with it has not read it.
#[test]
fn a_file_that_was_seen_is_not_read_for_its_digest() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["file", "other"] {
        fs::write(dir.path().join(name), name).unwrap();
    }
    let stat = Stat::of_file(&fs::File::open(dir.path().join("file")).unwrap()).unwrap();
    let sighting = Sighting { stat, digest: Digest::of(b"seen"), is_new: true };
    let mut parts = Vec::new();
    write_parts([(&"file".parse().unwrap(), sighting)].into_iter(), |part| parts.push(part.to_vec()));
    let seen = Seen::from_parts(parts);
    let digest = |name: &str| {
        let folder = read_knowing(dir.path(), &Limits::default(), &seen, &mut |_, _| false).unwrap();
        let content = content(&folder, name);
        assert_eq!(content.identity().unwrap(), content.digest().unwrap());
        content.digest().unwrap()
    };
    assert_eq!([digest("file"), digest("other")], [Digest::of(b"seen"), Digest::of(b"other")]);
    // A new mode moves one of its times.
    fs::set_permissions(dir.path().join("file"), fs::Permissions::from_mode(0o711)).unwrap();
    assert_eq!(digest("file"), Digest::of(b"file"));
}

#[test]
fn a_change_while_reading_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("log");
    fs::write(&file, "0123456789").unwrap();
    let folder = read(dir.path(), &Limits::default()).unwrap();
    let mut reader = content(&folder, "log").open().unwrap();
    reader.read_exact(&mut [0; 5]).unwrap();
    fs::write(&file, "0123456789 and more").unwrap();
    let error = reader.read_exact(&mut [0; 5]).unwrap_err();
    insta::assert_snapshot!(error, @"`log` changed since the folder was read");
}

#[test]
fn what_cannot_be_indexed_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |name: &[u8], limits: Limits| {
        let path = dir.path().join(std::ffi::OsStr::from_bytes(name));
        fs::write(&path, "12345").unwrap();
        let error = read(dir.path(), &limits).unwrap_err().to_string();
        fs::remove_file(path).unwrap();
        error
    };
    let limits = Limits::default();
    let messages = [
        refused(b"caf\xe9", limits),
        refused(b"back\\slash", limits),
        refused(b"large", Limits { entry_bytes: 4, ..limits }),
        refused(b"much", Limits { total_bytes: 4, ..limits }),
        refused(b"many", Limits { entries: 0, ..limits }),
        read(Path::new("/no/such\x1bfolder"), &limits).unwrap_err().to_string(),
    ];
    insta::assert_snapshot!(messages.join("\n"), @r"
    `caf�` has a name, or a link with a text, that is not UTF-8
    path `back\\slash` is refused: it holds a backslash or a NUL
    `large` goes beyond the limit: 5 bytes in one file, more than 4
    `much` goes beyond the limit: more than 4 bytes in all files
    `many` goes beyond the limit: more than 0 files and folders
    cannot read `/no/such\u{1b}folder`
    ");
}

/// What is passed over has to be listed before anybody can say so, and a folder may hold more of it than fits in memory.
#[test]
fn names_that_are_passed_over_have_a_limit_too() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("spool")).unwrap();
    let limits = Limits { entries: 1, ..Limits::default() };
    let index = || {
        let folder = read_knowing(dir.path(), &limits, &Seen::default(), &mut |_, is_folder| !is_folder);
        folder.map(|folder| folder.tree.len()).map_err(|error| error.to_string())
    };
    for number in 0..AHEAD {
        fs::File::create(dir.path().join("spool").join(number.to_string())).unwrap();
    }
    assert_eq!(index(), Ok(1));
    fs::File::create(dir.path().join("spool/more")).unwrap();
    insta::assert_snapshot!(index().unwrap_err(), @"`spool` goes beyond the limit: more than 8192 names, those counted that are left out");
}
