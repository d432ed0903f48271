//! Why a buildpack gives up, and whose fault it is.

pub use crate::bindings::stave::buildpack::types::{Blame, Error, Failure, Fault};

impl Failure {
    /// The app is not as it must be. `summary` is one line without a full stop.
    pub fn app(summary: impl Into<String>) -> Self {
        Self::of(Blame::App, summary.into())
    }

    /// The buildpack has a fault.
    pub fn buildpack(summary: impl Into<String>) -> Self {
        Self::of(Blame::Buildpack, summary.into())
    }

    /// The network, the disk, a registry or a missing grant.
    pub fn environment(summary: impl Into<String>) -> Self {
        Self::of(Blame::Environment, summary.into())
    }

    fn of(blame: Blame, summary: String) -> Self {
        Self { blame, summary, detail: None, hint: None, file: None, line: None }
    }

    /// Says more than fits into one line.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Names the file of the app that it is about.
    #[must_use]
    pub fn file(mut self, path: impl Into<String>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Names the line in that file, counted from 1.
    #[must_use]
    pub fn line(mut self, line: u32) -> Self {
        self.line = Some(line);
        self
    }
}

/// A call that a buildpack does not act upon ends its work. Whose failure that is follows from the fault: what the host's
/// user can mend is the environment's, what only a program can have got wrong is the buildpack's.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let blame = match error.fault {
            Fault::Denied | Fault::Network | Fault::Io | Fault::Integrity => Blame::Environment,
            Fault::NotFound | Fault::InvalidInput | Fault::TooLarge | Fault::Unsupported => Blame::Buildpack,
        };
        Self { hint: error.hint, ..Self::of(blame, error.message) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_whose_it_is_and_what_to_do() {
        let failure = Failure::app("no main class").hint("add one").file("META-INF/MANIFEST.MF").line(3);
        assert_eq!(failure.blame, Blame::App);
        assert_eq!((failure.hint.as_deref(), failure.line), (Some("add one"), Some(3)));
    }

    #[test]
    fn an_error_of_the_host_keeps_its_words() {
        for (fault, blame) in [
            (Fault::Denied, Blame::Environment),
            (Fault::Network, Blame::Environment),
            (Fault::NotFound, Blame::Buildpack),
            (Fault::InvalidInput, Blame::Buildpack),
        ] {
            let error = Error { fault, message: "what".to_owned(), hint: Some("grant it".to_owned()) };
            let failure = Failure::from(error);
            assert_eq!((failure.blame, failure.summary.as_str()), (blame, "what"));
            assert_eq!(failure.hint.as_deref(), Some("grant it"));
        }
    }
}
