//! The air gap: a builder with its stack, components and dependencies is carried as one file, and builds the same where there is no
//! network.

use std::{fmt::Write as _, fs, path::PathBuf};

use rustix::process::getuid;
use serde_json::Value;
use stave_lifecycle::port::{cancel::Cancel, observer::Silent, sink::Sink as _};
use stave_model::{component::embed, digest::Digest, target::Platform};
use stave_oci::{
    layout::{Layout, Place},
    registry::{Registries, credentials::Credentials, push::RegistryTag},
};
use stave_transport::{Client, Options};

use crate::support::{
    env::{TestEnv, listing},
    filters, guests,
    images::{checked, checked_here, small_base_for},
    jar,
    process::{Outcome, run, stave, succeeds},
    registry::Registry,
    tools::tool,
};

/// The file of a version of the buildpack's dependency.
fn wheel(version: &str) -> (String, Vec<u8>) {
    let name = format!("tool-{version}-py3-none-any.whl");
    (name, jar::zip(&[jar::entry("bin/tool", format!("#!/bin/sh\necho {version}\n"))]))
}

/// The component of a buildpack that brings a tool of one of two versions.
fn component() -> Vec<u8> {
    let mut manifest = guests::manifest("bringer");
    for version in ["2.0.0", "1.0.0"] {
        let (name, bytes) = wheel(version);
        let hex = Digest::of(&bytes).hex();
        let _ = write!(
            manifest,
            "[[dependencies]]\nid = \"tool\"\nversion = \"{version}\"\nname = \"Tool\"\nlicenses = [\"MIT\"]\n\
             [[dependencies.artifacts]]\npurl = \"pkg:pypi/tool@{version}?file_name={name}\"\nsha256 = \"{hex}\"\n"
        );
    }
    embed(&guests::bare("bringer"), &manifest).unwrap()
}

/// What the buildpack is granted.
const GRANTS: &str =
    "grants = { interfaces = [\"layers\", \"artifacts\"], ecosystems = [\"pypi\"], settings = [\"BP_*\"] }";

/// An app, a base for two platforms, a builder of one buildpack, and a folder with what that depends on.
fn world() -> TestEnv {
    let env = TestEnv::empty();
    small_base_for(&env, &["linux/amd64".parse().unwrap(), "linux/arm64".parse().unwrap()]);
    env.write("app/readme.txt", "an app");
    env.write("tool.wasm", component());
    for version in ["1.0.0", "2.0.0"] {
        let (name, bytes) = wheel(version);
        env.write(&format!("wheels/{name}"), bytes);
    }
    put_builder(&env, "{ path = \"base\" }");
    env.write("config.toml", format!("[registries]\npypi = {:?}\n", env.work().join("wheels")));
    env
}

fn put_builder(env: &TestEnv, stack: &str) {
    env.write("builder.toml", format!("stack = {stack}\n[[buildpacks]]\npath = \"tool.wasm\"\n{GRANTS}\n"));
}

/// Writes the bundle `tools.tar` of the builder.
fn bundle(env: &TestEnv, more: &[&str]) -> Outcome {
    let create = ["bundle", "create", "tools.tar", "--config", "config.toml"];
    let named = if more.contains(&"--builder") { &[][..] } else { &["--builder", "builder.toml"] };
    env.run(&[&create[..], named, more].concat())
}

/// A place that has the app, and that the bundle was carried to.
fn elsewhere(env: &TestEnv) -> (TestEnv, PathBuf) {
    let there = TestEnv::empty();
    there.write("app/readme.txt", "an app");
    let carried = there.write("carried.tar", fs::read(env.work().join("tools.tar")).unwrap());
    (there, carried)
}

/// Runs the program where there is no network at all, not even the loopback address.
fn cut_off(env: &TestEnv, arguments: &[&str]) -> Outcome {
    // Without root, one becomes root of a namespace of users of one's own.
    let own = if getuid().is_root() { "-n" } else { "-Urn" };
    let mut command = env.command(tool("unshare").get_program());
    run(command.arg(own).arg(stave()).args(arguments))
}

