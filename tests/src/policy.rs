//! The operator's policy: what it keeps from a buildpack whatever its builder grants, what lifts that, and what is told of a
//! buildpack afterwards: asked, granted, used, denied.

use std::fs;

use serde_json::Value;
use stave_model::{component::embed, digest::Digest};

use crate::support::{env::TestEnv, filters, guests, images::small_base};

/// A buildpack that reads the setting `BP_CHOOSY_A`, tries others if that is not set, and asks for this besides.
fn component(description: &str, asks: &str) -> Vec<u8> {
    let manifest = format!(
        "contract = \"0.1\"\n[buildpack]\nid = \"acme/tool\"\nversion = \"1.0.0\"\ndescription = \"{description}\"\n\
         [asks]\n{asks}\n"
    );
    embed(&guests::bare("choosy"), &manifest).unwrap()
}

/// What it asks for in most of these tests: more than is usual.
const GREEDY: &str = "interfaces = [\"artifacts\"]\necosystems = [\"pypi\"]\nsettings = [\"BP_CHOOSY_A\", \"HOME\"]";

/// An app, a base, and a builder that grants the buildpack all that it asks for.
fn world() -> TestEnv {
    let env = TestEnv::empty();
    small_base(&env);
    env.write("app/readme.txt", "an app");
    env.write("tool.wasm", component("For tests.", GREEDY));
    let grants = "grants = { interfaces = [\"layers\", \"artifacts\"], ecosystems = [\"pypi\"], settings = [\"*\"] }";
    env.write(
        "builder.toml",
        format!("stack = {{ path = \"base\" }}\n[[buildpacks]]\npath = \"tool.wasm\"\n{grants}\n"),
    );
    env.write("policy.toml", "");
    env
}

const BUILD: [&str; 6] = ["build", "app", "--builder", "builder.toml", "--policy", "policy.toml"];
const EXPLAIN: [&str; 5] = ["policy", "explain", "acme/tool", "--builder", "builder.toml"];

