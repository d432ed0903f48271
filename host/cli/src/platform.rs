//! The platform on this machine: wishes and records in the data folder, and builds that this program runs itself.
//!
//! No server is needed. A command that changes a wish writes it down and reconciles what it reaches, here and now, unless
//! somebody else holds the lease: a `stave serve`, which then does it, or another command, which is waited for.

mod fault;
mod getting;
mod hands;
pub(crate) mod logs;
mod making;
pub(crate) mod names;
mod rebasing;
pub(crate) mod tally;
mod telling;

use std::{
    collections::BTreeSet,
    sync::Arc,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use stave_model::binding::Bindings;
use stave_platform::{
    decide::{Retry, SourceState, Verdict},
    plan::Rules,
    port::{
        Applied, Failed, Outside, Records,
        records::{ApplyError, ImageRecord, Snapshot},
    },
    queue::Limits,
    reconcile::{Reconciler, Scope, Settled, decision},
    resource::{build::Build, image::Image, manifest::Resource, name::ImageKey},
};
use stave_store::{
    lease::{Holder, Lease},
    logs::DiskLogs,
    records::DiskRecords,
    secrets::DiskSecrets,
};

use crate::{
    exit::{BUILD, Exit, GENERAL, USAGE},
    workshop::Workshop,
};

use hands::Hands;
use tally::Tally;
pub(crate) use telling::Show;

/// How often it is looked whether somebody else is done.
const PAUSE: Duration = Duration::from_millis(100);
/// The setting that says how many builds run at once.
pub(crate) const CONCURRENCY: &str = "concurrency";
/// What a `stave serve` calls itself in the lease.
pub(crate) const SERVE: &str = "stave serve";

/// Whose wishes are reconciled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wishes {
    /// The user's own: sources may be what this user can read.
    Own,
    /// Others' too, who are not to read all that this user may.
    Others,
}

/// Where wishes are written down and reconciled.
pub(crate) struct Desk<'a> {
    /// What this run works with.
    pub(crate) workshop: &'a Workshop,
    records: Arc<DiskRecords>,
    logs: DiskLogs,
}

impl<'a> Desk<'a> {
    /// Opens the records of the user's data folder.
    pub(crate) fn open(workshop: &'a Workshop) -> Result<Self, Exit> {
        let records = DiskRecords::open(&workshop.data).map_err(failed)?;
        let logs = DiskLogs::open(&workshop.data)?;
        Ok(Self { workshop, records: Arc::new(records), logs })
    }

    /// What is remembered.
    pub(crate) fn records(&self) -> &dyn Records {
        self.records.as_ref()
    }

    /// What is remembered, for who answers beside.
    pub(crate) fn shared_records(&self) -> Arc<dyn Records> {
        Arc::clone(&self.records) as _
    }

    /// What builds said, for who answers beside.
    pub(crate) fn shared_logs(&self) -> Arc<dyn stave_server::Logs> {
        Arc::new(logs::Shared::of(self.logs.clone()))
    }

    /// What builds said.
    pub(crate) fn logs(&self) -> &DiskLogs {
        &self.logs
    }

