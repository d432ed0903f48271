//! `stave inspect`: what an image is made of, read from its configuration and labels.

use serde::Serialize;
use serde_json::Value;
use stave_lifecycle::{image::Image, port::bases::Bases};
use stave_model::{
    image::{BUILD_LABEL, LIFECYCLE_LABEL, LifecycleMetadata},
    launch::metadata::BuildMetadata,
    target::Platform,
};
use stave_oci::reference::Reference;

use crate::{
    args::{Inspect, Output},
    base,
    exit::{ANALYZE, Exit, GENERAL, USAGE, printable},
    ui::bytes,
    workshop::Workshop,
};

/// What is shown of an image.
#[derive(Serialize)]
struct About {
    image: String,
    digest: String,
    platform: String,
    size: u64,
    layers: usize,
    base: Option<BaseAbout>,
    buildpacks: Vec<BuildpackAbout>,
    processes: Vec<ProcessAbout>,
    labels: std::collections::BTreeMap<String, String>,
}

#[derive(Serialize)]
struct BaseAbout {
    name: String,
    reference: String,
    top_layer: String,
}

#[derive(Serialize)]
struct BuildpackAbout {
    id: String,
    version: String,
    layers: Vec<String>,
}

#[derive(Serialize)]
struct ProcessAbout {
    r#type: String,
    default: bool,
    command: Vec<String>,
    args: Vec<String>,
}

/// Shows an image of the store, a layout or a registry.
pub(crate) fn run(workshop: &Workshop, arguments: &Inspect) -> Result<(), Exit> {
    let platform = arguments.platform.clone().unwrap_or_else(Platform::of_this_machine);
    let image = find(workshop, &arguments.image, &platform)?;
    let about = about(&arguments.image, &image)?;
    match arguments.output {
        Output::Json => {
            workshop.ui.result(&serde_json::to_string_pretty(&about).map_err(|error| Exit::new(GENERAL, error))?);
        }
        Output::Text => workshop.ui.result(&for_people(&about)),
    }
    Ok(())
}

fn find(workshop: &Workshop, text: &str, platform: &Platform) -> Result<Image, Exit> {
    if !text.starts_with("oci:") {
        let name: Reference = text.parse().map_err(|error| Exit::new(USAGE, error))?;
        let kept = workshop.images.get(&name.to_string(), platform).map_err(|error| Exit::new(ANALYZE, error))?;
        if let Some(image) = kept {
            return Ok(image);
        }
        if name.registry.is_none() {
            return from_store(workshop, &name, platform);
        }
    }
    Ok(base::named(workshop, text)?.base(platform).map_err(|error| Exit::new(ANALYZE, error))?.image)
}

/// An image of the store, or an error that says what else there is.
pub(crate) fn from_store(workshop: &Workshop, name: &Reference, platform: &Platform) -> Result<Image, Exit> {
    let name = name.to_string();
    let found = stave_store::images::NamedImage::new(workshop.images.clone(), name).base(platform);
    Ok(found.map_err(|error| Exit::new(ANALYZE, error).hint("`stave images` lists what there is"))?.image)
}

fn about(name: &str, image: &Image) -> Result<About, Exit> {
    let broken = |error| {
        let error =
            anyhow::Error::new(error).context(format!("could not read the configuration of {}", printable(name)));
        Exit::new(ANALYZE, error)
    };
    let config: Value = serde_json::from_slice(&image.config).map_err(broken)?;
    let labels: std::collections::BTreeMap<String, String> = config
        .pointer("/config/Labels")
        .and_then(Value::as_object)
        .map(|labels| labels.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect())
        .unwrap_or_default();
    let lifecycle: Option<LifecycleMetadata> =
        labels.get(LIFECYCLE_LABEL).and_then(|text| serde_json::from_str(text).ok());
    let build: Option<BuildMetadata> = labels.get(BUILD_LABEL).and_then(|text| serde_json::from_str(text).ok());
    let default = config.pointer("/config/Entrypoint/0").and_then(Value::as_str).unwrap_or_default().to_owned();
    let processes = build.map(|build| build.processes).unwrap_or_default();
    Ok(About {
        image: name.to_owned(),
        digest: image.digest().to_string(),
        platform: image.platform.to_string(),
        size: image.layers.iter().map(|layer| layer.descriptor.size).sum(),
        layers: image.layers.len(),
        base: lifecycle.as_ref().map(|metadata| BaseAbout {
            name: metadata.run_image.image.clone(),
            reference: metadata.run_image.reference.clone(),
            top_layer: metadata.run_image.top_layer.clone(),
        }),
        buildpacks: lifecycle
            .map(|metadata| metadata.buildpacks.into_iter().map(buildpack).collect())
            .unwrap_or_default(),
        processes: processes
            .into_iter()
            .map(|process| ProcessAbout {
                default: default.rsplit('/').next() == Some(process.r#type.as_str()),
                r#type: process.r#type.to_string(),
                command: process.command,
                args: process.args,
            })
            .collect(),
        labels: labels.into_iter().filter(|(name, _)| name != LIFECYCLE_LABEL && name != BUILD_LABEL).collect(),
    })
}

fn buildpack(layers: stave_model::image::BuildpackLayers) -> BuildpackAbout {
    BuildpackAbout {
        id: layers.key.to_string(),
        version: layers.version,
        layers: layers.layers.keys().map(ToString::to_string).collect(),
    }
}

fn for_people(about: &About) -> String {
    let mut lines = vec![
        about.image.clone(),
        format!("  digest    {}", about.digest),
        format!("  platform  {}", about.platform),
        format!("  size      {} in {} layers", bytes(about.size), about.layers),
    ];
    if let Some(base) = &about.base {
        lines.push(format!("  base      {}", base.name));
        lines.push(format!("            {}", base.reference));
    }
    let mut section = |title: &str, body: Vec<String>| {
        if !body.is_empty() {
            lines.extend([String::new(), title.to_owned()]);
            lines.extend(body.into_iter().map(|line| format!("  {line}")));
        }
    };
    let buildpack = |b: &BuildpackAbout| format!("{}@{}  layers: {}", b.id, b.version, b.layers.join(", "));
    section("buildpacks", about.buildpacks.iter().map(buildpack).collect());
    let process = |p: &ProcessAbout| {
        let default = if p.default { " (default)" } else { "" };
        format!("{}{default}  {}", p.r#type, [p.command.clone(), p.args.clone()].concat().join(" "))
    };
    section("processes", about.processes.iter().map(process).collect());
    section("labels", about.labels.iter().map(|(name, value)| format!("{name}={value}")).collect());
    lines.iter().map(|line| printable(line)).collect::<Vec<_>>().join("\n")
}
