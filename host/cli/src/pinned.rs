//! A builder's artefact, made of what a builder.toml comes to: components and stack by digest.

use std::sync::Arc;

use stave_archive::content::{Bytes, Content};
use stave_lifecycle::image::Image;
use stave_model::{
    builder::{
        StackReference,
        pinned::{FORMAT, PinnedBuilder, PinnedBuildpack, PinnedImage, PinnedStack},
    },
    lock::LockedBuildpack,
    order::Selection,
    target::Platform,
};
use stave_oci::{
    builder::{self as artefact, Found},
    reference::Reference,
};

use crate::{
    base,
    builder::{self, BaseChoice, Builder, Named},
    buildpacks,
    exit::{Exit, REFUSED},
    locked::{self, Held, Inputs},
    workshop::Workshop,
};

/// A builder as it is sent.
pub(crate) struct Made {
    /// What it is made of.
    pub(crate) builder: PinnedBuilder,
    /// Its own manifest.
    pub(crate) artifact: Image,
    /// The stack's images that travel with it.
    pub(crate) carried: Vec<Image>,
}

/// Makes the artefact of a builder for some platforms, or for all that its stack has. A builder that could not build is not
/// made: every component is loaded with its grants first.
pub(crate) fn make(workshop: &Workshop, named: &Named, platforms: &[Platform]) -> Result<Made, Exit> {
    make_of(workshop, &builder::find(workshop, named, None)?, platforms)
}

/// The same of a builder that was found.
pub(crate) fn make_of(workshop: &Workshop, found: &Builder, platforms: &[Platform]) -> Result<Made, Exit> {
    let inputs = locked::inputs(workshop, found, true)?;
    assembled(workshop, found, inputs, platforms, None)
}

/// The same of a builder that was found, with what it comes to. Held to a lock, its stack is the locked one.
pub(crate) fn assembled(
    workshop: &Workshop,
    found: &Builder,
    inputs: Inputs,
    platforms: &[Platform],
    held: Option<&Held>,
) -> Result<Made, Exit> {
    let engine = workshop.engine()?;
    buildpacks::load_all(&engine, found, &inputs.components)?;
    let (stack, carried) = stack(workshop, &found.stack, platforms, held)?;
    let Selection { order, composites, system } = inputs.selection(found);
    let buildpacks = found.parts.iter().zip(&inputs.buildpacks).map(|(part, locked)| pinned(part, locked));
    let buildpacks = buildpacks.collect();
    let description = found.description().to_owned();
    let builder = PinnedBuilder { format: FORMAT, description, stack, buildpacks, order, composites, system };
    // What it would be refused for later is told now.
    let document = serde_json::from_slice(&builder.to_json()).map_err(|error| Exit::new(REFUSED, error))?;
    PinnedBuilder::read(document).map_err(|error| {
        let context = format!("could not make an artefact of the builder {}", found.name);
        Exit::new(REFUSED, anyhow::Error::new(error).context(context))
    })?;
    let components = inputs.components.into_iter();
    let components: Vec<Arc<dyn Content>> =
        components.map(|component| Arc::new(Bytes::new(component.bytes.into_owned())) as Arc<dyn Content>).collect();
    Ok(Made { artifact: artefact::artifact(&builder, components), builder, carried })
}

fn pinned(part: &builder::Part, locked: &LockedBuildpack) -> PinnedBuildpack {
    let reference = part.place().map(|place| match locked.manifest {
        Some(manifest) => place.pinned(manifest).to_string(),
        None => place.to_string(),
    });
    PinnedBuildpack {
        id: locked.id.clone(),
        version: locked.version.clone(),
        digest: locked.component,
        size: locked.size,
        // Where a layout was says nothing to others.
        reference: reference.filter(|reference| !reference.starts_with("oci:")),
        grants: part.grants.clone(),
    }
}

/// The images of a stack. Those of a registry stay there and are named by digest; others travel with the builder.
fn stack(
    workshop: &Workshop,
    choice: &BaseChoice,
    platforms: &[Platform],
    held: Option<&Held>,
) -> Result<(PinnedStack, Vec<Image>), Exit> {
    let platforms = match (platforms, held) {
        ([], Some(held)) => held.lock().stack.images.iter().map(|image| image.platform.clone()).collect(),
        ([], None) => base::platforms(workshop, choice)?,
        (some, _) => some.to_vec(),
    };
    let (mut images, mut carried, mut name) = (Vec::new(), Vec::new(), String::new());
    for platform in platforms {
        let locked = held.and_then(|held| held.lock().image(&platform)).map(|image| image.digest);
        let base = base::find(workshop, choice, None, &platform, locked)?;
        if let Some(held) = held {
            held.check_base(&base, &platform, choice.is_composed())?;
        }
        let platform = base.image.platform.clone();
        if images.iter().any(|image: &PinnedImage| image.platform == platform) {
            continue;
        }
        images.push(PinnedImage { platform, digest: base.image.digest() });
        name = base.name;
        carried.push(base.image);
    }
    let repository = repository(choice);
    if repository.is_some() {
        carried.clear();
    }
    // A layout is called by what the builder calls it, so that the folder it is in makes no difference.
    let name = if name.starts_with("oci:") { choice.name().to_owned() } else { name };
    Ok((PinnedStack { name, repository, images }, carried))
}

/// The repository in a registry that a stack is in.
fn repository(choice: &BaseChoice) -> Option<String> {
    let Some(StackReference::RunImage(reference)) = &choice.reference else { return None };
    let reference: Reference = reference.parse().ok()?;
    reference.registry.is_some().then(|| reference.name())
}

/// A builder that is somewhere, as it is sent somewhere else.
pub(crate) fn copied(workshop: &Workshop, found: &Found) -> Result<Made, Exit> {
    let choice = BaseChoice::of_artefact(found);
    let mut carried = Vec::new();
    if found.builder.stack.repository.is_none() {
        for image in &found.builder.stack.images {
            carried.push(base::find(workshop, &choice, None, &image.platform, None)?.image);
        }
    }
    Ok(Made { builder: found.builder.clone(), artifact: found.artifact(), carried })
}
