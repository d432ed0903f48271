//! What else happens to the image of the story: each variant of the workshop (V1 to V17) by the last row that follows.
//!
//! The run images are of a few bytes and the app is a small jar: what is built and why is the same, and nothing is started.
//! Those that need another version of something are in `versions.rs`.

use std::fs;

use crate::support::{
    jar::{self, entry, zip},
    platform::{BUILD, REBASE, World, assert_in_order, steps},
    process::succeeds,
    tools::tool,
};

const IMAGE: &str = "spring-webdb";

/// A world with a jar, and another one of the same app.
fn world() -> World {
    let world = World::small();
    world.env.write("app.jar", jar::boot());
    let changed = [
        entry("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\nMain-Class: com.example.Main\r\n\r\n"),
        entry("com/example/Main.class", [0xca, 0xfe, 0xba, 0xbe, 1]),
    ];
    world.env.write("changed.jar", zip(&changed));
    world
}

/// The same after D1.
fn built() -> World {
    let world = world();
    world.create("app.jar");
    assert_eq!(world.rows(IMAGE), ["1 SUCCESS CONFIG"]);
    world
}

/// The same after D3.
fn rebased() -> World {
    let world = built();
    world.typed("image patch spring-webdb --cluster-builder default");
    assert_eq!(world.rows(IMAGE), ["1 SUCCESS CONFIG", "2 SUCCESS STACK"]);
    world
}

#[track_caller]
fn latest_image(world: &World) -> String {
    let told = world.document(&format!("image status {IMAGE}"));
    told["status"]["latestImage"].as_str().unwrap_or_else(|| panic!("{told}")).to_owned()
}

/// Both, because a plan is worth what then happens.
#[test]
fn v01_and_v14_an_operators_update_is_planned_and_then_done() {
    let world = built();
    let update = format!("demo-stack --run-image REG/stack/run@{}", world.new);
    let plan = world.typed(&format!("plan clusterstack {update}"));
    let rows: Vec<Vec<&str>> =
        plan.lines().filter(|line| line.contains(IMAGE)).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 1, "{plan}");
    assert_eq!(rows[0][..3], [IMAGE, "STACK", "rebase"], "{plan}");
    assert_eq!(world.rows(IMAGE), ["1 SUCCESS CONFIG"], "a plan changes nothing");

    let updated = world.typed(&format!("clusterstack patch {update}"));
    assert_in_order(&updated, &["Updating ClusterStack...", "ClusterStack \"demo-stack\" updated"]);
    assert_eq!(world.rows(IMAGE), ["1 SUCCESS CONFIG", "2 SUCCESS STACK"]);
    assert_eq!(steps(&world.log(IMAGE, 2)), REBASE);
    assert_eq!(latest_image(&world), world.made(IMAGE, 2));
    // Nothing is left to be done, and a plan says so.
    let plan = world.typed(&format!("plan clusterstack {update}"));
    assert!(!plan.contains(IMAGE), "{plan}");
}

#[test]
fn v02_v06_and_v16_what_changes_nothing_builds_nothing() {
    let world = built();
    for patch in ["--cluster-builder demo-cluster-builder", "--local-path app.jar"] {
        let said = world.typed(&format!("image patch {IMAGE} {patch}"));
        assert!(said.contains("Image Resource \"spring-webdb\" patched (no change)"), "{patch}: {said}");
    }
    assert_eq!(world.rows(IMAGE), ["1 SUCCESS CONFIG"]);

    let status = world.typed(&format!("build status {IMAGE} -b 1"));
    let fields: Vec<String> =
        status.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let builder = world.run("clusterbuilder list").succeeds().stdout;
    let builder = builder.lines().find(|line| line.starts_with("demo-cluster-builder ")).unwrap();
    let expected = [
        format!("Image: {}", world.made(IMAGE, 1)),
        "Status: SUCCESS".to_owned(),
        "Reason: CONFIG".to_owned(),
        "- source: {}".to_owned(),
        format!("Builder: {}", builder.split_whitespace().last().unwrap()),
        format!("Run Image: {}", world.named(&format!("REG/stack/run@{}", world.old))),
        "Source: Local Source".to_owned(),
        "BUILDPACK ID BUILDPACK VERSION HOMEPAGE".to_owned(),
    ];
    let mut left = fields.iter();
    for wanted in &expected {
        assert!(left.any(|line| line == wanted), "no `{wanted}` where it should be in:\n{status}");
    }
    assert!(left.any(|line| line.starts_with("stave/java ")), "{status}");
}

