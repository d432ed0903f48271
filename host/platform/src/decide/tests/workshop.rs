//! The workshop's story and its variants, as far as they are decisions: the expected rows of `build list`.

use serde_json::json;

use crate::{
    decide::{Retry, SourceState, Verdict, Why},
    resource::build::{Fault, Mode, joined},
    testing::{Case, digest, pinned, source},
};

fn jar(contents: &str) -> SourceState {
    let image = pinned("registry.example.com/ns/spring-webdb-source", contents).to_string();
    SourceState::Ready(source(json!({ "registry": { "image": image } })))
}

/// After D1 and D2: built from a jar with the outdated builder.
fn outdated() -> Case {
    let mut case = Case::new();
    case.image.spec.builder.name = "demo-cluster-builder".parse().unwrap();
    case.source = jar("jar 1");
    case.run_image("old");
    assert_eq!(case.build(), "CONFIG build");
    case
}

/// D3: the image is patched to the builder `default`.
fn patched(case: &mut Case) {
    case.image.spec.builder.name = "default".parse().unwrap();
    case.image.metadata.generation += 1;
    case.run_image("new");
}

#[test]
fn the_story() {
    let mut case = outdated();
    let config = &case.builds[0].changes[0];
    assert_eq!(config.old, json!({ "source": {} }));
    assert!(config.new["source"]["registry"]["image"].as_str().unwrap().contains("@sha256:"));
    patched(&mut case);
    assert_eq!(case.build(), "STACK rebase");
    let [first, second] = &case.builds[..] else { panic!("{:?}", case.builds) };
    let (first, made) = (first.made().unwrap(), second.made().unwrap());
    assert_eq!(made.run_image.digest(), digest("new"));
    assert_eq!(made.buildpacks, first.buildpacks, "A3: no buildpack ran");
    assert_ne!(made.image, first.image);
    assert_eq!(second.based_on, Some(1));
}

#[test]
fn v01_the_operator_updates_the_stack_itself() {
    let mut case = outdated();
    case.run_image("new");
    assert_eq!(case.build(), "STACK rebase");
}

#[test]
fn v02_the_same_builder_again() {
    let mut case = outdated();
    patched(&mut case);
    case.build();
    patched(&mut case);
    assert_eq!(case.line(), "up to date since build 2");
}

#[test]
fn v03_a_newer_buildpack_too() {
    let mut case = outdated();
    patched(&mut case);
    case.buildpacks(&["stave/java@1.1.0"]);
    assert_eq!(case.build(), "BUILDPACK,STACK build");
}

#[test]
fn v04_a_newer_lifecycle_too() {
    let mut case = outdated();
    patched(&mut case);
    case.revision().lifecycle = "0.2.0".to_owned();
    assert_eq!(case.build(), "STACK,LIFECYCLE build");
}

#[test]
fn v05_and_v06_another_jar_and_the_same_jar() {
    let mut case = outdated();
    patched(&mut case);
    case.build();
    case.source = jar("jar 2");
    assert_eq!(case.build(), "CONFIG build");
    assert_eq!(case.builds[2].number, 3);
    case.source = jar("jar 2");
    assert_eq!(case.line(), "up to date since build 3");
}

#[test]
fn v07_by_hand() {
    let mut case = outdated();
    patched(&mut case);
    case.build();
    case.trigger();
    assert_eq!(case.build(), "TRIGGER build");
}

#[test]
fn v08_a_commit() {
    let mut case = Case::built();
    case.commit("c2");
    assert_eq!(case.build(), "COMMIT build");
}

#[test]
fn v09_jar_and_builder_in_one() {
    let mut case = outdated();
    patched(&mut case);
    case.source = jar("jar 2");
    assert_eq!(case.build(), "CONFIG,STACK build");
}

#[test]
fn v10_and_v11_a_broken_jar_and_then_a_stack() {
    let mut case = outdated();
    let latest = case.image.status.latest_image.clone();
    case.source = jar("no main class");
    assert_eq!(case.failing(Fault::App), "CONFIG build");
    assert_eq!(case.image.status.latest_image, latest);
    case.run_image("new");
    assert_eq!(case.failing(Fault::App), "STACK build", "kpack: nothing, for ever");
    assert!(matches!(case.decide().verdict, Verdict::Held(_)), "once, and not again");
}

#[test]
fn v13_the_registry_is_down_during_the_rebase() {
    let mut case = outdated();
    patched(&mut case);
    assert_eq!(case.failing(Fault::Transient), "STACK rebase");
    let Verdict::Held(held) = case.decide().verdict else { panic!("{}", case.line()) };
    assert_eq!(held.why, Why::Pause { build: 2, attempt: 1 });
    case.now += Retry::default().first_pause;
    assert_eq!(case.build(), "STACK rebase");
    assert_eq!(case.line(), "up to date since build 3");
}

#[test]
fn v16_the_record_of_build_1_has_everything() {
    let mut case = outdated();
    patched(&mut case);
    case.build();
    let first = &case.builds[0];
    assert_eq!(joined(&first.changes), "CONFIG");
    assert_eq!(first.inputs.builder.to_string(), "ClusterBuilder demo-cluster-builder");
    assert_eq!(first.made().unwrap().run_image.digest(), digest("old"));
    let text = serde_json::to_string(first).unwrap();
    let read: crate::resource::build::Build = serde_json::from_str(&text).unwrap();
    assert_eq!(read, *first);
}

#[test]
fn v17_the_way_back() {
    let mut case = outdated();
    patched(&mut case);
    case.build();
    case.image.spec.builder.name = "demo-cluster-builder".parse().unwrap();
    case.run_image("old");
    assert_eq!((case.start().mode, case.build()), (Mode::Rebase, "STACK rebase".to_owned()));
    let image = |at: usize| case.builds[at].made().unwrap().image.clone();
    assert_eq!(image(2), image(0));
}
