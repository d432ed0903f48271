//! The platform on this machine: wishes and records in the data folder, and builds that this program runs itself.
//!
//! No server is needed. A command that changes a wish writes it down and reconciles what it reaches, here and now, unless
//! somebody else holds the lease: a `stave serve`, which then does it, or another command, which is waited for.

mod fault;
mod getting;
mod hands;
mod hourly;
pub(crate) mod keeping;
pub(crate) mod logs;
mod making;
pub(crate) mod names;
mod reading;
mod rebasing;
pub(crate) mod tally;
mod telling;
mod waiting;

use std::{
    collections::BTreeSet,
    sync::Arc,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use stave_model::{binding::Bindings, digest::Digest};
use stave_platform::{
    decide::Retry,
    plan::Rules,
    port::{
        Applied, Failed, Outside, Records,
        records::{ApplyError, Id, Over, Snapshot},
    },
    queue::Limits,
    reconcile::{Reconciler, Scope, Settled},
    resource::{build::Build, image::Image, manifest::Resource},
};
use stave_store::{
    lease::{Holder, Lease},
    logs::DiskLogs,
    records::DiskRecords,
    secrets::DiskSecrets,
};

use crate::{
    exit::{BUILD, Exit, GENERAL, USAGE, one_line},
    workshop::Workshop,
};

use hands::Hands;
use tally::Tally;
pub(crate) use telling::Show;

/// How often it is looked whether somebody else is done.
const PAUSE: Duration = Duration::from_millis(100);
/// Most characters of a warning.
const MAX_LINE: usize = 500;
/// The setting that says how many builds run at once.
pub(crate) const CONCURRENCY: &str = "concurrency";
/// The one that says how many of one namespace do.
pub(crate) const NAMESPACE_CONCURRENCY: &str = "namespace-concurrency";
/// The one that says whether a build stops whose source is no longer the newest.
pub(crate) const STOP_OUTDATED: &str = "stop-outdated";
/// The one that says from which hosts of private networks sources are taken for others.
pub(crate) const PRIVATE_SOURCES: &str = "private-sources";
/// The setting that says whose wishes these are, and what it says of others'.
const WISHES: &str = "wishes";
const OTHERS: &str = "others";
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
    /// What was remembered when this run began, where somebody else reconciles: what they did since is told from that.
    before: Option<Snapshot>,
}

/// What came of settling.
#[derive(Debug, Default)]
pub(crate) struct Came {
    /// The builds that came to an end.
    pub(crate) ended: Vec<Build>,
    /// Whether it is left to a server, and nobody knows yet.
    pub(crate) is_left: bool,
}

