//! One buildpack in two languages: `examples/minimal-buildpack` in Rust and `examples/javascript-buildpack`. They answer alike,
//! and the image that they build is one.

use std::{fs, io::Write, path::PathBuf, sync::OnceLock};

use stave_engine::{Engine, Limits};
use stave_minimal_buildpack::Minimal;
use stave_model::{capability::Interface, component::embed, manifest::Manifest};
use stave_sdk::{Blame, testing::Host};

use crate::support::{
    env::TestEnv,
    filters, guests,
    images::{checked_here, config},
    process::{cargo, root, run, succeeds},
};

const START: &str =
    r#"{ "command": ["./serve", "--port", "8080"], "env": { "PORT": "8080", "GREETING": "grüß dich" } }"#;

/// What makes a component of JavaScript; none where it cannot be had, which is said loudly, past the runner that keeps what
/// tests print.
fn programs(test: &str) -> Option<&'static PathBuf> {
    static INSTALLED: OnceLock<Option<PathBuf>> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| {
        let installed = run(cargo().args(["xtask", "javascript"])).succeeds();
        Some(PathBuf::from(installed.result())).filter(|folder| folder.is_absolute())
    });
    if installed.is_none() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: `cargo xtask javascript` says why");
    }
    installed.as_ref()
}

/// The JavaScript buildpack as the script in its package.json makes it, in a copy of its folder, without its manifest.
fn javascript(programs: &std::path::Path) -> Vec<u8> {
    let example = root().join("examples/javascript-buildpack");
    let package: serde_json::Value = serde_json::from_slice(&fs::read(example.join("package.json")).unwrap()).unwrap();
    let script = package["scripts"]["build"].as_str().unwrap();
    let (program, arguments) = script.split_once(' ').unwrap();
    let env = TestEnv::empty();
    env.write("buildpack.js", fs::read(example.join("buildpack.js")).unwrap());
    env.write("wit/world.wit", fs::read(example.join("wit/world.wit")).unwrap());
    for file in fs::read_dir(example.join("wit/deps/buildpack")).unwrap().flatten() {
        let name = file.file_name().into_string().unwrap();
        env.write(&format!("wit/deps/buildpack/{name}"), fs::read(file.path()).unwrap());
    }
    succeeds(env.command(programs.join(program)).args(arguments.split(' ')).current_dir(env.work()));
    fs::read(env.work().join("component.wasm")).unwrap()
}

fn manifest(folder: &str) -> String {
    fs::read_to_string(root().join("examples").join(folder).join("buildpack.toml")).unwrap()
}

#[test]
fn they_answer_alike() {
    let Some(programs) = programs("twins::they_answer_alike") else { return };
    let manifest = manifest("javascript-buildpack");
    let component = embed(&javascript(programs), &manifest).unwrap();
    let asks = Manifest::parse(&manifest).unwrap().asks;
    let twin = Engine::new(Limits::default(), None).unwrap().load(&component, None, &asks).unwrap();
    let host = Host::of_manifest(&manifest);
    assert_eq!(host.detect_as(&twin), host.detect(&Minimal));
    for start in [
        START,
        r#"{ "command": ["./serve"] }"#,
        r#"{ "command": [] }"#,
        r#"{ "command": ["x"], "env": { "A=B": "" } }"#,
    ] {
        let host = Host::of_manifest(&manifest).file("start.json", start);
        assert_eq!(host.detect_as(&twin), host.detect(&Minimal));
        let (theirs, ours) = (host.build_as(&twin, &[]), host.build(&Minimal, &[]));
        match (theirs.failure(), ours.failure()) {
            // Where in the source a call was made that the host refused, the Rust one says in its own way.
            (Some(theirs), Some(ours)) => {
                assert_eq!((&theirs.summary, theirs.blame), (&ours.summary, ours.blame), "{start}");
            }
            _ => assert_eq!(theirs, ours, "{start}"),
        }
    }
    for start in ["{ \"command\": ", "null", "{ \"command\": 7 }", "{ \"command\": [\"x\"], \"env\": [7] }", "\u{0}"] {
        let host = Host::of_manifest(&manifest).file("start.json", start);
        for built in [host.build_as(&twin, &[]), host.build(&Minimal, &[])] {
            let failure = built.failure().unwrap();
            assert_eq!((failure.blame, failure.file.as_deref()), (Blame::App, Some("start.json")), "{failure:?}");
            assert!(failure.summary.starts_with("could not understand start.json: "), "{failure:?}");
        }
    }
}

/// The digest of the image that a component builds of an app with [`START`].
fn image(component: &[u8]) -> String {
    let env = TestEnv::empty();
    let arguments = guests::builder(&env, component);
    env.write("app/start.json", START);
    env.run(&[arguments.as_slice(), &["--to", "oci:out"]].concat()).succeeds();
    let image = checked_here(&env.work().join("out"));
    assert_eq!(config(&image)["config"]["Entrypoint"], serde_json::json!(["/cnb/process/web"]));
    image.digest().to_string()
}

