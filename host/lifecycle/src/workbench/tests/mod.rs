//! What a bench allows, refuses and says, interface by interface.

mod app;
mod artifacts;
mod bindings;
mod layers;
mod overlay;
mod record;

use std::sync::OnceLock;

use stave_model::{capability::Capabilities, layer::Usage};

use super::*;
use crate::{
    previous::tests::{Yard, all_kinds},
    testing::{Artifacts, bench, everything, manifest, refused, shop, tar_gz, tree},
};

/// An interface, a function of it, and a call.
type Call = (&'static str, &'static str, fn(&Workbench) -> Result<(), PortError>);

/// One call of each function that is guarded.
fn calls() -> Vec<Call> {
    fn none() -> Vec<String> {
        Vec::new()
    }
    vec![
        ("app", "find", |b| b.find(&none(), 1).map(drop)),
        ("app", "stat", |b| b.stat("a").map(drop)),
        ("app", "read", |b| b.read("a", 9).map(drop)),
        ("app", "digest", |b| b.digest(&none()).map(drop)),
        ("app", "open_archive", |b| b.open_archive("a.zip").map(drop)),
        ("app", "archive_find", |b| b.archive_find(0, &none(), 1).map(drop)),
        ("app", "archive_read", |b| b.archive_read(0, "x", 9).map(drop)),
        ("context", "setting", |b| b.setting("BP_VERSION").map(drop)),
        ("context", "settings", |b| b.settings("BP_").map(drop)),
        ("context", "notes", |b| b.notes().map(drop)),
        ("layers", "previous_layer", |b| b.previous_layer("l").map(drop)),
        ("layers", "create_layer", |b| b.create_layer("l", Usage::default()).map(drop)),
        ("layers", "reuse_layer", |b| b.reuse_layer("jre", Usage { launch: true, ..Usage::default() })),
        ("layers", "restore_layer", |b| b.restore_layer("list", Usage::default()).map(drop)),
        ("layers", "layer_write", |b| b.layer_write(0, "a", Vec::new(), false)),
        ("layers", "layer_link", |b| b.layer_link(0, "b", "a")),
        ("layers", "layer_copy_app", |b| b.layer_copy_app(0, &none(), "").map(drop)),
        ("layers", "layer_remove", |b| b.layer_remove(0, &none()).map(drop)),
        ("layers", "layer_find", |b| b.layer_find(0, &none(), 1).map(drop)),
        ("layers", "layer_read", |b| b.layer_read(0, "a", 9).map(drop)),
        ("layers", "layer_set_env", |b| b.layer_set_env(0, layers::change("A", "1"))),
        ("layers", "layer_set_metadata", |b| b.layer_set_metadata(0, Vec::new())),
        ("artifacts", "available", |b| b.available("jre").map(drop)),
        ("artifacts", "fetch", |b| b.fetch("jre", "21.0.1").map(drop)),
        ("artifacts", "artifact_find", |b| b.artifact_find(0, &none(), 1).map(drop)),
        ("artifacts", "artifact_read", |b| b.artifact_read(0, "x", 9).map(drop)),
        ("artifacts", "artifact_save", |b| b.artifact_save(0, 0, "s", false)),
        ("artifacts", "artifact_unpack", |b| b.artifact_unpack(0, 0, &Unpacking::default()).map(drop)),
        ("overlay", "overlay_write", |b| b.overlay_write("o", Vec::new(), false)),
        ("overlay", "overlay_remove", |b| b.overlay_remove(&none()).map(drop)),
        ("overlay", "overlay_unpack", |b| b.overlay_unpack("a.zip", "u").map(drop)),
        ("bindings", "bindings", |b| b.bindings("postgresql").map(drop)),
        ("bindings", "read_binding", |b| b.read_binding("db", "password").map(drop)),
    ]
}

