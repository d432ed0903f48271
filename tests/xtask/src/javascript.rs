//! Installs what makes a component of JavaScript, where npm is on the machine or can be installed: the versions that
//! `examples/javascript-buildpack` locks by digest.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::PathBuf,
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    peers::{cache_folder, is_required},
    setup,
    shell::{self, has, root},
};

/// What npm reads. The example's own code is not among it.
const FILES: [&str; 3] = ["package.json", "package-lock.json", ".npmrc"];

/// Installs what is not there yet, and prints the folder of programs: the last line, for whoever runs this.
pub(crate) fn run() -> Result<()> {
    match install() {
        Ok(folder) => println!("{}", folder.join("node_modules/.bin").display()),
        Err(error) if is_required() => return Err(error),
        Err(error) => eprintln!("SKIPPED: what makes a component of JavaScript, because: {error:#}"),
    }
    Ok(())
}

fn install() -> Result<PathBuf> {
    if !has("npm") {
        setup::packages(&[("npm", "npm")]).context("npm is not on this machine, and could not be installed")?;
    }
    let example = root().join("examples/javascript-buildpack");
    let mut hasher = DefaultHasher::new();
    for file in FILES {
        fs::read(example.join(file)).with_context(|| format!("read {file}"))?.hash(&mut hasher);
    }
    let folder = cache_folder()?.join(format!("javascript-{:016x}", hasher.finish()));
    // One file says that all modules are whole.
    let stamp = folder.join(".whole");
    if !stamp.exists() {
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        for file in FILES {
            fs::copy(example.join(file), folder.join(file)).with_context(|| format!("copy {file}"))?;
        }
        // Nothing that a package brings is run to install it.
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]).current_dir(&folder);
        shell::run(&mut npm).context("install the modules with npm")?;
        // What is for this machine alone is optional to npm, and may be missing without a word.
        let mut tool = Command::new(folder.join("node_modules/.bin/componentize-qjs"));
        shell::run(tool.arg("--help").stdout(std::process::Stdio::null())).context("run what npm installed")?;
        fs::write(&stamp, "").with_context(|| format!("write {}", stamp.display()))?;
    }
    Ok(folder)
}
