//! What operators wish is looked up and made: stacks, stores, builders. And where sources are.

use std::{
    thread::Scope as Threads,
    time::{Duration, Instant},
};

use super::{Note, floor::Floor, later};
use crate::{
    decide::SourceState,
    plan::world::{BuilderKey, World},
    port::{
        Event, Failed,
        records::{BuilderRecord, ImageRecord, Revision, SourceRecord},
    },
    resource::{builder::BuilderRevision, image::Image, name::ImageKey},
};

/// The first pause after something could not be looked up; the next ones are twice as long each.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// How many sources are looked up at once.
const MAX_LOOKING: usize = 8;

impl<'a> Floor<'a> {
    /// Stacks and stores that were not looked up since their wishes changed, then builders that are not what they should be.
    pub(super) fn observe_operators(&mut self) -> Result<(), Failed> {
        self.observe_stacks()?;
        self.observe_stores()?;
        self.observe_builders()
    }

    /// Whether something that could not be looked up is to be tried again.
    pub(super) fn is_operators_turn(&self) -> bool {
        let now = Instant::now();
        self.pauses.values().any(|(_, at)| *at <= now)
    }

    fn is_due(&self, what: &str) -> bool {
        self.pauses.get(what).is_none_or(|(_, at)| *at <= Instant::now())
    }

    /// Notes that something failed. Whether it is tried again.
    fn trouble(&mut self, what: String, error: &Failed) -> bool {
        let why = error.sentence();
        let is_transient = error.fault.is_transient();
        if is_transient {
            let times = self.pauses.get(&what).map_or(0, |(times, _)| *times);
            let pause = FIRST_PAUSE.saturating_mul(1 << times.min(16)).min(LONGEST_PAUSE);
            self.pauses.insert(what.clone(), (times + 1, later(pause)));
        } else {
            self.pauses.remove(&what);
        }
        if self.trouble.get(&what) != Some(&why) {
            self.on.outside.tell(Event::Trouble { what: what.clone(), why: why.clone() });
            self.trouble.insert(what, why);
        }
        is_transient
    }

    fn relief(&mut self, what: &str) {
        self.pauses.remove(what);
        self.trouble.remove(what);
    }

    fn observe_stacks(&mut self) -> Result<(), Failed> {
        let records = self.known.stacks.iter();
        let stale = records.filter(|(_, record)| record.seen.generation != record.stack.metadata.generation);
        let stale: Vec<_> = stale.map(|(name, record)| (name.clone(), record.stack.clone())).collect();
        for (name, stack) in stale {
            let what = format!("ClusterStack {name}");
            if !self.is_due(&what) {
                continue;
            }
            let (found, failure, is_over) = match self.on.outside.stack(&stack) {
                Ok(found) => {
                    self.relief(&what);
                    (Some(found), None, true)
                }
                Err(error) => (None, Some(error.sentence()), !self.trouble(what, &error)),
            };
            let amended = self.on.records.amend_stack(&name, &mut |record| {
                if record.stack.spec == stack.spec {
                    if is_over {
                        record.seen.generation = stack.metadata.generation;
                    }
                    record.seen.failure.clone_from(&failure);
                    if found.is_some() {
                        record.seen.found.clone_from(&found);
                    }
                }
                Ok(())
            })?;
            amended.into_iter().for_each(|record| drop(self.known.stacks.insert(name.clone(), record)));
        }
        Ok(())
    }

    fn observe_stores(&mut self) -> Result<(), Failed> {
        let records = self.known.stores.iter();
        let stale = records.filter(|(_, record)| record.seen.generation != record.store.metadata.generation);
        let stale: Vec<_> = stale.map(|(name, record)| (name.clone(), record.store.clone())).collect();
        for (name, store) in stale {
            let what = format!("ClusterStore {name}");
            if !self.is_due(&what) {
                continue;
            }
            let (found, failure, is_over) = match self.on.outside.store(&store) {
                Ok(found) => {
                    self.relief(&what);
                    (Some(found), None, true)
                }
                Err(error) => (None, Some(error.sentence()), !self.trouble(what, &error)),
            };
            let amended = self.on.records.amend_store(&name, &mut |record| {
                if record.store.spec == store.spec {
                    if is_over {
                        record.seen.generation = store.metadata.generation;
                    }
                    record.seen.failure.clone_from(&failure);
                    if found.is_some() {
                        record.seen.found.clone_from(&found);
                    }
                }
                Ok(())
            })?;
            amended.into_iter().for_each(|record| drop(self.known.stores.insert(name.clone(), record)));
        }
        Ok(())
    }

    fn observe_builders(&mut self) -> Result<(), Failed> {
        let world = self.known.world(self.on.lifecycle);
        let keys: Vec<BuilderKey> = self.known.builders.keys().cloned().collect();
        for key in keys {
            let what = title(&key);
            let Some(record) = self.known.builders.get(&key).cloned() else { continue };
            if record.turned_back().is_some() || !self.is_due(&what) {
                continue;
            }
            match wanted(&world, &record) {
                Wanted::Nothing => self.relief(&what),
                Wanted::Failure(why) => self.note_builder(&key, &record, Err(why))?,
                Wanted::Revision(revision) => self.make_builder(&key, &record, *revision)?,
            }
        }
        Ok(())
    }

