//! What the entries of an order come to: by id, by kind and name, or both; of a builder of a namespace, and of one of all.

use serde_json::{Value, json};

use super::{name, stack};
use crate::{
    plan::world::World,
    resource::{
        builder::{BuilderSpec, BuildpackVersion},
        package::{PackageKey, PackageKind},
    },
    testing::{buildpack, digest},
};

/// One whose component is another one, which its place gives a name.
fn at(place: &str, title: &str) -> BuildpackVersion {
    BuildpackVersion { digest: Some(digest(place)), ..buildpack(title) }
}

fn key(title: &str) -> PackageKey {
    match title.split_once('/') {
        Some((namespace, package)) => PackageKey { namespace: Some(name(namespace)), name: name(package) },
        None => PackageKey { namespace: None, name: name(title) },
    }
}

/// Two stores, two cluster buildpacks of which one is not there yet, and buildpacks of two namespaces.
fn world() -> World {
    let mut world = World { lifecycle: "0.1.0".to_owned(), ..World::default() };
    world.stacks.insert(name("base"), stack("base", "io.example.base"));
    let store = vec![at("store", "acme/tool@1.0.0"), at("store", "acme/only@1.0.0"), at("store", "acme/same@1.0.0")];
    world.stores.insert(name("default"), store);
    world.stores.insert(name("more"), vec![at("more", "acme/tool@1.4.0")]);
    for (title, one) in [
        ("tool", at("cluster", "acme/tool@1.9.0")),
        ("same", at("cluster", "acme/same@1.0.0")),
        ("team-a/tool", at("team-a", "acme/tool@1.10.0")),
        ("team-a/same", at("team-a", "acme/same@1.0.0")),
        ("team-b/tool", at("team-b", "acme/tool@9.0.0")),
        ("team-b/secret", at("team-b", "acme/secret@1.0.0")),
    ] {
        world.packages.insert(key(title), Ok(one));
    }
    world.packages.insert(key("late"), Err("it was not looked up yet".to_owned()));
    world.packages.insert(key("team-b/broken"), Err("no such image".to_owned()));
    world
}

/// What a builder of one entry has, and from where: `acme/tool@1.0.0 of store`; or what it lacks.
fn found(world: &World, namespace: Option<&str>, store: Option<&str>, entry: &Value) -> String {
    let mut spec = json!({ "stack": { "name": "base" }, "order": [{ "group": [entry] }] });
    if let Some(store) = store {
        spec["store"] = json!({ "name": store });
    }
    let spec: BuilderSpec = serde_json::from_value(spec).unwrap();
    let revision = match world.compose(namespace.map(name).as_ref(), &spec) {
        Ok(revision) => revision,
        Err(why) => return why,
    };
    let [one] = &revision.buildpacks[..] else { panic!("{revision:?}") };
    let member = &revision.order[0].group[0];
    assert_eq!((member.title(), member.optional), (one.title(), entry["optional"] == true));
    let places = ["store", "more", "cluster", "team-a", "team-b"];
    let place = places.into_iter().find(|place| one.digest == Some(digest(place))).unwrap();
    format!("{} of {place}", one.title())
}

#[test]
fn an_id_is_looked_for_everywhere_that_a_builder_may_see() {
    let world = world();
    let tool = json!({ "id": "acme/tool" });
    let exact = |version: &str| json!({ "id": "acme/tool", "version": version });
    for (namespace, store, entry, expected) in [
        // The highest version, as versions are compared and not as words are.
        (None, None, &tool, "acme/tool@1.9.0 of cluster"),
        (Some("team-a"), None, &tool, "acme/tool@1.10.0 of team-a"),
        (Some("team-b"), Some("default"), &tool, "acme/tool@9.0.0 of team-b"),
        (Some("team-c"), None, &tool, "acme/tool@1.9.0 of cluster"),
        // A store that is named is the only store, and cluster buildpacks are beside it.
        (None, Some("default"), &tool, "acme/tool@1.9.0 of cluster"),
        (None, None, &exact("1.4.0"), "acme/tool@1.4.0 of more"),
        (None, Some("default"), &exact("1.0.0"), "acme/tool@1.0.0 of store"),
        (
            None,
            Some("default"),
            &exact("1.4.0"),
            "no store or ClusterBuildpack has the buildpack acme/tool@1.4.0; not ready: ClusterBuildpack late",
        ),
        (None, Some("none"), &tool, "the ClusterStore none does not exist"),
        // Nobody sees what another namespace has.
        (
            None,
            None,
            &exact("9.0.0"),
            "no store or ClusterBuildpack has the buildpack acme/tool@9.0.0; not ready: ClusterBuildpack late",
        ),
        (
            Some("team-a"),
            None,
            &json!({ "id": "acme/secret" }),
            "no store, Buildpack or ClusterBuildpack has the buildpack acme/secret; not ready: ClusterBuildpack late",
        ),
        (
            Some("team-b"),
            None,
            &json!({ "id": "acme/none" }),
            "no store, Buildpack or ClusterBuildpack has the buildpack acme/none; not ready: ClusterBuildpack late, Buildpack team-b/broken",
        ),
        (None, None, &json!({ "id": "acme/only", "optional": true }), "acme/only@1.0.0 of store"),
        // Of one version, who is nearest counts.
        (Some("team-a"), None, &json!({ "id": "acme/same" }), "acme/same@1.0.0 of team-a"),
        (Some("team-b"), None, &json!({ "id": "acme/same" }), "acme/same@1.0.0 of cluster"),
    ] {
        assert_eq!(found(&world, namespace, store, entry), expected, "{namespace:?} {store:?} {entry}");
    }
}

