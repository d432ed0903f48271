//! What the launcher adds to the start of an app: `/bin/true` started by it, and by itself, in turns.
//!
//! `cargo bench -p stave-launcher` measures an optimised launcher. `STAVE_LAUNCHER=PATH` in the environment measures another
//! one, such as the one that images get: `target/embedded/<target>/embedded/stave-launcher`.
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
/// The image: buildpacks, layers of each, and variables that each layer sets.
const BUILDPACKS: usize = 5;
const LAYERS: usize = 4;
const VARIABLES: usize = 5;

fn main() {
    let root = tempfile::tempdir().unwrap();
    image(root.path());
    let program = std::env::var("STAVE_LAUNCHER").unwrap_or_else(|_| env!("CARGO_BIN_EXE_stave-launcher").to_owned());
    let mut launched = Command::new(&program);
    launched.args(["--", "/bin/true"]).env("CNB_PLATFORM_API", "0.14");
    launched.env("CNB_LAYERS_DIR", root.path().join("layers")).env("CNB_APP_DIR", root.path());
    let mut direct = Command::new("/bin/true");
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        with.push(time(&mut launched));
        without.push(time(&mut direct));
    }
    let (with, without) = (median(with), median(without));
    println!("{program}");
    println!("{BUILDPACKS} buildpacks, {} layers, {} variables", BUILDPACKS * LAYERS, BUILDPACKS * LAYERS * VARIABLES);
    println!("median of {ROUNDS}: {with:?} through the launcher, {without:?} without it");
    println!("the launcher adds {:?}", with.saturating_sub(without));
}

fn image(root: &Path) {
    let mut metadata = String::new();
    for buildpack in 0..BUILDPACKS {
        write!(metadata, "[[buildpacks]]\nid = 'a/{buildpack}'\nversion = '1.0.0'\napi = '0.10'\n").unwrap();
        for layer in 0..LAYERS {
            let layer = root.join(format!("layers/a_{buildpack}/{layer}"));
            for folder in ["bin", "lib", "env.launch"] {
                fs::create_dir_all(layer.join(folder)).unwrap();
            }
            for variable in 0..VARIABLES {
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

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
