//! All that a platform knows at one time, and what it becomes by a change.
//!
//! What a builder comes to follows from its order, its stack and the stores: the same here as where it is really made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::shelves::{Shelves, Taken};
use crate::{
    decide::{BuilderState, SourceState},
    resource::{
        build::Build,
        builder::{BuilderKind, BuilderRef, BuilderRevision, BuilderSpec, BuildpackVersion},
        image::{Image, ImageStatus},
        manifest::Resource,
        name::{ImageKey, Name},
        package::PackageKey,
        reference::Pinned,
        source::{Found, FoundImage, ResolvedSource, Source},
    },
};

/// Which builder: one of a namespace, or of all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuilderKey {
    /// Whose, if it is somebody's.
    pub namespace: Option<Name>,
    /// What it is called.
    pub name: Name,
}

impl BuilderKey {
    /// The builder that an image names.
    pub fn of(builder: &BuilderRef, namespace: &Name) -> Self {
        let namespace = (builder.kind == BuilderKind::Builder).then(|| namespace.clone());
        Self { namespace, name: builder.name.clone() }
    }
}

/// An image, and what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The wish.
    pub image: Image,
    /// Its builds, by rising number.
    pub builds: Vec<Build>,
    /// Where its source is.
    pub source: SourceState,
}

/// A stack as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackState {
    /// Which stack it is.
    pub id: String,
    /// What images stand on.
    pub run_image: Pinned,
}

/// All that a platform knows at one time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct World {
    /// Images.
    pub images: BTreeMap<ImageKey, Known>,
    /// Builders.
    pub builders: BTreeMap<BuilderKey, BuilderSpec>,
    /// Stacks.
    pub stacks: BTreeMap<Name, StackState>,
    /// Stacks and stores that are wished for and were not found, by kind and name, and why.
    pub unseen: BTreeMap<(String, Name), String>,
    /// What is in the stores.
    pub stores: BTreeMap<Name, Vec<BuildpackVersion>>,
    /// What buildpacks of their own are, or why that is not known.
    pub packages: BTreeMap<PackageKey, Result<BuildpackVersion, String>>,
    /// The version of the lifecycle.
    pub lifecycle: String,
    /// What builders were made to last: images stay with that if a builder cannot become what is wished for.
    pub made: BTreeMap<BuilderKey, BuilderRevision>,
    /// What builders were turned back to, and stay until their wish is another.
    pub turned_back: BTreeMap<BuilderKey, BuilderRevision>,
}

/// A change of a world.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A stack is another one, or new.
    Stack(Name, StackState),
    /// A store has these buildpacks.
    Store(Name, Vec<BuildpackVersion>),
    /// A buildpack is this one.
    Package(PackageKey, BuildpackVersion),
    /// A builder is another one, or new.
    Builder(BuilderKey, Box<BuilderSpec>),
    /// The lifecycle is of this version.
    Lifecycle(String),
    /// Manifests are applied, in their order.
    Manifests(Vec<Resource>),
    /// One after the other.
    Several(Vec<Change>),
}

/// A manifest of which it cannot be told here what it comes to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// What a tag stands for is not known here.
    #[error(
        "the run image {image} of the stack {stack} is a tag, and what it stands for has to be looked up first: name it by its digest"
    )]
    Tag {
        /// Which stack.
        stack: Name,
        /// The name.
        image: String,
    },
    /// What is in an artefact is not known here.
    #[error("what the sources of the store {0} hold has to be looked up first")]
    Store(Name),
    /// The same of one artefact.
    #[error("what the image of the {0} is has to be looked up first")]
    Package(PackageKey),
    /// The image cannot be changed so.
    #[error("the image {image} is refused: {problem}")]
    Refused {
        /// Which.
        image: String,
        /// Why.
        problem: String,
    },
}

impl World {
    /// What an image's builder comes to.
    pub fn builder_of(&self, image: &Image) -> BuilderState {
        let key = BuilderKey::of(&image.spec.builder, &image.key().namespace);
        let Some(spec) = self.builders.get(&key) else { return BuilderState::Missing };
        let ready =
            |revision: &BuilderRevision, behind| BuilderState::Ready { revision: Box::new(revision.clone()), behind };
        if let Some(revision) = self.turned_back.get(&key) {
            return ready(revision, Some("it was turned back".to_owned()));
        }
        match (self.compose(key.namespace.as_ref(), spec), self.made.get(&key)) {
            (Ok(revision), Some(made)) if made.is_made_of_the_same(&revision) => ready(made, None),
            (Ok(revision), _) => ready(&revision, None),
            (Err(why), Some(made)) => ready(made, Some(why)),
            (Err(why), None) => BuilderState::NotReady(why),
        }
    }

