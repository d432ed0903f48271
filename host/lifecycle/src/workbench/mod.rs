//! The one place where a buildpack's wishes become effects.
//!
//! Whatever runs a buildpack translates its calls into calls of a [`Workbench`] and its answers back, nothing more. Grants,
//! phases and limits are checked here, before any effect, for every contract version alike; a denial is an error that names
//! the grant to add. Nearly all of it is tested without a guest.
//!
//! Nothing here writes a layer's file to a disk: a layer is a tree whose files know where their bytes are, and a *recipe*,
//! a key over everything that was done to it. At export a recipe that was met before is a layer that is there already.
//!
//! Every call is noted in a `journal`, so that a buildpack whose questions would all be answered as before need not run
//! again ([`crate::memory`]). A new call asks through `asking`, does through `doing`, or follows from earlier ones (`judging`).

mod app;
mod artifacts;
mod bindings;
mod journal;
mod layers;
mod leaks;
mod limits;
mod log;
mod looks;
mod overlay;
mod previous;
mod replay;
mod sbom;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use stave_archive::{
    glob::Globs,
    spool::Spool,
    tree::{Node, Tree, TreePath},
};
use stave_model::{
    binding::Bindings,
    capability::{Excess, Interface},
    id::{BuildpackId, ExecEnv},
    manifest::Manifest,
    policy::{
        grants::Allowance,
        record::{Record, Withholder},
    },
    target::Target,
};

use self::journal::{Call, Journal, Said};
pub(crate) use self::replay::Remembered;
pub use self::{
    app::{Entry, Kind},
    artifacts::{Available, Unpacking},
    bindings::Service,
    layers::DraftLayer,
    limits::Limits,
    looks::{Look, Sight},
    sbom::Part,
};
use crate::{
    memory::Memory,
    port::{
        artifacts::ArtifactSource,
        cancel::Cancel,
        failure::{Fault, PortError},
        ledger::Ledger,
        observer::Observer,
    },
    previous::Previous,
};

/// What a call to the workbench answers.
pub type Answer<T> = Result<T, PortError>;

/// Which of its two exports the buildpack is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It looks at the app.
    Detect,
    /// It does its work.
    Build,
}

/// What all workbenches of one run share.
#[derive(Clone)]
pub struct Shop {
    /// What the image is for.
    pub target: Target,
    /// The execution environment that the image is for.
    pub exec_env: ExecEnv,
    /// What the user chose, by name.
    pub settings: Arc<BTreeMap<String, String>>,
    /// Service bindings that the user handed over, by name.
    pub bindings: Arc<Bindings>,
    /// Where dependencies come from.
    pub artifacts: Arc<dyn ArtifactSource>,
    /// Who is told.
    pub observer: Arc<dyn Observer>,
    /// Where it is written what each component used and was denied.
    pub ledger: Arc<dyn Ledger>,
    /// Whether to stop.
    pub cancel: Cancel,
    /// A folder on a disk for temporary files without a name.
    pub scratch: PathBuf,
    /// What one buildpack may use up.
    pub limits: Limits,
    /// What is known of earlier runs.
    pub memory: Memory,
    /// What the previous build of the image left.
    pub previous: Arc<Previous>,
}

/// A buildpack's place of work for one call of detect or build.
pub struct Workbench {
    shop: Shop,
    manifest: Manifest,
    allowed: Allowance,
    phase: Phase,
    state: Mutex<State>,
}

/// What changes while the buildpack works.
struct State {
    app: Arc<Tree>,
    /// Where it wrote files over the app.
    overlaid: BTreeSet<TreePath>,
    layers: Vec<DraftLayer>,
    archives: Vec<Tree>,
    artifacts: Vec<artifacts::Fetched>,
    spool: Option<Spool>,
    logged: u64,
    written: u64,
    /// What was read of bindings.
    secrets: Vec<bindings::Read>,
    journal: Journal,
    record: Record,
}

impl State {
    /// Puts a layer on the bench; the answer stands for it.
    fn begins(&mut self, layer: DraftLayer) -> usize {
        self.layers.push(layer);
        self.layers.len() - 1
    }

    /// How many files, folders and links all trees hold that this buildpack had read or made.
    fn nodes(&self) -> usize {
        let opened = self.archives.iter().chain(self.artifacts.iter().filter_map(artifacts::Fetched::tree));
        opened.chain(self.layers.iter().map(|layer| &layer.tree)).map(Tree::len).sum()
    }

    /// Refuses `more` nodes beyond the limit; what is opened is counted once more for each layer that it is put into.
    fn room_for(&self, more: usize, limits: &Limits, attempt: &str) -> Answer<()> {
        if self.nodes().saturating_add(more) <= limits.nodes {
            return Ok(());
        }
        let limit = limits.nodes;
        let attempt = format!("{attempt}: a buildpack opens and makes at most {limit} files and folders in all");
        Err(PortError::new(Fault::TooLarge, attempt))
    }

