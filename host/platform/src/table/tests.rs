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
        shown = shown + before + "sha256:" + &after[..4];
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
fn blocks_have_keys_of_one_width_and_an_empty_line() {
    let block = super::Block::titled("Source").with("Type", "Blob").with("Revision", "");
    assert_eq!(block.render(), "Source\nType:        Blob\nRevision:    --\n\n");
}

#[test]
fn the_list_of_builds() {
    assert_snapshot!(lists::builds(&three().builds), @r#"
    BUILD    STATUS      BUILT IMAGE                                                                                                REASON     IMAGE RESOURCE
    1        SUCCESS     registry.example.com/team-a/web@sha256:11fe5f540c46f3d6b2ecf5584934e4d24076840bddfe06a4dd07d1deb77a978e    CONFIG     web
    2        FAILURE                                                                                                                CONFIG+    web
    3        BUILDING                                                                                                               TRIGGER    web
    "#);
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
    assert_snapshot!(lists::images(&rows), @r#"
    NAME    READY      LATEST REASON    LATEST IMAGE                                                                                               NAMESPACE
    api     Unknown                                                                                                                                team-a
    web     Unknown    TRIGGER          registry.example.com/team-a/web@sha256:11fe5f540c46f3d6b2ecf5584934e4d24076840bddfe06a4dd07d1deb77a978e    team-a
    "#);
}

#[test]
fn the_status_of_an_image() {
    let case = three();
    assert_snapshot!(shortened(&statuses::image(&case.image, &case.builds, &ready(&case))), @r#"
    Status:         Building
    Message:        build 3 is running
    LatestImage:    registry.example.com/team-a/web@sha256:11fe

    Source
    Type:        GitUrl
    Url:         https://git.example.com/web
    Revision:    main

    Builder Ref
    Name:    default
    Kind:    ClusterBuilder

    Last Successful Build
    Id:              1
    Build Reason:    CONFIG
    Git Revision:    c1

    BUILDPACK ID    BUILDPACK VERSION    HOMEPAGE
    stave/java      1.0.0                

    Last Failed Build
    Id:              2
    Build Reason:    COMMIT,CONFIG
    Git Revision:    c2
    "#);
    let mut fresh = Case::new();
    fresh.image.spec.source = Source {
        registry: Some(serde_json::from_value(json!({ "image": pinned("web-source", "jar").to_string() })).unwrap()),
        ..Source::default()
    };
    assert_snapshot!(shortened(&statuses::image(&fresh.image, &fresh.builds, &ready(&fresh))), @r#"
    Status:         Building
    Message:        a build is due, number 1 (CONFIG): there is no build yet
    LatestImage:    --

    Source
    Type:    Local Source

    Builder Ref
    Name:    default
    Kind:    ClusterBuilder

    Last Successful Build
    Id:              --
    Build Reason:    --

    Last Failed Build
    Id:              --
    Build Reason:    --
    "#);
}

#[test]
fn the_status_of_a_build() {
    let case = three();
    assert_snapshot!(shortened(&statuses::build(&case.builds[0])), @r#"
    Image:     registry.example.com/team-a/web@sha256:11fe
    Status:    SUCCESS
    Reason:    CONFIG
               - source: {}
               + source:
               +   git:
               +     url: https://git.example.com/web

    Started:     2026-11-30 06:00:00
    Finished:    2026-11-30 06:01:00

    Builder:      registry.example.com/ops/builder@sha256:b945
    Run Image:    registry.example.com/stack/run@sha256:b945

    Source:      GitUrl
    Url:         https://git.example.com/web
    Revision:    c1

    BUILDPACK ID    BUILDPACK VERSION    HOMEPAGE
    stave/java      1.0.0
    "#);
    assert_snapshot!(shortened(&statuses::build(&case.builds[1])), @r#"
    Image:     --
    Status:    FAILURE
    Reason:    COMMIT,CONFIG
               - c1
               + c2
               + env:
               + - name: BP_JVM_VERSION
               +   value: "99"
                 source:
                   git:
                     url: https://git.example.com/web
    Status Reason:     App
    Status Message:    it broke

    Started:     2026-11-30 06:01:00
    Finished:    2026-11-30 06:02:00

    Builder:      registry.example.com/ops/builder@sha256:b945
    Run Image:    registry.example.com/stack/run@sha256:b945

    Source:      GitUrl
    Url:         https://git.example.com/web
    Revision:    c2

    BUILDPACK ID    BUILDPACK VERSION    HOMEPAGE
    "#);
    assert_snapshot!(shortened(&statuses::build(&case.builds[2])), @r#"
    Image:     --
    Status:    BUILDING
    Reason:    TRIGGER
               + a build was asked for by hand at 2026-11-30T06:02:00Z

    Started:     2026-11-30 06:02:00
    Finished:    --

    Builder:      registry.example.com/ops/builder@sha256:b945
    Run Image:    registry.example.com/stack/run@sha256:b945

    Source:      GitUrl
    Url:         https://git.example.com/web
    Revision:    c2

    BUILDPACK ID    BUILDPACK VERSION    HOMEPAGE
    "#);
}

#[test]
fn builders_stacks_and_stores() {
    let mut revision = revision("run 1", &["stave/java@1.0.0", "stave/procfile@1.0.0"]);
    revision.order[1].group[0].optional = true;
    let rows = [("default", Status::True, Some(&revision)), ("broken", Status::False, None)];
    assert_snapshot!(lists::builders(rows), @r#"
    NAME       READY    STACK              IMAGE
    default    true     io.example.base    registry.example.com/ops/builder@sha256:b945d8cb026e35c608337842110ea5e87d6fa88af28b59fc2bec4292be849e2e
    broken     false
    "#);
    let spec = json!({ "stack": { "name": "base" }, "store": { "name": "default" } });
    let spec: BuilderSpec = serde_json::from_value(spec).unwrap();
    assert_snapshot!(shortened(&statuses::builder(&spec, Ok(&revision))), @r#"
    Status:       Ready
    Image:        registry.example.com/ops/builder@sha256:b945
    Stack ID:     io.example.base
    Run Image:    registry.example.com/stack/run@sha256:b945

    Stack Ref:     
      Name:       base
      Kind:       ClusterStack
    Store Ref:     
      Name:       default
      Kind:       ClusterStore

    BUILDPACK ID      VERSION    HOMEPAGE
    stave/java        1.0.0      
    stave/procfile    1.0.0      


    DETECTION ORDER           
    Group #1                  
      stave/java@1.0.0        
    Group #2                  
      stave/procfile@1.0.0    (Optional)
    "#);
    assert_snapshot!(statuses::builder(&spec, Err("the ClusterStack base does not exist")), @r#"
    Status:    Not Ready
    Reason:    the ClusterStack base does not exist
    "#);
    let state = StackState { id: "io.example.base".to_owned(), run_image: pinned("registry.example.com/run", "1") };
    assert_snapshot!(lists::stacks([("base", Status::True, "io.example.base"), ("old", Status::Unknown, "")]), @r#"
    NAME    READY      ID
    base    True       io.example.base
    old     Unknown
    "#);
    assert_snapshot!(shortened(&statuses::stack(Ok(&state), None)), @r#"
    Status:         Ready
    Id:             io.example.base
    Run Image:      registry.example.com/run@sha256:6b86
    Build Image:    --
    "#);
    assert_snapshot!(statuses::stack(Err("it cannot be read"), None), @r#"
    Status:         Not Ready - it cannot be read
    Id:             --
    Run Image:      --
    Build Image:    --
    "#);
    assert_snapshot!(lists::stores([("default", Status::True)]), @r#"
    NAME       READY
    default    True
    "#);
    let mut java = buildpack("stave/java@1.0.0");
    java.homepage = Some("https://buildpacks.example.com/java".to_owned());
    let image = "registry.example.com/buildpacks/java:1";
    let rows =
        [("java", Status::True, image.to_owned()), ("new", Status::Unknown, "registry.example.com/new".to_owned())];
    assert_snapshot!(lists::packages(rows), @r#"
    NAME    READY      IMAGE
    java    true       registry.example.com/buildpacks/java:1
    new     unknown    registry.example.com/new
    "#);
    assert_snapshot!(statuses::package(image, Ok(&java)), @r#"
    Status:    Ready
    Source:    registry.example.com/buildpacks/java:1

    BUILDPACK ID    VERSION    HOMEPAGE
    stave/java      1.0.0      https://buildpacks.example.com/java
    "#);
    assert_snapshot!(statuses::package(image, Err(Some("it cannot be read"))), @r#"
    Status:    Not Ready
    Reason:    it cannot be read
    "#);
    assert_snapshot!(statuses::package(image, Err(None)), @"Status:    Unknown");
    assert_snapshot!(statuses::store(Status::True, &[java, buildpack("stave/procfile@1.0.0")]), @r#"
    Status:    Ready

    BUILDPACKAGE ID    VERSION    HOMEPAGE
    stave/java         1.0.0      https://buildpacks.example.com/java
    stave/procfile     1.0.0
    "#);
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
    assert_snapshot!(lists::plan(&told), @r#"
    IMAGE    REASON    HOW                   TAKES        NAMESPACE
    fresh    CONFIG    build, due already    1 min 0 s    team-a
    api      STACK     rebase                             team-a

    IMAGE    NOT UPDATED                                                                                                                                                                                                                        NAMESPACE
    quiet    not updated, because its policy takes no updates: the run image changed from sha256:b945d8cb026e35c608337842110ea5e87d6fa88af28b59fc2bec4292be849e2e to sha256:32d8c6c9dff6239cb98bb54fda1d17ee8d1bdc94d02eeeb0e4434a055604a41d    team-a

    1 to build, 1 to rebase; 0 stay as they are
    "#);
    let nothing = plan(&world, &Change::Stack("other".parse().unwrap(), stack("x")), &Rules::default(), START).unwrap();
    assert_snapshot!(lists::plan(&nothing), @r#"
    IMAGE    REASON    HOW                   TAKES        NAMESPACE
    fresh    CONFIG    build, due already    1 min 0 s    team-a

    1 to build, 0 to rebase, 1 min 0 s in all; 2 stay as they are
    "#);
}
