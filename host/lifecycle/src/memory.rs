//! Remembered steps: what a buildpack answered, kept with everything that it was told, so that it need not run while nothing
//! of that has changed.
//!
//! An answer is found by who was asked and under which rules; then every question that the buildpack asked is asked again
//! ([`crate::workbench`]), of the app and the settings as they are now. If all of them are answered as they were, so is the
//! buildpack's own. This holds because a component learns nothing but through its bench, and decides by nothing else.
//!
//! What is not kept: a failure of any kind; an answer that was given after a disk, a network or a damaged file failed the
//! buildpack, whatever it made of that; one for which the value of a service binding was read, since nothing of a secret is
//! kept, not even a digest; one that took more calls or bytes than a journal holds.

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use stave_archive::tree::Tree;
use stave_model::{
    digest::{Digest, Key},
    plan::Requirement,
};

use crate::{
    port::{
        blobs::Results,
        buildpack::{Buildpack, Report, RunError, Verdict},
        observer::{Event, Phase as FlowPhase},
        recall::{Cause, Recall, Unkept},
    },
    workbench::{DraftLayer, Phase, Remembered, Shop, Work, Workbench},
};

/// The form of what is kept, and what the bench does: another one forgets everything.
const FORMAT: &str = "memory 2";
/// Most answers that are kept of one buildpack under the same rules: for an app that goes back and forth.
const MAX_KEPT: usize = 4;
/// Most bytes that they take together.
const MAX_BYTES: usize = 4 << 20;

/// What is known of earlier runs.
#[derive(Clone, Default)]
pub struct Memory {
    results: Option<Arc<dyn Results>>,
    ignored: bool,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("ignored", &self.ignored).finish_non_exhaustive()
    }
}

impl Memory {
    /// Nothing is known, and nothing is kept.
    pub fn none() -> Self {
        Self::default()
    }

    /// What is kept in `results`.
    pub fn of(results: Arc<dyn Results>) -> Self {
        Self { results: Some(results), ignored: false }
    }

    /// The same, looked at by nobody in this run: everything runs, and what comes of it is kept.
    #[must_use]
    pub fn ignored(self) -> Self {
        Self { ignored: true, ..self }
    }
}

/// An answer and what it was given for.
#[derive(Serialize, Deserialize)]
struct Kept<T> {
    answer: T,
    remembered: Remembered,
}

/// What is known of a buildpack under the same rules.
#[derive(Serialize, Deserialize)]
struct Shelf<T> {
    /// Answers, the newest first.
    answers: Vec<Kept<T>>,
    /// Why the last answer is not among them, if it is not.
    unkept: Option<Unkept>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { answers: Vec::new(), unkept: None }
    }
}

/// One call of a buildpack that may be remembered.
struct Step<'a> {
    shop: &'a Shop,
    buildpack: &'a dyn Buildpack,
    phase: Phase,
    requirements: &'a [Requirement],
}