    /// Refuses `bytes` of a file that the guest writes, if they are too many, alone or with what it wrote before.
    fn room_to_write(&self, bytes: usize, limits: &Limits, attempt: &str) -> Answer<()> {
        let bytes = bytes as u64;
        let Limits { write_bytes, written_bytes, .. } = *limits;
        let rule = if bytes > write_bytes {
            format!("a file has at most {write_bytes} bytes")
        } else if self.written.saturating_add(bytes) > written_bytes {
            format!("the files that a buildpack writes itself have at most {written_bytes} bytes in all")
        } else {
            return Ok(());
        };
        Err(PortError::new(Fault::TooLarge, format!("{attempt}: {rule}")))
    }
}

/// What a build leaves on its bench.
#[derive(Debug)]
pub struct Work {
    /// Layers, in the order of their names.
    pub layers: Vec<DraftLayer>,
    /// The app with the buildpack's changes laid over it.
    pub app: Arc<Tree>,
}

impl Workbench {
    /// A bench for one call of one buildpack, with the app as earlier buildpacks left it.
    pub fn new(
        shop: &Shop,
        manifest: &Manifest,
        allowed: impl Into<Allowance>,
        phase: Phase,
        app: impl Into<Arc<Tree>>,
    ) -> Self {
        let state = State {
            app: app.into(),
            overlaid: BTreeSet::new(),
            layers: Vec::new(),
            archives: Vec::new(),
            artifacts: Vec::new(),
            spool: None,
            logged: 0,
            written: 0,
            secrets: Vec::new(),
            journal: Journal::default(),
            record: Record::default(),
        };
        let (shop, manifest) = (shop.clone(), manifest.clone());
        Self { shop, manifest, allowed: allowed.into(), phase, state: Mutex::new(state) }
    }

    /// Takes what was made. The bench is empty afterwards.
    pub fn clear(&self) -> Work {
        let mut state = self.state();
        let mut layers = std::mem::take(&mut state.layers);
        layers.sort_by(|a, b| a.name.cmp(&b.name));
        Work { layers, app: std::mem::take(&mut state.app) }
    }

    /// The buildpack that works here.
    pub fn buildpack(&self) -> &BuildpackId {
        &self.manifest.buildpack.id
    }

    /// What it may use up.
    pub fn limits(&self) -> &Limits {
        &self.shop.limits
    }

    /// Whether somebody asked to stop.
    pub fn cancel(&self) -> &Cancel {
        &self.shop.cancel
    }

    /// What the image is for.
    pub fn target(&self) -> &Target {
        self.uses(Interface::Context);
        self.saying(Call::Target { said: Said::target(&self.shop.target) });
        &self.shop.target
    }

    /// The execution environment that the image is for.
    pub fn exec_env(&self) -> &ExecEnv {
        self.uses(Interface::Context);
        self.saying(Call::ExecEnv { said: Said::text(Some(self.shop.exec_env.as_str())) });
        &self.shop.exec_env
    }

    /// A setting that the user gave. The name must be asked for and granted.
    pub fn setting(&self, name: &str) -> Answer<Option<String>> {
        let said = |value: &Option<String>| Said::text(value.as_deref());
        self.asking(|| self.value_of(name), said, |said| Call::Setting { name: name.to_owned(), said })
    }

    fn value_of(&self, name: &str) -> Answer<Option<String>> {
        self.begin(Interface::Context, Phase::Detect)?;
        let attempt = || format!("could not read the setting `{}`", short(name));
        let setting = Excess::Setting(name.chars().take(MAX_SHOWN).collect());
        if !self.manifest.asks.allows_setting(name) {
            return Err(self.unasked(&attempt(), setting));
        }
        if !self.allowed.may().allows_setting(name) {
            return Err(self.denied(&attempt(), setting));
        }
        self.used(setting);
        Ok(self.shop.settings.get(name).cloned())
    }

    /// The settings that the user gave and whose names begin with `prefix`, sorted. All names that do must be asked for and
    /// granted.
    pub fn settings(&self, prefix: &str) -> Answer<Vec<(String, String)>> {
        let said = |found: &Vec<_>| Said::pairs(found);
        self.asking(|| self.values_of(prefix), said, |said| Call::Settings { prefix: prefix.to_owned(), said })
    }

