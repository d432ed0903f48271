//! Changes laid over the app.

use super::*;
use crate::testing::{shown, span, zip};

fn with_archive(name: &str, archive: &[u8], files: &[(&str, &str)]) -> Tree {
    let mut app = tree(files);
    app.insert(name.parse().unwrap(), Node::file(Arc::new(span(archive)), false)).unwrap();
    app
}

#[test]
fn writes_removes_and_unpacks() {
    let (shop, _) = shop(Artifacts::default());
    let zip = zip(&[("a/b", "1"), ("c", "2")]);
    let bench =
        bench(&shop, with_archive("app.jar", &zip, &[("docs/x", "x"), ("run.sh", "old"), ("link.jar", "-> app.jar")]));
    assert_eq!(bench.overlay_remove(&["docs".to_owned(), "none".to_owned()]).unwrap(), 2);
    bench.overlay_write("run.sh", b"new".to_vec(), true).unwrap();
    bench.overlay_write("conf/new.txt", b"n".to_vec(), false).unwrap();
    assert_eq!(bench.overlay_unpack("link.jar", "in").unwrap(), 2);
    assert_eq!(bench.read("run.sh", 9).unwrap(), b"new", "the buildpack sees its own changes");
    insta::assert_snapshot!(shown(&bench.clear().app), @r#"
    conf/new.txt = n
    in/a/b = 1
    in/c = 2
    run.sh* = new
    "#);
}

#[test]
fn an_archive_unpacks_over_its_own_place() {
    let (shop, _) = shop(Artifacts::default());
    let bench = bench(&shop, with_archive("x", &tar_gz(&[("x/y", "#!1")]), &[]));
    assert_eq!(bench.overlay_unpack("x", "").unwrap(), 1);
    assert_eq!(shown(&bench.clear().app), "x/y* = #!1");
}

#[test]
fn a_failure_leaves_the_app_as_it_was() {
    let (mut shop, _) = shop(Artifacts::default());
    shop.limits.write_bytes = 4;
    shop.limits.written_bytes = 6;
    let zip = zip(&[("a", "1"), ("b", "2")]);
    let bench = bench(&shop, with_archive("app.jar", &zip, &[("b", "there"), ("d/", ""), ("f", ""), ("text", "x")]));
    let before = shown(&bench.state().app);
    let said = [
        refused(bench.overlay_unpack("app.jar", "")),
        refused(bench.overlay_unpack("app.jar", "f")),
        refused(bench.overlay_unpack("app.jar", "../x")),
        refused(bench.overlay_unpack("text", "")),
        refused(bench.overlay_write("d", Vec::new(), false)),
        refused(bench.overlay_write("f/x", Vec::new(), false)),
        refused(bench.overlay_write("n", vec![0; 5], false)),
        refused(bench.overlay_remove(&["[".to_owned()])),
    ];
    assert_eq!(shown(&bench.state().app), before);
    bench.overlay_write("n", vec![b'.'; 4], false).unwrap();
    let all = refused(bench.overlay_write("m", vec![0; 4], false));
    insta::assert_snapshot!(format!("{}\n{all}", said.join("\n")), @r#"
    InvalidInput: could not unpack `app.jar` over the app
      caused by: `b` is there twice, or below something that is not a folder
    InvalidInput: could not unpack `app.jar` over the app
      caused by: `f/a` is there twice, or below something that is not a folder
    InvalidInput: could not use a path
      caused by: path `../x` is refused: it holds `.` or `..`
    Unsupported: could not open the archive `text` of the app
      caused by: `text` is not a zip, jar, wheel, tar or deb archive
    InvalidInput: could not write `d` over the app
      caused by: `d` is there twice, or below something that is not a folder
    InvalidInput: could not write `f/x` over the app
      caused by: `f/x` is there twice, or below something that is not a folder
    TooLarge: could not write `n` over the app: a file has at most 4 bytes
    InvalidInput: could not use the patterns
      caused by: pattern `[` cannot be understood
      caused by: error parsing glob '[': unclosed character class; missing ']'
    TooLarge: could not write `m` over the app: the files that a buildpack writes itself have at most 6 bytes in all
    "#);
}
