//! Builders as artefacts: made, kept, sent, shown, and built with from elsewhere.

use std::{fs, sync::Arc};

use serde_json::Value;
use stave_archive::content::Bytes;
use stave_lifecycle::port::{cancel::Cancel, observer::Silent, sink::Sink as _};
use stave_model::{component::embed, digest::Digest, target::Platform};
use stave_oci::{
    component::{CONFIG, Facts, artifact},
    layout::{Layout, LayoutFolder, Place},
    registry::{Registries, credentials::Credentials, push::RegistryTag},
};
use stave_transport::{Client, Options};

use crate::support::{
    env::{TestEnv, listing},
    filters, guests,
    images::checked_here,
    images::small_base,
    images::small_base_for,
    registry::Registry,
};

/// A buildpack's component.
fn component(version: &str) -> Vec<u8> {
    let manifest = format!(
        "contract = \"0.1\"\n[buildpack]\nid = \"acme/tool\"\nversion = \"{version}\"\n[asks]\nsettings = [\"BP_CHOOSY_A\"]\n"
    );
    embed(&guests::bare("choosy"), &manifest).unwrap()
}

/// Puts a component into the layout `components` under its version.
fn put_component(env: &TestEnv, version: &str) {
    let bytes = component(version);
    let artifact = artifact(Arc::new(Bytes::new(bytes.clone())), Digest::of(&bytes), &Facts::default());
    let place = Place { folder: env.work().join("components"), name: Some(version.to_owned()) };
    LayoutFolder::new(place).of_artifacts(CONFIG).put(&artifact, &Silent, &Cancel::new()).unwrap();
}

/// An app, a base for two platforms, and a builder of one buildpack.
fn world() -> TestEnv {
    let env = TestEnv::empty();
    small_base_for(&env, &["linux/amd64".parse().unwrap(), "linux/arm64".parse().unwrap()]);
    env.write("app/readme.txt", "an app");
    env.write("tool.wasm", component("1.0.0"));
    let text = "description = \"For tests.\"\nstack = { path = \"base\" }\n[[buildpacks]]\npath = \"tool.wasm\"\n";
    env.write("builder.toml", text);
    env
}

fn digest_of(env: &TestEnv, image: &str) -> String {
    let about = env.run(&["inspect", image, "-o", "json"]).succeeds().stdout;
    serde_json::from_str::<Value>(&about).unwrap()["digest"].as_str().unwrap().to_owned()
}

#[test]
fn a_builder_is_the_same_each_time_and_everywhere() {
    let (env, other) = (world(), world());
    let first = env.run(&["builder", "create", "builder.toml", "--tag", "acme/tools:1"]).succeeds().result().to_owned();
    assert_eq!(env.run(&["builder", "create", "builder.toml", "--tag", "acme/tools:1"]).succeeds().result(), first);
    fs::create_dir(other.work().join("moved")).unwrap();
    for name in ["base", "tool.wasm", "builder.toml"] {
        fs::rename(other.work().join(name), other.work().join("moved").join(name)).unwrap();
    }
    assert_eq!(other.run(&["builder", "create", "moved/builder.toml"]).succeeds().result(), first);

    // By its name, from a layout and from a registry it builds the same image; with nothing else there.
    let registry = Registry::start(&env);
    let reference = registry.reference("acme/tools:1");
    let sent = env.run(&["builder", "publish", "acme/tools:1", &reference]).succeeds();
    assert_eq!(sent.result(), format!("{}@{first}", registry.reference("acme/tools")));
    env.run(&["builder", "publish", &reference, "oci:out:tools"]).succeeds();
    let elsewhere = TestEnv::empty();
    elsewhere.write("app/readme.txt", "an app");
    let layout = format!("oci:{}:tools", env.work().join("out").display());
    let mut digests = Vec::new();
    for (env, builder) in [(&env, "acme/tools:1"), (&elsewhere, reference.as_str()), (&elsewhere, layout.as_str())] {
        env.run(&["build", "app", "--builder", builder]).succeeds();
        digests.push(digest_of(env, "app"));
        env.run(&["verify", "app", "app", "--builder", builder]).succeeds();
        env.run(&["detect", "app", "--builder", builder]).succeeds();
    }
    assert_eq!((&digests[0], &digests[0]), (&digests[1], &digests[2]));
    elsewhere.write("config.toml", format!("builder = \"{reference}\"\n"));
    elsewhere.run(&["build", "app", "--config", "config.toml", "--to", "oci:image"]).succeeds();
    assert_eq!(checked_here(&elsewhere.work().join("image")).digest().to_string(), digests[0]);
}