/// The digest of what is built.
fn built(outcome: Outcome) -> String {
    outcome.succeeds().result().to_owned()
}

#[test]
fn what_was_carried_builds_the_same_without_a_network() {
    let env = world();
    bundle(&env, &["--tag", "acme/tools:1"]).succeeds();
    env.run(&["builder", "create", "builder.toml", "--tag", "acme/tools:1"]).succeeds();
    let build = ["build", "app", "--builder", "acme/tools:1"];
    let here = built(env.run(&[&build[..], &["--config", "config.toml"]].concat()));
    let (there, _) = elsewhere(&env);
    // Twice is as good as once.
    for _ in 0..2 {
        cut_off(&there, &["bundle", "import", "carried.tar"]).succeeds();
    }
    there.assert_nothing_half_written();
    assert_eq!(built(cut_off(&there, &[&build[..], &["--offline"]].concat())), here);
    cut_off(&there, &["verify", "app", "app", "--builder", "acme/tools:1", "--offline"]).succeeds();
    // Nobody is asked for what is here, whether or not that is forbidden; the older tool is here too.
    let older = [&build[..], &["-e", "BP_BRING=1.0.0"]].concat();
    assert_ne!(built(cut_off(&there, &older)), here);
    // No limit of the cache throws it out, and no cache is needed.
    there.run(&["cache", "gc", "--max-size", "0"]).succeeds();
    assert_eq!(built(cut_off(&there, &[&build[..], &["--offline"]].concat())), here);
    fs::remove_dir_all(there.cache()).unwrap();
    fs::create_dir(there.cache()).unwrap();
    let image = cut_off(&there, &[&build[..], &["--offline", "--to", "oci:out"]].concat());
    assert_eq!(built(image), here);
    assert_eq!(checked_here(&there.work().join("out")).digest().to_string(), here);
    // For both architectures in one index, and for each alone.
    for platforms in ["linux/amd64,linux/arm64", "linux/amd64", "linux/arm64"] {
        let each = [&build[..], &["--platform", platforms, "--to", "oci:each"]].concat();
        let here = built(env.run(&[&each[..], &["--config", "config.toml"]].concat()));
        assert_eq!(built(cut_off(&there, &[&each[..], &["--offline"]].concat())), here, "{platforms}");
        let [index, carried] = [&env, &there].map(|env| env.work().join("each"));
        assert_eq!(fs::read(carried.join("index.json")).unwrap(), fs::read(index.join("index.json")).unwrap());
        for platform in platforms.split(',') {
            checked(&carried, &platform.parse().unwrap());
        }
        for layout in [index, carried] {
            fs::remove_dir_all(layout).unwrap();
        }
    }
}

#[test]
fn a_bundle_is_the_same_each_time_and_other_tools_look_into_it() {
    let env = world();
    bundle(&env, &["--tag", "acme/tools:1"]).succeeds();
    let first = fs::read(env.work().join("tools.tar")).unwrap();
    let other = world();
    bundle(&other, &["--tag", "acme/tools:1"]).succeeds();
    assert_eq!(fs::read(other.work().join("tools.tar")).unwrap(), first);
    let mut skopeo = tool("skopeo");
    let archive = format!("oci-archive:{}:acme/tools:1", env.work().join("tools.tar").display());
    skopeo.env("TMPDIR", env.root().join("tmp")).args(["--insecure-policy", "inspect", "--raw", &archive]);
    let index: Value = serde_json::from_str(&succeeds(&mut skopeo)).unwrap();
    let platforms: Vec<&str> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["platform"]["architecture"].as_str().unwrap())
        .collect();
    assert_eq!(platforms, ["unknown", "amd64", "arm64"]);
}

