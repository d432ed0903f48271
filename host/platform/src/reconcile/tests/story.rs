//! What happens to an image, one thing after another.

use serde_json::json;

use super::{
    Case, builder, cluster, image, only, stack, store,
    town::{Fate, State},
    wish,
};
use crate::{
    port::{
        Event, Records as _,
        records::{Id, Run, TurnedBack},
    },
    queue::Stop,
    reconcile::Scope,
    resource::{
        build::{Fault, Mode, Outcome},
        image::Rollback,
        source::Found,
    },
    testing::commit,
};

#[test]
fn a_first_build_and_then_nothing() {
    let case = Case::new();
    case.apply([wish(image("web"))]);
    let settled = case.settle();
    assert_eq!(settled.trouble, [].into());
    assert_eq!(settled.ended, case.builds("web"));
    assert_eq!(case.town.began(), ["team-a/web 1 CONFIG build"]);
    let build = &case.builds("web")[0];
    let latest = build.made().map(|made| made.image.clone());
    assert_eq!((build.started, build.finished), (case.town.time(), Some(case.town.time())));
    assert_eq!(case.record("web").image.status.latest_image, latest);
    assert_eq!(case.town.state().registry["registry.example.com/team-a/web"], latest.unwrap().digest());
    let made =
        |event: &Event| matches!(event, Event::Made { builder, number: 1 } if builder == "ClusterBuilder default");
    assert!(case.town.state().events.iter().any(made));
    // Whoever comes again finds nothing to do, writes nothing, and asks only for what may have moved by itself.
    let version = case.records.version().unwrap();
    case.town.forget();
    assert_eq!(case.settle().ended, []);
    assert_eq!((case.records.version().unwrap(), case.town.began().len()), (version, 0));
    assert_eq!(case.town.state().done, [].into());
    assert_eq!(case.line("web"), "up to date since build 1");
}

#[test]
fn an_updated_stack_is_a_rebase_that_reads_no_source() {
    let case = Case::built(&["web"]);
    case.apply([stack("old", "patched")]);
    case.settle();
    assert_eq!(case.told("web"), ["1 CONFIG build succeeded", "2 STACK rebase succeeded"]);
    let state = case.town.state();
    assert_eq!(state.buildpacks, 0, "no buildpack runs for it");
    let did: Vec<_> = state.done.iter().map(|(what, times)| format!("{what} {times}")).collect();
    assert_eq!(did, ["builder default 1", "stack old 1"]);
}

#[test]
fn everything_else_that_moves_is_built() {
    let case = Case::built(&["web"]);
    case.town.commit("web", "c2");
    case.town.pass(60);
    case.settle();
    assert_eq!(case.town.state().last.values().next(), Some(&Some(commit("c1"))), "who looks knows what was found");
    case.apply([store("default", &["java:1.1.0", "procfile:1.0.0"])]);
    case.settle();
    let mut other = image("web");
    other.spec.build.env = serde_json::from_value(json!([{ "name": "A", "value": "1" }])).unwrap();
    case.apply([wish(other)]);
    case.settle();
    case.amend("web", |record| record.image.status.triggers += 1);
    case.settle();
    let case = Case { lifecycle: "0.2.0", ..case };
    case.settle();
    let expected = [
        "1 CONFIG build succeeded",
        "2 COMMIT build succeeded",
        "3 BUILDPACK build succeeded",
        "4 CONFIG build succeeded",
        "5 TRIGGER build succeeded",
        "6 LIFECYCLE build succeeded",
    ];
    assert_eq!(case.told("web"), expected);
    assert_eq!(case.builds("web")[5].generation, 2);
}

#[test]
fn an_image_waits_for_its_builder() {
    let case = Case::empty();
    case.apply([wish(image("web"))]);
    case.settle();
    assert_eq!(case.line("web"), "cannot be told yet: there is no such builder");
    case.apply([stack("old", "old"), builder("default", "old")]);
    let settled = case.settle();
    let why = "the ClusterStore default does not exist";
    let trouble = [("ClusterBuilder default".to_owned(), why.to_owned())].into();
    assert_eq!(settled.trouble, trouble, "who waits for it is told");
    assert_eq!(case.settle().trouble, trouble, "and so is who comes later");
    assert_eq!(case.line("web"), format!("cannot be told yet: the builder is not ready: {why}"));
    case.apply([store("default", &["java:1.0.0", "procfile:1.0.0"])]);
    assert_eq!(case.settle().trouble, [].into());
    assert_eq!(case.told("web"), ["1 CONFIG build succeeded"]);
    assert_eq!(case.record("web").image.metadata.generation, 1, "nobody touched the image");
}

