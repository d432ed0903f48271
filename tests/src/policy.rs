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
    insta::assert_snapshot!(told.failure(), @r#"
    error: could not load the buildpack tool.wasm
    caused by: acme/tool@1.0.0 asks for what the policy policy.toml does not allow it: interfaces = ["artifacts"], ecosystems = ["pypi"], settings = ["HOME"]
    hint: whoever trusts it adds to policy.toml:
      [[grants]]
      digest = "sha256:[HEX]"
      interfaces = ["artifacts"]
      ecosystems = ["pypi"]
      settings = ["HOME"]
    "#);
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
    insta::assert_snapshot!(told.failure(), @r#"
    error: could not load the buildpack tool.wasm
    caused by: acme/tool@1.0.0 asks for what it is not granted: interfaces = ["artifacts"], ecosystems = ["pypi"], settings = ["HOME"]
    hint: whoever trusts it adds interfaces = ["artifacts"], ecosystems = ["pypi"], settings = ["HOME"] to its `grants` in the builder
    "#);
    env.write("policy.toml", "");
    insta::assert_snapshot!(env.run(&BUILD).ends_with(13).failure(), @r#"
    error: could not load the buildpack tool.wasm
    caused by: acme/tool@1.0.0 asks for what it is not granted: interfaces = ["artifacts"], ecosystems = ["pypi"], settings = ["HOME"]
    hint: whoever trusts it adds interfaces = ["artifacts"], ecosystems = ["pypi"], settings = ["HOME"] to its `grants` in the builder, and adds to policy.toml:
      [[grants]]
      digest = "sha256:[HEX]"
      interfaces = ["artifacts"]
      ecosystems = ["pypi"]
      settings = ["HOME"]
    "#);
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
fn what_one_signs_is_allowed_and_what_another_signs_is_not() {
    let env = world();
    for (name, key) in [
        ("acme", include_str!("../../host/trust/src/fixtures/plain.pem")),
        ("ops", include_str!("../../host/trust/src/fixtures/other.pem")),
    ] {
        env.write(&format!("{name}.key"), key);
    }
    env.write("acme.pub", include_str!("../../host/trust/src/fixtures/plain.pub"));
    env.write("ops.pub", include_str!("../../host/trust/src/fixtures/other.pub"));
    let builder = fs::read_to_string(env.work().join("builder.toml")).unwrap();
    env.write("builder.toml", builder.replace("path = \"tool.wasm\"", "reference = \"oci:tools\""));
    let keys = "[keys]\nacme = \"acme.pub\"\nops = \"ops.pub\"\n";
    env.write("policy.toml", format!("{keys}[[grants]]\nsigner = \"acme\"\nid = \"acme/tool\"\n{GREEDY}\n"));
    env.run(&["buildpack", "publish", "tool.wasm", "oci:tools"]).succeeds();
    env.run(&BUILD).ends_with(13);
    env.run(&["buildpack", "sign", "oci:tools", "--key", "ops.key"]).succeeds();
    env.run(&BUILD).ends_with(13);
    env.run(&["buildpack", "sign", "oci:tools", "--key", "acme.key"]).succeeds();
    // Signatures that were verified are kept; the one of before says nothing about this entry.
    env.forget_results();
    env.run(&BUILD).succeeds();
    env.run(&BUILD).succeeds();
    let told = env.run(&[&EXPLAIN[..], &["--policy", "policy.toml"]].concat()).succeeds().stdout;
    assert!(told.contains("  signed by  acme, ops\n"), "{told}");
    assert!(told.contains("  policy     policy.toml: what is usual, and entry 1 (signer acme)\n"), "{told}");
    env.write("policy.toml", format!("{keys}[[grants]]\nsigner = \"acme\"\nid = \"acme/other\"\n{GREEDY}\n"));
    env.run(&BUILD).ends_with(13);
}

#[test]
fn what_was_asked_granted_used_and_denied_is_explained() {
    let env = world();
    let _filters = filters::bind(&env);
    insta::assert_snapshot!(env.run(&EXPLAIN).succeeds().stdout, @r#"
    acme/tool@1.0.0
      component  sha256:[HEX]
      builder    builder.toml
      policy     none: it may do what the builder grants

                   imported  asked  used  granted
    interfaces
      context      yes       -      -     always
      log          yes       -      -     always
      artifacts    -         yes    -     yes: the builder
    ecosystems
      pypi                   yes    -     yes: the builder
    settings
      BP_CHOOSY_A            yes    -     yes: the builder
      HOME                   yes    -     yes: the builder

    Nothing is known of what it did: it has not run here.
    "#);
    env.run(&BUILD).ends_with(13);
    let explain = [&EXPLAIN[..], &["--policy", "policy.toml"]].concat();
    insta::assert_snapshot!(env.run(&explain).succeeds().stdout, @r#"
    acme/tool@1.0.0
      component  sha256:[HEX]
      builder    builder.toml
      policy     policy.toml: no entry is for it, and it may do what is usual

                   imported  asked  used  granted
    interfaces
      context      yes       -      -     always
      log          yes       -      -     always
      artifacts    -         yes    -     no: the policy does not allow it
    ecosystems
      pypi                   yes    -     no: the policy does not allow it
    settings
      BP_CHOOSY_A            yes    -     yes: usual
      HOME                   yes    -     no: the policy does not allow it

    It was denied:
      interfaces = ["artifacts"]: the policy does not allow it
      ecosystems = ["pypi"]: the policy does not allow it
      settings = ["HOME"]: the policy does not allow it

    It is refused, because it is not granted all that it asks for: whoever trusts it adds to policy.toml:
      [[grants]]
      digest = "sha256:[HEX]"
      interfaces = ["artifacts"]
      ecosystems = ["pypi"]
      settings = ["HOME"]
    "#);
    let digest = Digest::of(&fs::read(env.work().join("tool.wasm")).unwrap());
    env.write("policy.toml", format!("[[grants]]\ndigest = \"{digest}\"\n{GREEDY}\n"));
    env.run(&[&BUILD[..], &["--env", "BP_CHOOSY_A=+x -x"]].concat()).succeeds();
    insta::assert_snapshot!(env.run(&explain).succeeds().stdout, @r#"
    acme/tool@1.0.0
      component  sha256:[HEX]
      builder    builder.toml
      policy     policy.toml: what is usual, and entry 1 (its digest)

                   imported  asked  used  granted
    interfaces
      context      yes       -      yes   always
      log          yes       -      -     always
      artifacts    -         yes    -     yes: entry 1 (its digest)
    ecosystems
      pypi                   yes    -     yes: entry 1 (its digest)
    settings
      BP_CHOOSY_A            yes    yes   yes: usual, entry 1 (its digest)
      HOME                   yes    -     yes: entry 1 (its digest)

    It was denied:
      interfaces = ["artifacts"]: the policy does not allow it
      ecosystems = ["pypi"]: the policy does not allow it
      settings = ["HOME"]: the policy does not allow it
    "#);
}

/// What `stave policy explain` tells programs of the buildpack.
fn explained(env: &TestEnv) -> Value {
    let arguments = [&EXPLAIN[..], &["--policy", "policy.toml", "-o", "json"]].concat();
    serde_json::from_str(&env.run(&arguments).succeeds().stdout).unwrap()
}

#[test]
fn programs_are_told_the_same_and_what_is_remembered_counts_as_done() {
    let env = world();
    env.run(&BUILD).ends_with(13);
    let digest = Digest::of(&fs::read(env.work().join("tool.wasm")).unwrap());
    env.write("policy.toml", format!("[[grants]]\ndigest = \"{digest}\"\n{GREEDY}\n"));
    let build = [&BUILD[..], &["--env", "BP_CHOOSY_A=+x -x", "-v"]].concat();
    env.run(&build).succeeds();
    let told = explained(&env);
    assert_eq!((&told["component"], &told["policy"]), (&digest.to_string().into(), &"policy.toml".into()));
    assert_eq!((&told["in-builder"], &told["remedy"]), (&true.into(), &Value::Null));
    let items = told["capabilities"].as_array().unwrap();
    let pypi = items.iter().find(|item| item["name"] == "pypi").unwrap();
    assert_eq!((&pypi["granted"], &pypi["by"][0]["entry"]["number"]), (&true.into(), &1.into()));
    let denied = told["denied"].as_array().unwrap();
    assert!(denied.iter().any(|one| one["name"] == "HOME" && one["withheld-by"] == "policy"), "{denied:?}");
    // Nothing else is known of it any more.
    fs::remove_dir_all(env.data().join("ledger")).unwrap();
    let again = env.run(&build).succeeds();
    assert!(again.stderr.contains("acme/tool@1.0.0 build: remembered"), "{}", again.stderr);
    let told = explained(&env);
    let items = told["capabilities"].as_array().unwrap().iter();
    let used: Vec<&str> = items.filter(|item| item["used"] == true).filter_map(|item| item["name"].as_str()).collect();
    assert_eq!((used, &told["denied"]), (vec!["context", "BP_CHOOSY_A"], &Value::Array(Vec::new())));
}

#[test]
fn what_a_manifest_does_not_ask_for_is_denied_and_written_down() {
    let env = world();
    env.write("tool.wasm", component("For tests.", "settings = [\"BP_CHOOSY_A\"]"));
    env.run(&BUILD).succeeds();
    let told = env.run(&[&EXPLAIN[..], &["--policy", "policy.toml"]].concat()).succeeds();
    let (_, denied) = told.stdout.split_once("It was denied:\n  ").unwrap();
    insta::assert_snapshot!(denied, @r#"
    settings = ["BP_CHOOSY_B"]: its manifest does not ask for it
      settings = ["BP_CHOOSY_C"]: its manifest does not ask for it
      settings = ["BP_CHOOSY_D"]: its manifest does not ask for it
      settings = ["BP_CHOOSY_E"]: its manifest does not ask for it
      settings = ["BP_CHOOSY_F"]: its manifest does not ask for it
    "#);
}

#[test]
fn what_is_inside_the_program_is_the_program() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    small_base(&env);
    env.write("app/Procfile", "web: serve\n");
    env.write("policy.toml", "");
    let granted = "grants = { interfaces = [\"layers\", \"bindings\"], bindings = [\"ca-certificates\"], \
                   settings = [\"BP_EMBED_CERTS\"] }";
    env.write(
        "builder.toml",
        format!(
            "stack = {{ path = \"base\" }}\n[[buildpacks]]\npath = \"builtin:ca-certificates\"\n{granted}\n\
             [[buildpacks]]\npath = \"builtin:procfile\"\n"
        ),
    );
    env.run(&BUILD).succeeds();
    let told = env.run(&["policy", "explain", "builtin:ca-certificates", "--policy", "policy.toml"]).succeeds();
    insta::assert_snapshot!(told.stdout, @r#"
    stave/ca-certificates@0.1.0
      component  sha256:[HEX]
      builder    builtin
      policy     policy.toml: it is inside this program, and may do what the builder grants

                       imported  asked  used  granted
    interfaces
      context          yes       yes    yes   always
      log              yes       yes    -     always
      layers           yes       yes    -     yes: the builder
      bindings         yes       yes    -     yes: the builder
    settings
      BP_EMBED_CERTS             yes    yes   yes: the builder
    bindings
      ca-certificates            yes    -     yes: the builder
    "#);
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
    insta::assert_snapshot!(refused("[[grants]]\nid = \"acme/tool\"\ninterfaces = [\"artifacts\"]\n"), @r#"
    error: could not read the policy policy.toml
    caused by: the policy does not follow the format of policy.toml
    caused by: TOML parse error at line 1, column 1
        |
      1 | [[grants]]
        | ^^^^^^^^^^
      an entry of `[[grants]]` has either a `digest` or a `signer`; an `id` beside it only narrows it
    "#);
    insta::assert_snapshot!(refused("[[grants]]\nsigner = \"acme\"\n"), @r#"
    error: could not read the policy policy.toml
    caused by: entry 1 of `[[grants]]`: its signer `acme` is not in `[keys]`
    "#);
    let told = env.run(&["images", "--policy", "missing.toml"]).ends_with(3);
    insta::assert_snapshot!(told.failure(), @r#"
    error: could not read the policy missing.toml
    caused by: No such file or directory (os error 2)
    "#);
    env.assert_nothing_half_written();
}
