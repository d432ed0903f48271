//! What each component used and was denied: `ledger/<hex>.json` in the data folder, a file for each component.
//!
//! What happens in a run is gathered in memory and added at its end, so that a run that brings no news reads a few small files
//! and writes none. Records are sets, and adding is done under a lock: of runs beside each other, nothing is lost. Only so many
//! components are kept; what goes is what nothing was added to for longest.

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::{self, Write as _},
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use rustix::fs::FlockOperation;
use stave_archive::content::Content as _;
use stave_lifecycle::port::{failure::PortError, ledger::Ledger};
use stave_model::{digest::Digest, policy::record::Record};

use crate::{
    files,
    folders::Folder,
    locks::{self, Waiting},
    staged::Staging,
};

/// The most components of which something is kept.
const MAX_COMPONENTS: usize = 2000;
/// The largest file that is read, in bytes. A full record has about half of that.
const MAX_FILE: u64 = 1 << 20;
/// How a file's name ends.
const END: &str = ".json";

/// The ledger of a user.
pub struct DiskLedger {
    data: Folder,
    gathered: Mutex<BTreeMap<Digest, Record>>,
}

impl fmt::Debug for DiskLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskLedger").field("data", &self.data).finish_non_exhaustive()
    }
}

impl Ledger for DiskLedger {
    fn enter(&self, component: &Digest, record: &Record) {
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        gathered.entry(*component).or_default().merge(record);
    }
}

impl DiskLedger {
    /// The ledger in the data folder. Nothing is made there before there is something to write.
    pub fn of(data: &Folder) -> Self {
        Self { data: data.clone(), gathered: Mutex::default() }
    }

    /// What is known of a component. What cannot be read is not known.
    pub fn record(&self, component: &Digest) -> Record {
        let read = files::open(&self.path(component)).ok().flatten().and_then(|span| span.bytes(MAX_FILE).ok());
        read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Adds what was gathered to what is kept.
    pub fn keep(&self, waiting: &Waiting) -> Result<(), PortError> {
        let gathered = std::mem::take(&mut *self.gathered.lock().unwrap_or_else(PoisonError::into_inner));
        let is_news = |(component, record): &(Digest, Record)| self.record(component).merge(record);
        let news: Vec<(Digest, Record)> = gathered.into_iter().filter(is_news).collect();
        if news.is_empty() {
            return Ok(());
        }
        let folder = self.data.within("ledger")?;
        let Waiting { observer, cancel } = waiting;
        let alone = FlockOperation::NonBlockingLockExclusive;
        let lock = locks::take(&folder, ".lock", alone, "writes its ledger", observer.as_ref(), cancel)?;
        let staging = Staging::open(&folder)?;
        let failed = |error: io::Error| folder.failed("could not write what buildpacks used and were denied", error);
        for (component, record) in news {
            let mut known = self.record(&component);
            known.merge(&record);
            let mut staged = staging.create().map_err(failed)?;
            let text = serde_json::to_vec(&known).expect("names and lists of them are always JSON");
            staged.write_all(&text).map_err(failed)?;
            staged.publish(&self.path(&component), 0o600).map_err(failed)?;
        }
        drop_oldest(&folder, MAX_COMPONENTS);
        drop(lock);
        Ok(())
    }

    fn path(&self, component: &Digest) -> PathBuf {
        self.data.path().join("ledger").join(format!("{}{END}", component.hex()))
    }
}

/// Removes the files that were written longest ago, until there are no more than `most`.
fn drop_oldest(folder: &Folder, most: usize) {
    let entries = fs::read_dir(folder.path()).into_iter().flatten().flatten();
    let mut files: Vec<(SystemTime, PathBuf)> = entries
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(END))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort();
    for (_, path) in files.iter().take(files.len().saturating_sub(most)) {
        // Whoever comes next tries again.
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use stave_model::{
        capability::{Excess, Interface},
        policy::record::Withholder,
    };

    use super::*;
    use crate::folders::DATA_VARIABLE;

    fn data(temp: &tempfile::TempDir) -> Folder {
        Folder::open(temp.path().join("data"), DATA_VARIABLE).unwrap()
    }

    fn setting(name: &str) -> Record {
        let mut record = Record::default();
        record.used(Excess::Setting(name.to_owned()));
        record
    }

    #[test]
    fn what_many_runs_add_is_put_together() {
        let temp = tempfile::tempdir().unwrap();
        let (data, component, silent) = (data(&temp), Digest::of(b"component"), Waiting::default());
        thread::scope(|scope| {
            for run in 0..4 {
                let (data, silent) = (&data, &silent);
                scope.spawn(move || {
                    for step in 0..10 {
                        let ledger = DiskLedger::of(data);
                        ledger.enter(&component, &setting(&format!("S{run}_{step}")));
                        ledger.keep(silent).unwrap();
                    }
                });
            }
        });
        assert_eq!(DiskLedger::of(&data).record(&component).used.settings.len(), 40);
        assert_eq!(DiskLedger::of(&data).record(&Digest::of(b"another")), Record::default());
    }

    #[test]
    fn what_brings_no_news_writes_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let (data, component, silent) = (data(&temp), Digest::of(b"component"), Waiting::default());
        let ledger = DiskLedger::of(&data);
        ledger.keep(&silent).unwrap();
        assert!(!data.path().join("ledger").exists(), "nothing was to be written");
        let mut record = setting("BP_A");
        record.uses(Interface::App);
        record.denies(Excess::Setting("HOME".to_owned()), Withholder::Manifest);
        ledger.enter(&component, &record);
        ledger.keep(&silent).unwrap();
        assert_eq!(ledger.record(&component), record);
        // What would be written now could not be.
        fs::remove_file(data.path().join("ledger/.lock")).unwrap();
        fs::create_dir(data.path().join("ledger/.lock")).unwrap();
        ledger.enter(&component, &setting("BP_A"));
        ledger.keep(&silent).unwrap();
        ledger.enter(&component, &setting("BP_B"));
        ledger.keep(&silent).unwrap_err();
    }

    #[test]
    fn a_damaged_file_is_begun_again_and_the_oldest_go() {
        let temp = tempfile::tempdir().unwrap();
        let (data, component, silent) = (data(&temp), Digest::of(b"component"), Waiting::default());
        let ledger = DiskLedger::of(&data);
        ledger.enter(&component, &setting("BP_A"));
        ledger.keep(&silent).unwrap();
        for damage in ["", "{", "[1]", "{\"used\": {}, \"denied\": [{\"what\": {\"never\": 1}}]}"] {
            fs::write(ledger.path(&component), damage).unwrap();
            assert_eq!(ledger.record(&component), Record::default(), "{damage}");
        }
        ledger.enter(&component, &setting("BP_B"));
        ledger.keep(&silent).unwrap();
        assert_eq!(ledger.record(&component), setting("BP_B"));
        for (age, name) in [(300, "old"), (200, "new")] {
            let path = ledger.path(&Digest::of(name.as_bytes()));
            fs::write(&path, "{}").unwrap();
            let time = SystemTime::now() - std::time::Duration::from_secs(age);
            fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
        }
        drop_oldest(&data.within("ledger").unwrap(), 2);
        let is_there = |name: &str| ledger.path(&Digest::of(name.as_bytes())).exists();
        assert_eq!(["component", "new", "old"].map(is_there), [true, true, false]);
    }
}
