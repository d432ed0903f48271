//! What commands wait for: all that their own change reaches, beside a server or what was left by somebody who was stopped, and
//! nothing else.

use stave_platform::resource::build::Outcome;

use super::{CREATE, serve, stop};
use crate::support::platform::{REBASE, World, steps};

/// Leaves a build behind in the middle of which somebody was stopped: its record is there, and nobody runs it.
fn interrupt(world: &World, image: &str) {
    world.amend(image, |record| {
        let mut build = record.builds.last().unwrap().clone();
        build.number += 1;
        (build.outcome, build.finished, build.log) = (Outcome::Running, None, None);
        record.image.status.build_counter = build.number;
        record.builds.push(build);
    });
}

#[test]
fn an_operator_who_waits_beside_a_server_sees_images_updated() {
    let world = World::quick();
    world.typed(&format!("{CREATE} app --cluster-builder demo-cluster-builder"));
    let server = serve(&world);
    for (number, digest) in [(2, &world.new), (3, &world.old), (4, &world.new)] {
        let patched = world.run(&format!("clusterstack patch demo-stack --run-image REG/stack/run@{digest} --wait"));
        let patched = patched.succeeds();
        assert!(patched.stderr.contains("1 of 1 builds made an image"), "{patched:?}");
        assert_eq!(world.last_row("web"), format!("{number} SUCCESS STACK"));
        assert_eq!(steps(&world.log("web", number)), REBASE);
    }
    stop(server);
}

#[test]
fn nobody_waits_for_what_is_out_of_reach() {
    let world = World::quick();
    let server = serve(&world);
    // Port 1 of this machine is nobody's.
    world.env.write(
        "gone.yaml",
        "apiVersion: kpack.io/v1alpha2\nkind: ClusterStack\nmetadata: {name: gone}\nspec:\n  id: stave.small\n  \
         buildImage: {image: '127.0.0.1:1/stack/build:1'}\n  runImage: {image: '127.0.0.1:1/stack/run:1'}\n",
    );
    for _ in 0..2 {
        let said = world.refused("apply -f gone.yaml --wait");
        assert!(said.starts_with("error: the ClusterStack `gone` is not ready\n"), "{said}");
    }
    world.run(&format!("{CREATE} app --wait")).succeeds();
    let new = &world.new;
    world.run(&format!("clusterstack patch demo-stack --run-image REG/stack/run@{new} --wait")).succeeds();
    assert_eq!(world.rows("web"), ["1 SUCCESS CONFIG"]);
    stop(server);
}

#[test]
fn what_is_typed_again_goes_on_with_what_was_interrupted() {
    let world = World::quick();
    world.typed(&format!("{CREATE} app"));
    interrupt(&world, "web");
    let said = world.typed("image patch web --cluster-builder default");
    assert!(said.contains("Image Resource \"web\" patched (no change)"), "{said}");
    assert_eq!(world.rows("web"), ["1 SUCCESS CONFIG", "2 SUCCESS CONFIG"]);

    interrupt(&world, "web");
    let stack = format!("clusterstack save default --run-image REG/stack/run@{}", world.new);
    let said = world.typed(&stack);
    assert!(said.contains("ClusterStack \"default\" updated (no change)"), "{said}");
    assert!(said.contains("1 of 1 builds made an image"), "{said}");
    assert_eq!(world.last_row("web"), "3 SUCCESS CONFIG");
}

#[test]
fn what_nobody_runs_is_cancelled_at_once() {
    let world = World::quick();
    world.typed(&format!("{CREATE} app"));
    interrupt(&world, "web");
    world.typed("build cancel web --wait");
    assert_eq!(world.record("web", 2)["outcome"], "cancelled");
    interrupt(&world, "web");
    world.typed("image delete web --wait");
    let said = world.refused("build list web");
    assert!(said.contains("no builds found"), "{said}");
}

#[test]
fn a_stack_that_failed_is_looked_up_again_by_the_same_wish() {
    let mut world = World::quick();
    let stack = "clusterstack patch default --run-image REG/stack/run:stave.small-new";
    world.typed(stack);
    world.registry.go_down();
    let said = world.refused("clusterstack refresh default");
    assert!(said.starts_with("error: the ClusterStack `default` is not ready\n"), "{said}");
    world.registry.come_back();
    let said = world.typed(stack);
    assert!(said.contains("ClusterStack \"default\" updated (no change)"), "{said}");
    assert!(world.document("clusterstack status default")["status"]["message"].is_null());
}

#[test]
fn an_image_takes_the_account_that_is_set_for_its_namespace() {
    let world = World::quick();
    world.typed("config default-service-account builds");
    world.typed(&format!("{CREATE} app --dry-run"));
    world.typed(&format!("{CREATE} app"));
    world.typed("image create other --tag REG/team/other --local-path app --service-account own");
    world.typed("image create away -n away --tag REG/team/away --local-path app");
    for (image, account) in [("web", "builds"), ("other", "own"), ("away -n away", "default")] {
        assert_eq!(world.document(&format!("image status {image}"))["spec"]["serviceAccountName"], account, "{image}");
    }
}
