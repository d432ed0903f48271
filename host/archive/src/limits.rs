//! How much an archive or a folder may hold. Whoever made it chose its numbers; these are ours.

use crate::tree::MAX_ENTRIES;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Output up to this size is never held against an archive's [`Limits::ratio`]: small text packs very well.
pub const RATIO_FREE: u64 = 64 * MIB;

/// Caps for reading one archive or indexing one folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most files, links and folders, at most [`MAX_ENTRIES`].
    pub entries: usize,
    /// The most bytes of all files together, unpacked.
    pub total_bytes: u64,
    /// The most bytes of one file, unpacked.
    pub entry_bytes: u64,
    /// How many bytes one packed byte may become, once more than [`RATIO_FREE`] bytes came out.
    ///
    /// Deflate ends at 1032, the others go far beyond. What people ship (runtimes, libraries, sources, tables) stays below
    /// 30, so 200 leaves room and still stops a bomb after its first 64 MiB.
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: MAX_ENTRIES, total_bytes: 8 * GIB, entry_bytes: 4 * GIB, ratio: 200 }
    }
}

impl Limits {
    /// Whether `unpacked` bytes out of `packed` ones are more than an honest archive holds.
    pub fn is_bomb(&self, packed: u64, unpacked: u64) -> bool {
        unpacked > RATIO_FREE && unpacked / packed.max(1) > self.ratio
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_counts_only_once_much_came_out() {
        let limits = Limits::default();
        for (packed, unpacked, bomb) in [
            (0, RATIO_FREE, false),
            (1, RATIO_FREE, false),
            (MIB, 100 * MIB, false),
            (MIB, 202 * MIB, true),
            (0, GIB, true),
        ] {
            assert_eq!(limits.is_bomb(packed, unpacked), bomb, "{packed} {unpacked}");
        }
    }
}
