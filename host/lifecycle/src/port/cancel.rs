//! A way to stop: set by Ctrl-C, looked at between pieces of work.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::failure::PortError;

/// Shared by everything that one run does. Once set it stays set.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Set when somebody sets `flag`.
    pub fn of(flag: Arc<AtomicBool>) -> Self {
        Self(flag)
    }

    /// Asks everything to stop.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked to stop.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The flag itself, for code below this crate and for signal handlers.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    /// An error if somebody asked to stop.
    pub fn check(&self) -> Result<(), PortError> {
        if self.is_set() { Err(PortError::cancelled()) } else { Ok(()) }
    }
}