#[test]
fn a_commit_and_a_trigger_while_a_build_runs_are_one_further_build() {
    let case = Case::built(&["web"]);
    case.town.hold();
    case.serving(|| {
        case.town.commit("web", "c2");
        case.town.pass(60);
        case.town.until("c2 is built", |state| state.began.len() == 1);
        for revision in ["c3", "c4", "c5"] {
            case.town.commit("web", revision);
            case.town.pass(60);
            case.until_found("web", revision);
        }
        case.amend("web", |record| record.image.status.triggers += 1);
        case.town.let_all_go();
        case.town.until("the last is over", |state| state.pushes == 2 && state.running.is_empty());
    });
    let told = ["1 CONFIG build succeeded", "2 COMMIT build succeeded", "3 TRIGGER,COMMIT build succeeded"];
    assert_eq!(case.told("web"), told);
    assert!(matches!(&case.builds("web")[2].inputs.source.at, Found::Git(git) if git.revision == "c5"));
    assert_eq!(case.settle().ended, [], "and that is all");
}

#[test]
fn a_build_gives_way_to_a_newer_source_where_that_is_wished_for() {
    let mut case = Case::built(&["web"]);
    case.rules.limits.stop_outdated = true;
    case.town.hold();
    case.serving(|| {
        case.town.commit("web", "c2");
        case.town.pass(60);
        case.town.until("c2 is built", |state| state.began.len() == 1);
        case.town.commit("web", "c3");
        case.town.pass(60);
        case.town.until("c3 is built instead", |state| state.began.len() == 2);
        case.town.let_all_go();
        case.town.until("it is over", |state| state.pushes == 1 && state.running.is_empty());
    });
    let told = ["1 CONFIG build succeeded", "2 COMMIT build superseded", "3 COMMIT build succeeded"];
    assert_eq!(case.told("web"), told);
}

/// That it gives way is no reason to pass over somebody's word: it is cancelled, and what came meanwhile is built.
#[test]
fn somebody_stops_a_build_that_gives_way() {
    let mut case = Case::built(&["web"]);
    case.rules.limits.stop_outdated = true;
    case.town.hold();
    case.town.deafen();
    let is_told = |why: Stop| move |state: &State| state.stopping.values().eq([&why]);
    case.serving(|| {
        case.town.commit("web", "c2");
        case.town.pass(60);
        case.town.until("c2 is built", |state| state.began.len() == 1);
        case.town.commit("web", "c3");
        case.town.pass(60);
        case.town.until("it gives way", is_told(Stop::Superseded));
        case.amend("web", |record| record.run.stop = Some(2));
        case.town.until("it is told", is_told(Stop::Cancelled));
        case.town.let_all_go();
        case.until_told("web", "3 COMMIT build succeeded");
    });
    let told = ["1 CONFIG build succeeded", "2 COMMIT build cancelled", "3 COMMIT build succeeded"];
    assert_eq!(case.told("web"), told);
}

#[test]
fn somebody_stops_a_build() {
    let case = Case::built(&["web"]);
    case.town.hold();
    case.amend("web", |record| record.image.status.triggers += 1);
    case.serving(|| {
        case.town.until("it runs", |state| !state.running.is_empty());
        // Of another number: nothing comes of it.
        case.amend("web", |record| record.run.stop = Some(1));
        case.amend("web", |record| record.run.stop = Some(2));
        case.town.until("it is told", |state| state.events.iter().any(|event| matches!(event, Event::Ended { .. })));
    });
    assert_eq!(case.told("web"), ["1 CONFIG build succeeded", "2 TRIGGER build cancelled"]);
    let record = case.record("web");
    assert_eq!((record.run, &record.builds[1].outcome), (Run::default(), &Outcome::Cancelled));
    assert_eq!(case.settle().ended, [], "it is not tried again by itself");
    case.town.let_all_go();
    case.amend("web", |record| record.image.status.triggers += 1);
    case.settle();
    assert_eq!(case.told("web")[2], "3 TRIGGER build succeeded");
}

#[test]
fn a_build_takes_no_longer_than_it_may() {
    let case = Case::new();
    let mut slow = image("web");
    slow.spec.build.build_timeout = Some(60);
    case.apply([wish(slow), wish(image("api"))]);
    case.town.hold();
    case.serving(|| {
        case.town.until("both run", |state| state.running.len() == 2);
        case.town.pass(59);
        case.town.let_go("api");
        case.town.until("the other is over", |state| state.running.len() == 1);
        case.town.pass(1);
        case.town.until("both are over", |state| {
            state.events.iter().filter(|event| matches!(event, Event::Ended { .. })).count() == 2
        });
    });
    assert_eq!(case.told("web"), ["1 CONFIG build failed by Timeout"]);
    assert_eq!(case.told("api"), ["1 CONFIG build succeeded"]);
    let message = case.builds("web")[0].failure().unwrap().message.clone();
    assert_eq!(message, "it took longer than its buildTimeout, the deadline it was given");
    assert_eq!(case.settle().ended, [], "it is not tried again as it is");
}