    /// What the platform does in the world, by this program.
    pub(crate) fn hands(&self, show: Show) -> impl Outside + '_ {
        Hands::new(self, show)
    }

    /// The service bindings that an image names, out of the secrets of its namespace.
    pub(crate) fn bindings(&self, image: &Image) -> Result<Bindings, Exit> {
        let secrets = DiskSecrets::of(&self.workshop.data);
        let namespace = image.key().namespace;
        let mut bindings = Bindings::new();
        for service in &image.spec.build.services {
            let missing = |why: &str| {
                let exit = Exit::new(
                    USAGE,
                    format!("the service binding {} of the image {} {why}", service.name, image.key()),
                );
                exit.hint("`stave secret create NAME --service-binding DIR` makes one; `stave secret list` lists them")
            };
            if service.kind != "Secret" {
                return Err(missing("is no Secret, and there is nothing else here that it could be"));
            }
            let secret = secrets.get(&namespace, &service.name)?.ok_or_else(|| missing("is not there"))?;
            let binding = secret.binding().ok_or_else(|| missing("is a secret for something else"))?;
            bindings.insert(binding.name.clone(), binding);
        }
        Ok(bindings)
    }

    /// All that is remembered, at one time.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, Exit> {
        self.records.snapshot().map_err(failed)
    }

    /// The version of the lifecycle, which is this program's.
    #[expect(clippy::unused_self, reason = "it is the desk's to say which one builds")]
    pub(crate) fn lifecycle(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    /// Takes a wish down.
    pub(crate) fn apply(&self, resource: &Resource) -> Result<Applied, Exit> {
        self.records.apply(resource).map_err(|error| match error {
            ApplyError::Refused(refused) => Exit::new(USAGE, refused),
            ApplyError::Failed(error) => failed(error),
        })
    }

    /// How many builds at once, and how often what fails by chance is tried.
    pub(crate) fn rules(&self) -> Result<Rules, Exit> {
        let concurrent = self.records.setting(CONCURRENCY).map_err(failed)?;
        let here = || thread::available_parallelism().map_or(2, usize::from);
        let concurrent = concurrent.and_then(|number| number.parse().ok()).unwrap_or_else(here);
        Ok(Rules { limits: Limits { concurrent, ..Limits::default() }, retry: Retry::default() })
    }

    /// Reconciles what is in `scope`, here and now. Where somebody else holds the lease: a server does it, and is waited for if
    /// `wait`; another command is waited for, and then it is done here.
    pub(crate) fn settle(&self, scope: &Scope, wait: bool) -> Result<Settled, Exit> {
        self.settle_showing(scope, wait, Show::Lines)
    }

    /// The same, with `show` of what builds say.
    pub(crate) fn settle_showing(&self, scope: &Scope, wait: bool, show: Show) -> Result<Settled, Exit> {
        let mut is_told = false;
        loop {
            let holder = Holder::this_process(typed(), now());
            if let Some(lease) = Lease::take(&self.workshop.data, &holder)? {
                let settled = self.reconcile(scope, show)?;
                drop(lease);
                return Ok(settled);
            }
            match Lease::holder(&self.workshop.data) {
                Some(holder) if holder.what == SERVE => return self.wait_for_server(scope, wait, &holder),
                Some(holder) if !is_told => {
                    let said = format!("waiting for `{}` (process {}), which reconciles", holder.what, holder.pid);
                    self.workshop.ui.say(&said);
                    is_told = true;
                }
                _ => {}
            }
            self.workshop.cancel.check()?;
            thread::sleep(PAUSE);
        }
    }

    /// Reconciles with the lease in hand.
    fn reconcile(&self, scope: &Scope, show: Show) -> Result<Settled, Exit> {
        let hands = Hands::new(self, show);
        let stop = self.workshop.cancel.flag();
        let reconciler = Reconciler {
            records: self.records.as_ref(),
            outside: &hands,
            rules: self.rules()?,
            lifecycle: self.lifecycle(),
            stop: &stop,
        };
        reconciler.take_over().map_err(failed)?;
        let settled = reconciler.settle(scope).map_err(failed)?;
        self.workshop.cancel.check()?;
        Ok(settled)
    }

    /// Reconciles until somebody wants it to end, with the lease in hand.
    pub(crate) fn serve(&self, _lease: &Lease, tally: &Arc<Tally>, whose: Wishes) -> Result<(), Exit> {
        let hands = Hands::new(self, Show::Lines).serving(Arc::clone(tally), whose);
        let stop = self.workshop.cancel.flag();
        let reconciler = Reconciler {
            records: self.records.as_ref(),
            outside: &hands,
            rules: self.rules()?,
            lifecycle: self.lifecycle(),
            stop: &stop,
        };
        reconciler.take_over().map_err(failed)?;
        reconciler.serve().map_err(failed).map(drop)
    }

    /// A server reconciles: it is waited for until nothing in scope is to be done.
    fn wait_for_server(&self, scope: &Scope, wait: bool, holder: &Holder) -> Result<Settled, Exit> {
        if !wait {
            self.workshop.ui.say(&format!("`{SERVE}` (process {}) does the rest", holder.pid));
            return Ok(Settled::default());
        }
        let before = self.newest(scope)?;
        loop {
            if self.is_settled(scope)? {
                break;
            }
            if Lease::holder(&self.workshop.data).is_none() {
                return self.settle(scope, true);
            }
            self.workshop.cancel.check()?;
            thread::sleep(PAUSE);
        }
        let snapshot = self.snapshot()?;
        let builds = snapshot.images.iter().filter(|(key, _)| scope.has(key)).flat_map(|(_, record)| &record.builds);
        let is_new = |build: &&Build| !before.contains(&(build.image.clone(), build.number));
        Ok(Settled { ended: builds.filter(is_new).cloned().collect(), ..Settled::default() })
    }

    /// The builds that are over, of images in scope.
    fn newest(&self, scope: &Scope) -> Result<BTreeSet<(ImageKey, u64)>, Exit> {
        let snapshot = self.snapshot()?;
        let records = snapshot.images.iter().filter(|(key, _)| scope.has(key));
        let ended = records.flat_map(|(_, record)| record.builds.iter().filter(|build| !build.is_running()));
        Ok(ended.map(|build| (build.image.clone(), build.number)).collect())
    }

    /// Whether nothing in scope is going on or to be done.
    fn is_settled(&self, scope: &Scope) -> Result<bool, Exit> {
        let (snapshot, rules, now) = (self.snapshot()?, self.rules()?, now());
        let stale = snapshot.stacks.values().any(|one| one.seen.generation != one.stack.metadata.generation)
            || snapshot.stores.values().any(|one| one.seen.generation != one.store.metadata.generation)
            || snapshot.builders.values().any(|one| one.made.generation != one.builder.metadata.generation);
        let is_busy = |verdict: &Verdict| matches!(verdict, Verdict::Start(_) | Verdict::Running { .. });
        let mut records = snapshot.images.iter().filter(|(key, _)| scope.has(key));
        let is_going_on = |record: &ImageRecord| {
            // A source that was not looked up since the wish changed is about to be.
            record.source_state() == SourceState::Stale || is_busy(&decision(&snapshot, record, &rules, now).verdict)
        };
        Ok(!stale && !records.any(|(_, record)| is_going_on(record)))
    }
}

