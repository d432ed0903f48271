//! Asks the questions of a journal again, and makes what was done then without running anybody.
//!
//! The questions are asked in their order, on a bench of their own, against the app as it is now; changes to the app are made in
//! between, because later questions see them. What was done on layers is left until somebody needs a layer's files
//! ([`Again`]): as a rule nobody does, because a layer of the same recipe is kept.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use stave_archive::tree::{Node, Tree};
use stave_model::{
    digest::Digest, env::EnvChange, id::LayerName, layer::Usage, manifest::Manifest, policy::grants::Allowance,
    sbom::Component,
};

use super::{
    Answer, DraftLayer, Phase, Shop, State, Work, Workbench,
    journal::{Call, Presence, Said},
};
use crate::{
    image::ImageLayer,
    port::{
        failure::{Fault, PortError},
        observer::Event,
        recall::{Change, How, Subject},
    },
};

/// What is kept of one call of detect or build: its journal, and its layers without their files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Remembered {
    calls: Vec<Call>,
    layers: Vec<RememberedLayer>,
}

/// A layer without its files.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct RememberedLayer {
    name: LayerName,
    usage: Usage,
    env: Vec<EnvChange>,
    metadata: BTreeMap<String, String>,
    contents: Vec<Component>,
    recipe: Digest,
    /// Whether it is a layer of the build before, as it was there.
    reused: bool,
}

impl Remembered {
    /// What is to be kept of a bench's work.
    pub(crate) fn new(calls: Vec<Call>, layers: &[DraftLayer]) -> Self {
        let layer = |layer: &DraftLayer| RememberedLayer {
            name: layer.name.clone(),
            usage: layer.usage,
            env: layer.env.clone(),
            metadata: layer.metadata.clone(),
            contents: layer.contents.clone(),
            recipe: layer.recipe,
            reused: layer.reused.is_some(),
        };
        Self { calls, layers: layers.iter().map(layer).collect() }
    }

    /// Whether both journals have the same questions with the same answers.
    pub(crate) fn was_told_the_same_as(&self, other: &Self) -> bool {
        let questions =
            |calls: &'_ [Call]| calls.iter().filter(|call| call.said().is_some()).cloned().collect::<Vec<_>>();
        questions(&self.calls) == questions(&other.calls)
    }

    /// What the component would leave on this fresh bench, or the first thing that it would be told differently. What it
    /// said then is said again, after `found` was called.
    pub(crate) fn recall(self, bench: &Workbench, found: impl FnOnce()) -> Result<Work, Change> {
        let app = Arc::clone(&bench.state().app);
        let mut reused = bench.ask_again(&self.calls)?;
        bench.state().use_again(&self.calls);
        found();
        bench.say_again(&self.calls);
        let needs_app = self.calls.iter().any(|call| matches!(call, Call::CopyApp { .. }));
        let again = Arc::new(Again {
            shop: bench.shop.clone(),
            manifest: bench.manifest.clone(),
            allowed: bench.allowed.clone(),
            app: if needs_app { Some(app) } else { None },
            recipes: self.layers.iter().map(|layer| (layer.name.clone(), layer.recipe)).collect(),
            calls: self.calls,
            made: Mutex::new(None),
        });
        let layer = |layer: RememberedLayer| DraftLayer {
            // The one of today, of which it is known that it is the same.
            reused: if layer.reused { reused.remove(&layer.name) } else { None },
            name: layer.name,
            usage: layer.usage,
            tree: Tree::new(),
            again: Some(Arc::clone(&again)),
            env: layer.env,
            metadata: layer.metadata,
            contents: layer.contents,
            recipe: layer.recipe,
        };
        let app = bench.clear().app;
        Ok(Work { layers: self.layers.into_iter().map(layer).collect(), app })
    }
}

impl State {
    /// Notes the interfaces that were called then. What was asked again is noted already.
    fn use_again(&mut self, calls: &[Call]) {
        for call in calls {
            self.record.uses(call.interface());
        }
    }
}

