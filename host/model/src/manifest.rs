//! `buildpack.toml`: what a buildpack is, what it asks for and what it depends on.
//!
//! The manifest travels inside the component (see [`crate::component`]), so a single `.wasm` is a buildpack. The shape
//! follows the buildpack specification's `buildpack.toml` where the two mean the same.

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{
    capability::{Capabilities, Interface},
    dependency::{self, Dependency},
    id::{BuildpackId, ExecEnv},
    target::{
        Target,
        pattern::{self, Misfit, TargetPattern},
    },
};

/// The contracts that this host speaks: the WIT package `stave:buildpack` at these versions, the oldest first.
pub const CONTRACTS: [&str; 2] = ["0.1", "0.2"];
/// The largest manifest that is read, in bytes.
pub const MAX_MANIFEST: usize = 256 * 1024;
/// The most dependencies that a manifest may declare.
const MAX_DEPENDENCIES: usize = 1000;

/// A whole `buildpack.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The contract it is written for, major.minor.
    pub contract: String,
    /// Who it is.
    pub buildpack: About,
    /// Targets that it can build for; all, when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetPattern>,
    /// What it asks for. The hosts of its own dependencies are among it, whether they are listed or not.
    #[serde(default)]
    pub asks: Capabilities,
    /// What it may bring into an image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<Dependency>,
}

/// `[buildpack]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Its id, such as `stave/java`.
    pub id: BuildpackId,
    /// Its version.
    pub version: Version,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// One sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where to read more.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub homepage: String,
    /// SPDX expressions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<String>,
    /// Execution environments that it is for; all, when empty.
    #[serde(default, rename = "exec-env", skip_serializing_if = "Vec::is_empty")]
    pub exec_env: Vec<ExecEnv>,
}

/// Why a text is not a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is too long to be one.
    #[error("the manifest has {0} bytes, more than the limit of {MAX_MANIFEST}")]
    TooLarge(usize),
    /// It is not TOML, or not of this shape.
    #[error("the manifest does not follow the format of buildpack.toml")]
    Format(#[source] Box<toml::de::Error>),
    /// It is written for a contract that this host does not speak.
    #[error(
        "{id}@{version} is written for contract {}, and this host speaks {}",
        .contract.escape_debug(), CONTRACTS.join(" and ")
    )]
    Contract {
        /// The buildpack.
        id: BuildpackId,
        /// Its version.
        version: Version,
        /// The contract it names.
        contract: String,
    },
    /// It asks for an interface that came with a later contract than its own.
    #[error(
        "{id}@{version} asks for `{interface}`, which contract {contract} does not have: it came with {}",
        .interface.since()
    )]
    TooEarly {
        /// The buildpack.
        id: BuildpackId,
        /// Its version.
        version: Version,
        /// The contract it names.
        contract: String,
        /// What it asks for.
        interface: Interface,
    },
    /// Two dependencies have the same id and version, or there are too many, or one has no artefact.
    #[error("dependency {} {version}: {rule}", .id.escape_debug())]
    Dependency {
        /// Its id.
        id: String,
        /// Its version.
        version: Version,
        /// The rule that it breaks.
        rule: &'static str,
    },
}

/// The part that is read first, so that a newer contract is named as such and not as an unknown key.
#[derive(Deserialize)]
struct Head {
    contract: String,
    buildpack: HeadAbout,
}

#[derive(Deserialize)]
struct HeadAbout {
    id: BuildpackId,
    version: Version,
}

