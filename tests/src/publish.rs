//! Buildpacks go into registries and layouts and come back, by other tools' hands too, and are what they were.

use std::{fs, process::Command, sync::Arc};

use serde_json::Value;
use stave_archive::content::Bytes;
use stave_lifecycle::port::{cancel::Cancel, observer::Silent};
use stave_model::digest::Digest;
use stave_oci::{
    component::{self, Facts, Means, artifact},
    registry::{Registries, credentials::Credentials},
    testing::FolderBlobs,
};
use stave_transport::client::{Client, Options};

use crate::support::{env::TestEnv, filters, peers::Peers, process::succeeds, registry::Registry, tools::tool};

/// What a program is told of a buildpack.
#[track_caller]
fn told(env: &TestEnv, arguments: &[&str]) -> Value {
    let arguments = [&["buildpack"], arguments, &["-o", "json"]].concat();
    serde_json::from_str(&env.run(&arguments).succeeds().stdout).unwrap()
}

/// The bytes of the smallest buildpack inside the program.
fn procfile(env: &TestEnv) -> Vec<u8> {
    env.run(&["buildpack", "publish", "builtin:procfile", "oci:inside"]).succeeds();
    env.run(&["buildpack", "pull", "oci:inside", "--into", "inside.wasm"]).succeeds();
    fs::read(env.work().join("inside.wasm")).unwrap()
}

