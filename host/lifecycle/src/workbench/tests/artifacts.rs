//! Declared dependencies.

use stave_model::{digest::Digest, layer::Usage, target::Platform};

use super::*;
use crate::testing::{shown, zip};

/// The manifest of `acme/tool@1.2.3` with versions of `jre` for linux/amd64 and these files.
pub(super) fn declaring(versions: &[(&str, &[u8])]) -> Manifest {
    let mut text = "contract = \"0.1\"\n[buildpack]\nid = \"acme/tool\"\nversion = \"1.2.3\"\n".to_owned();
    text.push_str("[asks]\necosystems = [\"pypi\", \"npm\"]\n");
    for (version, file) in versions {
        let kind = if version.starts_with('9') { "npm" } else { "pypi" };
        let dependency = format!("id = \"jre\"\nname = \"JRE\"\nversion = \"{version}\"\n");
        let purl = format!("purl = \"pkg:{kind}/jre@{version}?file_name=jre.bin\"\n");
        let artifact = format!("platform = \"linux/amd64\"\n{purl}sha256 = \"{}\"\n", Digest::of(file).hex());
        text.push_str(&["[[dependencies]]\n", &dependency, "[[dependencies.artifacts]]\n", &artifact].concat());
    }
    Manifest::parse(&text).unwrap()
}

/// A bench with a layer and a fetched artefact of these bytes.
fn fetched(file: &[u8]) -> Workbench {
    let (shop, _) = shop(Artifacts::of(&[file]));
    let bench = Workbench::new(&shop, &declaring(&[("21.0.1", file)]), &everything(), Phase::Build, tree(&[]));
    assert_eq!(bench.create_layer("jre", Usage::default()).unwrap(), 0);
    assert_eq!(bench.fetch("jre", "21.0.1").unwrap(), 0);
    bench
}

fn some(patterns: &[&str]) -> Vec<String> {
    patterns.iter().map(|pattern| (*pattern).to_owned()).collect()
}

