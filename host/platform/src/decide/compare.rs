//! The six comparisons, each with both values: kpack's reasons, in its order and with its meaning.
//!
//! | Reason | Compared |
//! |---|---|
//! | TRIGGER | how often somebody asked |
//! | COMMIT | the commit, where both are commits |
//! | CONFIG | variables in their sequence, resources by amount, bindings, the source's place |
//! | BUILDPACK | that each buildpack that took part is still in the builder |
//! | STACK | the run image's digest, wherever it is kept |
//! | LIFECYCLE | the lifecycle's version |
//!
//! After a build that made nothing, kpack skips the last three. Here they are compared with what that build was given, all
//! buildpacks of the builder and their order included, for nobody knows which of them it lacked: so what an operator mends
//! heals the image.

use serde_json::{Value, json};
use stave_model::time;

use crate::resource::{
    build::{Build, Change, Inputs, Made, Reason},
    builder::{BuildpackVersion, Group, Member},
    image::Image,
};

/// One comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Which.
    pub reason: Reason,
    /// What came of it.
    pub result: Compared,
    /// What was.
    pub old: Value,
    /// What is.
    pub new: Value,
}

/// What came of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// Nothing changed.
    Same,
    /// It is a reason to build.
    Differs,
    /// There is nothing to compare with.
    Skipped(&'static str),
}

impl Comparison {
    /// Whether it is a reason to build.
    pub fn differs(&self) -> bool {
        self.result == Compared::Differs
    }

    /// The reason, if it is one.
    pub fn change(&self) -> Option<Change> {
        let change = || Change { reason: self.reason, old: self.old.clone(), new: self.new.clone() };
        self.differs().then(change)
    }
}

const NO_BUILD: &str = "there is no build yet";
const RUNNING: &str = "the build that runs is not over";
const NO_COMMIT: &str = "the source is no commit, or was none";

fn told(reason: Reason, differs: bool, old: Value, new: Value) -> Comparison {
    Comparison { reason, result: if differs { Compared::Differs } else { Compared::Same }, old, new }
}

fn skipped(reason: Reason, why: &'static str) -> Comparison {
    Comparison { reason, result: Compared::Skipped(why), old: Value::Null, new: Value::Null }
}

/// Compares a build, or none, with what a build of now would be made from.
pub fn compare(image: &Image, with: Option<&Build>, now: &Inputs) -> Vec<Comparison> {
    let Some(build) = with else {
        return Reason::COMPARED
            .into_iter()
            .map(|reason| match reason {
                Reason::Config => told(reason, true, json!({ "source": {} }), now.config()),
                _ => skipped(reason, NO_BUILD),
            })
            .collect();
    };
    let mut comparisons = vec![trigger(image, build), commit(build, now), config(build, now)];
    comparisons.extend(match (build.made(), build.is_running()) {
        (_, true) => [Reason::Buildpack, Reason::Stack, Reason::Lifecycle].map(|reason| skipped(reason, RUNNING)),
        (Some(made), false) => of_image(made, now),
        (None, false) => of_attempt(&build.inputs, now),
    });
    comparisons
}

fn trigger(image: &Image, build: &Build) -> Comparison {
    let status = &image.status;
    let at = status.triggered_at.map(|at| format!(" at {}", time::rfc3339(at))).unwrap_or_default();
    if status.triggers > build.triggers {
        return told(Reason::Trigger, true, Value::Null, format!("a build was asked for by hand{at}").into());
    }
    told(Reason::Trigger, false, Value::Null, Value::Null)
}

fn commit(build: &Build, now: &Inputs) -> Comparison {
    let Some(has_moved) = now.source.has_moved(&build.inputs.source) else { return skipped(Reason::Commit, NO_COMMIT) };
    told(Reason::Commit, has_moved, build.inputs.source.commit().into(), now.source.commit().into())
}

fn config(build: &Build, now: &Inputs) -> Comparison {
    let differs = !build.inputs.is_configured_like(now);
    told(Reason::Config, differs, build.inputs.config(), now.config())
}

/// A buildpack as kpack writes it; with its digest, where that is what differs.
fn named(buildpack: &BuildpackVersion, with_digest: bool) -> Value {
    let mut named = json!({ "id": buildpack.id, "version": buildpack.version });
    if let Some(digest) = buildpack.digest.filter(|_| with_digest) {
        named["digest"] = digest.to_string().into();
    }
    named
}

/// What an image is made of, and what the builder has.
fn of_image(made: &Made, now: &Inputs) -> [Comparison; 3] {
    let revision = &now.revision;
    let gone = |used: &&BuildpackVersion| !revision.buildpacks.iter().any(|has| has.is(used));
    let gone: Vec<&BuildpackVersion> = made.buildpacks.iter().filter(gone).collect();
    let buildpacks = if gone.is_empty() {
        let used: Vec<Value> = made.buildpacks.iter().map(|used| named(used, false)).collect();
        told(Reason::Buildpack, false, json!(used), json!(used))
    } else {
        // Another component under the same version is worth both digests; a version that is gone is enough by its name.
        let namesake = |used: &BuildpackVersion| revision.buildpacks.iter().find(|has| has.title() == used.title());
        let old: Vec<Value> = gone.iter().map(|used| named(used, namesake(used).is_some())).collect();
        let new: Vec<Value> = gone.iter().filter_map(|used| namesake(used)).map(|has| named(has, true)).collect();
        told(Reason::Buildpack, true, json!(old), json!(new))
    };
    let (old, new) = (made.run_image.digest(), revision.run_image.digest());
    let stack = told(Reason::Stack, old != new, old.to_string().into(), new.to_string().into());
    let differs = made.lifecycle != revision.lifecycle;
    let lifecycle = told(Reason::Lifecycle, differs, made.lifecycle.clone().into(), revision.lifecycle.clone().into());
    [buildpacks, stack, lifecycle]
}

/// What an attempt that made nothing was given, and what is there now.
fn of_attempt(then: &Inputs, now: &Inputs) -> [Comparison; 3] {
    let (then, now) = (&then.revision, &now.revision);
    let missing = |from: &[BuildpackVersion], to: &[BuildpackVersion]| {
        let missing = from.iter().filter(|one| !to.iter().any(|other| other.is(one)));
        let is_republished = |one: &BuildpackVersion| to.iter().any(|other| other.title() == one.title());
        missing.map(|one| named(one, is_republished(one))).collect::<Vec<_>>()
    };
    let (gone, come) = (missing(&then.buildpacks, &now.buildpacks), missing(&now.buildpacks, &then.buildpacks));
    let buildpacks = if gone.is_empty() && come.is_empty() {
        told(Reason::Buildpack, then.order != now.order, order(&then.order), order(&now.order))
    } else {
        told(Reason::Buildpack, true, json!(gone), json!(come))
    };
    let (old, new) = (then.run_image.digest(), now.run_image.digest());
    let is_other_stack = old != new || then.stack_id != now.stack_id;
    let stack = told(Reason::Stack, is_other_stack, old.to_string().into(), new.to_string().into());
    let differs = then.lifecycle != now.lifecycle;
    let lifecycle = told(Reason::Lifecycle, differs, then.lifecycle.clone().into(), now.lifecycle.clone().into());
    [buildpacks, stack, lifecycle]
}

/// Groups, each in a line.
fn order(groups: &[Group]) -> Value {
    let line = |group: &Group| group.group.iter().map(Member::title).collect::<Vec<_>>().join(" + ");
    json!(groups.iter().map(line).collect::<Vec<_>>())
}