    fn values_of(&self, prefix: &str) -> Answer<Vec<(String, String)>> {
        self.begin(Interface::Context, Phase::Detect)?;
        let attempt = format!("could not list the settings `{}*`", short(prefix));
        let pattern = Excess::Setting(prefix.chars().take(MAX_SHOWN).chain(['*']).collect());
        if !self.manifest.asks.allows_settings(prefix) {
            return Err(self.unasked(&attempt, pattern));
        }
        if !self.allowed.may().allows_settings(prefix) {
            return Err(self.denied(&attempt, pattern));
        }
        self.used(pattern);
        let start = self.shop.settings.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        let found: Vec<_> = start.take_while(|(name, _)| name.starts_with(prefix)).collect();
        let bytes: usize = found.iter().map(|(name, value)| name.len() + value.len()).sum();
        if found.len() > MAX_SETTINGS || bytes > MAX_SETTINGS_BYTES {
            let attempt =
                format!("{attempt}: there are {} of {bytes} bytes, and at most 1024 of 1 MiB are", found.len());
            return Err(PortError::new(Fault::TooLarge, format!("{attempt} listed at a time")));
        }
        Ok(found.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// Checks that nobody asked to stop, that the interface is granted, and that its phase has come.
    fn begin(&self, interface: Interface, phase: Phase) -> Answer<()> {
        self.shop.cancel.check()?;
        if !self.allowed.may().interfaces.contains(&interface) {
            let attempt = format!("could not use `{interface}` ({})", interface.meaning());
            return Err(self.denied(&attempt, Excess::Interface(interface)));
        }
        if phase == Phase::Build && self.phase == Phase::Detect {
            let attempt = format!("could not use `{interface}` in detect: it is for build");
            return Err(PortError::new(Fault::Denied, attempt));
        }
        self.uses(interface);
        Ok(())
    }

    /// A denial, with the lines that would lift it, in the builder or in the policy.
    fn denied(&self, attempt: &str, what: Excess) -> PortError {
        let (id, missing) = (self.buildpack(), [what]);
        let rule = match self.allowed.policy_alone(&missing) {
            Some(policy) => format!("the policy {policy} does not allow it to {id}"),
            None => format!("{id} is not granted it"),
        };
        let error = PortError::new(Fault::Denied, format!("{attempt}: {rule}"));
        let error = error.hint(self.allowed.remedy(id.as_str(), &missing));
        let [what] = missing;
        let by = self.allowed.withholder(&what);
        self.state().record.denies(what, by);
        error
    }

    /// A denial that no grant lifts, because the manifest does not ask.
    fn unasked(&self, attempt: &str, what: Excess) -> PortError {
        let (title, key) = (self.manifest.title(), what.key());
        self.state().record.denies(what, Withholder::Manifest);
        PortError::new(Fault::Denied, format!("{attempt}: the manifest of {title} does not ask for it"))
            .hint(format!("its author adds it to `asks.{key}` in buildpack.toml"))
    }

    /// Notes that an interface is called.
    fn uses(&self, interface: Interface) {
        self.state().record.uses(interface);
    }

    /// Notes that something was used that was asked for and granted.
    fn used(&self, what: Excess) {
        self.state().record.used(what);
    }

    /// What was used and denied here so far.
    pub fn record(&self) -> Record {
        self.state().record.clone()
    }

    /// The state; a panic of another call does not make it unusable, because every change is made whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a file of a tree, following links inside it, if it has at most `limit` bytes.
    fn read_file(&self, tree: &Tree, path: &str, limit: u64) -> Answer<Vec<u8>> {
        let at = self::path(path)?;
        let attempt = || format!("could not read `{}`", short(path));
        let found =
            tree.resolve(&at).map_err(|error| PortError::new(Fault::InvalidInput, attempt()).caused_by(error))?;
        let content = match found {
            Some((_, Node::File(_, content))) => content,
            Some(_) => return Err(PortError::new(Fault::InvalidInput, format!("{}: it is a folder", attempt()))),
            None => return Err(PortError::new(Fault::NotFound, format!("{}: there is no such file", attempt()))),
        };
        let limit = limit.min(self.shop.limits.read_bytes);
        if content.size() > limit {
            let attempt = format!("{}: it has {} bytes, more than the limit of {limit}", attempt(), content.size());
            return Err(PortError::new(Fault::TooLarge, attempt));
        }
        content.bytes(limit).map_err(|error| PortError::of_io(attempt(), Fault::Integrity, error))
    }
}

/// Most settings that are listed at a time, and most bytes of their names and values together.
const MAX_SETTINGS: usize = 1024;
const MAX_SETTINGS_BYTES: usize = 1024 * 1024;
/// How many characters of a text that a guest chose are shown.
const MAX_SHOWN: usize = 200;

/// The beginning of a text that a guest chose, control characters made visible.
fn short(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect::<String>().escape_debug().to_string()
}

fn globs(patterns: &[String]) -> Answer<Globs> {
    let invalid = |error| PortError::new(Fault::InvalidInput, "could not use the patterns").caused_by(error);
    Globs::new(patterns).map_err(invalid)
}

/// A path that a guest chose. The cause names it.
fn path(text: &str) -> Answer<TreePath> {
    text.parse().map_err(|error| PortError::new(Fault::InvalidInput, "could not use a path").caused_by(error))
}

/// A path that may be the root, written as an empty text.
fn folder(text: &str) -> Answer<TreePath> {
    if text.is_empty() { Ok(TreePath::root()) } else { path(text) }
}
