//! Compiled code, kept so that a buildpack is compiled once.
//!
//! Compiled code is native code: whoever can change it runs in the host. It is kept in a folder that only the user can enter,
//! in files that nobody writes to again, with its SHA-256 beside it. It is never fetched, never shared and never shipped.
//!
//! | File | Holds |
//! |---|---|
//! | `COMPONENT-KEY.cwasm` | the code; COMPONENT is the digest of the component, KEY of everything else that it depends on |
//! | `COMPONENT-KEY.sha256` | the SHA-256 of the code |

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, DirBuilder, File, FileTimes, Permissions},
    hash::{DefaultHasher, Hash, Hasher as _},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use stave_lifecycle::port::observer::{Event, Level, Observer, Silent};
use stave_model::digest::{Digest, Hasher, Key};
use wasmtime::component::Component;

/// The largest code that is taken from the folder, in bytes: a component of 64 MB compiles to less.
const MAX_CODE: u64 = 1 << 30;

/// A folder of compiled code.
#[derive(Clone)]
pub struct CodeStore {
    folder: PathBuf,
    observer: Arc<dyn Observer>,
}

/// What there is of a component's code.
pub(crate) enum Found {
    /// What was written.
    Sound(Component),
    /// Something else.
    Damaged,
    /// Nothing: somebody made room, or is writing it anew.
    Gone,
}

/// The code of one component that is kept, whole or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptCode {
    /// The component.
    pub component: Digest,
    /// The code and its sum, as far as they are there.
    pub files: Vec<PathBuf>,
}

impl KeptCode {
    /// Whether the code is the code that was written; one that is not is compiled again when it is needed. None if it is not
    /// whole, or is replaced or removed at this moment.
    pub fn is_sound(&self) -> Option<bool> {
        let with = |ending: &str| self.files.iter().find(|path| path.extension().is_some_and(|found| found == ending));
        let (sum, code) = (with("sha256")?, with("cwasm")?);
        let inodes = || Some((fs::metadata(sum).ok()?.ino(), fs::metadata(code).ok()?.ino()));
        let before = inodes()?;
        let expected = read_sum(sum);
        let is_sound = expected.is_some() && hash(code).ok() == expected;
        (is_sound || inodes() == Some(before)).then_some(is_sound)
    }
}

/// What the names of files begin with that are written and have no name yet; nobody else's in this folder do.
pub const UNFINISHED: &str = ".tmp";

/// Why a folder is not used for compiled code.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// The disk said no.
    #[error("could not prepare the folder {} for compiled code", .folder.display().to_string().escape_debug())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Others could put code there.
    #[error("the folder {} belongs to another user; compiled code is not kept there", .0.display().to_string().escape_debug())]
    Foreign(PathBuf),
}

