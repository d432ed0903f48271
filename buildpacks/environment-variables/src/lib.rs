//! The environment buildpack: variables of the image's environment from the settings `BPE_…`.
//!
//! What a setting means is decided in `change`, which never asks the host; this file asks it.

mod change;

use stave_sdk::{
    Blame, Buildpack, Failure, Fault, Report, Requirement, Verdict, context,
    layers::{self, EnvScope, Usage},
    log,
};

/// How the names of the settings begin.
const PREFIX: &str = "BPE_";

/// The buildpack.
#[derive(Debug)]
pub struct EnvironmentVariables;

impl Buildpack for EnvironmentVariables {
    fn detect() -> Result<Verdict, Failure> {
        Ok(match context::settings(PREFIX)?.as_slice() {
            [] => Verdict::skip(format!("no setting begins with {PREFIX}")),
            _ => Verdict::pass(),
        })
    }

    fn build(_: &[Requirement]) -> Result<Report, Failure> {
        let (changes, idle) = change::read(&context::settings(PREFIX)?)?;
        let layer = layers::create("environment", Usage::LAUNCH)?;
        for change in &changes {
            let delimiter = change.delimiter.as_deref();
            let set = layer.set_env(&EnvScope::Launch, change.op, &change.name, &change.value, delimiter);
            set.map_err(|error| match error.fault {
                // A name or a value that no image may have was chosen by whoever builds.
                Fault::InvalidInput => Failure { hint: error.hint, ..Failure::environment(error.message) },
                _ => Failure { blame: Blame::Buildpack, ..Failure::from(error) },
            })?;
            log::info(&change::told(change));
        }
        for setting in idle {
            log::warning(&change::idle(&setting));
        }
        Ok(Report::default())
    }
}

stave_sdk::export!(EnvironmentVariables);
