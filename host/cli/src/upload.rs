//! A local folder or jar as a source image in a registry: what it is built from, wherever that is done.
//!
//! Everything goes up but the histories of versions: what of it is the app, `.dockerignore` and `project.toml` say when it is
//! built, and they go up with the rest.

use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use stave_archive::limits::Limits;
use stave_lifecycle::{
    app::{self, App, secrets, selection::Selection},
    image::Image,
    port::{
        failure::PortError,
        observer::{Event, Level, Observer},
        sink::Sink as _,
    },
};
use stave_model::time::rfc3339;
use stave_oci::{reference, registry::push::RegistryTag, source};
use stave_platform::resource::reference::{Pinned, Reference, Tag};

use crate::{
    exit::{ANALYZE, EXPORT, Exit, USAGE, printable},
    prepare::unreadable_app,
    workshop::Workshop,
};

/// What the repository of an image's sources is called, behind the image's.
const SUFFIX: &str = "-source";

/// Whether an upload is only tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dry {
    /// It is done.
    No,
    /// The image is made, so that its digest is known, and nothing is sent.
    Run,
}

/// A source that is, or would be, in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Uploaded {
    /// Where, by its digest.
    pub(crate) reference: Pinned,
    /// The bytes of its layer.
    pub(crate) size: u64,
    /// Whether the registry had it before. Nobody asks it in a dry run.
    pub(crate) was_there: bool,
}

/// The repository for the sources of the image at `tag`: its own with `-source` behind, whatever the tag is.
pub(crate) fn source_repository(tag: &Tag) -> Reference {
    let image = tag.reference();
    Reference { repository: format!("{}{SUFFIX}", image.repository), tag: None, digest: None, ..image.clone() }
}

/// Sends the folder or jar at `path` to the repository `to`, by its digest and with a tag that says when, so that no registry
/// takes it for rubbish.
pub(crate) fn upload(workshop: &Workshop, path: &Path, to: &Reference, dry: Dry) -> Result<Uploaded, Exit> {
    let name = to.name();
    // What is wrong with the name is told before a file is read.
    let repository: reference::Reference = name.parse().map_err(|error| Exit::new(USAGE, error))?;
    if repository.registry.is_none() {
        let exit =
            Exit::new(USAGE, format!("could not upload the source to `{}`: it names no registry", printable(&name)));
        return Err(exit.hint("a registry is a host with, if need be, a port: REGISTRY/NAME"));
    }
    workshop.ui.say(&format!("Uploading to '{name}'..."));
    let app = app::open(path, &Selection::default(), &Limits::default(), None).map_err(unreadable_app)?;
    warn(&app, workshop.ui.as_ref());
    let image = source::make(&app.tree, workshop.blobs.as_ref(), &workshop.cancel).map_err(|error| {
        let shown = printable(&path.display().to_string());
        Exit::new(ANALYZE, anyhow::Error::new(error).context(format!("could not make a source image of {shown}")))
    })?;
    let reference = Pinned::new(&Reference { tag: None, digest: None, ..to.clone() }, image.digest());
    let size = image.layers.iter().map(|layer| layer.descriptor.size).sum();
    let was_there = match dry {
        Dry::Run => {
            workshop.ui.say(&format!("\tSkipping '{reference}'"));
            false
        }
        Dry::No => {
            workshop.ui.say(&format!("\tUploading '{reference}'"));
            push(workshop, repository, &image).map_err(|error| {
                let context = format!("could not upload the source to {name}");
                Exit::new(EXPORT, anyhow::Error::new(error).context(context))
            })?
        }
    };
    Ok(Uploaded { reference, size, was_there })
}

/// Sends the image. Answers whether it was there; its tag is new all the same, because whatever held it before may be gone.
fn push(workshop: &Workshop, repository: reference::Reference, image: &Image) -> Result<bool, PortError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let named = reference::Reference { tag: Some(stamp(now)), digest: Some(image.digest()), ..repository };
    let tag = RegistryTag::new(workshop.registries(), named)?;
    let was_there = tag.has(image, &workshop.cancel)?;
    tag.put(image, workshop.ui.as_ref(), &workshop.cancel)?;
    Ok(was_there)
}

/// A tag that says when: `20261130094500`, in UTC.
fn stamp(now: u64) -> String {
    rfc3339(now).chars().filter(char::is_ascii_digit).collect()
}

/// What does not go up, and what in it nobody should see.
fn warn(app: &App, observer: &dyn Observer) {
    let warn = |text| observer.observe(Event::Note(Level::Warning, text));
    if !app.skipped.is_empty() {
        let skipped = app.skipped.join(", ");
        warn(format!("left out of the source, because images cannot hold them: {skipped}"));
    }
    let suspects = secrets::suspects(&app.tree);
    if !suspects.is_empty() {
        let all: Vec<String> = suspects.iter().map(|suspect| format!("{} ({})", suspect.path, suspect.kind)).collect();
        warn(format!(
            "everybody who may pull the source image can read what looks secret in it: {}; a .dockerignore keeps it out \
             of what is built, and not out of the source image",
            all.join(", ")
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The suffix belongs to the repository, also where there is a tag.
    #[test]
    fn sources_have_a_repository_of_their_own() {
        for (tag, repository) in [
            ("registry.example.com/team/web", "registry.example.com/team/web-source"),
            ("registry.example.com/team/web:v1", "registry.example.com/team/web-source"),
            ("registry.example.com:5000/web:v1", "registry.example.com:5000/web-source"),
            ("web", "web-source"),
        ] {
            assert_eq!(source_repository(&tag.parse().unwrap()).to_string(), repository, "{tag}");
        }
    }

    #[test]
    fn a_tag_says_when() {
        assert_eq!(stamp(0), "19700101000000");
        let reference: Result<reference::Reference, _> = format!("app:{}", stamp(1_796_031_900)).parse();
        assert_eq!(reference.unwrap().tag.as_deref(), Some("20261130094500"));
    }
}
