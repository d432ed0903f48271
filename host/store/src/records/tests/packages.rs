//! Buildpacks: of namespaces and of all, beside each other; and a file from before there were any.

use rusqlite::Connection;

use super::*;

fn package(namespace: Option<&str>, tag: &str) -> Resource {
    let kind = if namespace.is_some() { "Buildpack" } else { "ClusterBuildpack" };
    let mut metadata = json!({ "name": "java" });
    if let Some(namespace) = namespace {
        metadata["namespace"] = json!(namespace);
    }
    resource(kind, &metadata, &json!({ "image": format!("registry.example.com/java:{tag}") }))
}

fn package_key(namespace: Option<&str>) -> PackageKey {
    PackageKey { namespace: namespace.map(|name| name.parse().unwrap()), name: "java".parse().unwrap() }
}

fn stocked(version: &str) -> Stocked {
    let buildpack = serde_json::from_value(json!({ "id": "stave/java", "version": version })).unwrap();
    Stocked { buildpack, image: pinned("java").parse().unwrap(), size: 9 }
}

#[test]
fn buildpacks_of_a_name_are_kept_apart_and_remember_what_came_of_them() {
    let temp = tempfile::tempdir().unwrap();
    let records = open(&temp);
    let whose = [None, Some("team-a"), Some("team-b")];
    for namespace in whose {
        assert_eq!(records.apply(&package(namespace, "1")).unwrap(), Applied::Created);
        assert_eq!(records.apply(&package(namespace, "1")).unwrap(), Applied::Unchanged);
    }
    let mut see = |record: &mut PackageRecord| {
        record.package.spec.image = "registry.example.com/other".parse().unwrap();
        record.seen = Seen { generation: 1, found: Some(stocked("1.0.0")), failure: Some("late".to_owned()) };
        Ok(())
    };
    let own = package_key(Some("team-a"));
    records.amend_package(&own, &mut see).unwrap().unwrap();
    let version = records.version().unwrap();
    records.amend_package(&own, &mut see).unwrap();
    assert_eq!(records.version().unwrap(), version, "the same is not written again");
    assert_eq!(records.apply(&package(Some("team-a"), "2")).unwrap(), Applied::Changed);

    let snapshot = open(&temp).snapshot().unwrap();
    assert_eq!(snapshot.packages.keys().cloned().collect::<Vec<_>>(), whose.map(package_key));
    let record = &snapshot.packages[&own];
    assert_eq!(record.package.kind, PackageKind::Buildpack);
    assert_eq!(record.package.spec.image.to_string(), "registry.example.com/java:2", "the wish is not amended");
    assert_eq!((record.package.metadata.generation, record.seen.generation), (2, 1));
    assert_eq!(record.seen.found, Some(stocked("1.0.0")));
    assert_eq!(snapshot.packages[&package_key(None)].package.kind, PackageKind::ClusterBuildpack);
    assert_eq!(snapshot.packages[&package_key(Some("team-b"))].seen, Seen::default());

    let id = Id::Package(own.clone());
    assert_eq!((records.remove(&id).unwrap(), records.remove(&id).unwrap()), (true, false));
    assert_eq!(records.amend_package(&own, &mut see).unwrap(), None);
    assert_eq!(records.snapshot().unwrap().packages.len(), 2);
}

#[test]
fn one_that_says_no_namespace_is_of_the_default_one() {
    let temp = tempfile::tempdir().unwrap();
    let records = open(&temp);
    let manifest = resource("Buildpack", &json!({ "name": "java" }), &json!({ "image": "registry.example.com/java" }));
    records.apply(&manifest).unwrap();
    let keys: Vec<_> = records.snapshot().unwrap().packages.into_keys().collect();
    assert_eq!(keys, [package_key(Some("default"))]);
}

/// What the program before this one wrote, which had no table of them.
#[test]
fn an_older_file_is_brought_up_and_keeps_what_it_has() {
    let temp = tempfile::tempdir().unwrap();
    let records = open(&temp);
    records.apply(&image("web", &[])).unwrap();
    let version = records.version().unwrap();
    drop(records);
    let db = Connection::open(temp.path().join("data/platform/records.db")).unwrap();
    db.execute_batch("DROP TABLE packages; PRAGMA user_version = 1").unwrap();
    drop(db);
    let records = open(&temp);
    assert_eq!(records.version().unwrap(), version);
    assert!(records.image(&key("web")).unwrap().is_some());
    records.apply(&package(None, "1")).unwrap();
    assert_eq!(open(&temp).snapshot().unwrap().packages.len(), 1);
}
