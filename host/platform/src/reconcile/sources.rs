//! Where sources are: who looks, when, and what is built only after that.
//!
//! A webhook or a hand on the trigger asks for a look by a mark in the record ([`SourceRecord::looked`]), and whoever begins
//! that look puts another mark in its place. So one that comes in the middle of a look is seen: the answer to a question that
//! was asked before it says nothing of what it speaks of.

use std::thread::Scope as Threads;

use super::{Note, floor::Floor};
use crate::{
    decide::SourceState,
    port::{
        Failed, Outside,
        records::{ImageRecord, SourceRecord},
    },
    resource::{build::Fault, image::Image, name::ImageKey, source::ResolvedSource},
};

/// How many sources are looked up at once.
const MAX_LOOKING: usize = 8;
/// After how many looks in a row, each asked for in the middle of the one before, what was found is built all the same.
const MAX_ROW: u32 = 2;

impl<'a> Floor<'a> {
    /// Looks up where images' sources are, of those where that is not known, or may have changed by now.
    pub(super) fn look_at_sources<'scope, 'k>(
        &mut self,
        threads: &'scope Threads<'scope, '_>,
        keys: impl IntoIterator<Item = &'k ImageKey>,
    ) where
        'a: 'scope,
    {
        let now = self.on.outside.now();
        for key in keys {
            let Some(record) = self.known.images.get(key) else { continue };
            if !self.looking.contains_key(key) && is_to_be_looked_up(record, now, self.began) {
                self.to_look.insert((record.source.looked, key.clone()));
            }
        }
        self.look_at_next(threads);
    }

    /// Looks up those that wait for it, as many at once as there may be.
    fn look_at_next<'scope>(&mut self, threads: &'scope Threads<'scope, '_>)
    where
        'a: 'scope,
    {
        let now = self.on.outside.now();
        while self.looking.len() < MAX_LOOKING
            && let Some((_, key)) = self.to_look.pop_first()
        {
            let is_due = self.known.images.get(&key).is_some_and(|record| is_to_be_looked_up(record, now, self.began));
            if is_due && !self.looking.contains_key(&key) {
                self.look_at(threads, key, 1);
            }
        }
    }

    /// Looks up one; `times` says which look in a row that is.
    fn look_at<'scope>(&mut self, threads: &'scope Threads<'scope, '_>, key: ImageKey, times: u32)
    where
        'a: 'scope,
    {
        let Some(record) = self.known.images.get(&key).cloned() else { return };
        self.looking.insert(key.clone(), times);
        let (on, notes) = (self.on, self.notes.clone());
        threads.spawn(move || {
            // Before: what moves meanwhile is not taken for seen.
            let now = on.outside.now();
            let taken_up = if record.source.is_asked_for() {
                on.records.amend_image(&key, &mut |record| {
                    record.source.take_up();
                    Ok(())
                })
            } else {
                Ok(None)
            };
            let written = taken_up.and_then(|_| {
                let image = &record.image;
                // Of another wish it says nothing.
                let is_same_wish = record.source.of.as_ref() == Some(&image.spec.source);
                let last = record.source.found.as_ref().filter(|_| is_same_wish);
                let found = look(on.outside, image, last);
                on.records.amend_image(&key, &mut |record| {
                    note_source(record, image, &found, now);
                    Ok(())
                })
            });
            // Who asked waits for it as long as it is there.
            let _ = notes.send(Note::Looked(key, written.map(drop)));
        });
    }

    /// A source was looked up, and what was found is written down: its image is asked again. If somebody asked for another look
    /// in the middle of this one, that comes first, but not without end.
    pub(super) fn looked<'scope>(&mut self, threads: &'scope Threads<'scope, '_>, key: &ImageKey) -> Result<(), Failed>
    where
        'a: 'scope,
    {
        let times = self.looking.remove(key).unwrap_or_default();
        let record = self.on.records.image(key)?;
        let is_asked_for = record.as_ref().is_some_and(|record| record.source.is_asked_for());
        match record {
            Some(record) => drop(self.known.images.insert(key.clone(), record)),
            None => drop(self.known.images.remove(key)),
        }
        if is_asked_for && times < MAX_ROW {
            self.look_at(threads, key.clone(), times + 1);
            return Ok(());
        }
        let job = self.ask(key);
        self.look_at_sources(threads, [key]);
        let steps = self.queue.submit(job, self.on.outside.now());
        self.take(threads, steps)
    }

    /// Whether what an image's owner changed waits for a look at its source: it goes before others then.
    pub(super) fn waits_for_look(&mut self, key: &ImageKey) -> bool {
        if self.looking.contains_key(key) {
            return true;
        }
        let Some(record) = self.known.images.get(key) else { return false };
        let first = (SourceRecord::ASKED, key.clone());
        let waits = self.to_look.remove(&(record.source.looked, key.clone())) || self.to_look.contains(&first);
        if waits {
            self.to_look.insert(first);
        }
        waits
    }
}