#[test]
fn a_policy_withholds_what_a_builder_grants_and_names_the_lines_that_lift_it() {
    let env = world();
    let _filters = filters::bind(&env);
    env.run(&BUILD[..4]).succeeds();
    let told = env.run(&BUILD).ends_with(13);
    insta::assert_snapshot!(told.failure(), @r#""#);
    env.assert_nothing_half_written();
    // The lines are taken as they are told.
    let (_, lines) = told.failure().split_once("policy.toml:\n").unwrap();
    env.write("policy.toml", lines);
    env.run(&BUILD).succeeds();
    env.run(&["build", "app", "--builder", "builder.toml", "--policy", "policy.toml", "--no-memory"]).succeeds();
    // Whoever takes the name gets nothing of it.
    env.write("tool.wasm", component("Another one.", GREEDY));
    let again = env.run(&BUILD).ends_with(13);
    assert!(again.failure().contains("the policy policy.toml does not allow it"), "{}", again.failure());
    assert_ne!(again.failure(), told.failure(), "the lines are for its own digest");
    // A policy grants nothing that the builder does not.
    env.write(
        "policy.toml",
        format!(
            "[[grants]]\ndigest = \"{}\"\n{GREEDY}\n",
            Digest::of(&fs::read(env.work().join("tool.wasm")).unwrap())
        ),
    );
    env.run(&BUILD).succeeds();
    env.write("builder.toml", "stack = { path = \"base\" }\n[[buildpacks]]\npath = \"tool.wasm\"\n");
    let told = env.run(&BUILD).ends_with(13);
    insta::assert_snapshot!(told.failure(), @r#""#);
    env.write("policy.toml", "");
    insta::assert_snapshot!(env.run(&BUILD).ends_with(13).failure(), @r#""#);
}

#[test]
fn the_configuration_names_the_policy_and_a_lock_does_not_go_around_it() {
    let env = world();
    env.write("config.toml", "policy = \"policy.toml\"\n");
    let refused = |arguments: &[&str]| {
        let told = env.run(&[arguments, &["--config", "config.toml"]].concat()).ends_with(13);
        assert!(told.failure().contains("the policy policy.toml does not allow it"), "{}", told.failure());
    };
    refused(&["build", "app", "--builder", "builder.toml"]);
    refused(&["detect", "app", "--builder", "builder.toml"]);
    // Who makes a builder or a lock runs nothing of it.
    env.run(&["lock", "--builder", "builder.toml", "--config", "config.toml"]).succeeds();
    env.run(&["builder", "create", "builder.toml", "--tag", "tools", "--config", "config.toml"]).succeeds();
    refused(&["build", "app", "--locked"]);
    refused(&["build", "app", "--builder", "tools"]);
}

#[test]
fn what_was_asked_granted_used_and_denied_is_explained() {
    let env = world();
    let _filters = filters::bind(&env);
    insta::assert_snapshot!(env.run(&EXPLAIN).succeeds().stdout, @r#""#);
    env.run(&BUILD).ends_with(13);
    let explain = [&EXPLAIN[..], &["--policy", "policy.toml"]].concat();
    insta::assert_snapshot!(env.run(&explain).succeeds().stdout, @r#""#);
    let digest = Digest::of(&fs::read(env.work().join("tool.wasm")).unwrap());
    env.write("policy.toml", format!("[[grants]]\ndigest = \"{digest}\"\n{GREEDY}\n"));
    env.run(&[&BUILD[..], &["--env", "BP_CHOOSY_A=+x"]].concat()).succeeds();
    insta::assert_snapshot!(env.run(&explain).succeeds().stdout, @r#""#);
    let json: Value =
        serde_json::from_str(&env.run(&[&explain[..], &["-o", "json"]].concat()).succeeds().stdout).unwrap();
    assert_eq!((&json["component"], &json["policy"]), (&digest.to_string().into(), &"policy.toml".into()));
    assert_eq!((&json["in-builder"], &json["remedy"]), (&true.into(), &Value::Null));
    let items = json["capabilities"].as_array().unwrap();
    let pypi = items.iter().find(|item| item["name"] == "pypi").unwrap();
    assert_eq!((&pypi["granted"], &pypi["by"][0]["entry"]["number"]), (&true.into(), &1.into()));
    let denied = json["denied"].as_array().unwrap();
    assert!(denied.iter().any(|one| one["name"] == "HOME" && one["withheld-by"] == "policy"), "{denied:?}");
    // What is remembered counts as what it did, also where nothing else is known of it any more.
    fs::remove_dir_all(env.data().join("ledger")).unwrap();
    let told = env.run(&[&BUILD[..], &["--env", "BP_CHOOSY_A=+x", "-v"]].concat()).succeeds();
    assert!(told.stderr.contains("remembered"), "{}", told.stderr);
    let json: Value =
        serde_json::from_str(&env.run(&[&explain[..], &["-o", "json"]].concat()).succeeds().stdout).unwrap();
    let used: Vec<&str> = json["capabilities"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["used"] == true)
        .map(|item| item["name"].as_str().unwrap())
        .collect();
    assert_eq!(used, ["context", "BP_CHOOSY_A"]);
    assert_eq!(json["denied"], Value::Array(Vec::new()));
}

#[test]
fn what_a_manifest_does_not_ask_for_is_denied_and_written_down() {
    let env = world();
    env.write("tool.wasm", component("For tests.", "settings = [\"BP_CHOOSY_A\"]"));
    env.run(&BUILD).succeeds();
    let told = env.run(&[&EXPLAIN[..], &["--policy", "policy.toml"]].concat()).succeeds();
    let (_, denied) = told.stdout.split_once("It was denied:\n").unwrap();
    insta::assert_snapshot!(denied, @r#""#);
}

#[test]
fn what_is_inside_the_program_is_the_program() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    small_base(&env);
    env.write("app/Procfile", "web: serve\n");
    env.write("policy.toml", "");
    let granted = "grants = { interfaces = [\"layers\", \"bindings\"], bindings = [\"ca-certificates\"] }";
    env.write(
        "builder.toml",
        format!(
            "stack = {{ path = \"base\" }}\n[[buildpacks]]\npath = \"builtin:ca-certificates\"\n{granted}\n\
             [[buildpacks]]\npath = \"builtin:procfile\"\n"
        ),
    );
    env.run(&BUILD).succeeds();
    let told = env.run(&["policy", "explain", "builtin:ca-certificates", "--policy", "policy.toml"]).succeeds();
    insta::assert_snapshot!(told.stdout, @r#""#);
}

#[test]
fn a_buildpack_from_anywhere_is_explained() {
    let env = world();
    let explain = |text: &str| env.run(&["policy", "explain", text, "--policy", "policy.toml"]);
    // The builder inside the program does not have it.
    let told = explain("./tool.wasm").succeeds().stdout;
    assert!(told.contains("  builder    builtin does not have it: its grants would be what is usual\n"), "{told}");
    assert!(told.contains("It is refused, because it is not granted all that it asks for: "), "{told}");
    env.run(&["buildpack", "publish", "tool.wasm", "oci:tools"]).succeeds();
    assert_eq!(explain("oci:tools").succeeds().stdout, told);
    assert_eq!(explain("tool.wasm").succeeds().stdout, told);
    let told = explain("stave/java").succeeds().stdout;
    assert!(told.starts_with("stave/java@") && told.contains("policy.toml: it is inside this program"), "{told}");
    let told = explain("acme/nothing").ends_with(3);
    assert!(
        told.failure().starts_with("error: the builder builtin has no buildpack acme/nothing\nhint: it has stave/"),
        "{}",
        told.failure()
    );
    explain("./missing.wasm").ends_with(3);
    // Whatever a manifest says, it cannot steer the terminal.
    env.write("tool.wasm", component("x", "settings = [\"BP_\\u001b[2J\\u202e\"]\nhosts = [\"\\u0007\"]"));
    let told = explain("tool.wasm").succeeds().stdout;
    assert!(!told.contains(|c: char| c.is_control() && c != '\n') && !told.contains('\u{202e}'), "{told:?}");
    assert!(told.contains("BP_\\u{1b}[2J"), "{told}");
}

#[test]
fn a_policy_in_bad_shape_stops_everything() {
    let env = world();
    let refused = |text: &str| {
        env.write("policy.toml", text);
        env.run(&BUILD).ends_with(3).failure().to_owned()
    };
    insta::assert_snapshot!(refused("[[grants]]\nid = \"acme/tool\"\ninterfaces = [\"artifacts\"]\n"), @r#""#);
    insta::assert_snapshot!(refused("[[grants]]\nsigner = \"acme\"\n"), @r#""#);
    let told = env.run(&["images", "--policy", "missing.toml"]).ends_with(3);
    insta::assert_snapshot!(told.failure(), @r#""#);
    env.assert_nothing_half_written();
}
