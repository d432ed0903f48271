//! A crate into a component, by the user's cargo.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;

use super::{Talk, shown};
use crate::{
    exit::{Exit, GENERAL, USAGE},
    signing::PASSWORD_VARIABLE,
};

/// The target that Rust buildpacks are compiled for.
const TARGET: &str = "wasm32-wasip2";

/// What is read of `cargo metadata`.
#[derive(Deserialize)]
struct CargoMetadata {
    target_directory: PathBuf,
    packages: Vec<CargoPackage>,
}

#[derive(Deserialize)]
struct CargoPackage {
    manifest_path: PathBuf,
    targets: Vec<CargoTarget>,
}

#[derive(Deserialize)]
struct CargoTarget {
    name: String,
    crate_types: BTreeSet<String>,
}

/// Runs the user's cargo; answers where the component is.
pub(super) fn build(folder: &Path, talk: Talk) -> Result<PathBuf, Exit> {
    let cargo = || {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // What compiles is code of others.
        command.current_dir(folder).env_remove(PASSWORD_VARIABLE);
        command
    };
    let no_cargo = |error| {
        let error = anyhow::Error::new(error).context("could not run cargo");
        Exit::new(GENERAL, error).hint("a Rust buildpack is compiled with cargo: install Rust, then try again")
    };
    let metadata = cargo().args(["metadata", "--no-deps", "--format-version", "1"]).output().map_err(no_cargo)?;
    if !metadata.status.success() {
        let said = String::from_utf8_lossy(&metadata.stderr).into_owned();
        return Err(Exit::new(USAGE, format!("{} is not a Rust crate that cargo knows", shown(folder))).detail(said));
    }
    let metadata: CargoMetadata =
        serde_json::from_slice(&metadata.stdout).map_err(|error| Exit::new(GENERAL, error))?;
    let package = metadata.packages.iter().find(|package| package.manifest_path.parent() == Some(folder));
    let library =
        package.and_then(|package| package.targets.iter().find(|target| target.crate_types.contains("cdylib")));
    let library = library.ok_or_else(|| {
        Exit::new(USAGE, format!("the crate in {} has no cdylib target", shown(folder)))
            .hint("add `[lib]` with `crate-type = [\"cdylib\", \"rlib\"]` to its Cargo.toml")
    })?;
    let mut build = cargo();
    build.args(["build", "--release", "--target", TARGET]);
    if talk == Talk::Faults {
        build.arg("--quiet");
    }
    let status = build.status().map_err(no_cargo)?;
    if !status.success() {
        let exit = Exit::new(GENERAL, format!("cargo could not build the crate in {}", shown(folder)));
        return Err(exit.hint(format!("if the target is missing: rustup target add {TARGET}")));
    }
    let file = format!("{}.wasm", library.name.replace('-', "_"));
    Ok(metadata.target_directory.join(TARGET).join("release").join(file))
}