impl Manifest {
    /// Reads a manifest and checks what its grammar cannot say.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        if text.len() > MAX_MANIFEST {
            return Err(ManifestError::TooLarge(text.len()));
        }
        let format = |error| ManifestError::Format(Box::new(error));
        let head: Head = toml::from_str(text).map_err(format)?;
        if !CONTRACTS.contains(&head.contract.as_str()) {
            let contract = head.contract.chars().take(40).collect();
            return Err(ManifestError::Contract { id: head.buildpack.id, version: head.buildpack.version, contract });
        }
        let mut manifest: Self = toml::from_str(text).map_err(format)?;
        manifest.check_asks()?;
        manifest.check_dependencies()?;
        // Whoever declares what is somewhere asks for that place: what an author forgets to list is not hidden by that.
        manifest.asks.hosts.extend(dependency::hosts(&manifest.dependencies));
        Ok(manifest)
    }

    fn check_asks(&self) -> Result<(), ManifestError> {
        let place = |contract: &str| CONTRACTS.iter().position(|known| *known == contract);
        let is_too_early = |interface: &&Interface| place(interface.since()) > place(&self.contract);
        let Some(interface) = self.asks.interfaces.iter().find(is_too_early).copied() else { return Ok(()) };
        let About { id, version, .. } = self.buildpack.clone();
        Err(ManifestError::TooEarly { id, version, contract: self.contract.clone(), interface })
    }

    fn check_dependencies(&self) -> Result<(), ManifestError> {
        for (index, dependency) in self.dependencies.iter().enumerate() {
            let twin = |other: &Dependency| other.id == dependency.id && other.version == dependency.version;
            let rule = if index >= MAX_DEPENDENCIES {
                "a manifest declares at most 1000"
            } else if dependency.artifacts.is_empty() {
                "it has no artefact"
            } else if self.dependencies[..index].iter().any(twin) {
                "it is declared twice"
            } else {
                continue;
            };
            return Err(ManifestError::Dependency {
                id: dependency.id.chars().take(100).collect(),
                version: dependency.version.clone(),
                rule,
            });
        }
        Ok(())
    }

    /// Whether it can build for `target`, or what of the target does not fit.
    pub fn fits(&self, target: &Target) -> Result<(), Misfit> {
        pattern::check(&self.targets, target)
    }

    /// `id@version`.
    pub fn title(&self) -> String {
        format!("{}@{}", self.buildpack.id, self.buildpack.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Platform;

    const GOOD: &str = r#"
        contract = "0.1"
        [buildpack]
        id = "acme/tool"
        version = "1.2.3"
        exec-env = ["production"]
        [[targets]]
        platform = "linux/amd64"
        [asks]
        interfaces = ["app", "artifacts"]
        ecosystems = ["pypi"]
        [[dependencies]]
        id = "tool"
        version = "1.0.0"
        name = "Tool"
        [[dependencies.artifacts]]
        purl = "pkg:pypi/tool@1.0.0"
        sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    "#;

    #[test]
    fn reads_what_the_format_promises() {
        let manifest = Manifest::parse(GOOD).unwrap();
        assert_eq!(manifest.title(), "acme/tool@1.2.3");
        let target = |arch: &str| Target { platform: Platform::linux(arch), distro: None };
        assert!(manifest.fits(&target("amd64")).is_ok() && manifest.fits(&target("arm64")).is_err());
        assert_eq!(manifest.buildpack.exec_env, ["production".parse().unwrap()]);
        let again = toml::to_string(&manifest).unwrap();
        assert_eq!(Manifest::parse(&again).unwrap(), manifest);
    }

    #[test]
    fn says_why_it_refuses() {
        let message = |text: &str| Manifest::parse(text).unwrap_err().to_string();
        assert_eq!(
            message(&GOOD.replace("contract = \"0.1\"", "contract = \"0.9\"\nnew-key = 1")),
            "acme/tool@1.2.3 is written for contract 0.9, and this host speaks 0.1 and 0.2"
        );
        let asks = "[\"app\", \"artifacts\"]";
        assert_eq!(
            message(&GOOD.replace(asks, "[\"sbom\"]")),
            "acme/tool@1.2.3 asks for `sbom`, which contract 0.1 does not have: it came with 0.2"
        );
        let newer = GOOD.replace(asks, "[\"sbom\"]").replace("contract = \"0.1\"", "contract = \"0.2\"");
        assert!(Manifest::parse(&newer).is_ok());
        assert_eq!(message("x = 1"), "the manifest does not follow the format of buildpack.toml");
        let twice = format!("{GOOD}{}", &GOOD[GOOD.find("[[dependencies]]").unwrap()..]);
        assert_eq!(message(&twice), "dependency tool 1.0.0: it is declared twice");
        assert_eq!(
            message(&"#".repeat(MAX_MANIFEST + 1)),
            "the manifest has 262145 bytes, more than the limit of 262144"
        );
    }

    #[test]
    fn the_hosts_of_dependencies_are_asked_for() {
        let hosts = |text: &str| Vec::from_iter(Manifest::parse(text).unwrap().asks.hosts);
        assert_eq!(hosts(GOOD), Vec::<String>::new());
        let generic = GOOD.replace(
            "pkg:pypi/tool@1.0.0",
            "pkg:generic/tool@1.0.0?download_url=https%3A%2F%2Fd.example.com%2Ftool.tgz",
        );
        assert_eq!(hosts(&generic), ["d.example.com"]);
        let listed = generic.replace("[asks]", "[asks]\nhosts = [\"d.example.com\", \"*.example.org\"]");
        assert_eq!(hosts(&listed), ["*.example.org", "d.example.com"]);
        let again = toml::to_string(&Manifest::parse(&generic).unwrap()).unwrap();
        assert_eq!(Manifest::parse(&again).unwrap(), Manifest::parse(&generic).unwrap());
    }

    #[test]
    fn refuses_an_unknown_key() {
        assert!(Manifest::parse(&GOOD.replace("[asks]", "[asks]\nroot = true")).is_err());
    }
}
