//! Apps as folders and jars, and what is known of their files without reading them.

use stave_archive::content::Bytes;

use super::*;
use crate::testing::{Memory, shown};

fn tree(files: &[(&str, &str)]) -> Tree {
    let mut tree = Tree::new();
    for (path, text) in files {
        let content: Arc<dyn Content> = Arc::new(Bytes::new(text.as_bytes()));
        tree.insert(path.parse().unwrap(), Node::file(content, false)).unwrap();
    }
    tree
}

#[test]
fn an_identity_depends_on_path_and_content() {
    let id = |files: &[(&str, &str)]| identity(tree(files).iter(), &Cancel::new()).unwrap();
    assert_eq!(id(&[("a", "1"), ("b", "2")]), id(&[("b", "2"), ("a", "1")]));
    assert_ne!(id(&[("a", "1")]), id(&[("a", "2")]));
    assert_ne!(id(&[("a", "1")]), id(&[("b", "1")]));
}

#[test]
fn an_entry_is_known_by_its_archive() {
    let one = with_origin(tree(&[("a", "1")]), &Digest::of(b"x"));
    let same = with_origin(tree(&[("a", "1")]), &Digest::of(b"x"));
    let other = with_origin(tree(&[("a", "1")]), &Digest::of(b"y"));
    let id = |tree: &Tree| identity(tree.iter(), &Cancel::new());
    assert_eq!(id(&one).unwrap(), id(&same).unwrap());
    assert_ne!(id(&one).unwrap(), id(&other).unwrap());
}

#[test]
fn many_bytes_are_hashed_side_by_side_to_the_same_key() {
    let files: Vec<(String, String)> =
        (0..40_u8).map(|n| (format!("f{n:02}"), n.to_string().repeat(1 << 17))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let whole = tree(&files);
    let nodes: Vec<_> = whole.iter().collect();
    let expected: Vec<Digest> = files.iter().map(|(_, text)| Digest::of(text.as_bytes())).collect();
    assert_eq!(identities(&nodes, &Cancel::new()).unwrap(), expected);
    let stopped = Cancel::new();
    stopped.set();
    assert!(identities(&nodes, &stopped).unwrap().is_empty());
}

/// A folder or jar of which other bytes were seen: whoever answers with them has not read it.
#[test]
fn what_was_seen_is_not_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("app")).unwrap();
    for (name, bytes) in [("app/a", &b"text"[..]), ("x.jar", ZIP)] {
        std::fs::write(at(name), bytes).unwrap();
    }
    let memory = Memory::default();
    for (name, path, file) in [("app", "a", "app/a"), ("x.jar", "a", "x.jar")] {
        let identity = |kept: Option<&dyn Results>| {
            let app = open(&at(name), &Selection::default(), &Limits::default(), kept).unwrap();
            identity(app.tree.iter(), &Cancel::new()).unwrap()
        };
        let read = identity(None);
        assert_eq!(identity(Some(&memory)), read);
        let seen = Span::whole(File::open(at(file)).unwrap()).unwrap().stat().unwrap();
        let app = open(&at(name), &Selection::default(), &Limits::default(), None).unwrap();
        let sighting = Sighting { stat: seen, digest: Digest::of(b"other"), is_new: true };
        seen::write_parts([(&path.parse().unwrap(), sighting)].into_iter(), |part| {
            memory.put(&app.memory.as_ref().unwrap().key(0), part);
        });
        assert_ne!(identity(Some(&memory)), read, "{name}");
        assert_eq!(identity(None), read, "{name}: all is read where nothing is to be trusted");
    }
}

#[test]
fn a_jar_with_one_changed_file_has_one_changed_file() {
    let folder = tempfile::tempdir().unwrap();
    let identities = |name: &str, files: &[(&str, &str)]| {
        let path = folder.path().join(name);
        std::fs::write(&path, crate::testing::zip(files)).unwrap();
        let tree = open(&path, &Selection::default(), &Limits::default(), None).unwrap().tree;
        identities(&tree.iter().collect::<Vec<_>>(), &Cancel::new()).unwrap()
    };
    let before = identities("before.jar", &[("a", "1"), ("b", "2"), ("lib/c", "3")]);
    let after = identities("after.jar", &[("a", "1"), ("b", "changed"), ("lib/c", "3")]);
    assert_eq!([before[0], before[2]], [after[0], after[2]]);
    assert_ne!(before[1], after[1]);
}

/// The error and its cause for `name` in `folder`.
fn refusal(folder: &Path, name: &str) -> String {
    let error = open(&folder.join(name), &Selection::default(), &Limits::default(), None).unwrap_err();
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}").replace(&folder.display().to_string(), "/apps")
}

#[test]
fn says_what_is_not_an_app() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for name in ["notes.txt", "x.jar", "x\n.txt", "jar"] {
        std::fs::write(folder.join(name), "not a zip").unwrap();
    }
    let fifo = std::process::Command::new("mkfifo").arg(folder.join("pipe.jar")).status().unwrap();
    assert!(fifo.success());
    std::os::unix::fs::symlink("nowhere", folder.join("dangling.jar")).unwrap();
    let names = ["none", "notes.txt", "jar", "x\n.txt", "x.jar", "pipe.jar", "dangling.jar", "notes.txt/app"];
    let said: Vec<String> = names.iter().map(|name| refusal(folder, name)).collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    no app at `/apps/none`: there is no such file or folder
    `/apps/notes.txt` is not an app: it is neither a folder nor a file that ends in .jar, .war or .zip
    `/apps/jar` is not an app: it is neither a folder nor a file that ends in .jar, .war or .zip
    `/apps/x\n.txt` is not an app: it is neither a folder nor a file that ends in .jar, .war or .zip
    could not read the archive `/apps/x.jar`: cannot read the zip archive
    `/apps/pipe.jar` is not an app: it is neither a folder nor a file that ends in .jar, .war or .zip
    no app at `/apps/dangling.jar`: there is no such file or folder
    could not read the app at `/apps/notes.txt/app`: Not a directory (os error 20)
    "#);
}

