//! Where bytes are kept by their digest, and small results by their key.

use std::io::Write;

use stave_archive::content::Span;
use stave_model::digest::Digest;

use super::failure::PortError;

/// Content-addressed bytes. A blob is there whole or not at all.
pub trait Blobs: Send + Sync {
    /// The blob, if it is there.
    fn get(&self, digest: &Digest) -> Result<Option<Span>, PortError>;

    /// Takes away a blob whose bytes turned out not to have its digest, so that the right ones can take its place.
    fn discard(&self, digest: &Digest) -> Result<(), PortError>;

    /// Begins a blob whose digest will be known at its end. Dropping it leaves nothing behind.
    fn create(&self) -> Result<Box<dyn NewBlob>, PortError>;
}

/// A blob that is being written.
pub trait NewBlob: Write + Send {
    /// Keeps what was written under `digest`. The caller vouches that it is the digest of what was written: it has hashed
    /// the bytes on their way here, and hashing them again would double the cost.
    fn keep(self: Box<Self>, digest: &Digest) -> Result<Span, PortError>;
}

/// Results of work under the hash of its inputs. May forget at any time: a miss only costs time.
pub trait Results: Send + Sync {
    /// What was kept under `key`.
    fn get(&self, key: &Digest) -> Option<Vec<u8>>;

    /// Keeps kilobytes, at most a few megabytes, under `key`. A failure is not worth stopping for.
    fn put(&self, key: &Digest, value: &[u8]);
}
