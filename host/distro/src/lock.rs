//! The record of which packages a stack was made of, by digest: with it the same stack is made again, as long as an archive
//! still has the files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stave_model::digest::Digest;

use crate::{
    definition::Definition,
    packages::{MAX_DEB, Package, is_plain_path},
    relation::is_package_name,
};

/// The version of this format.
const FORMAT: u32 = 1;
/// The most bytes of a lock.
const MAX_BYTES: usize = 16 << 20;

/// Which packages a stack was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// The version of the format: 1.
    pub format: u32,
    /// The stack's id.
    pub stack: String,
    /// The packages by architecture, in Debian's words, sorted by name.
    pub architectures: BTreeMap<String, Vec<Locked>>,
}

/// One package, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// Its name.
    pub package: String,
    /// Its version.
    pub version: String,
    /// Its architecture, or `all`.
    pub architecture: String,
    /// The suite that offered it.
    pub suite: String,
    /// Where its file is, below an archive's root.
    pub filename: String,
    /// The file's size in bytes.
    pub size: u64,
    /// The file's digest.
    pub digest: Digest,
}

/// A lock that is refused.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It is not a lock's JSON.
    #[error("could not read the stack's lock")]
    Json(#[source] serde_json::Error),
    /// It is a lock, but not one for this.
    #[error("the stack's lock is refused: {0}")]
    Refused(String),
}

impl Lock {
    /// An empty lock for a stack.
    pub fn new(stack: &str) -> Self {
        Self { format: FORMAT, stack: stack.to_owned(), architectures: BTreeMap::new() }
    }

    /// Reads a lock that [`Lock::to_json`] wrote.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        if text.len() > MAX_BYTES {
            return Err(LockError::Refused("it is longer than 16 MiB".to_owned()));
        }
        let lock: Self = serde_json::from_str(text).map_err(LockError::Json)?;
        if lock.format != FORMAT {
            return Err(LockError::Refused(format!("its format is {}, and only {FORMAT} is known", lock.format)));
        }
        for locked in lock.architectures.values().flatten() {
            let plain = is_package_name(&locked.package)
                && is_plain_path(&locked.filename)
                && locked.size <= MAX_DEB
                && locked.version.parse::<debversion::Version>().is_ok();
            if !plain {
                let name: String = locked.package.chars().take(100).collect();
                return Err(LockError::Refused(format!("its entry `{}` is not one of a package", name.escape_debug())));
            }
        }
        Ok(lock)
    }

    /// The lock as text, the same for the same packages.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The packages for one of the definition's architectures.
    pub fn packages(&self, definition: &Definition, architecture: &str) -> Result<&[Locked], LockError> {
        if self.stack != definition.id {
            let own: String = self.stack.chars().take(100).collect();
            return Err(LockError::Refused(format!(
                "it is of stack `{}`, not of `{}`",
                own.escape_debug(),
                definition.id
            )));
        }
        let missing = || LockError::Refused(format!("it has no packages for {architecture}"));
        self.architectures.get(architecture).map(Vec::as_slice).ok_or_else(missing)
    }
}

impl Locked {
    /// Pins a package that was chosen.
    pub fn of(package: &Package) -> Self {
        Self {
            package: package.name.clone(),
            version: package.version.to_string(),
            architecture: package.architecture.clone(),
            suite: package.suite.clone(),
            filename: package.filename.clone(),
            size: package.size,
            digest: package.sha256,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock() -> Lock {
        let mut lock = Lock::new("x");
        let entry = Locked {
            package: "libc6".to_owned(),
            version: "2.36-9".to_owned(),
            architecture: "amd64".to_owned(),
            suite: "bookworm".to_owned(),
            filename: "pool/libc6.deb".to_owned(),
            size: 7,
            digest: Digest::of(b"deb"),
        };
        lock.architectures.insert("amd64".to_owned(), vec![entry]);
        lock
    }

    #[test]
    fn is_read_back() {
        assert_eq!(Lock::parse(&lock().to_json()).unwrap(), lock());
    }

    #[test]
    fn is_only_for_its_own_stack_and_only_whole() {
        let definition = |id: &str| {
            Definition::parse(&format!("id = '{id}'\ndistribution = 'debian'\nsuite = 's'\npackages = ['libc6']"))
                .unwrap()
        };
        assert_eq!(lock().packages(&definition("x"), "amd64").unwrap().len(), 1);
        let text = lock().to_json();
        let messages = [
            lock().packages(&definition("y"), "amd64").unwrap_err(),
            lock().packages(&definition("x"), "arm64").unwrap_err(),
            Lock::parse("[]").unwrap_err(),
            Lock::parse(&text.replace("\"format\": 1", "\"format\": 2")).unwrap_err(),
            Lock::parse(&text.replace("pool/", "../")).unwrap_err(),
            Lock::parse(&text.replace("\"libc6\"", "\"../\\u001b\"")).unwrap_err(),
        ]
        .map(|error| error.to_string());
        insta::assert_snapshot!(messages.join("\n"), @r"
        the stack's lock is refused: it is of stack `x`, not of `y`
        the stack's lock is refused: it has no packages for arm64
        could not read the stack's lock
        the stack's lock is refused: its format is 2, and only 1 is known
        the stack's lock is refused: its entry `libc6` is not one of a package
        the stack's lock is refused: its entry `../\u{1b}` is not one of a package
        ");
    }
}
