//! Why a buildpack gives up, and whose fault it is.

use std::{any::Any, panic::Location};

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

/// Turns what went wrong in the buildpack's own work into its failure, with the place in its source.
pub trait OrFail<T> {
    /// The buildpack's failure: what was attempted, and why it did not succeed. `attempt` is one line without a full stop, such
    /// as `could not count the jars`. An error of the host keeps its blame and its hint.
    fn or_fail(self, attempt: &str) -> Result<T, Failure>;

    /// The app's failure, in these words; an error is said behind them.
    fn or_blame_app(self, summary: &str) -> Result<T, Failure>;
}

impl<T, E: std::error::Error + 'static> OrFail<T> for Result<T, E> {
    #[track_caller]
    fn or_fail(self, attempt: &str) -> Result<T, Failure> {
        let place = Location::caller();
        self.map_err(|error| match (&error as &dyn Any).downcast_ref::<Error>() {
            Some(error) => {
                Failure { summary: format!("{attempt}: {}", error.message), ..of_host(error.clone(), place) }
            }
            None => Failure::buildpack(format!("{attempt}: {}", chain(&error))).detail(at(place)),
        })
    }

    fn or_blame_app(self, summary: &str) -> Result<T, Failure> {
        self.map_err(|error| match (&error as &dyn Any).downcast_ref::<Error>() {
            Some(error) => Failure::app(format!("{summary}: {}", error.message)),
            None => Failure::app(format!("{summary}: {}", chain(&error))),
        })
    }
}

impl<T> OrFail<T> for Option<T> {
    #[track_caller]
    fn or_fail(self, attempt: &str) -> Result<T, Failure> {
        let place = Location::caller();
        self.ok_or_else(|| Failure::buildpack(attempt).detail(at(place)))
    }

    fn or_blame_app(self, summary: &str) -> Result<T, Failure> {
        self.ok_or_else(|| Failure::app(summary))
    }
}

/// The place in the buildpack's source.
fn at(place: &Location<'_>) -> String {
    format!("at {}:{}", place.file(), place.line())
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// A call that a buildpack does not act upon ends its work. Whose failure that is follows from the fault: what the host's
/// user can mend is the environment's, what only a program can have got wrong is the buildpack's, and says where it asked.
impl From<Error> for Failure {
    #[track_caller]
    fn from(error: Error) -> Self {
        of_host(error, Location::caller())
    }
}

fn of_host(error: Error, place: &Location<'_>) -> Failure {
    let blame = match error.fault {
        Fault::Denied | Fault::Network | Fault::Io | Fault::Integrity => Blame::Environment,
        Fault::NotFound | Fault::InvalidInput | Fault::TooLarge | Fault::Unsupported => Blame::Buildpack,
    };
    let detail = (blame == Blame::Buildpack).then(|| at(place));
    Failure { hint: error.hint, detail, ..Failure::of(blame, error.message) }
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
    fn a_failure_of_the_buildpack_says_where() {
        fn asks() -> Result<(), Failure> {
            Err(Error { fault: Fault::InvalidInput, message: "what".to_owned(), hint: None })?;
            Ok(())
        }
        let here = |failure: &Failure| {
            failure.detail.as_ref().is_some_and(|at| at.starts_with("at ") && at.contains("failure.rs:"))
        };
        let asked = asks().unwrap_err();
        assert!(here(&asked), "{asked:?}");
        let number = "x".parse::<u8>().or_fail("could not count").unwrap_err();
        assert_eq!(
            (number.summary.as_str(), number.blame),
            ("could not count: invalid digit found in string", Blame::Buildpack)
        );
        assert!(here(&number) && here(&None::<()>.or_fail("nothing").unwrap_err()));
        let denied = Error { fault: Fault::Denied, message: "no".to_owned(), hint: Some("ask".to_owned()) };
        let denied = Err::<(), _>(denied).or_fail("could not look").unwrap_err();
        assert_eq!((denied.summary.as_str(), denied.blame), ("could not look: no", Blame::Environment));
        assert_eq!((denied.hint.as_deref(), denied.detail), (Some("ask"), None));
        let app = "x".parse::<u8>().or_blame_app("the port is no number").unwrap_err();
        assert_eq!((app.blame, app.detail), (Blame::App, None));
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
