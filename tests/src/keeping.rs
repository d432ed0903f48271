//! What a build made is there for the next one: layers that are kept as they are, and contents that one begins with.

use std::{collections::BTreeMap, fs};

use serde_json::Value;
use stave_model::{image::LIFECYCLE_LABEL, target::Platform};

use crate::support::{
    env::TestEnv,
    filters, guests,
    images::{checked_here, config, small_base_for},
    process::{Outcome, run},
};

/// What was said of a build, and its layers: name in the label, digest in the manifest.
struct Build {
    said: String,
    layers: BTreeMap<String, String>,
    digest: String,
}

/// A world with the guest `keeper` and an app.
pub(crate) fn keeper() -> TestEnv {
    let env = TestEnv::empty();
    guests::builder(&env, &guests::guest("keeper"));
    env
}

/// Builds `app`, and looks at what the image store has of it.
#[track_caller]
fn build(env: &TestEnv, arguments: &[&str]) -> Build {
    let start = ["-v", "build", "app", "--builder", "builder.toml"];
    let outcome = env.run(&[&start, arguments].concat()).succeeds();
    let _ = fs::remove_dir_all(env.work().join("out"));
    env.run(&["export", "app", "--to", "oci:out"]).succeeds();
    let image = checked_here(&env.work().join("out"));
    let label = config(&image)["config"]["Labels"][LIFECYCLE_LABEL].as_str().unwrap().to_owned();
    let label: Value = serde_json::from_str(&label).unwrap();
    let digest = |sha: &Value| {
        let layer = image.layers.iter().find(|layer| layer.diff_id.to_string() == sha.as_str().unwrap()).unwrap();
        layer.descriptor.digest.hex()
    };
    let layers = label["buildpacks"][0]["layers"].as_object().unwrap().iter();
    Build {
        said: said(&outcome),
        layers: layers.map(|(name, layer)| (name.clone(), digest(&layer["sha"]))).collect(),
        digest: outcome.result().to_owned(),
    }
}

/// What was said of the keeper and its layers in a build; layers are ready in any order.
fn said(outcome: &Outcome) -> String {
    let of_keeper = |line: &&str| {
        let says = ["[stave-tests/keeper] ", "layer stave-tests/keeper:"].iter().any(|start| line.starts_with(start));
        says || line.contains("stave-tests/keeper") && (line.contains(" build: ") || line.contains(" is not used: "))
    };
    let (mut layers, mut lines): (Vec<&str>, Vec<&str>) =
        outcome.stderr.lines().filter(of_keeper).partition(|line| line.starts_with("layer "));
    layers.sort_unstable();
    lines.append(&mut layers);
    lines.join("\n")
}

