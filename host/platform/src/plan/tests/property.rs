//! Plan equals reality (scenario 54): whatever the world and whatever the change, what a plan says is what then happens, once.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::json;

use super::{add, builder, cluster, name, settle, stack, told, world};
use crate::{
    decide::{Retry, SourceState},
    history,
    plan::{
        Rules, decide_all, job, plan,
        world::{Change, World},
    },
    queue::{Limits, Queue, Step},
    resource::{
        build::{Failure, Fault, Outcome},
        name::ImageKey,
        package::PackageKey,
    },
    testing::{START, buildpack, commit, made},
};

/// What becomes of one image before the change.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "any of them can be so or not")]
pub(crate) struct Fate {
    on_demo: bool,
    policy: u8,
    /// Of what its last build came to, and what its owner did since.
    failed: Option<u8>,
    committed: bool,
    variable: bool,
    triggered: bool,
    locked: bool,
    unbuilt: bool,
}

pub(crate) fn fate() -> impl Strategy<Value = Fate> {
    // Mostly nothing happened to an image: what operators change is seen on those.
    let rarely = || prop::bool::weighted(0.1);
    let first = (any::<bool>(), 0..4_u8, prop::option::weighted(0.15, 0..3_u8), rarely());
    let second = (rarely(), rarely(), rarely(), rarely());
    (first, second).prop_map(|((on_demo, policy, failed, committed), (variable, triggered, locked, unbuilt))| Fate {
        on_demo,
        policy,
        failed,
        committed,
        variable,
        triggered,
        locked,
        unbuilt,
    })
}

pub(crate) fn change() -> impl Strategy<Value = Change> {
    let run = prop::sample::select(vec!["old", "new", "patched", "patched again"]);
    let id = prop::sample::select(vec!["io.example.base", "io.example.base", "io.example.full"]);
    let versions = prop::sample::select(vec![
        vec!["stave/java@1.0.0", "stave/procfile@1.0.0"],
        vec!["stave/java@1.0.0", "stave/java@1.1.0", "stave/procfile@1.0.0"],
        vec!["stave/java@1.2.0", "stave/procfile@1.1.0"],
        vec!["stave/procfile@1.0.0"],
    ]);
    let target = prop::sample::select(vec!["old", "new", "old", "new", "absent"]);
    prop_oneof![
        (target.clone(), run, id).prop_map(|(target, run, id)| Change::Stack(name(target), stack(run, id))),
        versions.prop_map(|all| Change::Store(name("default"), all.into_iter().map(buildpack).collect())),
        prop::sample::select(vec!["stave/procfile@1.0.0", "stave/procfile@1.0.5", "stave/java@1.1.5"]).prop_map(
            |title| {
                let key = PackageKey { namespace: None, name: name("extra") };
                Change::Package(key, buildpack(title))
            }
        ),
        (prop::sample::select(vec!["demo", "default"]), target, any::<bool>()).prop_map(|(which, stack, both)| {
            let ids: &[&str] = if both { &["stave/java", "stave/procfile"] } else { &["stave/java"] };
            Change::Builder(cluster(which), Box::new(builder(stack, ids)))
        }),
        prop::sample::select(vec!["0.1.0", "0.2.0"]).prop_map(|version| Change::Lifecycle(version.to_owned())),
    ]
}

fn policy(which: u8) -> serde_json::Value {
    match which {
        0 => json!({}),
        1 => json!({ "automatic": "stackOnly" }),
        2 => json!({ "automatic": "none" }),
        // The tests take place on a Monday.
        _ => json!({ "windows": [{ "days": ["Tue"], "from": "02:00", "to": "04:00" }] }),
    }
}

/// A world with a past.
pub(crate) fn with_past(fates: &[Fate], first: Option<&Change>, rules: &Rules) -> World {
    let mut world = world();
    for (at, fate) in fates.iter().enumerate() {
        if !fate.unbuilt {
            let key = add(&mut world, &format!("image-{at}"), if fate.on_demo { "demo" } else { "default" });
            let known = world.images.get_mut(&key).unwrap();
            known.image.spec.update_policy = serde_json::from_value(policy(fate.policy)).unwrap();
        }
    }
    settle(&mut world, rules, START);
    if let Some(change) = first {
        world = world.with(change).unwrap();
        settle(&mut world, rules, START);
    }
    for (at, fate) in fates.iter().enumerate() {
        let key = add_or_find(&mut world, at, fate);
        if let Some(fault) = fate.failed {
            fail(&mut world, &key, [Fault::App, Fault::Transient, Fault::Interrupted][usize::from(fault)], rules);
        }
        let known = world.images.get_mut(&key).unwrap();
        if fate.committed {
            known.source = SourceState::Ready(commit("c9"));
        }
        if fate.variable {
            known.image.spec.build.env = serde_json::from_value(json!([{ "name": "A", "value": "1" }])).unwrap();
        }
        known.image.status.triggers += u64::from(fate.triggered);
        let built = known.builds.iter().rev().find(|build| build.made().is_some()).map(|build| build.number);
        if let (true, Some(number)) = (fate.locked, built) {
            known.image.status.lock = Some(history::lock(&known.image, &known.builds, number).unwrap());
        }
    }
    world
}

