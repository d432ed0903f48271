//! Plans, told; and held against what then happens, in worlds of all kinds.

mod order;
pub(crate) mod property;

use serde_json::json;

use super::{
    world::{BuilderKey, Known, StackState},
    *,
};
use crate::{
    decide::{SourceState, Why},
    history,
    resource::{
        build::{Outcome, joined},
        builder::{BuilderSpec, BuildpackVersion},
        manifest::{Resource, parse},
        name::Name,
        order::Pick,
    },
    testing::{START, buildpack, commit, digest, image, made, pinned},
};

pub(super) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(super) fn stack(run_image: &str, id: &str) -> StackState {
    StackState { id: id.to_owned(), run_image: pinned("registry.example.com/stack/run", run_image) }
}

pub(super) fn builder(stack: &str, buildpacks: &[&str]) -> BuilderSpec {
    let group: Vec<_> = buildpacks.iter().map(|id| json!({ "id": id, "optional": true })).collect();
    let spec = json!({ "stack": { "name": stack }, "store": { "name": "default" }, "order": [{ "group": group }] });
    serde_json::from_value(spec).unwrap()
}

pub(super) fn cluster(builder: &str) -> BuilderKey {
    BuilderKey { namespace: None, name: name(builder) }
}

/// Two stacks, a store, and a builder on each stack.
pub(super) fn world() -> World {
    let mut world = World { lifecycle: "0.1.0".to_owned(), ..World::default() };
    world.stacks.insert(name("old"), stack("old", "io.example.base"));
    world.stacks.insert(name("new"), stack("new", "io.example.base"));
    let store = ["stave/java@1.0.0", "stave/procfile@1.0.0"].map(buildpack);
    world.stores.insert(name("default"), store.to_vec());
    world.builders.insert(cluster("demo"), builder("old", &["stave/java", "stave/procfile"]));
    world.builders.insert(cluster("default"), builder("new", &["stave/java", "stave/procfile"]));
    world
}

pub(super) fn add(world: &mut World, title: &str, builder: &str) -> ImageKey {
    let mut image = image(title);
    image.spec.builder.name = name(builder);
    let key = image.key();
    let source = SourceState::Ready(commit("c1"));
    world.images.insert(key.clone(), Known { image, builds: Vec::new(), source });
    key
}

/// What a world does by itself: builds start, and succeed; each as `REASONS mode`. A build takes five minutes, a rebase ten
/// seconds.
pub(super) fn settle(world: &mut World, rules: &Rules, now: u64) -> Vec<(ImageKey, String)> {
    let mut happened = Vec::new();
    for _ in 0..100 {
        let decisions: Vec<(ImageKey, Decision)> =
            decide_all(world, rules, now).map(|(key, decision)| (key.clone(), decision)).collect();
        let before = happened.len();
        for (key, decision) in decisions {
            let Verdict::Start(start) = decision.verdict else { continue };
            happened.push((key.clone(), format!("{} {}", joined(&start.changes), start.mode)));
            let known = world.images.get_mut(&key).unwrap();
            let seconds = if start.mode == Mode::Rebase { 10 } else { 300 };
            known.image.status.build_counter = start.number;
            known.builds.push(history::begin(&known.image, *start, now));
            let made = made(&known.builds);
            let build = known.builds.last_mut().unwrap();
            (build.finished, build.outcome) = (Some(now + seconds), Outcome::Succeeded(Box::new(made)));
        }
        if happened.len() == before {
            return happened;
        }
    }
    panic!("it does not settle: {happened:?}");
}

pub(super) fn told(plan: &Plan) -> Vec<(ImageKey, String)> {
    plan.rows.iter().map(|row| (row.image.clone(), format!("{} {}", joined(&row.changes), row.mode))).collect()
}

/// Three images that were built.
fn built() -> World {
    let mut world = world();
    for (title, builder) in [("api", "demo"), ("shop", "default"), ("web", "demo")] {
        add(&mut world, title, builder);
    }
    assert_eq!(settle(&mut world, &Rules::default(), START).len(), 3);
    world
}

/// V14.
#[test]
fn a_patched_stack_is_a_row_for_each_image_that_stands_on_it() {
    let change = Change::Stack(name("old"), stack("patched", "io.example.base"));
    let plan = plan(&built(), &change, &Rules::default(), START).unwrap();
    let rows: Vec<String> = told(&plan).into_iter().map(|(key, told)| format!("{key} {told}")).collect();
    assert_eq!(rows, ["team-a/api STACK rebase", "team-a/web STACK rebase"]);
    assert_eq!(
        (plan.untouched, plan.seconds),
        (1, None),
        "nothing was ever rebased, so nobody knows how long it takes"
    );
}

#[test]
fn durations_are_those_of_the_past() {
    let mut world = built();
    let rules = Rules::default();
    let first = Change::Stack(name("old"), stack("patched", "io.example.base"));
    world = world.with(&first).unwrap();
    settle(&mut world, &rules, START);
    add(&mut world, "fresh", "default");
    let everything =
        Change::Store(name("default"), ["stave/java@1.1.0", "stave/procfile@1.0.0"].map(buildpack).to_vec());
    let plan = plan(&world, &everything, &rules, START).unwrap();
    let rows: Vec<String> =
        plan.rows.iter().map(|row| format!("{} {:?} {}", row.image.name, row.priority, row.is_due_already)).collect();
    assert_eq!(rows, ["fresh High true", "api Low false", "shop Low false", "web Low false"]);
    assert_eq!(plan.rows[0].seconds, Some(300), "what others took");
    assert_eq!(plan.seconds, Some(600), "two at once");
}

