//! Certificates that docker and podman keep for a registry (`certs.d`, containers-certs.d(5)): a folder called after its
//! host and port, with CAs to trust (`*.crt`), and who we are to it (`NAME.cert` with `NAME.key`).

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use stave_lifecycle::port::failure::{Fault, PortError};
use stave_transport::roots::Identity;

use super::folders::Folders;
use crate::reference::Registry;

/// Folders of certificates, the first that has something for a registry counts.
#[derive(Debug, Clone, Default)]
pub struct Certificates {
    folders: Vec<PathBuf>,
}

/// What is kept for one registry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Kept {
    /// Bundles of CAs, trusted besides the system's.
    pub(super) authorities: Vec<PathBuf>,
    /// Who we are, if it asks.
    pub(super) identity: Option<Identity>,
}

impl Certificates {
    /// No certificates at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// Podman's and docker's folders, the user's before the system's.
    pub fn of_environment(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let Folders { config, docker } = Folders::of_environment(variable);
        let folders = [
            config.as_ref().map(|folder| folder.join("containers/certs.d")),
            config.as_ref().map(|folder| folder.join("docker/certs.d")),
            docker.map(|folder| folder.join("certs.d")),
            Some("/etc/containers/certs.d".into()),
            Some("/etc/docker/certs.d".into()),
        ];
        Self { folders: folders.into_iter().flatten().collect() }
    }

    /// What is kept for a registry; none if it has no folder.
    pub(super) fn find(&self, registry: &Registry) -> Result<Option<Kept>, PortError> {
        for folder in self.folders.iter().map(|folder| folder.join(registry.as_str())) {
            match read(&folder) {
                Ok(kept) => return Ok(Some(kept)),
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(error) => {
                    let shown = folder.display().to_string().escape_debug().to_string();
                    let attempt = format!("could not use the certificates in `{shown}`");
                    return Err(PortError::new(Fault::InvalidInput, attempt).caused_by(error));
                }
            }
        }
        Ok(None)
    }
}

fn read(folder: &Path) -> io::Result<Kept> {
    let mut files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    files.sort();
    let mut kept = Kept::default();
    for file in files {
        match file.extension().and_then(|ending| ending.to_str()) {
            Some("crt") => kept.authorities.push(file),
            Some("cert") if kept.identity.is_none() => {
                let key = file.with_extension("key");
                if !key.is_file() {
                    let name = file.file_stem().unwrap_or_default().display().to_string();
                    let message = format!("{0}.cert has no {0}.key beside it", name.escape_debug());
                    return Err(io::Error::new(io::ErrorKind::InvalidData, message));
                }
                kept.identity = Some(Identity { certificate: file, key });
            }
            _ => {}
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_looked_for_where_tools_keep_them() {
        let home = |name: &str| (name == "HOME").then(|| OsString::from("/h"));
        let found = Certificates::of_environment(home).folders;
        let shown: Vec<String> = found.iter().map(|path| path.display().to_string()).collect();
        let expected = [
            "/h/.config/containers/certs.d",
            "/h/.config/docker/certs.d",
            "/h/.docker/certs.d",
            "/etc/containers/certs.d",
            "/etc/docker/certs.d",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_registry_has_its_own_folder() {
        let temp = tempfile::tempdir().unwrap();
        let certificates = Certificates { folders: vec!["/nonexistent".into(), temp.path().into()] };
        let registry: Registry = "registry.example.com:5000".parse().unwrap();
        assert_eq!(certificates.find(&registry).unwrap(), None);
        let folder = temp.path().join("registry.example.com:5000");
        fs::create_dir(&folder).unwrap();
        assert_eq!(certificates.find(&registry).unwrap(), Some(Kept::default()));
        for name in ["b.crt", "a.crt", "client.cert", "client.key", "README"] {
            fs::write(folder.join(name), "").unwrap();
        }
        let kept = certificates.find(&registry).unwrap().unwrap();
        assert_eq!(kept.authorities, [folder.join("a.crt"), folder.join("b.crt")]);
        let identity = Identity { certificate: folder.join("client.cert"), key: folder.join("client.key") };
        assert_eq!(kept.identity, Some(identity));
        assert_eq!(certificates.find(&"registry.example.com".parse().unwrap()).unwrap(), None);
        fs::remove_file(folder.join("client.key")).unwrap();
        let error = certificates.find(&registry).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "client.cert has no client.key beside it");
    }
}
