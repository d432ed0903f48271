//! `stave buildpack`: make a component that carries its manifest, and look at one.

mod card;
pub(crate) mod publish;
pub(crate) mod pull;

use std::{
    collections::BTreeSet,
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::Command,
};

use serde::{Deserialize, Serialize};
use stave_engine::component::{Description, describe};
use stave_model::{capability::Interface, component, digest::Digest, manifest::Manifest};

use crate::{
    args::{BuildpackBuild, BuildpackInspect, Output},
    buildpacks::is_for_other_contract,
    config::read_capped,
    embedded,
    exit::{CONTRACT, Exit, GENERAL, REFUSED, USAGE, printable},
    ui::{Ui, bytes},
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

/// Compiles the crate in the folder and puts its buildpack.toml inside.
pub(crate) fn build(arguments: &BuildpackBuild, ui: &Ui) -> Result<(), Exit> {
    let (manifest, wasm) = made(&arguments.folder)?;
    let into = arguments.into.clone().unwrap_or_else(|| PathBuf::from(file_name(&manifest)));
    write_whole(&into, &wasm).map_err(|error| {
        let context = format!("could not write {}", into.display());
        Exit::new(USAGE, anyhow::Error::new(error).context(context))
    })?;
    ui.say(&format!("{} is in {} ({})", manifest.title(), into.display(), bytes(wasm.len() as u64)));
    ui.result(&Digest::of(&wasm).to_string());
    Ok(())
}

/// The manifest and the component of the buildpack whose crate is in the folder.
fn made(folder: &Path) -> Result<(Manifest, Vec<u8>), Exit> {
    let folder = folder.canonicalize().map_err(|error| {
        let error = anyhow::Error::new(error).context(format!("no buildpack at {}", folder.display()));
        Exit::new(USAGE, error)
    })?;
    let manifest_file = folder.join("buildpack.toml");
    let failed = |what: &str, error: anyhow::Error| Exit::new(USAGE, error.context(format!("could not {what}")));
    let text = read_capped(&manifest_file)
        .map_err(|error| failed(&format!("read {}", manifest_file.display()), error.into()))?;
    let manifest = Manifest::parse(&text)
        .map_err(|error| failed(&format!("understand {}", manifest_file.display()), error.into()))?;
    let compiled = compile(&folder)?;
    let wasm = std::fs::read(&compiled).map_err(|error| failed("read what cargo built", error.into()))?;
    let wasm = component::embed(&wasm, &text).map_err(|error| Exit::new(REFUSED, error))?;
    describe(&wasm, &stave_engine::Limits::default()).map_err(|error| Exit::new(REFUSED, error))?;
    Ok((manifest, wasm))
}

/// The file that a buildpack is written to where nobody names one.
fn file_name(manifest: &Manifest) -> String {
    format!("{}.wasm", manifest.buildpack.id.as_str().rsplit('/').next().unwrap_or_default())
}

/// A file that is there whole or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

/// Runs the user's cargo; answers where the component is.
fn compile(folder: &Path) -> Result<PathBuf, Exit> {
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
        return Err(Exit::new(USAGE, format!("{} is not a Rust crate that cargo knows", folder.display())).detail(said));
    }
    let metadata: CargoMetadata =
        serde_json::from_slice(&metadata.stdout).map_err(|error| Exit::new(GENERAL, error))?;
    let package = metadata.packages.iter().find(|package| package.manifest_path.parent() == Some(folder));
    let library =
        package.and_then(|package| package.targets.iter().find(|target| target.crate_types.contains("cdylib")));
    let library = library.ok_or_else(|| {
        Exit::new(USAGE, format!("the crate in {} has no cdylib target", folder.display()))
            .hint("add `[lib]` with `crate-type = [\"cdylib\", \"rlib\"]` to its Cargo.toml")
    })?;
    let status = cargo().args(["build", "--release", "--target", TARGET]).status().map_err(no_cargo)?;
    if !status.success() {
        let exit = Exit::new(GENERAL, format!("cargo could not build the crate in {}", folder.display()));
        return Err(exit.hint(format!("if the target is missing: rustup target add {TARGET}")));
    }
    let file = format!("{}.wasm", library.name.replace('-', "_"));
    Ok(metadata.target_directory.join(TARGET).join("release").join(file))
}

/// What a component is, for programs.
#[derive(Serialize)]
struct About<'a> {
    id: &'a str,
    version: String,
    contract: &'a str,
    digest: String,
    size: u64,
    imports: Vec<&'static str>,
    wasi: Vec<&'a str>,
    asks: &'a stave_model::capability::Capabilities,
    dependencies: &'a [stave_model::dependency::Dependency],
}

