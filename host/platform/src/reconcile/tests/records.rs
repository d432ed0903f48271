//! Records in memory, with the promises of the real ones: each call is one transaction, and one that fails changes nothing.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use crate::{
    plan::world::BuilderKey,
    port::{
        Failed, Records,
        records::{
            Amend, Applied, ApplyError, BuilderRecord, Id, ImageRecord, Made, Over, PackageRecord, Seen, Snapshot,
            StackRecord, StoreRecord,
        },
    },
    resource::{
        Refused,
        build::Fault,
        builder::BuilderKind,
        image::{ImageStatus, Metadata},
        manifest::Resource,
        name::{ImageKey, Name},
        package::PackageKey,
    },
};

/// When whoever uses the records is killed: everything after that fails for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kill {
    /// Instead of the change after so many.
    Before(u32),
    /// When the change after so many is written, but nobody heard of it yet.
    After(u32),
}

#[derive(Debug, Default)]
struct Kept {
    all: Snapshot,
    settings: BTreeMap<String, String>,
    /// How often something was changed.
    changes: u32,
    kill: Option<Kill>,
    is_dead: bool,
    /// Why nothing can be written just now.
    breakdown: Option<Fault>,
}

/// Records in memory.
#[derive(Debug, Default)]
pub(super) struct MemoryRecords(Mutex<Kept>);

impl MemoryRecords {
    pub(super) fn of(all: Snapshot) -> Self {
        Self(Mutex::new(Kept { all, ..Kept::default() }))
    }

    /// Kills whoever uses them, after so many changes from now on.
    pub(super) fn kill(&self, kill: Kill) {
        let mut kept = self.0.lock().unwrap();
        (kept.changes, kept.kill) = (0, Some(kill));
    }

    /// Now.
    pub(super) fn die(&self) {
        self.0.lock().unwrap().is_dead = true;
    }

    /// From now on nothing can be written, as on a disk that is full; or it can again.
    pub(super) fn break_down(&self, breakdown: Option<Fault>) {
        self.0.lock().unwrap().breakdown = breakdown;
    }

    /// Somebody else uses them. Whether the one before was killed.
    pub(super) fn revive(&self) -> bool {
        let mut kept = self.0.lock().unwrap();
        kept.kill = None;
        std::mem::take(&mut kept.is_dead)
    }

    fn kept(&self) -> Result<MutexGuard<'_, Kept>, Failed> {
        let kept = self.0.lock().unwrap();
        if kept.is_dead { Err(dead()) } else { Ok(kept) }
    }
}

fn dead() -> Failed {
    Failed::new(Fault::Interrupted, "could not go on: it was killed")
}

impl Kept {
    /// Something is changed: the version rises.
    fn change(&mut self, change: impl FnOnce(&mut Snapshot)) -> Result<(), Failed> {
        if let Some(fault) = self.breakdown {
            return Err(Failed::new(fault, "could not write the records").caused_by("there is no room"));
        }
        let at = self.changes;
        self.changes += 1;
        self.is_dead = matches!(self.kill, Some(Kill::Before(after) | Kill::After(after)) if after == at);
        if self.is_dead && self.kill == Some(Kill::Before(at)) {
            return Err(dead());
        }
        change(&mut self.all);
        self.all.version += 1;
        if self.is_dead { Err(dead()) } else { Ok(()) }
    }
}

/// The wish as it is taken down, and whether its spec is another one.
fn renewed<S: PartialEq>(
    old: Option<(&Metadata, &S)>,
    metadata: &Metadata,
    spec: &S,
    over: Over,
) -> Result<(Metadata, Applied), ApplyError> {
    over.check(old.map_or(0, |(before, _)| before.generation), || metadata.name.to_string())?;
    let Some((before, was)) = old else {
        return Ok((Metadata { generation: 1, ..metadata.clone() }, Applied::Created));
    };
    let generation = before.generation + u64::from(was != spec);
    let metadata = Metadata { generation, ..metadata.clone() };
    let applied = if metadata == *before && was == spec { Applied::Unchanged } else { Applied::Changed };
    Ok((metadata, applied))
}

