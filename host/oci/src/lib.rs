//! Base images in, images out: registry, OCI layout, docker archive, docker daemon.
//!
//! Whatever comes from a registry or a layout was written by somebody else: documents are capped and read strictly,
//! bytes are believed once their digest says so, and no name from a document becomes a path or an address of its own.
//!
//! | Module | Holds |
//! |---|---|
//! | [`reference`](mod@reference) | image names as people write them |
//! | [`json`] | documents read strictly: capped, shallow, no key twice |
//! | [`manifest`] | manifests and indexes, OCI's and docker's |
//! | [`config`] | what an image's configuration must say |
//! | [`component`] | WebAssembly components as artefacts |
//! | [`builder`] | builders as artefacts |
//! | [`bundle`] | a builder and all that it needs as one file |
//! | [`aside`] | files and folders that have no name yet |
//! | [`image`] | manifest, configuration and contents put together, checked |
//! | [`checked`] | contents that are compared with their digest while they are read |
//! | [`index`] | indexes in which images are replaced |
//! | [`layout`] | OCI image layouts: folders |
//! | [`distribution`] | which distribution an image is of, by its files |
//! | [`docker_archive`] | what `docker load` reads: one tar |
//! | [`daemon`] | a docker daemon on a unix socket |
//! | [`registry`] | registries: pull, push, credentials |
//! | [`signature`] | the signatures of an artefact |
//! | [`sbom`] | the bills of materials of an image |
//! | [`source`] | an app's source as an image |
//! | [`installed`] | which packages an image's base has |
//! | [`compare`](mod@compare) | where two images begin to differ |
//! | [`validate`](mod@validate) | everything an image promises, checked by reading it |

mod artifact;
pub mod aside;
pub mod builder;
pub mod bundle;
pub mod checked;
pub mod compare;
pub mod component;
pub mod config;
pub mod daemon;
pub mod distribution;
pub mod docker_archive;
pub mod image;
pub mod index;
pub mod installed;
pub mod layout;
pub mod manifest;
mod meter;
pub mod reference;
pub mod registry;
pub mod sbom;
pub mod signature;
pub mod source;
pub mod validate;

pub use artifact::Attachment;
pub use stave_model::json;
pub use validate::validate;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
