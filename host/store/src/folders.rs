//! Where data lives: one folder for what can be made again (cache), one for what cannot (data).
//!
//! Both are the user's alone. A folder that someone else owns or may write to is refused: whoever can put a file there
//! chooses what goes into the next image.

use std::{
    error::Error,
    ffi::OsString,
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy;
use stave_lifecycle::port::failure::{Fault, PortError};

/// The variable that names the cache folder.
pub const CACHE_VARIABLE: &str = "STAVE_CACHE_DIR";
/// The variable that names the data folder.
pub const DATA_VARIABLE: &str = "STAVE_DATA_DIR";

/// A folder that exists and is the user's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
    variable: &'static str,
}

/// Why a folder is not used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Neither the variable nor the home directory says where it is.
    #[error("there is no home directory, and {0} is not set")]
    NoHome(&'static str),
    /// The variable holds a relative path, which would mean another folder in each working directory.
    #[error("{variable} is `{}`, which is not an absolute path", .path.display().to_string().escape_debug())]
    Relative {
        /// The variable.
        variable: &'static str,
        /// What it holds.
        path: PathBuf,
    },
    /// It could not be made or looked at.
    #[error("could not make `{}`", .path.display().to_string().escape_debug())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// The variable that chooses another.
        variable: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is there, and somebody else could change what is in it.
    #[error("`{}` is not used: {why}", .path.display().to_string().escape_debug())]
    Untrusted {
        /// The folder.
        path: PathBuf,
        /// The variable that chooses another.
        variable: &'static str,
        /// What is wrong.
        why: &'static str,
    },
}

impl FolderError {
    /// What a person can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::NoHome(variable) | Self::Relative { variable, .. } => format!("set {variable} to an absolute path"),
            Self::Unusable { variable, .. } => format!("make it writable, or set {variable} to a folder that is"),
            Self::Untrusted { variable, .. } => {
                format!("take it over (chown, chmod go-w), or set {variable} to a folder of your own")
            }
        }
    }
}

impl From<FolderError> for PortError {
    fn from(error: FolderError) -> Self {
        let hint = error.hint();
        PortError::new(Fault::Io, "could not open the folder for Stave's data").hint(hint).caused_by(error)
    }
}

