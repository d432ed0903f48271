//! Records in memory, a town that does what it is told to, and what the reconciler makes of both.
//!
//! Nothing here waits for luck: builds wait until the test lets them go, and the clock is the test's.

mod kill;
mod looks;
mod many;
mod packages;
mod property;
mod records;
mod room;
mod story;
mod town;
mod trouble;

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{Reconciler, Scope, Settled, decision};
use crate::{
    decide::SourceState,
    plan::{Rules, world::BuilderKey},
    port::{
        Records as _,
        records::{Id, ImageRecord},
    },
    resource::{
        build::{Build, Outcome, joined},
        image::Image,
        manifest::{Resource, parse},
        name::{ImageKey, Name},
    },
    testing,
};

use records::MemoryRecords;
use town::Town;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// `web` is `team-a/web`.
fn key(text: &str) -> ImageKey {
    let (namespace, image) = text.split_once('/').unwrap_or(("team-a", text));
    ImageKey { namespace: name(namespace), name: name(image) }
}

fn manifest(kind: &str, title: &str, spec: &serde_json::Value) -> Resource {
    parse(&json!({ "apiVersion": "stave/v1", "kind": kind, "metadata": { "name": title }, "spec": spec })).unwrap()
}

/// A stack, by the tag of its run image.
fn stack(title: &str, tag: &str) -> Resource {
    let image = format!("registry.example.com/stack/run:{tag}");
    manifest("ClusterStack", title, &json!({ "id": "io.example.base", "runImage": { "image": image } }))
}

/// A store of such buildpacks: `java:1.0.0`.
fn store(title: &str, buildpacks: &[&str]) -> Resource {
    let image = |one: &&str| json!({ "image": format!("registry.example.com/buildpacks/{one}") });
    let sources: Vec<_> = buildpacks.iter().map(image).collect();
    manifest("ClusterStore", title, &json!({ "sources": sources }))
}

/// A cluster buildpack of such a name: `java:1.0.0`.
fn package(title: &str, buildpack: &str) -> Resource {
    let image = format!("registry.example.com/buildpacks/{buildpack}");
    manifest("ClusterBuildpack", title, &json!({ "image": image }))
}

/// A builder of Java and Procfile, either of which can be missing from an app.
fn builder(title: &str, stack: &str) -> Resource {
    let group = ["stave/java", "stave/procfile"].map(|id| json!({ "id": id, "optional": true }));
    let spec = json!({ "stack": { "name": stack }, "store": { "name": "default" }, "order": [{ "group": group }] });
    manifest("ClusterBuilder", title, &spec)
}

fn cluster(title: &str) -> BuilderKey {
    BuilderKey { namespace: None, name: name(title) }
}

fn image(text: &str) -> Image {
    let key = key(text);
    let mut image = testing::image(key.name.as_str());
    image.metadata.namespace = Some(key.namespace);
    image
}

fn wish(image: Image) -> Resource {
    Resource::Image(Box::new(image))
}

/// What everything is told with.
struct Case {
    records: MemoryRecords,
    town: Town,
    rules: Rules,
    lifecycle: &'static str,
}

impl Case {
    /// A stack, a store, a builder, and no image.
    fn new() -> Self {
        let case = Self::empty();
        case.apply([
            stack("old", "old"),
            store("default", &["java:1.0.0", "procfile:1.0.0"]),
            builder("default", "old"),
        ]);
        case
    }

    fn empty() -> Self {
        Self { records: MemoryRecords::default(), town: Town::new(), rules: Rules::default(), lifecycle: "0.1.0" }
    }

    /// The same with these images, built once.
    fn built(images: &[&str]) -> Self {
        let case = Self::new();
        case.apply(images.iter().map(|one| wish(image(one))));
        case.settle();
        for one in images {
            assert_eq!(case.told(one), ["1 CONFIG build succeeded"]);
        }
        case.town.forget();
        case
    }

    fn apply(&self, resources: impl IntoIterator<Item = Resource>) {
        for resource in resources {
            self.records.apply(&resource).unwrap();
        }
    }

