//! The buildpacks, their order and the stack to build with: from a builder.toml, or those inside the program.

use std::{
    path::{Path, PathBuf},
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
    builder::{Builder, StackReference},
    manifest::ManifestError,
    order::{Group, Member, Order, Selection},
};

use crate::{
    config::read_capped,
    embedded,
    exit::{CONTRACT, Exit, REFUSED, USAGE},
};

/// The most buildpacks that are loaded at the same time: each may take much memory while it is compiled.
const MAX_AT_ONCE: usize = 4;

/// What to build with.
pub(crate) struct Equipment {
    /// The base; none for the stack inside the program.
    pub(crate) stack: Option<StackReference>,
    /// What relative paths of the stack start from.
    pub(crate) folder: PathBuf,
    /// Loaded and checked.
    pub(crate) buildpacks: Vec<Arc<dyn Buildpack>>,
    /// Which of them are tried together.
    pub(crate) selection: Selection,
}

/// Loads what a builder names, or what is inside the program.
pub(crate) fn equip(engine: &Engine, builder: Option<&Path>) -> Result<Equipment, Exit> {
    match builder {
        Some(path) => from_file(engine, path),
        None => built_in(engine),
    }
}

fn built_in(engine: &Engine) -> Result<Equipment, Exit> {
    let buildpacks = side_by_side(&embedded::BUILDPACKS, |embedded| {
        let loaded = engine.load(embedded.component, None, &embedded::grants(embedded.component));
        loaded.map_err(|error| refused(&format!("builtin:{}", embedded.name), error))
    })?;
    let group = |names: &&[(&str, bool)]| {
        let members = names.iter().filter_map(|(name, optional)| {
            let index = embedded::BUILDPACKS.iter().position(|buildpack| buildpack.name == *name)?;
            Some(member(&buildpacks[index], *optional))
        });
        Group { group: members.collect() }
    };
    let selection = embedded::ORDER.iter().map(group).collect::<Order>().into();
    Ok(Equipment { stack: None, folder: PathBuf::from("."), buildpacks, selection })
}

fn from_file(engine: &Engine, path: &Path) -> Result<Equipment, Exit> {
    let shown = path.display();
    let unreadable =
        |error: anyhow::Error| Exit::new(USAGE, error.context(format!("could not read the builder {shown}")));
    let text = read_capped(path).map_err(|error| unreadable(error.into()))?;
    let builder = Builder::parse(&text).map_err(|error| unreadable(error.into()))?;
    let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
    let buildpacks = side_by_side(&builder.buildpacks, |reference| {
        let built_in = reference.path.strip_prefix("builtin:");
        let found = built_in.and_then(|name| embedded::BUILDPACKS.into_iter().find(|buildpack| buildpack.name == name));
        let loaded = match found {
            Some(embedded) => engine.load(embedded.component, reference.digest, &reference.grants),
            None => engine.load_file(&folder.join(&reference.path), reference.digest, &reference.grants),
        };
        loaded.map_err(|error| refused(&reference.path, error))
    })?;
    let selection = builder.selection(|| one_group(&buildpacks));
    Ok(Equipment { stack: Some(builder.stack), folder, buildpacks, selection })
}

/// Loads buildpacks, as many at a time as the machine has cores, up to [`MAX_AT_ONCE`]. They come in the order in which they
/// are named, and so does the error if several are refused. Once one is, no other is begun.
fn side_by_side<T: Sync>(
    named: &[T],
    load: impl Fn(&T) -> Result<Loaded, Exit> + Sync,
) -> Result<Vec<Arc<dyn Buildpack>>, Exit> {
    let loaded: Vec<OnceLock<Result<Loaded, Exit>>> = named.iter().map(|_| OnceLock::new()).collect();
    let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        while !is_over.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let (Some(name), Some(place)) = (named.get(at), loaded.get(at)) else { return };
            if place.get_or_init(|| load(name)).is_err() {
                is_over.store(true, Ordering::Relaxed);
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_AT_ONCE).min(named.len());
    thread::scope(|scope| {
        // This thread is one of them.
        (1..threads).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    // They are begun in order, so those that were not are behind the one that was refused.
    let loaded = loaded.into_iter().map_while(OnceLock::into_inner);
    loaded.map(|loaded| loaded.map(|loaded| Arc::new(loaded) as Arc<dyn Buildpack>)).collect()
}

/// All of them in one group, each optional: whoever has something to do takes part.
fn one_group(buildpacks: &[Arc<dyn Buildpack>]) -> Order {
    vec![Group { group: buildpacks.iter().map(|buildpack| member(buildpack, buildpacks.len() > 1)).collect() }]
}

/// A buildpack as a group names it.
fn member(buildpack: &Arc<dyn Buildpack>, optional: bool) -> Member {
    let about = &buildpack.manifest().buildpack;
    Member { id: about.id.clone(), version: Some(about.version.clone()), optional, exec_env: Vec::new() }
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