impl Step<'_> {
    fn bench(&self, app: &Arc<Tree>) -> Workbench {
        let manifest = self.buildpack.manifest();
        Workbench::new(self.shop, manifest, self.buildpack.allowance(), self.phase, Arc::clone(app))
    }

    /// Who is asked, and by which rules the bench answers.
    fn key(&self) -> Digest {
        let phase = match self.phase {
            Phase::Detect => "detect",
            Phase::Build => "build",
        };
        let manifest = self.buildpack.manifest();
        let rules = json(&(manifest, self.buildpack.grants(), self.requirements));
        let key = Key::new(FORMAT).field(env!("CARGO_PKG_VERSION")).field(&manifest.contract).field(phase);
        key.field(self.buildpack.digest().hex()).field(rules).field(format!("{:?}", self.shop.limits)).finish()
    }

    /// The answer of an earlier run, with what it left on the bench, if everything is as it was; says so, or why not.
    fn recall<T: DeserializeOwned>(&self, app: &Arc<Tree>) -> Option<(T, Work)> {
        let results = self.shop.memory.results.as_ref()?;
        if self.shop.memory.ignored {
            self.tell(Recall::Ran(Cause::NoMemory));
            return None;
        }
        let Shelf { answers, unkept } = self.shelf::<T>(results.as_ref());
        let mut cause = unkept.map_or(Cause::FirstTime, Cause::Unkept);
        for Kept { answer, remembered } in answers {
            let bench = self.bench(app);
            match remembered.recall(&bench, || self.tell(Recall::Remembered)) {
                Ok(work) => {
                    self.enter(&bench);
                    return Some((answer, work));
                }
                Err(change) if cause == Cause::FirstTime => cause = Cause::Changed(change),
                Err(_) => {}
            }
        }
        self.tell(Recall::Ran(cause));
        None
    }

    fn shelf<T: DeserializeOwned>(&self, results: &dyn Results) -> Shelf<T> {
        results.get(&self.key()).and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Has it written down what was used and denied at a bench.
    fn enter(&self, bench: &Workbench) {
        let record = bench.record();
        if !record.is_empty() {
            self.shop.ledger.enter(&self.buildpack.digest(), &record);
        }
    }

    fn tell(&self, recall: Recall) {
        let phase = match self.phase {
            Phase::Detect => FlowPhase::Detect,
            Phase::Build => FlowPhase::Build,
        };
        let buildpack = self.buildpack.manifest().title();
        self.shop.observer.observe(Event::Recalled { buildpack, phase, recall });
    }

    /// What may be kept of the bench's work, or why nothing may; none where nobody keeps it.
    fn worth_keeping(&self, bench: &Workbench, layers: &[DraftLayer]) -> Option<Result<Remembered, Unkept>> {
        if self.shop.memory.results.is_none() || self.shop.cancel.is_set() {
            return None;
        }
        Some(bench.journal().map(|calls| Remembered::new(calls, layers)))
    }

    /// Keeps an answer as the newest, or that it was not to be kept.
    fn keep<T: Serialize + DeserializeOwned>(&self, answer: T, worth: Result<Remembered, Unkept>) {
        let Some(results) = &self.shop.memory.results else { return };
        let mut known: Shelf<T> = self.shelf(results.as_ref());
        known.unkept = worth.as_ref().err().copied();
        if let Ok(remembered) = worth {
            known.answers.retain(|old| !old.remembered.was_told_the_same_as(&remembered));
            known.answers.insert(0, Kept { answer, remembered });
            known.answers.truncate(MAX_KEPT);
        }
        let mut bytes = json(&known);
        while bytes.len() > MAX_BYTES && known.answers.pop().is_some() {
            if known.answers.is_empty() {
                known.unkept = Some(Unkept::TooMuch);
            }
            bytes = json(&known);
        }
        results.put(&self.key(), &bytes);
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("maps with text keys, texts and numbers are always JSON")
}

/// Asks a buildpack whether it takes part in the build of `app`, or remembers what it said.
pub fn detect(shop: &Shop, buildpack: &dyn Buildpack, app: &Tree) -> Result<Verdict, RunError> {
    let step = Step { shop, buildpack, phase: Phase::Detect, requirements: &[] };
    let app = Arc::new(app.clone());
    if let Some((verdict, _)) = step.recall(&app) {
        return Ok(verdict);
    }
    let bench = Arc::new(step.bench(&app));
    let verdict = bench.discreet_verdict(buildpack.detect(&bench));
    step.enter(&bench);
    let verdict = verdict?;
    if let Some(worth) = step.worth_keeping(&bench, &[]) {
        step.keep(verdict.clone(), worth);
    }
    Ok(verdict)
}

/// What a buildpack built, or is remembered to have built.
pub(crate) struct Done<'a> {
    /// What it said.
    pub(crate) report: Report,
    /// What it left on its bench.
    pub(crate) work: Work,
    fresh: Option<(Step<'a>, Result<Remembered, Unkept>)>,
}

impl Done<'_> {
    /// Keeps it for the next time. For a report in which nothing wrong was found.
    pub(crate) fn keep(&self) {
        if let Some((step, worth)) = &self.fresh {
            step.keep(self.report.clone(), worth.clone());
        }
    }
}

/// Lets a buildpack do its work on `app`, or remembers what it did. `check` says whether an image can carry the report.
pub(crate) fn build<'a>(
    shop: &'a Shop,
    buildpack: &'a dyn Buildpack,
    requirements: &'a [Requirement],
    app: Arc<Tree>,
    check: impl Fn(Report) -> Result<Report, RunError>,
) -> Result<Done<'a>, RunError> {
    let step = Step { shop, buildpack, phase: Phase::Build, requirements };
    if let Some((report, work)) = step.recall(&app) {
        return Ok(Done { report: check(report)?, work, fresh: None });
    }
    let bench = Arc::new(step.bench(&app));
    // The bench has the app alone now, and need not copy it to change it.
    drop(app);
    let report = buildpack.build(&bench, requirements).and_then(check);
    step.enter(&bench);
    let report = report.and_then(|report| bench.discreet_report(report)).map_err(|error| bench.discreet(error))?;
    let work = bench.clear();
    let worth = step.worth_keeping(&bench, &work.layers);
    Ok(Done { report, work, fresh: worth.map(|worth| (step, worth)) })
}
