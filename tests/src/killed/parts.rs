//! What builds are made of: locks, buildpacks that are published, builders and bundles.

use std::fs;

use stave_model::component::embed;

use super::Trial;
use crate::support::{
    env::TestEnv, guests, images::small_base_for, process::succeeds, registry::Registry, tools::tool,
};

/// A buildpack of this version, in its file.
fn put_component(env: &TestEnv, version: &str) {
    let manifest = format!("contract = \"0.1\"\n[buildpack]\nid = \"acme/tool\"\nversion = \"{version}\"\n");
    env.write("tool.wasm", embed(&guests::bare("choosy"), &manifest).unwrap());
}

/// An app, a base for two platforms, and a builder of one buildpack.
fn world() -> TestEnv {
    let env = TestEnv::empty();
    small_base_for(&env, &["linux/amd64".parse().unwrap(), "linux/arm64".parse().unwrap()]);
    env.write("app/readme.txt", "an app");
    put_component(&env, "1.0.0");
    env.write("builder.toml", "stack = { path = \"base\" }\n[[buildpacks]]\npath = \"tool.wasm\"\n");
    env
}

/// The digest that a tag leads to in its registry.
fn digest_of(reference: &str) -> String {
    let mut inspect = tool("skopeo");
    inspect.args(["inspect", "--tls-verify=false", "--raw"]);
    let raw = succeeds(inspect.arg(format!("docker://{reference}")));
    stave_model::digest::Digest::of(raw.as_bytes()).to_string()
}

#[test]
fn a_lock() {
    let env = world();
    let trial = Trial {
        after: &|_, _| drop(env.run(&["build", "app", "--locked"]).succeeds()),
        ..Trial::new(&env, "lock --builder builder.toml", &["Name work/stave.lock"])
    };
    trial.kill_at_every_step();
}

#[test]
fn a_lock_that_is_updated() {
    let env = world();
    env.run(&["lock", "--builder", "builder.toml"]).succeeds();
    put_component(&env, "1.1.0");
    let trial = Trial {
        after: &|_, _| drop(env.run(&["build", "app", "--locked"]).succeeds()),
        // What has changed is said by the one who changes it.
        again: Some(&|_| env.run(&["lock", "update"])),
        ..Trial::new(&env, "lock update", &["Name work/stave.lock"])
    };
    trial.kill_at_every_step();
}

#[test]
fn a_buildpack_that_is_published() {
    let env = world();
    let registry = Registry::start(&env);
    let line = format!("buildpack publish tool.wasm {}:1", registry.reference("parts/NAME"));
    let parts = ["Send PUT /v2/parts/", "/manifests/"];
    let trial = Trial {
        after: &|name, outcome| {
            let digest = digest_of(&registry.reference(&format!("parts/{name}:1")));
            assert!(outcome.result().ends_with(&digest), "{outcome:?}");
        },
        ..Trial::new(&env, &line, &parts)
    };
    trial.kill_at_every_step();
    Trial::new(&env, "buildpack publish tool.wasm oci:parts:1", &["Name work/parts"]).kill_at_every_step();
}

#[test]
fn a_builder_that_is_kept() {
    let env = world();
    let trial = Trial {
        after: &|_, _| drop(env.run(&["build", "app", "--builder", "acme/tools:1"]).succeeds()),
        ..Trial::new(&env, "builder create builder.toml --tag acme/tools:1", &["Name data/builders"])
    };
    trial.kill_at_every_step();
}

#[test]
fn a_builder_that_is_published() {
    let env = world();
    env.run(&["builder", "create", "builder.toml", "--tag", "acme/tools:1"]).succeeds();
    let registry = Registry::start(&env);
    let line = format!("builder publish acme/tools:1 {}:1", registry.reference("builders/NAME"));
    let trial = Trial {
        after: &|name, outcome| {
            let digest = digest_of(&registry.reference(&format!("builders/{name}:1")));
            assert!(outcome.result().ends_with(&digest), "{outcome:?}");
        },
        ..Trial::new(&env, &line, &["/manifests/"])
    };
    trial.kill_at_every_step();
}

#[test]
fn a_bundle_that_is_written() {
    let env = world();
    let line = "bundle create tools.tar --builder builder.toml --tag acme/tools:1";
    Trial::new(&env, line, &["Name work/tools.tar"]).kill_at_every_step();
}

#[test]
fn a_bundle_that_is_imported() {
    let env = world();
    env.run(&["bundle", "create", "tools.tar", "--builder", "builder.toml", "--tag", "acme/tools:1"]).succeeds();
    for name in ["base", "tool.wasm", "builder.toml"] {
        let path = env.work().join(name);
        fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path)).unwrap();
    }
    let trial = Trial {
        after: &|_, _| drop(env.run(&["build", "app", "--builder", "acme/tools:1", "--offline"]).succeeds()),
        ..Trial::new(&env, "bundle import tools.tar", &["Name data/builders"])
    };
    trial.kill_at_every_step();
}
