use std::{collections::BTreeSet, fs, thread};

use serde_json::{Value, json};
use stave_platform::{
    port::records::{SourceRecord, TurnedBack},
    resource::{
        build::{Build, Failure, Outcome},
        manifest::parse,
    },
};

use super::*;
use crate::folders::DATA_VARIABLE;

mod over;
mod packages;
mod trouble;

fn data(temp: &tempfile::TempDir) -> Folder {
    Folder::open(temp.path().join("data"), DATA_VARIABLE).unwrap()
}

fn open(temp: &tempfile::TempDir) -> DiskRecords {
    DiskRecords::open(&data(temp)).unwrap()
}

fn resource(kind: &str, metadata: &Value, spec: &Value) -> Resource {
    parse(&json!({ "apiVersion": "stave/v1", "kind": kind, "metadata": metadata, "spec": spec })).unwrap()
}

/// The image `team-a/NAME` with these variables.
fn image(name: &str, env: &[(&str, &str)]) -> Resource {
    let env: Vec<Value> = env.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let source = json!({ "git": { "url": "https://git.example.com/web", "revision": "main" } });
    let spec = json!({
        "tag": format!("registry.example.com/team-a/{name}"),
        "source": source,
        "build": { "env": env },
        "cache": { "volume": { "size": "1Gi" } },
    });
    resource("Image", &json!({ "name": name, "namespace": "team-a" }), &spec)
}

fn key(name: &str) -> ImageKey {
    ImageKey { namespace: "team-a".parse().unwrap(), name: name.parse().unwrap() }
}

fn pinned(name: &str) -> String {
    format!("registry.example.com/{name}@{}", stave_model::digest::Digest::of(name.as_bytes()))
}

fn build(key: &ImageKey, number: u64) -> Build {
    let revision = json!({
        "buildpacks": [{ "id": "stave/java", "version": "1.0.0" }],
        "order": [],
        "runImage": pinned("run"),
        "stackId": "io.example.base",
        "lifecycle": "0.1.0",
    });
    serde_json::from_value(json!({
        "image": key,
        "number": number,
        "mode": "build",
        "changes": [{ "reason": "CONFIG", "new": { "source": [1, null, "x"] } }],
        "inputs": {
            "builder": { "kind": "ClusterBuilder", "name": "default" },
            "revision": revision,
            "source": { "git": { "url": "https://git.example.com/web", "revision": "c1" } },
        },
        "attempt": 1,
        "started": 1_796_018_400_u64,
        "outcome": "running",
    }))
    .unwrap()
}

/// Adds builds of these numbers.
fn begin(records: &DiskRecords, name: &str, numbers: &[u64]) -> ImageRecord {
    let mut add = |record: &mut ImageRecord| {
        record.builds.extend(numbers.iter().map(|number| build(&key(name), *number)));
        record.image.status.build_counter = *numbers.iter().max().unwrap();
        Ok(())
    };
    records.amend_image(&key(name), &mut add).unwrap().unwrap()
}

/// How many rows were written since the file was opened.
fn writes(records: &DiskRecords) -> u64 {
    records.writer.lock().unwrap().total_changes()
}

fn numbers(record: &ImageRecord) -> Vec<u64> {
    record.builds.iter().map(|build| build.number).collect()
}

#[test]
fn a_wish_has_a_generation() {
    let temp = tempfile::tempdir().unwrap();
    let records = open(&temp);
    let found = || records.image(&key("web")).unwrap().unwrap();
    let generation = || (found().image.metadata.generation, records.version().unwrap());
    assert_eq!(records.image(&key("web")).unwrap(), None);
    assert_eq!(records.apply(&image("web", &[])).unwrap(), Applied::Created);
    assert_eq!(generation(), (1, 1));
    begin(&records, "web", &[1]);

    // The same, in other words too.
    let mut same = image("web", &[]);
    assert_eq!(records.apply(&same).unwrap(), Applied::Unchanged);
    let Resource::Image(other_words) = &mut same else { panic!() };
    other_words.spec.cache.as_mut().unwrap().volume.as_mut().unwrap().size = "1024Mi".parse().unwrap();
    other_words.metadata.generation = 7;
    other_words.status.triggers = 3;
    assert_eq!(records.apply(&same).unwrap(), Applied::Unchanged);
    assert_eq!(generation(), (1, 2));

    let mut labelled = image("web", &[]);
    let Resource::Image(changed) = &mut labelled else { panic!() };
    changed.metadata.labels.insert("team".to_owned(), "a".to_owned());
    assert_eq!(records.apply(&labelled).unwrap(), Applied::Changed);
    assert_eq!(generation(), (1, 3), "a label is no other wish");
    assert_eq!(found().image.metadata.labels["team"], "a");

    assert_eq!(records.apply(&image("web", &[("A", "1")])).unwrap(), Applied::Changed);
    assert_eq!(generation(), (2, 4));
    let now = found();
    assert!(now.image.metadata.labels.is_empty());
    assert_eq!((numbers(&now), now.image.status.build_counter, now.image.status.triggers), (vec![1], 1, 0));
}