/// What a replay has met so far.
#[derive(Default)]
struct Met<'a> {
    /// The archives that the component opened, in order.
    opened: Vec<Opened<'a>>,
    /// Layers of the previous build that are taken over.
    reused: BTreeMap<LayerName, ImageLayer>,
}

/// An archive that the component opened, as the replay knows it.
struct Opened<'a> {
    path: &'a str,
    /// Its number on the replay's bench; none while it is the same archive, whose answers are known.
    number: Option<usize>,
}

impl Workbench {
    /// Whether every question would be answered as it was; gives the layers that are taken over.
    fn ask_again(&self, calls: &[Call]) -> Result<BTreeMap<LayerName, ImageLayer>, Change> {
        let mut met = Met::default();
        for call in calls {
            let Some(then) = call.said() else { continue };
            let now = self.answer_now(call, then, &mut met);
            if now != Some(then) {
                return Err(change(call, then, now, &met.opened));
            }
        }
        Ok(met.reused)
    }

    /// What a question is answered now; none where that says nothing, such as when a disk fails.
    fn answer_now<'a>(&self, call: &'a Call, then: Said, met: &mut Met<'a>) -> Option<Said> {
        let Met { opened, reused } = met;
        match call {
            Call::Read { path, limit, .. } if then.is_there() && self.has_content(path, *limit, &then.what) => {
                return Some(then);
            }
            Call::OpenArchive { path, .. } => return self.open_again(path, then, opened),
            Call::ArchiveFind { archive, patterns, limit, .. } => match opened.get(*archive)?.number {
                None => return Some(then),
                Some(number) => drop(self.archive_find(number, patterns, *limit)),
            },
            Call::ArchiveRead { archive, path, limit, .. } => match opened.get(*archive)?.number {
                None => return Some(then),
                Some(number) => drop(self.archive_read(number, path, *limit)),
            },
            Call::Fetch { id, version, .. } => {
                return Said::of(self.wanted(id, version), |wanted| Said::is(wanted.artifact.sha256));
            }
            Call::CopyApp { patterns, .. } => {
                return Said::of(self.app_part(patterns), |(_, content)| Said::is(*content));
            }
            Call::Find { patterns, limit, .. } => drop(self.find(patterns, *limit)),
            Call::Stat { path, .. } => drop(self.stat(path)),
            Call::Read { path, limit, .. } => drop(self.read(path, *limit)),
            Call::Digest { patterns, .. } => drop(self.digest(patterns)),
            Call::Setting { name, .. } => drop(self.setting(name)),
            Call::Settings { prefix, .. } => drop(self.settings(prefix)),
            Call::Bindings { kind, .. } => drop(self.bindings(kind)),
            Call::Binding { name, key, .. } => drop(self.read_binding(name, key)),
            Call::Notes { .. } => drop(self.notes()),
            Call::PreviousLayer { name, .. } => drop(self.previous_layer(name)),
            Call::ReuseLayer { name, usage, .. } => {
                let name: LayerName = name.parse().ok()?;
                if let Ok(found) = self.ask_reuse(&name, *usage) {
                    reused.insert(name, found.layer);
                }
            }
            Call::RestoreLayer { name, usage, .. } => drop(self.ask_contents(&name.parse().ok()?, *usage)),
            Call::Target { .. } => {
                self.target();
            }
            Call::ExecEnv { .. } => {
                self.exec_env();
            }
            Call::Available { id, .. } => drop(self.available(id)),
            Call::OverlayWrite { .. } | Call::OverlayRemove { .. } | Call::OverlayUnpack { .. } => {
                drop(self.overlay_again(call));
            }
            _ => return None,
        }
        self.state().journal.take_last().and_then(|call| call.said())
    }

    /// An archive with the same bytes answers everything as it did; another one is opened, and then its answers are compared.
    fn open_again<'a>(&self, path: &'a str, then: Said, opened: &mut Vec<Opened<'a>>) -> Option<Said> {
        if then.is_there() && self.said_of_archive(path).is_ok_and(|now| now == then) {
            opened.push(Opened { path, number: None });
            return Some(then);
        }
        let number = self.open_archive(path).ok();
        let now = self.state().journal.take_last().and_then(|call| call.said())?;
        opened.push(Opened { path, number });
        // That it could be opened is all that the component was told.
        Some(if now.is_there() && then.is_there() { then } else { now })
    }

    /// Whether the file of the app at `path` is one that would be read whole, with this digest.
    fn has_content(&self, path: &str, limit: u64, digest: &Digest) -> bool {
        let Ok(at) = path.parse() else { return false };
        let found = self.state().app.resolve(&at).map(|found| found.map(|(_, node)| node.clone()));
        let Ok(Some(Node::File(_, content))) = found else { return false };
        content.size() <= limit.min(self.shop.limits.read_bytes) && content.identity().is_ok_and(|now| now == *digest)
    }

    /// Changes the app as it was changed then.
    fn overlay_again(&self, call: &Call) -> Answer<()> {
        match call {
            Call::OverlayWrite { path, contents, executable, .. } => {
                self.overlay_write(path, contents.0.to_vec(), *executable)
            }
            Call::OverlayRemove { patterns, .. } => self.overlay_remove(patterns).map(drop),
            Call::OverlayUnpack { archive, into, .. } => self.overlay_unpack(archive, into).map(drop),
            _ => Ok(()),
        }
    }

    /// Passes on what was said then.
    fn say_again(&self, calls: &[Call]) {
        let buildpack = self.buildpack();
        for call in calls {
            let event = match call.clone() {
                Call::Message { level, text } => Event::Message { buildpack: buildpack.clone(), level, text },
                Call::Step { title } => Event::Step { buildpack: buildpack.clone(), title },
                _ => continue,
            };
            self.shop.observer.observe(event);
        }
    }

    /// Does on layers what was done then.
    fn do_again(&self, call: &Call) -> Answer<()> {
        match call {
            Call::Fetch { id, version, said } if said.is_there() => self.fetch(id, version).map(drop),
            Call::CopyApp { layer, patterns, into, said } if said.is_there() => {
                or_as_then(self.layer_copy_app(*layer, patterns, into))
            }
            Call::CreateLayer { name, usage } => self.create_layer(name, *usage).map(drop),
            Call::ReuseLayer { name, usage, said } if said.is_there() => self.reuse_layer(name, *usage),
            Call::RestoreLayer { name, usage, said } if said.is_there() => or_as_then(self.restore_layer(name, *usage)),
            Call::WriteFile { layer, path, contents, executable } => self.write(*layer, path, &contents.0, *executable),
            Call::Link { layer, path, destination } => self.layer_link(*layer, path, destination),
            Call::Remove { layer, patterns } => self.layer_remove(*layer, patterns).map(drop),
            Call::Unpack { artifact, layer, how } => self.artifact_unpack(*artifact, *layer, how).map(drop),
            Call::Save { artifact, layer, path, executable } => {
                self.artifact_save(*artifact, *layer, path, *executable)
            }
            _ => Ok(()),
        }
    }
}

