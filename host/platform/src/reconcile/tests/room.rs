//! Records that cannot be written for a while: whoever serves waits for that to pass, and nothing is lost.

use std::sync::atomic::AtomicBool;

use super::{Case, image, town::State, wish};
use crate::{port::Event, resource::build::Fault};

fn is_told(state: &State) -> bool {
    state.events.iter().any(|event| matches!(event, Event::Trouble { .. }))
}

#[test]
fn a_disk_that_is_full_for_a_while_ends_nothing() {
    let case = Case::built(&["api", "web"]);
    case.town.hold();
    case.trigger("web");
    case.serving(|| {
        case.town.until("it runs", |state| !state.running.is_empty());
        case.records.break_down(Some(Fault::Transient));
        case.town.let_all_go();
        case.town.until("somebody is told", is_told);
        case.records.break_down(None);
        case.trigger("api");
        case.until_told("web", "2 TRIGGER build succeeded");
        case.until_told("api", "2 TRIGGER build succeeded");
    });
    let why = "the records: could not write the records: there is no room";
    assert!(case.town.troubles().iter().all(|told| told == why), "{:?}", case.town.troubles());
    assert_eq!((case.builds("web").len(), case.record("web").run.resumed), (2, 0));
}

#[test]
fn who_serves_ends_when_told_to_while_the_disk_is_full() {
    let case = Case::new();
    case.apply([wish(image("web"))]);
    case.records.break_down(Some(Fault::Transient));
    case.serving(|| case.town.until("somebody is told", is_told));
    assert_eq!(case.town.began(), [] as [String; 0]);
}

#[test]
fn records_that_nobody_can_use_end_who_serves() {
    let case = Case::new();
    case.apply([wish(image("web"))]);
    case.records.break_down(Some(Fault::Refused));
    let error = case.reconciler(&AtomicBool::new(false)).serve().unwrap_err();
    assert_eq!(error.sentence(), "could not write the records: there is no room");
}