/// What an earlier build left: layers for every use.
fn earlier() -> Arc<Previous> {
    static EARLIER: OnceLock<Arc<Previous>> = OnceLock::new();
    let build = || {
        let yard = Yard::new();
        Arc::new(yard.previous(&yard.build(all_kinds)))
    };
    Arc::clone(EARLIER.get_or_init(build))
}

/// A shop whose buildpack has everything: an app with an archive, an artefact, and a build before.
fn bench_with(grants: &Capabilities, phase: Phase) -> Workbench {
    let file = tar_gz(&[("x", "1")]);
    let mut manifest = artifacts::declaring(&[("21.0.1", &file)]);
    manifest.asks = everything();
    let (mut shop, _) = shop(Artifacts::of(&[&file]));
    shop.previous = earlier();
    let zip = crate::testing::zip(&[("x", "1")]);
    let mut app = tree(&[("a", "1")]);
    let node = Node::file(Arc::new(crate::testing::span(&zip)), false);
    app.insert("a.zip".parse().unwrap(), node).unwrap();
    Workbench::new(&shop, &manifest, grants, phase, app)
}

#[test]
fn what_is_granted_works() {
    let bench = bench_with(&everything(), Phase::Build);
    for (interface, name, call) in calls() {
        assert!(call(&bench).is_ok(), "{interface}.{name}: {}", refused(call(&bench)));
    }
}

/// Calls whose answer follows from earlier calls alone, what they change of a layer being kept with the layer; and the one
/// after which nothing is kept.
const UNNOTED: [&str; 7] = [
    "layer_find",
    "layer_read",
    "layer_set_env",
    "layer_set_metadata",
    "artifact_find",
    "artifact_read",
    "read_binding",
];

#[test]
fn every_call_is_noted_or_follows_from_others() {
    let bench = bench_with(&everything(), Phase::Build);
    bench.target();
    assert!(bench.state().journal.take_last().is_some());
    bench.exec_env();
    assert!(bench.state().journal.take_last().is_some());
    for (interface, name, call) in calls() {
        call(&bench).unwrap();
        let noted = bench.state().journal.take_last().is_some();
        assert_eq!(noted, !UNNOTED.contains(&name), "{interface}.{name}");
    }
}

