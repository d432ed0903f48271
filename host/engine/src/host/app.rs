//! `app`: questions about the source.

use stave_lifecycle::workbench::{self, Kind};
use wasmtime::component::Resource;

use super::contract::stave::buildpack::app::{self, Entry};
use crate::guest::{Archive, CallError, Guest};

impl From<workbench::Entry> for Entry {
    fn from(entry: workbench::Entry) -> Self {
        let kind = match entry.kind {
            Kind::File => app::Kind::File,
            Kind::Folder => app::Kind::Folder,
            Kind::Link => app::Kind::Link,
        };
        Self { path: entry.path, kind, size: entry.size, executable: entry.executable }
    }
}

/// The answer to a query.
pub(super) fn entries(found: Vec<workbench::Entry>) -> Vec<Entry> {
    found.into_iter().map(Entry::from).collect()
}

impl app::Host for Guest {
    fn find(&mut self, patterns: Vec<String>, limit: u32) -> Result<Vec<Entry>, CallError> {
        self.ask(|bench| bench.find(&patterns, limit)).map(entries)
    }

    fn stat(&mut self, path: String) -> Result<Option<Entry>, CallError> {
        self.ask(|bench| bench.stat(&path)).map(|entry| entry.map(Entry::from))
    }

    fn read(&mut self, path: String, limit: u32) -> Result<Vec<u8>, CallError> {
        self.ask(|bench| bench.read(&path, u64::from(limit)))
    }

    fn digest(&mut self, patterns: Vec<String>) -> Result<String, CallError> {
        self.ask(|bench| bench.digest(&patterns)).map(|digest| digest.to_string())
    }

    fn open_archive(&mut self, path: String) -> Result<Resource<Archive>, CallError> {
        let archive = self.ask(|bench| bench.open_archive(&path))?;
        self.hand_out(Archive(archive))
    }
}

impl app::HostArchive for Guest {
    fn find(&mut self, this: Resource<Archive>, patterns: Vec<String>, limit: u32) -> Result<Vec<Entry>, CallError> {
        let archive = self.held(&this)?.0;
        self.ask(|bench| bench.archive_find(archive, &patterns, limit)).map(entries)
    }

    fn read(&mut self, this: Resource<Archive>, path: String, limit: u32) -> Result<Vec<u8>, CallError> {
        let archive = self.held(&this)?.0;
        self.ask(|bench| bench.archive_read(archive, &path, u64::from(limit)))
    }

    fn drop(&mut self, this: Resource<Archive>) -> wasmtime::Result<()> {
        self.let_go(this)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_keep_what_they_say() {
        for (kind, expected) in
            [(Kind::File, app::Kind::File), (Kind::Folder, app::Kind::Folder), (Kind::Link, app::Kind::Link)]
        {
            let entry = Entry::from(workbench::Entry { path: "a/b".to_owned(), kind, size: 7, executable: true });
            assert!(entry.kind == expected && entry.path == "a/b" && entry.size == 7 && entry.executable);
        }
    }
}
