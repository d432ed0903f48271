//! Which records go, what builds are tagged, and what becomes of images that are locked and turned back.

use super::*;
use crate::{
    decide::{SourceState, Verdict, Why},
    resource::{build::Fault, image::Image},
    testing::{Case, START, commit, digest, image},
};

/// Scenario 39.
#[test]
fn a_build_has_a_tag_of_its_own() {
    let tags = |change: fn(&mut Image)| {
        let mut image = image("web");
        change(&mut image);
        tags(&image, 7, START).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(tags(|_| {}), ["registry.example.com/team-a/web", "registry.example.com/team-a/web:b7.20261130.060000"]);
    let v1 = |image: &mut Image| image.spec.tag = "registry.example.com/team-a/web:v1".parse().unwrap();
    assert_eq!(tags(v1)[1], "registry.example.com/team-a/web:v1-b7.20261130.060000");
    let latest = |image: &mut Image| image.spec.tag = "registry.example.com/team-a/web:latest".parse().unwrap();
    assert_eq!(tags(latest)[1], "registry.example.com/team-a/web:b7.20261130.060000");
    assert_eq!(
        tags(|image| {
            image.spec.image_tagging_strategy = Tagging::None;
            image.spec.additional_tags = vec!["registry.example.com/all/web:x".parse().unwrap()];
        }),
        ["registry.example.com/team-a/web", "registry.example.com/all/web:x"]
    );
}

/// An image with so many successful builds.
fn built(times: usize) -> Case {
    let mut case = Case::built();
    for at in 1..times {
        case.commit(&format!("c{}", at + 1));
        case.build();
    }
    case
}

fn gone(case: &Case) -> Vec<u64> {
    surplus(&case.image, &case.builds).iter().map(|surplus| surplus.number).collect()
}

/// Scenario 33.
#[test]
fn the_oldest_beyond_the_limit_go() {
    let case = built(12);
    assert_eq!(gone(&case), [1, 2]);
    let told = surplus(&case.image, &case.builds)[0].to_string();
    assert_eq!(told, "build 1 goes: 10 successful builds are kept, and there are 12");
    assert_eq!(gone(&built(10)), [] as [u64; 0]);
}

#[test]
fn failed_builds_are_counted_apart() {
    let mut case = built(2);
    case.image.spec.failed_build_history_limit = 1;
    for at in 0..3 {
        case.commit(&format!("broken {at}"));
        case.failing(Fault::App);
    }
    assert_eq!(gone(&case), [3, 4]);
    // Sweeping leaves what it compares with: the next question has the same answer.
    let before = case.line();
    case.builds.retain(|build| ![3, 4].contains(&build.number));
    assert_eq!(case.line(), before);
    assert_eq!(gone(&case), [] as [u64; 0]);
}

/// What failed by chance says nothing of inputs: what came before it is still compared with.
#[test]
fn what_the_next_decision_compares_with_stays_behind_a_failure_by_chance() {
    let mut case = built(1);
    case.image.spec.failed_build_history_limit = 1;
    case.commit("broken");
    case.failing(Fault::App);
    case.env(&[("A", "1")]);
    case.failing(Fault::Transient);
    assert_eq!((case.decide().compared_with, gone(&case)), (Some(2), vec![]));
    case.now += 3600;
    case.failing(Fault::Transient);
    assert_eq!((case.decide().compared_with, gone(&case)), (Some(2), vec![3]), "what is in between goes");
    // The same wish as the one that failed is still known to fail.
    case.builds.retain(|build| build.number != 3);
    case.env(&[]);
    assert!(case.line().contains("the same failed in build 2"), "{}", case.line());
}

#[test]
fn what_is_in_use_stays() {
    let mut case = built(5);
    case.image.spec.success_build_history_limit = 1;
    assert_eq!(gone(&case), [1, 2, 3, 4]);
    case.builds[0].pinned = true;
    assert_eq!(gone(&case), [2, 3, 4], "a pinned one stays");
    case.image.status.lock = Some(lock(&case.image, &case.builds, 3).unwrap());
    assert_eq!(gone(&case), [2, 4], "the one that the image is locked to stays");
    case.commit("broken");
    case.failing(Fault::App);
    assert_eq!(gone(&case), [2, 4], "the newest success stays behind a failure");
    case.commit("next");
    case.begin();
    assert_eq!(gone(&case), [2, 4], "what runs stays");
}

#[test]
fn numbers_never_come_twice() {
    let mut case = built(3);
    case.builds.clear();
    assert_eq!(case.start().number, 4);
    case.image.status.build_counter = 0;
    case.builds = built(3).builds;
    case.commit("next");
    assert_eq!(case.start().number, 4);
}

#[test]
fn a_locked_image_keeps_its_builder() {
    let mut case = built(2);
    case.image.status.lock = Some(lock(&case.image, &case.builds, 2).unwrap());
    assert_eq!(case.line(), "up to date since build 2");
    case.run_image("run 2");
    case.buildpacks(&["stave/java@2.0.0"]);
    let line = case.line();
    assert!(
        line.starts_with(
            "not updated, because it is locked to the builder of build 2: the builder no longer has stave/java@1.0.0; the run \
             image changed from"
        ),
        "{line}"
    );
    // What its owner changes is built, by what is locked.
    case.commit("c9");
    assert_eq!(case.build(), "COMMIT build");
    assert_eq!(case.builds[2].made().unwrap().run_image.digest(), digest("run 1"));
    case.image.status.lock = None;
    assert_eq!(case.build(), "BUILDPACK,STACK build");
}

#[test]
fn a_locked_image_needs_no_builder() {
    let mut case = built(1);
    case.image.status.lock = Some(lock(&case.image, &case.builds, 1).unwrap());
    case.builder = crate::decide::BuilderState::Missing;
    case.commit("c2");
    assert_eq!(case.build(), "COMMIT build");
}

#[test]
fn an_image_is_turned_back_until_its_source_changes() {
    let mut case = built(3);
    let first = case.builds[0].made().unwrap().image.clone();
    let TurnedBack { build, rollback } = turn_back(&case.image, &case.builds, 1, &commit("c3"), case.now).unwrap();
    assert_eq!((build.number, build.mode, build.made().unwrap().image.clone()), (4, Mode::Rollback, first));
    assert_eq!(build.changes[0].reason, Reason::Rollback);
    assert_eq!(build.tags[1].to_string(), "registry.example.com/team-a/web:b4.20261130.060300");
    case.builds.push(build);
    case.image.status.rollback = Some(rollback);
    let Verdict::Held(held) = case.decide().verdict else { panic!("{}", case.line()) };
    assert_eq!((held.why, held.changes[0].reason), (Why::RolledBack { to: 1 }, Reason::Commit));
    case.run_image("run 2");
    assert!(case.line().starts_with("not built, because it was turned back to build 1"), "{}", case.line());
    // The way forward: a new commit, or a hand.
    let mut asked = case.clone();
    asked.trigger();
    assert_eq!(asked.build(), "TRIGGER,COMMIT,STACK build");
    case.commit("c4");
    assert_eq!(case.build(), "COMMIT,STACK build");
    assert_eq!(case.builds[4].number, 5);
}

#[test]
fn only_what_made_an_image_can_be_taken_again() {
    let mut case = built(2);
    case.commit("broken");
    case.failing(Fault::App);
    let SourceState::Ready(source) = case.source.clone() else { panic!("{:?}", case.source) };
    let turn_back =
        |case: &Case, number| turn_back(&case.image, &case.builds, number, &source, case.now).unwrap_err().to_string();
    assert_eq!(turn_back(&case, 9), "team-a/web has no build 9; those that made an image are 1, 2");
    assert_eq!(turn_back(&case, 3), "build 3 of team-a/web made no image; those that made an image are 1, 2");
    assert_eq!(turn_back(&case, 2), "team-a/web is what build 2 made");
    case.commit("c4");
    case.begin();
    assert_eq!(turn_back(&case, 1), "build 4 of team-a/web is running");
    let none = lock(&image("web"), &[], 1).unwrap_err().to_string();
    assert_eq!(none, "team-a/web has no build 1, nor any that made an image");
}

#[test]
fn what_builds_usually_take_is_the_middle_of_the_last() {
    let mut case = built(3);
    for (build, seconds) in case.builds.iter_mut().zip([10, 500, 20]) {
        build.finished = Some(build.started + seconds);
    }
    assert_eq!(usual_seconds(&case.builds, Mode::Build), Some(20));
    assert_eq!(usual_seconds(&case.builds, Mode::Rebase), None);
}
