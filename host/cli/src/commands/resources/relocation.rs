//! What is on this machine alone, put into the default repository, so that whoever builds elsewhere finds it.
//!
//! What is in a registry already stays where it is and is named there: nothing of it is copied.

use std::path::Path;

use stave_lifecycle::{image::Image, port::sink::Sink as _};
use stave_model::{digest::Digest, target::Platform};
use stave_oci::{
    component::{self, Place},
    registry::push::RegistryTag,
};
use stave_platform::resource::{builder::BuildpackVersion, reference::Reference};

use crate::{
    args::platform::Rehearsal,
    commands::{
        buildpack::{
            publish::{Publishable, publishable},
            read_component,
        },
        settings,
    },
    components::{described, means, resolve},
    exit::{EXPORT, Exit, USAGE, printable},
    found::Found,
    platform::{Desk, names},
};

/// Most characters of the tag of what is put there.
const MAX_TAG: usize = 120;

/// An image in a registry.
pub(crate) struct Moved {
    /// Where.
    pub(crate) reference: Reference,
    /// Its configuration, where it was read for that.
    pub(crate) config: Option<Vec<u8>>,
}

/// An image by what a person calls it: a reference in a registry; or `oci:DIR` and a name of the image store, which are sent to
/// the default repository for this machine's platform.
pub(crate) fn image_in_registry(desk: &Desk<'_>, text: &str, rehearsal: Rehearsal) -> Result<Moved, Exit> {
    // What says a registry is there, whatever the image store has under the same name.
    if !text.starts_with("oci:") {
        let reference = typed(text)?;
        if reference.registry.is_some() {
            return Ok(Moved { reference, config: None });
        }
    }
    let found = Found::locate(desk.workshop, text)?;
    if let Found::Store(_, name, platforms) = &found
        && platforms.is_empty()
    {
        let exit = Exit::new(USAGE, format!("the image store has no image {}", printable(name)));
        return Err(exit.hint("name a registry, as in registry.example.com/acme/run:1; `stave images` lists the store"));
    }
    let image = found.image(&Platform::of_this_machine())?;
    let tag = format!("image-{}", image.digest().short());
    let reference = put(desk, text, &tag, &image, rehearsal)?;
    Ok(Moved { reference, config: Some(image.config) })
}

/// A buildpack by what a person calls it: a reference in a registry; or a component's file and `builtin:NAME`, which are sent to
/// the default repository.
pub(crate) fn buildpack_in_registry(desk: &Desk<'_>, text: &str, rehearsal: Rehearsal) -> Result<Reference, Exit> {
    if !is_here(text) {
        return match resolve(desk.workshop, text)?.0 {
            Place::Registry(reference) => typed(&reference.to_string()),
            Place::Layout { .. } => {
                let exit = Exit::new(USAGE, format!("{} is in no registry", printable(text)));
                Err(exit.hint("`stave buildpack publish` puts a buildpack into one"))
            }
        };
    }
    let Publishable { description, artifact, .. } = publishable(read_component(text)?, text, None)?;
    let about = &description.manifest.buildpack;
    let tag: String = format!("{}-{}", about.id, about.version).chars().map(plain).take(MAX_TAG).collect();
    let reference = destination(desk, text, artifact.digest())?;
    said(desk, &reference, rehearsal);
    if rehearsal.uploads() {
        let tagged = Reference { tag: Some(tag), digest: None, ..reference.clone() };
        let place = Place::Registry(names::parse(&tagged.to_string())?);
        component::push(&place, &artifact, &means(desk.workshop)).map_err(|error| not_sent(text, error))?;
    }
    Ok(reference)
}

/// Whether a text names a buildpack on this machine: a component's file, or one inside this program.
pub(crate) fn is_here(text: &str) -> bool {
    let is_component = Path::new(text).extension().is_some_and(|end| end == "wasm");
    text.starts_with(['.', '/']) || is_component || text.starts_with("builtin:")
}

/// What a store would have of a component on this machine.
pub(crate) fn version_of_file(text: &str) -> Result<BuildpackVersion, Exit> {
    let wasm = read_component(text)?;
    let digest = Digest::of(&wasm);
    let about = described(&wasm, text)?.manifest.buildpack;
    let homepage = Some(about.homepage).filter(|homepage| !homepage.is_empty());
    Ok(BuildpackVersion { id: about.id, version: about.version, digest: Some(digest), homepage })
}

/// A character of a tag.
fn plain(c: char) -> char {
    if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '-' }
}

fn typed(text: &str) -> Result<Reference, Exit> {
    text.parse().map_err(|error| Exit::new(USAGE, error))
}

fn destination(desk: &Desk<'_>, text: &str, digest: Digest) -> Result<Reference, Exit> {
    let Some(repository) = settings::default_repository(desk)? else {
        let exit = Exit::new(USAGE, format!("{} is on this machine only", printable(text)));
        return Err(exit.hint("`stave config default-repository REPOSITORY` says where such things are sent"));
    };
    Ok(Reference { tag: None, digest: Some(digest), ..repository })
}

/// kp's lines about it.
fn said(desk: &Desk<'_>, reference: &Reference, rehearsal: Rehearsal) {
    let ui = &desk.workshop.ui;
    ui.say(&format!("Uploading to '{}'...", reference.name()));
    let word = if rehearsal.uploads() { "Uploading" } else { "Skipping" };
    ui.say(&format!("\t{word} '{reference}'"));
}

fn put(desk: &Desk<'_>, text: &str, tag: &str, image: &Image, rehearsal: Rehearsal) -> Result<Reference, Exit> {
    let reference = destination(desk, text, image.digest())?;
    said(desk, &reference, rehearsal);
    if rehearsal.uploads() {
        let workshop = desk.workshop;
        let tagged = Reference { tag: Some(tag.to_owned()), ..reference.clone() };
        let sink = RegistryTag::new(workshop.registries(), names::parse(&tagged.to_string())?);
        let sink = sink.map_err(|error| Exit::new(USAGE, error))?;
        sink.put(image, workshop.ui.as_ref(), &workshop.cancel).map_err(|error| not_sent(text, error))?;
    }
    Ok(reference)
}

fn not_sent(text: &str, error: impl Into<anyhow::Error>) -> Exit {
    Exit::new(EXPORT, error.into().context(format!("could not send {} to the default repository", printable(text))))
}
