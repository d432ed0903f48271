//! `stave inspect`: what an image is made of, read from its configuration and labels.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use stave_lifecycle::{image::Image, port::bases::Bases};
use stave_model::{
    id::ExecEnv,
    image::{BUILD_LABEL, LIFECYCLE_LABEL, exec_env::said_by},
    inspect::{self, Info},
    target::Platform,
};
use stave_oci::reference::Reference;

use crate::{
    args::{DocumentFormat, Inspect},
    document::{self, Format},
    exit::{ANALYZE, Exit, printable},
    found::Found,
    ui::bytes,
    workshop::Workshop,
};

/// What is shown of an image: the fields of `pack inspect` by their names, and beside them ours.
#[derive(Serialize)]
struct About {
    image_name: String,
    remote_info: Option<Info>,
    local_info: Option<Info>,
    digest: String,
    platform: String,
    size: u64,
    layers: usize,
    /// Where the image says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    exec_env: Option<ExecEnv>,
    buildpack_layers: BTreeMap<String, Vec<String>>,
    labels: BTreeMap<String, String>,
}

/// Shows an image of the store, a layout or a registry.
pub(crate) fn run(workshop: &Workshop, arguments: &Inspect) -> Result<(), Exit> {
    let platform = arguments.platform.clone().unwrap_or_else(Platform::of_this_machine);
    let found = Found::locate(workshop, &arguments.image)?;
    let image = found.image(&platform)?;
    let about = about(&arguments.image, &image, matches!(found, Found::Registry(..)))?;
    let format = match arguments.output {
        DocumentFormat::Text => {
            workshop.ui.result(&for_people(&about));
            return Ok(());
        }
        DocumentFormat::Json => Format::Json,
        DocumentFormat::Yaml => Format::Yaml,
        DocumentFormat::Toml => Format::Toml,
    };
    workshop.ui.result(&document::write(&about, format)?);
    Ok(())
}

/// An image of the store, or an error that says what else there is.
pub(crate) fn from_store(workshop: &Workshop, name: &Reference, platform: &Platform) -> Result<Image, Exit> {
    let name = name.to_string();
    let found = stave_store::images::NamedImage::new(workshop.images.clone(), name).base(platform);
    Ok(found.map_err(|error| Exit::new(ANALYZE, error).hint("`stave images` lists what there is"))?.image)
}

fn about(name: &str, image: &Image, is_remote: bool) -> Result<About, Exit> {
    let info = inspect::info(&image.config).map_err(|error| {
        let context = format!("could not read the configuration of {}", printable(name));
        Exit::new(ANALYZE, anyhow::Error::new(error).context(context))
    })?;
    let (remote_info, local_info) = if is_remote { (Some(info), None) } else { (None, Some(info)) };
    Ok(About {
        image_name: name.to_owned(),
        remote_info,
        local_info,
        digest: image.digest().to_string(),
        platform: image.platform.to_string(),
        size: image.layers.iter().map(|layer| layer.descriptor.size).sum(),
        layers: image.layers.len(),
        exec_env: said_by(&image.config),
        buildpack_layers: inspect::layers(&image.config),
        labels: labels(&image.config),
    })
}

/// All labels but the two whose contents are shown elsewhere.
fn labels(config: &[u8]) -> BTreeMap<String, String> {
    let config: Value = serde_json::from_slice(config).unwrap_or_default();
    let labels = config.pointer("/config/Labels").and_then(Value::as_object).into_iter().flatten();
    let labels = labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    labels.filter(|(name, _)| name != LIFECYCLE_LABEL && name != BUILD_LABEL).collect()
}

fn for_people(about: &About) -> String {
    let mut lines = vec![
        about.image_name.clone(),
        format!("  digest    {}", about.digest),
        format!("  platform  {}", about.platform),
        format!("  size      {} in {} layers", bytes(about.size), about.layers),
    ];
    lines.extend(about.exec_env.iter().map(|exec_env| format!("  exec env  {exec_env}")));
    let Some(info) = about.remote_info.as_ref().or(about.local_info.as_ref()) else { return lines.join("\n") };
    let names = info.run_images.iter().flatten().map(|run| run.name.clone());
    let reference = Some(info.base_image.reference.clone()).filter(|reference| !reference.is_empty());
    for (index, name) in names.chain(reference).enumerate() {
        lines.push(format!("  {:8}  {name}", if index == 0 { "base" } else { "" }));
    }
    if !info.rebasable {
        lines.push("  rebase    not to be put on another base".to_owned());
    }
    let mut section = |title: &str, body: Vec<String>| {
        if !body.is_empty() {
            lines.extend([String::new(), title.to_owned()]);
            lines.extend(body.into_iter().map(|line| format!("  {line}")));
        }
    };
    let builder = |one: &inspect::Builder| {
        let layers = about.buildpack_layers.get(&one.id).filter(|layers| !layers.is_empty());
        let layers = layers.map(|layers| format!("  layers: {}", layers.join(", "))).unwrap_or_default();
        format!("{}@{}{layers}", one.id, one.version)
    };
    section("buildpacks", info.buildpacks.iter().flatten().map(builder).collect());
    section("extensions", info.extensions.iter().flatten().map(builder).collect());
    let process = |one: &inspect::Process| {
        let default = if one.default { " (default)" } else { "" };
        let is_for_all = one.exec_env.is_empty() || one.exec_env.iter().any(|name| name == "*");
        let only = if is_for_all { String::new() } else { format!(" (only in {})", one.exec_env.join(", ")) };
        let command = [std::slice::from_ref(&one.command), one.args.as_deref().unwrap_or_default()].concat();
        format!("{}{default}{only}  {}", one.r#type, command.join(" "))
    };
    section("processes", info.processes.iter().flatten().map(process).collect());
    section("labels", about.labels.iter().map(|(name, value)| format!("{name}={value}")).collect());
    lines.iter().map(|line| printable(line)).collect::<Vec<_>>().join("\n")
}
