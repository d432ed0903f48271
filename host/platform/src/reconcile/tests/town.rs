//! The world outside as a test tells it: what stands where, what breaks, how far builds may go, and what time it is.
//!
//! What is made follows from what it is made of, as it would outside: equal inputs give an equal digest.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use stave_model::digest::{Digest, Key};

use super::key;
use crate::{
    plan::{Rules, world::StackState},
    port::{Artefact, Done, Event, Failed, Outside, Stocked, Stopper, Work},
    queue::Stop,
    resource::{
        build::{Build, Failure, Fault, Mode, Outcome, joined},
        builder::{Builder, BuilderRevision, BuildpackVersion},
        image::Image,
        name::ImageKey,
        package::Package,
        reference::{Pinned, Reference},
        source::ResolvedSource,
        stack::{Stack, Store},
    },
    testing::{START, buildpack, commit, digest, made},
};

/// How long a test waits for what has to happen, before it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a build ends that does not make an image.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    /// By somebody's fault.
    Fails(Fault),
    /// The platform's own code breaks.
    Breaks,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) now: u64,
    /// What cannot be looked up or made: `stack old`, `store default`, `package java`, `source web`, `builder default`.
    trouble: BTreeMap<String, (Fault, String)>,
    /// Where sources are, if not at commit c1.
    sources: BTreeMap<ImageKey, ResolvedSource>,
    fates: BTreeMap<ImageKey, VecDeque<Fate>>,
    /// Whether builds wait until they are let go.
    are_held: bool,
    let_go: BTreeSet<ImageKey>,
    /// Whether builds that are told to stop wait all the same.
    are_deaf: bool,
    /// Which were told to stop, and why.
    pub(super) stopping: BTreeMap<ImageKey, Stop>,
    /// Whether lookups of sources wait.
    are_sources_held: bool,
    /// Of which images they do not wait all the same.
    seen: BTreeSet<ImageKey>,
    /// How many seconds a lookup of a source takes.
    look_takes: u64,
    /// Where the platform's own code breaks when it looks.
    breaking: BTreeSet<String>,
    /// What was found before, as the last look at a source was told.
    pub(super) last: BTreeMap<ImageKey, Option<ResolvedSource>>,
    /// What was looked up and made, and how often: as in `trouble`.
    pub(super) done: BTreeMap<String, u32>,
    /// Builds in their order: `team-a/web 1 CONFIG build`.
    pub(super) began: Vec<String>,
    pub(super) running: BTreeSet<ImageKey>,
    pub(super) most_at_once: usize,
    pub(super) most_of_a_namespace: usize,
    pub(super) most_looking: usize,
    looking: usize,
    /// How often buildpacks ran.
    pub(super) buildpacks: u32,
    pub(super) events: Vec<Event>,
    /// What tags stand for.
    pub(super) registry: BTreeMap<String, Digest>,
    /// What rules hold, if not those of the beginning.
    rules: Option<Rules>,
    /// How often something was put there.
    pub(super) pushes: u32,
}

#[derive(Debug)]
pub(super) struct Town {
    state: Mutex<State>,
    turn: Condvar,
    /// What is done the moment a build has put its image where it belongs.
    after_effect: Mutex<Option<Hook>>,
}

/// Something that a test wants to happen in the middle of a build.
pub(super) struct Hook(pub(super) Box<dyn Fn(&Work) + Send + Sync>);

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hook")
    }
}

impl Town {
    pub(super) fn new() -> Self {
        let state = State { now: START, ..State::default() };
        Self { state: Mutex::new(state), turn: Condvar::new(), after_effect: Mutex::new(None) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state());
        self.turn.notify_all();
        changed
    }

