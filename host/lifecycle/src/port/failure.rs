//! How a port says that it could not do what it was asked to do.

use std::{error::Error, fmt, io};

/// What kind of thing went wrong, as the contract's `fault` has it, and how the program ends because of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not allowed.
    Denied,
    /// Not there.
    NotFound,
    /// Not what it should look like.
    InvalidInput,
    /// Over a limit.
    TooLarge,
    /// Not the promised bytes.
    Integrity,
    /// A server could not be reached or did not answer as it should.
    Network,
    /// The disk failed or is full.
    Io,
    /// Not a known format.
    Unsupported,
    /// Somebody asked to stop.
    Cancelled,
}

/// A failed attempt of a port: what was attempted, what a person could do, and the cause as `source`.
#[derive(Debug)]
pub struct PortError {
    /// What kind of thing went wrong.
    pub fault: Fault,
    /// What was attempted, on what. Lower case, no full stop, without the cause.
    pub attempt: String,
    /// What a person could do about it.
    pub hint: Option<String>,
    /// The cause.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl PortError {
    /// An attempt that failed without a further cause.
    pub fn new(fault: Fault, attempt: impl Into<String>) -> Self {
        Self { fault, attempt: attempt.into(), hint: None, source: None }
    }

    /// The same with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same with something a person could do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// An attempt that failed while bytes were read or written. Contents that are fetched when they are opened, and blobs
    /// that are written to a full disk, put a [`PortError`] into their [`io::Error`]: its fault and hint are passed on.
    /// Anything else is `otherwise`.
    pub fn of_io(attempt: impl Into<String>, otherwise: Fault, error: io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Self>());
        let (fault, hint) = inner.map_or((otherwise, None), |inner| (inner.fault, inner.hint.clone()));
        Self { fault, attempt: attempt.into(), hint, source: Some(error.into()) }
    }

    /// Somebody asked to stop.
    pub fn cancelled() -> Self {
        Self::new(Fault::Cancelled, "stopped on request")
    }
}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.attempt)
    }
}

impl Error for PortError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
