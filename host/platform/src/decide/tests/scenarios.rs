//! Scenarios 1 to 25: what is a reason to build, and what is not.

use serde_json::json;

use crate::{
    decide::{BuilderState, Priority, SourceState, Verdict, status::conditions},
    resource::{
        build::{Mode, Reason},
        reference::Pinned,
    },
    testing::{Case, commit, digest, pinned, source},
};

/// `Ready` as `status reason: message`.
fn ready(case: &Case) -> String {
    let conditions = conditions(&case.question(), &case.decide());
    let ready = &conditions[0];
    format!("{} {}: {}", ready.status.as_str(), ready.reason, ready.message)
}

/// A change to an image that was built once: `none`, or the reasons and the mode of the next build.
fn after(change: impl FnOnce(&mut Case)) -> String {
    let mut case = Case::built();
    change(&mut case);
    match case.decide().verdict {
        Verdict::UpToDate { build: 1 } => "none".to_owned(),
        Verdict::Start(_) => case.begin(),
        _ => panic!("{}", case.line()),
    }
}

#[test]
fn scenario_01_a_new_image_is_built_because_of_its_settings() {
    let mut case = Case::new();
    assert_eq!(case.start().number, 1);
    assert_eq!(case.begin(), "CONFIG build");
    assert_eq!(ready(&case), "Unknown BuildRunning: build 1 is running");
    case.succeed();
    assert_eq!(ready(&case), "True UpToDate: ");
}

#[test]
fn scenario_02_nothing_changed_and_nothing_happens() {
    let case = Case::built();
    assert_eq!(case.line(), "up to date since build 1");
    assert_eq!(case.decide(), case.decide());
}

#[test]
fn scenario_03_a_builder_may_come_later() {
    let mut case = Case::new();
    let builder = std::mem::replace(&mut case.builder, BuilderState::Missing);
    assert_eq!(ready(&case), "False BuilderNotFound: there is no ClusterBuilder default");
    case.builder = builder;
    assert_eq!(case.begin(), "CONFIG build");
}

#[test]
fn scenario_04_a_builder_that_is_not_ready_says_why() {
    let mut case = Case::new();
    case.builder = BuilderState::NotReady("stack `base` does not exist".to_owned());
    assert_eq!(ready(&case), "False BuilderNotReady: the builder is not ready: stack `base` does not exist");
    case.builder = BuilderState::Stale;
    assert_eq!(case.line(), "cannot be told yet: the builder is not ready: it was changed, and is not made yet");
}

#[test]
fn scenario_05_a_source_that_is_not_found_says_why() {
    let mut case = Case::new();
    case.source = SourceState::NotReady("no such host\u{1b}[2J".to_owned());
    assert_eq!(ready(&case), r"Unknown ResolverNotReady: the source is not ready: no such host\u{1b}[2J");
    case.commit("c1");
    assert_eq!(case.begin(), "CONFIG build");
}

#[test]
fn scenario_06_an_old_source_is_not_built() {
    let mut case = Case::built();
    case.source = SourceState::Stale;
    assert_eq!(
        case.line(),
        "cannot be told yet: the source is not ready: the source was changed, and is not looked up yet"
    );
}

#[test]
fn scenario_07_variables_and_resources_are_settings() {
    assert_eq!(after(|case| case.env(&[("A", "1")])), "CONFIG build");
    let mut case = Case::new();
    case.env(&[("A", "1"), ("B", "2")]);
    case.image.spec.build.resources = serde_json::from_value(json!({ "limits": { "cpu": "1" } })).unwrap();
    case.build();
    case.image.spec.build.resources = serde_json::from_value(json!({ "limits": { "cpu": "1000m" } })).unwrap();
    assert_eq!(case.line(), "up to date since build 1", "it is the same amount");
    case.env(&[("B", "2"), ("A", "1")]);
    assert_eq!(case.begin(), "CONFIG build", "the sequence counts");
}

#[test]
fn scenario_08_what_is_no_reason_waits_for_the_next_build() {
    assert_eq!(after(|case| case.image.spec.service_account_name = "other".to_owned()), "none");
    assert_eq!(after(|case| case.image.spec.default_process = Some("worker".parse().unwrap())), "none");
    assert_eq!(after(|case| case.image.spec.build.build_timeout = Some(60)), "none");
    let tag = "registry.example.com/team-a/web:more";
    assert_eq!(after(|case| case.image.spec.additional_tags = vec![tag.parse().unwrap()]), "none");
    let cache = json!({ "volume": { "size": "2G" } });
    assert_eq!(after(|case| case.image.spec.cache = Some(serde_json::from_value(cache).unwrap())), "none");
    let mut case = Case::built();
    case.image.spec.additional_tags = vec![tag.parse().unwrap()];
    case.commit("c2");
    case.begin();
    assert_eq!(case.builds[1].tags[2].to_string(), tag);
}