#[test]
fn offers_what_is_declared_for_the_target_newest_first() {
    let (mut shop, _) = shop(Artifacts::default());
    let manifest = declaring(&[("8.0.1", b"a"), ("21.0.1", b"b"), ("17.0.2", b"c")]);
    let versions = |shop: &Shop| {
        let bench = Workbench::new(shop, &manifest, &everything(), Phase::Build, tree(&[]));
        let found = bench.available("jre").unwrap();
        assert_eq!(bench.available("node").unwrap(), []);
        found.iter().map(|available| available.dependency.version.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(versions(&shop), ["21.0.1", "17.0.2", "8.0.1"]);
    shop.target.platform = Platform::linux("arm64");
    assert_eq!(versions(&shop), Vec::<String>::new());
}

#[test]
fn fetches_what_is_declared_granted_and_as_promised() {
    let (mut shop, _) = shop(Artifacts::of(&[b"good"]));
    shop.limits.open = 1;
    let mut manifest = declaring(&[("21.0.1", b"good"), ("21.0.2", b"other bytes"), ("9.0.0", b"good")]);
    let bench = Workbench::new(&shop, &manifest, &everything(), Phase::Build, tree(&[]));
    let mut said = vec![
        refused(bench.fetch("jre", "21")),
        refused(bench.fetch("no\u{7}", "1.0.0")),
        refused(bench.fetch("jre", "21.0.2")),
        refused(bench.fetch("jre", "9.0.0")),
    ];
    assert_eq!(bench.artifact_size(bench.fetch("jre", "21.0.1").unwrap()).unwrap(), 4);
    said.push(refused(bench.fetch("jre", "21.0.1")));
    manifest.asks.ecosystems.clear();
    let bench = Workbench::new(&shop, &manifest, &everything(), Phase::Build, tree(&[]));
    said.push(refused(bench.fetch("jre", "21.0.1")));
    insta::assert_snapshot!(said.join("\n"), @r#"
    NotFound: could not fetch jre 21 for linux/amd64: the manifest of acme/tool@1.2.3 declares no such dependency
    NotFound: could not fetch no\u{7} 1.0.0 for linux/amd64: the manifest of acme/tool@1.2.3 declares no such dependency
    Integrity: could not fetch jre 21.0.2: it has another digest
    Denied: could not fetch jre 9.0.0 for linux/amd64 from npm: acme/tool is not granted it
      hint: whoever trusts acme/tool adds ecosystems = ["npm"] to its `grants` in the builder
    TooLarge: could not fetch jre 21.0.1 for linux/amd64: at most 1 are fetched
    Denied: could not fetch jre 21.0.1 for linux/amd64 from pypi: the manifest of acme/tool@1.2.3 does not ask for it
      hint: its author adds it to `asks.ecosystems` in buildpack.toml
    "#);
}

const FILES: &[(&str, &str)] = &[
    ("top/bin/java", "java"),
    ("top/bin/keytool", "#!keytool"),
    ("top/lib/libjvm.so", "jvm"),
    ("top/man/java.1", "page"),
    ("meta/RECORD", "r"),
];

#[test]
fn unpacks_a_part_of_a_zip_or_a_tar() {
    let how = Unpacking {
        from: "top".to_owned(),
        into: "opt/jre".to_owned(),
        keep: some(&["bin/*", "lib/**", "man/*"]),
        drop: some(&["man"]).into_iter().chain(some(&["man/**"])).collect(),
        executable: some(&["bin/java"]),
    };
    let unpacked = |file: &[u8]| {
        let bench = fetched(file);
        let count = bench.artifact_unpack(0, 0, &how).unwrap();
        (count, shown(&bench.clear().layers[0].tree))
    };
    let mut tar = FILES.to_vec();
    tar.push(("top/lib/libjvm.so.1", "-> libjvm.so"));
    let (count, shown) = unpacked(&tar_gz(&tar));
    assert_eq!(count, 4);
    insta::assert_snapshot!(shown, @r#"
    opt/jre/bin/java* = java
    opt/jre/bin/keytool* = #!keytool
    opt/jre/lib/libjvm.so = jvm
    opt/jre/lib/libjvm.so.1 -> libjvm.so
    "#);
    // This zip says of no file that it can be run.
    let (count, shown) = unpacked(&zip(FILES));
    assert_eq!(count, 3);
    insta::assert_snapshot!(shown, @r#"
    opt/jre/bin/java* = java
    opt/jre/bin/keytool = #!keytool
    opt/jre/lib/libjvm.so = jvm
    "#);
}

#[test]
fn is_looked_into_and_saved_whole() {
    let file = tar_gz(FILES);
    let bench = fetched(&file);
    assert_eq!(bench.artifact_size(0).unwrap(), file.len() as u64);
    assert_eq!(bench.artifact_find(0, &some(&["top/*"]), 9).unwrap().len(), 3);
    assert_eq!(bench.artifact_read(0, "meta/RECORD", 9).unwrap(), b"r");
    bench.artifact_save(0, 0, "dist/jre.tgz", true).unwrap();
    assert_eq!(bench.layer_read(0, "dist/jre.tgz", 1 << 20).unwrap(), file);
    assert_eq!(bench.artifact_unpack(0, 0, &Unpacking::default()).unwrap(), 5);
    let said = [
        refused(bench.artifact_save(0, 0, "dist/jre.tgz", false)),
        refused(bench.artifact_save(0, 0, "../x", false)),
        refused(bench.artifact_save(0, 0, "env/A", false)),
        refused(bench.artifact_unpack(0, 0, &Unpacking { from: "none".to_owned(), ..Unpacking::default() })),
        refused(bench.artifact_unpack(0, 0, &Unpacking { keep: some(&["none"]), ..Unpacking::default() })),
        refused(bench.artifact_unpack(0, 0, &Unpacking { from: "../x".to_owned(), ..Unpacking::default() })),
        refused(bench.artifact_unpack(0, 0, &Unpacking { into: "/x".to_owned(), ..Unpacking::default() })),
        refused(bench.artifact_unpack(0, 0, &Unpacking::default())),
        refused(bench.artifact_read(0, "top", 9)),
    ];
    insta::assert_snapshot!(said.join("\n"), @r#"
    InvalidInput: could not put files into the layer `jre`
      caused by: `dist/jre.tgz` is there twice, or below something that is not a folder
    InvalidInput: could not use a path
      caused by: path `../x` is refused: it holds `.` or `..`
    InvalidInput: could not put files into the layer `jre`: its `env` carries what is set of the environment and nothing else
      hint: set variables by `set-env`
    NotFound: could not unpack the artefact `jre.bin` into a layer: nothing in `none` is wanted
    NotFound: could not unpack the artefact `jre.bin` into a layer: nothing in it is wanted
    InvalidInput: could not use a path
      caused by: path `../x` is refused: it holds `.` or `..`
    InvalidInput: could not use a path
      caused by: path `/x` is refused: it is absolute
    InvalidInput: could not put files into the layer `jre`
      caused by: `meta/RECORD` is there twice, or below something that is not a folder
    InvalidInput: could not read `top`: it is a folder
    "#);
}

#[test]
fn damaged_and_hostile_archives_are_refused() {
    let mut cut = zip(FILES);
    cut.truncate(cut.len() - 30);
    let said = [
        refused(fetched(b"plain text").artifact_find(0, &[], 1)),
        refused(fetched(&cut).artifact_find(0, &[], 1)),
        refused(fetched(&zip(&[("../up", "x")])).artifact_find(0, &[], 1)),
        refused(fetched(&zip(&[("a", "x"), ("a", "y")])).artifact_find(0, &[], 1)),
        refused(fetched(&tar_gz(&[("l", "-> ../../etc")])).artifact_find(0, &[], 1)),
    ];
    insta::assert_snapshot!(said.join("\n"), @r#"
    Unsupported: could not look into the artefact `jre.bin`
      caused by: `jre.bin` is not a zip, jar, wheel, tar or deb archive
    Integrity: could not look into the artefact `jre.bin`
      caused by: cannot read the zip archive
      caused by: Missing end of central directory
    Integrity: could not look into the artefact `jre.bin`
      caused by: path `../up` is refused: it holds `.` or `..`
    Integrity: could not look into the artefact `jre.bin`
      caused by: `a` is there twice, or below something that is not a folder
    Integrity: could not look into the artefact `jre.bin`
      caused by: symbolic link `l` leads outside of its tree: `../../etc`
    "#);
}

#[test]
fn a_link_may_not_lead_outside_once_it_is_unpacked() {
    // Inside the archive, outside of the part that is taken.
    let bench = fetched(&tar_gz(&[("conf/x", "1"), ("top/l", "-> ../conf/x"), ("top/f", "2")]));
    let how = Unpacking { from: "top".to_owned(), ..Unpacking::default() };
    insta::assert_snapshot!(refused(bench.artifact_unpack(0, 0, &how)), @r#"
    InvalidInput: could not unpack the artefact `jre.bin` into a layer
      caused by: symbolic link `l` leads outside of its tree: `../conf/x`
    "#);
    assert_eq!(shown(&bench.clear().layers[0].tree), "");
}

#[test]
fn a_recipe_is_the_artefact_and_how_it_was_unpacked() {
    let recipe = |file: &[u8], how: &Unpacking| {
        let bench = fetched(file);
        bench.artifact_unpack(0, 0, how).unwrap();
        bench.clear().layers[0].recipe
    };
    let (file, other) = (tar_gz(FILES), tar_gz(&FILES[1..]));
    let all = Unpacking::default();
    assert_eq!(recipe(&file, &all), recipe(&file, &all));
    let ways = [
        Unpacking { from: "top".to_owned(), ..all.clone() },
        Unpacking { into: "top".to_owned(), ..all.clone() },
        Unpacking { keep: some(&["**"]), ..all.clone() },
        Unpacking { drop: some(&["meta/*"]), ..all.clone() },
        Unpacking { executable: some(&["**"]), ..all.clone() },
        all.clone(),
    ];
    let mut recipes: Vec<Digest> = ways.iter().map(|how| recipe(&file, how)).collect();
    recipes.push(recipe(&other, &all));
    recipes.sort_unstable();
    recipes.dedup();
    assert_eq!(recipes.len(), ways.len() + 1);
}

#[test]
fn a_layer_knows_what_was_put_into_it() {
    let file = tar_gz(FILES);
    let bench = fetched(&file);
    bench.create_layer("other", Usage::default()).unwrap();
    for part in ["top/bin", "top/lib"] {
        let how = Unpacking { from: part.to_owned(), ..Unpacking::default() };
        bench.artifact_unpack(0, 0, &how).unwrap();
    }
    assert!(bench.artifact_unpack(0, 1, &Unpacking { from: "none".to_owned(), ..Unpacking::default() }).is_err());
    let layers = bench.clear().layers;
    let [component] = &layers[0].contents[..] else { panic!("{:?}", layers[0].contents) };
    assert_eq!((component.name.as_str(), component.version.as_str()), ("jre", "21.0.1"));
    assert_eq!(component.purl.as_ref().unwrap().to_string(), "pkg:pypi/jre@21.0.1?file_name=jre.bin");
    assert_eq!(component.sha256, Some(Digest::of(&file)));
    assert!(layers[1].contents.is_empty(), "a step that failed puts nothing there");
}
