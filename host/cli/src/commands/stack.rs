//! `stave stack create`: composes a stack and keeps it.

use serde::Serialize;
use stave_oci::reference::Reference;

use crate::{
    args::{Output, StackCreate},
    base::{self, Defined},
    exit::{Exit, GENERAL, USAGE},
    ui::bytes,
    workshop::Workshop,
};

/// One image of a stack, for programs.
#[derive(Serialize)]
struct About {
    name: String,
    platform: String,
    digest: String,
    size: u64,
    packages: Vec<Package>,
}

#[derive(Serialize)]
struct Package {
    name: String,
    version: String,
}

pub(crate) fn create(workshop: &Workshop, arguments: &StackCreate) -> Result<(), Exit> {
    let mut stack = Defined::read(&arguments.definition)?;
    if !arguments.platform.is_empty() {
        stack = stack.only(&arguments.platform)?;
    }
    let tag = arguments.tag.clone().unwrap_or_else(|| stack.definition.id.to_lowercase());
    let name: Reference = tag.parse().map_err(|error| Exit::new(USAGE, error))?;
    let composed = base::compose(workshop, &stack.definition)?;
    base::keep(workshop, &composed, &name.to_string())?;
    // Builds that name the definition's file find it here.
    base::keep(workshop, &composed, &stack.name)?;
    let about = composed.images.iter().map(|composed| About {
        name: name.to_string(),
        platform: composed.image.platform.to_string(),
        digest: composed.image.digest().to_string(),
        size: composed.image.layers.iter().map(|layer| layer.descriptor.size).sum(),
        packages: composed
            .packages
            .iter()
            .map(|installed| Package {
                name: installed.package.package.clone(),
                version: installed.package.version.clone(),
            })
            .collect(),
    });
    let about: Vec<About> = about.collect();
    match arguments.output {
        Output::Json => {
            workshop.ui.result(&serde_json::to_string_pretty(&about).map_err(|error| Exit::new(GENERAL, error))?);
        }
        Output::Text => {
            for image in about {
                let facts = format!("{} packages, {}", image.packages.len(), bytes(image.size));
                workshop.ui.result(&format!("{}  {}  {}  {facts}", image.name, image.platform, image.digest));
            }
        }
    }
    Ok(())
}