#[test]
fn fractions_are_the_same_wish_again() {
    let temp = tempfile::tempdir().unwrap();
    let records = open(&temp);
    let mut wish = image("web", &[]);
    let Resource::Image(image) = &mut wish else { panic!() };
    image.spec.build.affinity = Some(json!({ "weights": [0.1 + 0.2, 1e-300, 123_456_789.123_456_79, 2.0 / 3.0] }));
    assert_eq!(records.apply(&wish).unwrap(), Applied::Created);
    assert_eq!(records.apply(&wish).unwrap(), Applied::Unchanged);
}

#[test]
fn an_image_stays_what_it_is() {
    let temp = tempfile::tempdir().unwrap();
    let records = open(&temp);
    records.apply(&image("web", &[])).unwrap();
    let mut other = image("web", &[("A", "1")]);
    let Resource::Image(changed) = &mut other else { panic!() };
    changed.spec.tag = "registry.example.com/team-a/other".parse().unwrap();
    changed.spec.cache.as_mut().unwrap().volume.as_mut().unwrap().size = "1Mi".parse().unwrap();
    let ApplyError::Refused(refused) = records.apply(&other).unwrap_err() else { panic!() };
    insta::assert_snapshot!(refused, @"Image `team-a/web` is refused: spec.tag: it stays registry.example.com/team-a/web: another tag is another image; spec.cache.volume.size: it only grows, and is 1Gi");
    assert_eq!(records.version().unwrap(), 1);
    assert_eq!(records.image(&key("web")).unwrap().unwrap().image.spec.build.env, []);
    // Another one may have it.
    let Resource::Image(mut changed) = other else { panic!() };
    changed.metadata.name = "other".parse().unwrap();
    assert_eq!(records.apply(&Resource::Image(changed)).unwrap(), Applied::Created);
}

#[test]
fn who_names_no_namespace_means_the_default_one() {
    let temp = tempfile::tempdir().unwrap();
    let records = open(&temp);
    let default: Name = "default".parse().unwrap();
    let Resource::Image(mut one) = image("web", &[]) else { panic!() };
    one.metadata.namespace = None;
    let order = json!({ "order": [{ "group": [{ "id": "stave/java" }] }] });
    let metadata = json!({ "name": "main" });
    records.apply(&Resource::Image(one.clone())).unwrap();
    records.apply(&resource("Builder", &metadata, &order)).unwrap();
    records.apply(&resource("ClusterBuilder", &metadata, &order)).unwrap();
    one.metadata.namespace = Some(default.clone());
    assert_eq!(records.apply(&Resource::Image(one)).unwrap(), Applied::Unchanged);
    let snapshot = records.snapshot().unwrap();
    assert_eq!(snapshot.images.keys().map(ToString::to_string).collect::<Vec<_>>(), ["default/web"]);
    let builders = snapshot.builders.iter().map(|(key, record)| (key.namespace.clone(), record.builder.kind));
    let expected = [(None, BuilderKind::ClusterBuilder), (Some(default), BuilderKind::Builder)];
    assert_eq!(builders.collect::<BTreeSet<_>>(), BTreeSet::from(expected));
}