    /// Waits until something is so.
    pub(super) fn until(&self, what: &str, is_so: impl Fn(&State) -> bool) {
        let mut state = self.state();
        let end = Instant::now() + PATIENCE;
        while !is_so(&state) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "it never happened that {what}; what did: {state:?}");
            state = self.turn.wait_timeout(state, left).unwrap().0;
        }
    }

    pub(super) fn time(&self) -> u64 {
        self.state().now
    }

    pub(super) fn set_time(&self, now: u64) {
        self.change(|state| state.now = now);
    }

    pub(super) fn pass(&self, seconds: u64) {
        self.change(|state| state.now += seconds);
    }

    pub(super) fn commit(&self, image: &str, revision: &str) {
        self.move_source(&key(image), commit(revision));
    }

    pub(super) fn move_source(&self, image: &ImageKey, to: ResolvedSource) {
        self.change(|state| state.sources.insert(image.clone(), to));
    }

    pub(super) fn break_down(&self, what: &str, fault: Fault, why: &str) {
        self.change(|state| state.trouble.insert(what.to_owned(), (fault, why.to_owned())));
    }

    pub(super) fn mend(&self, what: &str) {
        self.change(|state| state.trouble.remove(what));
    }

    pub(super) fn fates(&self, image: &str, fates: &[Fate]) {
        self.change(|state| state.fates.insert(key(image), fates.iter().copied().collect()));
    }

    /// From now on builds wait.
    pub(super) fn hold(&self) {
        self.change(|state| state.are_held = true);
    }

    /// From now on builds that wait do not stop at once when they are told to.
    pub(super) fn deafen(&self) {
        self.change(|state| state.are_deaf = true);
    }

    /// Lets one build go that waits, or will.
    pub(super) fn let_go(&self, image: &str) {
        self.change(|state| state.let_go.insert(key(image)));
    }

    /// Lets all go.
    pub(super) fn let_all_go(&self) {
        self.change(|state| state.are_held = false);
    }

    pub(super) fn hold_sources(&self, are_held: bool) {
        self.change(|state| state.are_sources_held = are_held);
    }

    /// Lets all lookups of an image's source go.
    pub(super) fn let_see(&self, image: &str) {
        self.change(|state| state.seen.insert(key(image)));
    }

    /// From now on other rules hold.
    pub(super) fn rule(&self, rules: Rules) {
        self.change(|state| state.rules = Some(rules));
    }

    pub(super) fn slow_looks(&self, seconds: u64) {
        self.change(|state| state.look_takes = seconds);
    }

    pub(super) fn break_looks(&self, what: &str) {
        self.change(|state| state.breaking.insert(what.to_owned()));
    }

    pub(super) fn after_effect(&self, hook: Option<Hook>) {
        *self.after_effect.lock().unwrap() = hook;
    }

    /// Forgets what happened.
    pub(super) fn forget(&self) {
        self.change(|state| {
            let State { now, sources, registry, .. } = std::mem::take(state);
            *state = State { now, sources, registry, ..State::default() };
        });
    }

    /// How often something was looked up or made.
    pub(super) fn count(&self, what: &str) -> u32 {
        self.state().done.get(what).copied().unwrap_or_default()
    }

    /// Builds that began, in their order.
    pub(super) fn began(&self) -> Vec<String> {
        self.state().began.clone()
    }

    /// What was told of trouble.
    pub(super) fn troubles(&self) -> Vec<String> {
        let state = self.state();
        let told = state.events.iter().filter_map(|event| match event {
            Event::Trouble { what, why } => Some(format!("{what}: {why}")),
            _ => None,
        });
        told.collect()
    }

    /// What is looked up or made now: it works, or it does not.
    fn attempt(&self, what: &str) -> Result<MutexGuard<'_, State>, Failed> {
        self.change(|state| *state.done.entry(what.to_owned()).or_default() += 1);
        let state = self.state();
        match state.trouble.get(what) {
            Some((fault, why)) => Err(Failed::new(*fault, format!("could not ask for {what}")).caused_by(why.clone())),
            None => Ok(state),
        }
    }

    /// Waits until the build may go on. Whether it was told to stop instead.
    fn is_stopped(&self, image: &ImageKey, stop: &Stopper) -> bool {
        let mut state = self.state();
        while state.are_held && !state.let_go.remove(image) {
            if let Some(why) = stop.why() {
                state.stopping.insert(image.clone(), why);
                self.turn.notify_all();
                if !state.are_deaf {
                    return true;
                }
            }
            state = self.turn.wait_timeout(state, Duration::from_millis(2)).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.are_deaf && stop.why().is_some()
    }

    fn may_break(&self, what: &str) {
        let breaks = self.state().breaking.contains(what);
        assert!(!breaks, "as it was told to");
    }

    fn make(&self, work: &Work) -> Outcome {
        let image = work.image.key();
        let fate = self.change(|state| state.fates.get_mut(&image).and_then(VecDeque::pop_front));
        if work.build.mode == Mode::Build {
            self.change(|state| state.buildpacks += 1);
        }
        match fate {
            Some(Fate::Breaks) => panic!("as it was told to"),
            Some(Fate::Fails(fault)) => failed(fault, "it broke"),
            None => {
                let builds: Vec<Build> = work.based_on.iter().cloned().chain([work.build.clone()]).collect();
                let made = made(&builds);
                self.change(|state| {
                    let digest = made.image.digest();
                    state.registry.extend(work.build.tags.iter().map(|tag| (tag.to_string(), digest)));
                    state.pushes += 1;
                });
                if let Some(Hook(hook)) = &*self.after_effect.lock().unwrap() {
                    hook(work);
                }
                Outcome::Succeeded(Box::new(made))
            }
        }
    }
}

