//! What one buildpack may use up at its bench. Time and memory of the guest itself are the engine's to limit.

use stave_archive::limits::Limits as ArchiveLimits;

/// Caps for one call of detect or build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file that is read into the guest.
    pub read_bytes: u64,
    /// Bytes of one file that the guest writes.
    pub write_bytes: u64,
    /// Bytes of all files that the guest writes: they are held in memory until they are exported.
    pub written_bytes: u64,
    /// Results of one query.
    pub results: usize,
    /// Layers.
    pub layers: usize,
    /// Archives of the app that are opened, and likewise artefacts that are fetched.
    pub open: usize,
    /// Files, folders and links of all archives, artefacts and layers together: their index is held in memory.
    pub nodes: usize,
    /// Bytes on disk of what is unpacked from compressed streams; checked before each archive.
    pub spool_bytes: u64,
    /// Bytes of messages; what comes after is left out.
    pub log_bytes: u64,
    /// Names and values of one layer's metadata, together.
    pub metadata_bytes: usize,
    /// Parts of one layer that stand in the bill of materials.
    pub parts: usize,
    /// For archives in the app, artefacts and layers.
    pub archive: ArchiveLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            read_bytes: 16 << 20,
            write_bytes: 16 << 20,
            written_bytes: 256 << 20,
            results: 100_000,
            layers: 64,
            open: 256,
            nodes: 2_000_000,
            spool_bytes: 16 << 30,
            log_bytes: 1 << 20,
            metadata_bytes: 64 << 10,
            parts: 10_000,
            archive: ArchiveLimits::default(),
        }
    }
}
