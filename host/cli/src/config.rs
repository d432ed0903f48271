//! The user's configuration: `config.toml` in Stave's folder below the user's configuration folder, or `--config FILE`.
//!
//! Everything has a default; most people have no such file. Registries and mirrors that are not named here are asked of
//! the user's own tools.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use stave_distro::sources::Mirrors;
use stave_oci::component::names::Namespaces;
use stave_platform::resource::name::Name;

use crate::{
    args::cache::Size,
    exit::{Exit, USAGE},
};

/// The largest configuration that is read, in bytes.
const MAX_CONFIG: u64 = 1 << 20;

/// `[cache]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Cache {
    /// How large the cache may become; what was not used for longest goes after the run that makes it larger.
    pub(crate) max_size: Option<Size>,
}

/// A whole `config.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Config {
    /// The builder.toml to build with where nothing else names one.
    pub(crate) builder: Option<PathBuf>,
    /// The policy.toml that counts where nothing else names one, relative to this file.
    pub(crate) policy: Option<PathBuf>,
    /// `[registries]`: where packages come from, by ecosystem.
    pub(crate) registries: stave_packages::settings::Settings,
    /// `[mirrors]`: where a distribution's packages come from, by distribution.
    pub(crate) mirrors: Mirrors,
    /// `[namespaces]`: where buildpacks are that are called by a short name.
    pub(crate) namespaces: Namespaces,
    /// Image registries, as host or host:port, that are spoken to without TLS. Those on this machine always are.
    pub(crate) insecure_registries: Vec<String>,
    /// `[cache]`: how large the cache may become.
    pub(crate) cache: Cache,
    /// More certificate authorities to trust: PEM files.
    pub(crate) ca_bundles: Vec<PathBuf>,
    /// The namespace of images and builders that counts where nothing else is said.
    pub(crate) namespace: Option<Name>,
}

impl Config {
    /// Reads the file that was named, or the usual one if there is one.
    pub(crate) fn read(named: Option<&PathBuf>) -> Result<Self, Exit> {
        let Some(path) = named.cloned().or_else(usual) else { return Ok(Self::default()) };
        let shown = path.display();
        let text = match read_capped(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => return Ok(Self::default()),
            Err(error) => {
                return Err(Exit::new(
                    USAGE,
                    anyhow::Error::new(error).context(format!("could not read the configuration {shown}")),
                ));
            }
        };
        let config: Self = toml::from_str(&text).map_err(|error| {
            Exit::new(
                USAGE,
                anyhow::Error::new(error).context(format!("could not understand the configuration {shown}")),
            )
        })?;
        // Whatever folder a build is begun in: an app's own could bring a policy along.
        let folder = path.parent().unwrap_or(Path::new(""));
        Ok(Self { policy: config.policy.map(|policy| folder.join(policy)), ..config })
    }
}

fn usual() -> Option<PathBuf> {
    let folder = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = folder.or_else(|| std::env::home_dir().map(|home| home.join(".config")))?;
    Some(folder.join("stave/config.toml"))
}

/// The text of a small file that somebody wrote by hand.
pub(crate) fn read_capped(path: &std::path::Path) -> io::Result<String> {
    read_at_most(path, MAX_CONFIG)
}

/// The text of a file of at most so many bytes.
pub(crate) fn read_at_most(path: &std::path::Path, most: u64) -> io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(most + 1).read_to_string(&mut text)?;
    if text.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {most} bytes")));
    }
    Ok(text)
}
