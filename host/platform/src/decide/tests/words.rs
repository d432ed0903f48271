//! What people read of decisions.

use insta::assert_snapshot;

use crate::{decide::explain::explain, resource::build::Fault, testing::Case};

fn told(case: &Case) -> String {
    explain(&case.image, &case.decide())
}

#[test]
fn nothing_is_explained_too() {
    assert_snapshot!(told(&Case::built()), @r#""#);
}

#[test]
fn the_first_build() {
    assert_snapshot!(told(&Case::new()), @r#""#);
}

#[test]
fn a_rebase() {
    let mut case = Case::built();
    case.run_image("run 2");
    assert_snapshot!(told(&case), @r#""#);
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
    assert_snapshot!(told(&case), @r#""#);
}

#[test]
fn what_failed() {
    let mut case = Case::built();
    case.commit("c2");
    case.failing(Fault::App);
    assert_snapshot!(told(&case), @r#""#);
    case.commit("c3");
    case.failing(Fault::Transient);
    assert_snapshot!(told(&case), @r#""#);
}

#[test]
fn unknown_and_running() {
    let mut case = Case::built();
    case.trigger();
    case.begin();
    assert_snapshot!(told(&case), @r#""#);
    case.succeed();
    case.builder = crate::decide::BuilderState::NotReady("stack `base` does not exist".to_owned());
    assert_snapshot!(told(&case), @r#""#);
}
