//! The app's environment: what the container gives, changed by what each layer carries (buildpack spec, "Environment").
//!
//! Reading the layers' folders and obeying them are apart, so that the rules need no folders to be tested.

use std::{
    collections::BTreeMap,
    fs::{self, File, FileType},
    io::{self, ErrorKind, Read},
    path::{Path, PathBuf},
};

use stave_model::{
    env::{self, InvalidFile, MAX_VARIABLE, Phase, Variables},
    id::ProcessType,
    launch::metadata::Participant,
};

use crate::{choose::By, report::shown};

/// What the platform tells the launcher and the app has no use for.
const PRIVATE: [&str; 5] =
    ["CNB_LAYERS_DIR", "CNB_APP_DIR", "CNB_PROCESS_TYPE", "CNB_PLATFORM_API", "CNB_DEPRECATION_MODE"];
/// The launcher's own folders, which the image has on its `PATH`.
const OWN_FOLDERS: [&[u8]; 2] = [b"/cnb/process", b"/cnb/lifecycle"];
/// Most entries of one folder that is read.
const MAX_ENTRIES: usize = 2048;

/// What one layer has for launch.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    /// Its absolute path.
    path: PathBuf,
    /// The folders at its root that go on search paths.
    roots: Vec<&'static str>,
    /// Its environment folders, in the order in which they are obeyed.
    folders: Vec<(PathBuf, BTreeMap<String, Vec<u8>>)>,
    /// The programs that add to the environment, in the order in which they run.
    pub(crate) programs: Vec<PathBuf>,
    /// What a shell reads before the app, in that order; empty for a process without a shell.
    pub(crate) profiles: Vec<PathBuf>,
}

/// An environment that cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoEnvironment {
    /// A file or folder of a layer cannot be read.
    #[error("could not read `{}`", shown(path))]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// A file or folder of a layer is not as it should be.
    #[error("`{}` {rule}", shown(path))]
    Wrong {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        rule: &'static str,
    },
    /// An environment folder cannot be obeyed.
    #[error("could not apply the environment in `{}`", shown(folder))]
    Apply {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        #[source]
        cause: InvalidFile,
    },
}

/// Reads what the layers of each buildpack have for `process`, whoever it is started `by`: buildpacks in the order of the
/// group, layers by name.
pub(crate) fn read(
    layers: &Path,
    buildpacks: &[Participant],
    process: Option<&ProcessType>,
    by: By,
) -> Result<Vec<Vec<Layer>>, NoEnvironment> {
    let of_buildpack = |buildpack: &Participant| {
        let folder = layers.join(buildpack.id.escaped());
        let mut all = Vec::new();
        for (name, _) in entries(&folder)?.into_iter().filter(|(_, kind)| kind.is_dir()) {
            all.push(read_layer(folder.join(name), process, by)?);
        }
        Ok(all)
    };
    buildpacks.iter().map(of_buildpack).collect()
}

/// Reads one layer.
fn read_layer(path: PathBuf, process: Option<&ProcessType>, by: By) -> Result<Layer, NoEnvironment> {
    let mut layer = Layer::default();
    layer
        .roots
        .extend(env::search_paths(Phase::Launch).iter().map(|(root, _)| *root).filter(|r| path.join(r).is_dir()));
    for folder in env::directories(Phase::Launch, process) {
        let folder = path.join(folder);
        let read = |(name, file): (String, PathBuf)| Ok((name, read_value(&file)?));
        let files = files(&folder)?.into_iter().map(read).collect::<Result<_, _>>()?;
        layer.folders.push((folder, files));
    }
    layer.programs = for_process(&path.join("exec.d"), process)?;
    if by == By::Shell {
        layer.profiles = for_process(&path.join("profile.d"), process)?;
    }
    layer.path = path;
    Ok(layer)
}

/// The files of a folder, then those of its folder for the process type.
fn for_process(folder: &Path, process: Option<&ProcessType>) -> Result<Vec<PathBuf>, NoEnvironment> {
    let mut all = files(folder)?;
    if let Some(process) = process {
        all.extend(files(&folder.join(process.as_str()))?);
    }
    Ok(all.into_iter().map(|(_, file)| file).collect())
}

/// The names in a folder, sorted by their bytes, and what stands there, links not followed; none if there is no such folder.
/// The listing says both, and nothing more is asked of the system.
fn entries(folder: &Path) -> Result<Vec<(String, FileType)>, NoEnvironment> {
    let wrong = |rule| NoEnvironment::Wrong { path: folder.to_owned(), rule };
    let failed = |cause| NoEnvironment::Read { path: folder.to_owned(), cause };
    let listing = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in listing {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().into_string().map_err(|_| wrong("holds a name that is not UTF-8"))?;
        names.push((name, entry.file_type().map_err(failed)?));
        if names.len() > MAX_ENTRIES {
            return Err(wrong("holds more than 2048 entries"));
        }
    }
    names.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(names)
}

