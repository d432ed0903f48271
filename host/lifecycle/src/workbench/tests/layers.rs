//! Layers as they are described.

use stave_model::{
    digest::Digest,
    env::{EnvChange, EnvOp, EnvScope},
};

use super::*;
use crate::testing::shown;

/// Sets a variable at launch.
pub(super) fn change(name: &str, value: &str) -> EnvChange {
    EnvChange {
        scope: EnvScope::Launch,
        op: EnvOp::Override,
        name: name.parse().unwrap(),
        value: value.as_bytes().to_vec(),
        delimiter: None,
    }
}

const APP: &[(&str, &str)] =
    &[("lib/a.jar", "a"), ("lib/b.jar", "b"), ("lib/latest", "-> b.jar"), ("lib/empty/", ""), ("run", "#!r")];

/// A bench with one layer.
fn layer() -> Workbench {
    let (shop, _) = shop(Artifacts::default());
    let bench = bench(&shop, tree(APP));
    assert_eq!(bench.create_layer("l", Usage { launch: true, ..Usage::default() }).unwrap(), 0);
    bench
}

fn globs(patterns: &[&str]) -> Vec<String> {
    patterns.iter().map(|pattern| (*pattern).to_owned()).collect()
}

#[test]
fn a_layer_is_made_of_steps() {
    let bench = layer();
    assert_eq!(bench.layer_path(0).unwrap(), "/layers/acme_tool/l");
    bench.layer_write(0, "bin/tool", b"#!x".to_vec(), true).unwrap();
    bench.layer_write(0, "old", b"1".to_vec(), false).unwrap();
    bench.layer_write(0, "old", b"2".to_vec(), false).unwrap();
    bench.layer_link(0, "tool", "bin/tool").unwrap();
    bench.layer_link(0, "certs", "/etc/ssl/certs").unwrap();
    assert_eq!(bench.layer_copy_app(0, &globs(&["lib/*"]), "app").unwrap(), 3);
    assert_eq!(bench.layer_remove(0, &globs(&["app/lib/a*"])).unwrap(), 1);
    assert_eq!(bench.layer_read(0, "tool", 9).unwrap(), b"#!x");
    assert_eq!(bench.layer_find(0, &globs(&["*"]), 2).unwrap().len(), 2);
    bench.layer_set_metadata(0, vec![("v".to_owned(), "1".to_owned())]).unwrap();
    bench.layer_set_metadata(0, vec![("v".to_owned(), "2".to_owned())]).unwrap();
    let work = bench.clear();
    assert_eq!(work.layers[0].metadata["v"], "2");
    assert_eq!(work.layers[0].metadata.len(), 1);
    insta::assert_snapshot!(shown(&work.layers[0].tree), @r#"
    app/lib/b.jar = b
    app/lib/latest -> b.jar
    bin/tool* = #!x
    certs -> /etc/ssl/certs
    old = 2
    tool -> bin/tool
    "#);
}

#[test]
fn layers_come_sorted_and_names_come_once() {
    let (mut shop, _) = shop(Artifacts::default());
    shop.limits.layers = 2;
    let bench = bench(&shop, tree(&[]));
    bench.create_layer("b", Usage::default()).unwrap();
    let said = ["b", "build", "a/b", "..", "x\n"].map(|name| refused(bench.create_layer(name, Usage::default())));
    bench.create_layer("a", Usage::default()).unwrap();
    let many = refused(bench.create_layer("c", Usage::default()));
    insta::assert_snapshot!(format!("{}\n{many}", said.join("\n")), @r#"
    InvalidInput: could not begin the layer `b`: it was begun before
    InvalidInput: could not begin the layer `build`
      caused by: `build` is not a valid layer name: use letters, digits, `-` and `_`, at most 64 characters, and none of build, launch, store
    InvalidInput: could not begin the layer `a/b`
      caused by: `a/b` is not a valid layer name: use letters, digits, `-` and `_`, at most 64 characters, and none of build, launch, store
    InvalidInput: could not begin the layer `..`
      caused by: `..` is not a valid layer name: use letters, digits, `-` and `_`, at most 64 characters, and none of build, launch, store
    InvalidInput: could not begin the layer `x\n`
      caused by: `x\n` is not a valid layer name: use letters, digits, `-` and `_`, at most 64 characters, and none of build, launch, store
    TooLarge: could not begin the layer `c`: a buildpack has at most 2 layers
    "#);
    let names: Vec<String> = bench.clear().layers.iter().map(|layer| layer.name.to_string()).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn a_step_that_fails_changes_nothing() {
    let bench = layer();
    bench.layer_write(0, "d/f", b"1".to_vec(), false).unwrap();
    let recipe = bench.state().layers[0].recipe;
    let said = [
        refused(bench.layer_write(0, "../x", Vec::new(), false)),
        refused(bench.layer_write(0, "d", Vec::new(), false)),
        refused(bench.layer_write(0, "d/f/x", Vec::new(), false)),
        refused(bench.layer_link(0, "d/l", "../../x")),
        refused(bench.layer_link(0, "l", "/a/../b")),
        refused(bench.layer_link(0, "l", "")),
        refused(bench.layer_link(0, "d", "x")),
        refused(bench.layer_copy_app(0, &globs(&["lib/*"]), "d/f")),
        refused(bench.layer_copy_app(0, &globs(&["run"]), "/abs")),
        refused(bench.layer_read(0, "d", 9)),
    ];
    insta::assert_snapshot!(said.join("\n"), @r#"
    InvalidInput: could not use a path
      caused by: path `../x` is refused: it holds `.` or `..`
    InvalidInput: could not write `d` in a layer
      caused by: `d` is there twice, or below something that is not a folder
    InvalidInput: could not write `d/f/x` in a layer
      caused by: `d/f/x` is there twice, or below something that is not a folder
    InvalidInput: could not link `d/l` to `../../x` in a layer: a relative link stays inside its layer, an absolute one has no empty names, `.` or `..`
    InvalidInput: could not link `l` to `/a/../b` in a layer: a relative link stays inside its layer, an absolute one has no empty names, `.` or `..`
    InvalidInput: could not link `l` to `` in a layer: a relative link stays inside its layer, an absolute one has no empty names, `.` or `..`
    InvalidInput: could not link `d` to `x` in a layer
      caused by: `d` is there twice, or below something that is not a folder
    InvalidInput: could not put files into the layer `l`
      caused by: `d/f/lib` is there twice, or below something that is not a folder
    InvalidInput: could not use a path
      caused by: path `/abs` is refused: it is absolute
    InvalidInput: could not read `d`: it is a folder
    "#);
    let state = bench.state();
    assert_eq!(shown(&state.layers[0].tree), "d/f = 1");
    assert_eq!(state.layers[0].recipe, recipe);
}

#[test]
fn files_that_are_there_are_not_copied_over() {
    let bench = layer();
    bench.layer_write(0, "run", b"mine".to_vec(), false).unwrap();
    insta::assert_snapshot!(refused(bench.layer_copy_app(0, &globs(&["lib/a.jar", "run"]), "")), @r#"
    InvalidInput: could not put files into the layer `l`
      caused by: `run` is there twice, or below something that is not a folder
    "#);
    assert_eq!(shown(&bench.clear().layers[0].tree), "run = mine");
}

#[test]
fn the_environment_is_set_and_not_written() {
    let (shop, _) = shop(Artifacts::default());
    let bench = bench(&shop, tree(&[("LD_PRELOAD", "x")]));
    bench.create_layer("l", Usage::default()).unwrap();
    bench.layer_write(0, "environment", Vec::new(), false).unwrap();
    bench.layer_write(0, "sub/env", Vec::new(), false).unwrap();
    let said = [
        refused(bench.layer_write(0, "env/LD_PRELOAD", b"x".to_vec(), false)),
        refused(bench.layer_link(0, "env.launch", "sub")),
        refused(bench.layer_copy_app(0, &globs(&["*"]), "env.build")),
    ];
    insta::assert_snapshot!(said.join("\n"), @r#"
    InvalidInput: could not write `env/LD_PRELOAD` in a layer: its `env` carries what is set of the environment and nothing else
      hint: set variables by `set-env`
    InvalidInput: could not link `env.launch` to `sub` in a layer: its `env.launch` carries what is set of the environment and nothing else
      hint: set variables by `set-env`
    InvalidInput: could not put files into the layer `l`: its `env.build` carries what is set of the environment and nothing else
      hint: set variables by `set-env`
    "#);
}

#[test]
fn changes_of_the_environment_are_judged_at_once() {
    let bench = layer();
    bench.layer_set_env(0, change("A", "1")).unwrap();
    bench.layer_set_env(0, change("A", "1")).unwrap();
    let said = ["A", "PATH", "CNB_APP_DIR"].map(|name| refused(bench.layer_set_env(0, change(name, "2"))));
    insta::assert_snapshot!(said.join("\n"), @r#"
    InvalidInput: could not set `A` in a layer
      caused by: `env.launch/A.override` is wanted twice, with different content
    InvalidInput: could not set `PATH` in a layer
      caused by: may not override `PATH` in `env.launch`: it would hide every program and library of the base and of other buildpacks; prepend or append to it
    InvalidInput: could not set `CNB_APP_DIR` in a layer
      caused by: may not override `CNB_APP_DIR` in `env.launch`: names that begin with CNB_ belong to the platform
    "#);
    assert_eq!(bench.clear().layers[0].env, [change("A", "1"), change("A", "1")], "what was refused is not kept");
}

#[test]
fn what_is_written_is_limited() {
    let (mut shop, _) = shop(Artifacts::default());
    shop.limits = Limits { write_bytes: 4, written_bytes: 6, metadata_bytes: 5, nodes: 3, ..Limits::default() };
    let bench = bench(&shop, tree(APP));
    bench.create_layer("a", Usage::default()).unwrap();
    bench.create_layer("b", Usage::default()).unwrap();
    let one = refused(bench.layer_write(0, "f", vec![0; 5], false));
    bench.layer_write(0, "f", vec![0; 4], false).unwrap();
    // The limit is the buildpack's, not the layer's.
    let all = refused(bench.layer_write(1, "g", vec![0; 4], false));
    let keep = |value: &str| bench.layer_set_metadata(0, vec![("k".to_owned(), value.to_owned())]);
    keep("1234").unwrap();
    let metadata = refused(keep("12345"));
    bench.layer_write(1, "g", vec![0; 2], false).unwrap();
    let nodes = refused(bench.layer_copy_app(0, &globs(&["lib/*"]), ""));
    bench.layer_write(1, "h", Vec::new(), false).unwrap();
    let written = refused(bench.layer_write(1, "i", Vec::new(), false));
    insta::assert_snapshot!([one, all, metadata, nodes, written].join("\n"), @r#"
    TooLarge: could not write `f` in a layer: a file has at most 4 bytes
    TooLarge: could not write `g` in a layer: the files that a buildpack writes itself have at most 6 bytes in all
    TooLarge: could not keep notes with a layer: they have at most 5 bytes
    TooLarge: could not put files into the layer `a`: a buildpack opens and makes at most 3 files and folders in all
    TooLarge: could not write `i` in a layer: a buildpack opens and makes at most 3 files and folders in all
    "#);
}

/// The recipe of a layer on which `steps` were done.
fn recipe(steps: impl Fn(&Workbench)) -> Digest {
    let bench = layer();
    steps(&bench);
    bench.clear().layers[0].recipe
}

#[test]
fn a_recipe_is_what_was_done_in_order() {
    let write = |b: &Workbench, path: &str, text: &str, runs| b.layer_write(0, path, text.into(), runs).unwrap();
    let base = recipe(|b| {
        write(b, "a", "1", false);
        write(b, "b", "2", false);
    });
    let again = recipe(|b| {
        write(b, "a", "1", false);
        assert!(b.layer_write(0, "a/b", Vec::new(), false).is_err());
        b.layer_read(0, "a", 9).unwrap();
        write(b, "b", "2", false);
    });
    assert_eq!(base, again, "failures and questions leave no trace");
    let others = [
        recipe(|_| {}),
        recipe(|b| write(b, "a", "1", false)),
        recipe(|b| {
            write(b, "b", "2", false);
            write(b, "a", "1", false);
        }),
        recipe(|b| {
            write(b, "a", "1", true);
            write(b, "b", "2", false);
        }),
        recipe(|b| {
            write(b, "a", "1", false);
            write(b, "b", "3", false);
        }),
        recipe(|b| b.layer_link(0, "a", "1").unwrap()),
        recipe(|b| b.layer_link(0, "a", "2").unwrap()),
        recipe(|b| _ = b.layer_remove(0, &globs(&["a", "b"])).unwrap()),
        recipe(|b| _ = b.layer_remove(0, &globs(&["a"])).unwrap()),
        recipe(|b| _ = b.layer_copy_app(0, &globs(&["lib/a.jar"]), "").unwrap()),
        recipe(|b| _ = b.layer_copy_app(0, &globs(&["lib/a.jar"]), "x").unwrap()),
        recipe(|b| _ = b.layer_copy_app(0, &globs(&["lib/*"]), "").unwrap()),
    ];
    let distinct: std::collections::BTreeSet<_> = others.iter().chain([&base]).collect();
    assert_eq!(distinct.len(), others.len() + 1);
    let by_other_pattern = recipe(|b| _ = b.layer_copy_app(0, &globs(&["lib/a*", "none"]), "").unwrap());
    assert_eq!(by_other_pattern, others[9], "what was copied counts, not by which pattern");
}