#[test]
fn v05_a_changed_jar_is_built() {
    let world = rebased();
    world.typed(&format!("image patch {IMAGE} --local-path changed.jar"));
    assert_eq!(world.last_row(IMAGE), "3 SUCCESS CONFIG");
    assert_eq!(steps(&world.log(IMAGE, 3)), BUILD);
}

#[test]
fn v07_a_hand_builds_the_same_again() {
    let world = rebased();
    let said = world.typed(&format!("image trigger {IMAGE}"));
    assert!(said.contains("Triggered build for Image Resource \"spring-webdb\" with Build Number 3"), "{said}");
    assert_eq!(world.last_row(IMAGE), "3 SUCCESS TRIGGER");
    assert_eq!(steps(&world.log(IMAGE, 3)), BUILD);
    let (rebased, built) = (world.made(IMAGE, 2), world.made(IMAGE, 3));
    assert_eq!(world.layers(&rebased), world.layers(&built));
    world.typed(&format!("image trigger {IMAGE}"));
    assert_eq!(world.last_row(IMAGE), "4 SUCCESS TRIGGER");
    assert_eq!(world.made(IMAGE, 4), built, "the same inputs are the same image");
}

#[test]
fn v08_a_commit_is_built() {
    let world = world();
    let repository = world.env.work().join("repository");
    let git = |arguments: &[&str]| {
        let mut git = world.env.command(tool("git").get_program());
        git.args(["-C", repository.to_str().unwrap(), "-c", "user.name=A", "-c", "user.email=a@example.com"]);
        succeeds(git.args(arguments));
    };
    fs::create_dir(&repository).unwrap();
    git(&["init", "--quiet", "--initial-branch", "main"]);
    let commit = |from: &str| {
        fs::copy(world.env.work().join(from), repository.join("app.jar")).unwrap();
        git(&["add", "app.jar"]);
        git(&["commit", "--quiet", "--message", from]);
    };
    commit("app.jar");
    let manifest = format!(
        "apiVersion: stave/v1\nkind: Image\nmetadata: {{name: web}}\nspec:\n  tag: REG/team/web\n  \
         builder: {{kind: ClusterBuilder, name: demo-cluster-builder}}\n  watch: {{interval: 1}}\n  \
         source: {{git: {{url: 'file://{}', revision: main}}}}\n",
        repository.display()
    );
    world.env.write("web.yaml", world.named(&manifest));
    world.typed("apply -f web.yaml");
    assert_eq!(world.rows("web"), ["1 SUCCESS CONFIG"]);
    commit("changed.jar");
    // Every command that looks at everything looks at sources whose time has come.
    for _ in 0..100 {
        world.typed("clusterstack refresh");
        if world.rows("web").len() > 1 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(world.rows("web"), ["1 SUCCESS CONFIG", "2 SUCCESS COMMIT"]);
}

#[test]
fn v09_a_jar_and_a_builder_in_one_command_are_one_build() {
    let world = built();
    world.typed(&format!("image patch {IMAGE} --local-path changed.jar --cluster-builder default"));
    assert_eq!(world.rows(IMAGE), ["1 SUCCESS CONFIG", "2 SUCCESS CONFIG+"]);
    let log = world.log(IMAGE, 2);
    assert!(log.contains("Build reason(s): CONFIG,STACK"), "{log}");
    assert_eq!(steps(&log), BUILD);
}

#[test]
fn v10_and_v11_what_fails_is_tried_again_when_an_operator_changes_something() {
    let world = built();
    let before = latest_image(&world);
    world.env.write("broken.jar", jar::without_main_class());
    let failed = world.run(&format!("image patch {IMAGE} --local-path broken.jar"));
    assert!(failed.code.is_some_and(|code| code != 0), "{failed:?}");
    assert!(failed.failure().contains("build 2 of spring-webdb failed"), "{}", failed.stderr);
    assert_eq!(world.last_row(IMAGE), "2 FAILURE CONFIG");
    assert_eq!(latest_image(&world), before);
    let status = world.typed(&format!("image status {IMAGE}"));
    assert!(status.contains("Not Ready"), "{status}");
    // It failed by its own inputs: looking again changes nothing.
    world.typed("clusterstack refresh");
    assert_eq!(world.rows(IMAGE).len(), 2);

    // kpack would do nothing (8.5): an operator's change is a new attempt.
    world.run(&format!("clusterstack patch demo-stack --run-image REG/stack/run@{}", world.new));
    let rows = world.rows(IMAGE);
    assert_eq!(rows[..2], ["1 SUCCESS CONFIG", "2 FAILURE CONFIG"]);
    // The reason is what is another since it failed. It is no rebase: nothing of this jar could be put on another base.
    assert_eq!(rows[2..], ["3 FAILURE STACK"]);
    assert_eq!(steps(&world.log(IMAGE, 3))[0], "PREPARE");
    // And the jar that starts heals it.
    world.typed(&format!("image patch {IMAGE} --local-path changed.jar"));
    assert_eq!(world.last_row(IMAGE), "4 SUCCESS CONFIG");
}

#[test]
fn v12_and_v17_the_list_says_what_is_and_the_way_back_is_a_rebase_too() {
    let world = rebased();
    let row = |number: u32| {
        let listed = world.typed("image list");
        let rows: Vec<Vec<&str>> = listed.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0], [IMAGE, "True", "STACK", &world.made(IMAGE, number), "default"], "{listed}");
        assert!(rows[1..].iter().all(Vec::is_empty), "{listed}");
    };
    row(2);
    world.typed(&format!("image patch {IMAGE} --cluster-builder demo-cluster-builder"));
    assert_eq!(world.last_row(IMAGE), "3 SUCCESS STACK");
    let log = world.log(IMAGE, 3);
    assert_eq!(steps(&log), REBASE);
    // That it is a step back can be read.
    assert_in_order(&log, &[&format!("- {}", world.new), &format!("+ {}", world.old)]);
    assert_eq!(world.layers(&world.made(IMAGE, 3)), world.layers(&world.made(IMAGE, 1)));
    row(3);
}

