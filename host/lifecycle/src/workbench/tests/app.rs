//! Questions about the app.

use super::*;
use crate::testing::{span, zip};

fn patterns(patterns: &[&str]) -> Vec<String> {
    patterns.iter().map(|pattern| (*pattern).to_owned()).collect()
}

fn line(entry: &Entry) -> String {
    let Entry { path, kind, size, executable } = entry;
    format!("{path} {kind:?} {size}{}", if *executable { " runs" } else { "" })
}

fn app() -> Tree {
    tree(&[
        ("bin/run", "#!sh"),
        ("empty/", ""),
        ("lib", "-> bin"),
        ("pom.xml", "<x/>"),
        ("up", "-> ../etc"),
        ("abs", "-> /etc/passwd"),
        ("loop", "-> loop"),
    ])
}

#[test]
fn finds_everything_of_every_kind() {
    let (shop, _) = shop(Artifacts::default());
    let bench = bench(&shop, app());
    let found = bench.find(&patterns(&["**"]), 100).unwrap();
    insta::assert_snapshot!(found.iter().map(line).collect::<Vec<_>>().join("\n"), @r#"
    abs Link 0
    bin Folder 0
    bin/run File 4 runs
    empty Folder 0
    lib Link 0
    loop Link 0
    pom.xml File 4
    up Link 0
    "#);
    let count = |globs: &[&str], limit| bench.find(&patterns(globs), limit).unwrap().len();
    assert_eq!((count(&["**"], 3), count(&["*.xml", "bin/*"], 9), count(&[], 9), count(&["**"], 0)), (3, 2, 0, 0));
}

#[test]
fn answers_are_limited_by_the_host_too() {
    let (mut shop, _) = shop(Artifacts::default());
    shop.limits.results = 2;
    shop.limits.read_bytes = 3;
    let bench = bench(&shop, app());
    assert_eq!(bench.find(&patterns(&["**"]), u32::MAX).unwrap().len(), 2);
    insta::assert_snapshot!(refused(bench.read("pom.xml", u64::MAX)), @"TooLarge: could not read `pom.xml`: it has 4 bytes, more than the limit of 3");
}

#[test]
fn follows_links_inside_the_app_and_none_outside() {
    let (shop, _) = shop(Artifacts::default());
    let bench = bench(&shop, app());
    assert_eq!(bench.read("lib/run", 100).unwrap(), b"#!sh");
    let entry = bench.stat("lib/run").unwrap().unwrap();
    assert_eq!(line(&entry), "lib/run File 4 runs", "the path as asked for, the rest as found");
    assert_eq!(bench.stat("lib").unwrap().unwrap().kind, Kind::Folder);
    for path in ["up", "abs", "up/passwd", "pom.xml/a", "none"] {
        assert_eq!(bench.stat(path).unwrap(), None, "{path}");
    }
    let said = ["up/passwd", "abs", "none", "bin", "loop"].map(|path| refused(bench.read(path, 100)));
    insta::assert_snapshot!(said.join("\n"), @r#"
    NotFound: could not read `up/passwd`: there is no such file
    NotFound: could not read `abs`: there is no such file
    NotFound: could not read `none`: there is no such file
    InvalidInput: could not read `bin`: it is a folder
    InvalidInput: could not read `loop`
      caused by: `loop` follows more than 40 symbolic links
    "#);
    insta::assert_snapshot!(refused(bench.read("pom.xml", 3)), @"TooLarge: could not read `pom.xml`: it has 4 bytes, more than the limit of 3");
    insta::assert_snapshot!(refused(bench.stat("loop")), @r#"
    InvalidInput: could not look at `loop`
      caused by: `loop` follows more than 40 symbolic links
    "#);
}

#[test]
fn a_digest_is_over_paths_and_contents_of_what_matches() {
    let (shop, _) = shop(Artifacts::default());
    let digest = |files: &[(&str, &str)], globs: &[&str]| bench(&shop, tree(files)).digest(&patterns(globs)).unwrap();
    let one = digest(&[("a.xml", "1"), ("b.md", "2")], &["*.xml"]);
    assert_eq!(one, digest(&[("a.xml", "1"), ("b.md", "3"), ("c", "")], &["*.xml"]), "the others do not count");
    assert_ne!(one, digest(&[("a.xml", "2")], &["*.xml"]));
    assert_ne!(one, digest(&[("b.xml", "1")], &["*.xml"]));
}

#[test]
fn archives_of_the_app_are_looked_into() {
    let (shop, _) = shop(Artifacts::default());
    let inner = zip(&[("deep", "down")]);
    let mut app = tree(&[("link.jar", "-> a.jar"), ("text.jar", "no zip"), ("notes", "text"), ("dir/", "")]);
    let jar = zip(&[("META-INF/MANIFEST.MF", "Main-Class: A"), ("x/", "")]);
    for (path, bytes) in [("a.jar", jar), ("b.tar.gz", tar_gz(&[("in.zip", "x"), ("f", "1")])), ("c.zip", inner)] {
        app.insert(path.parse().unwrap(), Node::file(Arc::new(span(&bytes)), false)).unwrap();
    }
    let bench = bench(&shop, app);
    let archive = bench.open_archive("link.jar").unwrap();
    let found = bench.archive_find(archive, &patterns(&["**"]), 9).unwrap();
    assert_eq!(
        found.iter().map(line).collect::<Vec<_>>(),
        ["META-INF Folder 0", "META-INF/MANIFEST.MF File 13", "x Folder 0"]
    );
    assert_eq!(bench.archive_read(archive, "META-INF/MANIFEST.MF", 99).unwrap(), b"Main-Class: A");
    let tar = bench.open_archive("b.tar.gz").unwrap();
    assert_eq!(bench.archive_read(tar, "f", 9).unwrap(), b"1");
    let said = ["none.jar", "dir", "text.jar", "notes"].map(|path| refused(bench.open_archive(path)));
    insta::assert_snapshot!(said.join("\n"), @r#"
    NotFound: could not open the archive `none.jar` of the app: there is no such file
    NotFound: could not open the archive `dir` of the app: there is no such file
    Integrity: could not open the archive `text.jar` of the app
      caused by: cannot read the zip archive
      caused by: Missing end of central directory
    Unsupported: could not open the archive `notes` of the app
      caused by: `notes` is not a zip, jar, wheel, tar or deb archive
    "#);
}

#[test]
fn what_is_opened_is_limited() {
    let (mut shop, _) = shop(Artifacts::default());
    shop.limits.open = 1;
    let mut app = tree(&[]);
    let tar = tar_gz(&[("a", "12345"), ("b", "1")]);
    app.insert("a.tgz".parse().unwrap(), Node::file(Arc::new(span(&tar)), false)).unwrap();
    let open = |shop: &Shop| {
        let bench = bench(shop, app.clone());
        bench.open_archive("a.tgz").and_then(|_| bench.open_archive("a.tgz"))
    };
    let many = refused(open(&shop));
    shop.limits = Limits { open: 9, nodes: 3, ..Limits::default() };
    let nodes = refused(open(&shop));
    shop.limits = Limits { spool_bytes: 5, ..Limits::default() };
    let spool = refused(open(&shop));
    shop.limits =
        Limits { archive: stave_archive::limits::Limits { entries: 1, ..Default::default() }, ..Limits::default() };
    insta::assert_snapshot!([many, nodes, spool, refused(open(&shop))].join("\n"), @r#"
    TooLarge: could not open the archive `a.tgz` of the app: at most 1 are opened
    TooLarge: could not open the archive `a.tgz` of the app: a buildpack opens and makes at most 3 files and folders in all
    TooLarge: could not open the archive `a.tgz` of the app: what a buildpack has unpacked takes at most 5 bytes of disk
    Integrity: could not open the archive `a.tgz` of the app
      caused by: tar archive is refused: it holds more than 1 entries
    "#);
}
