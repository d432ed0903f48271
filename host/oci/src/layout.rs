//! OCI image layouts: a folder with `oci-layout`, `index.json` and blobs (OCI image spec, "Image Layout").
//!
//! A layout is somebody's folder: everything in it is opened below one handle, links are not followed (N24), and every
//! byte that comes out was compared with its digest.

mod read;
mod write;

use std::{fmt, path::PathBuf};

pub use self::{read::Layout, write::LayoutFolder};
pub(crate) use self::{
    read::read,
    write::{adopt::adopt, entry, named},
};

/// The annotation that names an image within a layout (OCI image spec, "Pre-Defined Annotation Keys").
const NAME: &str = "org.opencontainers.image.ref.name";
/// The version of layouts that there is.
pub(crate) const VERSION: &str = "1.0.0";

/// Where an image is in a layout: what stands after `oci:`, `FOLDER[:NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The folder.
    pub folder: PathBuf,
    /// The image's name within it. Not needed where there is one image for each platform.
    pub name: Option<String>,
}

impl Place {
    /// Reads `FOLDER[:NAME]`; the first colon separates the two, as for skopeo.
    pub fn parse(text: &str) -> Self {
        match text.split_once(':') {
            Some((folder, name)) if !name.is_empty() => Self { folder: folder.into(), name: Some(name.to_owned()) },
            Some((folder, _)) => Self { folder: folder.into(), name: None },
            None => Self { folder: text.into(), name: None },
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oci:{}", self.folder.display().to_string().escape_debug())?;
        self.name.iter().try_for_each(|name| write!(f, ":{}", name.escape_debug()))
    }
}

#[cfg(test)]
mod tests;
