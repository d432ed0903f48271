//! Composes a stack image from a distribution's signed packages: no root, no `dpkg`, no container.
//!
//! ```text
//! stack.toml ─► sources ─► archive ────────► resolve ─► fetch ─► rootfs + configuration ─► layers ─► image
//!               apt's or   InRelease signed,  pure,      by       one tree, merged /usr,    reproducible
//!               configured indexes by hash    with why   digest   no script runs
//! ```
//!
//! | Module | Does |
//! |---|---|
//! | [`definition`] | `stack.toml` |
//! | [`settings`] | what it depends on beside that |
//! | [`sources`], [`keyring`] | where archives are, and whose keys count |
//! | [`paragraph`], [`relation`] | Debian's text format, and how packages refer to each other |
//! | [`signature`], [`release`], [`packages`] | what an archive offers, verified |
//! | [`archive`], [`fetch`] | the same over the network |
//! | [`resolve`] | which packages, and why |
//! | [`rootfs`], [`configuration`] | packages to a tree, and what installers would have added |
//! | [`image`], [`lock`] | the image's configuration, the record of its packages |
//! | [`compose`] | all of it in order |

pub mod archive;
pub mod compose;
pub mod configuration;
pub mod definition;
pub mod fetch;
pub mod image;
pub mod keyring;
pub mod lock;
pub mod packages;
pub mod paragraph;
pub mod relation;
pub mod release;
pub mod resolve;
pub mod rootfs;
pub mod settings;
pub mod signature;
pub mod sources;
