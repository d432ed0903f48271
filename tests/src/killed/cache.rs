//! The cache and the image store being tidied.

use std::fs;

use super::Trial;
use crate::support::{
    env::{TestEnv, listing},
    guests::{self, guest},
};

#[test]
fn a_cache_that_is_tidied() {
    let env = TestEnv::empty();
    let build = guests::builder(&env, &guest("keeper"));
    let digest = env.run(&build).succeeds().result().to_owned();
    // What a killed run left.
    fs::create_dir_all(env.cache().join("blobs/new")).unwrap();
    fs::write(env.cache().join("blobs/new/begun"), "half").unwrap();
    let trial = Trial {
        // How much is removed depends on how much is still there.
        again: Some(&|_| env.run(&["cache", "gc", "--max-size", "0"])),
        after: &|_, outcome| {
            // What `cache verify` found sound it has noted since, as results.
            let items = listing(&env.cache());
            assert!(!items.keys().any(|path| path.starts_with("code/")), "{outcome:?}: {items:?}");
            assert_eq!(env.run(&build).succeeds().result(), digest);
        },
        ..Trial::new(&env, "cache gc --max-size 0", &["Remove cache/blobs/new/begun", "Remove cache/code/"])
    };
    trial.kill_at_every_step();
}

#[test]
fn an_image_that_is_removed() {
    let env = TestEnv::empty();
    let build = guests::builder(&env, &guest("hostile"));
    for tag in ["one", "two"] {
        env.run(&[&build[..], &["--tag", tag]].concat()).succeeds();
    }
    let trial = Trial {
        again: Some(&|_| {
            let again = env.run(&["images", "remove", "two"]);
            // It may be gone by now.
            if again.code == Some(0) { again } else { env.run(&["images"]) }
        }),
        after: &|_, _| assert!(!env.run(&["images"]).succeeds().stdout.contains("two")),
        ..Trial::new(&env, "images remove two", &["Name data/images/"])
    };
    trial.kill_at_every_step();
}
