//! What stops an update, kind by kind, and what does not.

use super::*;
use crate::lock::{LockedBuildpack, tests::lock};

/// The lock, and the same after something was done to its buildpack.
fn after(change: impl FnOnce(&mut LockedBuildpack)) -> (Lock, Lock) {
    let old = lock();
    let mut new = old.clone();
    change(&mut new.buildpacks[0]);
    (old, new)
}

fn stops_of((old, new): &(Lock, Lock)) -> Vec<String> {
    let changes = changes(old, new);
    let updates = unaccepted(&changes, &BTreeSet::new());
    updates.iter().flat_map(|update| update.stops.iter().map(ToString::to_string)).collect()
}

fn word(text: &str) -> BTreeSet<String> {
    [text.to_owned()].into()
}

#[test]
fn wanting_more_of_each_kind_stops_and_wanting_less_does_not() {
    type Set = fn(&mut Capabilities);
    let kinds: [(&str, Set); 5] = [
        (r#"interfaces = ["artifacts"]"#, |set| set.interfaces = [Interface::Artifacts].into()),
        (r#"ecosystems = ["pypi"]"#, |set| set.ecosystems = word("pypi")),
        (r#"settings = ["HOME"]"#, |set| set.settings = word("HOME")),
        (r#"bindings = ["maven"]"#, |set| set.bindings = word("maven")),
        (r#"hosts = ["d.example.com"]"#, |set| set.hosts = word("d.example.com")),
    ];
    for (line, set) in kinds {
        let (old, more) = after(|one| set(&mut one.asks));
        assert_eq!(stops_of(&(old.clone(), more.clone())), [format!("it wants {line}")]);
        // To ask for one other setting it gave up those of before, so that going back is more again.
        let back: &[&str] = if line.starts_with("settings") { &[r#"it wants settings = ["BP_TOOL_*"]"#] } else { &[] };
        assert_eq!(stops_of(&(more, old)), back, "{line}");
        let (old, more) = after(|one| {
            one.grants = Capabilities::default();
            set(&mut one.grants);
        });
        let mut less = old.clone();
        less.buildpacks[0].grants = Capabilities::default();
        assert_eq!(stops_of(&(less.clone(), more.clone())), [format!("it is granted {line}")]);
        assert_eq!(stops_of(&(more, less)), Vec::<String>::new(), "{line}");
    }
}

#[test]
fn every_interface_that_is_newly_asked_for_or_imported_stops() {
    for interface in Interface::ALL {
        let line = format!("it wants interfaces = [\"{interface}\"]");
        let expected = if Interface::ALWAYS.contains(&interface) { Vec::new() } else { vec![line] };
        let asked = after(|one| one.asks.interfaces = [interface].into());
        assert_eq!(stops_of(&asked), expected);
        let import = format!("stave:buildpack/{interface}@0.1.0");
        let imported = after(|one| {
            one.imports.insert(import.clone());
        });
        assert_eq!(stops_of(&imported), expected);
        let both = after(|one| {
            one.asks.interfaces = [interface].into();
            one.imports.insert(import.clone());
        });
        assert_eq!(stops_of(&both), expected, "what is said twice is told once");
    }
}

#[test]
fn an_import_that_nobody_is_offered_stops() {
    let importing = |import: &str| {
        after(|one| {
            one.imports.insert(import.to_owned());
        })
    };
    let offered = "which this version of stave offers to no buildpack";
    for import in ["stave:buildpack/tools@0.2.0", "wasi:sockets/tcp@0.2.6", "acme:run/run"] {
        let (old, new) = importing(import);
        assert_eq!(stops_of(&(old.clone(), new.clone())), [format!("it imports {import}, {offered}")]);
        assert_eq!(stops_of(&(new.clone(), new.clone())), Vec::<String>::new(), "it did so before");
        assert_eq!(stops_of(&(new, old)), Vec::<String>::new());
    }
    let long = stops_of(&importing(&format!("a\u{1b}{}", "x".repeat(1000))));
    assert_eq!(long, [format!("it imports a\\u{{1b}}{}, {offered}", "x".repeat(98))]);
    let mut new = lock();
    new.buildpacks[0].imports.insert("stave:buildpack/tools@0.2.0".to_owned());
    let old = Lock { buildpacks: Vec::new(), ..new.clone() };
    assert!(stops_of(&(old, new)).contains(&format!("it imports stave:buildpack/tools@0.2.0, {offered}")));
}

#[test]
fn a_pattern_that_is_covered_is_not_more() {
    for (asks, stops) in [("BP_TOOL_X", false), ("BP_TOOL_X_*", false), ("BP_*", true), ("BP_TOOL", true)] {
        assert_eq!(!stops_of(&after(|one| one.asks.settings = word(asks))).is_empty(), stops, "{asks}");
    }
}

#[test]
fn a_dependency_from_a_host_that_was_not_asked_for_stops() {
    let declaring = |hosts: &[&str]| {
        let artifact = |host: &&str| crate::dependency::Artifact {
            platform: None,
            purl: format!("pkg:generic/x@1?download_url=https%3A%2F%2F{host}%2Fx").parse().unwrap(),
            sha256: Digest::of(host.as_bytes()),
        };
        let dependency = Dependency {
            id: "x".to_owned(),
            version: Version::new(1, 0, 0),
            name: String::new(),
            licenses: Vec::new(),
            eol: None,
            artifacts: hosts.iter().map(artifact).collect(),
        };
        let mut lock = lock();
        lock.buildpacks[0].dependencies = vec![dependency];
        // Written before hosts were noted, and read now.
        Lock::parse(&lock.to_toml()).unwrap()
    };
    let (old, new) = (declaring(&["a.example.com"]), declaring(&["a.example.com", "b.example.com"]));
    assert_eq!(stops_of(&(old.clone(), new.clone())), [r#"it wants hosts = ["b.example.com"]"#]);
    assert_eq!(stops_of(&(new, old.clone())), Vec::<String>::new());
    assert_eq!(stops_of(&(old.clone(), old)), Vec::<String>::new());
}

#[test]
fn other_bytes_sizes_and_later_versions_pass_by_themselves() {
    let later = after(|one| {
        one.version = Version::new(2, 0, 0);
        (one.component, one.size) = (Digest::of(b"later"), 1);
        one.imports.insert("wasi:cli/stderr@0.2.6".to_owned());
        one.contract = "0.2".to_owned();
    });
    assert_eq!(stops_of(&later), Vec::<String>::new());
    assert_eq!(changes(&later.0, &later.1).len(), 1);
    // An order that names the only version there is has not changed with it.
    let named = |lock: &Lock| {
        let mut lock = lock.clone();
        lock.order[0].group[0].version = Some(lock.buildpacks[0].version.clone());
        lock
    };
    assert_eq!(changes(&named(&later.0), &named(&later.1)).len(), 1);
    assert_eq!(changes(&later.0, &later.0), []);
}

#[test]
fn n10_an_older_version_and_another_signer_stop() {
    let signed = |version: u64, signer: Option<&str>| {
        let mut lock = lock();
        lock.buildpacks[0].version = Version::new(version, 0, 0);
        lock.buildpacks[0].signer = signer.map(str::to_owned);
        lock
    };
    let told = |old, new| stops_of(&(old, new)).join("; ");
    let all = [
        told(signed(2, None), signed(1, None)),
        told(signed(1, Some("acme")), signed(2, Some("evil\u{1b}"))),
        told(signed(1, Some("acme")), signed(2, None)),
        told(signed(1, None), signed(2, Some("acme"))),
        told(signed(1, Some("acme,ops")), signed(2, Some("ops"))),
        told(signed(1, Some("acme")), signed(2, Some("acme,ops"))),
    ];
    insta::assert_snapshot!(all.join("\n"), @r"
    its version 1.0.0 is older than 2.0.0, which is locked
    it is signed by evil\u{1b}, and was by acme
    it was signed by acme, and no signature of that was verified now

    it is signed by ops, and was by acme,ops
    ");
}

/// An order of one group that names a version of the buildpack.
fn order_of(version: &str) -> crate::order::Order {
    let member = crate::order::Member {
        id: "acme/tool".parse().unwrap(),
        version: Some(version.parse().unwrap()),
        optional: false,
        exec_env: Vec::new(),
    };
    vec![crate::order::Group { group: vec![member] }]
}

#[test]
fn n10_an_older_one_of_several_versions_stops_too() {
    let mut old = lock();
    let mut newer = old.buildpacks[0].clone();
    (newer.version, newer.component) = (Version::new(2, 0, 0), Digest::of(b"newer"));
    old.buildpacks.push(newer);
    old.order = order_of("2.0.0");
    let turned = Lock { order: order_of("1.2.0"), ..old.clone() };
    let mut gone = turned.clone();
    gone.buildpacks.pop();
    for new in [&turned, &gone] {
        let stops = stops_of(&(old.clone(), new.clone()));
        assert_eq!(stops, ["its version 1.2.0 is older than 2.0.0, which is locked"]);
    }
    assert_eq!(stops_of(&(turned, old.clone())), Vec::<String>::new(), "to a newer one it goes on by itself");
    // The older one is gone, and the newer stays in use.
    let mut kept = old.clone();
    kept.buildpacks.remove(0);
    assert_eq!(stops_of(&(old, kept)), Vec::<String>::new());
}

#[test]
fn a_new_buildpack_is_named_with_all_that_it_wants() {
    let (old, mut new) = after(|_| {});
    new.buildpacks[0].id = "acme/other".parse().unwrap();
    let changes = changes(&old, &new);
    let updates = unaccepted(&changes, &BTreeSet::new());
    let ids: Vec<&str> = updates.iter().map(|update| update.id.as_str()).collect();
    assert_eq!(ids, ["acme/other"], "the one that is gone stops nothing");
    let stops: Vec<String> = updates[0].stops.iter().map(ToString::to_string).collect();
    assert_eq!(stops, ["it is new", r#"it wants settings = ["BP_TOOL_*"]"#]);
    assert_eq!(unaccepted(&changes, &["acme/other".parse().unwrap()].into()), Vec::<&Update>::new());
}

#[test]
fn versions_of_one_buildpack_are_told_apart() {
    let (old, mut new) = after(|_| {});
    let mut later = new.buildpacks[0].clone();
    later.version = Version::new(3, 0, 0);
    new.buildpacks.insert(0, later);
    let changes = changes(&old, &new);
    let [Change::Buildpack(update)] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((&update.old, update.new.as_ref().unwrap().version.major), (&None, 3));
}

#[test]
fn bases_order_and_dependencies_are_told() {
    let (mut old, mut new) = after(|_| {});
    new.stack.images.pop();
    new.stack.images[0].digest = Digest::of(b"patched");
    new.order.clear();
    let dependency = |id: &str, sha256: &[u8]| Dependency {
        id: id.to_owned(),
        version: Version::new(1, 0, 0),
        name: String::new(),
        licenses: vec!["MIT".to_owned()],
        eol: None,
        artifacts: vec![crate::dependency::Artifact {
            platform: None,
            purl: "pkg:pypi/x@1".parse().unwrap(),
            sha256: Digest::of(sha256),
        }],
    };
    old.buildpacks[0].dependencies = vec![dependency("a", b"1"), dependency("b", b"1"), dependency("c", b"1")];
    new.buildpacks[0].dependencies = vec![dependency("a", b"1"), dependency("b", b"2"), dependency("d", b"1")];
    let changes = changes(&old, &new);
    let told = serde_json::to_value(&changes).unwrap();
    assert_eq!(told[0]["kind"], "base");
    assert_eq!((&told[0]["platform"], &told[0]["new"]), (&"linux/amd64".into(), &serde_json::Value::Null));
    assert_eq!(told[2]["kind"], "order");
    let Some(Change::Buildpack(update)) = changes.last() else { panic!("{changes:?}") };
    let told: Vec<(&str, How)> = update.dependencies.iter().map(|one| (one.name.as_str(), one.how)).collect();
    assert_eq!(told, [("b 1.0.0", How::Changed), ("c 1.0.0", How::Removed), ("d 1.0.0", How::Added)]);
    assert_eq!(update.stops, []);
}
