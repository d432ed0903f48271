//! The field's own tools take the images: skopeo, umoci, podman, a real registry. And the app in them runs.

use std::process::Command;

use serde_json::Value;
use stave_model::{digest::Digest, target::Platform};

use crate::support::{
    app::spring_webdb,
    container::Podman,
    env::TestEnv,
    images::{checked, checked_here, config},
    jar,
    process::{run, succeeds},
    registry::Registry,
    tools::tool,
};

fn build_example(env: &TestEnv, more: &[&str]) -> String {
    let jar = spring_webdb().display().to_string();
    env.run(&[&["build", &jar], more].concat()).succeeds().result().to_owned()
}

fn skopeo(arguments: &[&str]) -> Command {
    let mut command = tool("skopeo");
    // No list of whom to trust is asked for.
    command.arg("--insecure-policy").args(arguments);
    command
}

/// What the example must answer. `/` is one sentence; `/casks` comes from the database.
fn answers(podman: &Podman, image: &str) {
    let container = podman.serve(image);
    let greeting = container.get("/");
    assert!(!greeting.trim().is_empty());
    let casks: Value = serde_json::from_str(&container.get("/casks")).unwrap();
    assert!(casks.as_array().is_some_and(|casks| !casks.is_empty()), "{casks}");
}

#[test]
fn skopeo_and_umoci_take_a_layout() {
    let env = TestEnv::warm();
    env.write("tiny.jar", jar::boot());
    env.run(&["build", "tiny.jar", "--tag", "tiny", "--to", "oci:out:tiny"]).succeeds();
    let layout = env.work().join("out");
    let image = checked_here(&layout);

    let inspected = succeeds(&mut skopeo(&["inspect", &format!("oci:{}", layout.display())]));
    let inspected: Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(inspected["Digest"], image.digest().to_string());
    assert_eq!(inspected["Labels"], config(&image)["config"]["Labels"]);
    assert_eq!(inspected["Layers"].as_array().unwrap().len(), image.layers.len());

    let bundle = env.work().join("bundle");
    let mut unpack = tool("umoci");
    unpack.arg("unpack");
    if !rustix::process::getuid().is_root() {
        unpack.arg("--rootless");
    }
    succeeds(unpack.args(["--image", &format!("{}:tiny", layout.display())]).arg(&bundle));
    for path in ["cnb/lifecycle/launcher", "workspace/BOOT-INF/layers.idx", "etc/os-release", "var/lib/dpkg/status.d"] {
        assert!(bundle.join("rootfs").join(path).exists(), "{path}");
    }
    let runtime: Value = serde_json::from_slice(&std::fs::read(bundle.join("config.json")).unwrap()).unwrap();
    assert_eq!(runtime["process"]["args"][0], "/cnb/process/web");
}

#[test]
fn skopeo_takes_a_docker_archive_and_the_image_store() {
    let env = TestEnv::warm();
    env.write("tiny.jar", jar::boot());
    let digest =
        env.run(&["build", "tiny.jar", "--tag", "tiny", "--to", "docker-archive:out.tar", "--to", "store"]).succeeds();
    let archive = format!("docker-archive:{}", env.work().join("out.tar").display());
    let config: Value = serde_json::from_str(&succeeds(&mut skopeo(&["inspect", "--config", &archive]))).unwrap();
    assert_eq!(config["config"]["Entrypoint"][0], "/cnb/process/web");
    let store = format!("oci:{}:tiny:latest", env.data().join("images").display());
    let inspected: Value = serde_json::from_str(&succeeds(&mut skopeo(&["inspect", &store]))).unwrap();
    assert_eq!(inspected["Digest"], digest.result());
}

#[test]
fn the_example_runs_from_a_layout() {
    let env = TestEnv::warm();
    build_example(&env, &["--to", "oci:out"]);
    let layout = env.work().join("out");
    checked_here(&layout);
    let podman = Podman::new(&env);
    let image = podman.pull_layout(&layout);
    answers(&podman, &image);
}

#[test]
fn the_example_runs_from_a_docker_archive() {
    let env = TestEnv::warm();
    build_example(&env, &["--tag", "spring-webdb", "--to", "docker-archive:out.tar"]);
    let podman = Podman::new(&env);
    let image = podman.take(&["load", "--quiet", "--input", &env.work().join("out.tar").display().to_string()]);
    answers(&podman, &image);
}

#[test]
fn zstd_is_taken_where_it_is_known_and_unpacked_elsewhere() {
    let env = TestEnv::warm();
    env.write("tiny.jar", jar::boot());
    env.run(&["build", "tiny.jar", "--to", "oci:gzip"]).succeeds();
    let places = ["--to", "oci:zstd", "--to", "docker-archive:out.tar"];
    env.run(&[&["build", "tiny.jar", "--tag", "tiny", "--compression", "zstd:1"], &places[..]].concat()).succeeds();
    let [gzip, zstd] = ["gzip", "zstd"].map(|layout| checked_here(&env.work().join(layout)));
    assert_eq!(gzip.config, zstd.config, "what is in the layers is the same");
    let base = zstd.layers.iter().filter(|layer| layer.descriptor.media_type.ends_with("gzip")).count();
    assert!(zstd.layers[base..].iter().all(|layer| layer.descriptor.media_type.ends_with("zstd")));
    assert!(base < zstd.layers.len());

    let podman = Podman::new(&env);
    assert!(!podman.pull_layout(&env.work().join("zstd")).is_empty());
    // Whoever reads the archive compares every layer with what the configuration says of it.
    let archive = format!("docker-archive:{}", env.work().join("out.tar").display());
    let copied = env.work().join("copied");
    succeeds(&mut skopeo(&["copy", "--quiet", &archive, &format!("oci:{}", copied.display())]));
    let copied = checked_here(&copied);
    let diff_ids = |image: &stave_lifecycle::image::Image| image.layers.iter().map(|l| l.diff_id).collect::<Vec<_>>();
    assert_eq!(diff_ids(&copied), diff_ids(&zstd));
}

