//! Many images: how many are built at once, in which order, and that none is forgotten.

use std::thread;

use serde_json::json;

use super::{Case, image, stack, town::State, wish};
use crate::{
    plan::Rules,
    port::{Event, Records as _},
    queue::{Limits, Turn},
    resource::build::Fault,
};

fn fleet(size: usize) -> Vec<String> {
    (0..size).map(|at| format!("team-{}/image-{at:03}", at % 5)).collect()
}

/// Builds all of them. Nothing ends before as many go on at once as may.
fn settled(case: &Case, images: &[String], most: usize) {
    case.apply(images.iter().map(|one| wish(image(one))));
    case.town.hold();
    case.town.hold_sources(true);
    thread::scope(|threads| {
        let settled = threads.spawn(|| case.settle().ended.len());
        case.town.until("sources are looked up", |state| state.most_looking == 8);
        case.town.hold_sources(false);
        case.town.until("builds run", |state| state.running.len() == most);
        case.town.let_all_go();
        assert_eq!(settled.join().unwrap(), images.len());
    });
    let state = case.town.state();
    assert_eq!((state.most_at_once, state.most_looking), (most, 8));
    drop(state);
    for one in images {
        assert_eq!(case.told(one), ["1 CONFIG build succeeded"]);
    }
}

/// Eight sources are looked up at a time; the ninth has its turn as well, and nobody looks twice.
#[test]
fn no_image_is_forgotten_and_no_limit_passed() {
    let mut case = Case::new();
    case.rules.limits.concurrent = 6;
    let images = fleet(200);
    settled(&case, &images, 6);
    let state = case.town.state();
    assert_eq!(images.iter().filter(|one| state.done[&format!("source {}", &one[7..])] == 1).count(), 200);
}

#[test]
fn a_namespace_has_its_share() {
    let mut case = Case::new();
    case.rules.limits = Limits { concurrent: 6, per_namespace: Some(1), ..Limits::default() };
    let images = fleet(50);
    settled(&case, &images, 5);
    assert_eq!(case.town.state().most_of_a_namespace, 1);
}

#[test]
fn a_commit_in_the_middle_of_updates_starts_with_the_next_slot() {
    let mut case = Case::new();
    let images = fleet(200);
    case.rules.limits.concurrent = 8;
    settled(&case, &images, 8);
    case.rules.limits.concurrent = 3;
    case.town.forget();
    case.town.hold();
    case.apply([stack("old", "patched")]);
    case.serving(|| {
        case.town.until("updates run", |state| state.running.len() == 3);
        for at in 0..20 {
            let next = case.town.state().running.first().unwrap().to_string();
            case.town.let_go(&next);
            case.town.until("the next one runs", |state| state.began.len() == 4 + at && state.running.len() == 3);
        }
        let began = case.town.began();
        let late = images.iter().find(|one| !began.iter().any(|line| line.starts_with(one.as_str()))).unwrap();
        case.town.commit(late, "c2");
        case.town.pass(60);
        case.until_found(late, "c2");
        // Whoever found it may not have been heard yet when the first slot is free; 180 updates wait.
        let is_its = |line: &String| line.starts_with(&format!("{late} 2 COMMIT"));
        for began in 24..27 {
            let next = case.town.state().running.first().unwrap().to_string();
            case.town.let_go(&next);
            case.town.until("another one begins", |state| state.began.len() == began && state.running.len() == 3);
            if case.town.began().iter().any(is_its) {
                break;
            }
        }
        assert!(case.town.began().iter().any(is_its), "{:?}", &case.town.began()[20..]);
        case.town.let_all_go();
        case.town.until("all is over", |state| state.pushes == 200 && state.running.is_empty());
    });
    let state = case.town.state();
    let turns = state.events.iter().filter_map(|event| match event {
        Event::Began { turn, .. } => Some(*turn),
        _ => None,
    });
    assert_eq!((turns.filter(|turn| *turn == Turn::Owner).count(), state.most_at_once), (1, 3));
}