fn failed(fault: Fault, message: &str) -> Outcome {
    Outcome::Failed(Failure { fault, message: message.to_owned(), last_line: None })
}

/// A builder is made of what stores have.
fn check(number: u64, revision: &BuilderRevision, stock: &[Stocked]) {
    let has = |one: &BuildpackVersion| stock.iter().any(|stocked| stocked.buildpack == *one);
    assert!(revision.buildpacks.iter().all(has), "{revision:?} of {stock:?}");
    assert!(number > 0);
}

fn pinned(reference: &Reference) -> Pinned {
    let named = || digest(reference.tag.as_deref().unwrap());
    Pinned::new(reference, reference.digest.unwrap_or_else(named))
}

impl Outside for Town {
    fn source(&self, image: &Image, last: Option<&ResolvedSource>) -> Result<ResolvedSource, Failed> {
        let key = image.key();
        let what = format!("source {}", key.name);
        // Whoever waits for the answer hears what was so when it was asked for.
        let at = self.change(|state| {
            state.looking += 1;
            state.most_looking = state.most_looking.max(state.looking);
            state.sources.get(&key).cloned().unwrap_or_else(|| commit("c1"))
        });
        let mut state = self.state();
        while state.are_sources_held && !state.seen.contains(&key) {
            state = self.turn.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.looking -= 1;
        state.now += state.look_takes;
        drop(state);
        self.may_break(&what);
        drop(self.attempt(&what)?);
        self.change(|state| state.last.insert(key, last.cloned()));
        Ok(at)
    }

    fn stack(&self, stack: &Stack) -> Result<StackState, Failed> {
        let state = self.attempt(&format!("stack {}", stack.metadata.name))?;
        drop(state);
        Ok(StackState { id: stack.spec.id.clone(), run_image: pinned(&stack.spec.run_image.image) })
    }

    fn store(&self, store: &Store) -> Result<Vec<Stocked>, Failed> {
        let state = self.attempt(&format!("store {}", store.metadata.name))?;
        drop(state);
        Ok(store.spec.sources.iter().map(|source| stocked(&source.image)).collect())
    }

    fn package(&self, package: &Package) -> Result<Stocked, Failed> {
        let state = self.attempt(&format!("package {}", package.metadata.name))?;
        drop(state);
        Ok(stocked(&package.spec.image))
    }

    fn builder(
        &self,
        builder: &Builder,
        number: u64,
        revision: &BuilderRevision,
        stock: &[Stocked],
    ) -> Result<Artefact, Failed> {
        let state = self.attempt(&format!("builder {}", builder.metadata.name))?;
        drop(state);
        check(number, revision, stock);
        let parts =
            serde_json::to_string(&BuilderRevision { image: None, artefact: None, ..revision.clone() }).unwrap();
        Ok(Artefact { digest: Key::new("a builder").field(&parts).finish(), image: None })
    }

    fn build(&self, work: &Work, stop: &Stopper) -> Done {
        let image = work.image.key();
        self.change(|state| {
            let build = &work.build;
            state.began.push(format!("{image} {} {} {}", build.number, joined(&build.changes), build.mode));
            assert!(state.running.insert(image.clone()), "{image} is built twice at once");
            state.most_at_once = state.most_at_once.max(state.running.len());
            let of_it = state.running.iter().filter(|one| one.namespace == image.namespace).count();
            state.most_of_a_namespace = state.most_of_a_namespace.max(of_it);
        });
        let over = Over { town: self, image: &image };
        let outcome =
            if self.is_stopped(&image, stop) { failed(Fault::App, "it was stopped") } else { self.make(work) };
        drop(over);
        Done { outcome, log: Some(digest("log")) }
    }

    fn rules(&self) -> Option<Rules> {
        self.state().rules
    }

    fn now(&self) -> u64 {
        self.time()
    }

    fn tell(&self, event: Event) {
        self.change(|state| state.events.push(event));
    }
}

/// What is at `buildpacks/java:1.0.0`.
fn stocked(reference: &Reference) -> Stocked {
    let id = reference.repository.rsplit('/').next().unwrap();
    let title = format!("stave/{id}@{}", reference.tag.as_deref().unwrap());
    Stocked { buildpack: buildpack(&title), image: pinned(reference), size: 1000 }
}

/// A build that goes on, until it is over however it ends.
struct Over<'a> {
    town: &'a Town,
    image: &'a ImageKey,
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.town.change(|state| state.running.remove(self.image));
    }
}
