//! What the previous image's bill of materials says of a layer that is taken over from it, read when somebody needs it.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use stave_archive::{
    intake::ArchiveError,
    layer,
    limits::Limits,
    spool::Spool,
    tree::{Node, Tree, TreeError},
};
use stave_model::{
    id::{BuildpackId, LayerName},
    image::SBOM_DIR,
    sbom::{self, Component, Format},
};

use crate::{
    image::ImageLayer,
    port::failure::{Fault, PortError},
};

/// Caps for the layer of bills. One of ours has a few kilobytes.
const LIMITS: Limits = Limits { entries: 20_000, total_bytes: 256 << 20, entry_bytes: MAX_BILL, ratio: 1100 };
/// The largest bill that is read, in bytes.
const MAX_BILL: u64 = 32 << 20;

/// The bill of an image, if it has one.
#[derive(Debug, Clone, Default)]
pub(super) struct Bill {
    layer: Option<ImageLayer>,
    /// The layer's files, once they were read.
    files: Arc<Mutex<Option<Tree>>>,
}

/// A bill that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// There is no room to unpack it, or a file of it cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Its layer is none.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Its text is not one.
    #[error("the bill of materials of the layer cannot be understood")]
    Text(#[from] serde_json::Error),
    /// Its layer is not the one that the image names.
    #[error("the layer with the bill of materials is not the one that the image names")]
    OtherLayer,
}

impl Unreadable {
    /// What is wrong here and now; none where it is the bill, which will not be another one the next time.
    pub(crate) fn passing(&self) -> Option<Fault> {
        match self {
            _ if PortError::within(self).is_some_and(|error| error.fault == Fault::Cancelled) => Some(Fault::Cancelled),
            Self::Io(_) | Self::Archive(ArchiveError::Spool(_)) => Some(Fault::Io),
            Self::Archive(_) | Self::Text(_) | Self::OtherLayer => None,
        }
    }
}

impl Bill {
    /// The bill in this layer.
    pub(super) fn of(layer: ImageLayer) -> Self {
        Self { layer: Some(layer), files: Arc::default() }
    }

    /// What it says of a layer; nothing where the image has no bill, or none of this layer.
    pub(super) fn components(
        &self,
        buildpack: &BuildpackId,
        name: &LayerName,
        scratch: &Path,
    ) -> Result<Vec<Component>, Unreadable> {
        let Some(layer) = &self.layer else { return Ok(Vec::new()) };
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let files = match &mut *files {
            Some(files) => files,
            none => none.insert(read(layer, scratch)?),
        };
        let path = format!("{}/{name}/{}", buildpack.escaped(), Format::CycloneDx.file_name());
        let Some(Node::File(_, bill)) = files.get(&path) else { return Ok(Vec::new()) };
        Ok(sbom::read(&bill.bytes(MAX_BILL)?)?)
    }
}

fn read(layer: &ImageLayer, scratch: &Path) -> Result<Tree, Unreadable> {
    let folder = format!("{SBOM_DIR}/launch");
    let folder = folder.trim_start_matches('/').parse().map_err(|error| ArchiveError::Tree(TreeError::Path(error)))?;
    let mut spool = Spool::new_in(scratch)?;
    let (tree, diff_id) = layer::read(layer.content.as_ref(), &folder, &LIMITS, &mut spool)?;
    if diff_id == layer.diff_id { Ok(tree) } else { Err(Unreadable::OtherLayer) }
}
