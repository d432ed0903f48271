//! The small buildpacks inside the program, in the image: the app's processes, variables and labels as they were asked for.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use stave_lifecycle::image::Image;

use crate::support::{
    env::TestEnv,
    images::{checked_here, config, small_base},
    process::{run, succeeds},
    tools::tool,
};

const BUILDER: &str = "stack = { path = \"base\" }\n\
    [[buildpacks]]\npath = \"builtin:procfile\"\n\
    [[buildpacks]]\npath = \"builtin:environment-variables\"\n\
    [[buildpacks]]\npath = \"builtin:image-labels\"\n";

/// Builds `app` on a small base with these settings.
fn build(env: &TestEnv, settings: &[&str]) -> Image {
    small_base(env);
    env.write("builder.toml", BUILDER);
    let settings: Vec<&str> = settings.iter().flat_map(|setting| ["-e", setting]).collect();
    let arguments = ["build", "app", "--builder", "builder.toml", "--to", "oci:out"];
    env.run(&[arguments.as_slice(), &settings].concat()).succeeds();
    checked_here(&env.work().join("out"))
}

/// The image's files in a folder, and its own launcher among them, ready to be called as `process`.
fn launcher(env: &TestEnv, image: &Image, process: &str) -> Command {
    let root: PathBuf = env.work().join("root");
    fs::create_dir_all(&root).unwrap();
    for layer in &image.layers {
        let blob = env.work().join("out/blobs/sha256").join(layer.descriptor.digest.hex());
        succeeds(tool("tar").arg("--no-same-owner").arg("-C").arg(&root).arg("-xzf").arg(blob));
    }
    let mut command = env.command(root.join("cnb/lifecycle/launcher"));
    std::os::unix::process::CommandExt::arg0(&mut command, Path::new("/cnb/process").join(process));
    command.env("CNB_LAYERS_DIR", root.join("layers")).env("CNB_APP_DIR", root.join("workspace"));
    command.env("CNB_PLATFORM_API", "0.14");
    command
}

#[test]
fn processes_variables_and_labels_are_what_was_asked_for() {
    let env = TestEnv::empty();
    env.write("app/Procfile", "web: printenv GREETING LIST\nshow: printf '%s|'\n");
    let image = build(
        &env,
        &[
            "BPE_DEFAULT_GREETING=hello you",
            "BPE_APPEND_LIST=b",
            "BPE_DELIM_LIST=:",
            "BP_IMAGE_LABELS=a=1 b='two words'",
            "BP_OCI_TITLE=Casks",
        ],
    );
    let config = config(&image);
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/cnb/process/web"]));
    let labels = &config["config"]["Labels"];
    assert_eq!((&labels["a"], &labels["b"]), (&"1".into(), &"two words".into()));
    assert_eq!(labels["org.opencontainers.image.title"], "Casks");
    let said = run(launcher(&env, &image, "web").env("LIST", "a")).succeeds();
    assert_eq!(said.stdout, "hello you\na:b\n");
    let said = run(launcher(&env, &image, "web").env("GREETING", "mine")).succeeds();
    assert_eq!(said.stdout, "mine\nb\n");
    let said = run(launcher(&env, &image, "show").args(["$HOME", "x y"])).succeeds();
    assert_eq!(said.stdout, "$HOME|x y|");
}

#[test]
fn certificates_of_the_builds_bindings_are_in_the_image() {
    let env = TestEnv::empty();
    let certificate = "-----BEGIN CERTIFICATE-----\nMGFiY2Q=\n-----END CERTIFICATE-----\n";
    env.write("app/Procfile", "web: printenv NODE_EXTRA_CA_CERTS\n");
    env.write("bindings/roots/type", "ca-certificates");
    env.write("bindings/roots/root.pem", certificate);
    small_base(&env);
    let grants = "grants = { interfaces = [\"bindings\", \"context\", \"layers\", \"log\"], settings = [\"BP_*\"], bindings = [\"ca-certificates\"] }";
    let builder = format!("{BUILDER}[[buildpacks]]\npath = \"builtin:ca-certificates\"\n{grants}\n");
    env.write("builder.toml", builder);
    let arguments = [
        "build",
        "app",
        "--builder",
        "builder.toml",
        "--to",
        "oci:out",
        "--bindings",
        "bindings",
        "-e",
        "BP_EMBED_CERTS=true",
    ];
    env.run(&arguments).succeeds();
    let image = checked_here(&env.work().join("out"));
    let mut launcher = launcher(&env, &image, "web");
    // The layer names its place in an image, which is not where the test has it.
    launcher
        .env("STAVE_CA_CERTIFICATES", env.work().join("root/layers/stave_ca-certificates/certificates/certificates"));
    launcher.env("SSL_CERT_FILE", env.write("none.crt", "")).env("TMPDIR", env.root().join("tmp"));
    let said = run(&mut launcher).succeeds();
    assert_eq!(fs::read_to_string(said.stdout.trim()).unwrap(), certificate, "{}", said.stderr);
}

#[test]
fn what_was_asked_for_and_cannot_be_says_why() {
    let env = TestEnv::empty();
    env.write("app/Procfile", "web: run\n");
    build(&env, &[]);
    let refused = |setting: &str| {
        let arguments = ["build", "app", "--builder", "builder.toml", "-e", setting];
        env.run(&arguments).ends_with(51).failure().to_owned()
    };
    insta::assert_snapshot!(refused("BPE_PATH=/x"), @"
    error: stave/environment-variables@0.1.0 could not build the app
    caused by: could not set `PATH` in a layer: may not override `PATH` in `env.launch`: it would hide every program and library of the base and of other buildpacks; prepend or append to it
    ");
    insta::assert_snapshot!(refused("BP_IMAGE_LABELS=one"), @"
    error: stave/image-labels@0.1.0 could not build the app
    caused by: BP_IMAGE_LABELS has `one`, which is no pair of key and value
    hint: write `key=value` with spaces between, and quotes around what has spaces
    ");
    env.write("app/Procfile", "web: run\nweb run\n");
    let said = env.run(&["build", "app", "--builder", "builder.toml"]).ends_with(21);
    let failure = said.failure();
    assert!(failure.contains("`web run` names no process (a line is `type: command`"), "{failure}");
}

#[test]
fn a_procfile_alone_is_an_app_and_variables_alone_are_none() {
    let env = TestEnv::warm();
    env.write("app/Procfile", "web: ./run\n");
    env.run(&["build", "app", "-e", "BPE_A=b", "--to", "oci:out"]).succeeds();
    let image = checked_here(&env.work().join("out"));
    assert_eq!(config(&image)["config"]["Entrypoint"], serde_json::json!(["/cnb/process/web"]));
    env.write("other/readme.txt", "nothing to run");
    let said = env.run(&["build", "other", "-e", "BPE_A=b", "-e", "BP_OCI_TITLE=x"]).ends_with(20);
    for reason in ["stave/java@0.1.0: no META-INF", "stave/procfile@0.1.0: no Procfile"] {
        assert!(said.failure().contains(reason), "{}", said.failure());
    }
}
