//! The capability matrix: every function that can be imported, in every version of the contract, allowed and denied, over
//! real guests (`tests/guests/caller`, `caller-next`). The functions are read from `wit/`, so that none is forgotten.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Arc, OnceLock},
};

use stave_archive::{
    content::{Bytes, Span},
    tree::{Node, Tree},
};
use stave_engine::{Engine, Limits, Loaded, admission::ALWAYS};
use stave_lifecycle::{
    memory::Memory,
    port::{
        artifacts::ArtifactSource,
        buildpack::{Buildpack as _, RunError, Verdict},
        cancel::Cancel,
        failure::PortError,
        ledger::Unwritten,
        observer::{Observer, Silent},
    },
    workbench::{Limits as BenchLimits, Phase, Shop, Workbench},
};
use stave_model::{
    binding::Binding,
    capability::{Capabilities, Interface},
    component::embed,
    dependency::{Artifact, Dependency},
    id::ExecEnv,
    manifest::CONTRACTS,
    target::{Platform, Target},
};

use crate::{
    support::{guest, manifest},
    text::functions,
};

/// A zip with the file `a.txt`, stored.
const ZIP: &[u8] = b"PK\x03\x04\x0a\0\0\0\0\0\0\0\0\0\x86\xa6\x10\x36\x05\0\0\0\x05\0\0\0\x05\0\0\0a.txthelloPK\x01\x02\x0a\0\x0a\
    \0\0\0\0\0\0\0\0\0\x86\xa6\x10\x36\x05\0\0\0\x05\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0a.txtPK\x05\x06\0\0\0\0\x01\0\x01\
    \0\x33\0\0\0\x28\0\0\0\0\0";
/// What no bench can deny, because its answer has no room for an error: it is always granted.
const NEVER_DENIED: [&str; 4] = ["context.build-target", "context.exec-env", "log.write", "log.step"];

/// Hands out the zip, whatever is asked for.
struct Zips;

impl ArtifactSource for Zips {
    fn fetch(&self, _: &Dependency, _: &Artifact, _: &dyn Observer, _: &Cancel) -> Result<Span, PortError> {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, ZIP).unwrap();
        Ok(Span::whole(file).unwrap())
    }
}

/// The name of a version's guest.
pub(crate) fn caller(contract: &str) -> &'static str {
    if contract == "0.1" { "caller" } else { "caller-next" }
}

/// Everything that the guests ask for, and what everybody has.
pub(crate) fn all(contract: &str) -> Capabilities {
    let mut asks = stave_model::manifest::Manifest::parse(&manifest(caller(contract))).unwrap().asks;
    asks.interfaces.extend(ALWAYS);
    asks
}

/// The guest of a version, loaded once for all tests.
pub(crate) fn load(contract: &str) -> &'static Loaded {
    static LOADED: [OnceLock<Loaded>; CONTRACTS.len()] = [const { OnceLock::new() }; CONTRACTS.len()];
    let place = CONTRACTS.iter().position(|known| *known == contract).unwrap();
    LOADED[place].get_or_init(|| {
        let engine = Engine::new(Limits::default(), None).unwrap();
        engine.load(&guest(caller(contract)), None, &all(contract)).unwrap()
    })
}

/// A bench with these grants, whatever the component was admitted with, and an app that names the call.
fn bench(loaded: &Loaded, phase: Phase, grants: &Capabilities, call: &str) -> Arc<Workbench> {
    let binding = |name: &str, kind: &str| {
        let files = [("type", kind), ("word", "sesame")].map(|(key, value)| (key.to_owned(), value.into()));
        let binding = Binding::new(name, files.into()).unwrap();
        (binding.name.clone(), binding)
    };
    let settings = ["BP_ONE", "BP_MANY_A", "BP_MORE", "HOME"].map(|name| (name.to_owned(), "set".to_owned()));
    let shop = Shop {
        target: Target { platform: Platform::linux("amd64"), distro: None },
        exec_env: ExecEnv::default(),
        settings: Arc::new(settings.into()),
        bindings: Arc::new(BTreeMap::from([binding("one", "greeting"), binding("two", "password")])),
        artifacts: Arc::new(Zips),
        observer: Arc::new(Silent),
        ledger: Arc::new(Unwritten),
        cancel: Cancel::new(),
        scratch: std::env::temp_dir(),
        limits: BenchLimits::default(),
        memory: Memory::none(),
        previous: Arc::default(),
    };
    let mut app = Tree::new();
    for (path, bytes) in [("a.zip", ZIP), ("call", call.as_bytes())] {
        app.insert(path.parse().unwrap(), Node::file(Arc::new(Bytes::new(bytes)), false)).unwrap();
    }
    Arc::new(Workbench::new(&shop, loaded.manifest(), grants, phase, app))
}

