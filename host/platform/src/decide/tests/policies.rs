//! Which updates an image takes by itself, and when.

use serde_json::json;
use stave_model::time;

use crate::{
    decide::{Verdict, Why},
    resource::{build::Fault, policy::Automatic},
    testing::Case,
};

fn with(policy: serde_json::Value) -> Case {
    let mut case = Case::built();
    case.image.spec.update_policy = serde_json::from_value(policy).unwrap();
    case
}

fn held(case: &Case) -> (Why, Option<String>) {
    match case.decide().verdict {
        Verdict::Held(held) => (held.why, held.until.map(time::rfc3339)),
        _ => panic!("{}", case.line()),
    }
}

#[test]
fn none_takes_nothing_but_what_its_owner_wishes() {
    let mut case = with(json!({ "automatic": "none" }));
    case.run_image("run 2");
    case.buildpacks(&["stave/java@2.0.0"]);
    assert_eq!(held(&case), (Why::Policy(Automatic::None), None));
    let line = case.line();
    assert!(line.starts_with("not updated, because its policy takes no updates: the builder no longer has"), "{line}");
    // A build takes what there is: old buildpacks are not in the builder any more.
    case.commit("c2");
    assert_eq!(case.build(), "COMMIT,BUILDPACK,STACK build");
    assert_eq!(case.line(), "up to date since build 2");
}

#[test]
fn stack_only_takes_run_images_and_leaves_buildpacks() {
    let mut case = with(json!({ "automatic": "stackOnly" }));
    case.buildpacks(&["stave/java@2.0.0"]);
    assert_eq!(held(&case).0, Why::Policy(Automatic::StackOnly));
    case.run_image("run 2");
    assert_eq!(case.build(), "STACK rebase", "nothing else is taken, so it is a rebase");
    assert_eq!(case.builds[1].made().unwrap().buildpacks[0].title(), "stave/java@1.0.0");
    assert_eq!(held(&case).0, Why::Policy(Automatic::StackOnly));
    // Another stack needs a build, and that would run the newer buildpack.
    case.run_image("run 3");
    case.revision().stack_id = "io.example.full".to_owned();
    assert_eq!(held(&case).0, Why::NeedsBuild);
    case.buildpacks(&["stave/java@1.0.0"]);
    assert_eq!(case.build(), "STACK build");
}

#[test]
fn windows_hold_updates_and_nothing_else() {
    // The tests begin on a Monday at six.
    let mut case = with(json!({ "windows": [{ "days": ["Tue"], "from": "02:00", "to": "04:00" }] }));
    case.run_image("run 2");
    assert_eq!(held(&case), (Why::Window, Some("2026-12-01T02:00:00Z".to_owned())));
    assert!(
        case.line().starts_with(
            "not updated until 2026-12-01T02:00:00Z, because its policy takes updates at other times: the"
        )
    );
    let mut hurried = case.clone();
    hurried.trigger();
    assert_eq!(hurried.build(), "TRIGGER,STACK build");
    case.now = time::seconds("2026-12-01T02:00:00Z").unwrap();
    assert_eq!(case.failing(Fault::Transient), "STACK rebase");
    // A second attempt is an update too: outside its time it waits.
    case.now = time::seconds("2026-12-01T04:00:00Z").unwrap();
    assert_eq!(held(&case).0, Why::Window);
    case.now = time::seconds("2026-12-08T02:00:00Z").unwrap();
    assert_eq!(case.build(), "STACK rebase");
}

#[test]
fn an_image_that_takes_no_updates_is_not_healed_by_one() {
    let mut case = with(json!({ "automatic": "none" }));
    case.commit("broken");
    case.failing(Fault::App);
    case.buildpacks(&["stave/java@2.0.0"]);
    assert_eq!(held(&case).0, Why::Policy(Automatic::None));
}
