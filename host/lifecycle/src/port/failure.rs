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
    /// What was attempted, on what, as a clause that stands alone and before `: ` and its cause: ``could not read `x` ``.
    /// Lower case, no full stop.
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

    /// The first error of a port in a chain of causes, also where it travels in an [`io::Error`]: whoever shows the chain finds
    /// the fault and the hint there.
    pub fn within<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(found);
            }
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            if let Some(found) = inner.and_then(|inner| Self::within(inner)) {
                return Some(found);
            }
            next = error.source();
        }
        None
    }

    /// The attempt and its causes in one line, as a buildpack is told.
    pub fn sentence(&self) -> String {
        let mut text = self.to_string();
        let mut next = self.source();
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
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

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> io::Error {
        let port = PortError::new(Fault::Io, "could not write a blob").hint("make room");
        io::Error::new(io::ErrorKind::StorageFull, port.caused_by(io::Error::from(io::ErrorKind::StorageFull)))
    }

    #[test]
    fn a_port_s_error_is_found_through_bytes() {
        let outer = PortError::of_io("could not put a file into a layer", Fault::Integrity, full());
        assert_eq!((outer.fault, outer.hint.as_deref()), (Fault::Io, Some("make room")));
        assert_eq!(outer.source().unwrap().to_string(), "could not write a blob");
        let plain = PortError::of_io("could not read `x`", Fault::Integrity, io::ErrorKind::UnexpectedEof.into());
        assert_eq!((plain.fault, plain.hint), (Fault::Integrity, None));
    }

    #[test]
    fn a_port_s_error_is_found_in_a_chain() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] io::Error);
        assert_eq!(PortError::within(&Outer(full())).unwrap().hint.as_deref(), Some("make room"));
        assert!(PortError::within(&Outer(io::Error::other("x"))).is_none());
        assert!(PortError::within(&PortError::cancelled()).is_some());
    }
}
