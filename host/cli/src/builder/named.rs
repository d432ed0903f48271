//! How a builder is named: the one inside the program, a file, an artefact; and the names of those that are kept here.

use std::path::{Path, PathBuf};

use stave_lifecycle::port::failure::Fault;
use stave_model::digest::Digest;
use stave_oci::{builder as artefact, bundle::BESIDE, component::Place, layout, reference::Reference};

use super::BUILT_IN;
use crate::{
    components::means,
    exit::{Exit, USAGE},
    workshop::Workshop,
};

/// What the names of builders begin with that the platform keeps, a revision each.
pub(crate) const PLATFORMS: &str = "platform/";
/// The folder of kept builders in the data folder.
pub(crate) const KEPT: &str = "builders";

/// How a builder is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named {
    /// The one inside the program.
    BuiltIn,
    /// A `builder.toml`.
    File(PathBuf),
    /// An artefact, and the name that led to it.
    Artefact(Place, String),
}

impl Named {
    /// What was typed or configured; the one inside the program where nothing was. The text alone decides whether a file is
    /// meant: no file that an app brings with it can stand in the place of a reference. A name that `stave builder create` gave
    /// goes before a registry.
    pub(crate) fn of(workshop: &Workshop, text: Option<&Path>) -> Self {
        let Some(path) = text.filter(|text| text.as_os_str() != BUILT_IN) else { return Self::BuiltIn };
        let is_file = |text: &&str| text.starts_with(['/', '.']) || path.extension().is_some_and(|end| end == "toml");
        let Some(text) = path.to_str().filter(|text| !is_file(text)) else { return Self::File(path.to_owned()) };
        if let (true, Ok(place)) = (text.starts_with("oci:"), text.parse()) {
            return Self::Artefact(place, text.to_owned());
        }
        if let Ok(place) = kept_place(workshop, text)
            && is_there(workshop, &place)
        {
            return Self::Artefact(place, text.to_owned());
        }
        match text.parse::<Reference>() {
            Ok(reference) if reference.registry.is_some() => {
                Self::Artefact(Place::Registry(reference), text.to_owned())
            }
            _ => Self::File(path.to_owned()),
        }
    }
}

/// The name that a builder is kept under.
pub(crate) fn kept_name(name: &str) -> Result<String, Exit> {
    let reference: Reference = name.parse().map_err(|error| Exit::new(USAGE, error))?;
    Ok(reference.to_string())
}

/// Where a builder of this name is kept.
pub(crate) fn kept_place(workshop: &Workshop, name: &str) -> Result<Place, Exit> {
    let place = layout::Place { folder: kept_folder(workshop), name: Some(kept_name(name)?) };
    Ok(Place::Layout { place, digest: None })
}

/// The layout in the data folder that builders are kept in.
pub(crate) fn kept_folder(workshop: &Workshop) -> PathBuf {
    let images = workshop.images.folder().path();
    images.parent().unwrap_or(images).join(KEPT)
}

/// The builders that are kept, by name, and their digests.
pub(crate) fn all_kept(workshop: &Workshop) -> Result<Vec<(String, Digest)>, Exit> {
    let place = layout::Place { folder: kept_folder(workshop), name: None };
    match layout::Layout::open(place) {
        Ok(layout) => {
            let mut names = layout.names()?;
            names.retain(|(name, _)| !BESIDE.iter().any(|end| name.ends_with(end)) && !name.starts_with(PLATFORMS));
            Ok(names)
        }
        Err(error) if error.fault == Fault::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Whether there is something at a place. What is damaged is there, and is told of by who reads it.
fn is_there(workshop: &Workshop, place: &Place) -> bool {
    !matches!(artefact::find(place, &means(workshop)), Err(error) if error.fault == Fault::NotFound)
}