    /// What a builder comes to, or what it lacks. `namespace` is its own, if it is of one.
    pub fn compose(&self, namespace: Option<&Name>, spec: &BuilderSpec) -> Result<BuilderRevision, String> {
        let stack = &spec.stack.name;
        let StackState { id, run_image } = self.stacks.get(stack).ok_or_else(|| self.missing("ClusterStack", stack))?;
        let Taken { buildpacks, order } = Shelves::of(self, namespace, spec)?.take(&spec.order)?;
        let (run_image, stack_id, lifecycle) = (run_image.clone(), id.clone(), self.lifecycle.clone());
        Ok(BuilderRevision { image: None, artefact: None, buildpacks, order, run_image, stack_id, lifecycle })
    }

    /// The world after a change.
    pub fn with(&self, change: &Change) -> Result<Self, Unresolved> {
        let mut world = self.clone();
        match change {
            Change::Stack(name, state) => drop(world.stacks.insert(name.clone(), state.clone())),
            Change::Store(name, buildpacks) => drop(world.stores.insert(name.clone(), buildpacks.clone())),
            Change::Package(key, buildpack) => drop(world.packages.insert(key.clone(), Ok(buildpack.clone()))),
            Change::Builder(key, spec) => world.set_builder(key.clone(), (**spec).clone()),
            Change::Lifecycle(version) => world.lifecycle.clone_from(version),
            Change::Manifests(resources) => resources.iter().try_for_each(|resource| world.apply(resource))?,
            Change::Several(changes) => {
                for change in changes {
                    world = world.with(change)?;
                }
            }
        }
        Ok(world)
    }

    /// Why there is none of it.
    pub(super) fn missing(&self, kind: &str, name: &Name) -> String {
        match self.unseen.get(&(kind.to_owned(), name.clone())) {
            Some(why) => format!("the {kind} {name} is not ready: {why}"),
            None => format!("the {kind} {name} does not exist"),
        }
    }

    /// Another wish ends that a builder was turned back.
    fn set_builder(&mut self, key: BuilderKey, spec: BuilderSpec) {
        if self.builders.get(&key) != Some(&spec) {
            self.turned_back.remove(&key);
        }
        self.builders.insert(key, spec);
    }

    fn apply(&mut self, resource: &Resource) -> Result<(), Unresolved> {
        match resource {
            Resource::Image(image) => self.apply_image(image)?,
            Resource::Builder(builder) => {
                let namespace = match builder.kind {
                    BuilderKind::Builder => Some(builder.metadata.namespace.clone().unwrap_or_else(default_namespace)),
                    BuilderKind::ClusterBuilder => None,
                };
                let key = BuilderKey { namespace, name: builder.metadata.name.clone() };
                self.set_builder(key, builder.spec.clone());
            }
            Resource::Stack(stack) => {
                let (name, reference) = (&stack.metadata.name, &stack.spec.run_image.image);
                let unresolved = || Unresolved::Tag { stack: name.clone(), image: reference.to_string() };
                let digest = reference.digest.ok_or_else(unresolved)?;
                let run_image = Pinned::new(reference, digest);
                self.stacks.insert(name.clone(), StackState { id: stack.spec.id.clone(), run_image });
            }
            Resource::Store(store) => return Err(Unresolved::Store(store.metadata.name.clone())),
            Resource::Package(package) => return Err(Unresolved::Package(package.key())),
        }
        Ok(())
    }

    /// An image is changed or new: what is remembered of it stays, and so does its source, unless it names another one.
    fn apply_image(&mut self, image: &Image) -> Result<(), Unresolved> {
        let key = image.key();
        let known = self.images.get(&key);
        if let Some(problem) = known.and_then(|known| known.image.refusals(image).into_iter().next()) {
            return Err(Unresolved::Refused { image: key.to_string(), problem: problem.to_string() });
        }
        let source = match known {
            Some(known) if known.image.spec.source == image.spec.source => known.source.clone(),
            _ => SourceState::of(&image.spec.source),
        };
        let builds = known.map(|known| known.builds.clone()).unwrap_or_default();
        let status = known.map_or_else(ImageStatus::default, |known| known.image.status.clone());
        self.images.insert(key, Known { image: Image { status, ..image.clone() }, builds, source });
        Ok(())
    }
}

fn default_namespace() -> Name {
    "default".parse().unwrap_or_else(|_| unreachable!("it is a name"))
}

impl SourceState {
    /// Where a source is that nobody has looked up: only an image by its digest says it itself.
    pub fn of(source: &Source) -> Self {
        let image = source.registry.as_ref().and_then(|registry| {
            let digest = registry.image.digest?;
            Some(Pinned::new(&registry.image, digest))
        });
        match image {
            Some(image) => Self::Ready(ResolvedSource {
                at: Found::Registry(FoundImage { image }),
                sub_path: source.sub_path.clone(),
            }),
            None => Self::Stale,
        }
    }
}