#[test]
fn layers_stay_as_they_are_while_their_buildpack_keeps_them() {
    let env = keeper();
    let _filters = filters::bind(&env);
    let first = build(&env, &[]);
    insta::assert_snapshot!(first.said, @"
    stave-tests/keeper@0.1.0 build: ran: first time
    stave-tests/keeper:tool of the previous build is not used: the previous image does not have it
    [stave-tests/keeper] tool: made of one
    stave-tests/keeper:modules of the previous build is not used: the previous image does not have it
    [stave-tests/keeper] modules: made of one
    [stave-tests/keeper] list: could not begin the layer `list` of the previous build with its contents: the previous build had no such layer
    [stave-tests/keeper] list: had []
    layer stave-tests/keeper:list written ([SIZE])
    layer stave-tests/keeper:modules written ([SIZE])
    layer stave-tests/keeper:tool written ([SIZE])
    ");
    let second = build(&env, &[]);
    insta::assert_snapshot!(second.said, @r#"
    stave-tests/keeper@0.1.0 build: ran: the layer `tool` of the previous build was added
    [stave-tests/keeper] tool: kept
    [stave-tests/keeper] modules: kept
    [stave-tests/keeper] list: had ["one"]
    layer stave-tests/keeper:list written ([SIZE])
    layer stave-tests/keeper:modules reused as it was ([SIZE])
    layer stave-tests/keeper:tool reused as it was ([SIZE])
    "#);
    assert_eq!((&second.layers, &second.digest), (&first.layers, &first.digest));
    // The buildpack does not even run, and its layers are kept all the same.
    env.write("app/readme.txt", "another app");
    let third = build(&env, &[]);
    insta::assert_snapshot!(third.said, @r#"
    stave-tests/keeper@0.1.0 build: remembered
    [stave-tests/keeper] tool: kept
    [stave-tests/keeper] modules: kept
    [stave-tests/keeper] list: had ["one"]
    layer stave-tests/keeper:list kept from before ([SIZE])
    layer stave-tests/keeper:modules reused as it was ([SIZE])
    layer stave-tests/keeper:tool reused as it was ([SIZE])
    "#);
    assert_eq!(third.layers, first.layers);
    assert_ne!(third.digest, first.digest);
    // Another word: everything is made anew, and the list goes on.
    let other = build(&env, &["-e", "BP_WORD=two"]);
    insta::assert_snapshot!(other.said, @r#"
    stave-tests/keeper@0.1.0 build: ran: setting BP_WORD was set
    [stave-tests/keeper] tool: made of two
    [stave-tests/keeper] modules: made of two
    [stave-tests/keeper] list: had ["one"]
    layer stave-tests/keeper:list written ([SIZE])
    layer stave-tests/keeper:modules written ([SIZE])
    layer stave-tests/keeper:tool written ([SIZE])
    "#);
    assert_ne!(other.layers, first.layers);
    env.assert_nothing_half_written();
}

/// T8: who shares the cache and nothing else gets nothing of another's image of the same name, and makes what a cache of one's own
/// would have given.
#[test]
fn nothing_comes_back_of_another_tenants_image() {
    let env = keeper();
    let _filters = filters::bind(&env);
    let as_tenant = |tenant: &str, word: &str| {
        let word = format!("BP_WORD={word}");
        let mut command = env.stave(&["-v", "build", "app", "--builder", "builder.toml", "-e", &word]);
        let outcome = run(command.env("STAVE_DATA_DIR", env.root().join(tenant))).succeeds();
        (said(&outcome), outcome.result().to_owned())
    };
    as_tenant("one", "private");
    insta::assert_snapshot!(as_tenant("one", "private").0, @r#"
    stave-tests/keeper@0.1.0 build: ran: the layer `tool` of the previous build was added
    [stave-tests/keeper] tool: kept
    [stave-tests/keeper] modules: kept
    [stave-tests/keeper] list: had ["private"]
    layer stave-tests/keeper:list written ([SIZE])
    layer stave-tests/keeper:modules reused as it was ([SIZE])
    layer stave-tests/keeper:tool reused as it was ([SIZE])
    "#);
    let (other, digest) = as_tenant("two", "other");
    insta::assert_snapshot!(other, @"
    stave-tests/keeper@0.1.0 build: ran: setting BP_WORD changed
    stave-tests/keeper:tool of the previous build is not used: the previous image does not have it
    [stave-tests/keeper] tool: made of other
    stave-tests/keeper:modules of the previous build is not used: the previous image does not have it
    [stave-tests/keeper] modules: made of other
    [stave-tests/keeper] list: could not begin the layer `list` of the previous build with its contents: the previous build had no such layer
    [stave-tests/keeper] list: had []
    layer stave-tests/keeper:list written ([SIZE])
    layer stave-tests/keeper:modules written ([SIZE])
    layer stave-tests/keeper:tool written ([SIZE])
    ");
    insta::assert_snapshot!(as_tenant("two", "other").0, @r#"
    stave-tests/keeper@0.1.0 build: ran: the layer `tool` of the previous build was added
    [stave-tests/keeper] tool: kept
    [stave-tests/keeper] modules: kept
    [stave-tests/keeper] list: had ["other"]
    layer stave-tests/keeper:list written ([SIZE])
    layer stave-tests/keeper:modules reused as it was ([SIZE])
    layer stave-tests/keeper:tool reused as it was ([SIZE])
    "#);
    insta::assert_snapshot!(as_tenant("one", "private").0, @r#"
    stave-tests/keeper@0.1.0 build: remembered
    [stave-tests/keeper] tool: kept
    [stave-tests/keeper] modules: kept
    [stave-tests/keeper] list: had ["private"]
    layer stave-tests/keeper:list kept from before ([SIZE])
    layer stave-tests/keeper:modules reused as it was ([SIZE])
    layer stave-tests/keeper:tool reused as it was ([SIZE])
    "#);
    let alone = keeper();
    let own = alone.run(&["-v", "build", "app", "--builder", "builder.toml", "-e", "BP_WORD=other"]).succeeds();
    assert_eq!(own.result(), digest);
}

#[test]
fn nothing_comes_back_of_a_cleared_cache() {
    let env = keeper();
    let _filters = filters::bind(&env);
    let first = build(&env, &[]);
    let cleared = build(&env, &["--clear-cache"]);
    insta::assert_snapshot!(cleared.said, @"
    stave-tests/keeper@0.1.0 build: ran: --no-memory
    stave-tests/keeper:tool of the previous build is not used: nothing of earlier builds is to be used
    [stave-tests/keeper] tool: made of one
    stave-tests/keeper:modules of the previous build is not used: nothing of earlier builds is to be used
    [stave-tests/keeper] modules: made of one
    [stave-tests/keeper] list: could not begin the layer `list` of the previous build with its contents: nothing of earlier builds is to be used
    [stave-tests/keeper] list: had []
    layer stave-tests/keeper:list written ([SIZE])
    layer stave-tests/keeper:modules written ([SIZE])
    layer stave-tests/keeper:tool written ([SIZE])
    ");
    assert_eq!(cleared.layers, first.layers, "made of the same, they are the same");
    let next = build(&env, &["--no-memory"]);
    insta::assert_snapshot!(next.said, @r#"
    stave-tests/keeper@0.1.0 build: ran: --no-memory
    [stave-tests/keeper] tool: kept
    [stave-tests/keeper] modules: kept
    [stave-tests/keeper] list: had ["one"]
    layer stave-tests/keeper:list written ([SIZE])
    layer stave-tests/keeper:modules reused as it was ([SIZE])
    layer stave-tests/keeper:tool reused as it was ([SIZE])
    "#);
}

#[test]
fn other_uses_are_a_reason() {
    let env = keeper();
    let _filters = filters::bind(&env);
    build(&env, &[]);
    let as_cache = build(&env, &["-e", "BP_USES=cache"]);
    insta::assert_snapshot!(as_cache.said, @r#"
    stave-tests/keeper@0.1.0 build: ran: setting BP_USES was set
    [stave-tests/keeper] tool: could not keep the layer `tool` of the previous build as it is: in the previous build it had other uses
    [stave-tests/keeper] tool: made of one
    [stave-tests/keeper] modules: kept
    [stave-tests/keeper] list: had ["one"]
    layer stave-tests/keeper:list written ([SIZE])
    layer stave-tests/keeper:modules reused as it was ([SIZE])
    layer stave-tests/keeper:tool kept from before ([SIZE])
    "#);
    let for_builds = build(&env, &["-e", "BP_USES=build"]);
    insta::assert_snapshot!(for_builds.said, @r#"
    stave-tests/keeper@0.1.0 build: ran: setting BP_USES changed
    [stave-tests/keeper] tool: could not keep the layer `tool` of the previous build as it is: in the previous build it had other uses
    [stave-tests/keeper] tool: made of one
    [stave-tests/keeper] modules: kept
    [stave-tests/keeper] list: had ["one"]
    layer stave-tests/keeper:list kept from before ([SIZE])
    layer stave-tests/keeper:modules reused as it was ([SIZE])
    layer stave-tests/keeper:tool kept from before ([SIZE])
    "#);
}

/// Changes a byte of each layer, in the cache and in the image store.
fn damage(env: &TestEnv, build: &Build) {
    for hex in build.layers.values() {
        for folder in [env.cache().join("blobs/sha256").join(&hex[..2]), env.data().join("images/blobs/sha256")] {
            let blob = folder.join(hex);
            let mut bytes = fs::read(&blob).unwrap();
            bytes[20] ^= 1;
            fs::remove_file(&blob).unwrap();
            fs::write(&blob, bytes).unwrap();
        }
    }
}

#[test]
fn what_a_disk_did_to_a_layer_is_found_and_the_layer_is_made_again() {
    let env = keeper();
    let _filters = filters::bind(&env);
    let first = build(&env, &[]);
    damage(&env, &first);
    let healed = build(&env, &[]);
    insta::assert_snapshot!(healed.said, @r#"
    stave-tests/keeper@0.1.0 build: ran: the layer `tool` of the previous build was added
    [stave-tests/keeper] tool: could not keep the layer `tool` of the previous build as it is: the previous image's copy of it is damaged
    [stave-tests/keeper] tool: made of one
    stave-tests/keeper:modules of the previous build is not used: its contents are not kept any more
    [stave-tests/keeper] modules: made of one
    [stave-tests/keeper] list: had ["one"]
    layer stave-tests/keeper:list written ([SIZE])
    layer stave-tests/keeper:modules written ([SIZE])
    layer stave-tests/keeper:tool written ([SIZE])
    "#);
    assert_eq!((&healed.layers, &healed.digest), (&first.layers, &first.digest));
    env.assert_nothing_half_written();
}

#[test]
fn a_cleared_cache_mends_what_a_disk_did() {
    let env = keeper();
    let _filters = filters::bind(&env);
    let first = build(&env, &[]);
    damage(&env, &first);
    let cleared = build(&env, &["--clear-cache"]);
    assert_eq!((&cleared.layers, &cleared.digest), (&first.layers, &first.digest));
    let next = build(&env, &["--no-memory"]);
    insta::assert_snapshot!(next.said, @r#"
    stave-tests/keeper@0.1.0 build: ran: --no-memory
    [stave-tests/keeper] tool: kept
    [stave-tests/keeper] modules: kept
    [stave-tests/keeper] list: had ["one"]
    layer stave-tests/keeper:list written ([SIZE])
    layer stave-tests/keeper:modules reused as it was ([SIZE])
    layer stave-tests/keeper:tool reused as it was ([SIZE])
    "#);
    env.assert_nothing_half_written();
}

/// What was said of the keeper in a build that need not be for this machine, or not for the image store.
#[track_caller]
fn said_of(env: &TestEnv, arguments: &[&str]) -> String {
    let start = ["-v", "build", "app", "--builder", "builder.toml", "--no-memory"];
    said(&env.run(&[&start, arguments].concat()).succeeds())
}

/// Who asks for a platform need not name the variant that the base has.
#[test]
fn what_is_kept_is_found_again_on_a_base_with_a_variant() {
    let env = keeper();
    let _filters = filters::bind(&env);
    fs::remove_dir_all(env.work().join("base")).unwrap();
    small_base_for(&env, &["linux/arm64/v8".parse::<Platform>().unwrap()]);
    said_of(&env, &["--platform", "linux/arm64"]);
    insta::assert_snapshot!(said_of(&env, &["--platform", "linux/arm64"]), @r#"
    stave-tests/keeper@0.1.0 build: ran: --no-memory
    [stave-tests/keeper] tool: kept
    [stave-tests/keeper] modules: kept
    [stave-tests/keeper] list: had ["one"]
    layer stave-tests/keeper:list written ([SIZE])
    layer stave-tests/keeper:modules reused as it was ([SIZE])
    layer stave-tests/keeper:tool reused as it was ([SIZE])
    "#);
}

/// What was right for a test need not be right in production, whether its image is still there or not.
#[test]
fn nothing_comes_back_of_a_build_in_another_execution_environment() {
    let env = keeper();
    let _filters = filters::bind(&env);
    said_of(&env, &["--to", "oci:out", "--exec-env", "test"]);
    let in_production = said_of(&env, &["--to", "oci:out"]);
    insta::assert_snapshot!(in_production, @"
    stave-tests/keeper@0.1.0 build: ran: --no-memory
    stave-tests/keeper:tool of the previous build is not used: it was made for another execution environment
    [stave-tests/keeper] tool: made of one
    stave-tests/keeper:modules of the previous build is not used: it was made for another execution environment
    [stave-tests/keeper] modules: made of one
    [stave-tests/keeper] list: could not begin the layer `list` of the previous build with its contents: it was made for another execution environment
    [stave-tests/keeper] list: had []
    layer stave-tests/keeper:list kept from before ([SIZE])
    layer stave-tests/keeper:modules kept from before ([SIZE])
    layer stave-tests/keeper:tool kept from before ([SIZE])
    ");
    said_of(&env, &["--to", "oci:out", "--exec-env", "test"]);
    fs::remove_dir_all(env.work().join("out")).unwrap();
    assert_eq!(said_of(&env, &["--to", "oci:out"]), in_production);
}