impl Folder {
    /// The cache folder: `STAVE_CACHE_DIR`, else `stave` in the user's cache folder (XDG base directory specification).
    /// Made if it is missing.
    pub fn cache(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, FolderError> {
        let usual = || Some(etcetera::choose_base_strategy().ok()?.cache_dir());
        Self::open(place(CACHE_VARIABLE, variable, usual)?, CACHE_VARIABLE)
    }

    /// The data folder: `STAVE_DATA_DIR`, else `stave` in the user's data folder. Made if it is missing.
    pub fn data(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, FolderError> {
        let usual = || Some(etcetera::choose_base_strategy().ok()?.data_dir());
        Self::open(place(DATA_VARIABLE, variable, usual)?, DATA_VARIABLE)
    }

    /// Opens `path`, making it for this user alone if it is missing. `variable` is what chooses another one, for messages.
    pub fn open(path: PathBuf, variable: &'static str) -> Result<Self, FolderError> {
        let unusable = |source| FolderError::Unusable { path: path.clone(), variable, source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(unusable)?;
        let link = fs::symlink_metadata(&path).map_err(unusable)?;
        let real = fs::metadata(&path).map_err(unusable)?;
        let me = rustix::process::geteuid().as_raw();
        match objection(me, [(link.uid(), link.is_symlink(), 0), (real.uid(), false, real.mode())]) {
            Some(why) => Err(FolderError::Untrusted { path, variable, why }),
            None => Ok(Self { path, variable }),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its path for a message.
    pub fn shown(&self) -> String {
        self.path.display().to_string().escape_debug().to_string()
    }

    /// The folder `name` within, made if it is missing.
    pub fn within(&self, name: &str) -> Result<Self, FolderError> {
        Self::open(self.path.join(name), self.variable)
    }

    /// An operation on the disk that failed, with what a person can do about it.
    pub fn failed(&self, attempt: impl Into<String>, cause: impl Into<Box<dyn Error + Send + Sync>>) -> PortError {
        let cause = cause.into();
        let said = cause.downcast_ref::<io::Error>();
        // The standard library has no kind for this one.
        let has_no_locks = said.and_then(io::Error::raw_os_error) == Some(rustix::io::Errno::NOLCK.raw_os_error());
        let kind = if has_no_locks { Some(io::ErrorKind::Unsupported) } else { said.map(io::Error::kind) };
        let error = PortError::new(Fault::Io, attempt);
        let (folder, variable) = (self.shown(), self.variable);
        let error = match kind {
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => error.hint(format!(
                "the disk is full: make room where `{folder}` is, or set {variable} to a folder elsewhere"
            )),
            Some(io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
                error.hint(format!("make `{folder}` writable, or set {variable} to a folder that is"))
            }
            Some(io::ErrorKind::Unsupported) => error.hint(format!(
                "the file system of `{folder}` has no locks: set {variable} to a folder on a local disk"
            )),
            _ => error,
        };
        error.caused_by(cause)
    }
}

/// Decides where a folder is.
fn place(
    name: &'static str,
    variable: impl Fn(&str) -> Option<OsString>,
    usual: impl Fn() -> Option<PathBuf>,
) -> Result<PathBuf, FolderError> {
    if let Some(path) = variable(name).filter(|value| !value.is_empty()).map(PathBuf::from) {
        return if path.is_absolute() { Ok(path) } else { Err(FolderError::Relative { variable: name, path }) };
    }
    usual().map(|folder| folder.join("stave")).ok_or(FolderError::NoHome(name))
}

/// What speaks against a folder. Of the link that leads to it (if it is one) and of the folder itself: the owner, whether
/// it is a link, and the mode.
fn objection(me: u32, stats: [(u32, bool, u32); 2]) -> Option<&'static str> {
    let [(link_owner, is_link, _), (owner, _, mode)] = stats;
    if is_link && link_owner != me && link_owner != 0 {
        return Some("it is a symbolic link of another user");
    }
    if owner != me {
        return Some("it belongs to another user");
    }
    (mode & 0o002 != 0).then_some("everybody may write to it")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn message(error: &dyn Error) -> String {
        let cause = error.source().map(|cause| format!("\ncaused by: {cause}")).unwrap_or_default();
        format!("{error}{cause}")
    }

    #[test]
    fn the_variable_wins_over_the_home_directory() {
        let usual = || Some(PathBuf::from("/home/me/.cache"));
        let with = |value: &'static str| move |_: &str| Some(OsString::from(value));
        assert_eq!(place(CACHE_VARIABLE, with("/elsewhere"), usual).unwrap(), Path::new("/elsewhere"));
        assert_eq!(place(CACHE_VARIABLE, with(""), usual).unwrap(), Path::new("/home/me/.cache/stave"));
        insta::assert_snapshot!(place(CACHE_VARIABLE, with("x"), usual).unwrap_err(), @"STAVE_CACHE_DIR is `x`, which is not an absolute path");
        insta::assert_snapshot!(place(DATA_VARIABLE, |_| None, || None).unwrap_err(), @"there is no home directory, and STAVE_DATA_DIR is not set");
    }

    #[test]
    fn a_new_folder_is_for_its_user_alone() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path().join("a/b"), CACHE_VARIABLE).unwrap();
        for path in [folder.path(), folder.path().parent().unwrap()] {
            assert_eq!(fs::metadata(path).unwrap().mode() & 0o7777, 0o700);
        }
    }

    #[test]
    fn a_folder_that_others_can_change_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let open = temp.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).unwrap();
        symlink(&open, temp.path().join("link")).unwrap();
        for name in ["open", "link"] {
            let error = Folder::open(temp.path().join(name), CACHE_VARIABLE).unwrap_err();
            assert!(matches!(error, FolderError::Untrusted { why: "everybody may write to it", .. }), "{name}");
        }
    }

    #[test]
    fn who_owns_it_decides() {
        let folder = |owner, mode| (owner, false, mode);
        let cases = [
            ([folder(7, 0o700), folder(7, 0o700)], None),
            ([folder(7, 0o700), folder(7, 0o775)], None),
            ([folder(8, 0o700), folder(8, 0o700)], Some("it belongs to another user")),
            ([(8, true, 0), folder(7, 0o700)], Some("it is a symbolic link of another user")),
            ([(0, true, 0), folder(7, 0o700)], None),
            ([folder(7, 0o702), folder(7, 0o702)], Some("everybody may write to it")),
        ];
        for (stats, expected) in cases {
            assert_eq!(objection(7, stats), expected, "{stats:?}");
        }
    }

    #[test]
    fn a_file_in_the_way_is_said_plainly() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("file"), "x").unwrap();
        let error = Folder::open(temp.path().join("file/cache"), CACHE_VARIABLE).unwrap_err();
        let text = format!("{}\nhint: {}", message(&error), error.hint());
        insta::assert_snapshot!(text.replace(&temp.path().display().to_string(), "/tmp"), @"
        could not make `/tmp/file/cache`
        caused by: Not a directory (os error 20)
        hint: make it writable, or set STAVE_CACHE_DIR to a folder that is
        ");
    }

    #[test]
    fn a_full_disk_comes_with_a_way_out() {
        let folder = Folder { path: "/cache".into(), variable: CACHE_VARIABLE };
        let error = folder.failed("could not write a blob", io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(error.fault, Fault::Io);
        let text = format!("{}\nhint: {}", message(&error), error.hint.as_deref().unwrap_or_default());
        insta::assert_snapshot!(text, @"
        could not write a blob
        caused by: no storage space
        hint: the disk is full: make room where `/cache` is, or set STAVE_CACHE_DIR to a folder elsewhere
        ");
    }
}
