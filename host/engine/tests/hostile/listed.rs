//! What the list of bad inputs names (W1 to W20, `tests/README.md`) and no other test here does, each with the words that
//! people are told.

use std::{fmt::Write, time::Duration};

use stave_engine::{Engine, Limits};
use stave_model::{capability::Capabilities, component::embed};

use crate::{
    support::{Place, guest, hostile, manifest},
    told,
};

#[test]
fn w1_a_build_has_an_end_and_so_has_what_runs_before_the_first_call() {
    let limits = Limits { build: Duration::from_millis(300), detect: Duration::from_millis(400), ..Limits::default() };
    let engine = Engine::new(limits, None).unwrap();
    let [hostile, starter] =
        ["hostile", "starter"].map(|name| engine.load(&guest(name), None, &Capabilities::usual()).unwrap());
    let all = [
        told(Place::new().build(&hostile, "spin")),
        told(Place::new().build(&hostile, "sleep")),
        told(Place::new().detect(&starter, "")),
        told(Place::new().build(&starter, "")),
    ];
    insta::assert_snapshot!(all.join("\n"), @"
    the sandbox stopped it: it ran for more than 300 milliseconds
    the sandbox stopped it: it ran for more than 300 milliseconds
    the sandbox stopped it: it ran for more than 400 milliseconds
    the sandbox stopped it: it ran for more than 300 milliseconds
    ");
}

#[test]
fn w6_w7_nothing_outside_is_read_or_written() {
    let loaded = hostile(Limits::default());
    let said = Place::new().build(&loaded, "climb").unwrap_err().to_string();
    insta::assert_snapshot!(said.replace("\\n", "\n"), @"
    Fault::InvalidInput: could not use a path: path `/etc/passwd` is refused: it is absolute
    Fault::InvalidInput: could not use a path: path `../../etc/passwd` is refused: it holds `.` or `..`
    Fault::InvalidInput: could not use a path: path `a.zip/../../etc/passwd` is refused: it holds `.` or `..`
    allowed
    Fault::InvalidInput: could not use a path: path `.` is refused: it holds `.` or `..`
    Fault::NotFound: could not read `out/passwd`: there is no such file
    Fault::InvalidInput: could not link `up` to `..` in a layer: a relative link stays inside its layer, an absolute one has no empty names, `.` or `..`
    Fault::InvalidInput: could not use a path: path `../other/x` is refused: it holds `.` or `..`
    Fault::InvalidInput: could not write `out/x` in a layer: `out/x` is there twice, or below something that is not a folder
    Fault::InvalidInput: could not use a path: path `../stave-tests_other/x` is refused: it holds `.` or `..`
    ");
}

#[test]
fn w8_what_moves_or_links_a_file_from_one_root_to_another_is_refused() {
    let loaded = hostile(Limits::default());
    let said = Place::new().build(&loaded, "transfer").unwrap_err().to_string();
    insta::assert_snapshot!(said.replace("\\n", "\n"), @"
    NotFound: No such file or directory (os error 44)
    NotFound: No such file or directory (os error 44)
    NotFound: No such file or directory (os error 44)
    Fault::InvalidInput: could not use a path: path `../own/secret` is refused: it holds `.` or `..`
    Fault::InvalidInput: could not link `up` to `../../stave-tests_other/x/secret` in a layer: a relative link stays inside its layer, an absolute one has no empty names, `.` or `..`
    Fault::InvalidInput: could not link `down` to `/layers/stave-tests_hostile/../stave-tests_other/x/secret` in a layer: a relative link stays inside its layer, an absolute one has no empty names, `.` or `..`
    allowed
    Fault::NotFound: could not read `planted`: there is no such file
    Fault::InvalidInput: could not write `planted/x` in a layer: `planted/x` is there twice, or below something that is not a folder
    Fault::InvalidInput: could not put files into the layer `good`: `planted/a.zip` is there twice, or below something that is not a folder
    Fault::InvalidInput: could not use a path: path `../own` is refused: it holds `.` or `..`
    Fault::InvalidInput: could not use the patterns: pattern `../**` matches nothing: paths start without `/` and hold no `.`, `..` or empty names
    Fault::InvalidInput: could not use the patterns: pattern `../own/**` matches nothing: paths start without `/` and hold no `.`, `..` or empty names
    Fault::InvalidInput: could not use a path: path `../own` is refused: it holds `.` or `..`
    ");
}

#[test]
fn w13_names_of_buildpacks_are_checked_before_anything_else() {
    let engine = Engine::new(Limits::default(), None).unwrap();
    let wasm = guest("hostile");
    let mut all = String::new();
    for id in ["../../x", "a\\u0000b", "🪣/x", "", "acme/x/../y", "config"] {
        let text = manifest("hostile").replace("stave-tests/hostile", id);
        let error = engine.load(&embed(&wasm, &text).unwrap(), None, &Capabilities::usual()).unwrap_err();
        let mut causes = vec![error.to_string()];
        let mut next = std::error::Error::source(&error);
        while let Some(cause) = next {
            causes.push(cause.to_string().lines().last().unwrap_or_default().to_owned());
            next = cause.source();
        }
        writeln!(all, "{id}: {}", causes.last().unwrap()).unwrap();
    }
    insta::assert_snapshot!(all, @r"
    ../../x: `../../x` is not a valid buildpack id: use letters, digits, `.`, `-` and single `/` between parts, at most 128 characters, and none of app, config, generated, sbom
    a\u0000b: `a\0b` is not a valid buildpack id: use letters, digits, `.`, `-` and single `/` between parts, at most 128 characters, and none of app, config, generated, sbom
    🪣/x: `🪣/x` is not a valid buildpack id: use letters, digits, `.`, `-` and single `/` between parts, at most 128 characters, and none of app, config, generated, sbom
    : `` is not a valid buildpack id: use letters, digits, `.`, `-` and single `/` between parts, at most 128 characters, and none of app, config, generated, sbom
    acme/x/../y: `acme/x/../y` is not a valid buildpack id: use letters, digits, `.`, `-` and single `/` between parts, at most 128 characters, and none of app, config, generated, sbom
    config: `config` is not a valid buildpack id: use letters, digits, `.`, `-` and single `/` between parts, at most 128 characters, and none of app, config, generated, sbom
    ");
}

#[test]
fn w14_layers_have_names_of_their_own() {
    let loaded = hostile(Limits::default());
    let said = Place::new().build(&loaded, "layer-names").unwrap_err().to_string();
    insta::assert_snapshot!(said.replace("\\n", "\n").replace(&"x".repeat(200), "[200 X]"), @"
    Fault::InvalidInput: could not begin the layer `..`: `..` is not a valid layer name: use letters, digits, `-` and `_`, at most 64 characters, and none of build, launch, store
    Fault::InvalidInput: could not begin the layer `launch.toml`: `launch.toml` is not a valid layer name: use letters, digits, `-` and `_`, at most 64 characters, and none of build, launch, store
    Fault::InvalidInput: could not begin the layer `launch`: `launch` is not a valid layer name: use letters, digits, `-` and `_`, at most 64 characters, and none of build, launch, store
    Fault::InvalidInput: could not begin the layer ``: `` is not a valid layer name: use letters, digits, `-` and `_`, at most 64 characters, and none of build, launch, store
    Fault::InvalidInput: could not begin the layer `[200 X]`: `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx` is not a valid layer name: use letters, digits, `-` and `_`, at most 64 characters, and none of build, launch, store
    Fault::InvalidInput: could not begin the layer `a/b`: `a/b` is not a valid layer name: use letters, digits, `-` and `_`, at most 64 characters, and none of build, launch, store
    ");
}

#[test]
fn w15_variables_that_reach_too_far_are_refused() {
    let loaded = hostile(Limits::default());
    let said = Place::new().build(&loaded, "variables").unwrap_err().to_string();
    insta::assert_snapshot!(said.replace("\\n", "\n"), @"
    Fault::InvalidInput: could not set `LD_PRELOAD` in a layer: may not override `LD_PRELOAD` in `env`: at build it would load code into the tools of other buildpacks; set it for launch
    Fault::InvalidInput: could not set `PATH` in a layer: may not override `PATH` in `env`: it would hide every program and library of the base and of other buildpacks; prepend or append to it
    Fault::InvalidInput: could not set `PATH` in a layer: may not prepend `PATH` in `env`: an empty part of a search path means the working directory
    Fault::InvalidInput: could not set `CNB_APP_DIR` in a layer: may not override `CNB_APP_DIR` in `env`: names that begin with CNB_ belong to the platform
    Fault::InvalidInput: could not set a variable in a layer: `A=B` is not a valid variable name: use letters, digits and `_`, not a digit first, at most 128 characters
    Fault::InvalidInput: could not set a variable in a layer: `A
    B` is not a valid variable name: use letters, digits and `_`, not a digit first, at most 128 characters
    Fault::InvalidInput: could not set `A` in a layer: the value for `A` holds a NUL byte, which no environment can carry
    Fault::InvalidInput: could not set `A` in a layer: the value for `A` is 10485760 bytes long; at most 65536 are taken
    ");
}

#[test]
fn w17_labels_are_limited() {
    let loaded = hostile(Limits::default());
    let all = ["long-label", "labels"].map(|word| told(Place::new().build(&loaded, word)));
    insta::assert_snapshot!(all.join("\n"), @"
    its answer breaks the contract: the label `a` has a value longer than 64 KiB
    its answer breaks the contract: 10000 labels, where at most 200 are taken
    ");
}

#[test]
fn w20_nothing_is_left_in_memory_for_the_next_call() {
    let loaded = hostile(Limits::default());
    let all: Vec<String> = (0..3).map(|_| told(Place::new().detect(&loaded, "leave"))).collect();
    let built = told(Place::new().build(&loaded, "leave"));
    insta::assert_snapshot!(format!("{}\n{built}", all.join("\n")), @r#"
    Skip("found nothing of an earlier call")
    Skip("found nothing of an earlier call")
    Skip("found nothing of an earlier call")
    found nothing of an earlier call
    "#);
}
