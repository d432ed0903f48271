//! Images put on another base, where they are: image store, layout, registry.

use serde_json::Value;

use crate::support::{
    env::TestEnv,
    images::{checked_here, named_base},
    jar,
    registry::Registry,
};

/// A world with an app and two versions of a base.
fn world() -> TestEnv {
    let env = TestEnv::warm();
    env.write("tiny.jar", jar::boot());
    named_base(&env, "bases", Some("1"));
    named_base(&env, "bases", Some("2"));
    env
}

fn build(env: &TestEnv, more: &[&str]) -> String {
    env.run(&[&["build", "tiny.jar", "--run-image", "oci:bases:1"], more].concat()).succeeds().result().to_owned()
}

fn version(image: &stave_lifecycle::image::Image) -> stave_model::digest::Digest {
    image.layers[1].diff_id
}

#[test]
fn an_image_of_the_store_goes_to_another_base_and_back() {
    let env = world();
    let first = build(&env, &["--tag", "tiny"]);
    let tried = env.run(&["rebase", "tiny", "--run-image", "oci:bases:2", "--dry-run"]).succeeds();
    let done = env.run(&["rebase", "tiny", "--run-image", "oci:bases:2"]).succeeds();
    assert_ne!(done.result(), first);
    assert_eq!(tried.result(), done.result(), "what was said is what was done");
    env.run(&["export", "tiny", "--to", "oci:moved"]).succeeds();
    let moved = checked_here(&env.work().join("moved"));
    assert_eq!(moved.digest().to_string(), done.result());
    // The image names its new base now, and is on it.
    let again = env.run(&["rebase", "tiny"]).succeeds();
    assert_eq!(again.result(), done.result());
    let back = env.run(&["rebase", "tiny", "--run-image", "oci:bases:1", "-o", "json"]).succeeds();
    let about: Value = serde_json::from_str(&back.stdout).unwrap();
    assert_eq!((&about["digest"], &about["platforms"][0]["changed"]), (&Value::from(first), &Value::from(true)));
    assert_eq!(about["platforms"][0]["accepted_because"], "it is of the same repository as oci:bases:2");
    let shown = [tried.stderr, done.stderr, again.stderr].join("---\n");
    let shown = shown.replace(&moved.platform.to_string(), "PLATFORM").replace(&moved.digest().to_string(), "DIGEST");
    insta::with_settings!({ filters => vec![("[0-9a-f]{12}", "SHORT")] }, {
        insta::assert_snapshot!(shown, @"
        PLATFORM: on oci:bases:2 (SHORT): it is of the same repository as oci:bases:1
        nothing was changed: --dry-run
        ---
        PLATFORM: on oci:bases:2 (SHORT): it is of the same repository as oci:bases:1
        image tiny:latest in the image store DIGEST
        ---
        PLATFORM: is on oci:bases:2 already
        ");
    });
}

#[test]
fn a_base_of_another_place_is_refused() {
    let env = world();
    let first = build(&env, &["--tag", "tiny"]);
    named_base(&env, "others", Some("1"));
    let refused = env.run(&["rebase", "tiny", "--run-image", "oci:others:1"]).ends_with(72);
    let here = stave_model::target::Platform::of_this_machine().to_string();
    insta::assert_snapshot!(refused.stderr.replace(&here, "PLATFORM"), @"
    error: could not put tiny for PLATFORM on oci:others:1
    caused by: `oci:others:1` is not a base of the image, which stands on oci:bases:1
    hint: --force does it nevertheless; building again is the safe way
    ");
    let forced = env.run(&["rebase", "tiny", "--run-image", "oci:others:1", "--force"]).succeeds();
    assert_ne!(forced.result(), first);
    env.run(&["rebase", "tiny", "--run-image", "oci:nowhere"]).ends_with(32);
    // A base itself was not built.
    env.run(&["rebase", "oci:bases:1", "--run-image", "oci:bases:2"]).ends_with(72);
}

#[test]
fn an_image_of_a_layout_is_replaced_there() {
    let env = world();
    let first = build(&env, &["--to", "oci:out:tiny"]);
    env.run(&["rebase", "oci:out:tiny", "--run-image", "oci:bases:2"]).succeeds();
    let image = checked_here(&env.work().join("out"));
    assert_eq!(version(&image), version_of(&env, "2"));
    env.run(&["rebase", "oci:out:tiny", "--run-image", "oci:bases:1", "--to", "oci:elsewhere"]).succeeds();
    assert_eq!(checked_here(&env.work().join("elsewhere")).digest().to_string(), first);
    assert_eq!(checked_here(&env.work().join("out")).digest(), image.digest(), "only what was asked for is written");
}

fn version_of(env: &TestEnv, name: &str) -> stave_model::digest::Digest {
    let place = stave_oci::layout::Place { folder: env.work().join("bases"), name: Some(name.to_owned()) };
    let layout = stave_oci::layout::Layout::open(place).unwrap();
    layout.image(&stave_model::target::Platform::of_this_machine()).unwrap().layers[1].diff_id
}

#[test]
fn an_image_in_a_registry_moves_no_layer() {
    let env = world();
    let registry = Registry::start(&env);
    let name = registry.reference("team/tiny:1");
    for version in ["1", "2"] {
        let run = registry.reference(&format!("team/run:{version}"));
        // A base is an image like any other; by way of the store it gets into the registry.
        let copied = format!("oci:bases:{version}");
        let mut copy = crate::support::tools::tool("skopeo");
        copy.current_dir(env.work()).args(["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"]);
        crate::support::process::succeeds(copy.args([&copied, &format!("docker://{run}")]));
    }
    let run = registry.reference("team/run:1");
    let built = env.run(&["build", "tiny.jar", "--run-image", &run, "--tag", &name, "--publish"]).succeeds();
    // Without being told so, nothing in a registry changes.
    env.run(&["rebase", &name, "--run-image", &registry.reference("team/run:2")]).ends_with(3);
    let run = registry.reference("team/run:2");
    let done = env.run(&["rebase", &name, "--run-image", &run, "--publish"]).succeeds();
    assert_ne!(done.result(), built.result());
    assert!(!done.stderr.contains("push"), "no blob is worth a line: {}", done.stderr);
    assert!(!done.stderr.contains("pull layer"), "{}", done.stderr);
    let mut copy = crate::support::tools::tool("skopeo");
    copy.current_dir(env.work()).args(["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false"]);
    crate::support::process::succeeds(copy.args([&format!("docker://{name}"), "oci:copied"]));
    let copied = checked_here(&env.work().join("copied"));
    assert_eq!(copied.digest().to_string(), done.result());
    assert_eq!(version(&copied), version_of(&env, "2"));
}
