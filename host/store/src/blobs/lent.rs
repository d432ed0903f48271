//! Blobs that a layout in the data folder lends: what came with a builder that is kept there, most of all with a bundle, is had
//! where there is no network. Nothing of it is copied into the cache, and no limit of the cache throws it out.

use stave_archive::content::{Content as _, Span};
use stave_lifecycle::port::observer::Level;
use stave_model::digest::Digest;

use super::{DiskBlobs, is_known, learn};
use crate::files;

impl DiskBlobs {
    /// The same, and what the folder `blobs` of a layout has: files that are called by the digits of their digests.
    #[must_use]
    pub fn lent_by(self, blobs: std::path::PathBuf) -> Self {
        Self { lender: Some(blobs), ..self }
    }

    /// What the lender has of it, compared like the cache's own. It is not the cache's to take away if it is damaged.
    pub(super) fn lent(&self, digest: &Digest) -> Option<Span> {
        let span = files::open(&self.lender.as_ref()?.join(digest.hex())).ok()??;
        if is_known(&self.marks, digest, &span) {
            return Some(span);
        }
        if span.digest().ok()? == *digest {
            learn(&self.marks, digest, &span);
            return Some(span);
        }
        let text = format!("the kept builders' copy of {digest} is damaged: import or create again what it belongs to");
        self.told.tell(Level::Warning, text);
        None
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use stave_lifecycle::port::blobs::Blobs as _;

    use super::*;
    use crate::folders::{CACHE_VARIABLE, Folder};

    #[test]
    fn what_the_cache_has_not_is_lent() {
        let temp = tempfile::tempdir().unwrap();
        let lender = temp.path().join("builders/blobs/sha256");
        fs::create_dir_all(&lender).unwrap();
        let cache = Folder::open(temp.path().join("cache"), CACHE_VARIABLE).unwrap();
        let blobs = DiskBlobs::open(&cache).unwrap().lent_by(lender.clone());
        let digest = Digest::of(b"lent");
        let place = lender.join(digest.hex());
        assert!(blobs.get(&digest).unwrap().is_none());
        fs::write(&place, "lent").unwrap();
        for _ in 0..2 {
            assert_eq!(blobs.get(&digest).unwrap().unwrap().bytes(9).unwrap(), b"lent");
        }
        assert!(!blobs.path(&digest).exists(), "nothing was copied");
        // What is not it is not given, and stays: others may want to know.
        fs::remove_file(&place).unwrap();
        fs::write(&place, "bent!").unwrap();
        assert!(blobs.get(&digest).unwrap().is_none() && place.exists());
        blobs.discard(&digest).unwrap();
        assert!(place.exists());
        fs::remove_file(&place).unwrap();
        fs::write(temp.path().join("elsewhere"), "lent").unwrap();
        symlink(temp.path().join("elsewhere"), &place).unwrap();
        assert!(blobs.get(&digest).unwrap().is_none(), "a link is not followed");
    }
}
