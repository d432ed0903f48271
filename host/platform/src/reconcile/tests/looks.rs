//! Looks at sources: none that somebody asked for is lost, and nothing is built of a source that is just being looked up.

use std::{sync::atomic::AtomicBool, thread};

use serde_json::json;

use super::{Case, image, stack, town::State, wish};
use crate::{reconcile::Scope, resource::image::Image};

/// With settings of its own.
fn other(text: &str) -> Image {
    let mut other = image(text);
    other.spec.build.env = serde_json::from_value(json!([{ "name": "A", "value": "1" }])).unwrap();
    other
}

/// Nobody looks at it by itself.
fn quiet(text: &str) -> Image {
    let mut quiet = image(text);
    quiet.spec.watch = serde_json::from_value(json!({ "enabled": false })).unwrap();
    quiet
}

/// One that was built, and is looked at only when somebody asks.
fn quiet_case() -> Case {
    let case = Case::new();
    case.apply([wish(quiet("web"))]);
    case.settle();
    case.town.forget();
    case
}

fn is_looked_at(state: &State) -> bool {
    state.most_looking == 1
}

#[test]
fn a_webhook_that_comes_while_somebody_looks_is_heard() {
    let case = quiet_case();
    case.town.hold_sources(true);
    case.serving(|| {
        case.hook("web");
        case.town.until("somebody looks", is_looked_at);
        // The answer to the first question is under way already.
        case.town.commit("web", "c2");
        case.hook("web");
        case.town.hold_sources(false);
        case.until_found("web", "c2");
    });
    let looked = case.record("web").source.looked;
    assert_eq!((looked, case.town.count("source web")), (case.town.time(), 2), "and then nobody looks any more");
}

/// Even the very first look at an image.
#[test]
fn a_webhook_that_comes_while_an_image_is_new_is_heard() {
    let case = Case::new();
    case.apply([wish(quiet("web"))]);
    case.town.hold_sources(true);
    case.serving(|| {
        case.town.until("somebody looks", is_looked_at);
        case.town.commit("web", "c2");
        case.hook("web");
        case.town.hold_sources(false);
        case.until_found("web", "c2");
    });
}

#[test]
fn a_look_that_was_asked_for_is_made_by_who_comes_after_a_crash() {
    let case = quiet_case();
    case.town.hold_sources(true);
    case.hook("web");
    let stop = AtomicBool::new(false);
    let reconciler = case.reconciler(&stop);
    thread::scope(|threads| {
        let settled = threads.spawn(|| reconciler.settle(&Scope::All));
        case.town.until("somebody looks", is_looked_at);
        case.records.die();
        case.town.hold_sources(false);
        assert!(settled.join().unwrap().is_err());
    });
    assert!(case.records.revive());
    case.town.commit("web", "c2");
    case.come_after();
    assert_eq!(case.told("web")[1..], ["2 COMMIT build succeeded"]);
}

/// Scenario 11, in the foreground.
#[test]
fn other_settings_and_a_commit_that_nobody_saw_are_one_build() {
    let case = Case::built(&["web"]);
    case.town.commit("web", "c2");
    case.town.pass(60);
    case.apply([wish(other("web"))]);
    case.settle();
    assert_eq!(case.told("web")[1..], ["2 COMMIT,CONFIG build succeeded"]);
}

#[test]
fn who_asks_after_a_push_gets_what_was_pushed() {
    let case = Case::built(&["web"]);
    case.town.commit("web", "c2");
    case.serving(|| {
        case.trigger("web");
        case.town.until("it is built", |state| state.pushes == 1);
    });
    case.settle();
    assert_eq!(case.told("web")[1..], ["2 TRIGGER,COMMIT build succeeded"]);
}

/// A look that began before the push says nothing of it.
#[test]
fn who_asks_while_somebody_looks_gets_what_was_pushed() {
    let case = Case::built(&["web"]);
    case.town.pass(60);
    case.town.hold_sources(true);
    case.serving(|| {
        case.town.until("somebody looks", is_looked_at);
        case.town.commit("web", "c2");
        case.trigger("web");
        case.town.hold_sources(false);
        case.town.until("it is built", |state| state.pushes == 1);
    });
    case.settle();
    assert_eq!(case.told("web")[1..], ["2 TRIGGER,COMMIT build succeeded"]);
}

/// Webhooks without end hold nobody up: each of two looks says where the source was.
#[test]
fn webhooks_without_end_hold_up_no_build() {
    let case = Case::built(&["web"]);
    case.town.commit("web", "c2");
    case.serving(|| {
        case.trigger("web");
        let is_built = || {
            case.hook("web");
            case.town.state().pushes > 0
        };
        case.until(is_built, "it is built");
    });
}

/// A source that cannot be reached just now holds up no update, and what was found of it before is built.
#[test]
fn a_slow_source_holds_up_no_update() {
    let case = Case::built(&["web"]);
    case.town.pass(60);
    case.town.hold_sources(true);
    case.apply([stack("old", "patched")]);
    case.serving(|| {
        case.town.until("it is rebased", |state| state.pushes == 1);
        case.town.hold_sources(false);
    });
    assert_eq!(case.told("web")[1..], ["2 STACK rebase succeeded"]);
}

/// Eight are looked at, and a crowd waits for it: whoever has something to build goes first.
#[test]
fn who_waits_for_a_look_goes_before_who_does_not() {
    let crowd: Vec<String> = (0..40).map(|at| format!("image-{at:02}")).collect();
    let case = Case::built(&crowd.iter().map(String::as_str).collect::<Vec<_>>());
    case.town.pass(60);
    case.town.commit("image-39", "c2");
    case.apply([wish(other("image-39"))]);
    case.town.hold_sources(true);
    case.serving(|| {
        case.town.until("eight are looked at", |state| state.most_looking == 8);
        crowd[..8].iter().chain(crowd.last()).for_each(|one| case.town.let_see(one));
        case.town.until("it is built", |state| state.pushes == 1);
        case.town.hold_sources(false);
    });
    assert_eq!(case.told("image-39")[1..], ["2 COMMIT,CONFIG build succeeded"]);
}