#[test]
fn scenario_09_a_binding_is_a_setting() {
    let service = json!({ "kind": "Secret", "name": "maven" });
    assert_eq!(
        after(|case| case.image.spec.build.services = vec![serde_json::from_value(service).unwrap()]),
        "CONFIG build"
    );
}

#[test]
fn scenario_10_commits() {
    assert_eq!(after(|case| case.commit("c2")), "COMMIT build");
    let other_url = source(json!({ "git": { "url": "https://git.example.com/moved", "revision": "c1" } }));
    assert_eq!(after(|case| case.source = SourceState::Ready(other_url)), "CONFIG build");
    // A tag that names the same commit.
    assert_eq!(
        after(|case| {
            case.image.spec.source.git.as_mut().unwrap().revision = "v1".to_owned();
            case.source = SourceState::Ready(commit("c1"));
        }),
        "none"
    );
    let archive = source(json!({ "blob": { "url": "https://files.example.com/web.jar" } }));
    assert_eq!(after(|case| case.source = SourceState::Ready(archive)), "CONFIG build", "it is no commit any more");
}

#[test]
fn scenario_11_two_reasons_are_told_in_order() {
    let told = after(|case| {
        case.env(&[("A", "1")]);
        case.commit("c2");
    });
    assert_eq!(told, "COMMIT,CONFIG build");
}

#[test]
fn scenario_12_the_apps_folder() {
    let at = |revision: &str, tree: Option<&str>, folder: &str| {
        let git = json!({ "url": "https://git.example.com/web", "revision": revision, "tree": tree });
        SourceState::Ready(source(json!({ "git": git, "subPath": folder })))
    };
    assert_eq!(after(|case| case.source = at("c1", None, "app")), "CONFIG build");
    let next = |then: SourceState, now: SourceState| {
        let mut case = Case::new();
        case.source = then;
        case.build();
        case.source = now;
        if matches!(case.decide().verdict, Verdict::Start(_)) { case.begin() } else { case.line() }
    };
    assert_eq!(next(at("c1", Some("t1"), "app"), at("c2", Some("t1"), "app")), "up to date since build 1");
    assert_eq!(next(at("c1", Some("t1"), "app"), at("c2", Some("t2"), "app")), "COMMIT build");
    assert_eq!(next(at("c1", Some("t1"), "app"), at("c1", Some("t1"), "lib")), "CONFIG build");
    assert_eq!(next(at("c1", None, "app"), at("c2", Some("t2"), "app")), "COMMIT build");
}

#[test]
fn scenario_13_an_archive() {
    let at = |url: &str, contents: Option<&str>| {
        let digest = contents.map(|contents| digest(contents).to_string());
        SourceState::Ready(source(json!({ "blob": { "url": url, "digest": digest } })))
    };
    let next = |then: SourceState, now: SourceState| {
        let mut case = Case::new();
        case.source = then;
        case.build();
        case.source = now;
        if matches!(case.decide().verdict, Verdict::Start(_)) { case.begin() } else { "none".to_owned() }
    };
    assert_eq!(next(at("a", None), at("b", None)), "CONFIG build");
    assert_eq!(next(at("a", None), at("a", None)), "none", "nobody looked: new contents are not noticed");
    assert_eq!(next(at("a", Some("x")), at("a", Some("y"))), "CONFIG build", "better than kpack: somebody looked");
    assert_eq!(next(at("a", None), at("a", Some("y"))), "none");
}

#[test]
fn scenario_14_an_uploaded_folder() {
    let sent = |repository: &str, contents: &str| {
        let image = pinned(repository, contents).to_string();
        SourceState::Ready(source(json!({ "registry": { "image": image } })))
    };
    let mut case = Case::new();
    case.source = sent("registry.example.com/team-a/web-source", "jar 1");
    case.build();
    case.source = sent("registry.example.com/team-a/web-source", "jar 1");
    assert_eq!(case.line(), "up to date since build 1", "the same bytes");
    case.source = sent("registry.example.com/elsewhere/web-source", "jar 1");
    assert_eq!(case.line(), "up to date since build 1", "the same bytes, wherever they are");
    case.source = sent("registry.example.com/team-a/web-source", "jar 2");
    assert_eq!(case.begin(), "CONFIG build");
}

#[test]
fn scenario_15_buildpacks_that_took_part() {
    let more = ["stave/java@1.0.0", "stave/procfile@1.0.0", "stave/node@1.0.0"];
    assert_eq!(after(|case| case.buildpacks(&more)), "none", "one that is not used");
    assert_eq!(after(|case| case.buildpacks(&["stave/java@1.0.0", "stave/procfile@2.0.0"])), "none");
    let mut case = Case::built();
    case.buildpacks(&["stave/java@1.1.0", "stave/procfile@1.0.0"]);
    let start = case.start();
    assert_eq!((start.mode, start.priority), (Mode::Build, Priority::Low));
    assert_eq!(start.changes[0].old, json!([{ "id": "stave/java", "version": "1.0.0" }]));
    assert_eq!(start.changes[0].new, json!([]));
    // Both versions in the builder: the one that was used is still there.
    case.buildpacks(&["stave/java@1.1.0", "stave/java@1.0.0"]);
    assert_eq!(case.line(), "up to date since build 1");
}