#[test]
fn what_is_held_is_told_with_its_reason() {
    let mut world = built();
    let key = name("web");
    let known = world.images.values_mut().find(|known| known.image.metadata.name == key).unwrap();
    known.image.spec.update_policy = serde_json::from_value(json!({ "automatic": "none" })).unwrap();
    let change = Change::Lifecycle("0.2.0".to_owned());
    let plan = plan(&world, &change, &Rules::default(), START).unwrap();
    assert_eq!(plan.rows.len(), 2);
    assert!(matches!(&plan.held[..], [(image, held)] if image.name == key && matches!(held.why, Why::Policy(_))));
}

/// Scenarios 41 and 42: what a builder lacks has a name; the highest version is taken, an exact one is honoured.
#[test]
fn builders_say_what_they_lack() {
    let mut world = world();
    let compose = |world: &World, spec: &BuilderSpec| {
        world
            .compose(None, spec)
            .map(|revision| revision.buildpacks.iter().map(BuildpackVersion::title).collect::<Vec<_>>().join(" "))
    };
    let spec = builder("old", &["stave/java"]);
    assert_eq!(compose(&world, &spec), Ok("stave/java@1.0.0".to_owned()));
    world
        .stores
        .insert(name("default"), ["stave/java@1.9.0", "stave/java@1.10.0", "stave/java@1.0.0"].map(buildpack).to_vec());
    assert_eq!(compose(&world, &spec), Ok("stave/java@1.10.0".to_owned()));
    let exact = |version: &str| {
        let mut spec = spec.clone();
        let Pick::Anywhere { version: said, .. } = &mut spec.order[0].group[0].pick else { panic!("{spec:?}") };
        *said = Some(version.parse().unwrap());
        spec
    };
    assert_eq!(compose(&world, &exact("1.9.0")), Ok("stave/java@1.9.0".to_owned()));
    assert_eq!(
        compose(&world, &exact("3.0.0")),
        Err("no store or ClusterBuildpack has the buildpack stave/java@3.0.0".to_owned())
    );
    assert_eq!(
        compose(&world, &builder("base", &["stave/java"])),
        Err("the ClusterStack base does not exist".to_owned())
    );
    world.stores.clear();
    assert_eq!(compose(&world, &spec), Err("the ClusterStore default does not exist".to_owned()));
    add(&mut world, "web", "demo");
    let all: Vec<String> = decide_all(&world, &Rules::default(), START).map(|(_, decision)| decision.line()).collect();
    assert_eq!(all, ["cannot be told yet: the builder is not ready: the ClusterStore default does not exist"]);
}

#[test]
fn manifests_are_planned_as_far_as_they_say_all() {
    let world = built();
    let rules = Rules::default();
    let manifest = |kind: &str, title: &str, spec: serde_json::Value| {
        let mut metadata = json!({ "name": title });
        if kind == "Image" {
            metadata["namespace"] = json!("team-a");
        }
        let manifest = json!({ "apiVersion": "kpack.io/v1alpha2", "kind": kind, "metadata": metadata, "spec": spec });
        parse(&manifest).unwrap()
    };
    let stack = |image: String| {
        manifest("ClusterStack", "old", json!({ "id": "io.example.base", "runImage": { "image": image } }))
    };
    let by_digest = stack(format!("registry.example.com/stack/run:2@{}", digest("patched")));
    let image = |title: &str, builder: &str, revision: &str, tag: &str| {
        manifest(
            "Image",
            title,
            json!({
                "tag": format!("registry.example.com/team-a/{tag}"),
                "builder": { "kind": "ClusterBuilder", "name": builder },
                "source": { "git": { "url": "https://git.example.com/web", "revision": revision } },
            }),
        )
    };
    // The workshop's patch of an image to another builder, and the stack's own update: both are one rebase each.
    let resources = vec![by_digest, image("web", "default", "main", "web")];
    let plan = |resources: Vec<Resource>| plan(&world, &Change::Manifests(resources), &rules, START);
    let rows: Vec<String> =
        told(&plan(resources).unwrap()).into_iter().map(|(key, told)| format!("{key} {told}")).collect();
    assert_eq!(rows, ["team-a/api STACK rebase", "team-a/web STACK rebase"]);
    // Another branch has to be looked up, a tag too.
    let elsewhere =
        plan(vec![image("web", "default", "next", "web"), image("brand-new", "default", "main", "x")]).unwrap();
    let unknown: Vec<String> = elsewhere.unknown.iter().map(|(key, why)| format!("{key}: {why}")).collect();
    let why = "the source is not ready: the source was changed, and is not looked up yet";
    assert_eq!(unknown, [format!("team-a/brand-new: {why}"), format!("team-a/web: {why}")]);
    let refused = |resource: Resource| plan(vec![resource]).unwrap_err().to_string();
    assert_eq!(
        refused(stack("registry.example.com/stack/run:2".to_owned())),
        "the run image registry.example.com/stack/run:2 of the stack old is a tag, and what it stands for has to be looked up \
         first: name it by its digest"
    );
    assert_eq!(
        refused(manifest("ClusterStore", "default", json!({ "sources": [{ "image": "registry.example.com/java" }] }))),
        "what the sources of the store default hold has to be looked up first"
    );
    assert_eq!(
        refused(image("web", "default", "main", "moved")),
        "the image team-a/web is refused: spec.tag: it stays registry.example.com/team-a/web: another tag is another image"
    );
}
