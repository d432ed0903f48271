//! What the host holds for one running buildpack: its bench, its sandbox, its limits, and its last words.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stave_lifecycle::{
    port::failure::{Fault, PortError},
    workbench::{Answer, Workbench},
};
use stave_model::digest::Digest;
use wasmtime::component::{Resource, ResourceTable, ResourceTableError};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_io::IoView;

use crate::{
    limits::{Limits, Quota},
    sandbox,
    stop::Stop,
    watch::Watch,
};

/// An opened archive of the app: its number at the workbench.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
#[derive(Debug)]
pub struct Archive(pub(crate) usize);

/// A layer that was begun: its number at the workbench.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
#[derive(Debug)]
pub struct Layer(pub(crate) usize);

/// A fetched artefact: its number at the workbench.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
#[derive(Debug)]
pub struct Artifact(pub(crate) usize);

/// The last error that the buildpack wrote, to explain a crash that follows it.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastWords(Arc<Mutex<String>>);

impl LastWords {
    /// Most bytes that are kept.
    const MOST: usize = 2048;

    fn lock(&self) -> MutexGuard<'_, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was written last, if nothing else was done after it.
    pub(crate) fn get(&self) -> String {
        self.lock().clone()
    }

    /// Something was written. What does not fit is left out.
    pub(crate) fn add(&self, text: &str) {
        let mut words = self.lock();
        let mut end = text.len().min(Self::MOST.saturating_sub(words.len()));
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        words.push_str(&text[..end]);
    }

    /// Something else was done.
    pub(crate) fn forget(&self) {
        self.lock().clear();
    }
}

/// The data of a store.
pub(crate) struct Guest {
    pub(crate) bench: Arc<Workbench>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) last_words: LastWords,
    pub(crate) quota: Quota,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl Guest {
    pub(crate) fn new(bench: &Arc<Workbench>, component: &Digest, watch: &Arc<Watch>, limits: &Limits) -> Self {
        let last_words = LastWords::default();
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        Self {
            bench: Arc::clone(bench),
            watch: Arc::clone(watch),
            quota: Quota::new(limits),
            wasi: sandbox::closed(bench, component, &last_words, limits),
            last_words,
            table,
        }
    }

    /// Asks the bench for something: every call of the contract goes through here.
    pub(crate) fn ask<T>(&mut self, work: impl FnOnce(&Workbench) -> Answer<T>) -> Result<T, CallError> {
        self.last_words.forget();
        work(&self.bench).map_err(CallError::from)
    }

    /// Gives the buildpack a handle.
    pub(crate) fn hand_out<T: Send + 'static>(&mut self, thing: T) -> Result<Resource<T>, CallError> {
        Ok(self.table.push(thing)?)
    }

    /// What a handle stands for.
    pub(crate) fn held<T: 'static>(&self, handle: &Resource<T>) -> Result<&T, CallError> {
        Ok(self.table.get(handle)?)
    }

    /// The buildpack let go of a handle.
    pub(crate) fn let_go<T: 'static>(&mut self, handle: Resource<T>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl IoView for Guest {
    fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }
}

/// An error of the contract: what all its versions say of one.
#[expect(unreachable_pub, reason = "the generated bindings re-export what holds it")]
#[derive(Debug)]
pub struct Refused {
    pub(crate) fault: Fault,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// How a call of the contract fails: with an answer that the buildpack can act on, or so that it goes on no more.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
#[derive(Debug)]
pub enum CallError {
    /// An answer of the contract, in the words of no version of it.
    Answer(Refused),
    /// The end: somebody asked to stop, or a handle is not what it should be.
    Trap(wasmtime::Error),
}

impl From<ResourceTableError> for CallError {
    fn from(error: ResourceTableError) -> Self {
        Self::Trap(error.into())
    }
}

impl From<PortError> for CallError {
    fn from(error: PortError) -> Self {
        if error.fault == Fault::Cancelled {
            return Self::Trap(Stop::Cancelled.into());
        }
        let message = error.sentence();
        Self::Answer(Refused { fault: error.fault, message, hint: error.hint })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_attempt_becomes_an_answer() {
        let port = PortError::new(Fault::NotFound, "read `a`")
            .caused_by(std::io::Error::other("no such thing"))
            .hint("look elsewhere");
        let CallError::Answer(answer) = CallError::from(port) else { panic!("a trap") };
        assert_eq!(answer.fault, Fault::NotFound);
        assert_eq!(answer.message, "read `a`: no such thing");
        assert_eq!(answer.hint.as_deref(), Some("look elsewhere"));
    }

    #[test]
    fn a_request_to_stop_becomes_a_trap() {
        let CallError::Trap(trap) = CallError::from(PortError::cancelled()) else { panic!("an answer") };
        assert_eq!(trap.downcast_ref::<Stop>(), Some(&Stop::Cancelled));
    }

    #[test]
    fn last_words_are_bounded_and_forgotten() {
        let words = LastWords::default();
        words.add("one ");
        words.add("two");
        assert_eq!(words.get(), "one two");
        words.add(&"é".repeat(5000));
        assert!(words.get().len() <= LastWords::MOST);
        words.forget();
        assert_eq!(words.get(), "");
    }
}
