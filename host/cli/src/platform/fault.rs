//! Whose fault it is that a build failed: of what is nobody's, the platform tries the same again.

use std::error::Error;

use stave_lifecycle::port::{
    buildpack::{Blame, RunError},
    failure::Fault as PortFault,
};
use stave_platform::{
    port::Failed,
    resource::build::{Build, Failure, Fault, Outcome},
};
use stave_transport::{Error as TransportError, redirect::Refusal};

use super::OTHERWISE;
use crate::exit::{BUILDPACK, EXPORT, Exit, NO_GROUP};

/// What a way of ending says about a build.
pub(super) fn outcome(exit: &Exit) -> Outcome {
    let last_line = exit.render().lines().rfind(|line| !line.starts_with("hint: ")).map(str::to_owned);
    Outcome::Failed(Failure { fault: of(exit), message: exit.summary(), last_line })
}

/// The same about something else that was attempted.
pub(super) fn failed(attempt: impl Into<String>, exit: Exit) -> Failed {
    Failed::new(of(&exit), attempt).caused_by(exit.into_error())
}

/// Whose fault it is. A network or a disk underneath is nobody's, whoever ran into it.
fn of(exit: &Exit) -> Fault {
    if let Some(PortFault::Network | PortFault::Io) = exit.port_fault() {
        return Fault::Transient;
    }
    if let Some(failed) = cause::<Failed>(exit.error()) {
        return failed.fault;
    }
    match cause::<RunError>(exit.error()) {
        Some(RunError::Refused(failure)) if failure.blame == Blame::App => Fault::App,
        Some(RunError::Refused(failure)) if failure.blame == Blame::Buildpack => Fault::Buildpack,
        Some(RunError::Stopped { .. } | RunError::BadAnswer(_) | RunError::Leak { .. }) => Fault::Buildpack,
        _ if exit.code == NO_GROUP => Fault::App,
        _ => Fault::Refused,
    }
}

/// Whether it is that a host of a private network was not asked.
pub(super) fn is_private(error: &(dyn Error + 'static)) -> bool {
    let is_led_there = |error: &TransportError| matches!(error, TransportError::Redirect { why: Refusal::Private, .. });
    cause::<TransportError>(error)
        .is_some_and(|error| matches!(error, TransportError::Private { .. }) || is_led_there(error))
}

/// The first of this kind among the causes.
fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The exit code of a command whose build failed.
pub(super) fn code(build: &Build) -> u8 {
    match build.failure().map(|failure| failure.fault) {
        Some(Fault::App | Fault::Buildpack) => BUILDPACK,
        Some(Fault::Transient) => EXPORT,
        _ => OTHERWISE,
    }
}
