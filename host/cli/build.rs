//! Makes what the program carries inside: the default buildpacks as components, the launcher for each architecture, and the
//! SDK's source for new buildpacks.
//!
//! The first two are for other targets than the program itself, so a second cargo builds them, in a target folder of its own beside
//! the first one's: it knows by itself what is fresh. The compiler's targets come with `rust-toolchain.toml`.

#[path = "build/sdk.rs"]
mod sdk;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Launchers by OCI architecture and Rust target.
const LAUNCHERS: [(&str, &str); 2] = [("amd64", "x86_64-unknown-linux-musl"), ("arm64", "aarch64-unknown-linux-musl")];
/// Buildpacks, by their folder in `buildpacks/`.
const BUILDPACKS: [&str; 5] = ["ca-certificates", "java", "procfile", "environment-variables", "image-labels"];
const WASM: &str = "wasm32-wasip2";
/// What the outer cargo says to its own compiler, and the inner one must not hear.
const NOT_OURS: [&str; 9] = [
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CLIPPY_ARGS",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_RUSTFLAGS",
];

fn main() {
    let out = PathBuf::from(variable("OUT_DIR"));
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("../..");
    let inputs = [
        "Cargo.toml",
        "Cargo.lock",
        "rust-toolchain.toml",
        ".cargo",
        "wit",
        "host/model",
        "host/launcher",
        "buildpacks",
    ];
    for watched in inputs {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    sdk::pack(&root, &out);
    let target_folder = target_folder(&out);
    build(&root, &target_folder, &BUILDPACKS.map(|name| format!("stave-{name}")), WASM);
    for name in BUILDPACKS {
        let wasm = product(&target_folder, WASM, &format!("stave_{}.wasm", name.replace('-', "_")));
        let manifest = root.join("buildpacks").join(name).join("buildpack.toml");
        let wasm = fs::read(wasm).expect("the buildpack was built");
        let manifest = fs::read_to_string(manifest).expect("the buildpack has a manifest");
        let component = stave_model::component::embed(&wasm, &manifest).expect("the buildpack is a component");
        fs::write(out.join(format!("{name}.wasm")), component).expect("the output folder can be written");
    }
    for (architecture, target) in LAUNCHERS {
        build(&root, &target_folder, &["stave-launcher".to_owned()], target);
        let launcher = product(&target_folder, target, "stave-launcher");
        fs::copy(launcher, out.join(format!("launcher-{architecture}"))).expect("the launcher was built");
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name} for build scripts"))
}

/// `<target>/embedded`, from `<target>/<profile>/build/<package>/out`.
fn target_folder(out: &Path) -> PathBuf {
    out.ancestors().nth(4).expect("the output folder is below the target folder").join("embedded")
}

fn product(target_folder: &Path, target: &str, file: &str) -> PathBuf {
    target_folder.join(target).join("embedded").join(file)
}

/// Takes the folders of this machine out of panic messages: what goes into images is the same wherever it was built.
fn remaps(root: &Path) -> Vec<String> {
    let root = root.canonicalize().expect("the repository is there");
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    // One folder a registry, with a name that depends on which mirror of it is used.
    let sources = home.and_then(|home| fs::read_dir(home.join("registry/src")).ok()).into_iter().flatten().flatten();
    let mut remaps: Vec<String> = sources.map(|source| format!("{}=/deps", source.path().display())).collect();
    remaps.sort();
    remaps.push(format!("{}=/stave", root.display()));
    remaps
}

fn build(root: &Path, target_folder: &Path, packages: &[String], target: &str) {
    let mut cargo = Command::new(variable("CARGO"));
    cargo.current_dir(root).args(["build", "--quiet", "--locked", "--profile", "embedded"]);
    cargo.args(packages.iter().flat_map(|package| ["--package", package]));
    cargo.args(["--target", target]).arg("--target-dir").arg(target_folder);
    let flags: Vec<String> = remaps(root).iter().map(|remap| format!("'--remap-path-prefix={remap}'")).collect();
    cargo.arg("--config").arg(format!("target.{target}.rustflags=[{}]", flags.join(",")));
    for name in NOT_OURS {
        cargo.env_remove(name);
    }
    let status = cargo.status().expect("cargo runs");
    assert!(
        status.success(),
        "could not build {} for {target}; if the target is missing: rustup target add {target}",
        packages.join(" ")
    );
}
