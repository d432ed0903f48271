//! Bundles: one file that carries a builder into a place without a network, with its stack, its components and the files that its
//! buildpacks depend on.
//!
//! The file is a tar whose entries are an OCI image layout, so that other tools can look into it. Its index lists
//!
//! | Name | What |
//! |---|---|
//! | `NAME` | the builder, as it is in a registry, with the images that travel with it |
//! | `NAME+stack` | the images of a stack that is in a registry, if it is |
//! | `NAME+bundle` | an artefact with a layer for each dependency; its configuration says what is in the file ([`Bundle`]) |
//!
//! What is written depends on what is in it and on nothing else. A `+` is in no name of a builder, so none can be taken for
//! another's stack.

mod contents;
mod read;
mod write;

use std::{collections::BTreeMap, fmt, sync::Arc};

use stave_archive::content::Content;
use stave_lifecycle::image::Image;
use stave_model::{
    builder::pinned::PinnedBuilder,
    bundle::{Bundle, BundleError},
    digest::Digest,
};

pub use self::{read::import, write::write};
use crate::{json::JsonError, manifest::ManifestError};

/// The type of a bundle's manifest.
pub const ARTIFACT: &str = "application/vnd.stave.bundle.v1";
/// The media type of a bundle's configuration.
pub const CONFIG: &str = "application/vnd.stave.bundle.config.v1+json";
/// The media type of a dependency's file, whatever is in it.
pub const FILE: &str = "application/vnd.stave.dependency.v1";
/// The annotation of a layer that says where the file comes from.
const PURL: &str = "vnd.stave.purl";
/// The most files of a bundle.
const MAX_FILES: usize = 8192;
/// The marker of a layout.
const MARKER: &str = "oci-layout";
/// What lists everything in a layout.
const INDEX: &str = "index.json";
/// Where blobs are.
const BLOBS: &str = "blobs/sha256/";

/// What a bundle is made of.
#[derive(Debug)]
pub struct Contents<'a> {
    /// What is in it.
    pub document: &'a Bundle,
    /// The builder's own manifest.
    pub builder: &'a Image,
    /// The images that travel with the builder.
    pub carried: &'a [Image],
    /// The images of a stack that is in a registry.
    pub stack: &'a [Image],
    /// The files of the dependencies, by digest.
    pub files: &'a BTreeMap<Digest, Arc<dyn Content>>,
}

/// What was found in a bundle.
#[derive(Debug, Clone)]
pub struct Imported {
    /// Its own document.
    pub document: Bundle,
    /// The name that the builder has now.
    pub name: String,
    /// The builder.
    pub builder: PinnedBuilder,
    /// The sizes of the dependencies' files.
    pub files: BTreeMap<Digest, u64>,
    /// The bytes of the stack's images.
    pub stack: u64,
}

/// Why a file is not taken for a bundle.
#[derive(Debug, thiserror::Error)]
pub enum NotABundle {
    /// It is no tar, or none that goes to its end.
    #[error("it is no tar archive, or is cut short")]
    Tar(#[source] std::io::Error),
    /// Something has a name that nothing in a layout has.
    #[error("`{}` is no name of a layout's file", .0.escape_debug())]
    Name(String),
    /// Something is a folder, a link, a device, or a record of an extension.
    #[error("`{}` is not a regular file", .0.escape_debug())]
    Kind(String),
    /// A name is there twice.
    #[error("`{0}` is there twice")]
    Twice(String),
    /// There is too much.
    #[error("it has more than {MAX_FILES} files")]
    TooMany,
    /// One file is too large.
    #[error("`{name}` says to have {size} bytes, more than {limit}")]
    TooLarge {
        /// Which.
        name: String,
        /// What it says.
        size: u64,
        /// What is possible.
        limit: u64,
    },
    /// The bytes of a blob are others.
    #[error("the bytes of {0} are others than its name says")]
    Digest(Digest),
    /// It ends before it should.
    #[error("it ends in the middle of `{0}`")]
    Short(String),
    /// Something is missing.
    #[error("it has no `{0}`")]
    Missing(String),
    /// A blob that nothing leads to.
    #[error("nothing in it leads to {0}")]
    Stray(Digest),
    /// A blob is of another size than what leads to it says.
    #[error("{digest} has {size} bytes, and what leads to it says {said}")]
    Size {
        /// Which.
        digest: Digest,
        /// How many it has.
        size: u64,
        /// How many were said.
        said: u64,
    },
    /// A document cannot be read.
    #[error("{what} cannot be read")]
    Json {
        /// Which.
        what: String,
        /// Why.
        #[source]
        cause: JsonError,
    },
    /// A document breaks a rule for manifests.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// It is a layout of another version.
    #[error("its `oci-layout` is not that of version {}", crate::layout::VERSION)]
    Marker,
    /// Its index lists something else than a bundle has.
    #[error("its index is not a bundle's: {0}")]
    Index(&'static str),
    /// Its own document is not a bundle's.
    #[error("its document is not a bundle's")]
    Document(#[source] BundleError),
    /// Its parts do not agree.
    #[error("its parts do not agree: {0}")]
    Parts(&'static str),
}

/// What stands behind a builder's name in the names of its bundle's other parts: its stack's images, and the rest.
pub const BESIDE: [&str; 2] = ["+stack", "+bundle"];

/// The names of a bundle's three parts.
struct Names {
    builder: String,
    stack: String,
    bundle: String,
}

impl Names {
    fn of(builder: &str) -> Self {
        let [stack, bundle] = BESIDE.map(|end| format!("{builder}{end}"));
        Self { builder: builder.to_owned(), stack, bundle }
    }

    fn all(&self) -> [&str; 3] {
        [&self.builder, &self.stack, &self.bundle]
    }
}

/// A path of this machine, for a message.
struct Shown<'a>(&'a std::path::Path);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.display().to_string().escape_debug())
    }
}

#[cfg(test)]
mod tests;