#[test]
fn the_example_goes_through_a_registry() {
    let env = TestEnv::warm();
    let registry = Registry::start(&env);
    let name = registry.reference("team/spring-webdb:1");
    let digest = build_example(&env, &["--tag", &name, "--publish"]);
    let remote = format!("docker://{name}");
    let inspected = succeeds(&mut skopeo(&["inspect", "--tls-verify=false", &remote]));
    assert_eq!(serde_json::from_str::<Value>(&inspected).unwrap()["Digest"], digest);
    // What a registry gives back is as sound as what was sent.
    let layout = env.work().join("copied");
    succeeds(&mut skopeo(&[
        "copy",
        "--quiet",
        "--src-tls-verify=false",
        &remote,
        &format!("oci:{}", layout.display()),
    ]));
    assert_eq!(checked_here(&layout).digest().to_string(), digest);

    // Again, with nothing to send; and seen by Stave itself.
    assert_eq!(build_example(&env, &["--tag", &name, "--publish"]), digest);
    let about = env.run(&["inspect", &name, "-o", "json"]).succeeds().stdout;
    assert_eq!(serde_json::from_str::<Value>(&about).unwrap()["digest"], digest);

    let podman = Podman::new(&env);
    let image = podman.take(&["pull", "--quiet", "--tls-verify=false", &name]);
    answers(&podman, &image);
}

#[test]
fn both_platforms_go_through_a_registry_as_one() {
    let env = TestEnv::warm();
    env.write("tiny.jar", jar::boot());
    let registry = Registry::start(&env);
    let names = ["team/tiny:1", "team/tiny:latest"].map(|name| registry.reference(name));
    let both =
        ["build", "tiny.jar", "--platform", "linux/amd64,linux/arm64", "--publish", "-t", &names[0], "-t", &names[1]];
    let digest = env.run(&both).succeeds().result().to_owned();
    let mut found = Vec::new();
    for name in &names {
        let remote = format!("docker://{name}");
        let raw = succeeds(&mut skopeo(&["inspect", "--raw", "--tls-verify=false", &remote]));
        assert_eq!(Digest::of(raw.as_bytes()).to_string(), digest);
        let index: Value = serde_json::from_str(&raw).unwrap();
        let manifests = index["manifests"].as_array().unwrap();
        found.push(manifests.iter().map(|one| one["platform"]["architecture"].clone()).collect::<Vec<_>>());
    }
    assert_eq!(found, [["amd64", "arm64"], ["amd64", "arm64"]]);
    let layout = format!("oci:{}:all", env.work().join("all").display());
    let remote = format!("docker://{}", names[0]);
    succeeds(&mut skopeo(&["copy", "--all", "--quiet", "--src-tls-verify=false", &remote, &layout]));
    for arch in ["amd64", "arm64"] {
        checked(&env.work().join("all"), &Platform::linux(arch));
    }
}

#[test]
fn a_base_comes_from_a_registry() {
    let env = TestEnv::warm();
    env.write("tiny.jar", jar::boot());
    env.run(&["build", "tiny.jar", "--to", "oci:from-stack"]).succeeds();
    let registry = Registry::start(&env);
    let name = registry.reference("stacks/tiny:run");
    // The stack that the default builder composed is in the image store under a name with its definition's digest.
    let images: Value = serde_json::from_str(&env.run(&["images", "-o", "json"]).succeeds().stdout).unwrap();
    let stack = images.as_array().unwrap().iter().find(|i| i["name"].as_str().unwrap().starts_with("stave.jvm-tiny"));
    env.run(&["export", stack.unwrap()["name"].as_str().unwrap(), "--tag", &name, "--publish"]).succeeds();

    // Where nothing of the base is kept.
    let other = TestEnv::warm();
    std::fs::remove_dir_all(other.data().join("images")).unwrap();
    other.write("tiny.jar", jar::boot());
    other.run(&["build", "tiny.jar", "--run-image", &name, "--to", "oci:out"]).succeeds();
    let (image, from_stack) = (checked_here(&other.work().join("out")), checked_here(&env.work().join("from-stack")));
    let layers = |image: &stave_lifecycle::image::Image| image.layers.iter().map(|l| l.diff_id).collect::<Vec<_>>();
    assert_eq!(layers(&image), layers(&from_stack));
    assert_eq!(config(&image)["config"]["User"], "1002:1000");
    // A registry that is gone is said.
    drop(registry);
    run(&mut other.stave(&["inspect", &name])).ends_with(32);
}