#[test]
fn the_minimal_buildpack_builds_an_image() {
    image(&embed(&guests::bare("minimal_buildpack"), &manifest("minimal-buildpack")).unwrap());
}

/// With one manifest in both components, nothing is left in the image that tells in which language its buildpack was written.
#[test]
fn their_image_is_one() {
    let Some(programs) = programs("twins::their_image_is_one") else { return };
    let manifest = manifest("minimal-buildpack");
    let components = [guests::bare("minimal_buildpack"), javascript(programs)];
    let [ours, theirs] = components.map(|component| image(&embed(&component, &manifest).unwrap()));
    assert_eq!(ours, theirs);
}

/// A component of JavaScript imports all that its world has, so that its world is to have what it calls and nothing more.
#[test]
fn the_javascript_twin_can_do_what_it_asks_for() {
    let world = fs::read_to_string(root().join("examples/javascript-buildpack/wit/world.wit")).unwrap();
    let imports = world.lines().filter_map(|line| line.trim().strip_prefix("import stave:buildpack/")?.split_once('@'));
    let imports: Vec<Interface> = imports.map(|(name, _)| Interface::named(name).unwrap()).collect();
    let asks = Manifest::parse(&manifest("javascript-buildpack")).unwrap().asks;
    assert_eq!(imports, asks.interfaces.into_iter().collect::<Vec<_>>());
}

/// What `stave buildpack new` begins in either language is tested on the same apps, with the same expectations.
#[test]
fn a_new_buildpack_in_javascript_does_what_one_in_rust_does() {
    let Some(programs) = programs("twins::a_new_buildpack_in_javascript_does_what_one_in_rust_does") else { return };
    let env = TestEnv::empty();
    env.run(&["buildpack", "new", "acme/motd", "--lang", "js"]).succeeds();
    std::os::unix::fs::symlink(programs.parent().unwrap(), env.work().join("motd/node_modules")).unwrap();
    insta::assert_snapshot!(env.run(&["buildpack", "test", "motd"]).succeeds().stdout, @r"
    ok      nothing-to-start
    ok      starts
    2 fixtures: 2 as expected
    ");
    env.run(&["buildpack", "build", "motd"]).succeeds();
    let inspected = env.run(&["buildpack", "inspect", "motd.wasm", "-o", "json"]).succeeds().stdout;
    let inspected: serde_json::Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!((&inspected["id"], &inspected["version"]), (&"acme/motd".into(), &"0.1.0".into()), "{inspected}");
    // A script that says the greeting is not to be had is the app's or the user's to see, as a failure and not as a crash.
    let script = fs::read_to_string(env.work().join("motd/buildpack.js")).unwrap();
    env.write("motd/buildpack.js", script.replace("\"greeting.txt\"", "\"../greeting.txt\""));
    let told = env.run(&["buildpack", "test", "motd"]).ends_with(112);
    assert!(told.stdout.contains("could not use a path: path `../greeting.txt` is refused"), "{}", told.stdout);
}

/// The two lock files name the same tool by the same digests.
#[test]
fn what_makes_components_of_javascript_is_locked_once() {
    let read = |path: &str| {
        let text =
            fs::read_to_string(root().join(path)).unwrap().replace("buildpack-{{crate}}", "stave-javascript-buildpack");
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    let (example, template) = (
        read("examples/javascript-buildpack/package-lock.json"),
        read("host/cli/template/javascript/package-lock.json.in"),
    );
    for (name, module) in example["packages"].as_object().unwrap().iter().filter(|(name, _)| !name.is_empty()) {
        assert_eq!(template["packages"][name], *module, "{name}");
    }
    let packages =
        ["examples/javascript-buildpack/package.json", "host/cli/template/javascript/package.json.in"].map(read);
    for key in ["devDependencies", "scripts"] {
        assert_eq!(packages[0][key], packages[1][key]);
    }
}

#[test]
fn a_folder_that_no_tool_knows_is_refused_and_so_is_a_tool_that_is_missing() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    env.run(&["buildpack", "new", "acme/motd", "--lang", "js"]).succeeds();
    let nowhere = env.root().join("nowhere");
    fs::create_dir(&nowhere).unwrap();
    let told = run(env.stave(&["buildpack", "build", "motd"]).env("PATH", &nowhere)).ends_with(1);
    insta::assert_snapshot!(told.failure(), @"
    error: could not run npm
    caused by: No such file or directory (os error 2)
    hint: a buildpack in JavaScript is built with npm: install Node.js, then try again
    ");
    fs::remove_file(env.work().join("motd/package.json")).unwrap();
    insta::assert_snapshot!(env.run(&["buildpack", "build", "motd"]).ends_with(3).failure(), @"
    error: [ENV]/work/motd has neither a Cargo.toml nor a package.json
    hint: `stave buildpack new ID` makes a folder with a buildpack
    ");
}