#[test]
fn says_what_must_not_be_read() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let closed = folder.path().join("app");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
    let expected = match std::fs::read_dir(&closed) {
        // Nothing is closed to root.
        Ok(_) => None,
        Err(error) => Some(format!("could not read the app at `/apps/app`: {error}")),
    };
    let said =
        open(&closed, &Selection::default(), &Limits::default(), None).is_err().then(|| refusal(folder.path(), "app"));
    assert_eq!(said, expected);
}

/// Files of which nothing is on the disk: an app of ten gigabytes is one, and what no layer could hold is refused before anything
/// of it is read.
#[test]
fn a_folder_is_as_large_as_a_layer_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let file =
        |name: &str, bytes: u64| std::fs::File::create(folder.path().join(name)).unwrap().set_len(bytes).unwrap();
    std::fs::create_dir(folder.path().join("app")).unwrap();
    file("app/model", 10 << 30);
    file("app/weights", 19 << 30);
    let app = open(&folder.path().join("app"), &Selection::default(), &Limits::default(), None).unwrap();
    assert_eq!(app.tree.iter().count(), 2);
    file("app/more", 2 << 30);
    // Which file is the one too many depends on the order in which the system names them.
    let said = refusal(folder.path(), "app");
    assert!(said.ends_with(" goes beyond the limit: more than 32212254720 bytes in all files"), "{said}");
    file("app/weights", 0);
    file("app/more", 31 << 30);
    insta::assert_snapshot!(refusal(folder.path(), "app"), @"could not index the app's folder `/apps/app`: `more` goes beyond the limit: 33285996544 bytes in one file, more than 32212254720");
}

/// A zip without entries but one stored file.
const ZIP: &[u8] = b"PK\x03\x04\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0a\
PK\x01\x02\x0a\0\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0a\
PK\x05\x06\0\0\0\0\x01\0\x01\0\x2f\0\0\0\x1f\0\0\0\0\0";

#[test]
fn takes_folders_and_archives_also_through_links() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for name in ["x.jar", "x.WAR", "x.Zip"] {
        std::fs::write(folder.join(name), ZIP).unwrap();
    }
    std::fs::create_dir(folder.join("app")).unwrap();
    std::fs::write(folder.join("app/a"), "").unwrap();
    std::os::unix::fs::symlink("x.jar", folder.join("link.jar")).unwrap();
    std::os::unix::fs::symlink("app", folder.join("link")).unwrap();
    for name in ["x.jar", "x.WAR", "x.Zip", "app", "link.jar", "link"] {
        let app = open(&folder.join(name), &Selection::default(), &Limits::default(), None).unwrap();
        let paths: Vec<String> = app.tree.iter().map(|(path, _)| path.to_string()).collect();
        assert_eq!(paths, ["a"], "{name}");
        assert!(app.skipped.is_empty());
    }
}

#[test]
fn a_tree_is_the_app_that_a_folder_of_its_files_is() {
    use stave_archive::ignore::{List, Meaning};

    let files = [
        (".dockerignore", "*.log\nsecret/\n!secret/README"),
        (".gitignore", "target/\n"),
        ("a.log", "log"),
        ("secret/README", "text"),
        ("secret/key", "key"),
        ("src/main.rs", "fn main() {}"),
        ("src/.gitignore", "/gen\n"),
        ("src/gen/x", "x"),
        ("target/app", "app"),
    ];
    let (_root, path) = crate::testing::folder(&files);
    std::fs::create_dir(path.join("empty")).unwrap();
    std::os::unix::fs::symlink("/etc", path.join("link")).unwrap();
    let choice = |origin: &str, text: &str, meaning| selection::Choice {
        origin: origin.to_owned(),
        list: List::parse(text, meaning).unwrap(),
    };
    let docker = choice(".dockerignore", files[0].1, Meaning::Docker);
    let plain = choice("--exclude", "*.log\nsecret/", Meaning::Git);
    let include = choice("project.toml", "src/\nlink\n", Meaning::Git);
    let whole = || folder::read(&path, &Limits::default()).unwrap().tree;
    let mut seen = std::collections::BTreeSet::new();
    for selection in [
        Selection::default(),
        Selection { exclude: vec![docker.clone()], ..Selection::default() },
        Selection { exclude: vec![plain], ..Selection::default() },
        Selection { include: Some(include), exclude: vec![docker], gitignore: true },
    ] {
        let opened = open(&path, &selection, &Limits::default(), None).unwrap();
        let taken = of_tree(whole(), &selection).unwrap();
        assert_eq!(shown(&taken.tree), shown(&opened.tree));
        // Of an indexed folder more may be named: what was passed over one by one before the folder went as a whole.
        if selection.include.is_none() {
            assert_eq!(taken.left_out, opened.left_out);
        }
        assert!(seen.insert(shown(&opened.tree)), "each selection selects something else: {selection:?}");
    }
}

#[test]
fn a_tree_is_of_no_disk_and_nothing_of_it_is_kept() {
    let results = Memory::default();
    let app = of_tree(tree(&[("a", "1")]), &Selection::default()).unwrap();
    identity(app.tree.iter(), &Cancel::new()).unwrap();
    app.keep(&results);
    assert_eq!(results.results(), 0);
}

#[test]
fn says_what_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("s")).unwrap();
    assert_eq!(open(folder.path(), &Selection::default(), &Limits::default(), None).unwrap().skipped, ["s"]);
}
