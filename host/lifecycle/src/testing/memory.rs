//! Blobs and results in memory, on a disk that can be full, damaged and garbled.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use stave_archive::content::Span;
use stave_model::digest::Digest;

use super::span;
use crate::port::{
    blobs::{Blobs, NewBlob, Results},
    failure::{Fault, PortError},
};

/// Blobs and results in memory, on a disk that can be full.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Shelves>);

#[derive(Default)]
struct Shelves {
    blobs: Mutex<BTreeMap<Digest, Vec<u8>>>,
    results: Mutex<BTreeMap<Digest, Vec<u8>>>,
    full: AtomicBool,
    written: AtomicU64,
    damages: AtomicU64,
}

impl Memory {
    /// From now on, nothing more can be written.
    pub(crate) fn fill_up(&self) {
        self.0.full.store(true, Ordering::Relaxed);
    }

    /// The digests of all blobs.
    pub(crate) fn digests(&self) -> Vec<Digest> {
        self.0.blobs.lock().unwrap().keys().copied().collect()
    }

    /// How many results there are.
    pub(crate) fn results(&self) -> usize {
        self.0.results.lock().unwrap().len()
    }

    /// Forgets a blob.
    pub(crate) fn lose(&self, digest: &Digest) {
        self.0.blobs.lock().unwrap().remove(digest).unwrap();
    }

    /// Changes a byte of a blob.
    pub(crate) fn damage(&self, digest: &Digest) {
        self.0.blobs.lock().unwrap().get_mut(digest).unwrap()[7] ^= 1;
        self.0.damages.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes the last byte of a blob.
    pub(crate) fn cut(&self, digest: &Digest) {
        self.0.blobs.lock().unwrap().get_mut(digest).unwrap().pop();
    }

    /// Makes every result something that nobody can read.
    pub(crate) fn garble(&self) {
        self.0.results.lock().unwrap().values_mut().for_each(|value| *value = b"{}".to_vec());
    }

    /// How many bytes were ever written.
    pub(crate) fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }
}

impl Blobs for Memory {
    fn get(&self, digest: &Digest) -> Result<Option<Span>, PortError> {
        // A new file of the same size may look to the last tick of the clock like the one before, as a blob's file on a disk does
        // not: what was damaged stands elsewhere in its own.
        let damages = usize::try_from(self.0.damages.load(Ordering::Relaxed)).unwrap();
        let padded = |bytes: &Vec<u8>| span(&[&vec![0; damages], &bytes[..]].concat());
        let part = |bytes: &Vec<u8>| padded(bytes).part(damages as u64, bytes.len() as u64).unwrap();
        Ok(self.0.blobs.lock().unwrap().get(digest).map(part))
    }

    fn discard(&self, digest: &Digest) -> Result<(), PortError> {
        self.0.blobs.lock().unwrap().remove(digest);
        Ok(())
    }

    fn create(&self) -> Result<Box<dyn NewBlob>, PortError> {
        Ok(Box::new(Growing { shelves: self.0.clone(), bytes: Vec::new() }))
    }
}

impl Results for Memory {
    fn get(&self, key: &Digest) -> Option<Vec<u8>> {
        self.0.results.lock().unwrap().get(key).cloned()
    }

    fn put(&self, key: &Digest, value: &[u8]) {
        self.0.results.lock().unwrap().insert(*key, value.to_vec());
    }
}

struct Growing {
    shelves: Arc<Shelves>,
    bytes: Vec<u8>,
}

impl Write for Growing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.shelves.full.load(Ordering::Relaxed) {
            let full = io::Error::from(io::ErrorKind::StorageFull);
            let port = PortError::new(Fault::Io, "could not write a blob").hint("make room on the disk");
            return Err(io::Error::new(full.kind(), port.caused_by(full)));
        }
        self.shelves.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NewBlob for Growing {
    fn keep(self: Box<Self>, digest: &Digest) -> Result<Span, PortError> {
        if *digest != Digest::of(&self.bytes) {
            return Err(PortError::new(
                Fault::Integrity,
                "could not keep a blob: it has another digest than it was given",
            ));
        }
        let kept = span(&self.bytes);
        self.shelves.blobs.lock().unwrap().insert(*digest, self.bytes);
        Ok(kept)
    }
}
