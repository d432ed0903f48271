//! A script into a component, by the user's npm: `npm run build` writes `component.wasm`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{Talk, shown};
use crate::{
    exit::{Exit, GENERAL, USAGE},
    signing::PASSWORD_VARIABLE,
};

/// What the script `build` of package.json has to write.
const COMPONENT: &str = "component.wasm";

/// Fetches what the lock file names if that was not done yet, and runs the script. Nothing that a package brings is run to
/// install it.
pub(super) fn build(folder: &Path, talk: Talk) -> Result<PathBuf, Exit> {
    let component = folder.join(COMPONENT);
    let forgotten = match fs::remove_file(&component) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    forgotten.map_err(|error| {
        let context = format!("could not remove {} of the last build", shown(&component));
        Exit::new(USAGE, anyhow::Error::new(error).context(context))
    })?;
    if !is_installed(folder) {
        let install = if folder.join("package-lock.json").is_file() { "ci" } else { "install" };
        run(folder, talk, &[install, "--ignore-scripts", "--no-audit", "--no-fund"])?;
    }
    run(folder, talk, &["run", "build"])?;
    if component.is_file() {
        return Ok(component);
    }
    let exit = Exit::new(USAGE, format!("`npm run build` in {} wrote no {COMPONENT}", shown(folder)));
    Err(exit.hint(format!("let the script `build` of its package.json write {COMPONENT}")))
}

/// What npm prints is the person's to read, and no result of this program.
fn run(folder: &Path, talk: Talk, arguments: &[&str]) -> Result<(), Exit> {
    let mut npm = Command::new("npm");
    npm.args(arguments).current_dir(folder).env_remove(PASSWORD_VARIABLE).stdout(Stdio::from(io::stderr()));
    if talk == Talk::Faults {
        npm.args(["--loglevel", "error"]).stdout(Stdio::null());
    }
    let status = npm.status().map_err(|error| {
        let error = anyhow::Error::new(error).context("could not run npm");
        Exit::new(GENERAL, error).hint("a buildpack in JavaScript is built with npm: install Node.js, then try again")
    })?;
    if status.success() {
        return Ok(());
    }
    let exit = Exit::new(GENERAL, format!("npm could not {} in {}", arguments.join(" "), shown(folder)));
    Err(exit.hint("what npm says stands above; remove node_modules to fetch its packages anew"))
}

/// Whether npm came to its end there: this file is the last that it writes.
fn is_installed(folder: &Path) -> bool {
    folder.join("node_modules/.package-lock.json").is_file()
}