    fn make_builder(
        &mut self,
        key: &BuilderKey,
        record: &BuilderRecord,
        revision: BuilderRevision,
    ) -> Result<(), Failed> {
        let last = record.made.revisions.last();
        // The same parts at another tag are the same revision.
        let number = match last {
            Some(last) if last.revision.is_made_of_the_same(&revision) => last.number,
            last => last.map_or(1, |last| last.number + 1),
        };
        let stock = self.known.stock();
        match self.on.outside.builder(&record.builder, number, &revision, &stock) {
            Ok(artefact) => {
                self.relief(&title(key));
                let revision =
                    BuilderRevision { image: artefact.image, artefact: Some(artefact.digest), ..revision };
                let made = self.on.outside.now();
                self.note_builder(key, record, Ok(Revision { number, made, revision }))?;
                self.on.outside.tell(Event::Made { builder: title(key), number });
            }
            Err(error) => {
                self.trouble(title(key), &error);
                self.note_builder(key, record, Err(error.sentence()))?;
            }
        }
        Ok(())
    }

    fn note_builder(
        &mut self,
        key: &BuilderKey,
        of: &BuilderRecord,
        made: Result<Revision, String>,
    ) -> Result<(), Failed> {
        if let Err(why) = &made {
            let what = title(key);
            if self.trouble.get(&what) != Some(why) {
                self.on.outside.tell(Event::Trouble { what: what.clone(), why: why.clone() });
                self.trouble.insert(what, why.clone());
            }
        }
        let amended = self.on.records.amend_builder(key, &mut |record| {
            if record.builder.spec != of.builder.spec {
                return Ok(());
            }
            record.made.generation = of.builder.metadata.generation;
            match &made {
                Ok(revision) => {
                    record.made.failure = None;
                    record.made.revisions.retain(|one| one.number != revision.number);
                    record.made.revisions.push(revision.clone());
                }
                Err(why) => record.made.failure = Some(why.clone()),
            }
            Ok(())
        })?;
        amended.into_iter().for_each(|record| drop(self.known.builders.insert(key.clone(), record)));
        Ok(())
    }

    /// Looks up where an image's source is, if that is not known, or may have changed by now.
    pub(super) fn look_at_source<'scope>(&mut self, threads: &'scope Threads<'scope, '_>, key: &ImageKey)
    where
        'a: 'scope,
    {
        let Some(record) = self.known.images.get(key) else { return };
        let now = self.on.outside.now();
        if self.looking.len() >= MAX_LOOKING || self.looking.contains(key) || !is_to_be_looked_up(record, now) {
            return;
        }
        self.looking.insert(key.clone());
        let (image, on, notes, key) = (record.image.clone(), self.on, self.notes.clone(), key.clone());
        threads.spawn(move || {
            let found = on.outside.source(&image);
            let now = on.outside.now();
            // What cannot be written down is looked up again.
            let _ = on.records.amend_image(&key, &mut |record| {
                note_source(record, &image, &found, now);
                Ok(())
            });
            let _ = notes.send(Note::Looked(key));
        });
    }
}

/// What is to be done about a builder.
enum Wanted {
    Nothing,
    Failure(String),
    Revision(Box<BuilderRevision>),
}

fn wanted(world: &World, record: &BuilderRecord) -> Wanted {
    let is_known = record.made.generation == record.builder.metadata.generation;
    match world.compose(&record.builder.spec) {
        Err(why) if record.made.failure.as_ref() == Some(&why) && is_known => Wanted::Nothing,
        Err(why) => Wanted::Failure(why),
        Ok(revision) => {
            let last = record.made.revisions.last();
            let is_made = last.is_some_and(|last| last.revision.is_made_of_the_same(&revision));
            if is_made && is_known && record.made.failure.is_none() {
                return Wanted::Nothing;
            }
            Wanted::Revision(Box::new(revision))
        }
    }
}

/// `ClusterBuilder default`, `Builder team-a/web`.
pub(super) fn title(key: &BuilderKey) -> String {
    match &key.namespace {
        None => format!("ClusterBuilder {}", key.name),
        Some(namespace) => format!("Builder {namespace}/{}", key.name),
    }
}

/// Whether a source is to be looked up now.
fn is_to_be_looked_up(record: &ImageRecord, now: u64) -> bool {
    let spec = &record.image.spec;
    if matches!(SourceState::of(&spec.source), SourceState::Ready(_)) {
        return false;
    }
    if record.source.of.as_ref() != Some(&spec.source) {
        return true;
    }
    let age = now.saturating_sub(record.source.looked);
    // A clock that was set back: what is of later is looked up again.
    let is_of_later = record.source.looked > now;
    spec.watch.is_due(age) || is_of_later
}

/// Writes down what was found.
fn note_source(
    record: &mut ImageRecord,
    image: &Image,
    found: &Result<crate::resource::source::ResolvedSource, Failed>,
    now: u64,
) {
    if record.image.spec.source != image.spec.source {
        return;
    }
    let is_same_wish = record.source.of.as_ref() == Some(&image.spec.source);
    let before = if is_same_wish { record.source.found.take() } else { None };
    let of = Some(image.spec.source.clone());
    record.source = match found {
        Ok(found) => SourceRecord { of, found: Some(found.clone()), failure: None, looked: now },
        Err(error) => SourceRecord { of, found: before, failure: Some(error.sentence()), looked: now },
    };
}