macro_rules! amend {
    ($self:ident, $place:ident, $key:ident, $amend:ident, $keep:expr) => {{
        let mut kept = $self.kept()?;
        let Some(before) = kept.all.$place.get($key).cloned() else { return Ok(None) };
        let mut record = before.clone();
        $amend(&mut record)?;
        $keep(&before, &mut record)?;
        if record != before {
            kept.change(|all| drop(all.$place.insert($key.clone(), record.clone())))?;
        }
        Ok(Some(record))
    }};
}

impl Records for MemoryRecords {
    fn version(&self) -> Result<u64, Failed> {
        Ok(self.kept()?.all.version)
    }

    fn snapshot(&self) -> Result<Snapshot, Failed> {
        Ok(self.kept()?.all.clone())
    }

    fn image(&self, key: &ImageKey) -> Result<Option<ImageRecord>, Failed> {
        Ok(self.kept()?.all.images.get(key).cloned())
    }

    fn apply_over(&self, resource: &Resource, over: Over) -> Result<Applied, ApplyError> {
        let mut kept = self.kept()?;
        let applied = match resource {
            Resource::Image(image) => {
                let key = image.key();
                let old = kept.all.images.get(&key).cloned();
                if let Some(old) = &old {
                    let problems = old.image.refusals(image);
                    if !problems.is_empty() {
                        return Err(Refused { subject: format!("Image `{key}`"), problems }.into());
                    }
                }
                let before = old.as_ref().map(|old| (&old.image.metadata, &old.image.spec));
                let (metadata, applied) = renewed(before, &image.metadata, &image.spec, over)?;
                let mut record = old.unwrap_or_else(|| {
                    let mut new = (**image).clone();
                    new.status = ImageStatus::default();
                    ImageRecord::new(new)
                });
                (record.image.metadata, record.image.spec) = (metadata, image.spec.clone());
                write(&mut kept, applied, |all| drop(all.images.insert(key, record)))?
            }
            Resource::Builder(builder) => {
                let namespace = builder.metadata.namespace.clone();
                let namespace = namespace.filter(|_| builder.kind == BuilderKind::Builder);
                let key = BuilderKey { namespace, name: builder.metadata.name.clone() };
                let old = kept.all.builders.get(&key).cloned();
                let before = old.as_ref().map(|old| (&old.builder.metadata, &old.builder.spec));
                let (metadata, applied) = renewed(before, &builder.metadata, &builder.spec, over)?;
                let mut builder = (**builder).clone();
                builder.metadata = metadata;
                let made = old.map_or_else(Made::default, |old| old.made);
                write(&mut kept, applied, |all| drop(all.builders.insert(key, BuilderRecord { builder, made })))?
            }
            Resource::Stack(stack) => {
                let name = stack.metadata.name.clone();
                let old = kept.all.stacks.get(&name).cloned();
                let before = old.as_ref().map(|old| (&old.stack.metadata, &old.stack.spec));
                let (metadata, applied) = renewed(before, &stack.metadata, &stack.spec, over)?;
                let mut stack = (**stack).clone();
                stack.metadata = metadata;
                let seen = old.map_or_else(Seen::default, |old| old.seen);
                write(&mut kept, applied, |all| drop(all.stacks.insert(name, StackRecord { stack, seen })))?
            }
            Resource::Store(store) => {
                let name = store.metadata.name.clone();
                let old = kept.all.stores.get(&name).cloned();
                let before = old.as_ref().map(|old| (&old.store.metadata, &old.store.spec));
                let (metadata, applied) = renewed(before, &store.metadata, &store.spec, over)?;
                let mut store = (**store).clone();
                store.metadata = metadata;
                let seen = old.map_or_else(Seen::default, |old| old.seen);
                write(&mut kept, applied, |all| drop(all.stores.insert(name, StoreRecord { store, seen })))?
            }
            Resource::Package(package) => {
                let key = package.key();
                let old = kept.all.packages.get(&key).cloned();
                let before = old.as_ref().map(|old| (&old.package.metadata, &old.package.spec));
                let (metadata, applied) = renewed(before, &package.metadata, &package.spec, over)?;
                let mut package = (**package).clone();
                package.metadata = metadata;
                let seen = old.map_or_else(Seen::default, |old| old.seen);
                write(&mut kept, applied, |all| drop(all.packages.insert(key, PackageRecord { package, seen })))?
            }
        };
        Ok(applied)
    }

