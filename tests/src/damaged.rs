//! What a disk, or somebody else, changed in the store is found where it is used: it is said, it is made again, and the image is the
//! same.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    store::{counts_hidden, exported, verified, world},
    support::{
        env::{TestEnv, listing},
        filters,
    },
};

/// The files of the store that hold something, for which a flipped bit matters.
fn stored(env: &TestEnv) -> Vec<PathBuf> {
    let files = listing(env.root()).into_keys();
    let holds = |path: &String| {
        let places = ["cache/blobs/sha256/", "cache/results/", "cache/code/", "data/images/blobs/"];
        places.iter().any(|place| path.starts_with(place))
    };
    files.filter(holds).map(|path| env.root().join(path)).collect()
}

/// Flips one bit of a file, as a program that runs amok would.
fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at % bytes.len();
    bytes[at] ^= 0x10;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, bytes).unwrap();
}

/// T7: whatever is flipped in the store, the next build finds it where it uses it, and makes the same image.
#[test]
fn t7_a_flipped_bit_in_anything_stored_is_found_on_use_and_healed() {
    let (env, build) = world();
    let digest = env.run(&build).succeeds().result().to_owned();
    let files = stored(&env);
    assert!(files.len() > 15, "{files:?}");
    let mut said = BTreeSet::new();
    for (number, path) in files.iter().enumerate().filter(|(_, path)| path.exists()) {
        flip(path, number * 131);
        let outcome = env.run(&build);
        said.extend(warnings(&outcome.stderr));
        assert_eq!(outcome.code, Some(0), "{}: {}", path.display(), outcome.stderr);
        assert_eq!(outcome.result(), digest, "{}", path.display());
        assert_eq!(exported(&env, "app"), digest, "{}", path.display());
    }
    insta::assert_snapshot!(said.into_iter().collect::<Vec<_>>().join("\n"), @"
    warning: buildpacks are told nothing of the previous image app:latest in the image store: could not read [BLOB] from the image store
    warning: the cache's code of stave-tests/hostile@0.1.0 was changed and is not used: it is compiled again
    warning: the cache's copy of [BLOB] was damaged and is gone: it is made or fetched again
    warning: what the cache kept as [BLOB] was damaged and is gone: it is found out again
    ");
    // What no build used is found by who reads everything, and all is well after that.
    env.run(&["cache", "verify"]);
    assert_eq!(verified(&env)["damaged"], Value::Array(Vec::new()));
    env.assert_nothing_half_written();
}

/// W5, T7.
#[test]
fn verify_says_what_was_damaged_and_what_became_of_it() {
    let (env, build) = world();
    let _filters = filters::bind(&env);
    env.run(&build).succeeds();
    insta::assert_snapshot!(counts_hidden(&env.run(&["cache", "verify"]).succeeds().stdout), @"
    blobs [N] sound [SIZE]
    results [N] sound [SIZE]
    code [N] sound [SIZE]
    images [N] sound [SIZE]
    ");
    let files = stored(&env);
    let first = |place: &str, ending: &str| {
        let is_it = |path: &&PathBuf| {
            let path = path.to_str().unwrap();
            path.contains(place) && path.ends_with(ending)
        };
        files.iter().find(is_it).unwrap()
    };
    // The image's copy and the cache's are one file, and that is flipped; a document is the image store's alone.
    let index = fs::read_to_string(env.data().join("images/index.json")).unwrap();
    let manifest =
        serde_json::from_str::<Value>(&index).unwrap()["manifests"][0]["digest"].as_str().unwrap()[7..].to_owned();
    // A remembered answer: what is known of a blob is written anew when the blob is read, before anybody looks at it.
    let is_answer = |path: &&PathBuf| {
        let text = fs::read_to_string(path).unwrap_or_default();
        path.to_str().unwrap().contains("cache/results/")
            && text.lines().nth(1).is_some_and(|line| line.starts_with('{'))
    };
    let answer = files.iter().find(is_answer).unwrap();
    for path in [answer, first("cache/code/", ".cwasm"), first("images/blobs/", &manifest)] {
        flip(path, 40);
    }
    let outcome = env.run(&["cache", "verify"]).ends_with(1);
    insta::assert_snapshot!(format!("{}{}", counts_hidden(&outcome.stdout), outcome.stderr), @"
    blobs [N] sound [SIZE]
    results [N] sound [SIZE]
    code [N] sound [SIZE]
    images [N] sound [SIZE]
    damaged result sha256:[HEX]: removed: it is made or fetched again
    damaged code sha256:[HEX]: removed: it is made or fetched again
    damaged image blob sha256:[HEX]: needed by app:latest
    error: 3 damaged things were found
    hint: build these images again, or take their names away: `stave images remove NAME`
    ");
    let outcome = env.run(&["inspect", "app"]).ends_with(32);
    insta::assert_snapshot!(outcome.failure(), @"
    error: could not read sha256:[HEX] of the image `app:latest`
    hint: `stave images` lists what there is
    hint: the image store is damaged there: build the image again
    ");
    env.run(&build).succeeds();
    env.run(&["cache", "verify"]).succeeds();
}

/// W5: native code that is not what was compiled is not run, whoever put it there, and that is said without being asked for.
#[test]
fn w5_code_that_was_changed_is_compiled_again_and_that_is_said() {
    let (env, build) = world();
    let _filters = filters::bind(&env);
    let digest = env.run(&build).succeeds().result().to_owned();
    let mut said = Vec::new();
    for ending in [".cwasm", ".sha256"] {
        let files = stored(&env);
        let code = files.iter().find(|path| path.to_str().unwrap().ends_with(ending)).unwrap();
        flip(code, 40);
        // What remembers the buildpack's answers never looks at its code.
        assert_eq!(warnings(&env.run(&build).succeeds().stderr), BTreeSet::new());
        let again = [&build[..], &["--no-memory"]].concat();
        let outcome = env.run(&again).succeeds();
        assert_eq!(outcome.result(), digest);
        said.extend(warnings(&outcome.stderr));
        assert_eq!(warnings(&env.run(&again).succeeds().stderr), BTreeSet::new(), "it is sound again");
    }
    insta::assert_snapshot!(said.join("\n"), @"
    warning: the cache's code of stave-tests/hostile@0.1.0 was changed and is not used: it is compiled again
    warning: the cache's code of stave-tests/hostile@0.1.0 was changed and is not used: it is compiled again
    ");
    assert_eq!(verified(&env)["damaged"], Value::Array(Vec::new()));
}

/// T7: one entry of the cache in the place of another, which has the right form and the wrong name.
#[test]
fn t7_a_swapped_entry_is_said_and_made_again() {
    let (env, build) = world();
    let _filters = filters::bind(&env);
    let digest = env.run(&build).succeeds().result().to_owned();
    let mut said = String::new();
    for place in ["cache/blobs/sha256/", "cache/results/", "cache/code/"] {
        let is_here = |path: &&PathBuf| {
            let path = path.strip_prefix(env.root()).unwrap().to_str().unwrap();
            path.starts_with(place) && !path.ends_with(".sha256")
        };
        let files: Vec<PathBuf> = stored(&env).iter().filter(is_here).cloned().collect();
        let others: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).unwrap()).collect();
        for (at, path) in files.iter().enumerate() {
            fs::remove_file(path).unwrap();
            // Code stands alone: what is swapped in is that of another engine, which is none here.
            let other = if files.len() == 1 { b"other code".to_vec() } else { others[(at + 1) % others.len()].clone() };
            fs::write(path, other).unwrap();
        }
        let outcome = env.run(&[&build[..], &["--no-memory"]].concat()).succeeds();
        assert_eq!(outcome.result(), digest, "{place}");
        let found: Vec<String> = warnings(&outcome.stderr).into_iter().collect();
        writeln!(said, "{place}\n{}", found.join("\n")).unwrap();
        env.run(&["cache", "verify"]);
        assert_eq!(verified(&env)["damaged"], Value::Array(Vec::new()), "{place}");
    }
    insta::assert_snapshot!(said, @"
    cache/blobs/sha256/
    warning: the cache's copy of [BLOB] was damaged and is gone: it is made or fetched again
    cache/results/
    warning: what the cache kept as [BLOB] was damaged and is gone: it is found out again
    cache/code/
    warning: the cache's code of stave-tests/hostile@0.1.0 was changed and is not used: it is compiled again
    ");
    assert_eq!(exported(&env, "app"), digest);
    env.assert_nothing_half_written();
}

/// The warnings among what was said, each once, without digests.
fn warnings(said: &str) -> BTreeSet<String> {
    let hidden = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        words.iter().map(|word| if word.contains("sha256:") { "[BLOB]" } else { *word }).collect::<Vec<_>>().join(" ")
    };
    said.lines().filter(|line| line.starts_with("warning: ")).map(hidden).collect()
}