#[test]
fn what_is_pinned_is_fetched_once_and_what_is_missing_is_said() {
    let env = world();
    let registry = Registry::start(&env);
    let sent = env.run(&["builder", "publish", "builder.toml", &registry.reference("tools:1")]).succeeds();
    let pinned = sent.result().to_owned();
    let elsewhere = TestEnv::empty();
    elsewhere.write("app/readme.txt", "an app");
    let _filters = filters::bind(&elsewhere);
    let told = elsewhere.run(&["build", "app", "--builder", &pinned, "--offline"]).ends_with(32);
    insta::assert_snapshot!(told.failure(), @r#"
    error: could not get the builder [LOOPBACK]/tools@sha256:[HEX]
    caused by: could not pull the builder `[LOOPBACK]/tools@sha256:[HEX]`
    caused by: http://[LOOPBACK]/v2/tools/manifests/sha256:[HEX] was not asked: this run is offline
    hint: run once without --offline, so that what is missing is fetched and kept
    "#);
    elsewhere.run(&["build", "app", "--builder", &pinned]).succeeds();
    elsewhere.run(&["build", "app", "--builder", &pinned, "--offline"]).succeeds();
    let tool = Digest::of(&component("1.0.0")).hex();
    elsewhere.forget_blob(&tool);
    let told = elsewhere.run(&["build", "app", "--builder", &pinned, "--offline"]).ends_with(32);
    insta::assert_snapshot!(told.failure(), @r#"
    error: could not get the buildpack acme/tool@1.0.0
    caused by: could not read its component
    caused by: could not pull the layer sha256:[HEX] of [LOOPBACK]/tools
    caused by: http://[LOOPBACK]/v2/tools/blobs/sha256:[HEX] was not asked: this run is offline
    hint: run once without --offline, so that what is missing is fetched and kept
    "#);
}

#[test]
fn a_builder_is_shown() {
    let env = world();
    let _filters = filters::bind(&env);
    env.run(&["builder", "create", "builder.toml", "--tag", "tools"]).succeeds();
    insta::assert_snapshot!(env.run(&["builder", "inspect", "tools"]).succeeds().stdout, @r#"
    tools
      For tests.
      digest  sha256:[HEX]

    stack base
      linux/amd64  sha256:[HEX]
      linux/arm64  sha256:[HEX]

    buildpacks
      acme/tool@1.0.0  ([SIZE])
        digest      sha256:[HEX]
        may interfaces  app, context, log, layers, overlay, sbom
        may settings    BPE_*, BPL_*, BP_*

    order
      acme/tool@1.0.0
    "#);
    let about = env.run(&["builder", "inspect", "builder.toml", "-o", "json"]).succeeds().stdout;
    let about: Value = serde_json::from_str(&about).unwrap();
    assert_eq!((&about["name"], &about["digest"]), (&"builder.toml".into(), &Value::Null));
    assert_eq!(about["stack"]["images"].as_array().unwrap().len(), 2);
    assert_eq!(about["buildpacks"][0]["id"], "acme/tool");
    assert_eq!(about["order"][0]["group"][0]["version"], "1.0.0");
    let one =
        env.run(&["builder", "create", "builder.toml", "--platform", "linux/arm64", "--output", "json"]).succeeds();
    let one: Value = serde_json::from_str(&one.stdout).unwrap();
    assert_eq!(one["stack"]["images"].as_array().unwrap().len(), 1);
}

#[test]
fn buildpacks_are_named_by_reference() {
    let env = world();
    put_component(&env, "1.0.0");
    let digest = Digest::of(&component("1.0.0"));
    let builder = |keys: &str| {
        env.write("builder.toml", format!("stack = {{ path = \"base\" }}\n[[buildpacks]]\n{keys}\n"));
    };
    builder(&format!("reference = \"oci:components:1.0.0\"\ndigest = \"{digest}\""));
    env.run(&["detect", "app", "--builder", "builder.toml"]).succeeds();
    env.run(&["lock", "--builder", "builder.toml"]).succeeds();
    let lock = fs::read_to_string(env.work().join("stave.lock")).unwrap();
    assert!(lock.contains("reference = \"oci:components:1.0.0\""), "{lock}");
    assert!(lock.contains("manifest = \"sha256:") && lock.contains(&digest.to_string()), "{lock}");
    // The builder's own digest is held to as well.
    put_component(&env, "2.0.0");
    builder(&format!("reference = \"oci:components:2.0.0\"\ndigest = \"{digest}\""));
    let told = env.run(&["detect", "app", "--builder", "builder.toml"]).ends_with(13);
    assert!(told.failure().contains("the component is not the expected one"), "{}", told.failure());
    fs::remove_file(env.work().join("stave.lock")).unwrap();
    let told = env.run(&["lock", "--builder", "builder.toml"]).ends_with(13);
    assert!(told.failure().contains("the component is not the expected one"), "{}", told.failure());
    builder("reference = \"oci:components:3.0.0\"");
    let _filters = filters::bind(&env);
    let told = env.run(&["detect", "app", "--builder", "builder.toml"]).ends_with(32);
    insta::assert_snapshot!(told.failure(), @r#"
    error: could not get the buildpack oci:components:3.0.0
    caused by: there is no buildpack at `oci:components:3.0.0`
    hint: the names there are 1.0.0, 2.0.0
    "#);
}

/// An app may have a file of any name, and a builder grants what it likes.
#[test]
fn no_file_stands_in_the_place_of_a_reference() {
    let env = world();
    let reference = format!("127.0.0.1:9/acme/tools@{}", Digest::of(b""));
    let text = fs::read_to_string(env.work().join("builder.toml")).unwrap();
    for name in [reference.as_str(), "tools", "127.0.0.1:9/acme/tools:1"] {
        env.write(name, &text);
    }
    for name in [reference.as_str(), "127.0.0.1:9/acme/tools:1"] {
        let told = env.run(&["detect", "app", "--offline", "--builder", name]).ends_with(32);
        assert!(told.failure().contains("was not asked: this run is offline"), "{}", told.failure());
    }
    env.write("tool.wasm", component("2.0.0"));
    env.run(&["builder", "create", "builder.toml", "--tag", "tools"]).succeeds();
    env.write("tools", "this is no builder");
    env.run(&["detect", "app", "--builder", "tools"]).succeeds();
    env.run(&["detect", "app", "--builder", "./tools"]).ends_with(3);
}

#[test]
fn a_tag_that_moves_changes_nothing_that_is_locked() {
    let env = world();
    let registry = Registry::start(&env);
    let reference = registry.reference("tools:stable");
    env.run(&["builder", "publish", "builder.toml", &reference]).succeeds();
    env.run(&["lock", "--builder", &reference]).succeeds();
    let lock = fs::read_to_string(env.work().join("stave.lock")).unwrap();
    // Somebody turns the tag back to what is older (N10).
    env.write("tool.wasm", component("0.9.0"));
    env.run(&["builder", "publish", "builder.toml", &reference]).succeeds();
    let group = |arguments: &[&str]| {
        let told = env.run(&[&["detect", "app", "-o", "json"], arguments].concat()).succeeds().stdout;
        serde_json::from_str::<Value>(&told).unwrap()["group"][0].as_str().unwrap().to_owned()
    };
    assert_eq!(group(&["--builder", &reference]), "acme/tool@0.9.0");
    assert_eq!(group(&["--locked"]), "acme/tool@1.0.0");
    assert_eq!(group(&["--locked", "--builder", &reference]), "acme/tool@1.0.0");
    let told = env.run(&["lock", "update", "acme/tool"]).ends_with(3);
    assert!(told.failure().contains("is taken as a whole"), "{}", told.failure());
    let told = env.run(&["lock", "update"]).ends_with(15);
    assert!(told.failure().contains("its version 0.9.0 is older than 1.0.0, which is locked"), "{}", told.failure());
    assert_eq!(fs::read_to_string(env.work().join("stave.lock")).unwrap(), lock);
}

/// A base is of no use by its manifest alone, nor a builder.
#[test]
fn what_a_lock_names_stays_in_a_cache_that_is_too_large() {
    let env = world();
    let registry = Registry::start(&env);
    let base = Layout::open(Place { folder: env.work().join("base"), name: None }).unwrap().images().unwrap();
    let registries = Registries::new(Client::new(Options::default()), Credentials::none(), []);
    let tag = RegistryTag::new(registries, registry.reference("base:1").parse().unwrap()).unwrap();
    tag.put_platforms(&base, &Silent, &Cancel::new()).unwrap();
    let stack = format!("stack = {{ run-image = \"{}\" }}\n", registry.reference("base:1"));
    env.write("builder.toml", stack + "[[buildpacks]]\npath = \"tool.wasm\"\n");
    let reference = registry.reference("tools:1");
    env.run(&["builder", "publish", "builder.toml", &reference]).succeeds();
    env.run(&["lock", "--builder", &reference]).succeeds();
    let digest = env.run(&["build", "app", "--locked"]).succeeds().result().to_owned();
    drop(registry);
    env.run(&["images", "remove", "app"]).succeeds();
    env.run(&["cache", "gc", "--max-size", "0", "--lock", "stave.lock"]).succeeds();
    assert_eq!(env.run(&["build", "app", "--locked", "--offline"]).succeeds().result(), digest);
    env.run(&["images", "remove", "app"]).succeeds();
    env.run(&["cache", "gc", "--max-size", "0"]).succeeds();
    env.run(&["build", "app", "--locked", "--offline"]).ends_with(32);
}

#[test]
fn kept_builders_are_listed_and_removed() {
    let env = world();
    let _filters = filters::bind(&env);
    let none = env.run(&["builder", "list"]).succeeds();
    insta::assert_snapshot!(none.stderr, @"no builder is kept: `stave builder create` makes one of a builder.toml");
    let create =
        |tag: &str| env.run(&["builder", "create", "builder.toml", "--tag", tag]).succeeds().result().to_owned();
    let one = create("one");
    env.write("tool.wasm", component("2.0.0"));
    let two = create("two");
    assert_ne!(one, two);
    let all = env.run(&["builder", "list"]).succeeds().stdout;
    assert_eq!(all, format!("one:latest  {one}\ntwo:latest  {two}\n"));
    let blobs = || listing(&env.data().join("builders/blobs/sha256")).len();
    let both = blobs();
    insta::assert_snapshot!(env.run(&["builder", "remove", "one", "three"]).ends_with(1).failure(), @"
    error: no builder is kept as three:latest
    hint: `stave builder list` lists those that are
    ");
    assert_eq!(blobs(), both, "all of them, or none");
    insta::assert_snapshot!(env.run(&["builder", "remove", "one"]).succeeds().stdout, @"removed one:latest ([SIZE])");
    // Its index, manifest, configuration and component; the bases are the other's too.
    assert_eq!(both - blobs(), 4);
    env.run(&["build", "app", "--builder", "two"]).succeeds();
    env.run(&["builder", "remove", "two"]).succeeds();
    assert_eq!(blobs(), 0);
    let listed = env.run(&["builder", "list", "-o", "json"]).succeeds().stdout;
    assert_eq!(serde_json::from_str::<Value>(&listed).unwrap(), serde_json::json!([]));
}

#[test]
fn what_is_no_builder_is_refused() {
    let env = world();
    let _filters = filters::bind(&env);
    small_base(&env);
    let told = env.run(&["build", "app", "--builder", "oci:base"]).ends_with(32);
    insta::assert_snapshot!(told.failure(), @r#"
    error: could not get the builder oci:base
    caused by: there are 2 entries at `oci:base`, and a builder is one
    "#);
    let told = env.run(&["build", "app", "--builder", "missing"]).ends_with(3);
    insta::assert_snapshot!(told.failure(), @r#"
    error: could not read the builder missing
    caused by: No such file or directory (os error 2)
    hint: a builder is a file, a name that `stave builder create` gave, oci:DIR, or a reference with its registry
    "#);
    let told = env.run(&["builder", "publish", "builder.toml"]).ends_with(3);
    insta::assert_snapshot!(told.failure(), @r#"
    error: `builder.toml` says no registry
    hint: say where the builder goes, as in registry.example.com/acme/builder:1 or oci:DIR
    "#);
    let told = env.run(&["builder", "create", "builder.toml", "--platform", "linux/riscv64"]).ends_with(32);
    assert!(told.failure().contains("no image for linux/riscv64"), "{}", told.failure());
    env.run(&["builder", "create", "builder.toml", "--tag", "tools", "--platform", "linux/amd64"]).succeeds();
    if Platform::of_this_machine().arch == "amd64" {
        let arguments = ["build", "app", "--builder", "tools", "--platform", "linux/arm64"];
        insta::assert_snapshot!(env.run(&arguments).ends_with(32).failure(), @r#"
    error: the builder has no base for linux/arm64
    hint: it has one for linux/amd64
    "#);
    }
    // What asks for more than it is granted makes no builder.
    let manifest =
        "contract = \"0.1\"\n[buildpack]\nid = \"acme/tool\"\nversion = \"1.0.0\"\n[asks]\nsettings = [\"HOME\"]\n";
    env.write("tool.wasm", embed(&guests::bare("choosy"), manifest).unwrap());
    let told = env.run(&["builder", "create", "builder.toml", "--tag", "more"]).ends_with(13);
    assert!(told.failure().contains("is not granted: settings = [\"HOME\"]"), "{}", told.failure());
    env.assert_nothing_half_written();
}
