//! What operators wish is looked up and made: stacks, stores, buildpacks, builders. One after another, and whoever reconciles waits
//! for it.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{
    floor::{Floor, Pause},
    later,
};
use crate::{
    plan::world::{BuilderKey, World},
    port::{
        Event, Failed,
        records::{BuilderRecord, PackageRecord, Revision, StackRecord, StoreRecord},
    },
    resource::builder::BuilderRevision,
};

/// The first pause after something could not be looked up; the next ones are twice as long each.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

impl Floor<'_> {
    /// Stacks, stores and buildpacks that were not looked up since their wishes changed, then builders that are not what they
    /// should be.
    pub(super) fn observe_operators(&mut self) -> Result<(), Failed> {
        self.forget_what_is_gone();
        self.look_up::<StackRecord>()?;
        self.look_up::<StoreRecord>()?;
        self.look_up::<PackageRecord>()?;
        self.observe_builders()
    }

    /// Whether something that could not be looked up is to be tried again.
    pub(super) fn is_operators_turn(&self) -> bool {
        let now = Instant::now();
        self.pauses.values().any(|pause| pause.until <= now)
    }

    /// Nobody tries again, nor speaks of, what nobody wishes for any more.
    fn forget_what_is_gone(&mut self) {
        let mut there: BTreeSet<String> = self.known.builders.keys().map(title).collect();
        there.extend(self.titles::<StackRecord>());
        there.extend(self.titles::<StoreRecord>());
        there.extend(self.titles::<PackageRecord>());
        self.pauses.retain(|what, _| there.contains(what));
        self.trouble.retain(|what, _| there.contains(what));
        self.refused.retain(|key, _| self.known.builders.contains_key(key));
    }

    pub(super) fn is_due(&self, what: &str, generation: u64) -> bool {
        let now = Instant::now();
        self.pauses.get(what).is_none_or(|pause| pause.until <= now || pause.generation != generation)
    }

    /// Notes that something failed. Whether it is tried again.
    pub(super) fn trouble(&mut self, what: &str, generation: u64, error: &Failed) -> bool {
        let is_transient = error.fault.is_transient();
        let before = self.pauses.remove(what).filter(|pause| pause.generation == generation);
        if is_transient {
            let times = before.map_or(0, |pause| pause.times);
            let until = later(FIRST_PAUSE.saturating_mul(1 << times.min(16)).min(LONGEST_PAUSE));
            self.pauses.insert(what.to_owned(), Pause { times: times + 1, until, generation });
        }
        self.tell_trouble(what, &error.sentence());
        is_transient
    }

    /// Tells why something is not what it should be, once.
    fn tell_trouble(&mut self, what: &str, why: &str) {
        if self.trouble.get(what).is_none_or(|told| told != why) {
            self.on.outside.tell(Event::Trouble { what: what.to_owned(), why: why.to_owned() });
            self.trouble.insert(what.to_owned(), why.to_owned());
        }
    }

    pub(super) fn relief(&mut self, what: &str) {
        self.pauses.remove(what);
        self.trouble.remove(what);
    }

    fn observe_builders(&mut self) -> Result<(), Failed> {
        let world = self.known.world(self.on.lifecycle);
        let keys: Vec<BuilderKey> = self.known.builders.keys().cloned().collect();
        for key in keys {
            let (what, Some(record)) = (title(&key), self.known.builders.get(&key).cloned()) else { continue };
            match wanted(&world, &record) {
                Wanted::Nothing => self.relief(&what),
                Wanted::Failure { why, is_known } => {
                    // Something else has to change first, and then it is looked at by itself.
                    self.pauses.remove(&what);
                    self.tell_trouble(&what, &why);
                    if !is_known {
                        self.note_builder(&key, &record, Err(&why))?;
                    }
                }
                Wanted::Revision(revision) => {
                    let generation = record.builder.metadata.generation;
                    let is_refused =
                        self.refused.get(&key).is_some_and(|(of, what)| *of == generation && *what == *revision);
                    if !is_refused && self.is_due(&what, generation) {
                        self.make_builder(&key, &record, *revision)?;
                    }
                }
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
        let stock = self.known.stock(key.namespace.as_ref());
        match self.on.outside.builder(&record.builder, number, &revision, &stock) {
            Ok(artefact) => {
                self.relief(&title(key));
                self.refused.remove(key);
                let revision = BuilderRevision { image: artefact.image, artefact: Some(artefact.digest), ..revision };
                let made = self.on.outside.now();
                self.note_builder(key, record, Ok(&Revision { number, made, revision }))?;
                self.on.outside.tell(Event::Made { builder: title(key), number });
            }
            Err(error) => {
                let generation = record.builder.metadata.generation;
                let is_tried_again = self.trouble(&title(key), generation, &error);
                self.note_builder(key, record, Err(&error.sentence()))?;
                if !is_tried_again {
                    self.refused.insert(key.clone(), (generation, revision));
                }
            }
        }
        Ok(())
    }

    fn note_builder(
        &mut self,
        key: &BuilderKey,
        of: &BuilderRecord,
        made: Result<&Revision, &str>,
    ) -> Result<(), Failed> {
        let amended = self.on.records.amend_builder(key, &mut |record| {
            if record.builder.spec != of.builder.spec {
                return Ok(());
            }
            record.made.generation = of.builder.metadata.generation;
            match made {
                Ok(revision) => {
                    record.made.failure = None;
                    record.made.revisions.retain(|one| one.number != revision.number);
                    record.made.revisions.push(revision.clone());
                }
                Err(why) => record.made.failure = Some(why.to_owned()),
            }
            Ok(())
        })?;
        self.known.builders.extend(amended.map(|record| (key.clone(), record)));
        Ok(())
    }
}

/// What is to be done about a builder.
enum Wanted {
    /// Nothing: it is what it should be, or is to stay what it was.
    Nothing,
    /// It lacks something.
    Failure {
        /// What.
        why: String,
        /// Whether that is written down.
        is_known: bool,
    },
    /// It is to be made of this.
    Revision(Box<BuilderRevision>),
}

fn wanted(world: &World, record: &BuilderRecord) -> Wanted {
    if record.turned_back().is_some() {
        return Wanted::Nothing;
    }
    let is_seen = record.made.generation == record.builder.metadata.generation;
    match world.compose(record.builder.metadata.namespace.as_ref(), &record.builder.spec) {
        Err(why) => Wanted::Failure { is_known: is_seen && record.made.failure.as_ref() == Some(&why), why },
        Ok(revision) => {
            let last = record.made.revisions.last();
            let is_made = last.is_some_and(|last| last.revision.is_made_of_the_same(&revision));
            if is_made && is_seen && record.made.failure.is_none() {
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
