//! Images compared with what their source gives.

use std::{collections::BTreeSet, fmt::Write as _};

use stave_model::{component::embed, target::Platform};

use crate::support::{
    env::TestEnv,
    guests::{self, guest},
    images::{named_base, small_base_for},
    jar,
};

fn world() -> TestEnv {
    let env = TestEnv::warm();
    env.write("tiny.jar", jar::boot());
    for version in ["1", "2"] {
        named_base(&env, "bases", Some(version));
    }
    env.run(&["build", "tiny.jar", "--tag", "tiny", "--run-image", "oci:bases:1"]).succeeds();
    env
}

#[test]
fn an_image_is_what_its_source_gives() {
    let env = world();
    let good = env.run(&["verify", "tiny", "tiny.jar", "--run-image", "oci:bases:1"]).succeeds();
    let digest = env.run(&["images", "-o", "json"]).succeeds().stdout;
    assert!(digest.contains(good.result()), "{digest}");
    assert!(good.stderr.contains("tiny is what the source gives on the base oci:bases:1@sha256:"), "{}", good.stderr);
}

#[test]
fn the_first_difference_is_named() {
    let env = world();
    let differs = |more: &[&str]| {
        let command = [&["verify", "tiny", "tiny.jar", "--quiet"], more].concat();
        env.run(&command).ends_with(112).stderr
    };
    let base = differs(&["--run-image", "oci:bases:2"]);
    let setting = differs(&["--run-image", "oci:bases:1", "-e", "BP_JVM_VERSION=21"]);
    insta::with_settings!({ filters => vec![("[0-9a-f]{64}", "HEX"), ("[0-9a-f]{12}", "SHORT"), ("size is [0-9]+, and [0-9]+", "size is A, and B")] }, {
        insta::assert_snapshot!([base, setting].concat(), @r"
        error: tiny is not what the source gives
          first difference: the image stands on the base oci:bases:1@sha256:HEX, and was built again on oci:bases:2@sha256:HEX
        hint: --run-image names the base that the image stands on
        error: tiny is not what the source gives
          first difference: layer 3 (Layer: 'jre', Created by buildpack: stave/java@0.1.0): `/layers/stave_java/jre/bin/java`: its size is A, and B when built again
        ");
    });
    let json = env.run(&["verify", "tiny", "tiny.jar", "--run-image", "oci:bases:2", "-o", "json"]).ends_with(112);
    let about: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&about["same"], about["difference"].is_string()), (&false.into(), true));
    assert!(about["base"].as_str().unwrap().starts_with("oci:bases:2@sha256:"), "{}", about["base"]);
}

/// A way in which an image is built.
struct Case {
    what: &'static str,
    /// What is typed to build it.
    built: &'static [&'static str],
    /// What of it is typed to verify it: the rest is in the image.
    verified: &'static [&'static str],
    /// What is typed instead, and is another thing.
    otherwise: &'static [&'static str],
}

const fn case(
    what: &'static str,
    built: &'static [&'static str],
    verified: &'static [&'static str],
    otherwise: &'static [&'static str],
) -> Case {
    Case { what, built, verified, otherwise }
}

/// Every flag that an image's bytes depend on.
const CASES: [Case; 16] = [
    case("--exec-env", &["--exec-env", "test"], &[], &["--exec-env", "production"]),
    case("--compression", &["--compression", "zstd"], &[], &["--compression", "gzip"]),
    case(
        "--compression with a level",
        &["--compression", "gzip:9"],
        &["--compression", "gzip:9"],
        &["--compression", "zstd:9"],
    ),
    case("--default-process", &["-D", "check"], &["-D", "check"], &[]),
    case("--creation-time", &["--creation-time", "1735689599"], &[], &["--creation-time", "0"]),
    case("--env", &["-e", "BP_HOSTILE="], &["-e", "BP_HOSTILE="], &[]),
    case("--env-file", &["--env-file", "settings.env"], &["--env-file", "settings.env"], &[]),
    case("--binding", &["--binding", "greeting"], &["--binding", "greeting"], &["--binding", "other/greeting"]),
    case("--bindings", &["--bindings", "other"], &["--bindings", "other"], &["--binding", "greeting"]),
    case("--descriptor", &["-d", "other.toml"], &["-d", "other.toml"], &[]),
    case("--include", &["--include", "*.txt"], &["--include", "*.txt"], &["--include", "*.md"]),
    case("--exclude", &["--exclude", "*.md"], &["--exclude", "*.md"], &[]),
    case("--ignore-file", &["--ignore-file", "ignored"], &["--ignore-file", "ignored"], &[]),
    case("--gitignore", &["--gitignore"], &["--gitignore"], &[]),
    case("--builder", &["--builder", "newer.toml"], &["--builder", "newer.toml"], &[]),
    case("--run-image", &["--run-image", "oci:bases:2"], &[], &["--run-image", "oci:bases:1"]),
];

