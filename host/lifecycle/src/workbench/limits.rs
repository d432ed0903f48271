//! What one buildpack may use up at its bench. Time and memory of the guest itself are the engine's to limit.

use stave_archive::limits::Limits as ArchiveLimits;

/// Caps for one call of detect or build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file that is read into the guest.
    pub read_bytes: u64,
    /// Bytes of one file that the guest writes.
    pub write_bytes: u64,
    /// Results of one query.
    pub results: usize,
    /// Layers.
    pub layers: usize,
    /// Archives and artefacts that are open.
    pub open: usize,
    /// Bytes of messages; what comes after is left out.
    pub log_bytes: u64,
    /// Names and values of one layer's metadata, together.
    pub metadata_bytes: usize,
    /// For archives in the app, artefacts and layers.
    pub archive: ArchiveLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            read_bytes: 16 << 20,
            write_bytes: 16 << 20,
            results: 100_000,
            layers: 64,
            open: 256,
            log_bytes: 1 << 20,
            metadata_bytes: 64 << 10,
            archive: ArchiveLimits::default(),
        }
    }
}
