//! `--watch`: does the same again whenever a file changes, until Ctrl-C.
//!
//! Files are asked for their size and time, ten times a second. That is the same on every system, needs no handle for each
//! folder, and costs a buildpack's folder of a hundred files less than a hundredth of a core.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use crate::{
    exit::{Exit, USAGE},
    workshop::Workshop,
};

/// How long between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// The most files that are looked at.
const MAX_FILES: usize = 20_000;
/// What a build itself writes: a change of it says nothing.
const MADE: [&str; 3] = ["target", "Cargo.lock", "node_modules"];

/// What makes a folder that of a buildpack.
const MANIFEST: &str = "buildpack.toml";

/// Size and time of every file.
type Sight = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

/// Does `work`, says how it failed, and does it again when something at `places` changes. Ctrl-C is its good end.
pub(crate) fn repeat(workshop: &Workshop, places: &[PathBuf], work: impl Fn() -> Result<(), Exit>) -> Result<(), Exit> {
    loop {
        // Before the work, so that what changes meanwhile counts.
        let seen = look(places)?;
        if let Err(exit) = work() {
            if workshop.cancel.is_set() {
                return Ok(());
            }
            workshop.ui.failure(&exit.render());
        }
        workshop.ui.say("waiting for a change (Ctrl-C ends)");
        let changed = || {
            while !workshop.cancel.is_set() {
                if look(places)? != seen {
                    return Ok(true);
                }
                thread::sleep(PAUSE);
            }
            Ok::<bool, Exit>(false)
        };
        match workshop.pausing(changed) {
            Ok(changed) => {
                if !changed? {
                    return Ok(());
                }
            }
            Err(_) if workshop.cancel.is_set() => return Ok(()),
            Err(exit) => return Err(exit),
        }
    }
}

/// All files there are at `places`, which are files and folders. In a buildpack's own folder, but not below it, hidden ones and
/// what a build makes are left out: an app may have a `target` that it is made of. Of git's own files nothing is an app's.
fn look(places: &[PathBuf]) -> Result<Sight, Exit> {
    let mut seen = Sight::new();
    for place in places {
        note(place, place.join(MANIFEST).is_file(), &mut seen);
    }
    if seen.len() > MAX_FILES {
        let exit = Exit::new(USAGE, format!("there are more than {MAX_FILES} files, too many to watch"));
        return Err(exit.hint("give the buildpack a folder of its own"));
    }
    Ok(seen)
}

/// What vanishes meanwhile is a change like another.
fn note(path: &Path, is_buildpack: bool, seen: &mut Sight) {
    let Ok(metadata) = fs::metadata(path) else { return };
    if seen.len() > MAX_FILES {
        return;
    }
    if !metadata.is_dir() {
        seen.insert(path.to_owned(), (metadata.len(), metadata.modified().ok()));
        return;
    }
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_link_to_folder = entry.file_type().is_ok_and(|kind| kind.is_symlink()) && entry.path().is_dir();
        let is_made = is_buildpack && (name.starts_with('.') || name.ends_with(".wasm") || MADE.contains(&&*name));
        if !is_made && name != ".git" && !is_link_to_folder {
            note(&entry.path(), false, seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_is_seen_but_those_of_a_build() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("src/lib.rs", "a");
        write("buildpack.toml", "");
        write("fixtures/one/app/target/app.jar", "b");
        let places = [folder.path().to_owned(), folder.path().join("not-there")];
        let before = look(&places).unwrap();
        assert_eq!(before.len(), 3);
        for made in ["target/release/x", "Cargo.lock", "node_modules/x/x.js", "motd.wasm", ".git/index"] {
            write(made, "made");
        }
        std::os::unix::fs::symlink(folder.path(), folder.path().join("round")).unwrap();
        assert_eq!(look(&places).unwrap(), before);
        write("src/lib.rs", "longer");
        let after = look(&places).unwrap();
        assert_ne!(after, before);
        fs::remove_file(folder.path().join("fixtures/one/app/target/app.jar")).unwrap();
        assert_ne!(look(&places).unwrap(), after);
        write("component.wasm", "named");
        assert_eq!(look(&[folder.path().join("component.wasm")]).unwrap().len(), 1, "one that is named counts");
    }
}