impl<'a> Desk<'a> {
    /// Opens the records of the user's data folder.
    pub(crate) fn open(workshop: &'a Workshop) -> Result<Self, Exit> {
        let records = DiskRecords::open(&workshop.data).map_err(failed)?;
        let logs = DiskLogs::open(&workshop.data)?;
        let is_served = Lease::holder(&workshop.data).is_some();
        let before = if is_served { Some(records.snapshot().map_err(failed)?) } else { None };
        Ok(Self { workshop, records: Arc::new(records), logs, before })
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

    /// From now on, wishes may be others': whoever reconciles them later, they are not to read what this user may.
    pub(crate) fn take_from_others(&self) -> Result<(), Exit> {
        self.taking_from_others()().map_err(failed)
    }

    /// The same, for who does it when there is one.
    pub(crate) fn taking_from_others(&self) -> Arc<dyn Fn() -> Result<(), Failed> + Send + Sync> {
        let records = Arc::clone(&self.records);
        Arc::new(move || records.set(WISHES, Some(OTHERS)))
    }

    /// From which hosts of private networks sources are taken for others.
    fn private_sources(&self) -> Result<BTreeSet<String>, Failed> {
        let said = self.records.setting(PRIVATE_SOURCES)?.unwrap_or_default();
        Ok(said.split_whitespace().map(str::to_owned).collect())
    }

    /// Whose wishes these are by now.
    fn whose(&self) -> Result<Wishes, Failed> {
        let said = self.records.setting(WISHES)?;
        Ok(if said.as_deref() == Some(OTHERS) { Wishes::Others } else { Wishes::Own })
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

    /// Takes a wish down, whatever is there.
    pub(crate) fn apply(&self, resource: &Resource) -> Result<Applied, Exit> {
        self.records.apply(resource).map_err(not_applied)
    }

    /// Takes a wish down that was read and changed, or that is new: unless somebody else was faster.
    pub(crate) fn change(&self, resource: &Resource) -> Result<Applied, Exit> {
        let over = Over::Generation(resource.metadata().generation);
        self.records.apply_over(resource, over).map_err(not_applied)
    }

    /// How many builds at once, and how often what fails by chance is tried.
    pub(crate) fn rules(&self) -> Result<Rules, Exit> {
        let number = |name: &str| -> Result<Option<usize>, Exit> {
            Ok(self.records.setting(name).map_err(failed)?.and_then(|number| number.parse().ok()))
        };
        let here = || thread::available_parallelism().map_or(2, usize::from);
        let limits = Limits {
            concurrent: number(CONCURRENCY)?.unwrap_or_else(here),
            per_namespace: number(NAMESPACE_CONCURRENCY)?,
            stop_outdated: self.records.setting(STOP_OUTDATED).map_err(failed)?.as_deref() == Some("on"),
            ..Limits::default()
        };
        Ok(Rules { limits, retry: Retry::default() })
    }

    /// Reconciles what is in `scope`, here and now. Where somebody else holds the lease: a server does it, and what `changed`
    /// reaches is waited for if `wait`; another command is waited for, and then it is done here.
    pub(crate) fn settle(&self, scope: &Scope, changed: &[Id], wait: bool) -> Result<Came, Exit> {
        self.settle_changed(scope, changed, wait, Show::Lines)
    }

    /// The same after a change of the images in scope, with `show` of what builds say.
    pub(crate) fn settle_showing(&self, scope: &Scope, wait: bool, show: Show) -> Result<Came, Exit> {
        self.settle_changed(scope, &[], wait, show)
    }

    fn settle_changed(&self, scope: &Scope, changed: &[Id], wait: bool, show: Show) -> Result<Came, Exit> {
        let mut is_told = false;
        loop {
            let holder = Holder::this_process(typed(), now());
            if let Some(lease) = Lease::take(&self.workshop.data, &holder)? {
                let settled = self.reconcile(scope, show)?;
                drop(lease);
                return Ok(Came { ended: settled.ended, is_left: false });
            }
            match Lease::holder(&self.workshop.data) {
                Some(holder) if holder.what == SERVE => return self.wait_for_server((scope, changed), wait, &holder),
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
        getting::sweep(self.workshop)?;
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
        if !settled.ended.is_empty() {
            self.sweep();
        }
        self.workshop.cancel.check()?;
        Ok(settled)
    }

    /// Reconciles until somebody wants it to end, with the lease in hand.
    pub(crate) fn serve(&self, _lease: &Lease, tally: &Arc<Tally>) -> Result<(), Exit> {
        getting::sweep(self.workshop)?;
        let hands = Hands::new(self, Show::Lines).counting(Arc::clone(tally));
        let stop = self.workshop.cancel.flag();
        let reconciler = Reconciler {
            records: self.records.as_ref(),
            outside: &hands,
            rules: self.rules()?,
            lifecycle: self.lifecycle(),
            stop: &stop,
        };
        reconciler.take_over().map_err(failed)?;
        self.sweep();
        let served = reconciler.serve().map_err(failed);
        self.sweep();
        served.map(drop)
    }

    /// Removes logs that no record names any more. Nothing depends on that, so that it cannot be done is only said.
    fn sweep(&self) {
        let swept = self.snapshot().and_then(|snapshot| {
            let builds = snapshot.images.values().flat_map(|record| &record.builds);
            let named: BTreeSet<Digest> = builds.filter_map(|build| build.log).collect();
            self.logs.gc(&named).map_err(Exit::from)
        });
        if let Err(error) = swept {
            self.workshop.ui.say(&format!("warning: {}", one_line(&error.error().to_string(), MAX_LINE)));
        }
    }
}

/// How a command ends whose builds came to this: badly if one of them, of these images, did.
pub(crate) fn outcome(settled: &Came, scope: &Scope) -> Result<(), Exit> {
    let failed = settled.ended.iter().rev().find(|build| scope.has(&build.image));
    let Some(build) = failed.filter(|build| build.made().is_none()) else { return Ok(()) };
    let message = build.failure().map_or_else(|| "it was stopped".to_owned(), |failure| failure.message.clone());
    let exit =
        Exit::new(fault::code(build), format!("build {} of {} failed: {message}", build.number, build.image.name));
    let log = format!("`stave build logs {} -b {}` shows all that it said", build.image.name, build.number);
    Err(exit.hint(log))
}

/// A wish that was not taken down.
fn not_applied(error: ApplyError) -> Exit {
    match error {
        ApplyError::Refused(refused) => Exit::new(USAGE, refused),
        ApplyError::Failed(error) => failed(error),
        overtaken @ ApplyError::Overtaken { .. } => {
            let exit = Exit::new(GENERAL, overtaken);
            exit.hint("nothing was changed by this command: look at what it is now, and type it again")
        }
    }
}

/// Whether a command ends because somebody else changed meanwhile what it was to change.
pub(crate) fn is_overtaken(exit: &Exit) -> bool {
    matches!(exit.error().downcast_ref(), Some(ApplyError::Overtaken { .. }))
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
