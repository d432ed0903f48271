//! What is remembered: wishes, what was seen of the world, and the record of every build.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Failed, Stocked};
use crate::{
    decide::{BuilderState, SourceState},
    plan::world::{BuilderKey, Known, StackState, World},
    resource::{
        Refused,
        build::Build,
        builder::{Builder, BuilderRevision},
        image::Image,
        manifest::Resource,
        name::{ImageKey, Name},
        package::{Package, PackageKey},
        source::{ResolvedSource, Source},
        stack::{Stack, Store},
    },
};

/// All that is remembered, at one time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// Another, higher number after every change of anything.
    pub version: u64,
    /// Images.
    pub images: BTreeMap<ImageKey, ImageRecord>,
    /// Builders.
    pub builders: BTreeMap<BuilderKey, BuilderRecord>,
    /// Stacks.
    pub stacks: BTreeMap<Name, StackRecord>,
    /// Stores.
    pub stores: BTreeMap<Name, StoreRecord>,
    /// Buildpacks.
    pub packages: BTreeMap<PackageKey, PackageRecord>,
}

/// An image, where its source was, and its builds by rising number.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageRecord {
    /// The wish, and what is remembered beside builds.
    pub image: Image,
    /// Where its source was.
    pub source: SourceRecord,
    /// Its builds.
    pub builds: Vec<Build>,
    /// What somebody wants of the build that runs.
    pub run: Run,
}

/// Where a source was when somebody looked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourceRecord {
    /// What was looked up: another wish is not known by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<Source>,
    /// Where it was, the last time that it was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<ResolvedSource>,
    /// Why it was not found, the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// When that was, in seconds since 1970; or [`Self::ASKED`], if somebody asked for a look that nobody has begun.
    pub looked: u64,
}

impl SourceRecord {
    /// Instead of a time: somebody wants a look, now.
    pub const ASKED: u64 = 0;
    /// Instead of a time: a look that somebody asked for was begun, and has not come to its end.
    const TAKEN_UP: u64 = 1;

    /// Somebody wants a look, whenever the last one was, and even if one is going on.
    pub fn ask(&mut self) {
        self.looked = Self::ASKED;
    }

    /// Whether somebody wants one that nobody has begun.
    pub fn is_asked_for(&self) -> bool {
        self.looked == Self::ASKED
    }

    /// Somebody begins the look that was asked for. Who asks from now on is not answered by it.
    pub fn take_up(&mut self) {
        if self.is_asked_for() {
            self.looked = Self::TAKEN_UP;
        }
    }

    /// Whether a look that was asked for was begun, and has not come to its end.
    pub fn is_taken_up(&self) -> bool {
        self.looked == Self::TAKEN_UP
    }
}

/// What is remembered of the build that runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Run {
    /// How often it was taken up again after somebody stopped in the middle.
    pub resumed: u32,
    /// That somebody wants the build of this number to stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<u64>,
}

/// A builder, and all that it was.
#[derive(Debug, Clone, PartialEq)]
pub struct BuilderRecord {
    /// The wish.
    pub builder: Builder,
    /// What came of it.
    pub made: Made,
}

/// What came of a builder.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Made {
    /// All that it was, by rising number.
    pub revisions: Vec<Revision>,
    /// The generation of the wish that was last looked at.
    pub generation: u64,
    /// Why it is not what it should be by now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// That it was turned back to a revision, at this generation: until its wish is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback: Option<TurnedBack>,
}

/// That a builder was turned back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TurnedBack {
    /// To which revision.
    pub to: u64,
    /// At which generation of its wish.
    pub generation: u64,
}

/// What a builder was from one time on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// Counted from 1.
    pub number: u64,
    /// When it was made, in seconds since 1970.
    pub made: u64,
    /// What it is.
    pub revision: BuilderRevision,
}

/// A stack, and what its names led to.
#[derive(Debug, Clone, PartialEq)]
pub struct StackRecord {
    /// The wish.
    pub stack: Stack,
    /// What was found.
    pub seen: Seen<StackState>,
}

/// A store, and what was in its sources.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreRecord {
    /// The wish.
    pub store: Store,
    /// What was found.
    pub seen: Seen<Vec<Stocked>>,
}

/// A buildpack, and what was in its artefact.
#[derive(Debug, Clone, PartialEq)]
pub struct PackageRecord {
    /// The wish.
    pub package: Package,
    /// What was found.
    pub seen: Seen<Stocked>,
}

