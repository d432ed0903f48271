//! Which blobs of the store are known to have their digest, by the marks of the files that were compared.
//!
//! Hashing all layers of an image takes longer than everything else a repeated build does. So a blob is read once, and again
//! only if its file is another one or was written since ([`stave_archive::seen::Stat::mark`]).

use std::collections::{BTreeMap, BTreeSet};

use stave_archive::content::Span;
use stave_model::digest::Digest;

/// Marks by digest, as they are kept in the store's folder.
#[derive(Debug, Default)]
pub(super) struct Checked {
    marks: BTreeMap<Digest, String>,
    is_new: bool,
}

impl Checked {
    /// What was kept. What cannot be read is not known: it costs reading blobs again.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        Self { marks: serde_json::from_slice(bytes).unwrap_or_default(), is_new: false }
    }

    /// Whether this file was compared with the digest, and is as it was then.
    pub(super) fn knows(&self, digest: &Digest, file: &Span) -> bool {
        let mark = file.stat().map(|stat| stat.mark()).ok();
        mark.is_some_and(|mark| self.marks.get(digest) == Some(&mark))
    }

    /// Takes in that this file has the digest.
    pub(super) fn learn(&mut self, digest: &Digest, file: &Span) {
        // Without a mark the blob is read the next time, and nothing worse.
        if let Ok(stat) = file.stat() {
            self.marks.insert(*digest, stat.mark());
            self.is_new = true;
        }
    }

    /// What to keep of all that is known. None if that is what was kept before.
    pub(super) fn all_bytes(&self) -> Option<Vec<u8>> {
        self.is_new.then(|| serde_json::to_vec(&self.marks).ok()).flatten()
    }

    /// What to keep of the blobs that are in use. None if that is what was kept before.
    pub(super) fn bytes(&mut self, used: &BTreeSet<Digest>) -> Option<Vec<u8>> {
        let before = self.marks.len();
        self.marks.retain(|digest, _| used.contains(digest));
        let is_new = self.is_new || self.marks.len() != before;
        is_new.then(|| serde_json::to_vec(&self.marks).ok()).flatten()
    }
}
