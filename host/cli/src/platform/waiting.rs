//! Waiting for a server that reconciles: for what a change reaches and for nothing else, until there is nothing to be done
//! about it. Whether that is so is read off the records alone.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use stave_platform::{
    decide::{SourceState, Verdict},
    plan::{
        Rules,
        world::{BuilderKey, World},
    },
    port::records::{BuilderRecord, Id, Snapshot},
    reconcile::{Scope, decision},
    resource::{
        builder::BuilderRevision,
        name::{ImageKey, Name},
        order::Pick,
        package::PackageKey,
    },
};
use stave_store::lease::{Holder, Lease};

use super::{Came, Desk, PAUSE, SERVE, Show, now};
use crate::exit::{Exit, GENERAL, one_line};

/// How long nobody is told what is waited for.
const MOMENT: Duration = Duration::from_secs(3);
/// How long a failure that was there before the change is not taken for what came of it, if it says the same.
const GRACE: Duration = Duration::from_secs(30);
/// How long is waited while nothing is built and nothing that is waited for becomes ready, as `kp` does.
const LIMIT: Duration = Duration::from_mins(10);
/// How many of the things that are waited for are named.
const NAMED: usize = 5;
/// Most characters of a line about them.
const MAX_LINE: usize = 500;

/// Something that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Waited {
    /// What it is.
    what: String,
    /// Whether it is being built.
    is_built: bool,
}

impl Desk<'_> {
    /// A server reconciles: it is waited for until nothing that `changed` reaches in scope is to be done.
    pub(super) fn wait_for_server(
        &self,
        (scope, changed): (&Scope, &[Id]),
        wait: bool,
        holder: &Holder,
    ) -> Result<Came, Exit> {
        if !wait {
            self.workshop.ui.say(&format!("`{SERVE}` (process {}) does the rest", holder.pid));
            return Ok(Came { is_left: true, ..Came::default() });
        }
        let taken = if self.before.is_none() { Some(self.snapshot()?) } else { None };
        let Some(before) = self.before.as_ref().or(taken.as_ref()) else { return Ok(Came::default()) };
        let (began, mut since) = (Instant::now(), Instant::now());
        let (mut last, mut is_told) = (Vec::new(), false);
        loop {
            let snapshot = self.snapshot()?;
            let reach = Reach::of(&snapshot, scope, changed);
            let is_patient = began.elapsed() < GRACE;
            let waited = reach.not_ready(&snapshot, before, is_patient, &self.rules()?, self.lifecycle());
            if waited.is_empty() {
                return Ok(Came { ended: reach.ended(&snapshot, before), is_left: false });
            }
            if Lease::holder(&self.workshop.data).is_none() {
                self.settle_changed(scope, changed, true, Show::Lines)?;
                let snapshot = self.snapshot()?;
                let reach = Reach::of(&snapshot, scope, changed);
                return Ok(Came { ended: reach.ended(&snapshot, before), is_left: false });
            }
            if !is_told && began.elapsed() > MOMENT {
                let said = format!("waiting for `{SERVE}` (process {}): {}", holder.pid, names(&waited));
                self.workshop.ui.say(&said);
                is_told = true;
            }
            if waited != last || waited.iter().any(|one| one.is_built) {
                (last, since) = (waited, Instant::now());
            } else if since.elapsed() > LIMIT {
                return Err(too_long(holder, &waited));
            }
            self.workshop.cancel.check()?;
            thread::sleep(PAUSE);
        }
    }
}

/// Somebody waited long enough.
fn too_long(holder: &Holder, waited: &[Waited]) -> Exit {
    let minutes = LIMIT.as_secs() / 60;
    let message = format!("`{SERVE}` (process {}) got no further in {minutes} minutes", holder.pid);
    let exit = Exit::new(GENERAL, message).detail(format!("not ready: {}", names(waited)));
    exit.hint("what is wished for is kept, and it goes on with that; what it says itself tells more")
}

