//! Plan equals reality, the whole way: what a plan says of a change beforehand is what happens when it is made and everything is
//! looked up, made and built.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::{Case, MemoryRecords, Town, manifest};
use crate::{
    decide::{Retry, SourceState},
    plan::{
        Rules, plan,
        tests::property::{change, fate, with_past},
        world::{Change, StackState, World},
    },
    port::{
        Records as _,
        records::{
            BuilderRecord, ImageRecord, Made, PackageRecord, Seen, Snapshot, SourceRecord, StackRecord, StoreRecord,
        },
    },
    queue::Limits,
    reconcile::Scope,
    resource::{
        build::{Build, joined},
        builder::{Builder, BuilderKind, BuilderSpec, BuildpackVersion},
        manifest::Resource,
        name::{ImageKey, Name},
    },
    testing::START,
};

fn stack_of(name: &Name, state: &StackState) -> Resource {
    let image = state.run_image.to_string();
    manifest("ClusterStack", name.as_str(), &json!({ "id": state.id, "runImage": { "image": image } }))
}

fn store_of(name: &Name, buildpacks: &[BuildpackVersion]) -> Resource {
    let titles: Vec<String> = buildpacks
        .iter()
        .map(|one| format!("{}:{}", one.id.as_str().trim_start_matches("stave/"), one.version))
        .collect();
    super::store(name.as_str(), &titles.iter().map(String::as_str).collect::<Vec<_>>())
}

fn package_of(name: &Name, one: &BuildpackVersion) -> Resource {
    let image = format!("{}:{}", one.id.as_str().trim_start_matches("stave/"), one.version);
    super::package(name.as_str(), &image)
}

fn builder_of(name: &Name, spec: &BuilderSpec) -> Resource {
    let Resource::Builder(made) = super::builder(name.as_str(), "old") else { unreachable!("it is a builder") };
    Resource::Builder(Box::new(Builder { kind: BuilderKind::ClusterBuilder, spec: spec.clone(), ..*made }))
}

/// The same world as records, and a town in which it is so.
fn remembered(world: &World) -> (MemoryRecords, Town) {
    let (town, mut all) = (Town::new(), Snapshot::default());
    for (name, state) in &world.stacks {
        let Resource::Stack(stack) = stack_of(name, state) else { unreachable!("it is a stack") };
        all.stacks.insert(name.clone(), StackRecord { stack: *stack, seen: Seen::default() });
    }
    for (name, buildpacks) in &world.stores {
        let Resource::Store(store) = store_of(name, buildpacks) else { unreachable!("it is a store") };
        all.stores.insert(name.clone(), StoreRecord { store: *store, seen: Seen::default() });
    }
    for (key, found) in &world.packages {
        let Resource::Package(package) = package_of(&key.name, found.as_ref().unwrap()) else {
            unreachable!("it is a buildpack")
        };
        all.packages.insert(key.clone(), PackageRecord { package: *package, seen: Seen::default() });
    }
    for (key, spec) in &world.builders {
        let Resource::Builder(builder) = builder_of(&key.name, spec) else { unreachable!("it is a builder") };
        all.builders.insert(key.clone(), BuilderRecord { builder: *builder, made: Made::default() });
    }
    for (key, known) in &world.images {
        let SourceState::Ready(found) = &known.source else { panic!("{:?}", known.source) };
        town.move_source(key, found.clone());
        let of = Some(known.image.spec.source.clone());
        let source = SourceRecord { of, found: Some(found.clone()), failure: None, looked: START };
        let (image, builds) = (known.image.clone(), known.builds.clone());
        all.images.insert(key.clone(), ImageRecord { source, builds, ..ImageRecord::new(image) });
    }
    // Nobody has looked at anything yet.
    all.stacks.values_mut().for_each(|record| record.stack.metadata.generation = 1);
    all.stores.values_mut().for_each(|record| record.store.metadata.generation = 1);
    all.packages.values_mut().for_each(|record| record.package.metadata.generation = 1);
    all.builders.values_mut().for_each(|record| record.builder.metadata.generation = 1);
    (MemoryRecords::of(all), town)
}

fn manifests(change: &Change) -> Vec<Resource> {
    match change {
        Change::Stack(name, state) => vec![stack_of(name, state)],
        Change::Store(name, buildpacks) => vec![store_of(name, buildpacks)],
        Change::Package(key, buildpack) => vec![package_of(&key.name, buildpack)],
        Change::Builder(key, spec) => vec![builder_of(&key.name, spec)],
        Change::Lifecycle(_) => Vec::new(),
        Change::Manifests(resources) => resources.clone(),
        Change::Several(changes) => changes.iter().flat_map(manifests).collect(),
    }
}

fn lifecycle(text: &str) -> &'static str {
    ["0.1.0", "0.2.0"].into_iter().find(|one| *one == text).unwrap()
}

fn told(image: &ImageKey, build: &Build) -> (ImageKey, String) {
    (image.clone(), format!("{} {}", joined(&build.changes), build.mode))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn plan_equals_what_the_reconciler_does(
        fates in prop::collection::vec(fate(), 1..10),
        first in prop::option::of(change()),
        change in change(),
        later in prop::sample::select(vec![0_u64, 10, 30, 3600]),
        concurrent in 1..4_usize,
    ) {
        let rules = Rules { limits: Limits { concurrent, ..Limits::default() }, retry: Retry::default() };
        let world = with_past(&fates, first.as_ref(), &rules);
        let (records, town) = remembered(&world);
        town.set_time(START + later);
        let mut case = Case { records, town, rules, lifecycle: lifecycle(&world.lifecycle) };
        case.settle_in(&Scope::Builders);
        prop_assert_eq!(case.town.began(), Vec::<String>::new());

        let before = case.records.snapshot().unwrap();
        let plan = plan(&before.world(case.lifecycle), &change, &rules, case.town.time()).unwrap();
        if let Change::Lifecycle(version) = &change {
            case.lifecycle = lifecycle(version);
        }
        case.apply(manifests(&change));
        let settled = case.settle();

        let planned = plan.rows.iter().map(|row| (row.image.clone(), format!("{} {}", joined(&row.changes), row.mode)));
        let happened: Vec<_> = settled.ended.iter().map(|build| told(&build.image, build)).collect();
        prop_assert_eq!(planned.collect::<BTreeSet<_>>(), happened.iter().cloned().collect::<BTreeSet<_>>());
        prop_assert_eq!(plan.rows.len(), happened.len(), "each once");
        prop_assert!(case.town.state().most_at_once <= concurrent);
        let version = case.records.version().unwrap();
        prop_assert_eq!(case.settle().ended, Vec::<Build>::new(), "it is over then");
        prop_assert_eq!(case.records.version().unwrap(), version, "and nothing is written");
    }
}
