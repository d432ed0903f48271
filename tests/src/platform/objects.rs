//! What becomes of images and their builds: limits, refusals, tags, an end, and a platform that is killed (33 to 40).

use rustix::process::Signal;

use crate::support::{
    jar,
    platform::{BUILD, World, steps},
    process::{Running, stave},
};

const CREATE: &str = "image create web --tag REG/team/web --local-path app";

/// A manifest of the image `web`, with more lines of its `spec`.
fn manifest(world: &World, more: &str) -> String {
    let record = world.document("image status web");
    let source = record["spec"]["source"]["registry"]["image"].as_str().unwrap();
    format!(
        "apiVersion: stave/v1\nkind: Image\nmetadata: {{name: web}}\nspec:\n  tag: {}\n  \
         source: {{registry: {{image: '{source}'}}}}\n{more}",
        world.named("REG/team/web"),
    )
}

/// What `apply` says of a manifest that it refuses.
#[track_caller]
fn refused(world: &World, manifest: &str) -> String {
    world.env.write("refused.yaml", manifest);
    world.refused("apply -f refused.yaml")
}

#[test]
fn scenario_33_history_is_limited_and_tags_stay() {
    let world = World::quick();
    world.typed(&format!("{CREATE} --success-build-history-limit 2 --failed-build-history-limit 1"));
    for _ in 0..3 {
        world.typed("image trigger web");
    }
    assert_eq!(world.rows("web"), ["3 SUCCESS TRIGGER", "4 SUCCESS TRIGGER"]);
    let tags = world.registry.tags("team/web");
    for number in 1..=4 {
        assert!(tags.iter().any(|tag| tag.starts_with(&format!("b{number}."))), "{number}: {tags:?}");
    }
    assert!(world.refused("build logs web -b 1").contains("build \"1\" not found"));
    // Failed ones are counted apart.
    for number in 5..=6 {
        world.env.write("none/readme.txt", format!("no Procfile {number}"));
        world.refused("image patch web --local-path none");
    }
    assert_eq!(world.rows("web"), ["3 SUCCESS TRIGGER", "4 SUCCESS TRIGGER", "6 FAILURE CONFIG"]);
}

#[test]
fn scenario_34_a_cache_is_wished_for_grows_and_goes() {
    let world = World::quick();
    world.typed(&format!("{CREATE} --cache-size 2G"));
    let size = || world.document("image status web")["spec"]["cache"]["volume"]["size"].clone();
    assert_eq!(size(), "2G");
    world.typed("image patch web --cache-size 3G");
    assert_eq!(size(), "3G");
    // What of it is not said any more is gone; and none of it is a reason to build.
    let registry = format!("  cache: {{registry: {{tag: {}}}}}\n", world.named("REG/team/web-cache"));
    for (more, expected) in [(registry.as_str(), false), ("", true)] {
        world.env.write("web.yaml", manifest(&world, more));
        world.typed("apply -f web.yaml");
        let cache = world.document("image status web")["spec"]["cache"].clone();
        assert_eq!((size().is_null(), cache.is_null()), (true, expected), "{cache}");
    }
    assert_eq!(world.rows("web"), ["1 SUCCESS CONFIG"]);
}

#[test]
fn scenario_35_what_stays_cannot_be_changed() {
    let world = World::quick();
    world.typed(&format!("{CREATE} --cache-size 2G"));
    let before = world.document("image status web");
    let tag = world.refused("image save web --tag REG/team/other");
    assert!(tag.contains("spec.tag: it stays"), "{tag}");
    let cache = world.refused("image patch web --cache-size 1G");
    assert!(cache.contains("spec.cache.volume.size: it only grows, and is 2G"), "{cache}");
    let other = world.refused("image patch web --additional-tag registry.example.com/team/web");
    assert!(other.contains("spec.additionalTags[0]: it is on the same registry as spec.tag"), "{other}");
    // Nobody writes what a build was.
    let build = "apiVersion: kpack.io/v1alpha2\nkind: Build\nmetadata: {name: web-build-1}\nspec: {}\n";
    assert!(refused(&world, build).contains("Build"));
    assert_eq!(world.document("image status web"), before);
    assert_eq!(world.rows("web"), ["1 SUCCESS CONFIG"]);
}

