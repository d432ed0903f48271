//! What an author of buildpacks has: a compiler, the crates that are on this machine, and a shell.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    env::TestEnv,
    process::{stave, target_folder},
};

/// A place for one author at a time, in which what does not change is compiled once a machine.
pub(crate) struct Workplace {
    folder: PathBuf,
    /// Ends with the file.
    _lock: File,
}

impl Workplace {
    /// Waits until it is free, and clears its table.
    pub(crate) fn enter() -> Self {
        let folder = target_folder().join("authors");
        fs::create_dir_all(&folder).unwrap();
        let lock = File::create(folder.join("lock")).unwrap();
        lock.lock().unwrap();
        let place = Self { folder, _lock: lock };
        let _ = fs::remove_dir_all(place.table());
        fs::create_dir(place.table()).unwrap();
        place
    }

    /// An empty folder, called the same each time, so that cargo finds what it compiled.
    pub(crate) fn table(&self) -> PathBuf {
        self.folder.join("table")
    }

    /// Bash that runs `script` at the table as it stands and stops at the first command that fails. It sees the world of `env`,
    /// `stave` and `cargo`, and no network.
    pub(crate) fn bash(&self, env: &TestEnv, script: &str) -> Command {
        let programs = env.root().join("bin");
        fs::create_dir_all(&programs).unwrap();
        let cargo = PathBuf::from(std::env::var_os("CARGO").expect("cargo runs the tests"));
        for (name, program) in [("stave", stave()), ("cargo", &cargo)] {
            let _ = std::os::unix::fs::symlink(program, programs.join(name));
        }
        let mut bash = env.command("bash");
        bash.args(["-euo", "pipefail", "-c", script]).current_dir(self.table());
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([programs].into_iter().chain(std::env::split_paths(&path))).unwrap();
        bash.env("PATH", path).env("CARGO", &cargo).env("CARGO_TARGET_DIR", self.folder.join("target"));
        // The compiler beside cargo, by its path: behind the name stands rustup.
        for (name, program) in [("RUSTC", "rustc"), ("RUSTDOC", "rustdoc")] {
            bash.env(name, cargo.parent().unwrap_or(Path::new("")).join(program));
        }
        let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).expect("cargo has a home");
        bash.env("CARGO_HOME", home).env("CARGO_NET_OFFLINE", "true").env("CARGO_TERM_COLOR", "never");
        bash
    }
}
