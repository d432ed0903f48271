//! Service bindings from folders: `--binding DIR` is one, `--bindings DIR` holds one in each of its folders, as platforms
//! lay them out (Service Binding Specification for Kubernetes, "Workload Projection"). Links are followed, because
//! Kubernetes shows a secret's entries as links into a hidden folder; names that begin with a dot are left out.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use stave_model::binding::{Binding, Bindings, MAX_BINDINGS, MAX_ENTRIES, MAX_VALUE};

use crate::exit::{Exit, USAGE, printable};

/// The most bytes of all values together.
const MAX_ALL: u64 = 32 << 20;

/// Reads the bindings. A name that comes twice is an error: nobody could say which one is meant.
pub(crate) fn read(single: &[PathBuf], roots: &[PathBuf]) -> Result<Bindings, Exit> {
    let mut folders = single.to_vec();
    for root in roots {
        let names = names(root).map_err(|error| unreadable(root, error))?;
        if names.iter().any(|name| name == "type") && root.join("type").is_file() {
            let exit = Exit::new(USAGE, format!("`{}` is a binding, not a folder of bindings", shown(root)));
            return Err(exit.hint(format!("hand it over with --binding {}", shown(root))));
        }
        folders.extend(names.iter().map(|name| root.join(name)).filter(|path| path.is_dir()));
    }
    if folders.len() > MAX_BINDINGS {
        return Err(Exit::new(
            USAGE,
            format!("there are {} bindings; at most {MAX_BINDINGS} are taken", folders.len()),
        ));
    }
    let mut bindings = Bindings::new();
    let mut left = MAX_ALL;
    for folder in folders {
        let binding = read_one(&folder, &mut left)?;
        let name = binding.name.clone();
        if bindings.insert(name.clone(), binding).is_some() {
            let exit = Exit::new(USAGE, format!("there are two bindings called {name}"));
            return Err(exit.hint("a binding is called like its folder: rename one of them"));
        }
    }
    Ok(bindings)
}

fn read_one(folder: &Path, left: &mut u64) -> Result<Binding, Exit> {
    let files = files(folder, left).map_err(|error| unreadable(folder, error))?;
    // `.` and `db/` are called like the folder that they lead to.
    let real = folder.canonicalize().map_err(|error| unreadable(folder, error))?;
    let name = folder.file_name().or(real.file_name()).unwrap_or_default().to_string_lossy().into_owned();
    Binding::new(&name, files).map_err(|error| {
        let context = format!("`{}` is not a service binding", shown(folder));
        let exit = Exit::new(USAGE, anyhow::Error::new(error).context(context));
        exit.hint("a binding is a folder with a file `type`, and a file for each entry")
    })
}

fn files(folder: &Path, left: &mut u64) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for name in names(folder)? {
        let path = folder.join(&name);
        if !fs::metadata(&path)?.is_file() {
            continue;
        }
        let limit = MAX_VALUE.min(*left);
        let mut value = Vec::new();
        fs::File::open(&path)?.take(limit + 1).read_to_end(&mut value)?;
        if value.len() as u64 > limit {
            let message = format!("its entry {} is larger than {limit} bytes", printable(&name));
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        *left -= value.len() as u64;
        files.insert(name, value);
    }
    Ok(files)
}

/// What is in a folder, sorted; hidden names are not.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            names.push(name);
        }
        if names.len() > MAX_ENTRIES + 2 {
            return Err(io::Error::other(format!("it holds more than {MAX_ENTRIES} files")));
        }
    }
    names.sort();
    Ok(names)
}

fn unreadable(folder: &Path, error: io::Error) -> Exit {
    Exit::new(USAGE, anyhow::Error::new(error).context(format!("could not read the binding `{}`", shown(folder))))
}

fn shown(path: &Path) -> String {
    printable(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn folders_are_read_as_platforms_lay_them_out() {
        let all = folder(&[
            ("db/type", "postgresql"),
            ("db/password", "x"),
            ("note.txt", "not a binding"),
            ("certs/..2026/type", "ca-certificates\n"),
            ("certs/..2026/root.pem", "pem"),
        ]);
        symlink("..2026", all.path().join("certs/..data")).unwrap();
        for name in ["type", "root.pem"] {
            symlink(format!("..data/{name}"), all.path().join("certs").join(name)).unwrap();
        }
        let bindings = read(&[], &[all.path().to_owned()]).unwrap();
        let shown: Vec<String> = bindings.values().map(|b| format!("{} {} {:?}", b.name, b.kind, b.entries)).collect();
        assert_eq!(
            shown,
            [
                r#"certs ca-certificates {"root.pem": Secret(3 bytes)}"#,
                r#"db postgresql {"password": Secret(1 bytes)}"#
            ]
        );
        assert_eq!(read(&[all.path().join("db/")], &[]).unwrap().len(), 1);
    }

    #[test]
    fn says_what_is_not_a_binding() {
        let all = folder(&[("db/type", "postgresql"), ("other/db/type", "mysql"), ("empty/key", "hunter22")]);
        let large = "x".repeat(usize::try_from(MAX_VALUE).unwrap() + 1);
        fs::create_dir(all.path().join("large")).unwrap();
        fs::write(all.path().join("large/key"), large).unwrap();
        let at = |path: &str| all.path().join(path);
        let said = [
            read(&[], &[at("db")]),
            read(&[at("db"), at("other/db")], &[]),
            read(&[at("empty")], &[]),
            read(&[at("large")], &[]),
            read(&[at("none")], &[]),
        ];
        let said: Vec<String> = said.into_iter().map(|read| read.unwrap_err().render()).collect();
        let said = said.join("\n").replace(&all.path().display().to_string(), "/bindings");
        insta::assert_snapshot!(said, @r"
        error: `/bindings/db` is a binding, not a folder of bindings
        hint: hand it over with --binding /bindings/db

        error: there are two bindings called db
        hint: a binding is called like its folder: rename one of them

        error: `/bindings/empty` is not a service binding
        caused by: it has no file `type`, which says what it is for
        hint: a binding is a folder with a file `type`, and a file for each entry

        error: could not read the binding `/bindings/large`
        caused by: its entry key is larger than 1048576 bytes

        error: could not read the binding `/bindings/none`
        caused by: No such file or directory (os error 2)
        ");
    }
}
