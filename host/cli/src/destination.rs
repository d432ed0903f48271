//! Where an image goes, from what was typed.

use std::{path::PathBuf, sync::Arc};

use stave_lifecycle::port::{failure::PortError, sink::Sink};
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

/// Sinks for all the places; the image store when none is named. Checked before any work is done.
pub(crate) fn sinks(
    workshop: &Workshop,
    name: &Reference,
    destination: &Destination,
) -> Result<Vec<Arc<dyn Sink>>, Exit> {
    let mut sinks: Vec<Arc<dyn Sink>> = Vec::new();
    for text in &destination.to {
        let place = Place::parse(text).ok_or_else(|| {
            let message = format!("`{}` is not a place for an image", crate::exit::printable(text));
            Exit::new(USAGE, message).hint("use oci:DIR, docker-archive:FILE, docker or store")
        })?;
        sinks.push(match place {
            Place::Store => Arc::new(NamedImage::new(workshop.images.clone(), name.to_string())),
            Place::Layout(place) => Arc::new(LayoutFolder::new(place)),
            Place::DockerArchive(file) => Arc::new(ArchiveFile::new(file, vec![name.to_string()])),
            Place::Docker => {
                Arc::new(Daemon::find(|name| std::env::var_os(name), vec![name.to_string()]).map_err(unusable)?)
            }
        });
    }
    if destination.publish {
        sinks.push(Arc::new(RegistryTag::new(workshop.registries(), name.clone()).map_err(unusable)?));
    }
    if sinks.is_empty() {
        sinks.push(Arc::new(NamedImage::new(workshop.images.clone(), name.to_string())));
    }
    Ok(sinks)
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