/// The first of them by name, and how many more there are.
fn names(waited: &[Waited]) -> String {
    let named = waited.iter().take(NAMED).map(|one| one.what.as_str()).collect::<Vec<_>>().join(", ");
    let named = one_line(&named, MAX_LINE);
    match waited.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// What a change reaches, and what that stands on.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reach {
    stacks: BTreeSet<Name>,
    stores: BTreeSet<Name>,
    packages: BTreeSet<PackageKey>,
    builders: BTreeSet<BuilderKey>,
    images: BTreeSet<ImageKey>,
}

impl Reach {
    /// What a change of `changed`, and of the images that `scope` names, reaches of what is in scope.
    fn of(snapshot: &Snapshot, scope: &Scope, changed: &[Id]) -> Self {
        let mut reach = Self::default();
        for id in changed {
            match id {
                Id::Image(key) => drop(reach.images.insert(key.clone())),
                Id::Builder(key) => drop(reach.builders.insert(key.clone())),
                Id::Stack(name) => drop(reach.stacks.insert(name.clone())),
                Id::Store(name) => drop(reach.stores.insert(name.clone())),
                Id::Package(key) => drop(reach.packages.insert(key.clone())),
            }
        }
        if let Scope::Images(keys) = scope {
            reach.images.extend(keys.iter().cloned());
        }
        reach.go_down(snapshot);
        reach.images.retain(|key| scope.has(key));
        reach.go_up(snapshot);
        reach
    }

    /// From stacks, stores and buildpacks to builders, and from those to images.
    fn go_down(&mut self, snapshot: &Snapshot) {
        for (key, record) in &snapshot.builders {
            let spec = &record.builder.spec;
            let is_filled = match &spec.store {
                Some(store) => self.stores.contains(&store.name),
                None => !self.stores.is_empty(),
            };
            let is_named = self.packages.iter().any(|package| may_take(key, record, package));
            if is_filled || is_named || self.stacks.contains(&spec.stack.name) {
                self.builders.insert(key.clone());
            }
        }
        for (key, record) in &snapshot.images {
            if self.builders.contains(&BuilderKey::of(&record.image.spec.builder, &key.namespace)) {
                self.images.insert(key.clone());
            }
        }
    }

    /// From images to their builders, and from those to stacks, stores and buildpacks.
    fn go_up(&mut self, snapshot: &Snapshot) {
        let of = |key: &ImageKey| {
            let record = snapshot.images.get(key)?;
            Some(BuilderKey::of(&record.image.spec.builder, &key.namespace))
        };
        self.builders.extend(self.images.iter().filter_map(of));
        for (key, record) in self.builders.iter().filter_map(|key| snapshot.builders.get_key_value(key)) {
            let taken = snapshot.packages.keys().filter(|package| may_take(key, record, package));
            self.packages.extend(taken.cloned());
            let spec = &record.builder.spec;
            self.stacks.insert(spec.stack.name.clone());
            match &spec.store {
                Some(store) => drop(self.stores.insert(store.name.clone())),
                None => self.stores.extend(snapshot.stores.keys().cloned()),
            }
        }
    }

