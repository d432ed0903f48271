//! What need not run again does not, and the image is the one that it would be if it did.

use crate::support::{
    env::{TestEnv, listing},
    filters, jar,
};

/// What is said of the Java buildpack's detect and build, and which layers were written; then the digest.
#[track_caller]
fn build(env: &TestEnv, arguments: &[&str]) -> (Vec<String>, Vec<String>, String) {
    let outcome = env.run(&[&["-v", "build", "app", "--tag", "app"], arguments].concat()).succeeds();
    let java = |line: &str| {
        let (who, rest) = line.split_once(' ')?;
        who.starts_with("stave/java@").then_some(rest).filter(|rest| rest.contains(": ")).map(str::to_owned)
    };
    let written = |line: &str| Some(line.strip_prefix("layer ")?.split_once(" written")?.0.to_owned());
    let lines = || outcome.stderr.lines();
    (lines().filter_map(java).collect(), lines().filter_map(written).collect(), outcome.result().to_owned())
}

const MANIFEST: &str = "Manifest-Version: 1.0\nMain-Class: com.example.Main\n";
const REMEMBERED: [&str; 2] = ["detect: remembered", "build: remembered"];

fn app() -> TestEnv {
    let env = TestEnv::warm();
    env.write("app/META-INF/MANIFEST.MF", MANIFEST);
    env.write("app/com/example/Main.class", "class");
    env.write("app/README.md", "# App");
    env
}

#[test]
fn nothing_runs_until_something_that_was_read_changes() {
    let env = app();
    let (java, written, first) = build(&env, &[]);
    assert_eq!(java, ["detect: ran: first time", "build: ran: first time"]);
    assert!(written.contains(&"app".to_owned()) && written.contains(&"stave/java:jre".to_owned()), "{written:?}");

    let (java, written, digest) = build(&env, &[]);
    assert_eq!((java.as_slice(), written.as_slice(), &digest), (&REMEMBERED.map(str::to_owned)[..], &[][..], &first));

    // Nobody reads it: its layer is written, and nobody runs.
    env.write("app/README.md", "# Another text");
    let (java, written, readme) = build(&env, &[]);
    assert_eq!((java.as_slice(), written), (&REMEMBERED.map(str::to_owned)[..], vec!["app".to_owned()]));
    assert_ne!(readme, first);

    let (java, _, digest) = build(&env, &["--no-memory"]);
    assert_eq!(java, ["detect: ran: --no-memory", "build: ran: --no-memory"]);
    assert_eq!(digest, readme, "remembered or not, it is the same image");

    env.write("app/META-INF/MANIFEST.MF", format!("{MANIFEST}Implementation-Title: app\n"));
    let changed = "ran: `META-INF/MANIFEST.MF` changed";
    let (java, _, with_title) = build(&env, &[]);
    assert_eq!(java, [format!("detect: {changed}"), format!("build: {changed}")]);

    let (java, _, _) = build(&env, &["-e", "BP_JVM_VERSION=17"]);
    assert!(java[1].starts_with("build: ran: "), "{java:?}");
    assert!(java.iter().any(|line| line.ends_with("ran: setting BP_JVM_VERSION was set")), "{java:?}");

    let (java, _, digest) = build(&env, &[]);
    assert_eq!((java.as_slice(), digest), (&REMEMBERED.map(str::to_owned)[..], with_title), "it was remembered before");
}

#[test]
fn a_lost_layer_is_made_again_without_running_anybody() {
    let env = app();
    let (_, _, first) = build(&env, &[]);
    // All but what was fetched.
    let about = env.run(&["buildpack", "inspect", "builtin:java", "-o", "json"]).succeeds().stdout;
    let blobs = listing(&env.cache().join("blobs/sha256"));
    for hex in blobs.keys().filter_map(|path| path.rsplit('/').next()).filter(|hex| hex.len() == 64) {
        if !about.contains(hex) {
            env.forget_blob(hex);
        }
    }
    let (java, written, digest) = build(&env, &[]);
    assert_eq!((java.as_slice(), &digest), (&REMEMBERED.map(str::to_owned)[..], &first));
    assert!(written.contains(&"stave/java:jre".to_owned()), "{written:?}");
}

#[test]
fn a_damaged_image_is_built_again() {
    let env = app();
    let (_, _, first) = build(&env, &[]);
    let manifest = env.data().join("images/blobs/sha256").join(first.strip_prefix("sha256:").unwrap());
    std::fs::remove_file(&manifest).unwrap();
    std::fs::write(&manifest, "damaged").unwrap();
    let again = env.run(&["build", "app", "--tag", "app"]).succeeds();
    let _filters = filters::bind(&env);
    let said: Vec<&str> = again.stderr.lines().filter(|line| line.starts_with("warning")).collect();
    insta::assert_snapshot!(said.join("\n"), @"warning: buildpacks are told nothing of the previous image app:latest in the image store: could not read sha256:[HEX] from the image store");
    assert_eq!(again.result(), first);
    env.run(&["inspect", "app"]).succeeds();
}

#[test]
fn a_jar_is_looked_into_and_not_taken_as_a_whole() {
    let env = TestEnv::warm();
    env.write("app/tiny.jar", jar::boot());
    let (_, _, first) = build(&env, &[]);
    let (java, written, digest) = build(&env, &[]);
    assert_eq!((java.as_slice(), written.as_slice(), digest), (&REMEMBERED.map(str::to_owned)[..], &[][..], first));
}