#[test]
fn v13_a_registry_that_was_down_is_asked_again() {
    let mut world = built();
    world.registry.go_down();
    let failed = world.run(&format!("image patch {IMAGE} --cluster-builder default"));
    assert!(failed.code.is_some_and(|code| code != 0), "{failed:?}");
    assert_eq!(world.last_row(IMAGE), "2 FAILURE STACK");
    let explained = world.typed(&format!("image explain {IMAGE}"));
    assert!(explained.contains("attempt 1 failed by chance in build 2"), "{explained}");

    world.registry.come_back();
    super::versions::amend(&world, |record| {
        // As if it had been an hour ago: what failed by chance is not tried again at once.
        for build in record.builds.iter_mut().filter(|build| build.number == 2) {
            build.started -= 3600;
            build.finished = build.finished.map(|at| at - 3600);
        }
    });
    // kpack would leave it so for ever (8.5).
    world.typed("clusterstack refresh");
    assert_eq!(world.last_row(IMAGE), "3 SUCCESS STACK");
    assert_eq!(steps(&world.log(IMAGE, 3)), REBASE);
}

#[test]
fn v15_a_rehearsal_changes_and_sends_nothing() {
    let world = world();
    let wish = "image create spring-webdb -c demo-cluster-builder --tag REG/team/spring-webdb --local-path app.jar";
    let asked = world.registry.asked().len();
    let rehearsed = world.run(&format!("{wish} --dry-run --output yaml")).succeeds();
    // Its own question for the log's end is one.
    let sent = world.registry.asked().split_off(asked);
    assert!(sent.iter().all(|line| line.contains("/v2/nobody/")), "{sent:?}");
    let source = world.named("REG/team/spring-webdb-source@sha256:");
    assert!(rehearsed.stdout.contains("kind: \"Image\"") && rehearsed.stdout.contains(&source), "{}", rehearsed.stdout);
    assert!(!rehearsed.stdout.contains("created"), "{}", rehearsed.stdout);
    assert_in_order(&rehearsed.stderr, &["Creating Image Resource...", "Uploading to", "\tSkipping '"]);
    assert!(world.run("image list").failure().contains("no image resources found"));

    // And what it printed is what is then made.
    let digest = rehearsed.stdout.split_once(&source).unwrap().1[..64].to_owned();
    let created = world.typed(&format!("{wish} --output yaml"));
    assert!(created.contains(&digest), "{created}");
}
