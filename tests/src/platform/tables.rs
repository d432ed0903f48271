//! Lists, status and rehearsals, as people see them (45 and 46). How tables are laid out is proved in `host/platform`.

use crate::support::{env::TestEnv, platform::World};

/// The first line, by its words between wide gaps.
fn header(text: &str) -> Vec<&str> {
    let line = text.lines().next().unwrap_or_default();
    line.split("    ").map(str::trim).filter(|word| !word.is_empty()).collect()
}

/// The rows' first words.
fn names(text: &str) -> Vec<&str> {
    text.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect()
}

#[test]
fn scenario_45_a_list_of_nothing_says_so() {
    let env = TestEnv::empty();
    for (list, said) in [
        ("image", "no image resources found"),
        ("build", "no builds found"),
        ("clusterbuilder", "no clusterbuilders found"),
        ("clusterstack", "no clusterstacks found"),
        ("clusterstore", "no clusterstores found"),
    ] {
        let outcome = env.run(&[list, "list"]).ends_with(3);
        assert!(outcome.failure().starts_with(&format!("error: {said}")), "{list}: {}", outcome.stderr);
    }
}

#[test]
fn scenario_45_what_operators_have_is_listed() {
    let world = World::quick();
    let stacks = world.typed("clusterstack list");
    assert_eq!((header(&stacks), names(&stacks)), (vec!["NAME", "READY", "ID"], vec!["default", "demo-stack"]));
    let stores = world.typed("clusterstore list");
    assert_eq!((header(&stores), names(&stores)), (vec!["NAME", "READY"], vec!["default"]));
    let builders = world.typed("clusterbuilder list");
    assert_eq!(header(&builders), ["NAME", "READY", "STACK", "IMAGE"]);
    assert_eq!(names(&builders), ["default", "demo-cluster-builder"]);
    for (line, wanted) in [
        ("image status none", "image \"none\" not found"),
        ("clusterbuilder status none", "ClusterBuilder \"none\" not found"),
        ("builder status none", "Builder \"none\" not found"),
        ("clusterstack status none", "ClusterStack \"none\" not found"),
        ("clusterstore status none", "ClusterStore \"none\" not found"),
    ] {
        let said = world.refused(line);
        assert!(said.contains(wanted), "{line}: {said}");
    }
    let status = world.typed("clusterstore status default");
    assert!(status.contains("BUILDPACKAGE ID") && status.contains("stave/procfile"), "{status}");
    let status = world.typed("clusterbuilder status default");
    assert!(status.contains("DETECTION ORDER") && status.contains("Group #1"), "{status}");
}

#[test]
fn scenario_45_images_and_builds_are_listed_by_namespace() {
    let world = World::quick();
    world.typed("image create web --tag REG/team/web --local-path app");
    assert_eq!(names(&world.typed("image list")), ["web"]);
    world.typed("image create api --tag REG/team/api --local-path app");
    world.typed("image create web -n other --tag REG/other/web --local-path app");
    let images = world.typed("image list");
    assert_eq!(header(&images), ["NAME", "READY", "LATEST REASON", "LATEST IMAGE", "NAMESPACE"]);
    assert_eq!(names(&images), ["api", "web"]);
    assert_eq!(names(&world.typed("image list -n other")), ["web"]);
    assert_eq!(names(&world.typed("image list -A")), ["api", "web", "web"]);
    assert_eq!(names(&world.typed("image list --filter ready=true --filter clusterbuilder=default,none")).len(), 2);
    assert!(world.refused("image list --filter latest-reason=stack").contains("no image resources found"));
    assert!(world.refused("image list -n nobody").contains("no image resources found"));

    // Of images by falling name.
    let builds = world.typed("build list");
    assert_eq!(header(&builds), ["BUILD", "STATUS", "BUILT IMAGE", "REASON", "IMAGE RESOURCE"]);
    let images: Vec<_> = builds.lines().skip(1).filter_map(|line| line.split_whitespace().last()).collect();
    assert_eq!(images, ["web", "api"]);
    assert_eq!(names(&world.typed("build list -A")).len(), 3);
    assert!(world.refused("build list none").contains("no builds found"));
    assert!(world.refused("build status web -b 9").contains("build \"9\" not found"));
}

#[test]
fn scenario_46_what_is_only_tried_changes_nothing() {
    let world = World::quick();
    world.typed("image create web --tag REG/team/web --local-path app");
    let before = world.document("image status web");
    let new = world.new.clone();
    for (line, wanted) in [
        ("image patch web --cluster-builder default".to_owned(), "Image Resource \"web\" patched (no change)"),
        ("image patch web --env A=1 --dry-run".to_owned(), "Image Resource \"web\" patched (dry run)"),
        (
            "image patch web --env A=1 --dry-run-with-image-upload".to_owned(),
            "Image Resource \"web\" patched (dry run with image upload)",
        ),
        (
            "clusterstack create x --run-image REG/stack/run@NEW --dry-run".to_owned(),
            "ClusterStack \"x\" created (dry run)",
        ),
        (
            "clusterstack patch default --run-image REG/stack/run@NEW".to_owned(),
            "ClusterStack \"default\" updated (no change)",
        ),
        (
            "clusterbuilder create x --tag REG/ops/x --order order.yaml --dry-run".to_owned(),
            "ClusterBuilder \"x\" created (dry run)",
        ),
        (
            "clusterstore create x -b REG/buildpacks/procfile --dry-run".to_owned(),
            "ClusterStore \"x\" created (dry run)",
        ),
    ] {
        let said = world.typed(&line.replace("NEW", &new));
        assert!(said.lines().any(|line| line == wanted), "{line}: {said}");
    }
    assert_eq!(world.document("image status web"), before);
    for kind in ["clusterstack", "clusterbuilder", "clusterstore"] {
        world.refused(&format!("{kind} status x"));
    }
    // With a document, nothing else is on the standard output.
    let patched = world.run("image patch web --env A=1 --output yaml").succeeds();
    assert!(patched.stdout.starts_with("apiVersion: "), "{}", patched.stdout);
    assert!(!patched.stdout.contains("patched") && patched.stderr.contains("Patching Image Resource..."));
    assert_eq!(world.rows("web"), ["1 SUCCESS CONFIG", "2 SUCCESS CONFIG"]);
}