/// The files in a folder, links to files among them, folders left out.
fn files(folder: &Path) -> Result<Vec<(String, PathBuf)>, NoEnvironment> {
    let mut files = Vec::new();
    for (name, kind) in entries(folder)? {
        let path = folder.join(&name);
        let kind = match kind {
            link if link.is_symlink() => fs::metadata(&path).map(|metadata| metadata.file_type()),
            kind => Ok(kind),
        };
        match kind {
            Err(cause) => return Err(NoEnvironment::Read { path, cause }),
            Ok(kind) if kind.is_file() => files.push((name, path)),
            Ok(kind) if kind.is_dir() => {}
            Ok(_) => return Err(NoEnvironment::Wrong { path, rule: "is neither a file nor a folder" }),
        }
    }
    Ok(files)
}

/// The content of one environment file.
fn read_value(file: &Path) -> Result<Vec<u8>, NoEnvironment> {
    let mut content = Vec::new();
    let read = File::open(file).and_then(|opened| opened.take(MAX_VARIABLE as u64 + 1).read_to_end(&mut content));
    match read {
        Err(cause) => Err(NoEnvironment::Read { path: file.to_owned(), cause }),
        Ok(length) if length > MAX_VARIABLE => {
            Err(NoEnvironment::Wrong { path: file.to_owned(), rule: "is longer than the 128 KiB that Linux allows" })
        }
        Ok(_) => Ok(content),
    }
}

/// The container's environment without what is meant for the launcher.
pub(crate) fn inherit(mut variables: Variables) -> Variables {
    for name in PRIVATE {
        variables.remove(name.as_bytes());
    }
    if let Some(path) = variables.get_mut(b"PATH".as_slice()) {
        let kept: Vec<_> = path.split(|byte| *byte == b':').filter(|part| !OWN_FOLDERS.contains(part)).collect();
        *path = kept.join(&b':');
    }
    variables
}

/// Changes `variables` as the layers say: for each buildpack first the search paths of all its layers, then the
/// environment folders of each.
pub(crate) fn apply(buildpacks: &[Vec<Layer>], variables: &mut Variables) -> Result<(), NoEnvironment> {
    for layers in buildpacks {
        for layer in layers {
            let path = layer.path.as_os_str().as_encoded_bytes();
            env::add_root_dirs(Phase::Launch, path, |root| layer.roots.contains(&root), variables);
        }
        for (folder, files) in layers.iter().flat_map(|layer| &layer.folders) {
            env::apply(files, variables).map_err(|cause| NoEnvironment::Apply { folder: folder.clone(), cause })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
    }

    #[test]
    fn the_app_does_not_see_the_launcher() {
        let cases = [
            ("/cnb/process:/cnb/lifecycle:/usr/bin:/bin", "/usr/bin:/bin"),
            ("/usr/bin:/cnb/process:/bin:/cnb/process", "/usr/bin:/bin"),
            ("/usr/bin::/bin", "/usr/bin::/bin"),
            ("/cnb/processes:/cnb/lifecycle/", "/cnb/processes:/cnb/lifecycle/"),
            ("/cnb/process", ""),
            ("", ""),
        ];
        for (given, kept) in cases {
            assert_eq!(inherit(variables(&[("PATH", given)])), variables(&[("PATH", kept)]), "{given}");
        }
        let given =
            variables(&[("CNB_APP_DIR", "/a"), ("CNB_PLATFORM_API", "0.14"), ("CNB_OTHER", "x"), ("HOME", "/h")]);
        assert_eq!(inherit(given), variables(&[("CNB_OTHER", "x"), ("HOME", "/h")]));
    }

    #[test]
    fn search_paths_of_a_buildpack_come_before_its_folders() {
        let layer = |name: &str, files: &[(&str, &str)]| Layer {
            path: Path::new("/layers/bp").join(name),
            roots: vec!["bin"],
            folders: vec![(
                PathBuf::from("env"),
                files.iter().map(|(file, value)| ((*file).to_owned(), value.as_bytes().to_vec())).collect(),
            )],
            ..Layer::default()
        };
        let all = [
            vec![layer("a", &[("PATH.prepend", "/first:")]), layer("b", &[])],
            vec![layer("c", &[("PATH.append", ":/last")])],
        ];
        let mut environment = variables(&[("PATH", "/bin")]);
        apply(&all, &mut environment).unwrap();
        let expected = "/layers/bp/c/bin:/first:/layers/bp/b/bin:/layers/bp/a/bin:/bin:/last";
        assert_eq!(environment, variables(&[("PATH", expected)]));
    }
}
