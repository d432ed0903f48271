//! Buildpacks as resources of their own: what becomes of builders and images when one changes, breaks or goes.

use serde_json::json;

use super::{Case, cluster, image, manifest, name, package, stack, store, wish};
use crate::{
    port::{Records as _, records::Id},
    resource::{build::Fault, manifest::Resource, package::PackageKey},
};

fn key(title: &str) -> PackageKey {
    PackageKey { namespace: None, name: name(title) }
}

/// A builder whose only buildpack is named by kind and name.
fn builder() -> Resource {
    let group = json!([{ "kind": "ClusterBuildpack", "name": "java" }]);
    manifest("ClusterBuilder", "default", &json!({ "stack": { "name": "old" }, "order": [{ "group": group }] }))
}

fn case() -> Case {
    let case = Case::empty();
    case.apply([stack("old", "old"), package("java", "java:1.0.0"), builder(), wish(image("web"))]);
    case.settle();
    assert_eq!(case.told("web"), ["1 CONFIG build succeeded"]);
    case.town.forget();
    case
}

fn revisions(case: &Case) -> usize {
    case.records.snapshot().unwrap().builders[&cluster("default")].made.revisions.len()
}

fn failure(case: &Case) -> Option<String> {
    case.records.snapshot().unwrap().builders[&cluster("default")].made.failure.clone()
}

#[test]
fn another_version_of_a_cluster_buildpack_is_a_build() {
    let case = case();
    case.apply([package("java", "java:1.1.0")]);
    case.settle();
    assert_eq!(case.told("web"), ["1 CONFIG build succeeded", "2 BUILDPACK build succeeded"]);
    assert_eq!(revisions(&case), 2);
    let did: Vec<_> = case.town.state().done.iter().map(|(what, times)| format!("{what} {times}")).collect();
    assert_eq!(did, ["builder default 1", "package java 1"], "no source is read for it");
    // Looked up once, and then nobody writes.
    let version = case.records.version().unwrap();
    case.town.forget();
    case.settle();
    assert_eq!((case.records.version().unwrap(), case.town.count("package java")), (version, 0));
}

#[test]
fn a_bare_id_follows_the_highest_version_wherever_it_comes_from() {
    let case = Case::built(&["web"]);
    case.apply([package("newer", "java:1.5.0")]);
    case.settle();
    assert_eq!(case.told("web"), ["1 CONFIG build succeeded", "2 BUILDPACK build succeeded"]);
    case.apply([store("default", &["java:1.4.0", "procfile:1.0.0"])]);
    case.settle();
    assert_eq!(case.told("web").len(), 2, "the store's is older");
    assert!(case.records.remove(&Id::Package(key("newer"))).unwrap());
    case.settle();
    assert_eq!(case.told("web").last().unwrap(), "3 BUILDPACK build succeeded");
}

#[test]
fn what_cannot_be_read_holds_up_nobody_else() {
    let case = case();
    case.apply([package("broken", "broken:1.0.0"), package("java", "java:1.1.0")]);
    case.town.break_down("package broken", Fault::Refused, "it is no buildpack");
    case.settle();
    assert_eq!(case.told("web").last().unwrap(), "2 BUILDPACK build succeeded");
    let snapshot = case.records.snapshot().unwrap();
    let seen = |title: &str| &snapshot.packages[&key(title)].seen;
    assert!(seen("broken").failure.as_ref().unwrap().contains("it is no buildpack"), "{:?}", seen("broken"));
    assert_eq!((seen("broken").found.is_none(), seen("broken").generation), (true, 1));
    assert_eq!((seen("java").failure.is_none(), seen("java").generation), (true, 2));
    // A wish that leads nowhere leaves what was found before.
    case.town.break_down("package java", Fault::Refused, "it is gone");
    case.apply([package("java", "java:2.0.0")]);
    let settled = case.settle();
    assert!(settled.trouble["ClusterBuildpack java"].contains("it is gone"), "{:?}", settled.trouble);
    assert_eq!(case.told("web").len(), 2);
    assert_eq!((revisions(&case), failure(&case)), (2, None));
}

#[test]
fn what_a_builder_names_and_is_gone_is_told_and_its_images_stay() {
    let case = case();
    assert!(case.records.remove(&Id::Package(key("java"))).unwrap());
    case.settle();
    assert_eq!(failure(&case).as_deref(), Some("the ClusterBuildpack java does not exist"));
    assert_eq!((revisions(&case), case.told("web").len()), (1, 1));
    case.apply([package("java", "java:1.0.0")]);
    case.settle();
    assert_eq!((revisions(&case), failure(&case), case.told("web").len()), (1, None, 1), "it is what it was");
}

#[test]
fn a_namespace_gets_what_it_has_itself_and_nobody_else_does() {
    let case = Case::empty();
    let of = |namespace: &str, kind: &str, title: &str, spec: serde_json::Value| {
        let mut resource = manifest(kind, title, &spec);
        resource.set_namespace(name(namespace));
        resource
    };
    let java = |version: &str| json!({ "image": format!("registry.example.com/buildpacks/java:{version}") });
    let order = json!({ "stack": { "name": "old" }, "order": [{ "group": [{ "id": "stave/java" }] }] });
    case.apply([
        stack("old", "old"),
        package("java", "java:1.0.0"),
        of("team-a", "Buildpack", "java", java("1.2.0")),
        of("team-a", "Builder", "own", order.clone()),
        of("team-b", "Builder", "own", order.clone()),
        manifest("ClusterBuilder", "default", &order),
    ]);
    let settled = case.settle();
    assert_eq!(settled.trouble, [].into());
    let snapshot = case.records.snapshot().unwrap();
    let versions: Vec<String> = snapshot
        .builders
        .values()
        .map(|record| record.made.revisions[0].revision.buildpacks[0].version.to_string())
        .collect();
    assert_eq!(versions, ["1.0.0", "1.2.0", "1.0.0"], "{:?}", snapshot.builders.keys());
    let stock = |namespace: Option<&str>| snapshot.stock(namespace.map(name).as_ref()).len();
    assert_eq!((stock(None), stock(Some("team-a")), stock(Some("team-b"))), (1, 2, 1));
}
