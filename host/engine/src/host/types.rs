//! `types`: the words that the other interfaces share.

use stave_lifecycle::{
    answer::{Asked, GaveUp},
    port::{buildpack, failure},
};
use stave_model::plan;

use super::contract::stave::buildpack::types::{Blame, Error, Failure, Fault, Host, Requirement};
use crate::{
    guest::{CallError, Guest, Refused},
    stop::Stop,
};

/// The kind of an error; a request to stop is none.
fn fault(fault: failure::Fault) -> Result<Fault, Stop> {
    Ok(match fault {
        failure::Fault::Denied => Fault::Denied,
        failure::Fault::NotFound => Fault::NotFound,
        failure::Fault::InvalidInput => Fault::InvalidInput,
        failure::Fault::TooLarge => Fault::TooLarge,
        failure::Fault::Integrity => Fault::Integrity,
        failure::Fault::Network => Fault::Network,
        failure::Fault::Io => Fault::Io,
        failure::Fault::Unsupported => Fault::Unsupported,
        failure::Fault::Cancelled => return Err(Stop::Cancelled),
    })
}

impl Host for Guest {
    fn convert_error(&mut self, error: CallError) -> wasmtime::Result<Error> {
        match error {
            CallError::Answer(Refused { fault: kind, message, hint }) => {
                Ok(Error { fault: fault(kind)?, message, hint })
            }
            CallError::Trap(error) => Err(error),
        }
    }
}

impl From<&plan::Requirement> for Requirement {
    fn from(requirement: &plan::Requirement) -> Self {
        let metadata = requirement.metadata.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        Self { name: requirement.name.clone(), metadata }
    }
}

impl From<Requirement> for Asked {
    fn from(requirement: Requirement) -> Self {
        let Requirement { name, metadata } = requirement;
        Self { name, metadata }
    }
}

impl From<Failure> for GaveUp {
    fn from(failure: Failure) -> Self {
        let Failure { blame, summary, detail, hint, file, line } = failure;
        let blame = match blame {
            Blame::App => buildpack::Blame::App,
            Blame::Buildpack => buildpack::Blame::Buildpack,
            Blame::Environment => buildpack::Blame::Environment,
        };
        Self(buildpack::Failure { blame, summary, detail, hint, file, line })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_keep_what_they_say() {
        let needed =
            plan::Requirement { name: "jre".to_owned(), metadata: [("version".to_owned(), "21".to_owned())].into() };
        let Asked { name, metadata } = Requirement::from(&needed).into();
        assert_eq!((name.as_str(), metadata), ("jre", vec![("version".to_owned(), "21".to_owned())]));
    }

    #[test]
    fn a_failure_keeps_whose_it_is() {
        for (blame, expected) in [
            (Blame::App, buildpack::Blame::App),
            (Blame::Buildpack, buildpack::Blame::Buildpack),
            (Blame::Environment, buildpack::Blame::Environment),
        ] {
            let failure =
                Failure { blame, summary: "no".to_owned(), detail: None, hint: None, file: None, line: Some(3) };
            let GaveUp(failure) = failure.into();
            assert_eq!((failure.blame, failure.summary.as_str(), failure.line), (expected, "no", Some(3)));
        }
    }

    #[test]
    fn faults_keep_their_kind_and_a_request_to_stop_is_none() {
        assert!(fault(failure::Fault::Denied).unwrap() == Fault::Denied);
        assert_eq!(fault(failure::Fault::Cancelled).unwrap_err(), Stop::Cancelled);
    }
}
