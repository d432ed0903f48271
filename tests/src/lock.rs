//! The lock: what it says, what `--locked` refuses, and what stops an update that wants more.

use std::{fmt::Write as _, fs};

use serde_json::Value;
use stave_model::{component::embed, target::Platform};
use stave_oci::testing;

use crate::support::{
    env::TestEnv,
    filters, guests,
    images::small_base,
    process::{Outcome, stave},
    tools::tool,
};

/// What the buildpack of these tests asks for at first.
const MODEST: &str = "settings = [\"BP_CHOOSY_A\"]";

/// Puts the buildpack into its file: this version, asking for this.
fn put_buildpack(env: &TestEnv, version: &str, asks: &str) {
    let manifest =
        format!("contract = \"0.1\"\n[buildpack]\nid = \"acme/tool\"\nversion = \"{version}\"\n[asks]\n{asks}\n");
    env.write("tool.wasm", embed(&guests::bare("choosy"), &manifest).unwrap());
}

/// Puts the builder into its file, with these grants beside the usual ones.
fn put_builder(env: &TestEnv, grants: &str) {
    let text = format!("stack = {{ path = \"base\" }}\n[[buildpacks]]\npath = \"tool.wasm\"\n{grants}\n");
    env.write("builder.toml", text);
}

/// An app, a base, a builder of one buildpack, and a lock of it all.
fn locked() -> TestEnv {
    let env = TestEnv::empty();
    small_base(&env);
    env.write("app/readme.txt", "an app");
    put_buildpack(&env, "1.0.0", MODEST);
    put_builder(&env, "");
    env.run(&["lock", "--builder", "builder.toml"]).succeeds();
    env
}

fn lock_of(env: &TestEnv) -> String {
    fs::read_to_string(env.work().join("stave.lock")).unwrap()
}

/// Runs what must fail with `code` and leave the lock as it is.
#[track_caller]
fn stops(env: &TestEnv, arguments: &[&str], code: i32) -> Outcome {
    let before = lock_of(env);
    let outcome = env.run(arguments).ends_with(code);
    assert_eq!(lock_of(env), before, "the lock was changed");
    env.assert_nothing_half_written();
    outcome
}

#[test]
fn a_lock_names_everything_and_is_the_same_each_time() {
    let env = locked();
    let first = lock_of(&env);
    for part in ["name = \"builder.toml\"", "id = \"acme/tool\"", "component = \"sha256:", "imports = [", "BP_CHOOSY_A"]
    {
        assert!(first.contains(part), "{part} is missing: {first}");
    }
    let again = env.run(&["lock", "--builder", "builder.toml"]).succeeds();
    assert!(again.stderr.ends_with("\nnothing has changed: stave.lock\n"), "{}", again.stderr);
    env.run(&["lock", "update"]).succeeds();
    assert_eq!(lock_of(&env), first);
    // The builder is the lock's where none is named.
    env.run(&["build", "app", "--locked"]).succeeds();
    env.run(&["detect", "app", "--locked", "--lock-file", "stave.lock"]).succeeds();
    env.run(&["verify", "app", "app", "--locked"]).succeeds();
}

