//! A local source as an image: folders, jars, what is in them, and one digest for it on every machine (49).

use std::{fs, os::unix::fs::symlink};

use crate::support::{
    env::TestEnv,
    jar::{self, entry, zip},
    platform::{World, assert_in_order},
    process::{run, stave},
};

/// The digest of the source that an image is wished to be made from.
#[track_caller]
fn source(env: &TestEnv, world: &World, path: &str, more: &str) -> Result<String, String> {
    let line = format!("image create web --tag REG/team/web --local-path {path} --dry-run --output yaml {more}");
    let outcome = run(env.command(stave()).args(world.words(&line)));
    if outcome.code != Some(0) {
        return Err(outcome.failure().to_owned());
    }
    let at = outcome.stdout.find("@sha256:").ok_or_else(|| outcome.stdout.clone())?;
    Ok(outcome.stdout[at + 1..at + 72].to_owned())
}

/// A folder with a bit of everything.
fn fill(env: &TestEnv) {
    env.write("source/Procfile", "web: /bin/app\n");
    env.write("source/deep/er/file", "x");
    fs::create_dir_all(env.work().join("source/empty")).unwrap();
    symlink("deep/er/file", env.work().join("source/link")).unwrap();
    env.write("source/huge", vec![7; 48 << 20]);
    env.write("app.jar", jar::boot());
    env.write("plain.zip", zip(&[entry("Procfile", "web: /bin/app\n"), entry("a/", ""), entry("a/b", "x")]));
}

#[test]
fn scenario_49_a_source_has_one_digest_on_every_machine() {
    let world = World::quick();
    let other = TestEnv::empty();
    for env in [&world.env, &other] {
        fill(env);
    }
    let mut digests = Vec::new();
    for path in ["source", "app.jar", "plain.zip"] {
        let [here, there] = [&world.env, &other].map(|env| source(env, &world, path, "").unwrap());
        assert_eq!(here, there, "{path}");
        digests.push(here);
    }
    digests.dedup();
    assert_eq!(digests.len(), 3);
    // Times and the place do not matter, contents and modes do.
    fs::rename(other.work().join("source"), other.work().join("moved")).unwrap();
    fs::write(other.work().join("moved/deep/er/file"), "x").unwrap();
    assert_eq!(source(&other, &world, "moved", "").unwrap(), digests[0]);
    fs::write(other.work().join("moved/deep/er/file"), "y").unwrap();
    assert_ne!(source(&other, &world, "moved", "").unwrap(), digests[0]);
    assert!(source(&other, &world, "nowhere", "").unwrap_err().contains("nowhere"));
    for (what, bytes) in jar::hostile() {
        other.write("hostile.jar", bytes);
        assert!(source(&other, &world, "hostile.jar", "").is_err(), "{what}");
    }

    // What goes up is what is built, wherever it is told to go.
    let created = world.typed("image create web --tag REG/team/web:v1 --local-path source");
    let place = world.named("REG/team/web-source");
    assert_in_order(
        &created,
        &[&format!("Uploading to '{place}'..."), &format!("\tUploading '{place}@{}'", digests[0])],
    );
    assert_eq!(world.rows("web"), ["1 SUCCESS CONFIG"]);
    let at = "--local-path-destination-image REG/team/elsewhere";
    let created = world.typed(&format!("image create zip --tag REG/team/zip --local-path plain.zip {at}"));
    assert!(created.contains(&world.named("\tUploading 'REG/team/elsewhere@sha256:")), "{created}");
    assert_eq!(world.rows("zip"), ["1 SUCCESS CONFIG"]);
}
