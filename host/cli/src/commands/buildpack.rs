//! `stave buildpack`: make a component that carries its manifest, and look at one; and the buildpacks of a namespace.

mod card;
mod compile;
pub(crate) mod dependencies;
pub(crate) mod detect;
pub(crate) mod namespaced;
pub(crate) mod new;
pub(crate) mod publish;
pub(crate) mod pull;
pub(crate) mod sign;
pub(crate) mod test;

use std::{fs::File, io::Read, path::PathBuf};

use serde::Serialize;
use stave_engine::{
    admission::{admit, unused},
    component::{Description, describe},
    load::LoadError,
};
use stave_model::{capability::Interface, digest::Digest, manifest::Manifest};

use self::compile::{Compiled, Talk, compile};
use crate::{
    args::{BuildpackBuild, BuildpackInspect, Output},
    buildpacks::{is_for_other_contract, refused},
    embedded,
    exit::{CONTRACT, Exit, GENERAL, REFUSED, USAGE, one_line, printable},
    ui::{Ui, bytes},
    whole::write_whole,
};

/// The longest line that is shown of a manifest, in characters.
const MAX_LINE: usize = 10_000;

/// Compiles the crate in the folder and puts its buildpack.toml inside.
pub(crate) fn build(arguments: &BuildpackBuild, ui: &Ui) -> Result<(), Exit> {
    let Compiled { manifest, wasm } = compile(&arguments.folder, Talk::All)?;
    let into = arguments.into.clone().unwrap_or_else(|| PathBuf::from(file_name(&manifest)));
    let shown = printable(&into.display().to_string());
    write_whole(&into, &wasm)
        .map_err(|error| Exit::new(USAGE, anyhow::Error::new(error).context(format!("could not write {shown}"))))?;
    ui.say(&format!("{} is in {shown} ({})", manifest.title(), bytes(wasm.len() as u64)));
    ui.result(&Digest::of(&wasm).to_string());
    Ok(())
}

/// The file that a buildpack is written to where nobody names one.
fn file_name(manifest: &Manifest) -> String {
    format!("{}.wasm", manifest.buildpack.id.as_str().rsplit('/').next().unwrap_or_default())
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
    /// What it asks for and could never use, as lines of the manifest.
    unused: Vec<String>,
    dependencies: &'a [stave_model::dependency::Dependency],
}

/// Shows what a component is and could do, without compiling it. One that no host would run, whatever it may be granted, is
/// shown too, and refused then.
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
    admit(&description, &description.manifest.asks)
        .map(drop)
        .map_err(|refusal| refused(name, LoadError::Refused(refusal)))
}

pub(crate) fn read_component(name: &str) -> Result<Vec<u8>, Exit> {
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
        unused: unused(description).iter().map(ToString::to_string).collect(),
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
    if !asks.hosts.is_empty() {
        lines.push(format!("  hosts       {}", list(asks.hosts.iter().cloned().collect())));
    }
    let unused = unused(description);
    if !unused.is_empty() {
        lines.push(String::new());
        lines.push("It asks for these and could never use them:".to_owned());
        lines.extend(unused.iter().map(|line| format!("  {line}")));
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
        lines.extend(dependency.eol.map(|eol| format!("    mended until {eol}")));
        for artifact in &dependency.artifacts {
            let platform = artifact.platform.as_ref().map_or_else(|| "any platform".to_owned(), ToString::to_string);
            lines.push(format!("    {platform}: {}", artifact.purl));
        }
    }
    lines.iter().map(|line| one_line(line, MAX_LINE).trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
