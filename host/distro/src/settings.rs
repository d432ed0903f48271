//! How stacks are composed on this machine.

use std::path::PathBuf;

use crate::sources::Mirrors;

/// 1980-01-01T00:00:01Z, the time that everything in a CNB image has.
const CREATED: u64 = 315_532_801;

/// What composing depends on beside the definition.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Archives from Stave's configuration.
    pub mirrors: Mirrors,
    /// Where this machine's own files begin: apt's sources and keyrings are looked for below it.
    pub root: PathBuf,
    /// A folder for what is unpacked, on a disk with room for it. Nothing in it has a name.
    pub scratch: PathBuf,
    /// The time, in seconds since 1970: what has expired is judged by it.
    pub now: u64,
    /// When the image says it was made, in seconds since 1970 (`SOURCE_DATE_EPOCH`). Files always say 1980.
    pub created: u64,
    /// Whether a Release file's `Valid-Until` counts. Off for all archives at once; a source can say so for itself.
    pub check_valid_until: bool,
}

impl Settings {
    /// The usual settings of a machine, at the time `now` in seconds since 1970.
    pub fn new(scratch: PathBuf, now: u64) -> Self {
        let (mirrors, root) = (Mirrors::default(), PathBuf::from("/"));
        Self { mirrors, root, scratch, now, created: CREATED, check_valid_until: true }
    }
}
