//! A source that is in a registry, as a tree: what somebody uploaded, or made for kpack.

use stave_archive::{limits::Limits, tree::Tree};
use stave_lifecycle::port::failure::PortError;
use stave_oci::{reference::Reference, registry::pull::RegistryImage, source};
use stave_platform::resource::reference::Pinned;

use crate::{
    exit::{ANALYZE, Exit, USAGE},
    workshop::Workshop,
};

/// The source that a source image carries. What of it is kept from before is not pulled again; no file of it gets a name on
/// this machine.
pub(crate) fn tree_of_image(workshop: &Workshop, image: &Pinned) -> Result<Tree, Exit> {
    let reference: Reference = image.to_string().parse().map_err(|error| Exit::new(USAGE, error))?;
    let (blobs, ui, cancel) = (workshop.blobs.clone(), workshop.ui.clone(), workshop.cancel.clone());
    let scratch = workshop.cache.within("scratch").map_err(PortError::from)?;
    let pulled = RegistryImage::new(workshop.registries(), reference, blobs, ui, cancel).source();
    let tree = pulled.and_then(|image| source::read(&image, &Limits::default(), scratch.path(), &workshop.cancel));
    tree.map_err(|error| {
        Exit::new(ANALYZE, anyhow::Error::new(error).context(format!("could not fetch the source {image}")))
    })
}