fn add_or_find(world: &mut World, at: usize, fate: &Fate) -> ImageKey {
    let title = format!("image-{at}");
    let there = world.images.keys().find(|key| key.name.as_str() == title).cloned();
    there.unwrap_or_else(|| add(world, &title, if fate.on_demo { "demo" } else { "default" }))
}

/// A commit whose build fails.
fn fail(world: &mut World, key: &ImageKey, fault: Fault, rules: &Rules) {
    world.images.get_mut(key).unwrap().source = SourceState::Ready(commit("c2"));
    let start =
        decide_all(world, rules, START).find(|(other, _)| *other == key).and_then(|(_, decision)| {
            match decision.verdict {
                crate::decide::Verdict::Start(start) => Some(start),
                _ => None,
            }
        });
    // Its builder may be out of order.
    let Some(start) = start else { return };
    let known = world.images.get_mut(key).unwrap();
    let mut build = history::begin(&known.image, *start, START);
    build.finished = Some(START);
    build.outcome = Outcome::Failed(Failure { fault, message: "it broke".to_owned(), last_line: None });
    known.builds.push(build);
}

/// The change is made, and what starts is what the queue starts.
fn reality(world: &World, change: &Change, rules: &Rules, now: u64) -> (Vec<(ImageKey, String)>, World) {
    let mut world = world.with(change).unwrap();
    let mut queue = Queue::new(rules.limits);
    let starts = |world: &World| {
        let all = decide_all(world, rules, now).filter_map(|(key, decision)| match decision.verdict {
            crate::decide::Verdict::Start(start) => Some((key.clone(), *start)),
            _ => None,
        });
        all.collect::<Vec<_>>()
    };
    let wished = starts(&world);
    let mut steps = queue.submit(wished.iter().map(|(key, start)| job(key, start)), now);
    let mut happened = Vec::new();
    while let Some(step) = steps.pop() {
        let Step::Start { job, .. } = step else { panic!("{step:?}") };
        let start = starts(&world).into_iter().find(|(key, _)| *key == job.image).unwrap().1;
        let told = format!("{} {}", crate::resource::build::joined(&start.changes), start.mode);
        happened.push((job.image.clone(), told));
        let known = world.images.get_mut(&job.image).unwrap();
        known.builds.push(history::begin(&known.image, start, now));
        let made = made(&known.builds);
        let build = known.builds.last_mut().unwrap();
        (build.finished, build.outcome) = (Some(now), Outcome::Succeeded(Box::new(made)));
        steps.extend(queue.finished(&job.image, now));
    }
    (happened, world)
}

proptest! {
    #[test]
    fn plan_equals_reality(
        fates in prop::collection::vec(fate(), 1..8),
        first in prop::option::of(change()),
        change in change(),
        later in prop::sample::select(vec![0_u64, 10, 30, 3600]),
        concurrent in 1..4_usize,
    ) {
        let rules = Rules { limits: Limits { concurrent, ..Limits::default() }, retry: Retry::default() };
        let world = with_past(&fates, first.as_ref(), &rules);
        let now = START + later;
        let plan = plan(&world, &change, &rules, now).unwrap();
        let (happened, after) = reality(&world, &change, &rules, now);
        let set = |all: &[(ImageKey, String)]| all.iter().cloned().collect::<BTreeSet<_>>();
        prop_assert_eq!(set(&told(&plan)), set(&happened));
        prop_assert_eq!(plan.rows.len(), happened.len(), "each once");
        // It is over then: nothing that was built is built again.
        let again: Vec<String> = decide_all(&after, &rules, now)
            .filter(|(_, decision)| matches!(decision.verdict, crate::decide::Verdict::Start(_)))
            .map(|(key, decision)| format!("{key}: {}", decision.line()))
            .collect();
        prop_assert_eq!(again, Vec::<String>::new());
        // And what is neither built nor held is as it should be.
        let counted = plan.rows.len() + plan.untouched + plan.held.len() + plan.unknown.len();
        prop_assert_eq!(counted, after.images.len());
    }
}

/// The worlds above are of all kinds: a property of empty plans would always hold.
#[test]
fn the_worlds_are_of_all_kinds() {
    let mut runner = TestRunner::deterministic();
    let worlds = (prop::collection::vec(fate(), 1..8), prop::option::of(change()), change());
    let rules = Rules::default();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..400 {
        let (fates, first, change) = worlds.new_tree(&mut runner).unwrap().current();
        let world = with_past(&fates, first.as_ref(), &rules);
        let plan = plan(&world, &change, &rules, START + 30).unwrap();
        let rows =
            plan.rows.iter().map(|row| format!("{}{}", row.mode, if row.is_due_already { " already" } else { "" }));
        let held = plan.held.iter().map(|(_, held)| {
            let why = format!("{:?}", held.why);
            why.split([' ', '(']).next().unwrap_or_default().to_owned()
        });
        let unknown = plan.unknown.iter().map(|_| "unknown".to_owned());
        for kind in rows.chain(held).chain(unknown) {
            *kinds.entry(kind).or_default() += 1;
        }
    }
    for kind in ["Locked", "Policy", "Window", "build", "build already", "rebase", "unknown"] {
        assert!(kinds.get(kind).is_some_and(|count| *count >= 10), "{kind} is too rare in {kinds:?}");
    }
}