impl CodeStore {
    /// Uses `folder`, making it if it is not there and taking away everybody else's access if there is any.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, CodeError> {
        let folder = folder.into();
        let failed = |source| CodeError::Folder { folder: folder.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed)?;
        let found = fs::metadata(&folder).map_err(failed)?;
        if found.uid() != rustix::process::geteuid().as_raw() {
            return Err(CodeError::Foreign(folder));
        }
        if found.mode() & 0o077 != 0 {
            fs::set_permissions(&folder, Permissions::from_mode(0o700)).map_err(failed)?;
        }
        Ok(Self { folder, observer: Arc::new(Silent) })
    }

    /// The same, telling `observer` of code that was changed.
    #[must_use]
    pub fn telling(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer, ..self }
    }

    /// Says that the kept code of a buildpack, as id@version, is not used. A disk that changes it may change more.
    pub(crate) fn tell_damage(&self, buildpack: &str) {
        let text = format!("the cache's code of {buildpack} was changed and is not used: it is compiled again");
        self.observer.observe(Event::Note(Level::Warning, text));
    }

    /// Whether there is code of a component that this very engine made and that fitted the contract. [`CodeStore::get`] says
    /// whether it is unchanged.
    pub(crate) fn has(&self, engine: &wasmtime::Engine, component: &Digest) -> bool {
        let (code, sum) = self.paths(engine, component);
        code.is_file() && sum.is_file()
    }

    /// All code that is kept, for any engine.
    pub fn list(&self) -> Vec<KeptCode> {
        let mut found: BTreeMap<String, KeptCode> = BTreeMap::new();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
            let Some(component) = stem.split_once('-').and_then(|(hex, _)| Digest::from_hex(hex).ok()) else {
                continue;
            };
            let kept = found.entry(stem.to_owned()).or_insert_with(|| KeptCode { component, files: Vec::new() });
            kept.files.push(path.clone());
            kept.files.sort_unstable();
        }
        found.into_values().collect()
    }

    /// The code of a component that this very engine made, if it is unchanged.
    pub(crate) fn get(&self, engine: &wasmtime::Engine, component: &Digest) -> Found {
        let (code, sum) = self.paths(engine, component);
        match (KeptCode { component: *component, files: vec![code.clone(), sum] }).is_sound() {
            None => return Found::Gone,
            Some(false) => return Found::Damaged,
            Some(true) => {}
        }
        // The time of access is when it was used last, which decides what goes when the cache is too large.
        let used = FileTimes::new().set_accessed(SystemTime::now());
        let _ = File::open(&code).and_then(|file| file.set_times(used));
        load(engine, &code).map_or(Found::Damaged, Found::Sound)
    }

    /// Keeps the code of a component. Other versions' code of the same component goes.
    pub(crate) fn put(&self, engine: &wasmtime::Engine, component: &Digest, compiled: &Component) -> io::Result<()> {
        let bytes = compiled.serialize().map_err(|error| io::Error::other(error.to_string()))?;
        let (code, sum) = self.paths(engine, component);
        self.forget(component);
        // The sum last: code without a sum is as good as none.
        self.write(&code, &bytes)?;
        self.write(&sum, Digest::of(&bytes).hex().as_bytes())
    }

    fn paths(&self, engine: &wasmtime::Engine, component: &Digest) -> (PathBuf, PathBuf) {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let key = Key::new("code 1").field(hasher.finish().to_le_bytes()).field(env!("CARGO_PKG_VERSION")).finish();
        let name = format!("{}-{}", component.hex(), key.short());
        (self.folder.join(format!("{name}.cwasm")), self.folder.join(format!("{name}.sha256")))
    }

    /// Removes what is kept of a component. What cannot be removed is in nobody's way.
    fn forget(&self, component: &Digest) {
        let start = format!("{}-", component.hex());
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&start) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Writes a file that appears whole or not at all, and that nobody writes to again.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(&self.folder)?;
        file.write_all(bytes)?;
        file.as_file().set_permissions(Permissions::from_mode(0o400))?;
        file.persist(path)?;
        Ok(())
    }
}

impl fmt::Debug for CodeStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodeStore").field("folder", &self.folder).finish_non_exhaustive()
    }
}

fn read_sum(path: &Path) -> Option<Digest> {
    let mut text = String::new();
    File::open(path).ok()?.take(65).read_to_string(&mut text).ok()?;
    Digest::from_hex(&text).ok()
}

fn hash(path: &Path) -> io::Result<Digest> {
    let mut file = File::open(path)?.take(MAX_CODE);
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            n => hasher.update(&buffer[..n]),
        }
    }
}

/// Maps compiled code into memory: the one unsafe call of the host.
///
/// It is sound if the file holds exactly what wasmtime wrote and does not change while it is mapped. The first holds because
/// its SHA-256 was just found to be the one noted when it was written; code of another version or for other settings is
/// recognised by wasmtime, which is an error here and not unsound. The second holds because the folder lets nobody but the
/// user in, the file is read-only, and nothing in this program opens it for writing: it is replaced by renaming, and a mapped
/// file that is replaced or removed stays as it was. If another process of the user replaces it between the check and the
/// mapping, what is mapped is what that process compiled and wrote, whole. Who can act as the user could as well replace the
/// program itself.
#[expect(unsafe_code, reason = "wasmtime cannot check native code; the paragraph above says why it is sound")]
fn load(engine: &wasmtime::Engine, path: &Path) -> Option<Component> {
    // SAFETY: see above.
    unsafe { Component::deserialize_file(engine, path) }.ok()
}
