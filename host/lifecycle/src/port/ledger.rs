//! Where it is written what each component used and was denied, for whoever decides what it may do.

use stave_model::{digest::Digest, policy::record::Record};

/// Takes in what components did. Called from several threads.
pub trait Ledger: Send + Sync {
    /// Adds what a component used and was denied in one call of detect or build; quick, and never fails.
    fn enter(&self, component: &Digest, record: &Record);
}

/// Writes nothing down: for tests, and for authors who try their own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwritten;

impl Ledger for Unwritten {
    fn enter(&self, _component: &Digest, _record: &Record) {}
}