    /// What of it is going on or to be done. What could not be looked up is tried again some time, and not waited for.
    fn not_ready(
        &self,
        snapshot: &Snapshot,
        before: &Snapshot,
        is_patient: bool,
        rules: &Rules,
        lifecycle: &str,
    ) -> Vec<Waited> {
        let mut waited = Vec::new();
        let mut waits = |what: String, is_built: bool| waited.push(Waited { what, is_built });
        for (name, record) in self.stacks.iter().filter_map(|name| snapshot.stacks.get_key_value(name)) {
            if record.seen.generation != record.stack.metadata.generation && record.seen.failure.is_none() {
                waits(format!("ClusterStack {name}"), false);
            }
        }
        for (name, record) in self.stores.iter().filter_map(|name| snapshot.stores.get_key_value(name)) {
            if record.seen.generation != record.store.metadata.generation && record.seen.failure.is_none() {
                waits(format!("ClusterStore {name}"), false);
            }
        }
        for (key, record) in self.packages.iter().filter_map(|key| snapshot.packages.get_key_value(key)) {
            if record.seen.generation != record.package.metadata.generation && record.seen.failure.is_none() {
                waits(key.to_string(), false);
            }
        }
        let (world, old) = (snapshot.world(lifecycle), before.world(lifecycle));
        for (key, record) in self.builders.iter().filter_map(|key| snapshot.builders.get_key_value(key)) {
            let old = before.builders.get(key).filter(|_| is_patient).map(|record| (&old, record));
            if !is_made(&world, record, old) {
                waits(format!("{} {}", record.builder.kind, record.builder.metadata.name), false);
            }
        }
        for (key, record) in self.images.iter().filter_map(|key| snapshot.images.get_key_value(key)) {
            match decision(snapshot, record, rules, now()).verdict {
                Verdict::Running { .. } => waits(format!("image {key}, which is built"), true),
                Verdict::Start(_) => waits(format!("image {key}, which is to be built"), false),
                // A source that was not looked up since the wish changed is about to be.
                _ if record.source_state() == SourceState::Stale => waits(format!("the source of image {key}"), false),
                _ => {}
            }
        }
        waited
    }

    /// The builds of it that are over and were not before.
    fn ended(&self, snapshot: &Snapshot, before: &Snapshot) -> Vec<stave_platform::resource::build::Build> {
        let was_over = |key: &ImageKey, number: u64| {
            let record = before.images.get(key);
            record.is_some_and(|record| record.builds.iter().any(|one| one.number == number && !one.is_running()))
        };
        let records = self.images.iter().filter_map(|key| snapshot.images.get_key_value(key));
        let builds = records.flat_map(|(key, record)| record.builds.iter().map(move |build| (key, build)));
        let ended = builds.filter(|(key, build)| !build.is_running() && !was_over(key, build.number));
        ended.map(|(_, build)| build.clone()).collect()
    }
}

/// Whether a builder's order may come to a buildpack: it is named, or an id is looked for everywhere.
fn may_take(key: &BuilderKey, record: &BuilderRecord, package: &PackageKey) -> bool {
    let mut entries = record.builder.spec.order.iter().flat_map(|group| &group.group);
    package.is_seen_by(key.namespace.as_ref())
        && entries.any(|entry| match &entry.pick {
            Pick::Anywhere { .. } => true,
            Pick::Of { kind, name, .. } => *kind == package.kind() && *name == package.name,
        })
}

/// Whether a builder is what its parts come to by now, or could not become that. `old` is what it was before the change, where
/// a failure may still be about that.
fn is_made(world: &World, record: &BuilderRecord, old: Option<(&World, &BuilderRecord)>) -> bool {
    if record.turned_back().is_some() {
        return true;
    }
    let (made, builder) = (&record.made, &record.builder);
    if made.generation != builder.metadata.generation {
        return false;
    }
    let namespace = builder.metadata.namespace.as_ref();
    match (world.compose(namespace, &builder.spec), &made.failure) {
        (Err(why), failure) => failure.as_ref() == Some(&why),
        (Ok(revision), None) => made.revisions.last().is_some_and(|last| is_same(&last.revision, revision)),
        (Ok(revision), Some(failure)) => old.is_none_or(|(world, old)| {
            if old.made.failure.as_ref() != Some(failure) {
                return true;
            }
            // It says what it said before: that is about what it is to be now only if that is what it was to be then.
            world.compose(namespace, &old.builder.spec).is_ok_and(|before| before.is_made_of_the_same(&revision))
        }),
    }
}

/// Whether a builder is made of this, by whichever program the server is.
fn is_same(last: &BuilderRevision, revision: BuilderRevision) -> bool {
    last.is_made_of_the_same(&BuilderRevision { lifecycle: last.lifecycle.clone(), ..revision })
}