#[test]
fn what_is_remembered_is_changed_as_a_whole_and_the_wish_is_not() {
    let temp = tempfile::tempdir().unwrap();
    let records = open(&temp);
    records.apply(&image("web", &[])).unwrap();
    let mut change = |record: &mut ImageRecord| {
        record.image.spec.build.env.clear();
        record.image.spec.tag = "registry.example.com/elsewhere".parse().unwrap();
        record.image.metadata.generation = 99;
        record.image.metadata.labels.insert("a".to_owned(), "b".to_owned());
        record.image.status.triggers = 2;
        record.source = SourceRecord { failure: Some("no such branch".to_owned()), looked: 7, ..Default::default() };
        record.run.resumed = 1;
        record.builds = vec![build(&key("web"), 10), build(&key("web"), 9)];
        Ok(())
    };
    let answer = records.amend_image(&key("web"), &mut change).unwrap().unwrap();
    assert_eq!(answer, records.image(&key("web")).unwrap().unwrap(), "what is answered is what is kept");
    assert_eq!(answer, records.snapshot().unwrap().images[&key("web")]);
    assert_eq!(answer, open(&temp).image(&key("web")).unwrap().unwrap());
    let expected = match image("web", &[]) {
        Resource::Image(image) => image.spec,
        _ => panic!(),
    };
    assert_eq!((&answer.image.spec, answer.image.metadata.generation), (&expected, 1));
    assert!(answer.image.metadata.labels.is_empty());
    assert_eq!((answer.image.status.triggers, answer.source.looked, answer.run.resumed), (2, 7, 1));
    assert_eq!(numbers(&answer), [9, 10], "by their numbers, not by their digits");
    let mut never = |_: &mut ImageRecord| panic!("there is no such image");
    assert_eq!(records.amend_image(&key("other"), &mut never).unwrap(), None);
}

#[test]
fn only_what_changed_is_written() {
    let temp = tempfile::tempdir().unwrap();
    let records = open(&temp);
    records.apply(&image("web", &[])).unwrap();
    begin(&records, "web", &[1, 2, 3]);
    let before = (writes(&records), records.version().unwrap());
    records.amend_image(&key("web"), &mut |_| Ok(())).unwrap();
    records.apply(&image("web", &[])).unwrap();
    records.set("x", None).unwrap();
    assert_eq!((writes(&records), records.version().unwrap()), before, "nothing was to be written");
    let failure = Failure { fault: Fault::App, message: "no main class".to_owned(), last_line: None };
    let mut end = |record: &mut ImageRecord| {
        record.builds[1].outcome = Outcome::Failed(failure.clone());
        record.builds.remove(0);
        Ok(())
    };
    let now = records.amend_image(&key("web"), &mut end).unwrap().unwrap();
    assert_eq!(numbers(&now), [2, 3]);
    // The version, the image (that a build changed), the one that goes, the one that is over.
    assert_eq!((writes(&records), records.version().unwrap()), (before.0 + 4, before.1 + 1));
    let db = Connection::open(data(&temp).path().join("platform/records.db")).unwrap();
    let mut states = db.prepare("SELECT state FROM builds ORDER BY number").unwrap();
    let states: Vec<String> = states.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(states, ["failed", "running"]);
}

#[test]
fn builds_go_with_their_image() {
    let temp = tempfile::tempdir().unwrap();
    let records = open(&temp);
    for name in ["web", "other"] {
        records.apply(&image(name, &[])).unwrap();
        begin(&records, name, &[1, 2]);
    }
    assert!(records.remove(&Id::Image(key("web"))).unwrap());
    let version = records.version().unwrap();
    assert!(!records.remove(&Id::Image(key("web"))).unwrap());
    assert_eq!(records.version().unwrap(), version);
    records.apply(&image("web", &[])).unwrap();
    let web = records.image(&key("web")).unwrap().unwrap();
    assert_eq!((numbers(&web), web.image.metadata.generation, web.image.status.build_counter), (vec![], 1, 0));
    assert_eq!(numbers(&records.image(&key("other")).unwrap().unwrap()), [1, 2]);
}