/// Shows what a component is and could do, without compiling it.
pub(crate) fn inspect(arguments: &BuildpackInspect, ui: &Ui) -> Result<(), Exit> {
    let name = &arguments.component;
    let wasm = read_component(name)?;
    let description = describe(&wasm, &stave_engine::Limits::default()).map_err(|error| {
        let code = if is_for_other_contract(&error) { CONTRACT } else { REFUSED };
        Exit::new(code, anyhow::Error::new(error).context(format!("could not inspect {}", printable(name))))
    })?;
    match arguments.output {
        Output::Json => {
            let about = about(&description, wasm.len() as u64);
            ui.result(&serde_json::to_string_pretty(&about).map_err(|error| Exit::new(GENERAL, error))?);
        }
        Output::Text => ui.result(&for_people(&description, wasm.len() as u64)),
    }
    Ok(())
}

fn read_component(name: &str) -> Result<Vec<u8>, Exit> {
    if let Some(inside) = name.strip_prefix("builtin:") {
        let found = embedded::BUILDPACKS.into_iter().find(|buildpack| buildpack.name == inside);
        let names: Vec<&str> = embedded::BUILDPACKS.iter().map(|buildpack| buildpack.name).collect();
        return found.map(|buildpack| buildpack.component.to_vec()).ok_or_else(|| {
            let exit = Exit::new(USAGE, format!("there is no buildpack {} inside this program", printable(name)));
            exit.hint(format!("there are: {}", names.join(", ")))
        });
    }
    let most = stave_engine::Limits::default().component_bytes as u64 + 1;
    let mut wasm = Vec::new();
    let read = File::open(name).and_then(|file| file.take(most).read_to_end(&mut wasm));
    read.map_err(|error| {
        Exit::new(USAGE, anyhow::Error::new(error).context(format!("could not read {}", printable(name))))
    })?;
    Ok(wasm)
}

fn about(description: &Description, size: u64) -> About<'_> {
    let manifest = &description.manifest;
    About {
        id: manifest.buildpack.id.as_str(),
        version: manifest.buildpack.version.to_string(),
        contract: &manifest.contract,
        digest: description.digest.to_string(),
        size,
        imports: description.interfaces().into_iter().map(Interface::name).collect(),
        wasi: description.imports.iter().map(String::as_str).filter(|import| import.starts_with("wasi:")).collect(),
        asks: &manifest.asks,
        dependencies: &manifest.dependencies,
    }
}

fn for_people(description: &Description, size: u64) -> String {
    let manifest = &description.manifest;
    let mut lines = vec![
        format!("{}  {}", manifest.title(), manifest.buildpack.name),
        format!("  {}", manifest.buildpack.description),
        format!("  contract  {}", manifest.contract),
        format!("  digest    {}", description.digest),
        format!("  size      {}", bytes(size)),
        String::new(),
        "It can, by what it imports:".to_owned(),
    ];
    let interfaces = description.interfaces();
    lines.extend(interfaces.iter().map(|interface| format!("  {:10} {}", interface.name(), interface.meaning())));
    lines.push(String::new());
    lines.push("It asks, in its manifest:".to_owned());
    let list = |items: Vec<String>| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    let asks = &manifest.asks;
    lines.push(format!("  interfaces  {}", list(asks.interfaces.iter().map(ToString::to_string).collect())));
    lines.push(format!("  ecosystems  {}", list(asks.ecosystems.iter().cloned().collect())));
    lines.push(format!("  settings    {}", list(asks.settings.iter().cloned().collect())));
    if !asks.bindings.is_empty() {
        lines.push(format!("  bindings    {}", list(asks.bindings.iter().cloned().collect())));
    }
    if !manifest.dependencies.is_empty() {
        lines.push(String::new());
        lines.push("It may bring in:".to_owned());
    }
    for dependency in &manifest.dependencies {
        lines.push(format!(
            "  {} {}  {}  ({})",
            dependency.id,
            dependency.version,
            dependency.name,
            dependency.licenses.join(", ")
        ));
        for artifact in &dependency.artifacts {
            let platform = artifact.platform.as_ref().map_or_else(|| "any platform".to_owned(), ToString::to_string);
            lines.push(format!("    {platform}: {}", artifact.purl));
        }
    }
    lines.iter().map(|line| printable(line).trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
