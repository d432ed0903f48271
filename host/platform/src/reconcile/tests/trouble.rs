//! What breaks: builds, stacks, stores and builders; and what is done about it by whom.

use std::{
    sync::{atomic::AtomicBool, mpsc},
    thread,
    time::Instant,
};

use super::{Case, builder, cluster, image, stack, store, town::Fate, wish};
use crate::{
    decide::BuilderState,
    port::{
        Records as _,
        records::{Id, TurnedBack},
    },
    reconcile::{Floor, Scope},
    resource::build::Fault,
};

const TRANSIENT: Fate = Fate::Fails(Fault::Transient);

#[test]
fn what_fails_by_chance_is_tried_again_in_a_while() {
    let mut case = Case::new();
    case.rules.retry.attempts = 3;
    case.apply([wish(image("web"))]);
    case.town.fates("web", &[TRANSIENT, TRANSIENT]);
    assert_eq!(case.settle().ended.len(), 1, "who waits in the foreground is not kept waiting");
    assert!(case.line("web").contains("failed by chance"), "{}", case.line("web"));
    case.serving(|| {
        for (pause, attempt) in [(30, 2), (60, 3)] {
            case.town.pass(pause);
            case.town.until("it is tried again", |state| state.began.len() == attempt);
            case.town.until("it is over", |state| ended(state) == attempt);
        }
    });
    let told = ["1 CONFIG build failed by Transient", "2 CONFIG build failed by Transient", "3 CONFIG build succeeded"];
    assert_eq!(case.told("web"), told);
    assert_eq!(case.builds("web").iter().map(|build| build.attempt).collect::<Vec<_>>(), [1, 2, 3]);
}

fn ended(state: &super::town::State) -> usize {
    state.events.iter().filter(|event| matches!(event, crate::port::Event::Ended { .. })).count()
}

#[test]
fn nothing_is_tried_for_ever() {
    let mut case = Case::new();
    case.rules.retry.attempts = 3;
    case.apply([wish(image("web"))]);
    case.town.fates("web", &[TRANSIENT; 9]);
    for _ in 0..6 {
        case.settle();
        case.town.pass(10_000);
    }
    assert_eq!(case.builds("web").len(), 3);
    assert!(case.line("web").contains("3 times"), "{}", case.line("web"));
}

#[test]
fn what_fails_by_the_app_waits_for_another_app_or_builder() {
    let case = Case::new();
    case.apply([wish(image("web"))]);
    case.town.fates("web", &[Fate::Fails(Fault::App)]);
    case.settle();
    case.town.pass(1_000_000);
    assert_eq!(case.settle().ended, []);
    case.apply([store("default", &["java:1.0.1", "procfile:1.0.0"])]);
    case.settle();
    assert_eq!(case.told("web"), ["1 CONFIG build failed by App", "2 BUILDPACK build succeeded"]);
}

#[test]
fn a_build_that_breaks_the_platform_has_failed_and_others_go_on() {
    let case = Case::new();
    case.apply([wish(image("web")), wish(image("api"))]);
    case.town.fates("web", &[Fate::Breaks]);
    case.settle();
    assert_eq!(case.told("web"), ["1 CONFIG build failed by Buildpack"]);
    assert_eq!(case.told("api"), ["1 CONFIG build succeeded"]);
}

#[test]
fn a_source_that_breaks_the_platform_is_not_found_and_others_are() {
    let case = Case::new();
    case.apply([wish(image("web")), wish(image("api"))]);
    case.town.break_looks("source web");
    case.settle();
    assert_eq!(case.told("api"), ["1 CONFIG build succeeded"]);
    let why = "the source is not ready: the platform itself failed while it looked for the source";
    assert_eq!(case.line("web"), format!("cannot be told yet: {why}"));
}

#[test]
fn a_builder_that_lacks_something_stays_what_it_was() {
    let case = Case::built(&["web"]);
    case.apply([builder("default", "absent")]);
    let settled = case.settle();
    let why = "the ClusterStack absent does not exist";
    assert_eq!(settled.trouble["ClusterBuilder default"], why);
    assert_eq!(case.town.troubles(), [format!("ClusterBuilder default: {why}")]);
    let record = &case.records.snapshot().unwrap().builders[&cluster("default")];
    let BuilderState::Ready { revision, behind } = record.state() else { panic!("{:?}", record.state()) };
    assert_eq!((behind.as_deref(), record.made.revisions.len()), (Some(why), 1));
    assert_eq!(*revision, record.made.revisions[0].revision);
    // Images are built by what it was.
    case.amend("web", |record| record.image.status.triggers += 1);
    case.settle();
    assert_eq!(case.told("web")[1..], ["2 TRIGGER build succeeded"]);
    case.apply([stack("absent", "new")]);
    assert_eq!(case.settle().trouble, [].into());
    assert_eq!(case.told("web")[2..], ["3 STACK rebase succeeded"]);
}