#[test]
fn builders_stacks_and_stores_remember_what_came_of_them() {
    let temp = tempfile::tempdir().unwrap();
    let records = open(&temp);
    let metadata = json!({ "name": "base" });
    let order = json!({ "order": [{ "group": [{ "id": "stave/java", "version": "1.0.0" }] }] });
    records.apply(&resource("ClusterBuilder", &metadata, &order)).unwrap();
    let run = json!({ "id": "io.example.base", "runImage": { "image": "registry.example.com/run:1" } });
    records.apply(&resource("ClusterStack", &metadata, &run)).unwrap();
    let sources = json!({ "sources": [{ "image": "registry.example.com/java:1" }] });
    records.apply(&resource("ClusterStore", &metadata, &sources)).unwrap();

    let name: Name = "base".parse().unwrap();
    let builder_key = BuilderKey { namespace: None, name: name.clone() };
    let mut turn = |record: &mut BuilderRecord| {
        record.builder.spec.order.clear();
        record.made.rollback = Some(TurnedBack { to: 3, generation: 1 });
        Ok(())
    };
    let built = records.amend_builder(&builder_key, &mut turn).unwrap().unwrap();
    assert_eq!((built.builder.spec.order.len(), built.made.rollback.unwrap().to), (1, 3));
    let state = StackState { id: "io.example.base".to_owned(), run_image: pinned("run").parse().unwrap() };
    let mut see = |record: &mut StackRecord| {
        record.seen = Seen { generation: 1, found: Some(state.clone()), failure: None };
        Ok(())
    };
    let with_state = records.amend_stack(&name, &mut see).unwrap().unwrap();
    let buildpack = serde_json::from_value(json!({ "id": "stave/java", "version": "1.0.0" })).unwrap();
    let stocked = Stocked { buildpack, image: pinned("java").parse().unwrap(), size: 9 };
    let mut stock = |record: &mut StoreRecord| {
        record.seen = Seen { generation: 1, found: Some(vec![stocked.clone()]), failure: Some("late".to_owned()) };
        Ok(())
    };
    let stored = records.amend_store(&name, &mut stock).unwrap().unwrap();

    let before = (records.version().unwrap(), writes(&records));
    records.amend_store(&name, &mut stock).unwrap();
    records.amend_stack(&name, &mut see).unwrap();
    records.amend_builder(&builder_key, &mut turn).unwrap();
    assert_eq!((records.version().unwrap(), writes(&records)), before);
    // Another wish does not touch what is remembered.
    let more = json!({ "id": "io.example.base", "runImage": { "image": "registry.example.com/run:2" } });
    assert_eq!(records.apply(&resource("ClusterStack", &metadata, &more)).unwrap(), Applied::Changed);
    let snapshot = open(&temp).snapshot().unwrap();
    assert_eq!(snapshot.builders, BTreeMap::from([(builder_key.clone(), built)]));
    assert_eq!(snapshot.stacks[&name].seen, with_state.seen);
    assert_eq!(snapshot.stacks[&name].stack.metadata.generation, 2);
    assert_eq!(snapshot.stores, BTreeMap::from([(name.clone(), stored)]));
    for id in [Id::Builder(builder_key.clone()), Id::Stack(name.clone()), Id::Store(name.clone())] {
        assert_eq!((records.remove(&id).unwrap(), records.remove(&id).unwrap()), (true, false));
    }
    assert_eq!(records.amend_builder(&builder_key, &mut turn).unwrap(), None);
    assert_eq!(records.amend_stack(&name, &mut see).unwrap(), None);
    assert_eq!(records.amend_store(&name, &mut stock).unwrap(), None);
    assert_eq!(records.snapshot().unwrap(), Snapshot { version: before.0 + 4, ..Default::default() });
}

#[test]
fn settings_are_set_and_taken_away() {
    let temp = tempfile::tempdir().unwrap();
    let records = open(&temp);
    let get = || (records.setting("default-repository").unwrap(), records.version().unwrap());
    assert_eq!(get(), (None, 0));
    for _ in 0..2 {
        records.set("default-repository", Some("registry.example.com/a")).unwrap();
        assert_eq!(get(), (Some("registry.example.com/a".to_owned()), 1));
    }
    records.set("default-repository", Some("registry.example.com/b")).unwrap();
    assert_eq!(get(), (Some("registry.example.com/b".to_owned()), 2));
    records.set("default-repository", None).unwrap();
    assert_eq!(get(), (None, 3));
}

