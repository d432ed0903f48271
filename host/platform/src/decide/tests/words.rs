//! What people read of decisions.

use insta::assert_snapshot;

use crate::{decide::explain::explain, resource::build::Fault, testing::Case};

fn told(case: &Case) -> String {
    explain(&case.image, &case.decide())
}

#[test]
fn nothing_is_explained_too() {
    assert_snapshot!(told(&Case::built()), @r#"
    team-a/web: up to date since build 1
      compared with build 1
      TRIGGER    same     nobody asked for a build
      COMMIT     same     c1
      CONFIG     same     {"source":{"git":{"url":"https://git.example.com/web"}}}
      BUILDPACK  same     stave/java@1.0.0
      STACK      same     sha256:b945d8cb026e35c608337842110ea5e87d6fa88af28b59fc2bec4292be849e2e
      LIFECYCLE  same     0.1.0
    "#);
}

#[test]
fn the_first_build() {
    assert_snapshot!(told(&Case::new()), @r#"
    team-a/web: a build is due, number 1 (CONFIG): there is no build yet
      TRIGGER    skipped  there is no build yet
      COMMIT     skipped  there is no build yet
      CONFIG     differs  {"source":{}} → {"source":{"git":{"url":"https://git.example.com/web"}}}
      BUILDPACK  skipped  there is no build yet
      STACK      skipped  there is no build yet
      LIFECYCLE  skipped  there is no build yet
    "#);
}

#[test]
fn a_rebase() {
    let mut case = Case::built();
    case.run_image("run 2");
    assert_snapshot!(told(&case), @r#"
    team-a/web: a rebase is due, number 2 (STACK): the run image changed from sha256:b945d8cb026e35c608337842110ea5e87d6fa88af28b59fc2bec4292be849e2e to sha256:32d8c6c9dff6239cb98bb54fda1d17ee8d1bdc94d02eeeb0e4434a055604a41d
      compared with build 1
      TRIGGER    same     nobody asked for a build
      COMMIT     same     c1
      CONFIG     same     {"source":{"git":{"url":"https://git.example.com/web"}}}
      BUILDPACK  same     stave/java@1.0.0
      STACK      differs  sha256:b945d8cb026e35c608337842110ea5e87d6fa88af28b59fc2bec4292be849e2e → sha256:32d8c6c9dff6239cb98bb54fda1d17ee8d1bdc94d02eeeb0e4434a055604a41d
      LIFECYCLE  same     0.1.0
    "#);
}

#[test]
fn everything_at_once() {
    let mut case = Case::built();
    case.trigger();
    case.commit("c2");
    case.env(&[("A", "1"), ("B", "\u{1b}[2J")]);
    case.run_image("run 2");
    case.buildpacks(&["stave/procfile@1.0.0"]);
    case.revision().lifecycle = "0.2.0".to_owned();
    assert_snapshot!(told(&case), @r#"
    team-a/web: a build is due, number 2 (TRIGGER,COMMIT,CONFIG,BUILDPACK,STACK,LIFECYCLE): a build was asked for by hand at 2026-11-30T06:01:00Z; the source moved from commit c1 to c2; the image's settings changed: env; the builder no longer has stave/java@1.0.0; the run image changed from sha256:b945d8cb026e35c608337842110ea5e87d6fa88af28b59fc2bec4292be849e2e to sha256:32d8c6c9dff6239cb98bb54fda1d17ee8d1bdc94d02eeeb0e4434a055604a41d; the lifecycle changed from 0.1.0 to 0.2.0; it is not put on another base only, because more than the run image differs from build 1: TRIGGER, COMMIT, CONFIG, BUILDPACK, LIFECYCLE
      compared with build 1
      TRIGGER    differs  nothing → a build was asked for by hand at 2026-11-30T06:01:00Z
      COMMIT     differs  c1 → c2
      CONFIG     differs  {"source":{"git":{"url":"https://git.example.com/web"}}} → {"env":[{"name":"A","value":"1"},{"name":"B","value":"\u001b[2J"}],"source":{"git":{"url":"https://git.example.com/web"}}}
      BUILDPACK  differs  stave/java@1.0.0 → nothing
      STACK      differs  sha256:b945d8cb026e35c608337842110ea5e87d6fa88af28b59fc2bec4292be849e2e → sha256:32d8c6c9dff6239cb98bb54fda1d17ee8d1bdc94d02eeeb0e4434a055604a41d
      LIFECYCLE  differs  0.1.0 → 0.2.0
    "#);
}

#[test]
fn what_failed() {
    let mut case = Case::built();
    case.commit("c2");
    case.failing(Fault::App);
    assert_snapshot!(told(&case), @r#"
    team-a/web: not built, because the same failed in build 2
      compared with build 2
      TRIGGER    same     nobody asked for a build
      COMMIT     same     c2
      CONFIG     same     {"source":{"git":{"url":"https://git.example.com/web"}}}
      BUILDPACK  same     stave/java@1.0.0, stave/procfile@1.0.0
      STACK      same     sha256:b945d8cb026e35c608337842110ea5e87d6fa88af28b59fc2bec4292be849e2e
      LIFECYCLE  same     0.1.0
    "#);
    case.commit("c3");
    case.failing(Fault::Transient);
    assert_snapshot!(told(&case), @r#"
    team-a/web: not built until 2026-11-30T06:03:30Z, because attempt 1 failed by chance in build 3: the source moved from commit c2 to c3
      compared with build 2
      TRIGGER    same     nobody asked for a build
      COMMIT     differs  c2 → c3
      CONFIG     same     {"source":{"git":{"url":"https://git.example.com/web"}}}
      BUILDPACK  same     stave/java@1.0.0, stave/procfile@1.0.0
      STACK      same     sha256:b945d8cb026e35c608337842110ea5e87d6fa88af28b59fc2bec4292be849e2e
      LIFECYCLE  same     0.1.0
    "#);
}

#[test]
fn unknown_and_running() {
    let mut case = Case::built();
    case.trigger();
    case.begin();
    assert_snapshot!(told(&case), @r#"
    team-a/web: build 2 is running
      compared with build 2
      TRIGGER    same     nobody asked for a build
      COMMIT     same     c1
      CONFIG     same     {"source":{"git":{"url":"https://git.example.com/web"}}}
      BUILDPACK  skipped  the build that runs is not over
      STACK      skipped  the build that runs is not over
      LIFECYCLE  skipped  the build that runs is not over
    "#);
    case.succeed();
    case.builder = crate::decide::BuilderState::NotReady("stack `base` does not exist".to_owned());
    assert_snapshot!(told(&case), @r#"
    team-a/web: cannot be told yet: the builder is not ready: stack `base` does not exist
    "#);
}
