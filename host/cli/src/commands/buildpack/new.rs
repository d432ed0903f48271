//! `stave buildpack new`: a folder with a buildpack that builds, tests and runs as it stands.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::{
    args::{BuildpackNew, Language},
    exit::{Exit, USAGE, printable},
    template,
    ui::Ui,
};

/// Makes the folder, whole or not at all.
pub(crate) fn run(arguments: &BuildpackNew, ui: &Ui) -> Result<(), Exit> {
    let id = &arguments.id;
    let last = id.as_str().rsplit('/').next().unwrap_or_default();
    let into = arguments.into.clone().unwrap_or_else(|| PathBuf::from(last));
    let shown = printable(&into.display().to_string());
    let failed = |error: io::Error| {
        Exit::new(USAGE, anyhow::Error::new(error).context(format!("could not make a buildpack in {shown}")))
    };
    if is_taken(&into).map_err(failed)? {
        let exit = Exit::new(USAGE, format!("{shown} is there already, and not an empty folder"));
        return Err(exit.hint("name another folder with --into DIR"));
    }
    let files = match arguments.lang {
        Language::Rust => template::rust(id),
        Language::Js => template::javascript(id),
    };
    write(&into, &files).map_err(failed)?;
    ui.say(&format!("the buildpack {id} is in {shown}: {shown}/README.md says what to do with it"));
    Ok(())
}

/// Whether something stands there that would be overwritten.
fn is_taken(into: &Path) -> io::Result<bool> {
    match fs::read_dir(into) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(true),
        Err(error) => Err(error),
    }
}

/// Writes beside the place, and moves there what is whole.
fn write(into: &Path, files: &[template::File]) -> io::Result<()> {
    let beside = into.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = if into.is_dir() { into } else { beside };
    fs::create_dir_all(parent)?;
    let whole = tempfile::Builder::new().prefix(".stave-new-").tempdir_in(parent)?;
    for file in files {
        let path = whole.path().join(&file.path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, &file.text)?;
        if file.executable {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
    }
    // As any new folder has them, not as a temporary one.
    let plain = fs::metadata(whole.path().join("fixtures"))?.permissions();
    fs::set_permissions(whole.path(), plain)?;
    if !into.is_dir() {
        return fs::rename(whole.path(), into);
    }
    // An empty folder stays the one that it is: somebody may stand in it.
    for entry in fs::read_dir(whole.path())? {
        let entry = entry?;
        fs::rename(entry.path(), into.join(entry.file_name()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_there_whole_or_not_at_all() {
        let world = tempfile::tempdir().unwrap();
        let files = template::rust(&"acme/motd".parse().unwrap());
        let into = world.path().join("deep/motd");
        write(&into, &files).unwrap();
        assert!(is_taken(&into).unwrap() && into.join("stave-sdk/src/lib.rs").is_file());
        assert_eq!(fs::metadata(into.join("fixtures/starts/app/start")).unwrap().permissions().mode() & 0o111, 0o111);
        let names: Vec<_> = fs::read_dir(world.path().join("deep")).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(names, ["motd"], "nothing is left behind");
        let empty = world.path().join("empty");
        fs::create_dir(&empty).unwrap();
        assert!(!is_taken(&empty).unwrap() && !is_taken(&world.path().join("missing")).unwrap());
        write(&empty, &files).unwrap();
        let names: Vec<_> = fs::read_dir(&empty).unwrap().flatten().map(|e| e.file_name()).collect();
        assert!(
            names.iter().any(|name| name == "buildpack.toml")
                && names.iter().all(|name| !name.to_string_lossy().starts_with(".stave-")),
            "{names:?}"
        );
        let file = world.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(is_taken(&file).unwrap());
    }
}