/// An answer to something that is noted before it is known whether there is room for it: if not now, then neither then.
fn or_as_then<T>(answer: Answer<T>) -> Answer<()> {
    match answer {
        Err(error) if matches!(error.fault, Fault::InvalidInput | Fault::TooLarge) => Ok(()),
        answer => answer.map(drop),
    }
}

/// The difference between two answers, for people.
fn change(call: &Call, then: Said, now: Option<Said>, opened: &[Opened<'_>]) -> Change {
    let archive = |number: usize| opened.get(number).map(|opened| opened.path.to_owned()).unwrap_or_default();
    let what = match call {
        Call::Find { patterns, .. } | Call::OverlayRemove { patterns, .. } => Subject::Matches(None, patterns.clone()),
        Call::ArchiveFind { archive: number, patterns, .. } => {
            Subject::Matches(Some(archive(*number)), patterns.clone())
        }
        Call::ArchiveRead { archive: number, path, .. } => Subject::Archived(archive(*number), path.clone()),
        Call::Digest { patterns, .. } | Call::CopyApp { patterns, .. } => Subject::Contents(patterns.clone()),
        Call::Bindings { kind, .. } => Subject::Bindings(kind.clone()),
        Call::Binding { name, .. } => Subject::Binding(name.clone()),
        Call::Notes { .. } => Subject::Notes,
        Call::PreviousLayer { name, .. } | Call::ReuseLayer { name, .. } | Call::RestoreLayer { name, .. } => {
            Subject::PreviousLayer(name.clone())
        }
        Call::Setting { name, .. } => Subject::Setting(name.clone()),
        Call::Settings { prefix, .. } => Subject::Settings(prefix.clone()),
        Call::Available { id, .. } | Call::Fetch { id, .. } => Subject::Dependency(id.clone()),
        Call::OverlayUnpack { archive: path, .. }
        | Call::Stat { path, .. }
        | Call::Read { path, .. }
        | Call::OpenArchive { path, .. }
        | Call::OverlayWrite { path, .. } => Subject::File(path.clone()),
        Call::ExecEnv { .. } => Subject::ExecEnv,
        _ => Subject::Target,
    };
    let how = match (then.presence, now.map(|now| now.presence)) {
        (Presence::Missing, Some(Presence::There)) => How::Added,
        (Presence::There, Some(Presence::Missing)) => How::Removed,
        _ => How::Changed,
    };
    Change { what, how }
}

/// How to make the files of a buildpack's remembered layers, once for all of them.
pub(super) struct Again {
    shop: Shop,
    manifest: Manifest,
    allowed: Allowance,
    /// The app as it was before the buildpack, if files of it were copied.
    app: Option<Arc<Tree>>,
    calls: Vec<Call>,
    recipes: BTreeMap<LayerName, Digest>,
    made: Mutex<Option<BTreeMap<LayerName, Tree>>>,
}

impl fmt::Debug for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Again").field("recipes", &self.recipes).finish_non_exhaustive()
    }
}