#[test]
fn locked_takes_nothing_else() {
    let env = locked();
    let _filters = filters::bind(&env);
    let refused = |arguments: &[&str]| stops(&env, arguments, 14).failure().to_owned();
    put_buildpack(&env, "1.0.1", MODEST);
    insta::assert_snapshot!(refused(&["build", "app", "--locked"]), @r#"
    error: the builder builder.toml is not the one in stave.lock
      acme/tool 1.0.0 -> 1.0.1
        component sha256:[HEX] -> sha256:[HEX]
        size [SIZE]
    hint: `stave lock update` takes what is there now, and stops where it wants more than before
    "#);
    insta::assert_snapshot!(refused(&["detect", "app", "--locked"]), @r#"
    error: the builder builder.toml is not the one in stave.lock
      acme/tool 1.0.0 -> 1.0.1
        component sha256:[HEX] -> sha256:[HEX]
        size [SIZE]
    hint: `stave lock update` takes what is there now, and stops where it wants more than before
    "#);
    put_buildpack(&env, "1.0.0", MODEST);
    put_builder(&env, "grants = { interfaces = [\"artifacts\"], settings = [\"BP_*\"] }");
    insta::assert_snapshot!(refused(&["build", "app", "--locked"]), @r#"
    error: the builder builder.toml is not the one in stave.lock
      acme/tool 1.0.0
        ! it is granted interfaces = ["artifacts"]
        it is no longer granted interfaces = ["layers"]
        it is no longer granted interfaces = ["overlay"]
        it is no longer granted interfaces = ["sbom"]
        it is no longer granted settings = ["BPE_*"]
        it is no longer granted settings = ["BPL_*"]
    hint: `stave lock update` takes what is there now, and stops where it wants more than before
    "#);
    put_builder(&env, "");
    let other = if Platform::of_this_machine().arch == "amd64" { "linux/arm64" } else { "linux/amd64" };
    let told = refused(&["build", "app", "--locked", "--platform", other, "--run-image", &base(&env, "other")]);
    assert!(told.contains("error: "), "{told}");
    insta::assert_snapshot!(refused(&["build", "app", "--locked", "--run-image", &base(&env, "other")]), @r#"
    error: the base for linux/amd64 is not the one in stave.lock
      locked: sha256:[HEX]
      found: sha256:[HEX] (oci:other)
    hint: `stave lock update` takes what is there now
    "#);
    env.run(&["build", "app", "--locked"]).succeeds();
}

/// Another base, as a layout.
fn base(env: &TestEnv, text: &str) -> String {
    use stave_lifecycle::port::{cancel::Cancel, observer::Silent, sink::Sink as _};
    use stave_oci::layout::{LayoutFolder, Place};
    let place = Place { folder: env.work().join(text), name: None };
    for arch in ["amd64", "arm64"] {
        let image = testing::image(arch, vec![testing::layer(&[("etc/os-release", text)])]);
        LayoutFolder::new(place.clone()).put(&image, &Silent, &Cancel::new()).unwrap();
    }
    format!("oci:{text}")
}

#[test]
fn a_buildpack_that_an_app_brings_is_not_in_the_lock() {
    let env = locked();
    let manifest = "contract = \"0.1\"\n[buildpack]\nid = \"acme/own\"\nversion = \"1.0.0\"\n";
    env.write("app/own.wasm", embed(&guests::bare("choosy"), manifest).unwrap());
    env.write("app/project.toml", "[_]\nschema-version = \"0.2\"\n[[io.buildpacks.group]]\nuri = \"own.wasm\"\n");
    env.run(&["detect", "app", "--builder", "builder.toml"]).succeeds();
    let told = stops(&env, &["detect", "app", "--locked"], 14);
    assert!(told.failure().contains("acme/own@1.0.0 (sha256:"), "{}", told.failure());
}

#[test]
fn an_update_that_wants_more_of_any_kind_waits_until_it_is_accepted_by_name() {
    let kinds = [
        "interfaces = [\"artifacts\"]",
        "interfaces = [\"bindings\"]",
        "ecosystems = [\"pypi\"]",
        "settings = [\"HOME\"]",
        "bindings = [\"maven\"]",
        "hosts = [\"b.example.com\"]",
    ];
    for kind in kinds {
        let env = locked();
        let asks = if kind.starts_with("settings") {
            kind.replace(']', ", \"BP_CHOOSY_A\"]")
        } else {
            format!("{MODEST}\n{kind}")
        };
        put_buildpack(&env, "1.1.0", &asks);
        for arguments in [&["lock", "update"][..], &["lock", "update", "acme/tool"], &["lock", "update", "-o", "json"]]
        {
            let told = stops(&env, arguments, 15);
            assert!(told.failure().contains(&format!("it wants {kind}")), "{kind}: {}", told.failure());
            assert!(told.failure().contains("hint: whoever agrees runs it again with --accept acme/tool"));
        }
        stops(&env, &["lock", "update", "--accept", "acme/other"], 15);
        // A pipeline that is held to the lock does not even look at whether it is granted.
        for arguments in [&["build", "app", "--locked"][..], &["detect", "app", "--locked"]] {
            let told = stops(&env, arguments, 14);
            assert!(told.failure().contains(&format!("! it wants {kind}\n")), "{kind}: {}", told.failure());
        }
        let told = env.run(&["lock", "update", "--accept", "acme/tool"]).succeeds();
        assert!(told.stderr.contains("accepted: acme/tool\n"), "{}", told.stderr);
        assert!(lock_of(&env).contains("version = \"1.1.0\""));
        // What was accepted once is not asked about again.
        env.run(&["lock", "update"]).succeeds();
        // The lock is not a grant: that is the builder's to give.
        let told = stops(&env, &["build", "app", "--locked"], 13);
        assert!(told.failure().contains("is not granted"), "{}", told.failure());
    }
}

#[test]
fn what_stops_an_update_is_told() {
    let env = locked();
    let _filters = filters::bind(&env);
    put_buildpack(&env, "1.1.0", "interfaces = [\"artifacts\"]\necosystems = [\"pypi\"]");
    put_builder(&env, "grants = { interfaces = [\"artifacts\"], ecosystems = [\"pypi\"] }");
    let told = stops(&env, &["lock", "update"], 15);
    insta::assert_snapshot!(told.stderr, @r#"
    base oci:base (4df593ba7e57)
    error: stave.lock stays as it is: an update wants more than was accepted
      acme/tool:
        it wants interfaces = ["artifacts"]
        it wants ecosystems = ["pypi"]
        it is granted interfaces = ["artifacts"]
        it is granted ecosystems = ["pypi"]
    hint: whoever agrees runs it again with --accept acme/tool
    "#);
    insta::assert_snapshot!(told.stdout, @r#"
    acme/tool 1.0.0 -> 1.1.0
      component sha256:[HEX] -> sha256:[HEX]
      size [SIZE]
      ! it wants interfaces = ["artifacts"]
      ! it wants ecosystems = ["pypi"]
      ! it is granted interfaces = ["artifacts"]
      ! it is granted ecosystems = ["pypi"]
      it no longer wants settings = ["BP_CHOOSY_A"]
      it is no longer granted interfaces = ["layers"]
      it is no longer granted interfaces = ["overlay"]
      it is no longer granted interfaces = ["sbom"]
      it is no longer granted settings = ["BPE_*"]
      it is no longer granted settings = ["BPL_*"]
      it is no longer granted settings = ["BP_*"]
    "#);
    let json = env.run(&["lock", "diff", "-o", "json"]).succeeds().stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["changes"][0]["kind"], "buildpack");
    assert_eq!(json["changes"][0]["stops"][0], "it wants interfaces = [\"artifacts\"]");
    assert_eq!((&json["written"], &json["changes"][0]["new"]["version"]), (&false.into(), &"1.1.0".into()));
}

/// What a component would have to import to run tools: an interface that no contract here has.
fn put_with_tools(env: &TestEnv, contract: &str, asks: &str) {
    let import = format!("(component (import \"stave:buildpack/tools@{contract}.0\" (instance)))");
    let manifest =
        format!("contract = \"{contract}\"\n[buildpack]\nid = \"acme/tool\"\nversion = \"1.1.0\"\n[asks]\n{asks}\n");
    env.write("tool.wasm", embed(&wat::parse_str(import).unwrap(), &manifest).unwrap());
}

#[test]
fn an_update_that_gains_an_interface_nobody_knows_is_stopped_by_its_name_whoever_agrees() {
    let env = locked();
    let _filters = filters::bind(&env);
    let mut said = String::new();
    for contract in stave_model::manifest::CONTRACTS {
        put_with_tools(&env, contract, MODEST);
        for arguments in [&["lock", "update"][..], &["lock", "update", "acme/tool", "--accept", "acme/tool"]] {
            let told = stops(&env, arguments, 13);
            writeln!(said, "{contract}: {}\n{}", arguments.join(" "), told.failure()).unwrap();
        }
        for arguments in [&["build", "app", "--locked"][..], &["detect", "app", "--locked"]] {
            let told = stops(&env, arguments, 14);
            writeln!(said, "{contract}: {}\n{}", arguments.join(" "), told.failure()).unwrap();
        }
    }
    insta::assert_snapshot!(said, @"
    0.1: lock update
    error: could not load the buildpack tool.wasm
    caused by: acme/tool@1.1.0 imports stave:buildpack/tools@0.1.0, which this version of stave does not know; a later one may
    hint: take another version of the buildpack, or of stave

    0.1: lock update acme/tool --accept acme/tool
    error: could not load the buildpack tool.wasm
    caused by: acme/tool@1.1.0 imports stave:buildpack/tools@0.1.0, which this version of stave does not know; a later one may
    hint: take another version of the buildpack, or of stave

    0.1: build app --locked
    error: the builder builder.toml is not the one in stave.lock
      acme/tool 1.0.0 -> 1.1.0
        component sha256:[HEX] -> sha256:[HEX]
        size [SIZE] -> [SIZE]
        ! it imports stave:buildpack/tools@0.1.0, which this version of stave offers to no buildpack
    hint: `stave lock update` takes what is there now, and stops where it wants more than before

    0.1: detect app --locked
    error: the builder builder.toml is not the one in stave.lock
      acme/tool 1.0.0 -> 1.1.0
        component sha256:[HEX] -> sha256:[HEX]
        size [SIZE] -> [SIZE]
        ! it imports stave:buildpack/tools@0.1.0, which this version of stave offers to no buildpack
    hint: `stave lock update` takes what is there now, and stops where it wants more than before

    0.2: lock update
    error: could not load the buildpack tool.wasm
    caused by: acme/tool@1.1.0 imports stave:buildpack/tools@0.2.0, which this version of stave does not know; a later one may
    hint: take another version of the buildpack, or of stave

    0.2: lock update acme/tool --accept acme/tool
    error: could not load the buildpack tool.wasm
    caused by: acme/tool@1.1.0 imports stave:buildpack/tools@0.2.0, which this version of stave does not know; a later one may
    hint: take another version of the buildpack, or of stave

    0.2: build app --locked
    error: the builder builder.toml is not the one in stave.lock
      acme/tool 1.0.0 -> 1.1.0
        component sha256:[HEX] -> sha256:[HEX]
        size [SIZE] -> [SIZE]
        contract 0.1 -> 0.2
        ! it imports stave:buildpack/tools@0.2.0, which this version of stave offers to no buildpack
    hint: `stave lock update` takes what is there now, and stops where it wants more than before

    0.2: detect app --locked
    error: the builder builder.toml is not the one in stave.lock
      acme/tool 1.0.0 -> 1.1.0
        component sha256:[HEX] -> sha256:[HEX]
        size [SIZE] -> [SIZE]
        contract 0.1 -> 0.2
        ! it imports stave:buildpack/tools@0.2.0, which this version of stave offers to no buildpack
    hint: `stave lock update` takes what is there now, and stops where it wants more than before
    ");
    // Where nothing is locked yet, or the manifest says so itself.
    put_with_tools(&env, "0.2", "interfaces = [\"tools\"]");
    let asked = stops(&env, &["lock", "update"], 13);
    assert_eq!(stops(&env, &["build", "app", "--locked"], 13).failure(), asked.failure());
    insta::assert_snapshot!(asked.failure(), @r#"
    error: could not look at the buildpack tool.wasm
    caused by: could not read the manifest that the component carries
    caused by: the manifest does not follow the format of buildpack.toml
    caused by: TOML parse error at line 6, column 15
        |
      6 | interfaces = ["tools"]
        |               ^^^^^^^
      unknown variant `tools`, expected one of `app`, `context`, `log`, `layers`, `artifacts`, `overlay`, `bindings`, `sbom`
    "#);
    put_with_tools(&env, "0.2", "");
    fs::remove_file(env.work().join("stave.lock")).unwrap();
    let told = env.run(&["lock", "--builder", "builder.toml"]).ends_with(13);
    assert!(told.failure().contains("imports stave:buildpack/tools@0.2.0"), "{}", told.failure());
    assert!(!env.work().join("stave.lock").exists());
}

#[test]
fn an_update_that_wants_no_more_is_written() {
    let env = locked();
    put_buildpack(&env, "1.1.0", "");
    let told = env.run(&["lock", "update"]).succeeds();
    assert!(told.stdout.contains("acme/tool 1.0.0 -> 1.1.0"), "{}", told.stdout);
    assert!(told.stdout.contains("it no longer wants settings = [\"BP_CHOOSY_A\"]"), "{}", told.stdout);
    env.run(&["build", "app", "--locked"]).succeeds();
}

#[test]
fn n10_an_older_version_is_not_taken_by_itself() {
    let env = locked();
    put_buildpack(&env, "0.9.0", MODEST);
    let told = stops(&env, &["lock", "update"], 15);
    assert!(told.failure().contains("its version 0.9.0 is older than 1.0.0, which is locked"), "{}", told.failure());
    stops(&env, &["build", "app", "--locked"], 14);
    env.run(&["lock", "update", "--accept", "acme/tool"]).succeeds();
    env.run(&["build", "app", "--locked"]).succeeds();
}

/// Updates the lock where somebody at a terminal answers so.
fn asked(env: &TestEnv, answer: &str) -> Outcome {
    // `script` gives the program a terminal, and types what it reads itself.
    let mut command = env.command(tool("script").get_program());
    let program = format!("{} lock update", stave().display());
    command.args(["--quiet", "--return", "--command", &program, "/dev/null"]);
    env.write("answer", answer);
    command.stdin(fs::File::open(env.work().join("answer")).unwrap());
    Outcome::from(command.output().unwrap())
}

#[test]
fn a_dependency_from_another_host_waits_until_it_is_accepted() {
    let env = locked();
    let put = |version: &str, hosts: &[&str]| {
        let mut asks = format!("{MODEST}\ninterfaces = [\"artifacts\"]\necosystems = [\"generic\"]\n");
        for (number, host) in hosts.iter().enumerate() {
            let purl = format!("pkg:generic/x@1?download_url=https%3A%2F%2F{host}%2Fx.tgz");
            let sha256 = "0".repeat(64);
            writeln!(asks, "[[dependencies]]\nid = \"x{number}\"\nversion = \"1.0.0\"\nname = \"X\"").unwrap();
            writeln!(asks, "[[dependencies.artifacts]]\npurl = \"{purl}\"\nsha256 = \"{sha256}\"").unwrap();
        }
        put_buildpack(&env, version, &asks);
    };
    put("1.1.0", &["a.example.com"]);
    env.run(&["lock", "update", "--accept", "acme/tool"]).succeeds();
    assert!(lock_of(&env).contains("hosts = [\"a.example.com\"]"), "{}", lock_of(&env));
    put("1.2.0", &["a.example.com", "b.example.com"]);
    let told = stops(&env, &["build", "app", "--locked"], 14);
    assert!(told.failure().contains("! it wants hosts = [\"b.example.com\"]\n"), "{}", told.failure());
    let told = stops(&env, &["lock", "update"], 15);
    let rest = "acme/tool:\n    it wants hosts = [\"b.example.com\"]\nhint:";
    assert!(told.failure().contains(rest), "{}", told.failure());
    assert_eq!(asked(&env, "no\n").code, Some(15));
    asked(&env, "acme/tool\n").succeeds();
    assert!(lock_of(&env).contains("hosts = [\"a.example.com\", \"b.example.com\"]"));
    put("1.3.0", &["b.example.com"]);
    env.run(&["lock", "update"]).succeeds();
}

#[test]
fn where_there_is_a_terminal_somebody_is_asked() {
    let env = locked();
    put_buildpack(&env, "1.1.0", "interfaces = [\"bindings\"]");
    let before = lock_of(&env);
    for answer in ["\n", "yes\n", "acme/other\n"] {
        let told = asked(&env, answer).ends_with(15);
        assert!(
            told.stdout.contains("acme/tool wants more than before; type its id to accept that:"),
            "{}",
            told.stdout
        );
        assert_eq!(lock_of(&env), before);
    }
    asked(&env, "acme/tool\n").succeeds();
    assert!(lock_of(&env).contains("version = \"1.1.0\""));
}

#[test]
fn locks_are_compared_for_a_review() {
    let env = locked();
    let old = lock_of(&env);
    env.write("old.lock", &old);
    let told = env.run(&["lock", "diff"]).succeeds();
    assert!(told.stdout.is_empty() && told.stderr.ends_with("\nnothing is different\n"), "{}", told.stderr);
    env.write("new.lock", old.replace("1.0.0", "2.0.0").replace("settings = [\"BP_CHOOSY_A\"]", "settings = [\"*\"]"));
    let told = env.run(&["lock", "diff", "old.lock", "new.lock"]).succeeds();
    insta::assert_snapshot!(told.stdout, @r#"
    acme/tool 1.0.0 -> 2.0.0
      ! it wants settings = ["*"]
    "#);
}

#[test]
fn a_lock_in_bad_shape_is_refused() {
    let env = locked();
    let _filters = filters::bind(&env);
    let good = lock_of(&env);
    let refused = |text: &str| {
        env.write("stave.lock", text);
        env.run(&["build", "app", "--locked"]).ends_with(3).failure().to_owned()
    };
    insta::assert_snapshot!(refused(&good.replace("version = 1\n", "version = 2\n")), @r#"
    error: could not read the lock stave.lock
    caused by: the lock is of version 2, and this version of stave reads 1
    "#);
    assert!(refused(&good.replace("sha256:", "sha512:")).contains("does not follow the format of stave.lock"));
    fs::remove_file(env.work().join("stave.lock")).unwrap();
    insta::assert_snapshot!(env.run(&["build", "app", "--locked"]).ends_with(3).failure(), @r#"
    error: could not read the lock stave.lock
    caused by: No such file or directory (os error 2)
    hint: `stave lock` writes one
    "#);
    insta::assert_snapshot!(env.run(&["lock", "update"]).ends_with(3).failure(), @r#"
    error: there is no stave.lock
    hint: `stave lock` writes the first one
    "#);
}