#[test]
fn an_image_that_is_removed_is_built_no_more() {
    let case = Case::new();
    let images = ["api", "shop", "web"];
    case.apply(images.map(|one| wish(image(one))));
    case.town.hold();
    case.serving(|| {
        case.town.until("two run, and one waits", |state| state.running.len() == 2);
        for one in images {
            case.until_found(one, "c1");
        }
        let running: Vec<_> = case.town.state().running.iter().map(|one| one.name.to_string()).collect();
        let waiting = images.iter().find(|one| !running.iter().any(|other| other == *one)).unwrap();
        case.remove(&running[0]);
        case.remove(waiting);
        case.town.until("it ends", |state| state.running.len() == 1);
        case.town.let_all_go();
        case.town.until("the other is built", |state| state.pushes == 1 && state.running.is_empty());
        case.until_told(&running[1], "1 CONFIG build succeeded");
    });
    assert_eq!(case.town.began().len(), 2, "what waited never began");
    let left = case.records.snapshot().unwrap().images;
    assert_eq!(left.len(), 1);
}

/// Removed and wished for anew in one moment: the old build's end is not the new one's.
#[test]
fn an_image_that_comes_anew_has_a_build_of_its_own() {
    let case = Case::new();
    case.apply([wish(image("web"))]);
    case.town.hold();
    case.serving(|| {
        case.town.until("it runs", |state| !state.running.is_empty());
        case.remove("web");
        let mut other = image("web");
        other.spec.tag = "registry.example.com/team-a/other".parse().unwrap();
        case.apply([wish(other)]);
        case.town.let_all_go();
        case.town
            .until("the new one is built", |state| state.registry.contains_key("registry.example.com/team-a/other"));
    });
    case.settle();
    assert_eq!(case.told("web"), ["1 CONFIG build succeeded"]);
    assert_eq!(case.town.began().len(), 2);
}

#[test]
fn records_go_as_the_limits_say() {
    let case = Case::new();
    let mut short = image("web");
    (short.spec.success_build_history_limit, short.spec.failed_build_history_limit) = (2, 1);
    case.apply([wish(short)]);
    case.settle();
    for turn in 0..4 {
        if turn < 2 {
            case.town.fates("web", &[Fate::Fails(Fault::App)]);
        }
        case.amend("web", |record| record.image.status.triggers += 1);
        case.settle();
    }
    let told = ["3 TRIGGER build failed by App", "4 TRIGGER build succeeded", "5 TRIGGER build succeeded"];
    assert_eq!(case.told("web"), told);
    assert_eq!(case.record("web").image.status.build_counter, 5);
}

/// Turned back by hand to its only build.
#[test]
fn a_roll_back_is_over_when_the_next_build_begins() {
    let case = Case::new();
    let mut short = image("web");
    short.spec.success_build_history_limit = 1;
    case.apply([wish(short)]);
    case.settle();
    case.amend("web", |record| {
        let mut second = record.builds[0].clone();
        second.number = 2;
        second.mode = Mode::Rollback;
        record.image.status.build_counter = 2;
        record.image.status.rollback = Some(Rollback { to: 1, wish: second.inputs.wish() });
        record.builds.push(second);
    });
    case.settle();
    assert_eq!(case.builds("web").len(), 2, "it stays so");
    case.town.commit("web", "c2");
    case.town.pass(60);
    case.settle();
    assert_eq!(case.record("web").image.status.rollback, None);
    assert_eq!(case.told("web"), ["3 COMMIT build succeeded"], "and nothing keeps what it was turned back to");
}

#[test]
fn only_what_is_asked_for_is_looked_after() {
    let case = Case::new();
    case.apply([wish(image("web")), wish(image("api"))]);
    case.settle_in(&Scope::Builders);
    assert_eq!((case.town.count("builder default"), case.town.began().len()), (1, 0));
    assert_eq!(case.settle_in(&only(&["web"])).ended.len(), 1);
    assert_eq!((case.town.count("source web"), case.town.count("source api")), (1, 0));
    assert_eq!(case.builds("api"), []);
}

#[test]
fn a_builder_that_was_turned_back_stays_until_its_wish_is_another() {
    let case = Case::built(&["web"]);
    case.apply([stack("old", "patched")]);
    case.settle();
    let back = case.records.amend_builder(&cluster("default"), &mut |record| {
        record.made.rollback = Some(TurnedBack { to: 1, generation: record.builder.metadata.generation });
        Ok(())
    });
    assert_eq!(back.unwrap().unwrap().made.revisions.len(), 2);
    case.settle();
    case.apply([stack("old", "patched-again")]);
    case.settle();
    let mut told = vec!["1 CONFIG build succeeded", "2 STACK rebase succeeded", "3 STACK rebase succeeded"];
    assert_eq!(case.told("web"), told, "it went back once, and no further update came through");
    let (first, third) = (&case.builds("web")[0], &case.builds("web")[2]);
    assert_eq!(first.made().unwrap().run_image, third.made().unwrap().run_image);
    case.apply([stack("new", "new"), builder("default", "new")]);
    case.settle();
    told.push("4 STACK rebase succeeded");
    assert_eq!(case.told("web"), told);
}

#[test]
fn a_removed_builder_takes_no_image_along() {
    let case = Case::built(&["web"]);
    assert!(case.records.remove(&Id::Builder(cluster("default"))).unwrap());
    assert_eq!(case.settle().ended, []);
    assert_eq!(case.line("web"), "cannot be told yet: there is no such builder");
    case.apply([builder("default", "old")]);
    assert_eq!(case.settle().ended, [], "the same builder again is no reason to build");
}