impl Again {
    /// The files of a layer.
    pub(super) fn tree(&self, layer: &LayerName) -> Answer<Tree> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.is_none() {
            *made = Some(self.make()?);
        }
        made.as_ref().and_then(|trees| trees.get(layer)).cloned().ok_or_else(|| self.other(layer))
    }

    /// Does everything that was done on layers, and checks that the same came of it.
    fn make(&self) -> Answer<BTreeMap<LayerName, Tree>> {
        let app = self.app.clone().unwrap_or_default();
        let bench = Workbench::new(&self.shop, &self.manifest, &self.allowed, Phase::Build, app);
        for call in &self.calls {
            if self.app.is_some() {
                // Its answer was compared before.
                let _ = bench.overlay_again(call);
            }
            bench.do_again(call)?;
        }
        let layers = bench.clear().layers;
        match layers.iter().find(|layer| self.recipes.get(&layer.name) != Some(&layer.recipe)) {
            Some(other) => Err(self.other(&other.name)),
            None => Ok(layers.into_iter().map(|layer| (layer.name, layer.tree)).collect()),
        }
    }

    /// Something that is remembered and cannot be made: the host's own fault.
    fn other(&self, layer: &LayerName) -> PortError {
        let title = self.manifest.title();
        let attempt = format!("could not make the remembered layer `{layer}` of {title} again: it became another");
        PortError::new(Fault::Integrity, attempt).hint("build with --no-memory")
    }
}