    fn remove(&self, id: &Id) -> Result<bool, Failed> {
        let mut kept = self.kept()?;
        let mut rest = kept.all.clone();
        let was_there = match id {
            Id::Image(key) => rest.images.remove(key).is_some(),
            Id::Builder(key) => rest.builders.remove(key).is_some(),
            Id::Stack(name) => rest.stacks.remove(name).is_some(),
            Id::Store(name) => rest.stores.remove(name).is_some(),
            Id::Package(key) => rest.packages.remove(key).is_some(),
        };
        if was_there {
            kept.change(|all| *all = rest)?;
        }
        Ok(was_there)
    }

    fn amend_image(&self, key: &ImageKey, amend: Amend<'_, ImageRecord>) -> Result<Option<ImageRecord>, Failed> {
        amend!(self, images, key, amend, |before: &ImageRecord, record: &mut ImageRecord| {
            record.image.metadata = before.image.metadata.clone();
            record.image.spec = before.image.spec.clone();
            record.builds.sort_by_key(|build| build.number);
            let is_twice = record.builds.windows(2).any(|two| two[0].number == two[1].number);
            let refused = || Failed::new(Fault::Refused, format!("could not keep two builds of {key} with one number"));
            if is_twice { Err(refused()) } else { Ok(()) }
        })
    }

    fn amend_builder(
        &self,
        key: &BuilderKey,
        amend: Amend<'_, BuilderRecord>,
    ) -> Result<Option<BuilderRecord>, Failed> {
        amend!(self, builders, key, amend, |before: &BuilderRecord, record: &mut BuilderRecord| {
            record.builder = before.builder.clone();
            Ok::<(), Failed>(())
        })
    }

    fn amend_stack(&self, name: &Name, amend: Amend<'_, StackRecord>) -> Result<Option<StackRecord>, Failed> {
        amend!(self, stacks, name, amend, |before: &StackRecord, record: &mut StackRecord| {
            record.stack = before.stack.clone();
            Ok::<(), Failed>(())
        })
    }

    fn amend_store(&self, name: &Name, amend: Amend<'_, StoreRecord>) -> Result<Option<StoreRecord>, Failed> {
        amend!(self, stores, name, amend, |before: &StoreRecord, record: &mut StoreRecord| {
            record.store = before.store.clone();
            Ok::<(), Failed>(())
        })
    }

    fn amend_package(
        &self,
        key: &PackageKey,
        amend: Amend<'_, PackageRecord>,
    ) -> Result<Option<PackageRecord>, Failed> {
        amend!(self, packages, key, amend, |before: &PackageRecord, record: &mut PackageRecord| {
            record.package = before.package.clone();
            Ok::<(), Failed>(())
        })
    }

    fn setting(&self, name: &str) -> Result<Option<String>, Failed> {
        Ok(self.kept()?.settings.get(name).cloned())
    }

    fn set(&self, name: &str, value: Option<&str>) -> Result<(), Failed> {
        let mut kept = self.kept()?;
        if kept.settings.get(name).map(String::as_str) == value {
            return Ok(());
        }
        kept.change(|_| ())?;
        match value {
            Some(value) => drop(kept.settings.insert(name.to_owned(), value.to_owned())),
            None => drop(kept.settings.remove(name)),
        }
        Ok(())
    }
}

fn write(kept: &mut Kept, applied: Applied, change: impl FnOnce(&mut Snapshot)) -> Result<Applied, Failed> {
    if applied != Applied::Unchanged {
        kept.change(change)?;
    }
    Ok(applied)
}