#[test]
fn scenario_36_what_cannot_be_meant_is_refused_by_its_place() {
    let world = World::quick();
    let long = "a".repeat(64);
    for line in [
        format!("image create {long} --tag REG/team/web --local-path app"),
        format!("{CREATE} --git https://git.example.com/web"),
        format!("{CREATE} --success-build-history-limit 0"),
    ] {
        world.refused(&line);
    }
    world.typed(CREATE);
    let services = "  build: {services: [{kind: Secret, name: one}, {kind: Secret, name: one}]}\n";
    for (more, wanted) in [
        ("  revisoin: main\n", "spec.revisoin"),
        ("  failedBuildHistoryLimit: 0\n", "spec.failedBuildHistoryLimit: it is at least 1"),
        (
            "  build: {nodeSelector: {kubernetes.io/os: linux}}\n",
            "spec.build.nodeSelector: the operating system follows",
        ),
        (services, "spec.build.services[1].name: another binding has the same name"),
    ] {
        let said = refused(&world, &manifest(&world, more));
        assert!(said.contains(wanted), "{more}: {said}");
    }
    let both = manifest(&world, "").replace("source: {", "source: {blob: {url: 'https://example.com/a.zip'}, ");
    let said = refused(&world, &both);
    assert!(said.contains("spec.source"), "{said}");
    assert_eq!(world.rows("web"), ["1 SUCCESS CONFIG"]);
    let names: Vec<String> = world
        .document("image list")
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["metadata"]["name"].to_string())
        .collect();
    assert_eq!(names, ["\"web\""]);
}

#[test]
fn scenario_37_the_platforms_own_secrets_are_no_bindings() {
    let world = World::quick();
    let host = world.registry.host();
    let mut create = world.env.command(stave());
    create.args(["secret", "create", "login", "--registry", &host, "--registry-user", "me"]);
    crate::support::process::run(create.env("REGISTRY_PASSWORD", "hunter2")).succeeds();
    let said = world.refused(&format!("{CREATE} --service-binding login"));
    assert!(said.contains("the secret login belongs to a service account"), "{said}");
    assert!(world.refused("image list").contains("no image resources found"));
}

#[test]
fn scenario_38_what_was_pushed_stays() {
    let world = World::quick();
    world.typed(CREATE);
    let image = world.made("web", 1);
    let said = world.typed("image delete web");
    assert_eq!(said, "Image Resource \"web\" deleted\n");
    for line in ["image status web", "build list web", "build logs web"] {
        world.refused(line);
    }
    assert!(world.registry.tags("team/web").contains(&"latest".to_owned()));
    assert!(!world.layers(&image).is_empty());
    // Whoever is called so next begins anew.
    world.typed(CREATE);
    assert_eq!(world.rows("web"), ["1 SUCCESS CONFIG"]);
}

#[test]
fn scenario_39_tags_by_number() {
    let world = World::quick();
    world.typed("image create web --tag REG/team/web:v1 --additional-tag REG/team/more:stable --local-path app");
    let tags = world.registry.tags("team/web");
    assert_eq!(tags.len(), 2, "{tags:?}");
    assert_eq!(tags[0], "v1");
    let rest = tags[1].strip_prefix("v1-b1.").unwrap_or_else(|| panic!("{tags:?}"));
    let parts: Vec<&str> = rest.split('.').collect();
    assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 6], "{tags:?}");
    assert_eq!(world.registry.tags("team/more"), ["stable"]);

    let plain = manifest(&world, "  imageTaggingStrategy: None\n").replace("name: web}", "name: plain}");
    world.env.write("plain.yaml", plain.replace("team/web\n", "team/plain\n"));
    world.typed("apply -f plain.yaml");
    assert_eq!(world.rows("plain"), ["1 SUCCESS CONFIG"]);
    assert_eq!(world.registry.tags("team/plain"), ["latest"]);
}

/// The first build of a Java app takes long enough to be killed in the middle.
#[test]
fn scenario_40_a_build_that_was_killed_is_recorded_once() {
    let world = World::small();
    world.env.write("app.jar", jar::boot());
    let mut create = world.env.command(stave());
    create.args(world.words("image create web --tag REG/team/web --local-path app.jar"));
    let mut running = Running::start(&mut create);
    running.wait_for("===> DETECT");
    running.signal(Signal::KILL);
    running.end();
    assert_eq!(world.rows("web"), ["1 BUILDING CONFIG"]);
    // Whoever comes next takes it over.
    world.typed("clusterstack refresh");
    assert_eq!(world.rows("web"), ["1 SUCCESS CONFIG"]);
    let log = world.log("web", 1);
    assert!(log.contains("The platform was stopped in the middle of this build, which now begins again"), "{log}");
    assert!(steps(&log).ends_with(&BUILD), "{log}");
    assert_eq!(world.registry.tags("team/web").iter().filter(|tag| tag.starts_with("b1.")).count(), 1);
    world.env.assert_nothing_half_written();
}
