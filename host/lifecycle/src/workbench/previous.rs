//! What the previous build of the image left for this buildpack.

use stave_archive::{layer, limits::Limits as ArchiveLimits, tree::TreePath};
use stave_model::{
    capability::Interface,
    digest::Key,
    id::{InvalidName, LayerName},
    layer::Usage,
    restore::Reason,
};

use super::{
    Answer, DraftLayer, Phase, Workbench,
    journal::{Call, Said},
    layers::ENV_FOLDERS,
    short,
};
use crate::{
    image::ImageLayer,
    port::{
        failure::{Fault, PortError},
        observer::{Event, Level},
        recall::Unkept,
    },
    previous::{PreviousLayer, Reused, bill::Unreadable},
};

impl Workbench {
    /// The notes that this buildpack's previous build of the image ended with.
    pub fn notes(&self) -> Answer<Vec<(String, String)>> {
        let work = || {
            self.begin(Interface::Context, Phase::Detect)?;
            Ok(self.shop.previous.notes(self.buildpack()).into_iter().collect())
        };
        self.asking(work, |notes: &Vec<_>| Said::pairs(notes), |said| Call::Notes { said })
    }

    /// A layer of this buildpack's previous build of the image; none if nothing of it comes back.
    pub fn previous_layer(&self, name: &str) -> Answer<Option<PreviousLayer>> {
        let work = || {
            self.begin(Interface::Layers, Phase::Build)?;
            let attempt = || format!("could not look for a previous layer `{}`", short(name));
            let invalid = |error: InvalidName| PortError::new(Fault::InvalidInput, attempt()).caused_by(error);
            let name: LayerName = name.parse().map_err(invalid)?;
            match self.shop.previous.layer(self.buildpack(), &name) {
                Ok(layer) => Ok(Some(layer)),
                Err(reason) => {
                    let note = format!("{}:{name} of the previous build is not used: {reason}", self.buildpack());
                    self.shop.observer.observe(Event::Note(Level::Debug, note));
                    Ok(None)
                }
            }
        };
        let call = |said| Call::PreviousLayer { name: name.to_owned(), said };
        self.asking(work, |layer| Said::previous(layer.as_ref()), call)
    }

    /// Keeps a layer of this buildpack's previous build of the image as it is, for the same uses.
    pub fn reuse_layer(&self, name: &str, usage: Usage) -> Answer<()> {
        self.begin(Interface::Layers, Phase::Build)?;
        let attempt = format!("could not keep the layer `{}` of the previous build as it is", short(name));
        let name = self.free_name(name, &attempt)?;
        let Reused { layer, metadata, source } = self.ask_reuse(&name, usage)?;
        let contents = self.shop.previous.components(self.buildpack(), &name, source, &self.shop.scratch);
        let contents = contents.map_err(|error| self.untold(&name, attempt, error))?;
        let recipe = Key::new("reused layer 1").field(layer.diff_id.hex()).finish();
        let draft = DraftLayer { metadata, contents, recipe, reused: Some(layer), ..DraftLayer::empty(name, usage) };
        self.state().begins(draft);
        Ok(())
    }

    /// Nobody knows what is in a layer. Where the bill is to blame, the layer is made anew, and the new image has a bill that can be
    /// read: otherwise each further build would fail as this one.
    fn untold(&self, name: &LayerName, attempt: String, error: Unreadable) -> PortError {
        // It was noted that the layer is to be had.
        self.forget(Unkept::Failure);
        match error.passing() {
            Some(fault) => PortError::new(fault, attempt).caused_by(error),
            None => missing("keep", "as it is", name, Reason::NoBill).caused_by(error),
        }
    }

    /// Whether a layer may be kept as it is: what [`Workbench::reuse_layer`] depends on beside the buildpack's own calls.
    pub(super) fn ask_reuse(&self, name: &LayerName, usage: Usage) -> Answer<Reused> {
        let work = || {
            let found = self.shop.previous.reuse(self.buildpack(), name, usage);
            found.map_err(|reason| missing("keep", "as it is", name, reason))
        };
        let said = |Reused { layer, metadata, .. }: &Reused| Said::reused(&layer.diff_id, metadata);
        self.asking(work, said, |said| Call::ReuseLayer { name: name.to_string(), usage, said })
    }

    /// Begins a layer with the contents that it had in this buildpack's previous build of the image, without its environment
    /// and its notes; the answer stands for it in the other calls.
    pub fn restore_layer(&self, name: &str, usage: Usage) -> Answer<usize> {
        self.begin(Interface::Layers, Phase::Build)?;
        let attempt = format!("could not begin the layer `{}` of the previous build with its contents", short(name));
        let name = self.free_name(name, &attempt)?;
        let contents = self.ask_contents(&name, usage)?;
        self.judging(|| self.read_back(name, usage, &contents, &attempt))
    }

    /// Whether there are contents of a layer: what [`Workbench::restore_layer`] depends on beside the buildpack's own calls.
    pub(super) fn ask_contents(&self, name: &LayerName, usage: Usage) -> Answer<ImageLayer> {
        let work = || {
            let found = self.shop.previous.contents(self.buildpack(), name);
            found.map_err(|reason| missing("begin", "with its contents", name, reason))
        };
        let said = |layer: &ImageLayer| Said::is(layer.diff_id);
        self.asking(work, said, |said| Call::RestoreLayer { name: name.to_string(), usage, said })
    }

    fn read_back(&self, name: LayerName, usage: Usage, kept: &ImageLayer, attempt: &str) -> Answer<usize> {
        let mut draft = DraftLayer::empty(name, usage);
        let folder = draft.folder(&self.buildpack().escaped());
        let folder: TreePath =
            folder.trim_start_matches('/').parse().map_err(|error| super::layers::invalid(attempt, error))?;
        let mut state = self.state();
        // What is kept was packed here, and it may have been packed well.
        let limits = ArchiveLimits { ratio: u64::MAX, ..self.shop.limits.archive };
        let (mut tree, diff_id) = self
            .spooled(&mut state, attempt, |spool| Ok(layer::read(kept.content.as_ref(), &folder, &limits, spool)?))?;
        if diff_id != kept.diff_id {
            return Err(PortError::new(Fault::Integrity, attempt).caused_by("what is kept of it is damaged"));
        }
        state.room_for(tree.len(), &self.shop.limits, attempt)?;
        tree.remove_where(|path| ENV_FOLDERS.contains(&path.as_str()));
        draft.recipe = Key::new("restored layer 1").field(diff_id.hex()).finish();
        draft.tree = tree;
        Ok(state.begins(draft))
    }
}

/// Nothing to keep or to begin with.
fn missing(verb: &str, how: &str, name: &LayerName, reason: Reason) -> PortError {
    let attempt = format!("could not {verb} the layer `{name}` of the previous build {how}: {reason}");
    PortError::new(Fault::NotFound, attempt).hint("the buildpack makes it anew with `layers.create`")
}