/// What the guest was answered to a call; both versions under one name.
pub(crate) fn told(loaded: &Loaded, phase: Phase, grants: &Capabilities, call: &str) -> String {
    let bench = bench(loaded, phase, grants, call);
    let text = match phase {
        Phase::Detect => match loaded.detect(&bench).unwrap() {
            Verdict::Skip(told) => told,
            Verdict::Pass(_) => panic!("{call}: it passed"),
        },
        Phase::Build => match loaded.build(&bench, &[]).unwrap_err() {
            RunError::Refused(failure) => failure.summary,
            other => panic!("{call}: {other}"),
        },
    };
    assert_ne!(text, "there is no such call", "the guest has no call for `{call}` of the contract");
    text.replace("caller-next", "caller")
}

/// `grants` without an interface.
fn without(grants: &Capabilities, interface: Interface) -> Capabilities {
    let mut grants = grants.clone();
    assert!(grants.interfaces.remove(&interface));
    grants
}

/// The interface of a call.
fn interface(call: &str) -> Interface {
    Interface::named(call.split('.').next().unwrap()).unwrap()
}

/// The same text from every version, but for what came later; answers the newest's, which has all of it.
pub(crate) fn same_in_all(of: impl Fn(&str) -> BTreeMap<String, String>) -> BTreeMap<String, String> {
    let newest = of(CONTRACTS[CONTRACTS.len() - 1]);
    for contract in CONTRACTS {
        let lines = of(contract);
        assert!(!lines.is_empty());
        for (what, text) in lines {
            assert_eq!(newest.get(&what), Some(&text), "{contract} answers `{what}` in its own way");
        }
    }
    newest
}

pub(crate) fn listed(lines: &BTreeMap<String, String>) -> String {
    lines.iter().fold(String::new(), |mut text, (what, said)| {
        writeln!(text, "{what}: {said}").unwrap();
        text
    })
}

#[test]
fn w8_there_is_no_call_that_moves_or_links_a_file_from_one_root_to_another() {
    for contract in CONTRACTS {
        let all = functions(contract);
        let moves = |name: &&String| ["rename", "move-", "hard", "mount"].iter().any(|word| name.contains(word));
        let moving: Vec<&String> = all.iter().filter(moves).collect();
        assert!(moving.is_empty(), "{contract}: {moving:?}");
        // The one that makes links makes symbolic ones, whose text is checked.
        let linking: Vec<&String> = all.iter().filter(|name| name.contains("link")).collect();
        assert_eq!(linking, ["layers.layer.link"]);
    }
}

