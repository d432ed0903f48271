//! The keys of a distribution, from this machine's files: whoever could change those could change everything.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    signature::{Keyring, MAX_KEYRING, SignatureError},
    sources::Keys,
};

/// Where distributions put their keyrings, as `<distribution>-archive-keyring` with one of these ends.
const FOLDER: &str = "usr/share/keyrings";
const ENDS: [&str; 2] = ["pgp", "gpg"];

/// Keys that are not there, or cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// This machine has no keyring of the distribution.
    #[error("there is no keyring of {distribution} on this machine: looked for {}", .path.display())]
    None {
        /// The distribution.
        distribution: String,
        /// The usual place.
        path: PathBuf,
    },
    /// A keyring could not be read.
    #[error("could not read the keyring {}", .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// There is no key in it.
    #[error(transparent)]
    Keys(#[from] SignatureError),
}

impl KeyringError {
    /// What a person could do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::None { distribution, .. } => Some(format!(
                "install the package `{distribution}-archive-keyring`, or name a file with the keys as `signed-by` of \
                 `mirrors.{distribution}` in Stave's configuration"
            )),
            _ => None,
        }
    }
}

/// The keys that may sign a source; `root` is `/` on a real machine.
pub fn load(keys: &Keys, distribution: &str, root: &Path) -> Result<Keyring, KeyringError> {
    match keys {
        Keys::Text(text) => Ok(Keyring::read(text.as_bytes(), "the key in apt's source")?),
        Keys::Files(paths) => {
            let mut all: Option<Keyring> = None;
            for path in paths {
                let path = root.join(path.strip_prefix("/").unwrap_or(path));
                let next = read(&path)?;
                all = Some(match all {
                    Some(keyring) => keyring.and(next),
                    None => next,
                });
            }
            all.ok_or_else(|| SignatureError::NoKey { keyring: "an empty list of keyrings".to_owned() }.into())
        }
        Keys::OfDistribution => {
            let usual = root.join(FOLDER).join(format!("{distribution}-archive-keyring"));
            let found = ENDS.iter().map(|end| usual.with_extension(end)).find(|path| path.exists());
            match found {
                Some(path) => read(&path),
                None => Err(KeyringError::None {
                    distribution: distribution.to_owned(),
                    path: usual.with_extension(ENDS[1]),
                }),
            }
        }
    }
}

fn read(path: &Path) -> Result<Keyring, KeyringError> {
    let failed = |source| KeyringError::Read { path: path.to_owned(), source };
    let length = fs::metadata(path).map_err(failed)?.len();
    if length > MAX_KEYRING as u64 {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, format!("{length} bytes"))));
    }
    let bytes = fs::read(path).map_err(failed)?;
    Ok(Keyring::read(&bytes, &path.display().to_string())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_with_what_to_do() {
        let root = Path::new("/nowhere");
        let error = load(&Keys::OfDistribution, "debian", root).unwrap_err();
        insta::assert_snapshot!(format!("{error}\n{}", error.hint().unwrap()), @"
        there is no keyring of debian on this machine: looked for /nowhere/usr/share/keyrings/debian-archive-keyring.gpg
        install the package `debian-archive-keyring`, or name a file with the keys as `signed-by` of `mirrors.debian` in Stave's configuration
        ");
        let error = load(&Keys::Files(vec!["/k/x.gpg".into()]), "debian", root).unwrap_err();
        insta::assert_snapshot!(error, @"could not read the keyring /nowhere/k/x.gpg");
        let error = load(&Keys::Text("nonsense".to_owned()), "debian", root).unwrap_err();
        insta::assert_snapshot!(error, @"the key in apt's source holds no OpenPGP key");
    }
}
