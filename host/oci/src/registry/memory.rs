//! What is remembered of registries from one run to the next: where a blob was seen, and uploads that did not end.
//!
//! A memory may be lost or wrong at any time. It chooses what is tried first, and never what is believed.

use std::{fmt, sync::Arc};

use stave_lifecycle::port::blobs::Results;
use stave_model::digest::{Digest, Key};
use url::Url;

use crate::reference::{Reference, Registry};

/// How many repositories are remembered of a blob.
const MOST_HOMES: usize = 4;

/// What is remembered; without a place for it, nothing.
#[derive(Clone, Default)]
pub(super) struct Memory(Option<Arc<dyn Results>>);

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({})", if self.0.is_some() { "kept" } else { "none" })
    }
}

impl Memory {
    pub(super) fn within(results: Arc<dyn Results>) -> Self {
        Self(Some(results))
    }

    /// The place for it, where others remember what they found out.
    pub(super) fn results(&self) -> Option<&dyn Results> {
        self.0.as_deref()
    }

    /// The repositories of `registry` where a blob was seen, the last one first.
    pub(super) fn homes(&self, registry: &Registry, blob: &Digest) -> Vec<String> {
        let text = self.read(&home_key(registry, blob)).unwrap_or_default();
        let sound =
            |name: &&str| format!("{registry}/{name}").parse::<Reference>().is_ok_and(|r| r.repository == *name);
        text.lines().filter(sound).take(MOST_HOMES).map(str::to_owned).collect()
    }

    /// Remembers that a blob is in `repository`.
    pub(super) fn note_home(&self, registry: &Registry, repository: &str, blob: &Digest) {
        let mut homes = self.homes(registry, blob);
        if homes.first().is_some_and(|first| first == repository) {
            return;
        }
        homes.retain(|home| home != repository);
        homes.insert(0, repository.to_owned());
        homes.truncate(MOST_HOMES);
        self.write(&home_key(registry, blob), &homes.join("\n"));
    }

    /// Where an upload that did not end could go on.
    pub(super) fn session(&self, registry: &Registry, repository: &str, blob: &Digest) -> Option<Url> {
        self.read(&session_key(registry, repository, blob)).and_then(|text| text.parse().ok())
    }

    /// Remembers where an upload can go on.
    pub(super) fn note_session(&self, registry: &Registry, repository: &str, blob: &Digest, session: &Url) {
        self.write(&session_key(registry, repository, blob), session.as_str());
    }

    /// Forgets an upload, which has ended.
    pub(super) fn forget_session(&self, registry: &Registry, repository: &str, blob: &Digest) {
        self.write(&session_key(registry, repository, blob), "");
    }

    fn read(&self, key: &Digest) -> Option<String> {
        let bytes = self.0.as_ref()?.get(key)?;
        String::from_utf8(bytes).ok().filter(|text| !text.is_empty())
    }

    fn write(&self, key: &Digest, text: &str) {
        if let Some(results) = &self.0 {
            results.put(key, text.as_bytes());
        }
    }
}

fn home_key(registry: &Registry, blob: &Digest) -> Digest {
    Key::new("registry home 1").field(registry.as_str()).field(blob.to_string()).finish()
}

fn session_key(registry: &Registry, repository: &str, blob: &Digest) -> Digest {
    let key = Key::new("registry upload 1").field(registry.as_str()).field(repository);
    key.field(blob.to_string()).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::MemoryResults;

    #[test]
    fn homes_are_remembered_the_last_one_first() {
        let results = Arc::new(MemoryResults::default());
        let memory = Memory::within(results.clone());
        let (registry, blob) = ("registry.example.com".parse().unwrap(), Digest::of(b"x"));
        for name in ["a", "b", "a", "team/c", "d", "e"] {
            memory.note_home(&registry, name, &blob);
        }
        assert_eq!(memory.homes(&registry, &blob), ["e", "d", "team/c", "a"]);
        assert!(memory.homes(&"other.example.com".parse().unwrap(), &blob).is_empty());
        results.put(&home_key(&registry, &blob), b"../../x\nUPPER\na@sha256\n\nfine/name\n");
        assert_eq!(memory.homes(&registry, &blob), ["fine/name"], "what is no name is not asked for");
        assert!(Memory::default().homes(&registry, &blob).is_empty());
    }

    #[test]
    fn an_upload_that_ended_is_forgotten() {
        let memory = Memory::within(Arc::new(MemoryResults::default()));
        let (registry, blob) = ("registry.example.com".parse().unwrap(), Digest::of(b"x"));
        let session: Url = "https://registry.example.com/v2/a/blobs/uploads/1?state=x".parse().unwrap();
        memory.note_session(&registry, "a", &blob, &session);
        assert_eq!(memory.session(&registry, "a", &blob), Some(session));
        assert_eq!(memory.session(&registry, "b", &blob), None);
        memory.forget_session(&registry, "a", &blob);
        assert_eq!(memory.session(&registry, "a", &blob), None);
    }
}