/// Whether this says it of what it is about: a builder says it once more, of the stack or store that it waits for.
fn is_told(told: &str, why: &str) -> bool {
    told.split_once(": ").is_some_and(|(_, said)| said == why)
}

#[test]
fn a_stack_that_cannot_be_read_just_now_is_read_later() {
    for what in ["stack old", "store default", "builder default"] {
        let case = Case::new();
        case.apply([wish(image("web"))]);
        case.town.break_down(what, Fault::Transient, "the connection broke");
        let settled = case.settle();
        assert_eq!(case.town.count(what), 1, "in the foreground nobody waits for it");
        let why = format!("could not ask for {what}: the connection broke");
        assert!(settled.trouble.values().any(|told| *told == why), "{:?}", settled.trouble);
        assert_eq!(case.town.troubles().iter().filter(|told| is_told(told, &why)).count(), 1);
        case.town.mend(what);
        assert_eq!(case.settle().trouble, [].into());
        assert_eq!(case.told("web"), ["1 CONFIG build succeeded"], "{what}");
    }
}

#[test]
fn what_is_refused_is_told_once_and_asked_for_again_with_another_wish() {
    for what in ["stack old", "store default", "builder default"] {
        let case = Case::new();
        case.apply([wish(image("web"))]);
        case.town.break_down(what, Fault::Refused, "it may not be read");
        case.serving(|| {
            case.town.until("somebody is told", |state| !state.events.is_empty());
            // Other things happen meanwhile, and everything is looked at again.
            for at in 0..3 {
                case.apply([wish(image(&format!("other-{at}")))]);
                let source = format!("source other-{at}");
                case.town.until("they are seen", |state| state.done.contains_key(&source));
            }
        });
        assert_eq!(case.town.count(what), 1, "{what} is asked for once");
        let why = format!("could not ask for {what}: it may not be read");
        assert_eq!(case.town.troubles().iter().filter(|told| is_told(told, &why)).count(), 1);
        case.town.mend(what);
        case.apply([stack("old", "newer"), store("default", &["java:2.0.0", "procfile:1.0.0"])]);
        assert_eq!(case.settle().trouble, [].into());
        assert_eq!(case.told("web"), ["1 CONFIG build succeeded"], "{what}");
    }
}

/// The pauses between attempts, without waiting for them.
#[test]
fn pauses_end_and_nothing_is_left_of_what_is_gone() {
    let case = Case::new();
    case.town.break_down("stack old", Fault::Transient, "the connection broke");
    let stop = AtomicBool::new(false);
    let (reconciler, scope) = (case.reconciler(&stop), Scope::All);
    let (sender, _notes) = mpsc::channel();
    let mut floor = Floor::new(&reconciler, &scope, sender, true);
    thread::scope(|threads| {
        floor.refresh(threads).unwrap();
        floor.refresh(threads).unwrap();
        assert_eq!(case.town.count("stack old"), 1);
        assert!(!floor.is_operators_turn(), "there is a pause");
        floor.pauses.values_mut().for_each(|pause| pause.until = Instant::now());
        assert!(floor.is_operators_turn());
        floor.refresh(threads).unwrap();
        assert_eq!(case.town.count("stack old"), 2);
        assert!(!floor.is_operators_turn());
        // Another wish does not wait for the pause.
        case.apply([stack("old", "newer")]);
        floor.refresh(threads).unwrap();
        assert_eq!(case.town.count("stack old"), 3);
        // What is gone is not tried again, and nobody looks for its sake.
        assert!(case.records.remove(&Id::Stack("old".parse().unwrap())).unwrap());
        floor.pauses.values_mut().for_each(|pause| pause.until = Instant::now());
        floor.refresh(threads).unwrap();
        assert!(!floor.is_operators_turn());
        assert!(!floor.trouble.contains_key("ClusterStack old"));
    });
}

#[test]
fn a_builder_that_is_turned_back_in_a_pause_is_left_alone() {
    let case = Case::new();
    case.settle();
    case.apply([stack("old", "newer")]);
    case.town.break_down("builder default", Fault::Transient, "the connection broke");
    let stop = AtomicBool::new(false);
    let (reconciler, scope) = (case.reconciler(&stop), Scope::All);
    let (sender, _notes) = mpsc::channel();
    let mut floor = Floor::new(&reconciler, &scope, sender, true);
    thread::scope(|threads| {
        floor.refresh(threads).unwrap();
        let back = case.records.amend_builder(&cluster("default"), &mut |record| {
            record.made.rollback = Some(TurnedBack { to: 1, generation: record.builder.metadata.generation });
            Ok(())
        });
        assert!(back.unwrap().is_some());
        floor.pauses.values_mut().for_each(|pause| pause.until = Instant::now());
        floor.refresh(threads).unwrap();
        assert!(!floor.is_operators_turn(), "there is nothing to try");
    });
    assert_eq!(case.town.count("builder default"), 2);
}