/// Nobody has to end what serves for that.
#[test]
fn another_limit_holds_while_somebody_serves() {
    let mut case = Case::new();
    case.rules.limits.concurrent = 1;
    case.apply(["api", "shop", "web"].map(|one| wish(image(one))));
    case.town.hold();
    let is_full = |most: usize| move |state: &State| state.running.len() == most;
    case.serving(|| {
        case.town.until("one is built", is_full(1));
        for one in ["api", "shop", "web"] {
            case.until_found(one, "c1");
        }
        let limits = Limits { concurrent: 3, ..case.rules.limits };
        case.town.rule(Rules { limits, ..case.rules });
        case.records.set("concurrency", Some("3")).unwrap();
        case.town.until("all are built", is_full(3));
        case.town.let_all_go();
        case.town.until("all is over", |state| state.pushes == 3 && state.running.is_empty());
    });
}

/// Sources that may move at any second are looked up once by who wants to come to an end.
#[test]
fn sources_that_are_looked_at_without_pause_come_to_an_end() {
    let case = Case::new();
    let images = fleet(30);
    let watched = images.iter().map(|one| {
        let mut image = image(one);
        image.spec.watch = serde_json::from_value(json!({ "interval": 1 })).unwrap();
        wish(image)
    });
    case.apply(watched);
    // Each look takes longer than the pause between two.
    case.town.slow_looks(5);
    assert_eq!(case.settle().ended.len(), 30);
    assert!(case.town.state().done.iter().all(|(_, times)| *times == 1), "{:?}", case.town.state().done);
}

#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    let case = Case::built(&["web"]);
    let now = case.town.time();
    case.town.set_time(now - 1_000_000);
    case.town.commit("web", "c2");
    case.settle();
    assert_eq!(case.told("web")[1..], ["2 COMMIT build succeeded"], "what was seen in the future is looked up again");
    case.town.commit("web", "c3");
    case.settle();
    assert_eq!(case.builds("web").len(), 2, "and then no sooner than it is time");
    case.town.pass(60);
    case.settle();
    assert_eq!(case.builds("web").len(), 3);
    let build = &case.builds("web")[2];
    assert!(build.finished >= Some(build.started));
}

#[test]
fn a_source_that_was_never_found_is_looked_for_again() {
    let case = Case::new();
    let mut quiet = image("web");
    quiet.spec.watch = serde_json::from_value(json!({ "enabled": false })).unwrap();
    case.apply([wish(quiet)]);
    case.town.break_down("source web", Fault::Transient, "the connection broke");
    case.settle();
    let why = "the source is not ready: could not ask for source web: the connection broke";
    assert_eq!(case.line("web"), format!("cannot be told yet: {why}"));
    case.town.mend("source web");
    case.town.pass(60);
    case.settle();
    assert_eq!(case.told("web"), ["1 CONFIG build succeeded"]);
    case.town.commit("web", "c2");
    case.town.pass(1000);
    case.settle();
    assert_eq!(case.builds("web").len(), 1, "once it was found, nobody looks by itself");
    // What was found once is built, whatever becomes of the source since.
    case.town.break_down("source web", Fault::Transient, "the connection broke");
    case.amend("web", |record| record.image.status.triggers += 1);
    case.settle();
    assert_eq!(case.told("web")[1..], ["2 TRIGGER build succeeded"]);
}

#[test]
fn a_wish_that_changes_while_its_source_is_looked_up_is_looked_up_again() {
    let case = Case::new();
    case.apply([wish(image("web"))]);
    case.town.hold_sources(true);
    case.serving(|| {
        case.town.until("somebody looks", |state| state.most_looking == 1);
        let mut other = image("web");
        other.spec.source.git.as_mut().unwrap().revision = "next".to_owned();
        case.apply([wish(other)]);
        case.town.hold_sources(false);
        case.town.until("it is built", |state| state.pushes == 1 && state.running.is_empty());
    });
    let record = case.record("web");
    assert_eq!(record.source.of.as_ref(), Some(&record.image.spec.source));
    assert_eq!(case.told("web"), ["1 CONFIG build succeeded"]);
    assert_eq!(case.records.snapshot().unwrap().images.len(), 1);
}
