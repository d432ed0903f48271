//! A world of its own for each test: home, cache, data, temporary files, and an environment with nothing else in it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use tempfile::TempDir;

use super::{
    process::{Outcome, run, stave, target_folder},
    registry, warm,
};

/// Tells the worlds of one run apart.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// The folders of one test, removed at its end.
pub(crate) struct TestEnv {
    folder: TempDir,
}

impl TestEnv {
    /// With nothing in it.
    pub(crate) fn empty() -> Self {
        // Below the target folder, so that files of the warm cache can be linked.
        // The name has no capital letters, because podman takes paths for names of images.
        let name = format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder =
            tempfile::Builder::new().prefix(&name).rand_bytes(0).tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        Self::with(folder)
    }

    fn with(folder: TempDir) -> Self {
        for name in ["home", "cache", "data", "tmp", "work"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    /// The same, warm.
    pub(crate) fn warmed(self) -> Self {
        warm::link_into(&self.cache(), &self.data());
        self
    }

    /// The same as a folder below the target folder that stays, for people to look at; what it held is gone.
    pub(crate) fn kept(name: &str) -> Self {
        let _ = fs::remove_dir_all(target_folder().join(name));
        let mut builder = tempfile::Builder::new();
        let folder = builder.prefix(name).rand_bytes(0).disable_cleanup(true).tempdir_in(target_folder()).unwrap();
        Self::with(folder)
    }

    /// With all that a first build fetches (the default stack, a Java runtime), and nothing that a build leaves behind.
    /// Nothing that runs in it needs the network.
    pub(crate) fn warm() -> Self {
        Self::empty().warmed()
    }

    /// The cache folder.
    pub(crate) fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The folder that programs start in.
    pub(crate) fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// Everything.
    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file below the folder that programs start in.
    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.work().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// A program that sees this world and none of the machine's but the PATH.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.env_clear().current_dir(self.work());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.root().join("home"));
        command.env("TMPDIR", self.root().join("tmp"));
        command.env("STAVE_CACHE_DIR", self.cache()).env("STAVE_DATA_DIR", self.data());
        command.env("LANG", "C.UTF-8").env("TZ", "UTC");
        // Whatever is run, no test installs or updates a compiler of the machine.
        command.env("RUSTUP_AUTO_INSTALL", "0");
        command
    }

    /// The program under test with these arguments.
    pub(crate) fn stave(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(stave());
        command.args(arguments);
        command
    }

    /// Runs the program under test to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        run(&mut self.stave(arguments))
    }

    /// Every file of this world with its length, by path, but for the data of registries: one of them makes and removes files
    /// of its own while this looks.
    pub(crate) fn files(&self) -> BTreeMap<String, u64> {
        let mut found = BTreeMap::new();
        walk(self.root(), "", &|path| !path.starts_with(registry::FOLDER), &mut found);
        found
    }

    /// Throws away what earlier builds in this world left to be used again; what was fetched stays.
    pub(crate) fn forget_results(&self) {
        for name in ["results", "code"] {
            let _ = fs::remove_dir_all(self.cache().join(name));
        }
    }

    /// Throws away one blob, given by the hexadecimal digits of its digest.
    pub(crate) fn forget_blob(&self, hex: &str) {
        fs::remove_file(self.cache().join("blobs/sha256").join(&hex[..2]).join(hex)).unwrap();
    }

    /// Fails if there is anything that a program began and did not finish: temporary files, files without their name
    /// yet, blobs that are not what they are called.
    #[track_caller]
    pub(crate) fn assert_nothing_half_written(&self) {
        let files = self.files();
        for path in files.keys() {
            let is_waiting = path.starts_with("cache/scratch/")
                || path.starts_with("tmp/")
                // The kept cache of tests may be an earlier program's, which had a file of this name.
                || path.contains("/new/") && !path.ends_with("/.gate")
                || [".part", ".partial", ".tmp"].iter().any(|ending| path.ends_with(ending));
            assert!(!is_waiting, "left behind: {path}");
        }
        for path in files.keys().filter(|path| path.contains("/sha256/")) {
            let hex = path.rsplit('/').next().unwrap();
            let whole = fs::read(self.root().join(path)).unwrap();
            assert_eq!(stave_model::digest::Digest::of(&whole).hex(), hex, "not what it is called: {path}");
        }
    }
}

/// Every file below a folder with its length, by path: what a canary is compared with.
pub(crate) fn listing(folder: &Path) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    walk(folder, "", &|_| true, &mut found);
    found
}

/// Finds every file below a folder, but for what is not looked at.
fn walk(folder: &Path, prefix: &str, is_looked_at: &dyn Fn(&str) -> bool, found: &mut BTreeMap<String, u64>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if !is_looked_at(&path) {
            continue;
        }
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() {
            walk(&entry.path(), &format!("{path}/"), is_looked_at, found);
        } else {
            found.insert(path, metadata.len());
        }
    }
}
