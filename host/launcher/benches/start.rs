//! What the launcher adds to the start of an app: `/bin/true` started by it, and by itself, in turns, for an image as a build
//! makes it and for one with much in it.
//!
//! `cargo bench -p stave-launcher` measures an optimised launcher. `STAVE_LAUNCHER=PATH` in the environment measures another
//! one, such as the one that images get, `target/embedded/<target>/embedded/stave-launcher`, or the CNB lifecycle's. On a
//! machine that does other work beside, the least time says more than the median.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot be set up fails, and prints")]

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// How often each is started.
const ROUNDS: usize = 500;
/// Images: buildpacks, layers of each, and variables that each layer sets.
const IMAGES: [(usize, usize, usize); 2] = [(1, 2, 5), (5, 4, 5)];

fn main() {
    let program = std::env::var("STAVE_LAUNCHER").unwrap_or_else(|_| env!("CARGO_BIN_EXE_stave-launcher").to_owned());
    println!("{program}");
    for (buildpacks, layers, variables) in IMAGES {
        let root = tempfile::tempdir().unwrap();
        image(root.path(), buildpacks, layers, variables);
        let mut launched = Command::new(&program);
        launched.args(["--", "/bin/true"]).env("CNB_PLATFORM_API", "0.14");
        launched.env("CNB_LAYERS_DIR", root.path().join("layers")).env("CNB_APP_DIR", root.path());
        let mut direct = Command::new("/bin/true");
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            with.push(time(&mut launched));
            without.push(time(&mut direct));
        }
        with.sort_unstable();
        without.sort_unstable();
        let adds = |at: usize| with[at].saturating_sub(without[at]);
        let (layers, variables) = (buildpacks * layers, buildpacks * layers * variables);
        println!(
            "{layers} layers, {variables} variables: adds {:?} at least, {:?} at the median",
            adds(0),
            adds(ROUNDS / 2)
        );
    }
}

fn image(root: &Path, buildpacks: usize, layers: usize, variables: usize) {
    let mut metadata = String::new();
    for buildpack in 0..buildpacks {
        write!(metadata, "[[buildpacks]]\nid = 'a/{buildpack}'\nversion = '1.0.0'\napi = '0.10'\n").unwrap();
        for layer in 0..layers {
            let layer = root.join(format!("layers/a_{buildpack}/{layer}"));
            for folder in ["bin", "lib", "env.launch"] {
                fs::create_dir_all(layer.join(folder)).unwrap();
            }
            for variable in 0..variables {
                fs::write(layer.join(format!("env.launch/V{variable}.append")), "value").unwrap();
            }
        }
    }
    for process in ["web", "task", "worker"] {
        let process =
            format!("[[processes]]\ntype = '{process}'\ncommand = ['true']\ndirect = true\nbuildpack-id = 'a/0'\n");
        metadata.push_str(&process);
    }
    fs::create_dir_all(root.join("layers/config")).unwrap();
    fs::write(root.join("layers/config/metadata.toml"), metadata).unwrap();
}

fn time(command: &mut Command) -> Duration {
    let begin = Instant::now();
    assert!(command.status().unwrap().success());
    begin.elapsed()
}