#[test]
fn what_goes_along_is_said_and_what_does_not_is_missed_by_name() {
    let env = world();
    let _filters = filters::bind(&env);
    let told = bundle(&env, &["--tag", "acme/tools:1", "--dependency", "tool@2.0.0"]).succeeds();
    insta::assert_snapshot!(told.stdout, @"
    tools.tar  ([SIZE])
      builder       acme/tools:1
        digest      sha256:[HEX]
      stack         base for linux/amd64, linux/arm64  ([SIZE])
      buildpacks    1  ([SIZE])
      dependencies  1  ([SIZE])
        tool 2.0.0  ([SIZE])
      left out      1
        tool 1.0.0
    ");
    assert!(told.stderr.ends_with("\nwhere it is needed: `stave bundle import tools.tar`\n"), "{}", told.stderr);
    let (there, _) = elsewhere(&env);
    let _there = filters::bind(&there);
    let told = there.run(&["bundle", "import", "carried.tar", "--tag", "tools"]).succeeds();
    insta::assert_snapshot!(told.stdout, @"
    carried.tar
      builder       tools:latest
        digest      sha256:[HEX]
      stack         base for linux/amd64, linux/arm64  ([SIZE])
      buildpacks    1  ([SIZE])
      dependencies  1  ([SIZE])
        tool 2.0.0  ([SIZE])
      left out      1
        tool 1.0.0
    ");
    let next = "\nto build with it: `stave build APP --builder tools:latest --offline`\n";
    assert!(told.stderr.ends_with(next), "{}", told.stderr);
    let build = ["build", "app", "--builder", "tools", "--offline", "--to", "oci:out"];
    cut_off(&there, &build).succeeds();
    let told = cut_off(&there, &[&build[..], &["-e", "BP_BRING=1.0.0"]].concat()).ends_with(51);
    insta::assert_snapshot!(told.failure(), @"
    error: stave-tests/bringer@0.1.0 could not build the app
    caused by: could not fetch tool 1.0.0 (pkg:pypi/tool@1.0.0?file_name=tool-1.0.0-py3-none-any.whl): this run is offline, and sha256:[HEX] is not in the store
    hint: run once without --offline, import a bundle that has it, or put the file into a folder that `registries` or pip's find-links names
    ");
    // For programs.
    let told = bundle(&env, &["--dependencies", "none", "-o", "json"]).succeeds();
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!((&told["builder"], &told["file"]), (&"builder:latest".into(), &"tools.tar".into()));
    assert_eq!((told["dependencies"].as_array().unwrap().len(), told["left-out"].as_array().unwrap().len()), (0, 2));
    assert_eq!(told["left-out"][0]["purl"], "pkg:pypi/tool@1.0.0?file_name=tool-1.0.0-py3-none-any.whl");
    assert_eq!(told["platforms"], serde_json::json!(["linux/amd64", "linux/arm64"]));
}

#[test]
fn what_cannot_be_had_is_named_at_once() {
    let env = world();
    let _filters = filters::bind(&env);
    fs::remove_dir_all(env.work().join("wheels")).unwrap();
    let told = bundle(&env, &["--offline"]).ends_with(32);
    insta::assert_snapshot!(told.failure(), @"
    error: 2 of 2 dependencies cannot be had
      could not fetch tool 1.0.0 (pkg:pypi/tool@1.0.0?file_name=tool-1.0.0-py3-none-any.whl): this run is offline, and sha256:[HEX] is not in the store
      could not fetch tool 2.0.0 (pkg:pypi/tool@2.0.0?file_name=tool-2.0.0-py3-none-any.whl): this run is offline, and sha256:[HEX] is not in the store
    hint: run once without --offline, import a bundle that has it, or put the file into a folder that `registries` or pip's find-links names
    hint: or leave them out: --dependency names those that are needed, and --dependencies none takes none
    ");
    assert!(!env.work().join("tools.tar").exists());
    let told = bundle(&env, &["--dependency", "tool@3.0.0"]).ends_with(3);
    insta::assert_snapshot!(told.failure(), @"
    error: no buildpack of the builder depends on `tool@3.0.0` for these platforms
    hint: there are tool@1.0.0, tool@2.0.0
    ");
    let told = bundle(&env, &["--platform", "linux/riscv64"]).ends_with(32);
    assert!(told.failure().contains("no image for linux/riscv64"), "{}", told.failure());
    let told = bundle(&env, &["--dependencies", "none", "--tag", "Not A Name"]).ends_with(3);
    assert!(told.failure().contains("the builder has no name for the bundle"), "{}", told.failure());
    env.assert_nothing_half_written();
}

#[test]
fn a_file_that_is_not_whole_leaves_nothing() {
    let env = world();
    bundle(&env, &["--tag", "acme/tools:1"]).succeeds();
    let (there, carried) = elsewhere(&env);
    let _filters = filters::bind(&there);
    let whole = fs::read(&carried).unwrap();
    let mut flipped = whole.clone();
    // Within the last file, before what pads it and the two empty blocks of the end.
    let at = whole.iter().rposition(|byte| *byte != 0).unwrap();
    flipped[at] ^= 1;
    let mut said = String::new();
    for (what, bytes) in [("flipped", flipped), ("cut", whole[..at].to_vec())] {
        fs::write(&carried, bytes).unwrap();
        let told = there.run(&["bundle", "import", "carried.tar"]).ends_with(32);
        let _ = write!(said, "{what}:\n{}", told.failure());
        there.assert_nothing_half_written();
        assert!(!there.data().join("builders").exists(), "{what}");
    }
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"blobs/sha256/\[HEX\]|sha256:\[HEX\]", "[BLOB]");
    settings.bind(|| {
        insta::assert_snapshot!(said, @"
    flipped:
    error: could not import the bundle `carried.tar`
    caused by: the bytes of [BLOB] are others than its name says
    hint: bundles are made with `stave bundle create`; copy it again if it was whole there
    cut:
    error: could not import the bundle `carried.tar`
    caused by: it ends in the middle of `[BLOB]`
    hint: bundles are made with `stave bundle create`; copy it again if it was whole there
    ");
    });
    let told = there.run(&["build", "app", "--builder", "acme/tools:1", "--offline"]).ends_with(3);
    assert!(told.failure().contains("could not read the builder acme/tools:1"), "{}", told.failure());
    let told = there.run(&["bundle", "import", "carried.tar", "--tag", &format!("x@{}", Digest::of(b""))]).ends_with(3);
    assert!(told.failure().contains("is not a name for a builder"), "{}", told.failure());
}

#[test]
fn a_locked_builder_is_carried_as_it_is_locked() {
    let env = world();
    let platforms = ["--platform", "linux/amd64,linux/arm64"];
    env.run(&[&["lock", "--builder", "builder.toml"], &platforms[..]].concat()).succeeds();
    bundle(&env, &["--tag", "acme/tools:1", "--lock", "stave.lock"]).succeeds();
    let (there, _) = elsewhere(&env);
    there.write("stave.lock", fs::read(env.work().join("stave.lock")).unwrap());
    there.run(&["bundle", "import", "carried.tar"]).succeeds();
    let build = ["build", "app", "--builder", "acme/tools:1", "--offline", "--locked"];
    cut_off(&there, &build).succeeds();
    // Another component than the locked one is not taken along.
    env.write("tool.wasm", embed(&guests::bare("bringer"), &guests::manifest("bringer")).unwrap());
    let told = bundle(&env, &["--lock", "stave.lock"]).ends_with(14);
    assert!(told.failure().contains("is not the one in stave.lock"), "{}", told.failure());
    env.write("tool.wasm", component());
    small_base_for(&env, &["linux/amd64/v1".parse().unwrap()]);
    let told = bundle(&env, &["--lock", "stave.lock"]);
    assert_eq!(told.code, Some(0), "a base beside the locked ones changes nothing: {}", told.stderr);
}

#[test]
fn a_builder_and_a_stack_of_a_registry_are_carried_with_their_names() {
    let env = world();
    let registry = Registry::start(&env);
    let base = Layout::open(Place { folder: env.work().join("base"), name: None }).unwrap().images().unwrap();
    let registries = Registries::new(Client::new(Options::default()), Credentials::none(), []);
    let tag = RegistryTag::new(registries, registry.reference("base:1").parse().unwrap()).unwrap();
    tag.put_platforms(&base, &Silent, &Cancel::new()).unwrap();
    put_builder(&env, &format!("{{ run-image = \"{}\" }}", registry.reference("base:1")));
    let reference = registry.reference("acme/tools:1");
    let pinned = env.run(&["builder", "publish", "builder.toml", &reference]).succeeds().result().to_owned();
    env.run(&["lock", "--builder", &reference]).succeeds();
    let here = built(env.run(&["build", "app", "--builder", &reference, "--config", "config.toml"]));
    let machine = Platform::of_this_machine().to_string();
    bundle(&env, &["--builder", &reference, "--platform", &machine, "--lock", "stave.lock"]).succeeds();
    drop(registry);
    let (there, _) = elsewhere(&env);
    there.write("stave.lock", fs::read(env.work().join("stave.lock")).unwrap());
    cut_off(&there, &["bundle", "import", "carried.tar"]).succeeds();
    // By its name, by its digest, and as it is locked.
    for builder in [["--builder", &reference], ["--builder", &pinned], ["--locked", "--no-memory"]] {
        let build = [&["build", "app", "--offline"], &builder[..]].concat();
        assert_eq!(built(cut_off(&there, &build)), here, "{builder:?}");
    }
}

#[test]
fn the_builder_inside_the_program_is_carried_too() {
    let env = TestEnv::warm();
    env.write("tiny.jar", jar::plain());
    let machine = Platform::of_this_machine().to_string();
    let create = ["bundle", "create", "tools.tar", "--platform", &machine, "--dependency", "jre@25.0.2", "--offline"];
    env.run(&create).succeeds();
    let here = built(env.run(&["build", "tiny.jar", "--offline"]));
    let (there, _) = elsewhere(&env);
    there.write("tiny.jar", jar::plain());
    let told = cut_off(&there, &["bundle", "import", "carried.tar", "-o", "json"]).succeeds().stdout;
    let told: Value = serde_json::from_str(&told).unwrap();
    let name = told["builder"].as_str().unwrap();
    assert!(name.starts_with("stave/builtin:"), "{name}");
    assert_eq!(built(cut_off(&there, &["build", "tiny.jar", "--offline", "--builder", name])), here);
}

/// Whatever name it gives itself: what a bundle brings is somebody else's, and no signature comes along.
#[test]
fn a_policy_is_asked_before_a_bundle_is_taken_in() {
    let env = world();
    bundle(&env, &["--tag", "registry.example.com/acme/tools:1"]).succeeds();
    let (there, _) = elsewhere(&env);
    let _filters = filters::bind(&there);
    let rule = |from: &str, needs: &str| format!("[[trust]]\nfrom = \"{from}\"\n{needs}\n");
    there.write("policy.toml", rule("registry.example.com/*", "unsigned = true"));
    let import = ["bundle", "import", "carried.tar", "--policy", "policy.toml"];
    insta::assert_snapshot!(there.run(&import).ends_with(16).failure(), @r#"
    error: oci:carried.tar is refused by the policy policy.toml
      no rule of the policy is about this place
    hint: a rule in [[trust]] with from = "oci:[ENV]/work/carried.tar" says whose signature is needed there, or `unsigned = true`
    hint: signatures do not travel in bundles yet: a rule for oci:FILE with `unsigned = true` lets this one in
    "#);
    assert!(!there.data().join("builders").exists());
    there.write("policy.toml", rule("oci:carried.tar", "unsigned = true"));
    there.run(&import).succeeds();
}

#[test]
fn what_was_imported_is_listed_once_and_goes_as_a_whole() {
    let env = world();
    bundle(&env, &["--tag", "acme/tools:1"]).succeeds();
    let (there, _) = elsewhere(&env);
    there.run(&["bundle", "import", "carried.tar"]).succeeds();
    let listed = there.run(&["builder", "list"]).succeeds().stdout;
    assert!(listed.starts_with("acme/tools:1  sha256:") && listed.lines().count() == 1, "{listed}");
    there.run(&["builder", "remove", "acme/tools:1"]).succeeds();
    assert_eq!(listing(&there.data().join("builders/blobs/sha256")).len(), 0);
}