/// What is said, but for blobs: which goes first is nobody's choice, and their digests change with the buildpack.
fn said(stderr: &str) -> String {
    stderr
        .lines()
        .filter(|line| !line.starts_with("push ") && !line.starts_with("pull "))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_buildpack_goes_into_a_registry_and_comes_back() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    let registry = Registry::start(&env);
    let reference = registry.reference("acme/procfile:1");
    let published = env.run(&["buildpack", "publish", "builtin:procfile", &reference]).succeeds();
    insta::assert_snapshot!(said(&published.stderr), @"
    connecting to [LOOPBACK]
    stave/procfile@0.1.0 is in [LOOPBACK]/acme/procfile:1
      component  sha256:[HEX] ([SIZE])
      contract   0.1
      imports    app, context, log
      asks for   interfaces app, context, log; settings BP_PROCFILE_DEFAULT_PROCESS
    ");
    let resolved = published.result().to_owned();

    let pulled = env.run(&["buildpack", "pull", &reference]).succeeds();
    insta::assert_snapshot!(said(&pulled.stderr), @"
    connecting to [LOOPBACK]
    stave/procfile@0.1.0 is in procfile.wasm
      component  sha256:[HEX] ([SIZE])
      contract   0.1
      imports    app, context, log
      asks for   interfaces app, context, log; settings BP_PROCFILE_DEFAULT_PROCESS
    ");
    assert_eq!(pulled.result(), resolved);
    let about = told(&env, &["inspect", "builtin:procfile"]);
    let wasm = fs::read(env.work().join("procfile.wasm")).unwrap();
    assert_eq!(about["digest"], Digest::of(&wasm).to_string());

    // From the file, from somewhere else, at another time: it is the same.
    env.write("elsewhere/copy.wasm", &wasm);
    let other = registry.reference("other:2");
    let again = told(&env, &["publish", "elsewhere/copy.wasm", &other]);
    assert_eq!(again["reference"].as_str().unwrap().split_once('@').unwrap().1, resolved.split_once('@').unwrap().1);
    let by_digest = told(&env, &["pull", &resolved, "--into", "by-digest.wasm"]);
    assert_eq!((&by_digest["reference"], &by_digest["component"]), (&Value::from(resolved.as_str()), &about["digest"]));
    assert_eq!(by_digest["annotations"], again["annotations"]);
    assert_eq!(fs::read(env.work().join("by-digest.wasm")).unwrap(), wasm);
    // What was pulled once is there, also without a network.
    let offline = env.run(&["buildpack", "pull", &resolved, "--offline", "--into", "offline.wasm"]).succeeds();
    assert_eq!(offline.result(), resolved);
    let dated = env.stave(&["buildpack", "publish", "procfile.wasm", &other]).env("SOURCE_DATE_EPOCH", "1").output();
    assert!(!String::from_utf8(dated.unwrap().stdout).unwrap().contains(resolved.split_once('@').unwrap().1));
}

#[test]
fn short_names_lead_where_the_configuration_says() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    let registry = Registry::start(&env);
    let version = told(&env, &["inspect", "builtin:procfile"])["version"].as_str().unwrap().to_owned();
    let name = format!("acme:procfile@{version}");
    let config = format!("[namespaces]\nacme = \"{}\"\n", registry.reference("wasm/acme"));
    env.write("config.toml", config);
    let publish =
        |name: &str| ["--config", "config.toml", "buildpack", "publish", "builtin:procfile", name].map(str::to_owned);
    let run = |arguments: &[String]| env.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let resolved = run(&publish(&name)).succeeds().result().to_owned();
    let pulled = env.run(&["--config", "config.toml", "buildpack", "pull", &name]).succeeds();
    assert_eq!(pulled.result(), resolved);
    let tag = env.run(&["buildpack", "pull", &registry.reference(&format!("wasm/acme/procfile:{version}"))]).succeeds();
    assert_eq!(tag.result(), resolved);

    // Somebody put it there by another tag than its version.
    env.run(&["buildpack", "publish", "builtin:procfile", &registry.reference("wasm/acme/procfile:99.0.0")]).succeeds();
    let arguments = ["--config", "config.toml", "buildpack", "pull", "acme:procfile@99.0.0", "--into", "other.wasm"];
    let other = env.run(&arguments).ends_with(13);
    insta::assert_snapshot!(other.failure().replace(&version, "[VERSION]"), @r"
    error: `acme:procfile@99.0.0` leads to stave/procfile@[VERSION], which is another version
    hint: whoever published it there did not use stave, or moved its tag
    ");
    assert!(!env.work().join("other.wasm").exists());

    let mut said = String::new();
    for name in ["acme:procfile@99.0.0", "acme:procfile", "contoso:procfile@1.0.0"] {
        said += run(&publish(name)).ends_with(3).failure();
    }
    env.write("config.toml", "[namespaces]\nacme = \"nowhere\"\n");
    said += run(&publish(&name)).ends_with(3).failure();
    insta::assert_snapshot!(said.replace(&version, "[VERSION]"), @r#"
    error: stave/procfile@[VERSION] cannot be published as version 99.0.0
    hint: publish it as acme:procfile@[VERSION]
    error: `acme:procfile` names no version
    hint: write acme:procfile@1.0.0, or a registry's reference
    error: nothing says where the namespace `contoso` is
    hint: say it in config.toml: [namespaces] contoso = "registry.example.com/buildpacks"; it has acme
    error: could not understand the configuration config.toml
    caused by: TOML parse error at line 1, column 1
        |
      1 | [namespaces]
        | ^^^^^^^^^^^^
      the namespace `acme` leads to `nowhere`, which is not a registry with a repository, without tag and digest
    "#);
}

#[test]
fn what_is_no_buildpack_is_refused_and_leaves_nothing() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    let registry = Registry::start(&env);
    let image = registry.reference("image:1");
    let layout = stave_oci::layout::LayoutFolder::new(stave_oci::layout::Place::parse(
        &env.work().join("image").display().to_string(),
    ));
    let small = stave_oci::testing::image("amd64", vec![stave_oci::testing::layer(&[("a", "1")])]);
    stave_lifecycle::port::sink::Sink::put(&layout, &small, &Silent, &Cancel::new()).unwrap();
    succeeds(&mut skopeo(
        &["copy", "--quiet", "--dest-tls-verify=false", "oci:image", &format!("docker://{image}")],
        &env,
    ));
    env.write("text.wasm", "no component");

    let mut said = String::new();
    for (code, arguments) in [
        (13, ["pull", &image]),
        (13, ["pull", "oci:image"]),
        (32, ["pull", &registry.reference("none:1")]),
        (32, ["pull", "oci:none"]),
        (3, ["pull", "none:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]),
    ] {
        said += env.run(&[&["buildpack"], &arguments[..]].concat()).ends_with(code).failure();
    }
    for (code, arguments) in [
        (13, ["publish", "text.wasm", "oci:out"]),
        (3, ["publish", "none.wasm", "oci:out"]),
        (3, ["publish", "builtin:procfile", "A B"]),
        (62, ["publish", "builtin:procfile", "127.0.0.1:1/x:1"]),
    ] {
        said += env.run(&[&["buildpack"], &arguments[..]].concat()).ends_with(code).failure();
    }
    insta::assert_snapshot!(said, @"
    error: could not use the buildpack `[LOOPBACK]/image:1`
    caused by: it is something else than a component: its configuration is `application/vnd.oci.image.config.v1+json`
    hint: buildpacks are published with `stave buildpack publish`
    error: could not use the buildpack `oci:image`
    caused by: it is something else than a component: its configuration is `application/vnd.oci.image.config.v1+json`
    hint: buildpacks are published with `stave buildpack publish`
    error: could not pull the buildpack `[LOOPBACK]/none:1`
    caused by: [LOOPBACK]: manifest unknown (MANIFEST_UNKNOWN)
    caused by: http://[LOOPBACK]/v2/none/manifests/1 answered 404 (not found)
    error: could not open the layout `oci:none`
    caused by: No such file or directory (os error 2)
    error: `none:1@sha256:[HEX]` says no registry
    hint: name the registry, as in registry.example.com/none
    error: could not use text.wasm
    caused by: this is no buildpack
    caused by: it is not WebAssembly
    error: could not read none.wasm
    caused by: No such file or directory (os error 2)
    error: `A B` is not the name of an image: a repository is written in lower case
    error: could not push sha256:[HEX] to [LOOPBACK]/x
    caused by: could not connect to http://[LOOPBACK]/v2/x/blobs/sha256:[HEX]
    caused by: Connection refused (os error 111)
    hint: check the network; behind a proxy, set HTTPS_PROXY (and NO_PROXY for hosts within)
    ");
    let mut left: Vec<_> = fs::read_dir(env.work()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["image", "text.wasm"]);
}

fn skopeo(arguments: &[&str], env: &TestEnv) -> Command {
    let mut command = tool("skopeo");
    command.current_dir(env.work()).arg("--insecure-policy").args(arguments);
    command
}

/// Puts a component into a registry with facts that need not be true.
fn push_with(env: &TestEnv, reference: &str, wasm: &[u8], facts: &Facts) {
    let means = Means {
        registries: Registries::new(Client::new(Options::default()), Credentials::none(), []),
        blobs: Arc::new(FolderBlobs::new(&env.root().join("tmp"))),
        observer: Arc::new(Silent),
        cancel: Cancel::new(),
    };
    let artifact = artifact(Arc::new(Bytes::new(wasm.to_vec())), Digest::of(wasm), facts);
    component::push(&reference.parse().unwrap(), &artifact, &means).unwrap();
}

#[test]
fn a_configuration_that_lies_is_contradicted() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    let (wasm, registry) = (procfile(&env), Registry::start(&env));
    let reference = registry.reference("liar:1");
    let forged = format!("x\nwarning: {}", "y".repeat(200));
    let facts = Facts { imports: ["stave:buildpack/layers@0.1.0".to_owned(), forged].into(), ..Facts::default() };
    push_with(&env, &reference, &wasm, &facts);
    let pulled = env.run(&["buildpack", "pull", &reference]).succeeds();
    let warnings: Vec<&str> = pulled.stderr.lines().filter(|line| line.starts_with("warning")).collect();
    insta::assert_snapshot!(warnings.join("\n"), @r"
    warning: the registry's configuration of it hides that it imports stave:buildpack/app@0.1.0, stave:buildpack/context@0.1.0, stave:buildpack/log@0.1.0, stave:buildpack/types@0.1.0, wasi:cli/environment@[VERSION] and 12 more
    warning: the registry's configuration of it says that it imports stave:buildpack/layers@0.1.0, x\nwarning: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy…, and it does not
    ");
}

#[test]
fn skopeo_takes_it_from_place_to_place() {
    let env = TestEnv::empty();
    let (wasm, registry) = (procfile(&env), Registry::start(&env));
    let reference = registry.reference("acme/procfile:1");
    let published = told(&env, &["publish", "inside.wasm", &reference]);
    let raw =
        succeeds(&mut skopeo(&["inspect", "--raw", "--tls-verify=false", &format!("docker://{reference}")], &env));
    assert_eq!(published["manifest"], Digest::of(raw.as_bytes()).to_string());
    let manifest: Value = serde_json::from_str(&raw).unwrap();
    assert_eq!(manifest["annotations"], published["annotations"]);
    assert_eq!(manifest["annotations"]["stave.buildpack.id"], "stave/procfile");
    succeeds(&mut skopeo(
        &["copy", "--quiet", "--src-tls-verify=false", &format!("docker://{reference}"), "oci:copied:there"],
        &env,
    ));
    let copied = told(&env, &["pull", "oci:copied:there", "--into", "copied.wasm"]);
    assert_eq!(copied["manifest"], published["manifest"]);
    assert_eq!(fs::read(env.work().join("copied.wasm")).unwrap(), wasm);
}

#[test]
fn oras_takes_what_is_published_and_publishes_what_is_taken() {
    let Some(peers) = Peers::oras("oras_takes_what_is_published_and_publishes_what_is_taken") else { return };
    let env = TestEnv::empty();
    let (wasm, registry) = (procfile(&env), Registry::start(&env));
    let oras = |arguments: &[&str]| succeeds(peers.command(&env, "oras").args(arguments));
    let ours = registry.reference("ours:1");
    let published = told(&env, &["publish", "inside.wasm", &ours]);
    oras(&["pull", "--plain-http", "--output", "by-oras", &ours]);
    assert_eq!(fs::read(env.work().join("by-oras/procfile.wasm")).unwrap(), wasm);
    let digest = oras(&["resolve", "--plain-http", &ours]);
    assert_eq!(published["manifest"], digest.trim());

    // The configuration of somebody who wants to say nothing.
    env.write("config.json", "{}");
    let theirs = registry.reference("theirs:1");
    let config = "config.json:application/vnd.wasm.config.v0+json";
    oras(&["push", "--plain-http", "--config", config, &theirs, "inside.wasm:application/wasm"]);
    let pulled = told(&env, &["pull", &theirs, "--into", "theirs.wasm"]);
    assert_eq!(pulled["manifest"], oras(&["resolve", "--plain-http", &theirs]).trim());
    assert_eq!(fs::read(env.work().join("theirs.wasm")).unwrap(), wasm);
}
