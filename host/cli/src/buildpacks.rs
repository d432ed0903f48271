//! The buildpacks, their order and the stack to build with, loaded from what a builder comes to.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use stave_engine::{
    Engine,
    admission::Refusal,
    component::DescribeError,
    load::{LoadError, Loaded},
};
use stave_lifecycle::port::buildpack::Buildpack;
use stave_model::{
    manifest::{About, ManifestError},
    order::Selection,
    policy::trust::names,
};

use crate::{
    builder::{BaseChoice, Builder, Component, Part},
    exit::{CONTRACT, Exit, REFUSED},
    locked::{self, Held},
    policy,
    workshop::Workshop,
};

/// The most buildpacks that are loaded at the same time: each may take much memory while it is compiled.
const MAX_AT_ONCE: usize = 4;

/// What to build with.
pub(crate) struct Equipment {
    /// The base.
    pub(crate) stack: BaseChoice,
    /// Loaded and checked.
    pub(crate) buildpacks: Vec<Arc<dyn Buildpack>>,
    /// Which of them are tried together.
    pub(crate) selection: Selection,
}

/// Loads a builder's buildpacks; where they are held to a lock, only if they are the ones that it names.
pub(crate) fn equip(
    workshop: &Workshop,
    engine: &Engine,
    builder: &Builder,
    lock: Option<&Held>,
) -> Result<Equipment, Exit> {
    let loaded = match lock {
        None => side_by_side(&builder.parts, |part| load(workshop, engine, part, &part.fetch(workshop, false)?))?,
        Some(held) => {
            let inputs = locked::inputs(workshop, builder, false)?;
            held.check_parts(builder, &inputs)?;
            let parts: Vec<(&Part, &Component)> = builder.parts.iter().zip(&inputs.components).collect();
            side_by_side(&parts, |(part, component)| load(workshop, engine, part, component))?
        }
    };
    let abouts: Vec<&About> = loaded.iter().map(|loaded| &loaded.manifest().buildpack).collect();
    let selection = builder.selection(&abouts);
    let buildpacks = loaded.into_iter().map(|loaded| Arc::new(loaded) as Arc<dyn Buildpack>).collect();
    Ok(Equipment { stack: builder.stack.clone(), buildpacks, selection })
}

/// Loads the components of a builder, which come in its sequence, to see whether they could be used with what it grants. What
/// the policy of this machine says of them is for who runs them.
pub(crate) fn load_all(engine: &Engine, builder: &Builder, components: &[Component]) -> Result<Vec<Loaded>, Exit> {
    let parts: Vec<(&Part, &Component)> = builder.parts.iter().zip(components).collect();
    side_by_side(&parts, |(part, component)| {
        let loaded = engine.load(&component.bytes, part.digest, &part.grants);
        loaded.map_err(|error| refused(&part.shown, error))
    })
}

/// Loads a component to run it: with what its builder grants, as far as the policy goes along.
fn load(workshop: &Workshop, engine: &Engine, part: &Part, component: &Component) -> Result<Loaded, Exit> {
    let Component { bytes, signer, .. } = component;
    let signers = signer.iter().flat_map(|joined| names(joined)).map(str::to_owned).collect();
    let allowance = policy::allowance(workshop.policy.as_deref(), bytes, &part.grants, &signers);
    engine.load(bytes, part.digest, allowance).map_err(|error| {
        policy::note_refusal(workshop.ledger.as_ref(), &error);
        refused(&part.shown, error)
    })
}

/// Does `work` on buildpacks, on as many at a time as the machine has cores, up to [`MAX_AT_ONCE`]. The results come in the
/// order in which they are named, and so does the error if several fail. Once one does, no other is begun.
pub(crate) fn side_by_side<T: Sync, R: Send + Sync>(
    named: &[T],
    work: impl Fn(&T) -> Result<R, Exit> + Sync,
) -> Result<Vec<R>, Exit> {
    let done: Vec<OnceLock<Result<R, Exit>>> = named.iter().map(|_| OnceLock::new()).collect();
    let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let turn = || {
        while !is_over.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let (Some(name), Some(place)) = (named.get(at), done.get(at)) else { return };
            if place.get_or_init(|| work(name)).is_err() {
                is_over.store(true, Ordering::Relaxed);
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_AT_ONCE).min(named.len());
    thread::scope(|scope| {
        // This thread is one of them.
        (1..threads).for_each(|_| drop(scope.spawn(turn)));
        turn();
    });
    // They are begun in order, so those that were not are behind the one that failed.
    done.into_iter().map_while(OnceLock::into_inner).collect()
}

/// A buildpack that is not loaded, with the code that says what kind of refusal it is.
pub(crate) fn refused(name: &str, error: LoadError) -> Exit {
    let code = if is_other_contract(&error) { CONTRACT } else { REFUSED };
    let hint = error.hint();
    let exit = Exit::new(code, anyhow::Error::new(error).context(format!("could not load the buildpack {name}")));
    match hint {
        Some(hint) => exit.hint(hint),
        None => exit,
    }
}

fn is_other_contract(error: &LoadError) -> bool {
    match error {
        LoadError::Refused(refusal) => matches!(refusal, Refusal::Contract { .. }),
        LoadError::Describe(error) => is_for_other_contract(error),
        _ => false,
    }
}

/// Whether a component's manifest names another contract than this program speaks.
pub(crate) fn is_for_other_contract(error: &DescribeError) -> bool {
    matches!(error, DescribeError::Manifest(ManifestError::Contract { .. }))
}