/// What was found when somebody looked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen<T> {
    /// The generation of the wish that was last looked at; 0 before the first time.
    #[serde(default)]
    pub generation: u64,
    /// What was found, the last time that something was.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub found: Option<T>,
    /// Why nothing was found, the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

fn none<T>() -> Option<T> {
    None
}

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self { generation: 0, found: None, failure: None }
    }
}

/// What applying a wish came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It is new.
    Created,
    /// It was another one.
    Changed,
    /// It was the same.
    Unchanged,
}

/// What a wish takes the place of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Of whatever is there.
    Anything,
    /// Of the one that has this generation; of none, if it is 0.
    Generation(u64),
}

impl Over {
    /// Refuses to take the place of another one: of this generation, 0 if there is none. `what` is what the resource is called.
    pub fn check(self, there: u64, what: impl FnOnce() -> String) -> Result<(), ApplyError> {
        match self {
            Self::Generation(meant) if meant != there => Err(ApplyError::Overtaken { what: what() }),
            _ => Ok(()),
        }
    }
}

/// Names a resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Id {
    /// An image.
    Image(ImageKey),
    /// A builder, of a namespace or of all.
    Builder(BuilderKey),
    /// A stack.
    Stack(Name),
    /// A store.
    Store(Name),
    /// A buildpack, of a namespace or of all.
    Package(PackageKey),
}

/// Why a wish is not taken down.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// It cannot become what is wished for.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// What was to be changed is another wish by now.
    #[error("{what} was changed by somebody else meanwhile")]
    Overtaken {
        /// What it is called: `the image team-a/web`.
        what: String,
    },
    /// The records could not be read or written.
    #[error(transparent)]
    Failed(#[from] Failed),
}

/// What changes an image's record.
pub type Amend<'a, T> = &'a mut dyn FnMut(&mut T) -> Result<(), Failed>;

/// Somebody who remembers. Each method is one transaction: several processes may use the same records at once, and each of
/// them may be killed at any moment.
pub trait Records: Send + Sync {
    /// The number of the last change.
    fn version(&self) -> Result<u64, Failed>;

    /// All of it.
    fn snapshot(&self) -> Result<Snapshot, Failed>;

    /// One image.
    fn image(&self, key: &ImageKey) -> Result<Option<ImageRecord>, Failed>;

    /// Takes a wish down. Its generation rises if its `spec` is another one; what is remembered beside it stays. An image
    /// that cannot become what is wished for is refused ([`Image::refusals`]).
    fn apply(&self, resource: &Resource) -> Result<Applied, ApplyError> {
        self.apply_over(resource, Over::Anything)
    }

    /// The same, for who changed a wish that was read before: unless it is another one by now.
    fn apply_over(&self, resource: &Resource, over: Over) -> Result<Applied, ApplyError>;

    /// Forgets a wish and all that is remembered of it; answers whether it was there.
    fn remove(&self, id: &Id) -> Result<bool, Failed>;