/// Looks up a source. Whatever breaks, something comes of it.
fn look(outside: &dyn Outside, image: &Image, last: Option<&ResolvedSource>) -> Result<ResolvedSource, Failed> {
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| outside.source(image, last)));
    let broken = "the platform itself failed while it looked for the source";
    found.unwrap_or_else(|_| Err(Failed::new(Fault::Interrupted, broken)))
}

/// Whether a source is to be looked up now. Who wants to come to an end looks at what may move once, and at what was not found
/// without waiting for its time.
fn is_to_be_looked_up(record: &ImageRecord, now: u64, began: Option<u64>) -> bool {
    let (spec, source) = (&record.image.spec, &record.source);
    if matches!(SourceState::of(&spec.source), SourceState::Ready(_)) {
        return false;
    }
    // A clock that was set back: what is of later is looked up again. And a webhook wants it, whoever watches; of one that was
    // being looked up, while nobody does, whoever did was stopped.
    let is_wanted = source.is_asked_for() || source.is_taken_up();
    if source.of.as_ref() != Some(&spec.source) || source.looked > now || is_wanted {
        return true;
    }
    let age = began.unwrap_or(now).saturating_sub(source.looked);
    let is_tried_anyway = began.is_some() && source.failure.is_some();
    let is_missing = source.found.is_none() && age >= spec.watch.interval;
    age > 0 && (is_tried_anyway || is_missing || spec.watch.is_due(age))
}

/// Writes down what was found. That somebody asked for another look meanwhile stays.
fn note_source(record: &mut ImageRecord, image: &Image, found: &Result<ResolvedSource, Failed>, now: u64) {
    if record.image.spec.source != image.spec.source {
        return;
    }
    let is_same_wish = record.source.of.as_ref() == Some(&image.spec.source);
    let before = if is_same_wish { record.source.found.take() } else { None };
    let of = Some(image.spec.source.clone());
    let looked = if record.source.is_asked_for() { SourceRecord::ASKED } else { now };
    record.source = match found {
        Ok(found) => SourceRecord { of, found: Some(found.clone()), failure: None, looked },
        Err(error) => SourceRecord { of, found: before, failure: Some(error.sentence()), looked },
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{START, image};

    #[test]
    fn a_source_that_nobody_watches_is_looked_up_when_a_webhook_comes() {
        let mut record = ImageRecord::new(image("web"));
        record.image.spec.watch.enabled = false;
        record.source.of = Some(record.image.spec.source.clone());
        record.source.found = Some(crate::testing::commit("c1"));
        record.source.looked = START;
        assert!(!is_to_be_looked_up(&record, START + 1_000_000, None));
        record.source.ask();
        assert!(is_to_be_looked_up(&record, START, None));
        record.source.take_up();
        assert!(is_to_be_looked_up(&record, START, None), "whoever took it up was stopped");
    }
}
