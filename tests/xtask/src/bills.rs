//! Installs what Python's field brings to compare with, where Python's pip is on the machine: what checks SBOMs against the rules
//! of their formats (the schemas and the validator that their publishers give out, which are not ours to copy into the
//! repository), and a fuzzer of HTTP APIs. `tests/peers/README.md` says more.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::PathBuf,
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    peers::{cache_folder, is_required},
    shell::{self, has, root},
};

/// What checks SBOMs.
pub(crate) fn run() -> Result<()> {
    print("sbom", "what checks SBOMs by their formats' own rules")
}

/// What asks an HTTP API by its own description.
pub(crate) fn fuzzer() -> Result<()> {
    print("schemathesis", "the fuzzer of HTTP APIs")
}

/// Installs what is not there yet, and prints the folder of modules: the last line, for whoever runs this.
fn print(peer: &str, what: &str) -> Result<()> {
    match install(peer) {
        Ok(folder) => println!("{}", folder.display()),
        Err(error) if is_required() => return Err(error),
        Err(error) => eprintln!("SKIPPED: {what}, because: {error:#}"),
    }
    Ok(())
}

fn install(peer: &str) -> Result<PathBuf> {
    anyhow::ensure!(has("python3"), "Python is not on this machine");
    let lock = root().join("tests/peers").join(peer).join("requirements.txt");
    let mut hasher = DefaultHasher::new();
    fs::read(&lock).with_context(|| format!("read {}", lock.display()))?.hash(&mut hasher);
    let folder = cache_folder()?.join(format!("{peer}-{:016x}", hasher.finish()));
    // One file says that all modules are whole.
    let stamp = folder.join(".whole");
    if !stamp.exists() {
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--upgrade"]);
        pip.args(["--root-user-action=ignore", "--no-deps", "--only-binary=:all:", "--target"]).arg(&folder);
        shell::run(pip.arg("--requirement").arg(&lock).current_dir("/")).context("install the modules with pip")?;
        fs::write(&stamp, "").with_context(|| format!("write {}", stamp.display()))?;
    }
    Ok(folder)
}
