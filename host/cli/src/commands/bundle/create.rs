//! A bundle written: the builder's artefact, its stack, and the files that its buildpacks depend on.

use std::{collections::BTreeMap, sync::Arc};

use stave_archive::content::Content;
use stave_lifecycle::{image::Image, port::failure::Fault};
use stave_model::{
    builder::pinned::{PinnedBuilder, PinnedImage},
    bundle::{self, Bundle, BundledBuilder, Choice, Wanted},
    digest::Digest,
    lock::LockedBuildpack,
    target::Platform,
};
use stave_oci::{
    builder as artefact,
    bundle::{Contents, write},
    component::Place,
    reference::Reference,
};

use super::Telling;
use crate::{
    args::{BundleCreate, Dependencies},
    base,
    builder::{self, BaseChoice, Named},
    exit::{ANALYZE, EXPORT, Exit, USAGE, printable},
    locked::{self, Held},
    pinned::{self, Made},
    workshop::Workshop,
};

/// Files by digest.
type Files = BTreeMap<Digest, Arc<dyn Content>>;

/// Writes a bundle.
pub(crate) fn create(workshop: &Workshop, arguments: &BundleCreate) -> Result<(), Exit> {
    let held = arguments.lock.as_deref().map(Held::read).transpose()?;
    let typed = arguments.builder.clone();
    let named = typed.or_else(|| held.as_ref().map(|held| held.lock().builder.name.clone().into()));
    let named = Named::of(workshop, named.or_else(|| workshop.config.builder.clone()).as_deref());
    let name = name(arguments, &named)?;
    let (made, buildpacks) = make(workshop, &named, &arguments.platform, held.as_ref())?;
    let (images, platforms) = platforms(&made.builder, &arguments.platform)?;
    let stack = elsewhere(workshop, &made.builder, &images, &name)?;
    let wanted = match (arguments.dependency.as_slice(), arguments.dependencies) {
        ([], Dependencies::All) => Wanted::All,
        ([], Dependencies::None) => Wanted::None,
        (only, _) => Wanted::Only(only.to_vec()),
    };
    let declared = buildpacks.iter().map(|buildpack| (buildpack.title(), buildpack.dependencies.as_slice()));
    let choice = bundle::choose(declared, &platforms, &wanted).map_err(|error| {
        let hint = error.hint();
        Exit::new(USAGE, error).hint(hint)
    })?;
    let files = fetch(workshop, &choice)?;
    let digest = artefact::digest(&made.artifact, &made.carried);
    let document = Bundle {
        format: bundle::FORMAT,
        builder: BundledBuilder { name: name.clone(), digest },
        stack: images,
        dependencies: choice.along.into_iter().map(|(declared, ..)| declared).collect(),
        left_out: choice.left_out,
    };
    let contents =
        Contents { document: &document, builder: &made.artifact, carried: &made.carried, stack: &stack, files: &files };
    let size = write(&arguments.file, &contents, workshop.ui.as_ref(), &workshop.cancel)
        .map_err(|error| Exit::new(EXPORT, error))?;
    let file = printable(&arguments.file.display().to_string());
    let telling = Telling {
        file: file.clone(),
        name: &name,
        document: &document,
        builder: &made.builder,
        files: &files.iter().map(|(digest, content)| (*digest, content.size())).collect(),
        stack: layers(made.carried.iter().chain(&stack)),
        size: Some(size),
    };
    telling.tell(workshop, arguments.output)?;
    workshop.ui.say(&format!("where it is needed: `stave bundle import {file}`"));
    Ok(())
}

/// The bytes of all layers, each counted once.
fn layers<'a>(images: impl Iterator<Item = &'a Image>) -> u64 {
    let layers = images.flat_map(|image| &image.layers).map(|layer| &layer.descriptor);
    let layers: BTreeMap<Digest, u64> = layers.map(|descriptor| (descriptor.digest, descriptor.size)).collect();
    layers.values().sum()
}

/// What the builder is called in the bundle: as typed, else as it is called here. A name has no digest: the document has.
fn name(arguments: &BundleCreate, named: &Named) -> Result<String, Exit> {
    let text = match (&arguments.tag, named) {
        (Some(tag), _) => tag.clone(),
        (None, Named::BuiltIn) => format!("stave/builtin:{}", env!("CARGO_PKG_VERSION")),
        (None, Named::File(path)) => {
            path.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default()
        }
        (None, Named::Artefact(Place::Registry(reference), _)) => match (&reference.tag, &reference.digest) {
            (None, Some(digest)) => format!("{}:{}", reference.name(), digest.short()),
            _ => Reference { digest: None, ..reference.clone() }.to_string(),
        },
        (None, Named::Artefact(Place::Layout { place, .. }, _)) => place.name.clone().unwrap_or_default(),
    };
    let reference: Reference = text.parse().map_err(|error| {
        let exit = Exit::new(USAGE, anyhow::Error::new(error).context("the builder has no name for the bundle"));
        exit.hint("give it one with --tag")
    })?;
    if reference.digest.is_some() {
        let exit = Exit::new(USAGE, format!("`{reference}` is not a name for a builder: it has a digest"));
        return Err(exit.hint("leave the digest away; the bundle names it anyway"));
    }
    Ok(reference.to_string())
}