    /// Changes what is remembered of an image: its status, its source, its builds. Its `spec` and metadata stay. Answers what
    /// it is now, or none if there is no such image. If `amend` fails, nothing is changed.
    fn amend_image(&self, key: &ImageKey, amend: Amend<'_, ImageRecord>) -> Result<Option<ImageRecord>, Failed>;

    /// Changes what came of a builder.
    fn amend_builder(&self, key: &BuilderKey, amend: Amend<'_, BuilderRecord>)
    -> Result<Option<BuilderRecord>, Failed>;

    /// Changes what was seen of a stack.
    fn amend_stack(&self, name: &Name, amend: Amend<'_, StackRecord>) -> Result<Option<StackRecord>, Failed>;

    /// Changes what was seen of a store.
    fn amend_store(&self, name: &Name, amend: Amend<'_, StoreRecord>) -> Result<Option<StoreRecord>, Failed>;

    /// Changes what was seen of a buildpack.
    fn amend_package(&self, key: &PackageKey, amend: Amend<'_, PackageRecord>)
    -> Result<Option<PackageRecord>, Failed>;

    /// A setting of the platform, such as `default-repository`.
    fn setting(&self, name: &str) -> Result<Option<String>, Failed>;

    /// Sets it, or takes it away.
    fn set(&self, name: &str, value: Option<&str>) -> Result<(), Failed>;
}

impl Snapshot {
    /// What a decision and a plan ask; `lifecycle` is this program's version.
    pub fn world(&self, lifecycle: &str) -> World {
        let images = self.images.iter().map(|(key, record)| (key.clone(), record.known()));
        let builders = self.builders.iter().map(|(key, record)| (key.clone(), record.builder.spec.clone()));
        let stacks = self.stacks.iter().filter_map(|(name, record)| Some((name.clone(), record.seen.found.clone()?)));
        let stores = self.stores.iter().filter_map(|(name, record)| {
            let stock = record.seen.found.as_ref()?;
            Some((name.clone(), stock.iter().map(|one| one.buildpack.clone()).collect()))
        });
        let packages = self.packages.iter().map(|(key, record)| {
            let found = record.seen.found.as_ref().map(|stocked| stocked.buildpack.clone());
            (key.clone(), found.ok_or_else(|| record.seen.failure.clone().unwrap_or_else(not_yet)))
        });
        let last = |record: &BuilderRecord| record.made.revisions.last().map(|last| last.revision.clone());
        World {
            images: images.collect(),
            builders: builders.collect(),
            stacks: stacks.collect(),
            stores: stores.collect(),
            packages: packages.collect(),
            lifecycle: lifecycle.to_owned(),
            unseen: self.unseen(),
            made: self.builders.iter().filter_map(|(key, record)| Some((key.clone(), last(record)?))).collect(),
            turned_back: self
                .builders
                .iter()
                .filter_map(|(key, record)| Some((key.clone(), record.turned_back()?.revision.clone())))
                .collect(),
        }
    }

    /// What is wished for and was not found, and why.
    fn unseen(&self) -> BTreeMap<(String, Name), String> {
        let stacks = self.stacks.iter().filter(|(_, record)| record.seen.found.is_none());
        let stacks = stacks.map(|(name, record)| ("ClusterStack", name, record.seen.failure.clone()));
        let stores = self.stores.iter().filter(|(_, record)| record.seen.found.is_none());
        let stores = stores.map(|(name, record)| ("ClusterStore", name, record.seen.failure.clone()));
        let all = stacks.chain(stores);
        all.map(|(kind, name, why)| ((kind.to_owned(), name.clone()), why.unwrap_or_else(not_yet))).collect()
    }

    /// All that stores have, and the buildpacks that builders of a namespace, or of all, may take.
    pub fn stock(&self, namespace: Option<&Name>) -> Vec<Stocked> {
        let stores = self.stores.values().filter_map(|record| record.seen.found.as_ref()).flatten();
        let seen = self.packages.iter().filter(|(key, _)| key.is_seen_by(namespace));
        stores.chain(seen.filter_map(|(_, record)| record.seen.found.as_ref())).cloned().collect()
    }
}

/// Why nothing was found of what nobody has looked up.
fn not_yet() -> String {
    "it was not looked up yet".to_owned()
}

impl ImageRecord {
    /// A new image.
    pub fn new(image: Image) -> Self {
        Self { image, source: SourceRecord::default(), builds: Vec::new(), run: Run::default() }
    }

    /// What a decision asks of it.
    pub fn known(&self) -> Known {
        Known { image: self.image.clone(), builds: self.builds.clone(), source: self.source_state() }
    }

    /// What is known of its source.
    pub fn source_state(&self) -> SourceState {
        let SourceRecord { of, found, failure, .. } = &self.source;
        if of.as_ref() != Some(&self.image.spec.source) {
            return SourceState::of(&self.image.spec.source);
        }
        match (found, failure) {
            // What was found once can still be built; that nobody could look again is told elsewhere.
            (Some(found), _) => SourceState::Ready(found.clone()),
            (None, Some(why)) => SourceState::NotReady(why.clone()),
            (None, None) => SourceState::of(&self.image.spec.source),
        }
    }

    /// The build that runs, if one does.
    pub fn running(&self) -> Option<&Build> {
        self.builds.iter().rev().find(|build| build.is_running())
    }
}

impl BuilderRecord {
    /// The revision that it was turned back to, if it was and its wish has not changed since.
    pub fn turned_back(&self) -> Option<&Revision> {
        let back = self.made.rollback.filter(|back| back.generation == self.builder.metadata.generation)?;
        self.made.revisions.iter().find(|revision| revision.number == back.to)
    }

    /// What images are built by.
    pub fn state(&self) -> BuilderState {
        let ready = |revision: &Revision, behind: Option<String>| BuilderState::Ready {
            revision: Box::new(revision.revision.clone()),
            behind,
        };
        if let Some(back) = self.turned_back() {
            return ready(back, Some(format!("it was turned back to revision {}", back.number)));
        }
        match (self.made.revisions.last(), &self.made.failure) {
            (Some(last), failure) => ready(last, failure.clone()),
            (None, Some(why)) => BuilderState::NotReady(why.clone()),
            (None, None) => BuilderState::Stale,
        }
    }
}