#[test]
fn every_call_is_answered_where_it_is_allowed() {
    let answers = same_in_all(|contract| {
        let (loaded, grants) = (load(contract), all(contract));
        let answer = |call: String| {
            let said = told(loaded, Phase::Build, &grants, &call);
            assert!(!said.contains("Denied"), "{contract} {call}: {said}");
            (call, said)
        };
        functions(contract).into_iter().map(answer).collect()
    });
    insta::assert_snapshot!(listed(&answers), @r#"
    app.archive.find: allowed: ["a.txt"]
    app.archive.read: allowed: [104, 101, 108, 108, 111]
    app.digest: allowed: 71
    app.find: allowed: ["a.zip", "call"]
    app.open-archive: allowed: ()
    app.read: allowed: 8
    app.stat: allowed: Some("a.zip")
    artifacts.artifact.find: allowed: 1
    artifacts.artifact.read: allowed: [104, 101, 108, 108, 111]
    artifacts.artifact.save: allowed: ()
    artifacts.artifact.size: allowed: 113
    artifacts.artifact.unpack: allowed: 1
    artifacts.available: allowed: 1
    artifacts.fetch: allowed: ()
    bindings.find: allowed: 1
    bindings.read: allowed: 6
    context.build-target: allowed: amd64
    context.exec-env: allowed: production
    context.notes: allowed: []
    context.setting: allowed: Some("set")
    context.settings: allowed: [("BP_MANY_A", "set")]
    layers.create: allowed: ()
    layers.layer.copy-app: allowed: 1
    layers.layer.find: allowed: 1
    layers.layer.link: allowed: ()
    layers.layer.path: allowed: "/layers/stave-tests_caller/made"
    layers.layer.read: allowed: [104, 101, 108, 108, 111]
    layers.layer.remove: allowed: 1
    layers.layer.set-env: allowed: ()
    layers.layer.set-metadata: allowed: ()
    layers.layer.write-file: allowed: ()
    layers.previous: allowed: false
    layers.restore: Fault::NotFound: could not begin the layer `kept` of the previous build with its contents: the previous build had no such layer
    hint: the buildpack makes it anew with `layers.create`
    layers.reuse: Fault::NotFound: could not keep the layer `kept` of the previous build as it is: the previous build had no such layer
    hint: the buildpack makes it anew with `layers.create`
    log.step: allowed: ()
    log.write: allowed: ()
    overlay.remove: allowed: 1
    overlay.unpack: allowed: 1
    overlay.write-file: allowed: ()
    sbom.add: allowed: ()
    "#);
}

#[test]
fn every_call_is_denied_where_its_interface_is_not_granted_whatever_was_admitted() {
    let denials = same_in_all(|contract| {
        let (loaded, grants) = (load(contract), all(contract));
        let mut denials: BTreeMap<String, String> = BTreeMap::new();
        for call in functions(contract) {
            let interface = interface(&call);
            let said = told(loaded, Phase::Build, &without(&grants, interface), &call);
            if NEVER_DENIED.contains(&call.as_str()) {
                assert!(said.starts_with("allowed: "), "{contract} {call}: {said}");
                continue;
            }
            let first = denials.entry(interface.to_string()).or_insert_with(|| said.clone());
            assert_eq!(
                (said.as_str(), said.starts_with("Fault::Denied: ")),
                (first.as_str(), true),
                "{contract} {call}"
            );
        }
        denials
    });
    insta::assert_snapshot!(listed(&denials), @r#"
    app: Fault::Denied: could not use `app` (read the app's source): stave-tests/caller is not granted it
    hint: whoever trusts stave-tests/caller adds interfaces = ["app"] to its `grants` in the builder
    artifacts: Fault::Denied: could not use `artifacts` (bring declared dependencies into the image): stave-tests/caller is not granted it
    hint: whoever trusts stave-tests/caller adds interfaces = ["artifacts"] to its `grants` in the builder
    bindings: Fault::Denied: could not use `bindings` (read the service bindings it asks for, with their secrets): stave-tests/caller is not granted it
    hint: whoever trusts stave-tests/caller adds interfaces = ["bindings"] to its `grants` in the builder
    context: Fault::Denied: could not use `context` (read the target and the settings it asks for): stave-tests/caller is not granted it
    hint: whoever trusts stave-tests/caller adds interfaces = ["context"] to its `grants` in the builder
    layers: Fault::Denied: could not use `layers` (add layers to the image): stave-tests/caller is not granted it
    hint: whoever trusts stave-tests/caller adds interfaces = ["layers"] to its `grants` in the builder
    overlay: Fault::Denied: could not use `overlay` (add and leave out app files in the image): stave-tests/caller is not granted it
    hint: whoever trusts stave-tests/caller adds interfaces = ["overlay"] to its `grants` in the builder
    sbom: Fault::Denied: could not use `sbom` (name what is in its layers, for the bill of materials): stave-tests/caller is not granted it
    hint: whoever trusts stave-tests/caller adds interfaces = ["sbom"] to its `grants` in the builder
    "#);
}

#[test]
fn every_call_that_is_for_build_is_denied_in_detect() {
    let denials = same_in_all(|contract| {
        let (loaded, grants) = (load(contract), all(contract));
        let mut denials: BTreeMap<String, String> = BTreeMap::new();
        for call in functions(contract) {
            let said = told(loaded, Phase::Detect, &grants, &call);
            let first = denials.entry(interface(&call).to_string()).or_insert_with(|| said.clone());
            assert_eq!(
                said.starts_with("Fault::Denied"),
                first.starts_with("Fault::Denied"),
                "{contract} {call}: {said}"
            );
        }
        denials.retain(|_, said| said.starts_with("Fault::Denied"));
        denials
    });
    insta::assert_snapshot!(listed(&denials), @"
    artifacts: Fault::Denied: could not use `artifacts` in detect: it is for build
    layers: Fault::Denied: could not use `layers` in detect: it is for build
    overlay: Fault::Denied: could not use `overlay` in detect: it is for build
    sbom: Fault::Denied: could not use `layers` in detect: it is for build
    ");
}

#[test]
fn arguments_are_denied_that_were_not_asked_for_or_not_granted() {
    let nothing = |mut grants: Capabilities| {
        (grants.settings, grants.ecosystems, grants.bindings) = Default::default();
        grants
    };
    let generous = |mut grants: Capabilities| {
        for granted in [&mut grants.settings, &mut grants.bindings] {
            granted.insert("*".to_owned());
        }
        grants.ecosystems.insert("npm".to_owned());
        grants
    };
    let denials = same_in_all(|contract| {
        let loaded = load(contract);
        let (few, many) = (nothing(all(contract)), generous(all(contract)));
        let said = |call: &str, grants: &Capabilities| told(loaded, Phase::Build, grants, call);
        let ungranted = ["context.setting", "context.settings", "artifacts.fetch", "bindings.find", "bindings.read"];
        let unasked = ["context.setting HOME", "context.settings BP_", "artifacts.fetch other"];
        let unasked = [&unasked[..], &["artifacts.fetch nothing", "bindings.find password", "bindings.read password"]];
        let ungranted = ungranted.map(|call| (format!("not granted: {call}"), said(call, &few)));
        let unasked = unasked.concat().into_iter().map(|call| (format!("not asked for: {call}"), said(call, &many)));
        ungranted.into_iter().chain(unasked).collect()
    });
    assert!(denials.values().all(|said| !said.starts_with("allowed")), "{denials:?}");
    insta::assert_snapshot!(listed(&denials), @r#"
    not asked for: artifacts.fetch nothing: Fault::NotFound: could not fetch nothing 1.0.0 for linux/amd64: the manifest of stave-tests/caller@0.1.0 declares no such dependency
    not asked for: artifacts.fetch other: Fault::Denied: could not fetch other 1.0.0 for linux/amd64 from npm: the manifest of stave-tests/caller@0.1.0 does not ask for it
    hint: its author adds it to `asks.ecosystems` in buildpack.toml
    not asked for: bindings.find password: Fault::Denied: could not look for bindings of the type `password`: the manifest of stave-tests/caller@0.1.0 does not ask for it
    hint: its author adds it to `asks.bindings` in buildpack.toml
    not asked for: bindings.read password: Fault::NotFound: could not read `word` of the binding `two`: there is no such entry in a binding of a type that it asks for and is granted
    not asked for: context.setting HOME: Fault::Denied: could not read the setting `HOME`: the manifest of stave-tests/caller@0.1.0 does not ask for it
    hint: its author adds it to `asks.settings` in buildpack.toml
    not asked for: context.settings BP_: Fault::Denied: could not list the settings `BP_*`: the manifest of stave-tests/caller@0.1.0 does not ask for it
    hint: its author adds it to `asks.settings` in buildpack.toml
    not granted: artifacts.fetch: Fault::Denied: could not fetch tool 1.0.0 for linux/amd64 from pypi: stave-tests/caller is not granted it
    hint: whoever trusts stave-tests/caller adds ecosystems = ["pypi"] to its `grants` in the builder
    not granted: bindings.find: Fault::Denied: could not look for bindings of the type `greeting`: stave-tests/caller is not granted it
    hint: whoever trusts stave-tests/caller adds bindings = ["greeting"] to its `grants` in the builder
    not granted: bindings.read: Fault::NotFound: could not read `word` of the binding `one`: there is no such entry in a binding of a type that it asks for and is granted
    not granted: context.setting: Fault::Denied: could not read the setting `BP_ONE`: stave-tests/caller is not granted it
    hint: whoever trusts stave-tests/caller adds settings = ["BP_ONE"] to its `grants` in the builder
    not granted: context.settings: Fault::Denied: could not list the settings `BP_MANY_*`: stave-tests/caller is not granted it
    hint: whoever trusts stave-tests/caller adds settings = ["BP_MANY_*"] to its `grants` in the builder
    "#);
}

#[test]
fn every_interface_is_refused_before_it_runs_where_it_is_not_asked_for_or_not_granted() {
    let refusals = same_in_all(|contract| {
        let engine = Engine::new(Limits::default(), None).unwrap();
        let (wasm, text) = (guest(caller(contract)), manifest(caller(contract)));
        let refused = |manifest: &str, grants: &Capabilities| {
            let error = engine.load(&embed(&wasm, manifest).unwrap(), None, grants).expect_err("it was loaded");
            let hint = error.hint().unwrap_or_default();
            format!("{error}\nhint: {hint}").replace("caller-next", "caller")
        };
        let asked = all(contract);
        let mut refusals = BTreeMap::new();
        for interface in asked.interfaces.iter().copied().filter(|interface| !ALWAYS.contains(interface)) {
            let name = format!("\"{interface}\"");
            let less = text.replacen(&format!(", {name}"), "", 1).replacen(&format!("{name}, "), "", 1);
            assert_ne!(less, text);
            refusals.insert(format!("{interface}, not asked for"), refused(&less, &asked));
            refusals.insert(format!("{interface}, not granted"), refused(&text, &without(&asked, interface)));
        }
        refusals
    });
    insta::assert_snapshot!(listed(&refusals), @r#"
    artifacts, not asked for: stave-tests/caller@0.1.0 imports stave:buildpack/artifacts (bring declared dependencies into the image), which its manifest does not ask for
    hint: its author adds interfaces = ["artifacts"] to `asks` in its buildpack.toml
    artifacts, not granted: stave-tests/caller@0.1.0 asks for what it is not granted: interfaces = ["artifacts"]
    hint: whoever trusts it adds interfaces = ["artifacts"] to its `grants` in the builder
    bindings, not asked for: stave-tests/caller@0.1.0 imports stave:buildpack/bindings (read the service bindings it asks for, with their secrets), which its manifest does not ask for
    hint: its author adds interfaces = ["bindings"] to `asks` in its buildpack.toml
    bindings, not granted: stave-tests/caller@0.1.0 asks for what it is not granted: interfaces = ["bindings"]
    hint: whoever trusts it adds interfaces = ["bindings"] to its `grants` in the builder
    layers, not asked for: stave-tests/caller@0.1.0 imports stave:buildpack/layers (add layers to the image), which its manifest does not ask for
    hint: its author adds interfaces = ["layers"] to `asks` in its buildpack.toml
    layers, not granted: stave-tests/caller@0.1.0 asks for what it is not granted: interfaces = ["layers"]
    hint: whoever trusts it adds interfaces = ["layers"] to its `grants` in the builder
    overlay, not asked for: stave-tests/caller@0.1.0 imports stave:buildpack/overlay (add and leave out app files in the image), which its manifest does not ask for
    hint: its author adds interfaces = ["overlay"] to `asks` in its buildpack.toml
    overlay, not granted: stave-tests/caller@0.1.0 asks for what it is not granted: interfaces = ["overlay"]
    hint: whoever trusts it adds interfaces = ["overlay"] to its `grants` in the builder
    sbom, not asked for: stave-tests/caller@0.1.0 imports stave:buildpack/sbom (name what is in its layers, for the bill of materials), which its manifest does not ask for
    hint: its author adds interfaces = ["sbom"] to `asks` in its buildpack.toml
    sbom, not granted: stave-tests/caller@0.1.0 asks for what it is not granted: interfaces = ["sbom"]
    hint: whoever trusts it adds interfaces = ["sbom"] to its `grants` in the builder
    "#);
}
