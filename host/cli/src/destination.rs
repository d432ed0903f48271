//! Where an image goes, from what was typed.

use std::{path::PathBuf, sync::Arc};

use stave_lifecycle::port::{failure::PortError, sink::Sink};
use stave_model::target::Platform;
use stave_oci::{
    daemon::Daemon,
    docker_archive::ArchiveFile,
    layout::{self, LayoutFolder},
    reference::Reference,
    registry::push::RegistryTag,
};
use stave_store::images::NamedImage;

use crate::{
    args::Destination,
    exit::{Exit, USAGE},
    workshop::Workshop,
};

/// One of `--to`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Store,
    Layout(layout::Place),
    DockerArchive(PathBuf),
    Docker,
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "store" => Some(Self::Store),
            None if text == "docker" => Some(Self::Docker),
            Some(("oci", folder)) if !folder.is_empty() => Some(Self::Layout(layout::Place::parse(folder))),
            Some(("docker-archive", file)) if !file.is_empty() => Some(Self::DockerArchive(file.into())),
            _ => None,
        }
    }
}

/// Sinks for all the places, where the image gets all its names; the image store when none is named. Checked before any work is done.
pub(crate) fn sinks(
    workshop: &Workshop,
    names: &[Reference],
    destination: &Destination,
) -> Result<Vec<Arc<dyn Sink>>, Exit> {
    let mut sinks: Vec<Arc<dyn Sink>> = Vec::new();
    let all = || names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let in_store = |sinks: &mut Vec<Arc<dyn Sink>>| {
        for name in names {
            sinks.push(Arc::new(NamedImage::new(workshop.images.clone(), name.to_string())));
        }
    };
    for text in &destination.to {
        let place = Place::parse(text).ok_or_else(|| {
            let message = format!("`{}` is not a place for an image", crate::exit::printable(text));
            Exit::new(USAGE, message).hint("use oci:DIR, docker-archive:FILE, docker or store")
        })?;
        match place {
            Place::Store => in_store(&mut sinks),
            Place::Layout(place) => sinks.push(Arc::new(LayoutFolder::new(place))),
            Place::DockerArchive(file) => sinks.push(Arc::new(ArchiveFile::new(file, all()))),
            Place::Docker => {
                sinks.push(Arc::new(Daemon::find(|name| std::env::var_os(name), all()).map_err(unusable)?));
            }
        }
    }
    if destination.publish {
        for name in names {
            let tag = RegistryTag::new(workshop.registries(), name.clone()).map_err(unusable)?;
            sinks.push(Arc::new(tag.with_bills()));
        }
    }
    if sinks.is_empty() {
        in_store(&mut sinks);
    }
    Ok(sinks)
}

/// The places among `--to` where an image may be that this one replaces: layouts, and whether the image store is one.
pub(crate) fn kept_places(destination: &Destination) -> (Vec<layout::Place>, bool) {
    let (mut layouts, mut is_in_store) = (Vec::new(), false);
    for place in destination.to.iter().filter_map(|text| Place::parse(text)) {
        match place {
            Place::Layout(place) => layouts.push(place),
            Place::Store => is_in_store = true,
            Place::DockerArchive(_) | Place::Docker => {}
        }
    }
    (layouts, is_in_store)
}

/// An error that names a place which cannot hold images of several platforms, if there are several. Before any work is done.
pub(crate) fn check_platforms(sinks: &[Arc<dyn Sink>], platforms: &[Platform]) -> Result<(), Exit> {
    let Some(sink) = sinks.iter().find(|sink| platforms.len() > 1 && !sink.holds_platforms()) else { return Ok(()) };
    let message = format!("{} holds an image of one platform, and there are {}", sink.describe(), platforms.len());
    Err(Exit::new(USAGE, message).hint("build for one of them, or use --publish, oci:DIR or the image store"))
}

fn unusable(error: PortError) -> Exit {
    Exit::new(USAGE, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_are_written() {
        assert_eq!(Place::parse("store"), Some(Place::Store));
        assert_eq!(Place::parse("docker"), Some(Place::Docker));
        assert_eq!(Place::parse("oci:out"), Some(Place::Layout(layout::Place { folder: "out".into(), name: None })));
        assert_eq!(Place::parse("docker-archive:a:b.tar"), Some(Place::DockerArchive("a:b.tar".into())));
        for text in ["", "oci", "oci:", "docker-archive:", "podman", "dir:x"] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }
}