#[test]
fn what_is_remembered_in_memory_is_what_is_on_disk() {
    let temp = tempfile::tempdir().unwrap();
    let (records, other) = (open(&temp), open(&temp));
    let steps: [&dyn Fn(); 8] = [
        &|| assert_eq!(records.apply(&image("a", &[])).unwrap(), Applied::Created),
        &|| assert_eq!(other.apply(&image("b", &[])).unwrap(), Applied::Created),
        &|| drop(begin(&other, "a", &[1, 2])),
        &|| {
            drop(other.amend_image(&key("a"), &mut |record| {
                record.builds[0].outcome = Outcome::Cancelled;
                Ok(())
            }));
        },
        &|| {
            drop(other.amend_image(&key("a"), &mut |record| {
                record.builds.remove(0);
                Ok(())
            }));
        },
        &|| {
            other.remove(&Id::Image(key("a"))).unwrap();
            other.apply(&image("a", &[("A", "1")])).unwrap();
        },
        &|| drop(records.set("x", Some("y"))),
        &|| assert!(other.remove(&Id::Image(key("b"))).unwrap()),
    ];
    for (at, step) in steps.into_iter().enumerate() {
        step();
        let (known, fresh) = (records.snapshot().unwrap(), open(&temp).snapshot().unwrap());
        assert_eq!(known, fresh, "after step {at}");
        assert_eq!(known.version, u64::try_from(at).unwrap() + if at < 5 { 1 } else { 2 });
        assert_eq!(records.snapshot().unwrap(), fresh, "asked again after step {at}");
    }
}

#[test]
fn nobody_s_change_is_lost() {
    let temp = tempfile::tempdir().unwrap();
    let first = open(&temp);
    first.apply(&image("web", &[])).unwrap();
    thread::scope(|scope| {
        for writer in 0..4_u64 {
            let (temp, first) = (&temp, &first);
            scope.spawn(move || {
                let own = open(temp);
                // Two beside each other on one connection, two on their own.
                let records = if writer < 2 { first } else { &own };
                for round in 0..25 {
                    let mut ask = |record: &mut ImageRecord| {
                        record.image.status.triggers += 1;
                        record.builds.push(build(&key("web"), writer * 25 + round + 1));
                        Ok(())
                    };
                    records.amend_image(&key("web"), &mut ask).unwrap().unwrap();
                    let seen = records.snapshot().unwrap().images.remove(&key("web")).unwrap();
                    assert_eq!(seen.image.status.triggers, seen.builds.len() as u64, "a change is seen as a whole");
                }
            });
        }
    });
    let record = first.image(&key("web")).unwrap().unwrap();
    assert_eq!((record.image.status.triggers, numbers(&record)), (100, (1..=100).collect()));
    assert_eq!(first.version().unwrap(), 101);
}

#[test]
fn many_may_be_the_first() {
    let temp = tempfile::tempdir().unwrap();
    let data = data(&temp);
    thread::scope(|scope| {
        for name in ["a", "b", "c", "d", "e", "f"] {
            let data = &data;
            scope.spawn(move || DiskRecords::open(data).unwrap().apply(&image(name, &[])).unwrap());
        }
    });
    assert_eq!(open(&temp).snapshot().unwrap().images.len(), 6);
}

#[test]
fn who_reads_does_not_wait_for_who_writes() {
    let temp = tempfile::tempdir().unwrap();
    let (records, other) = (open(&temp), open(&temp));
    records.apply(&image("web", &[])).unwrap();
    let mut change = |record: &mut ImageRecord| {
        record.image.status.triggers = 1;
        for reader in [&records, &other] {
            assert_eq!(reader.snapshot().unwrap().images[&key("web")].image.status.triggers, 0);
            assert_eq!(reader.image(&key("web")).unwrap().unwrap().image.status.triggers, 0);
            assert_eq!((reader.version().unwrap(), reader.setting("x").unwrap()), (1, None));
        }
        Ok(())
    };
    records.amend_image(&key("web"), &mut change).unwrap();
    assert_eq!(other.image(&key("web")).unwrap().unwrap().image.status.triggers, 1);
}