    fn remove(&self, image: &str) {
        assert!(self.records.remove(&Id::Image(key(image))).unwrap());
    }

    fn reconciler<'a>(&'a self, stop: &'a AtomicBool) -> Reconciler<'a> {
        Reconciler { records: &self.records, outside: &self.town, rules: self.rules, lifecycle: self.lifecycle, stop }
    }

    fn settle(&self) -> Settled {
        self.settle_in(&Scope::All)
    }

    fn settle_in(&self, scope: &Scope) -> Settled {
        self.reconciler(&AtomicBool::new(false)).settle(scope).unwrap()
    }

    /// One after another: somebody comes after a crash and goes on.
    fn come_after(&self) -> Settled {
        let stop = AtomicBool::new(false);
        let reconciler = self.reconciler(&stop);
        reconciler.take_over().unwrap();
        reconciler.settle(&Scope::All).unwrap()
    }

    /// While somebody serves.
    fn serving(&self, during: impl FnOnce()) {
        let stop = AtomicBool::new(false);
        thread::scope(|threads| {
            let end = End(&stop);
            let reconciler = self.reconciler(&stop);
            let served = threads.spawn(move || reconciler.serve());
            during();
            drop(end);
            served.join().unwrap().unwrap();
        });
    }

    fn record(&self, image: &str) -> ImageRecord {
        self.records.image(&key(image)).unwrap().unwrap()
    }

    fn builds(&self, image: &str) -> Vec<Build> {
        self.record(image).builds
    }

    /// Its builds: `NUMBER REASONS MODE OUTCOME`.
    fn told(&self, image: &str) -> Vec<String> {
        self.builds(image).iter().map(told).collect()
    }

    /// Why it is built or not.
    fn line(&self, image: &str) -> String {
        let snapshot = self.records.snapshot().unwrap();
        decision(&snapshot, &self.record(image), &self.rules, self.town.time()).line()
    }

    /// Waits until it is written down where a source is.
    fn until_found(&self, image: &str, revision: &str) {
        let at = SourceState::Ready(testing::commit(revision));
        self.until(|| self.record(image).source_state() == at, &format!("{image} is found at {revision}"));
    }

    /// Waits until an image's last build is told so.
    fn until_told(&self, image: &str, line: &str) {
        self.until(|| self.told(image).last().is_some_and(|last| last == line), line);
    }

    /// Waits until the records say so.
    fn until(&self, is_so: impl Fn() -> bool, what: &str) {
        let end = Instant::now() + Duration::from_secs(30);
        while !is_so() {
            assert!(Instant::now() < end, "it never happened that {what}: {:?}", self.records.snapshot());
            thread::yield_now();
        }
    }

    /// A git host says that something happened.
    fn hook(&self, image: &str) {
        self.amend(image, |record| record.source.ask());
    }

    /// Somebody wants a build.
    fn trigger(&self, image: &str) {
        self.amend(image, |record| {
            record.image.status.triggers += 1;
            record.source.ask();
        });
    }

    fn amend(&self, image: &str, amend: impl Fn(&mut ImageRecord)) {
        let amended = self.records.amend_image(&key(image), &mut |record| {
            amend(record);
            Ok(())
        });
        assert!(amended.unwrap().is_some());
    }
}

/// Ends what serves, even if the test fails in between.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn told(build: &Build) -> String {
    let outcome = match &build.outcome {
        Outcome::Running => "running".to_owned(),
        Outcome::Succeeded(_) => "succeeded".to_owned(),
        Outcome::Failed(failure) => format!("failed by {}", failure.fault.as_str()),
        Outcome::Cancelled => "cancelled".to_owned(),
        Outcome::Superseded => "superseded".to_owned(),
    };
    format!("{} {} {} {outcome}", build.number, joined(&build.changes), build.mode)
}

fn only(images: &[&str]) -> Scope {
    Scope::Images(images.iter().map(|one| key(one)).collect::<BTreeSet<_>>())
}
