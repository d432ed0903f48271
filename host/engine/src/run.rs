//! A call into a buildpack: a fresh sandbox, a clock, and an end to everything that goes wrong inside.

use std::{pin::pin, sync::Arc, time::Duration};

use stave_lifecycle::{
    answer,
    port::buildpack::{Buildpack, Report, RunError, Verdict},
    workbench::Workbench,
};
use stave_model::{
    capability::Capabilities, digest::Digest, manifest::Manifest, plan::Requirement, policy::grants::Allowance,
};
use tokio::{runtime, time::timeout};
use wasmtime::{Store, UpdateDeadline};

use crate::{guest::Guest, host::Linked, load::Loaded, stop, watch::Watch};

/// How often a buildpack that waits is looked at.
const LOOK: Duration = Duration::from_millis(20);

impl Buildpack for Loaded {
    fn manifest(&self) -> &Manifest {
        &self.description.manifest
    }

    fn digest(&self) -> Digest {
        self.description.digest
    }

    fn grants(&self) -> &Capabilities {
        self.allowance.may()
    }

    fn allowance(&self) -> Allowance {
        self.allowance.clone()
    }

    fn detect(&self, bench: &Arc<Workbench>) -> Result<Verdict, RunError> {
        let limit = self.engine.limits().detect;
        let told = self.call(bench, limit, async |linked, store| linked.detect(store).await)?;
        answer::verdict(told)
    }

    fn build(&self, bench: &Arc<Workbench>, requirements: &[Requirement]) -> Result<Report, RunError> {
        let limit = self.engine.limits().build;
        let reported = self.call(bench, limit, async |linked, store| linked.build(store, requirements).await)?;
        answer::report(reported, &self.description.manifest.buildpack.id)
    }
}

impl Loaded {
    /// Runs one export in a sandbox of its own, on this thread, which must not be one of an asynchronous runtime.
    fn call<T>(
        &self,
        bench: &Arc<Workbench>,
        limit: Duration,
        export: impl AsyncFnOnce(&Linked, &mut Store<Guest>) -> wasmtime::Result<T>,
    ) -> Result<T, RunError> {
        let linked = self.linked().map_err(|error| RunError::Host(Box::new(error)))?;
        let runtime = runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|error| RunError::Host(Box::new(error)))?;
        let watch = Arc::new(Watch::start(limit, bench.cancel()));
        let mut store = self.store(bench, &watch);
        let last_words = store.data().last_words.clone();
        let _running = self.engine.ticker().run();
        let answer = runtime.block_on(async {
            // While it computes, the epoch's callback looks at the watch; while it waits, this loop does.
            let mut work = pin!(export(linked, &mut store));
            loop {
                if let Ok(answer) = timeout(LOOK, work.as_mut()).await {
                    return answer;
                }
                watch.check()?;
            }
        });
        answer.map_err(|error| stop::explain(&error, &last_words.get(), self.engine.limits()))
    }

    fn store(&self, bench: &Arc<Workbench>, watch: &Arc<Watch>) -> Store<Guest> {
        let limits = self.engine.limits();
        let mut store = Store::new(self.engine.wasmtime(), Guest::new(bench, &self.description.digest, watch, limits));
        store.limiter(|guest| &mut guest.quota);
        store.set_hostcall_fuel(limits.call_bytes);
        store.set_max_component_handles(limits.handles);
        let watch = Arc::clone(watch);
        store.epoch_deadline_callback(move |_| {
            watch.check()?;
            Ok(UpdateDeadline::Continue(1))
        });
        store.set_epoch_deadline(1);
        store
    }
}
