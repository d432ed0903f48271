//! Finds and fetches declared dependencies through the registry settings of the user's own tools.
//!
//! A dependency is named by package URL and pinned by digest; it has no address. Where its ecosystem's registry is comes
//! from Stave's own configuration, else from the settings that pip, npm and Maven already have on this machine, else
//! from the tool itself: the default of each registry is known to its own tool and written nowhere here. So a mirror,
//! an air-gapped folder or a company's certificate is a setting that the user has made once, for all tools.
//!
//! ```text
//! (dependency, artefact) ─► blob store? ─► settings ─► locate ─► places ─► fetch, hash, compare ─► blob store
//! ```
//!
//! | Module | Holds |
//! |---|---|
//! | [`fetch`] | the port: from a declared artefact to a verified blob |
//! | [`locate`] | one file an ecosystem: from a package URL to places where its file may be |
//! | [`registry`] | a registry: an address or a folder, its layout, its credentials |
//! | [`settings`] | which registries there are: ours, pip's, npm's, Maven's |
//! | [`prospect`] | where something would be fetched from, without fetching |
//! | [`machine`] | what settings are read from: variables, files, programs |

pub mod fetch;
pub mod locate;
pub mod machine;
pub mod prospect;
pub mod registry;
pub mod settings;

pub use fetch::Packages;
