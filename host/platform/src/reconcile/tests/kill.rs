//! Whoever reconciles is killed, at every moment that can be told apart; and whoever comes after brings it to its end.

use std::sync::{Arc, atomic::AtomicBool};

use super::{
    Case, image, only,
    records::{Kill, MemoryRecords},
    stack,
    town::Hook,
    wish,
};
use crate::{port::Records as _, reconcile::Scope, resource::build::Outcome};

/// Three images that were built, of which one has new settings and all another stack.
fn changed() -> Case {
    let case = Case::built(&["api", "shop", "web"]);
    case.apply([stack("old", "patched")]);
    // Sources are looked up again, too.
    case.town.pass(60);
    let mut other = image("web");
    other.spec.build.env = serde_json::from_str(r#"[{ "name": "A", "value": "1" }]"#).unwrap();
    case.apply([wish(other)]);
    case
}

/// What is so in the end, whatever happened in between.
fn is_done(case: &Case, when: &str) {
    for (image, second) in [("api", "2 STACK rebase"), ("shop", "2 STACK rebase"), ("web", "2 CONFIG")] {
        let told = case.told(image);
        assert_eq!(told[0], "1 CONFIG build succeeded", "{when}");
        let made = told[1..].iter().filter(|line| line.ends_with("succeeded")).count();
        assert!(told[1].starts_with(second) && told[1].ends_with("succeeded"), "{when}: {told:?}");
        assert_eq!((told.len(), made), (2, 1), "{when}: {told:?}");
        let record = case.record(image);
        assert_eq!(record.image.status.build_counter, 2, "{when}");
        let latest = record.image.status.latest_image.unwrap();
        assert_eq!(Some(&latest), record.builds[1].made().map(|made| &made.image));
        let tag = format!("registry.example.com/team-a/{image}");
        assert_eq!(case.town.state().registry[&tag], latest.digest(), "{when}");
    }
    assert!(case.come_after().ended.is_empty(), "{when}: nothing is left to do");
}

#[test]
fn killed_at_every_change_of_the_records() {
    let mut moments = 0;
    for at in 0_u32.. {
        let mut was_killed = false;
        for kill in [Kill::Before(at), Kill::After(at)] {
            let case = changed();
            case.records.kill(kill);
            let ended = case.reconciler(&AtomicBool::new(false)).settle(&Scope::All);
            was_killed = case.records.revive();
            assert_eq!(ended.is_err(), was_killed, "{kill:?}");
            case.come_after();
            is_done(&case, &format!("{kill:?}"));
        }
        if !was_killed {
            break;
        }
        moments += 1;
    }
    assert_eq!(moments, 11, "a stack, a builder, three sources, and two for each build are written");
}

/// Killed when an image is where it belongs, and its record does not say so yet.
#[test]
fn killed_after_a_build_did_its_work() {
    for image in ["api", "shop", "web"] {
        let case = changed();
        let records = Arc::new(case.records);
        let case = killing_after(&records, case.town, image);
        is_done(&case, image);
        let again = case.town.began().iter().filter(|line| line.starts_with(&format!("team-a/{image} 2 "))).count();
        assert_eq!(again, 2, "it was done again, under its own number");
    }
}

fn killing_after(records: &Arc<MemoryRecords>, town: super::town::Town, image: &'static str) -> Case {
    let hooked = Arc::clone(records);
    town.after_effect(Some(Hook(Box::new(move |work| {
        if work.image.metadata.name.as_str() == image {
            hooked.die();
        }
    }))));
    let all = {
        let stop = AtomicBool::new(false);
        let reconciler = super::Reconciler {
            records: &**records,
            outside: &town,
            rules: crate::plan::Rules::default(),
            lifecycle: "0.1.0",
            stop: &stop,
        };
        assert!(reconciler.settle(&Scope::All).is_err());
        assert!(records.revive());
        records.snapshot().unwrap()
    };
    town.after_effect(None);
    let case = Case { records: MemoryRecords::of(all), town, rules: crate::plan::Rules::default(), lifecycle: "0.1.0" };
    assert!(case.record(image).running().is_some());
    case.come_after();
    case
}

/// Killed while a build goes on: begun, and then nobody is there.
fn killed_in_the_middle(case: &Case, scope: &Scope) {
    case.town.hold();
    let stop = AtomicBool::new(false);
    let reconciler = case.reconciler(&stop);
    std::thread::scope(|threads| {
        let began = case.town.began().len();
        let settled = threads.spawn(|| {
            reconciler.take_over().unwrap();
            reconciler.settle(scope)
        });
        case.town.until("a build goes on", |state| state.began.len() > began && !state.running.is_empty());
        case.records.die();
        assert!(settled.join().unwrap().is_err());
    });
    assert!(case.records.revive());
    case.town.let_all_go();
}

#[test]
fn killed_in_the_middle_of_a_build_again_and_again() {
    let case = Case::built(&["web"]);
    case.amend("web", |record| record.image.status.triggers += 1);
    for times in 1..5 {
        killed_in_the_middle(&case, &Scope::All);
        assert_eq!(case.told("web")[1..], ["2 TRIGGER build running"]);
        assert_eq!(case.record("web").run.resumed, times - 1);
    }
    case.come_after();
    assert_eq!(case.told("web")[1..], ["2 TRIGGER build succeeded"], "four times are forgiven");
    case.amend("web", |record| record.image.status.triggers += 1);
    (0..5).for_each(|_| killed_in_the_middle(&case, &Scope::All));
    case.town.forget();
    case.come_after();
    assert_eq!(case.told("web")[2..], ["3 TRIGGER build failed by Interrupted"], "five times are not");
    assert_eq!(case.town.began().len(), 0);
    let message = case.builds("web")[2].failure().unwrap().message.clone();
    assert_eq!(message, "the platform stopped in the middle of it 5 times");
    // It is nobody's fault, so it is tried again in a while.
    case.town.pass(30);
    case.come_after();
    assert_eq!(case.told("web")[3..], ["4 TRIGGER build succeeded"]);
}

/// Whoever looks after other images says nothing about one that nobody went on with.
#[test]
fn others_come_and_go_meanwhile() {
    let case = Case::built(&["api", "web"]);
    case.amend("web", |record| record.image.status.triggers += 1);
    killed_in_the_middle(&case, &Scope::All);
    for _ in 0..10 {
        let stop = AtomicBool::new(false);
        let reconciler = case.reconciler(&stop);
        reconciler.take_over().unwrap();
        assert_eq!(reconciler.settle(&only(&["api"])).unwrap().ended, []);
    }
    case.come_after();
    assert_eq!(case.told("web")[1..], ["2 TRIGGER build succeeded"]);
}

/// An orderly end is no crash: builds go on afterwards, however often that happens.
#[test]
fn an_orderly_end_is_forgiven_without_end() {
    let case = Case::built(&["web"]);
    case.amend("web", |record| record.image.status.triggers += 1);
    for times in 1..12 {
        case.town.hold();
        case.serving(|| case.town.until("it runs", |state| state.began.len() == times && !state.running.is_empty()));
        assert_eq!(case.builds("web")[1].outcome, Outcome::Running);
        case.reconciler(&AtomicBool::new(false)).take_over().unwrap();
    }
    case.town.let_all_go();
    case.come_after();
    assert_eq!(case.told("web")[1..], ["2 TRIGGER build succeeded"]);
}

/// Somebody stopped it, and then whoever ran it was killed: it is not brought to its end behind that back.
#[test]
fn what_somebody_stopped_is_not_gone_on_with() {
    let case = Case::built(&["web"]);
    case.amend("web", |record| record.image.status.triggers += 1);
    killed_in_the_middle(&case, &Scope::All);
    case.amend("web", |record| record.run.stop = Some(2));
    case.town.hold();
    case.come_after();
    assert_eq!(case.told("web")[1..], ["2 TRIGGER build cancelled"]);
}
