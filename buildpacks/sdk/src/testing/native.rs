//! A buildpack that is compiled for this machine, in the form in which the lifecycle runs any.

use std::{marker::PhantomData, sync::Arc};

use stave_lifecycle::{
    answer::panicked,
    port::{
        buildpack::{Buildpack as Runnable, Report, RunError, Verdict},
        observer::Level,
    },
    workbench::Workbench,
};
use stave_model::{capability::Capabilities, digest::Digest, manifest::Manifest, plan::Requirement};

use super::{backend, convert};
use crate::{Buildpack, crash};

/// It is granted what it asks for, and what every buildpack has.
pub(super) struct Native<'a, B> {
    manifest: &'a Manifest,
    grants: Capabilities,
    which: PhantomData<fn() -> B>,
}

impl<'a, B> Native<'a, B> {
    pub(super) fn new(manifest: &'a Manifest) -> Self {
        Self { manifest, grants: manifest.asks.clone().with_always(), which: PhantomData }
    }
}

impl<B: Buildpack> Runnable for Native<'_, B> {
    fn manifest(&self) -> &Manifest {
        self.manifest
    }

    /// There is no component. Nothing is remembered of a test, so that nothing depends on it.
    fn digest(&self) -> Digest {
        Digest::of(self.manifest.title().as_bytes())
    }

    fn grants(&self) -> &Capabilities {
        &self.grants
    }

    fn detect(&self, bench: &Arc<Workbench>) -> Result<Verdict, RunError> {
        convert::verdict(run(bench, B::detect)?)
    }

    fn build(&self, bench: &Arc<Workbench>, requirements: &[Requirement]) -> Result<Report, RunError> {
        let requirements: Vec<_> = requirements.iter().cloned().map(convert::requirement_back).collect();
        convert::report(run(bench, || B::build(&requirements))?, &self.manifest.buildpack.id)
    }
}

/// Runs an export at a bench. A panic is told to the log and ends the run, as it does in a component.
fn run<T>(bench: &Arc<Workbench>, export: impl FnOnce() -> T) -> Result<T, RunError> {
    backend::at(bench, || crash::caught(export)).map_err(|words| {
        bench.log(Level::Error, &words);
        RunError::Stopped { reason: panicked(&bench.hidden(&words)), source: None }
    })
}
