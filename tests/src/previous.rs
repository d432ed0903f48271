//! Which image is the previous one: the one that a build replaces, wherever it goes, or the one that somebody names.

use std::fs;

use stave_model::target::Platform;

use crate::{
    keeping::keeper,
    support::{
        env::{TestEnv, listing},
        filters,
        images::checked_here,
        registry::Registry,
    },
};

/// What the keeper said of its layers, and what was said of the previous image, in a build that does not look at the memory.
#[track_caller]
fn build(env: &TestEnv, arguments: &[&str]) -> String {
    let start = ["-v", "build", "app", "--builder", "builder.toml", "--no-memory"];
    let outcome = env.run(&[&start, arguments].concat()).succeeds();
    let platform = Platform::of_this_machine().to_string();
    let told = |line: &str| {
        if let Some(image) = line.strip_prefix("the previous image is ") {
            return image.split_once(" (").map(|(image, _)| format!("it is {image}"));
        }
        let of_keeper = line.strip_prefix("[stave-tests/keeper] ").filter(|line| line.starts_with("tool: "));
        let of_image =
            || Some(line).filter(|line| line.contains(" previous image ") && !line.contains(" is not used: "));
        of_keeper.or_else(of_image).map(|line| line.replace(&platform, "[PLATFORM]"))
    };
    outcome.stderr.lines().filter_map(told).collect::<Vec<_>>().join("\n")
}

#[test]
fn it_is_the_one_that_the_build_replaces() {
    let env = keeper();
    let _filters = filters::bind(&env);
    insta::assert_snapshot!(build(&env, &["--to", "oci:out"]), @"
    there is no previous image oci:out: could not open the layout `oci:out`
    tool: made of one
    ");
    insta::assert_snapshot!(build(&env, &["--to", "oci:out"]), @"
    it is oci:out
    tool: kept
    ");
    checked_here(&env.work().join("out"));
    // The store has none of this name yet.
    insta::assert_snapshot!(build(&env, &[]), @"
    there is no previous image app:latest in the image store: it has none for [PLATFORM]
    tool: made of one
    ");
    // Two places: the first that has it.
    insta::assert_snapshot!(build(&env, &["--to", "store", "--to", "oci:new"]), @"
    there is no previous image oci:new: could not open the layout `oci:new`
    it is app:latest in the image store
    tool: kept
    ");
    insta::assert_snapshot!(build(&env, &["--to", "docker-archive:app.tar"]), @"
    it is app:latest in the image store
    tool: kept
    ");
}

#[test]
fn it_is_the_one_that_somebody_names() {
    let env = keeper();
    let _filters = filters::bind(&env);
    build(&env, &["--tag", "one", "--to", "store", "--to", "oci:out:one"]);
    insta::assert_snapshot!(build(&env, &["--tag", "two", "--previous-image", "one"]), @"
    it is one:latest in the image store
    tool: kept
    ");
    insta::assert_snapshot!(build(&env, &["--tag", "three", "--previous-image", "oci:out:one"]), @"
    it is oci:out:one
    tool: kept
    ");
    insta::assert_snapshot!(build(&env, &["--tag", "four"]), @"
    there is no previous image four:latest in the image store: it has none for [PLATFORM]
    tool: made of one
    ");
    insta::assert_snapshot!(build(&env, &["--tag", "four", "--previous-image", "one", "--clear-cache"]), @"
    it is one:latest in the image store
    tool: made of one
    ");
}

#[test]
fn a_registry_gives_it_to_another_machine() {
    let env = keeper();
    let registry = Registry::start(&env);
    let name = registry.reference("team/app:1");
    let _filters = filters::bind(&env);
    insta::assert_snapshot!(build(&env, &["--tag", &name, "--publish"]), @"
    there is no previous image [LOOPBACK]/team/app:1 in its registry: could not pull the image `[LOOPBACK]/team/app:1`
    tool: made of one
    ");
    // Whoever has neither its cache nor its data.
    let other = keeper();
    let _filters = filters::bind(&other);
    insta::assert_snapshot!(build(&other, &["--tag", &name, "--publish"]), @"
    it is [LOOPBACK]/team/app:1 in its registry
    tool: kept
    ");
    // Named, it comes from there to wherever the image goes.
    insta::assert_snapshot!(build(&other, &["--tag", "mine", "--previous-image", &name, "--to", "oci:out"]), @"
    it is [LOOPBACK]/team/app:1 in its registry
    tool: kept
    ");
    checked_here(&other.work().join("out"));
}

#[test]
fn one_that_is_not_there_is_an_error_where_somebody_names_it() {
    let env = keeper();
    let registry = Registry::start(&env);
    let _filters = filters::bind(&env);
    let before = listing(&env.data());
    let platform = Platform::of_this_machine().to_string();
    let name = registry.reference("team/none:1");
    let said: Vec<String> = ["none", "oci:none", &name, "a//b"]
        .map(|previous| {
            let start = ["build", "app", "--builder", "builder.toml", "--previous-image", previous];
            let outcome = env.run(&start);
            let code = outcome.code;
            let said = outcome.ends_with(code.unwrap()).failure().replace(&platform, "[PLATFORM]");
            format!("{} {said}", code.unwrap())
        })
        .into();
    insta::assert_snapshot!(said.join("\n"), @"
    32 error: could not find the previous image none:latest in the image store
    caused by: it has none for [PLATFORM]
    hint: name an image that is there, or leave --previous-image out

    32 error: could not find the previous image oci:none
    caused by: could not open the layout `oci:none`
    caused by: No such file or directory (os error 2)
    hint: name an image that is there, or leave --previous-image out

    32 error: could not find the previous image [LOOPBACK]/team/none:1 in its registry
    caused by: could not pull the image `[LOOPBACK]/team/none:1`
    caused by: [LOOPBACK]: manifest unknown (MANIFEST_UNKNOWN)
    caused by: http://[LOOPBACK]/v2/team/none/manifests/1 answered 404 (not found)
    hint: name an image that is there, or leave --previous-image out

    3 error: `a//b` is not the name of an image: a repository has lower-case letters and digits, and `.`, `_`, `__` or `-` between them
    ");
    let images =
        |files: &std::collections::BTreeMap<String, u64>| files.keys().filter(|path| path.contains("sha256/")).count();
    assert_eq!(images(&listing(&env.data())), images(&before));
}

#[test]
fn one_that_cannot_be_read_is_a_warning() {
    let env = keeper();
    let _filters = filters::bind(&env);
    build(&env, &["--to", "oci:out"]);
    let index = env.work().join("out/index.json");
    let text = fs::read_to_string(&index).unwrap();
    fs::write(&index, "damaged").unwrap();
    insta::assert_snapshot!(build(&env, &["--previous-image", "oci:out"]), @"
    warning: buildpacks are told nothing of the previous image oci:out: could not read `oci:out`
    tool: made of one
    ");
    fs::write(&index, text).unwrap();
    insta::assert_snapshot!(build(&env, &["--previous-image", "oci:out"]), @"
    it is oci:out
    tool: kept
    ");
}
