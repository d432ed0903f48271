//! Compiles a buildpack's folder with the language's own tool, and puts its manifest inside.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;
use stave_engine::{
    admission::{admit, with_always},
    component::describe,
    load::LoadError,
};
use stave_model::{component, manifest::Manifest};

use crate::{
    buildpacks::refused,
    config::read_capped,
    exit::{Exit, GENERAL, REFUSED, USAGE, printable},
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

/// A buildpack, compiled.
pub(crate) struct Compiled {
    /// Its manifest.
    pub(crate) manifest: Manifest,
    /// The component with the manifest inside.
    pub(crate) wasm: Vec<u8>,
}

/// What the tool says while it compiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Talk {
    /// All of it.
    All,
    /// Only what is wrong.
    Faults,
}

/// Compiles the crate in the folder. What imports an interface that its buildpack.toml does not ask for is refused here, and
/// not only by whoever uses it.
pub(crate) fn compile(folder: &Path, talk: Talk) -> Result<Compiled, Exit> {
    let folder = folder.canonicalize().map_err(|error| {
        let error = anyhow::Error::new(error).context(format!("no buildpack at {}", shown(folder)));
        Exit::new(USAGE, error)
    })?;
    let file = folder.join("buildpack.toml");
    let failed = |what: &str, error: anyhow::Error| Exit::new(USAGE, error.context(format!("could not {what}")));
    let text = read_capped(&file).map_err(|error| failed(&format!("read {}", shown(&file)), error.into()).hint(NEW))?;
    let manifest =
        Manifest::parse(&text).map_err(|error| failed(&format!("understand {}", shown(&file)), error.into()))?;
    let compiled = cargo(&folder, talk)?;
    let wasm = std::fs::read(&compiled).map_err(|error| failed("read what cargo built", error.into()))?;
    let wasm = component::embed(&wasm, &text).map_err(|error| Exit::new(REFUSED, error))?;
    let description = describe(&wasm, &stave_engine::Limits::default()).map_err(|error| Exit::new(REFUSED, error))?;
    admit(&description, &with_always(&manifest.asks))
        .map_err(|refusal| refused(&shown(&folder), LoadError::Refused(refusal)))?;
    Ok(Compiled { manifest, wasm })
}

const NEW: &str = "`stave buildpack new ID` makes a folder with a buildpack";

/// Runs the user's cargo; answers where the component is.
fn cargo(folder: &Path, talk: Talk) -> Result<PathBuf, Exit> {
    let cargo = || {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(folder);
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

fn shown(path: &Path) -> String {
    printable(&path.display().to_string())
}
