//! The one place where a buildpack's wishes become effects.
//!
//! Whatever runs a buildpack translates its calls into calls of a [`Workbench`] and its answers back, nothing more. Grants,
//! phases and limits are checked here, before any effect, for every contract version alike; a denial is an error that names
//! the grant to add. Nearly all of it is tested without a guest.
//!
//! Nothing here writes a layer's file to a disk: a layer is a tree whose files know where their bytes are, and a *recipe*,
//! a key over everything that was done to it. At export a recipe that was met before is a layer that is there already.

mod app;
mod artifacts;
mod layers;
mod limits;
mod log;
mod overlay;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use stave_archive::{
    glob::Globs,
    spool::Spool,
    tree::{Node, Tree, TreePath},
};
use stave_model::{
    capability::{Capabilities, Interface},
    id::BuildpackId,
    manifest::Manifest,
    target::Target,
};

pub use self::{
    app::{Entry, Kind},
    artifacts::{Available, Unpacking},
    layers::DraftLayer,
    limits::Limits,
};
use crate::port::{
    artifacts::ArtifactSource,
    cancel::Cancel,
    failure::{Fault, PortError},
    observer::Observer,
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
    /// What the user chose, by name.
    pub settings: Arc<BTreeMap<String, String>>,
    /// Where dependencies come from.
    pub artifacts: Arc<dyn ArtifactSource>,
    /// Who is told.
    pub observer: Arc<dyn Observer>,
    /// Whether to stop.
    pub cancel: Cancel,
    /// A folder on a disk for temporary files without a name.
    pub scratch: PathBuf,
    /// What one buildpack may use up.
    pub limits: Limits,
}

/// A buildpack's place of work for one call of detect or build.
pub struct Workbench {
    shop: Shop,
    manifest: Manifest,
    grants: Capabilities,
    phase: Phase,
    state: Mutex<State>,
}

/// What changes while the buildpack works.
struct State {
    app: Tree,
    layers: Vec<DraftLayer>,
    archives: Vec<Tree>,
    artifacts: Vec<artifacts::Fetched>,
    spool: Option<Spool>,
    logged: u64,
}

/// What a build leaves on its bench.
#[derive(Debug)]
pub struct Work {
    /// Layers, in the order of their names.
    pub layers: Vec<DraftLayer>,
    /// The app with the buildpack's changes laid over it.
    pub app: Tree,
}

impl Workbench {
    /// A bench for one call of one buildpack, with the app as earlier buildpacks left it.
    pub fn new(shop: &Shop, manifest: &Manifest, grants: &Capabilities, phase: Phase, app: Tree) -> Self {
        let state =
            State { app, layers: Vec::new(), archives: Vec::new(), artifacts: Vec::new(), spool: None, logged: 0 };
        Self { shop: shop.clone(), manifest: manifest.clone(), grants: grants.clone(), phase, state: Mutex::new(state) }
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
        &self.shop.target
    }

    /// A setting that the user gave. The name must be asked for and granted.
    pub fn setting(&self, name: &str) -> Answer<Option<String>> {
        self.begin(Interface::Context, Phase::Detect)?;
        if !self.manifest.asks.allows_setting(name) {
            let attempt = format!("read the setting `{}`, which its manifest does not ask for", short(name));
            return Err(PortError::new(Fault::Denied, attempt)
                .hint(format!("its author adds it to `asks.settings` of {}", self.manifest.title())));
        }
        if !self.grants.allows_setting(name) {
            return Err(self.denied(&format!("read the setting `{}`", short(name)), &format!("settings = [{name:?}]")));
        }
        Ok(self.shop.settings.get(name).cloned())
    }

    /// Checks that nobody asked to stop, that the interface is granted, and that its phase has come.
    fn begin(&self, interface: Interface, phase: Phase) -> Answer<()> {
        self.shop.cancel.check()?;
        if !self.grants.interfaces.contains(&interface) {
            let attempt = format!("use `{interface}` ({})", interface.meaning());
            return Err(self.denied(&attempt, &format!("interfaces = [\"{interface}\"]")));
        }
        if phase == Phase::Build && self.phase == Phase::Detect {
            return Err(PortError::new(Fault::Denied, format!("use `{interface}` in detect: it is for build")));
        }
        Ok(())
    }

    /// A denial, with the line in the builder that would lift it.
    fn denied(&self, attempt: &str, line: &str) -> PortError {
        let attempt = format!("{attempt}, which {} is not granted", self.buildpack());
        PortError::new(Fault::Denied, attempt)
            .hint(format!("whoever trusts it adds {line} to its `grants` in the builder"))
    }

    /// The state; a panic of another call does not make it unusable, because every change is made whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a file of a tree, following links inside it, if it has at most `limit` bytes.
    fn read_file(&self, tree: &Tree, path: &str, limit: u64) -> Answer<Vec<u8>> {
        let at = self::path(path)?;
        let attempt = || format!("read `{}`", short(path));
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
        content.bytes(limit).map_err(|error| PortError::new(Fault::Integrity, attempt()).caused_by(error))
    }
}

/// At most 200 characters of a text that a guest chose, control characters made visible.
fn short(text: &str) -> String {
    text.chars().take(200).collect::<String>().escape_debug().to_string()
}

fn globs(patterns: &[String]) -> Answer<Globs> {
    let invalid = |error| PortError::new(Fault::InvalidInput, "understand the patterns").caused_by(error);
    Globs::new(patterns).map_err(invalid)
}

fn path(text: &str) -> Answer<TreePath> {
    text.parse().map_err(|error| {
        PortError::new(Fault::InvalidInput, format!("use the path `{}`", short(text))).caused_by(error)
    })
}

/// A path that may be the root, written as an empty text.
fn folder(text: &str) -> Answer<TreePath> {
    if text.is_empty() { Ok(TreePath::root()) } else { path(text) }
}