#[test]
fn what_is_named_is_taken_from_there_and_from_nowhere_else() {
    let world = world();
    let cluster = |name: &str| json!({ "kind": "ClusterBuildpack", "name": name });
    let own = |name: &str| json!({ "kind": "Buildpack", "name": name });
    let with = |mut entry: Value, field: &str, value: &str| {
        entry[field] = json!(value);
        entry
    };
    for (namespace, entry, expected) in [
        // A higher version elsewhere does not matter, nor does the store.
        (Some("team-a"), cluster("tool"), "acme/tool@1.9.0 of cluster"),
        (None, cluster("tool"), "acme/tool@1.9.0 of cluster"),
        (Some("team-a"), own("tool"), "acme/tool@1.10.0 of team-a"),
        (Some("team-b"), own("tool"), "acme/tool@9.0.0 of team-b"),
        (None, with(cluster("tool"), "id", "acme/tool"), "acme/tool@1.9.0 of cluster"),
        (None, with(with(cluster("tool"), "id", "acme/tool"), "version", "1.9.0"), "acme/tool@1.9.0 of cluster"),
        (None, with(cluster("tool"), "version", "1.9.0"), "acme/tool@1.9.0 of cluster"),
        // What the store has is not asked for.
        (
            None,
            with(with(cluster("tool"), "id", "acme/tool"), "version", "1.0.0"),
            "the ClusterBuildpack tool has acme/tool@1.9.0, and not acme/tool@1.0.0",
        ),
        (
            None,
            with(cluster("tool"), "id", "acme/only"),
            "the ClusterBuildpack tool has acme/tool@1.9.0, and not acme/only",
        ),
        (
            None,
            with(cluster("tool"), "version", "2.0.0"),
            "the ClusterBuildpack tool has acme/tool@1.9.0, and not version 2.0.0",
        ),
        (None, cluster("none"), "the ClusterBuildpack none does not exist"),
        (None, cluster("late"), "the ClusterBuildpack late is not ready: it was not looked up yet"),
        (Some("team-a"), own("secret"), "the Buildpack team-a/secret does not exist"),
        (Some("team-b"), own("broken"), "the Buildpack team-b/broken is not ready: no such image"),
        (None, own("tool"), "a ClusterBuilder takes no buildpack of a namespace, such as the Buildpack tool"),
    ] {
        assert_eq!(found(&world, namespace, Some("default"), &entry), expected, "{namespace:?} {entry}");
    }
}

#[test]
fn an_order_has_a_buildpack_once_and_no_two_of_one_name() {
    let world = world();
    let compose = |group: Value| {
        let spec = json!({ "stack": { "name": "base" }, "order": [{ "group": group }] });
        let spec: BuilderSpec = serde_json::from_value(spec).unwrap();
        let titles = |all: &[BuildpackVersion]| all.iter().map(BuildpackVersion::title).collect::<Vec<_>>().join(" ");
        world.compose(Some(&name("team-a")), &spec).map(|revision| titles(&revision.buildpacks))
    };
    let (cluster, own) =
        (json!({ "kind": "ClusterBuildpack", "name": "same" }), json!({ "kind": "Buildpack", "name": "same" }));
    assert_eq!(compose(json!([own, { "id": "acme/same" }])), Ok("acme/same@1.0.0".to_owned()));
    assert_eq!(
        compose(json!([own, cluster])),
        Err("two different buildpacks of its order are acme/same@1.0.0".to_owned()),
        "a group names them by id and version"
    );
    let older = json!({ "id": "acme/tool", "version": "1.0.0" });
    assert_eq!(
        compose(json!([older, { "kind": "Buildpack", "name": "tool" }])),
        Ok("acme/tool@1.0.0 acme/tool@1.10.0".to_owned())
    );
}

#[test]
fn a_key_says_which_kind_it_is_of() {
    let shown = |title: &str| (key(title).kind(), key(title).to_string());
    assert_eq!(shown("java"), (PackageKind::ClusterBuildpack, "ClusterBuildpack java".to_owned()));
    assert_eq!(shown("team-a/java"), (PackageKind::Buildpack, "Buildpack team-a/java".to_owned()));
}