/// How a command ends whose builds came to this: badly if one of them, of these images, did.
pub(crate) fn outcome(settled: &Settled, scope: &Scope) -> Result<(), Exit> {
    let failed = settled.ended.iter().rev().find(|build| scope.has(&build.image));
    let Some(build) = failed.filter(|build| build.made().is_none()) else { return Ok(()) };
    let message = build.failure().map_or_else(|| "it was stopped".to_owned(), |failure| failure.message.clone());
    let exit =
        Exit::new(fault::code(build), format!("build {} of {} failed: {message}", build.number, build.image.name));
    let log = format!("`stave build logs {} -b {}` shows all that it said", build.image.name, build.number);
    Err(exit.hint(log))
}

/// Records that could not be read or written.
pub(crate) fn failed(error: Failed) -> Exit {
    let hint = error.hint.clone();
    let exit = Exit::new(GENERAL, error);
    match hint {
        Some(hint) => exit.hint(hint),
        None => exit,
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What was typed, as the lease says it: the first words, and nothing that may be secret.
fn typed() -> String {
    let words = std::env::args().skip(1).take_while(|word| !word.starts_with('-')).take(2);
    let words: Vec<String> = words.filter(|word| word.bytes().all(|b| b.is_ascii_lowercase())).collect();
    format!("stave {}", words.join(" "))
}

/// The code of builds that failed otherwise.
pub(crate) const OTHERWISE: u8 = BUILD;