/// Flags of the command that no byte of an image depends on, or that only refuse, and one that has a test of its own.
const OTHER_FLAGS: [&str; 15] = [
    "--config",
    "--help",
    "--lock-file",
    "--locked",
    "--no-color",
    "--no-memory",
    "--offline",
    "--output",
    "--paranoid",
    "--platform",
    "--policy",
    "--previous-image",
    "--quiet",
    "--registry-ca-cert-path",
    "--verbose",
];

#[test]
fn no_flag_is_forgotten_in_the_cases() {
    let help = TestEnv::empty().run(&["verify", "--help"]).succeeds().stdout;
    let listed = help.lines().filter(|line| line.trim_start().starts_with('-'));
    let flags: BTreeSet<&str> =
        listed.filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--"))).collect();
    let cases = CASES.iter().filter_map(|case| case.what.split_whitespace().next());
    let mut known: BTreeSet<&str> = cases.chain(OTHER_FLAGS).collect();
    known.insert("--version");
    assert_eq!(flags, known);
}

#[test]
fn what_builds_an_image_verifies_it_and_nothing_else_does() {
    let env = TestEnv::empty();
    let usual = guests::builder(&env, &guest("hostile"));
    let newer = guests::manifest("hostile").replace("0.1.0", "0.2.0");
    env.write("newer.wasm", embed(&guests::bare("hostile"), &newer).unwrap());
    env.write("bound.wasm", guest("bound"));
    let builder = |first: &str| {
        let bindings =
            "grants = { interfaces = [\"layers\", \"bindings\"], settings = [\"BP_*\"], bindings = [\"greeting\"] }";
        let first = format!("stack = {{ path = \"base\" }}\n[[buildpacks]]\npath = \"{first}\"\n");
        format!("{first}[[buildpacks]]\npath = \"bound.wasm\"\n{bindings}\n")
    };
    env.write("builder.toml", builder("buildpack.wasm"));
    env.write("newer.toml", builder("newer.wasm"));
    // What was read of a binding gets into an image only if it is too short to be a secret.
    let tell = "[[io.buildpacks.build.env]]\nname = \"BP_TELL\"\nvalue = \"file\"\n";
    env.write("app/project.toml", format!("[_]\nschema-version = \"0.2\"\nversion = \"1\"\n{tell}"));
    env.write("other.toml", "[_]\nschema-version = \"0.2\"\nversion = \"2\"\n");
    env.write("app/notes.md", "notes");
    env.write("app/.gitignore", "made\n");
    env.write("app/made", "x");
    env.write("ignored", "made\n");
    env.write("settings.env", "BP_HOSTILE=\n");
    for (folder, word) in [("greeting", "day"), ("other/greeting", "night")] {
        env.write(&format!("{folder}/type"), "greeting");
        env.write(&format!("{folder}/word"), word);
    }
    for version in ["1", "2"] {
        named_base(&env, "bases", Some(version));
    }
    let mut said = String::new();
    for Case { what, built, verified, otherwise } in CASES {
        let has = |flag: &str| built.contains(&flag);
        let builder: &[&str] = if has("--builder") { &[] } else { &usual[2..] };
        let words: &[&str] = if has("-e") || has("--env-file") { &[] } else { &["-e", "BP_HOSTILE=exec-env"] };
        env.run(&[&["build", "app", "--tag", "one", "--quiet"], builder, words, built].concat()).succeeds();
        let verify = |flags: &[&str], builder: &[&str], words: &[&str]| {
            env.run(&[&["verify", "one", "app", "--quiet"], builder, words, flags].concat())
        };
        verify(verified, builder, words).succeeds();
        // Without the flag, or with another value.
        let outcome = verify(otherwise, &usual[2..], &["-e", "BP_HOSTILE=exec-env"]).ends_with(112);
        let lines = outcome.stderr.lines().filter(|line| !line.starts_with("error"));
        let lines = lines.map(|line| line.trim().trim_start_matches("first difference: "));
        writeln!(said, "{what}: {}", lines.collect::<Vec<_>>().join("; ")).unwrap();
    }
    insta::with_settings!({ filters => vec![("[0-9a-f]{64}", "HEX"), (r"\b[0-9a-f]{12}\b", "SHORT"), ("size is [0-9]+, and [0-9]+", "size is A, and B")] }, {
        insta::assert_snapshot!(said, @r#"
        --exec-env: layer 3 (Buildpacks Launcher Config): `/layers/config/metadata.toml`: its size is A, and B when built again
        --compression: manifest: layer 1 has the same contents, compressed in another way; hint: --compression says how the layers were compressed, with which level
        --compression with a level: manifest: layer 1 has the same contents, compressed in another way; hint: --compression says how the layers were compressed, with which level
        --default-process: configuration: `/config/Entrypoint/0` is "/cnb/process/check", and "/cnb/process/web" when built again; hint: --default-process names the process that starts
        --creation-time: configuration: `/created` is "2024-12-31T23:59:59Z", and "1970-01-01T00:00:00Z" when built again
        --env: layer 1 (Layer: 'good', Created by buildpack: stave-tests/hostile@0.1.0): the layer of another step, `Application Layer`, stands in its place when built again
        --env-file: layer 1 (Layer: 'good', Created by buildpack: stave-tests/hostile@0.1.0): the layer of another step, `Application Layer`, stands in its place when built again
        --binding: layer 1 (Layer: 'words', Created by buildpack: stave-tests/bound@0.1.0): `/layers/stave-tests_bound/words/word.txt`: its size is A, and B when built again
        --bindings: layer 1 (Layer: 'words', Created by buildpack: stave-tests/bound@0.1.0): `/layers/stave-tests_bound/words/word.txt`: its size is A, and B when built again
        --descriptor: configuration: `/config/Labels/io.buildpacks.project.metadata/source/version/declared` is "2", and "1" when built again
        --include: layer 1 (Application Layer): `/workspace/notes.md`: it is there only when built again
        --exclude: layer 1 (Application Layer): `/workspace/notes.md`: it is there only when built again
        --ignore-file: layer 1 (Application Layer): `/workspace/made`: it is there only when built again
        --gitignore: layer 1 (Application Layer): `/workspace/made`: it is there only when built again
        --builder: layer 3 (Buildpacks Launcher Config): `/layers/config/metadata.toml`: its digest is SHORT, and SHORT when built again
        --run-image: the image stands on the base oci:bases:2@sha256:HEX, and was built again on oci:bases:1@sha256:HEX; hint: --run-image names the base that the image stands on
        "#);
    });
}

/// A buildpack that counts its builds in its notes gives another image each time: what it was given back has to be named.
#[test]
fn an_image_is_verified_with_the_one_before_it() {
    let env = TestEnv::empty();
    let build = guests::builder(&env, &guest("hostile"));
    let settings = ["-e", "BP_HOSTILE=count", "--quiet"];
    for (tag, previous) in [("first", None), ("second", Some("first"))] {
        let previous: Vec<&str> = previous.into_iter().flat_map(|name| ["--previous-image", name]).collect();
        env.run(&[&build[..], &settings, &["--tag", tag], &previous].concat()).succeeds();
    }
    let verify = |more: &[&str]| env.run(&[&["verify", "second"], &build[1..], &settings, more].concat());
    verify(&["--previous-image", "first"]).succeeds();
    let differs = verify(&[]).ends_with(112).stderr;
    assert!(differs.contains("io.buildpacks.lifecycle.metadata"), "{differs}");
    let nothing = verify(&["--previous-image", "third"]).ends_with(32).stderr;
    assert!(nothing.contains("could not find the previous image third"), "{nothing}");
}

#[test]
fn an_image_for_another_platform_is_verified_by_its_name() {
    let env = TestEnv::empty();
    let [_, app, flag, builder] = guests::builder(&env, &guest("hostile"));
    let both = ["linux/amd64", "linux/arm64"].map(|platform| platform.parse::<Platform>().unwrap());
    small_base_for(&env, &both);
    env.run(&["build", app, flag, builder, "--tag", "one", "--platform", "linux/amd64,linux/arm64"]).succeeds();
    let verify = |platform: &str| env.run(&["verify", "one", app, flag, builder, "--platform", platform]);
    let digests = ["linux/amd64", "linux/arm64"].map(|platform| verify(platform).succeeds().result().to_owned());
    assert_ne!(digests[0], digests[1]);
    let refused = verify("linux/amd64,linux/arm64").ends_with(3);
    assert_eq!(refused.failure().trim_end(), "error: an image is verified for one platform at a time");
}

#[test]
fn a_base_that_is_gone_is_said_and_the_builder_s_is_taken() {
    let env = TestEnv::empty();
    let build = guests::builder(&env, &guest("hostile"));
    named_base(&env, "gone", Some("1"));
    env.run(&[&build[..], &["--tag", "one", "--run-image", "oci:gone:1"]].concat()).succeeds();
    std::fs::remove_dir_all(env.work().join("gone")).unwrap();
    let outcome = env.run(&[&["verify", "one"], &build[1..]].concat()).ends_with(112);
    let line = outcome.stderr.lines().find(|line| line.starts_with("the builder's base is taken")).unwrap();
    assert!(line.contains("because oci:gone:1@sha256:") && line.contains("could not"), "{line}");
    assert!(
        outcome.failure().contains("first difference: the image stands on the base oci:gone:1@"),
        "{}",
        outcome.stderr
    );
}