#[test]
fn what_is_not_granted_is_denied_and_says_what_to_grant() {
    let mut said = BTreeMap::new();
    for (interface, name, call) in calls() {
        let mut grants = everything();
        grants.interfaces.remove(&Interface::named(interface).unwrap());
        let text = refused(call(&bench_with(&grants, Phase::Build)));
        let before = said.insert(interface, text.clone());
        assert!(before.is_none_or(|before| before == text), "{interface}.{name} says something else: {text}");
    }
    insta::assert_snapshot!(said.into_values().collect::<Vec<_>>().join("\n"), @r#"
    Denied: could not use `app` (read the app's source): acme/tool is not granted it
      hint: whoever trusts acme/tool adds interfaces = ["app"] to its `grants` in the builder
    Denied: could not use `artifacts` (bring declared dependencies into the image): acme/tool is not granted it
      hint: whoever trusts acme/tool adds interfaces = ["artifacts"] to its `grants` in the builder
    Denied: could not use `bindings` (read the service bindings it asks for, with their secrets): acme/tool is not granted it
      hint: whoever trusts acme/tool adds interfaces = ["bindings"] to its `grants` in the builder
    Denied: could not use `context` (read the target and the settings it asks for): acme/tool is not granted it
      hint: whoever trusts acme/tool adds interfaces = ["context"] to its `grants` in the builder
    Denied: could not use `layers` (add layers to the image): acme/tool is not granted it
      hint: whoever trusts acme/tool adds interfaces = ["layers"] to its `grants` in the builder
    Denied: could not use `overlay` (add and leave out app files in the image): acme/tool is not granted it
      hint: whoever trusts acme/tool adds interfaces = ["overlay"] to its `grants` in the builder
    "#);
}

#[test]
fn what_is_for_build_is_denied_in_detect() {
    let bench = bench_with(&everything(), Phase::Detect);
    let mut said = Vec::new();
    for (interface, name, call) in calls() {
        match call(&bench) {
            Ok(()) => {
                assert!(["app", "context", "bindings"].contains(&interface), "{interface}.{name} works in detect");
            }
            Err(error) => said.push(refused::<()>(Err(error))),
        }
    }
    said.dedup();
    insta::assert_snapshot!(said.join("\n"), @r#"
    Denied: could not use `layers` in detect: it is for build
    Denied: could not use `artifacts` in detect: it is for build
    Denied: could not use `overlay` in detect: it is for build
    "#);
}

#[test]
fn nothing_goes_on_after_a_request_to_stop() {
    let bench = bench_with(&everything(), Phase::Build);
    bench.cancel().set();
    for (interface, name, call) in calls() {
        let error = call(&bench).unwrap_err();
        assert_eq!(error.fault, Fault::Cancelled, "{interface}.{name}");
        assert_eq!(error.to_string(), "stopped on request");
    }
}

#[test]
fn handles_that_were_never_given_out_are_refused() {
    let (shop, _) = shop(Artifacts::default());
    let bench = bench(&shop, tree(&[]));
    let said = [
        refused(bench.archive_read(7, "a", 1)),
        refused(bench.layer_write(7, "a", Vec::new(), false)),
        refused(bench.layer_path(7)),
        refused(bench.artifact_size(7)),
    ];
    insta::assert_snapshot!(said.join("\n"), @r#"
    InvalidInput: could not find the archive: it was never opened
    InvalidInput: could not find the layer: it was never opened
    InvalidInput: could not find the layer: it was never opened
    InvalidInput: could not find the artefact: it was never opened
    "#);
}

#[test]
fn settings_are_asked_for_and_granted() {
    let (shop, _) = shop(Artifacts::default());
    let settings = |names: &[&str]| Capabilities {
        settings: names.iter().map(|name| (*name).to_owned()).collect(),
        ..everything()
    };
    let ask = |asks: &[&str], grants: &[&str], name: &str| {
        let mut manifest = manifest("acme/tool@1.2.3");
        manifest.asks = settings(asks);
        Workbench::new(&shop, &manifest, &settings(grants), Phase::Detect, tree(&[])).setting(name)
    };
    assert_eq!(ask(&["BP_*"], &["BP_*"], "BP_VERSION").unwrap().as_deref(), Some("21"));
    assert_eq!(ask(&["BP_VERSION"], &["*"], "BP_VERSION").unwrap().as_deref(), Some("21"));
    assert_eq!(ask(&["BP_*"], &["BP_*"], "BP_ABSENT").unwrap(), None);
    let said = [
        refused(ask(&["BP_VERSION"], &["*"], "SECRET")),
        refused(ask(&["*"], &["BP_*"], "SECRET")),
        refused(ask(&[], &[], "a\u{1b}[31m")),
    ];
    insta::assert_snapshot!(said.join("\n"), @r#"
    Denied: could not read the setting `SECRET`: the manifest of acme/tool@1.2.3 does not ask for it
      hint: its author adds it to `asks.settings` in buildpack.toml
    Denied: could not read the setting `SECRET`: acme/tool is not granted it
      hint: whoever trusts acme/tool adds settings = ["SECRET"] to its `grants` in the builder
    Denied: could not read the setting `a\u{1b}[31m`: the manifest of acme/tool@1.2.3 does not ask for it
      hint: its author adds it to `asks.settings` in buildpack.toml
    "#);
    let long = ask(&["*"], &[], &"x".repeat(10_000)).unwrap_err();
    assert!(long.to_string().len() < 400 && long.hint.unwrap().len() < 400, "what a guest chose is cut");
}

#[test]
fn settings_are_listed_where_all_of_them_are_asked_for_and_granted() {
    let (mut shop, _) = shop(Artifacts::default());
    let ask = |shop: &Shop, asks: &str, grants: &str, prefix: &str| {
        let of = |pattern: &str| Capabilities { settings: [pattern.to_owned()].into(), ..everything() };
        let mut manifest = manifest("acme/tool@1.2.3");
        manifest.asks = of(asks);
        Workbench::new(shop, &manifest, &of(grants), Phase::Detect, tree(&[])).settings(prefix)
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let all = [pair("BP_OTHER", "x"), pair("BP_VERSION", "21")];
    assert_eq!(ask(&shop, "BP_*", "*", "BP_").unwrap(), all);
    assert_eq!(ask(&shop, "BP_*", "BP_*", "BP_V").unwrap(), all[1..]);
    assert_eq!(ask(&shop, "*", "*", "BPE_").unwrap(), []);
    let said = [
        refused(ask(&shop, "BP_*", "*", "")),
        refused(ask(&shop, "*", "BP_*", "SEC")),
        refused(ask(&shop, "BP_VERSION", "*", "BP_VERSION")),
    ];
    insta::assert_snapshot!(said.join("\n"), @r#"
    Denied: could not list the settings `*`: the manifest of acme/tool@1.2.3 does not ask for it
      hint: its author adds it to `asks.settings` in buildpack.toml
    Denied: could not list the settings `SEC*`: acme/tool is not granted it
      hint: whoever trusts acme/tool adds settings = ["SEC*"] to its `grants` in the builder
    Denied: could not list the settings `BP_VERSION*`: the manifest of acme/tool@1.2.3 does not ask for it
      hint: its author adds it to `asks.settings` in buildpack.toml
    "#);
    shop.settings = Arc::new([pair("BP_A", &"x".repeat(MAX_SETTINGS_BYTES))].into());
    insta::assert_snapshot!(refused(ask(&shop, "*", "*", "")), @"TooLarge: could not list the settings `*`: there are 1 of 1048580 bytes, and at most 1024 of 1 MiB are listed at a time");
}

#[test]
fn patterns_and_paths_that_cannot_be_used_say_why() {
    let (shop, _) = shop(Artifacts::default());
    let bench = bench(&shop, tree(&[]));
    let mut said: Vec<String> = ["../a", "/etc/passwd", "a//b", "a/../../b", "", "a\0b", "C:/x", "a\\b"]
        .into_iter()
        .map(|path| refused(bench.read(path, 1)))
        .collect();
    said.push(refused(bench.read(&"x/".repeat(3000), 1)).replace(&"x/".repeat(100), "x/…"));
    said.push(refused(bench.find(&["a{".to_owned()], 1)));
    said.push(refused(bench.find(&["/a".to_owned()], 1)));
    said.push(refused(bench.find(&vec!["a".to_owned(); 300], 1)));
    insta::assert_snapshot!(said.join("\n"), @r#"
    InvalidInput: could not use a path
      caused by: path `../a` is refused: it holds `.` or `..`
    InvalidInput: could not use a path
      caused by: path `/etc/passwd` is refused: it is absolute
    InvalidInput: could not use a path
      caused by: path `a//b` is refused: it holds an empty name
    InvalidInput: could not use a path
      caused by: path `a/../../b` is refused: it holds `.` or `..`
    InvalidInput: could not use a path
      caused by: path `` is refused: it holds an empty name
    InvalidInput: could not use a path
      caused by: path `a\0b` is refused: it holds a backslash or a NUL
    InvalidInput: could not use a path
      caused by: path `C:/x` is refused: it starts with a drive letter
    InvalidInput: could not use a path
      caused by: path `a\\b` is refused: it holds a backslash or a NUL
    InvalidInput: could not use a path
      caused by: path `x/…` is refused: it is longer than 4095 bytes
    InvalidInput: could not use the patterns
      caused by: pattern `a{` cannot be understood
      caused by: error parsing glob 'a{': unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)
    InvalidInput: could not use the patterns
      caused by: pattern `/a` matches nothing: paths start without `/` and hold no `.`, `..` or empty names
    InvalidInput: could not use the patterns
      caused by: 300 patterns, more than the limit of 256
    "#);
}