#[test]
fn scenario_15_another_component_under_the_same_version_is_another_buildpack() {
    let mut case = Case::built();
    case.revision().buildpacks[0].digest = Some(digest("published again"));
    let change = case.start().changes.remove(0);
    assert_eq!(change.reason, Reason::Buildpack);
    assert_eq!(change.new, json!([{ "id": "stave/java", "version": "1.0.0", "digest": digest("published again") }]));
    // A record from elsewhere knows versions only, and they suffice.
    case.revision().buildpacks[0].digest = None;
    assert_eq!(case.line(), "up to date since build 1");
}

#[test]
fn scenario_16_a_buildpack_that_is_gone() {
    let mut case = Case::built();
    case.buildpacks(&["stave/procfile@1.0.0"]);
    assert_eq!(case.failing(crate::resource::build::Fault::App), "BUILDPACK build");
    assert_eq!(case.builds[1].based_on, Some(1));
    assert!(
        ready(&case).starts_with("False BuildFailed: build 2 failed: it broke; not built, because the same failed")
    );
    assert_eq!(case.image.status.latest_image, case.builds[0].made().map(|made| made.image.clone()));
}

#[test]
fn scenario_17_another_run_image_is_a_rebase() {
    let mut case = Case::built();
    case.run_image("run 2");
    let start = case.start();
    assert_eq!((start.mode, start.priority, start.based_on), (Mode::Rebase, Priority::Low, Some(1)));
    assert_eq!(start.changes[0].old, json!(digest("run 1").to_string()));
    assert_eq!(start.changes[0].new, json!(digest("run 2").to_string()));
    let moved = |case: &mut Case| case.revision().run_image = pinned("registry.example.com/copy/run", "run 1");
    assert_eq!(after(moved), "none", "the same image in another place");
}

#[test]
fn scenario_18_another_lifecycle_is_a_build() {
    assert_eq!(after(|case| case.revision().lifecycle = "0.2.0".to_owned()), "LIFECYCLE build");
}

#[test]
fn scenario_19_more_than_the_stack_is_a_build() {
    let told = after(|case| {
        case.run_image("run 2");
        case.buildpacks(&["stave/java@1.1.0"]);
    });
    assert_eq!(told, "BUILDPACK,STACK build");
}

#[test]
fn scenario_20_another_stack_is_a_build() {
    let mut case = Case::built();
    case.run_image("run 2");
    case.revision().stack_id = "io.example.full".to_owned();
    assert!(case.line().ends_with(
        "; it is not put on another base only, because the image is of the stack io.example.base, and the builder of \
         io.example.full"
    ));
    assert_eq!(case.begin(), "STACK build");
}

#[test]
fn scenario_21_a_hand_and_a_stack_are_a_build() {
    let told = after(|case| {
        case.run_image("run 2");
        case.trigger();
    });
    assert_eq!(told, "TRIGGER,STACK build");
}

#[test]
fn scenario_22_a_hand_gives_the_same_image_again() {
    let mut case = Case::built();
    case.trigger();
    assert_eq!(case.start().priority, Priority::High);
    assert_eq!(case.build(), "TRIGGER build");
    let image = |at: usize| -> Pinned { case.builds[at].made().unwrap().image.clone() };
    assert_eq!(image(0), image(1));
    assert_eq!(case.line(), "up to date since build 2");
}

#[test]
fn scenario_23_a_hand_during_a_build_is_one_more() {
    let mut case = Case::new();
    case.begin();
    case.trigger();
    case.trigger();
    assert!(
        case.line().starts_with("build 1 is running, and what came since waits for it: a build was asked for by hand")
    );
    case.succeed();
    assert_eq!(case.build(), "TRIGGER build");
    assert_eq!(case.line(), "up to date since build 2");
}

#[test]
fn scenario_24_commits_during_a_build_are_one_more() {
    let mut case = Case::new();
    case.begin();
    for revision in ["c2", "c3", "c4"] {
        case.commit(revision);
        assert_eq!(
            case.line(),
            format!(
                "build 1 is running, and what came since waits for it: the source moved from commit c1 to {revision}"
            )
        );
    }
    case.succeed();
    assert_eq!(case.build(), "COMMIT build");
    assert_eq!(case.builds[1].inputs.source.commit(), Some("c4"));
    assert_eq!(case.line(), "up to date since build 2");
}

#[test]
fn scenario_25_another_builder_matters_by_what_it_has() {
    let other = |case: &mut Case| case.image.spec.builder.name = "other".parse().unwrap();
    assert_eq!(after(other), "none");
    let mut case = Case::new();
    case.run_image("run 2");
    case.build();
    other(&mut case);
    case.run_image("run 1");
    assert_eq!(case.begin(), "STACK rebase", "the way back is a way too");
}
