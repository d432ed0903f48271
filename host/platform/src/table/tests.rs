//! The layouts, by example.

use insta::assert_snapshot;
use serde_json::json;

use super::{
    lists::{self, ImageRow},
    statuses,
};
use crate::{
    decide::status::{Condition, Status, conditions},
    plan::{
        Rules, plan,
        world::{BuilderKey, Change, Known, StackState, World},
    },
    resource::{build::Fault, builder::BuilderSpec, source::Source},
    testing::{Case, START, buildpack, pinned, revision},
};

fn ready(case: &Case) -> Condition {
    conditions(&case.question(), &case.decide()).remove(0)
}

/// Digests are long; what they are of is enough here.
fn shortened(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("sha256:") {
        shown.push_str(&format!("{before}sha256:{}", &after[..4]));
        rest = &after[64..];
    }
    shown + rest
}

/// Built, failed, and running.
fn three() -> Case {
    let mut case = Case::built();
    case.commit("c2");
    case.env(&[("BP_JVM_VERSION", "99")]);
    case.failing(Fault::App);
    case.trigger();
    case.begin();
    case
}

#[test]
fn columns_are_four_spaces_apart() {
    let mut table = super::Table::new(&["NAME", "READY", "ID"]);
    table.row(["a-long-name", "True", "x\u{1b}[2J"]);
    table.row(["b", "", ""]);
    assert_eq!(
        table.render(),
        "NAME           READY    ID\na-long-name    True     x\\u{1b}[2J\nb                       \n\n"
    );
}

#[test]
fn the_list_of_builds() {
    assert_snapshot!(shortened(&lists::builds(&three().builds)), @r#""#);
}

#[test]
fn the_list_of_images() {
    let (one, mut two) = (three(), Case::new());
    two.image.metadata.name = "api".parse().unwrap();
    let (first, second) = (ready(&one), ready(&two));
    let rows = [
        ImageRow { image: &one.image, builds: &one.builds, ready: &first },
        ImageRow { image: &two.image, builds: &two.builds, ready: &second },
    ];
    assert_snapshot!(shortened(&lists::images(&rows)), @r#""#);
}

#[test]
fn the_status_of_an_image() {
    let case = three();
    assert_snapshot!(shortened(&statuses::image(&case.image, &case.builds, &ready(&case))), @r#""#);
    let mut fresh = Case::new();
    fresh.image.spec.source = Source {
        registry: Some(serde_json::from_value(json!({ "image": pinned("web-source", "jar").to_string() })).unwrap()),
        ..Source::default()
    };
    assert_snapshot!(shortened(&statuses::image(&fresh.image, &fresh.builds, &ready(&fresh))), @r#""#);
}

#[test]
fn the_status_of_a_build() {
    let case = three();
    assert_snapshot!(shortened(&statuses::build(&case.builds[0])), @r#""#);
    assert_snapshot!(shortened(&statuses::build(&case.builds[1])), @r#""#);
    assert_snapshot!(shortened(&statuses::build(&case.builds[2])), @r#""#);
}

#[test]
fn builders_stacks_and_stores() {
    let mut revision = revision("run 1", &["stave/java@1.0.0", "stave/procfile@1.0.0"]);
    revision.order[1].group[0].optional = true;
    let rows = [("default", Status::True, Some(&revision)), ("broken", Status::False, None)];
    assert_snapshot!(shortened(&lists::builders(rows)), @r#""#);
    let spec = json!({ "stack": { "name": "base" }, "store": { "name": "default" } });
    let spec: BuilderSpec = serde_json::from_value(spec).unwrap();
    assert_snapshot!(shortened(&statuses::builder(&spec, Ok(&revision))), @r#""#);
    assert_snapshot!(statuses::builder(&spec, Err("the ClusterStack base does not exist")), @r#""#);
    let state = StackState { id: "io.example.base".to_owned(), run_image: pinned("registry.example.com/run", "1") };
    assert_snapshot!(lists::stacks([("base", Status::True, "io.example.base"), ("old", Status::Unknown, "")]), @r#""#);
    assert_snapshot!(shortened(&statuses::stack(Ok(&state), None)), @r#""#);
    assert_snapshot!(statuses::stack(Err("it cannot be read"), None), @r#""#);
    assert_snapshot!(lists::stores([("default", Status::True)]), @r#""#);
    let mut java = buildpack("stave/java@1.0.0");
    java.homepage = Some("https://buildpacks.example.com/java".to_owned());
    assert_snapshot!(statuses::store(Status::True, &[java, buildpack("stave/procfile@1.0.0")]), @r#""#);
}

#[test]
fn a_plan() {
    let mut world = World { lifecycle: "0.1.0".to_owned(), ..World::default() };
    let base = "base".parse().unwrap();
    let stack = |run_image: &str| StackState {
        id: "io.example.base".to_owned(),
        run_image: pinned("registry.example.com/stack/run", run_image),
    };
    world.stacks.insert(base, stack("run 1"));
    world.stores.insert("default".parse().unwrap(), vec![buildpack("stave/java@1.0.0")]);
    let spec = json!({ "stack": { "name": "base" }, "order": [{ "group": [{ "id": "stave/java" }] }] });
    let key = BuilderKey { namespace: None, name: "default".parse().unwrap() };
    world.builders.insert(key, serde_json::from_value(spec).unwrap());
    for (name, policy) in [("api", json!({})), ("fresh", json!({})), ("quiet", json!({ "automatic": "none" }))] {
        let mut case = if name == "fresh" { Case::new() } else { Case::built() };
        case.image.metadata.name = name.parse().unwrap();
        case.image.spec.update_policy = serde_json::from_value(policy).unwrap();
        let known = Known { image: case.image.clone(), builds: case.builds, source: case.source };
        world.images.insert(case.image.key(), known);
    }
    let change = Change::Stack("base".parse().unwrap(), stack("run 2"));
    let told = plan(&world, &change, &Rules::default(), START).unwrap();
    assert_snapshot!(shortened(&lists::plan(&told)), @r#""#);
    let nothing = plan(&world, &Change::Stack("other".parse().unwrap(), stack("x")), &Rules::default(), START).unwrap();
    assert_snapshot!(shortened(&lists::plan(&nothing)), @r#""#);
}