/// The builder's artefact, and its buildpacks as a lock has them. Held to a lock, it is what that names.
fn make(
    workshop: &Workshop,
    named: &Named,
    platforms: &[Platform],
    held: Option<&Held>,
) -> Result<(Made, Vec<LockedBuildpack>), Exit> {
    let found = builder::find(workshop, named, held.map(Held::lock))?;
    let inputs = locked::inputs(workshop, &found, true)?;
    if let Some(held) = held {
        held.check_parts(&found, &inputs)?;
    }
    let buildpacks = inputs.buildpacks.clone();
    let made = match (named, found.digest) {
        (Named::Artefact(place, _), Some(digest)) => {
            let (there, _) = builder::artefact_at(workshop, &place.pinned(digest), false)?;
            if let Some(held) = held {
                held.check_images(&there.builder.stack.images)?;
            }
            pinned::copied(workshop, &there)?
        }
        _ => pinned::assembled(workshop, &found, inputs, platforms, held)?,
    };
    Ok((made, buildpacks))
}

/// The images of the stack that go along, and the platforms that are built for: those that were typed, else all.
fn platforms(builder: &PinnedBuilder, typed: &[Platform]) -> Result<(Vec<PinnedImage>, Vec<Platform>), Exit> {
    let all = &builder.stack.images;
    if typed.is_empty() {
        return Ok((all.clone(), all.iter().map(|image| image.platform.clone()).collect()));
    }
    if let Some(missing) = typed.iter().find(|wanted| !all.iter().any(|image| image.platform.serves(wanted))) {
        let there: Vec<String> = all.iter().map(|image| image.platform.to_string()).collect();
        let exit = Exit::new(ANALYZE, format!("the builder has no base for {missing}"));
        return Err(exit.hint(format!("it has one for {}", there.join(", "))));
    }
    // What travels with the builder is a part of its digest.
    let travels = builder.stack.repository.is_none();
    let goes = |image: &&PinnedImage| travels || typed.iter().any(|wanted| image.platform.serves(wanted));
    Ok((all.iter().filter(goes).cloned().collect(), typed.to_vec()))
}

/// The images of a stack that stays in a registry.
fn elsewhere(
    workshop: &Workshop,
    builder: &PinnedBuilder,
    images: &[PinnedImage],
    name: &str,
) -> Result<Vec<Image>, Exit> {
    if builder.stack.repository.is_none() {
        return Ok(Vec::new());
    }
    // By its digest in the repository: where the builder is makes no difference.
    let pinned = Some((builder::kept_place(workshop, name)?, builder.stack.clone()));
    let choice = BaseChoice { reference: None, folder: std::path::PathBuf::new(), pinned };
    images.iter().map(|image| Ok(base::find(workshop, &choice, None, &image.platform, None)?.image)).collect()
}

/// Fetches what goes along. What cannot be had is told all at once.
fn fetch(workshop: &Workshop, choice: &Choice<'_>) -> Result<Files, Exit> {
    let source = workshop.packages();
    let (mut files, mut failed, mut hint) = (Files::new(), Vec::new(), None);
    for (declared, dependency, artifact) in &choice.along {
        if files.contains_key(&declared.digest) {
            continue;
        }
        match source.fetch(dependency, artifact, workshop.ui.as_ref(), &workshop.cancel) {
            Ok(span) => drop(files.insert(declared.digest, Arc::new(span))),
            Err(error) if error.fault == Fault::Cancelled => return Err(error.into()),
            Err(error) => {
                failed.push(error.sentence());
                hint = hint.or(error.hint);
            }
        }
    }
    if failed.is_empty() {
        return Ok(files);
    }
    let exit = Exit::new(ANALYZE, format!("{} of {} dependencies cannot be had", failed.len(), choice.along.len()));
    let exit = failed.into_iter().fold(exit, Exit::detail);
    let exit = hint.into_iter().fold(exit, Exit::hint);
    Err(exit.hint("or leave them out: --dependency names those that are needed, and --dependencies none takes none"))
}
