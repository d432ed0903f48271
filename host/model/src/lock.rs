//! `stave.lock`: every input of a build by digest, with what each buildpack may do.
//!
//! The file is written by the program and read by people in a review, so it is TOML, sorted, and the same for the same
//! inputs. What an update changes, and which of it a person has to agree to, is [`compare`]'s to say.

pub mod compare;

use std::collections::BTreeSet;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{
    capability::{Capabilities, Interface},
    dependency::{self, Dependency},
    digest::Digest,
    id::BuildpackId,
    order::{Composite, Order, Selection, System},
    target::Platform,
};

/// What the file is called where nobody says otherwise.
pub const FILE: &str = "stave.lock";
/// The version of the format.
pub const FORMAT: u32 = 1;
/// The largest lock that is read, in bytes.
pub const MAX_LOCK: usize = 8 << 20;
/// How a file that nobody is to edit begins.
const HEAD: &str = "# Every input of a build by digest. Written by `stave lock`; `stave lock update` changes it.\n";
/// The package of the contract, as imports begin with it.
const PACKAGE: &str = "stave:buildpack/";

/// A whole `stave.lock`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// The version of the format: [`FORMAT`].
    pub version: u32,
    /// What was locked.
    pub builder: LockedBuilder,
    /// The base of the images.
    pub stack: LockedStack,
    /// Which buildpacks are tried together.
    pub order: Order,
    /// Orders with a name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub composites: Vec<Composite>,
    /// Buildpacks that every group of the order has.
    #[serde(default, skip_serializing_if = "System::is_empty")]
    pub system: System,
    /// The buildpacks, by id and version.
    #[serde(default)]
    pub buildpacks: Vec<LockedBuildpack>,
}

/// `[builder]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedBuilder {
    /// As it was named: a file, a name or a reference, or `builtin`.
    pub name: String,
    /// The digest of its artefact, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// `[stack]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedStack {
    /// As the builder names it.
    pub name: String,
    /// Its images, by platform.
    pub images: Vec<LockedImage>,
}

/// `[[stack.images]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedImage {
    /// What it is for.
    pub platform: Platform,
    /// The digest of its manifest.
    pub digest: Digest,
}

/// `[[buildpacks]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedBuildpack {
    /// Its id.
    pub id: BuildpackId,
    /// Its version.
    pub version: Version,
    /// As the builder names it, if that is not a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The digest of the manifest that the reference led to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Digest>,
    /// The digest of the component.
    pub component: Digest,
    /// The size of the component in bytes.
    pub size: u64,
    /// The contract it is written for.
    pub contract: String,
    /// Whose signature was checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// What it imports: what it could ever do.
    pub imports: BTreeSet<String>,
    /// What its manifest asks for.
    pub asks: Capabilities,
    /// What it is granted.
    pub grants: Capabilities,
    /// What it may bring into an image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<Dependency>,
}

/// Why a text is not a lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It is too long to be one.
    #[error("the lock has {0} bytes, more than the limit of {MAX_LOCK}")]
    TooLarge(usize),
    /// It is not TOML, or not of this shape.
    #[error("the lock does not follow the format of {FILE}")]
    Format(#[source] Box<toml::de::Error>),
    /// It was written by a later version.
    #[error("the lock is of version {0}, and this version of stave reads {FORMAT}")]
    Version(u32),
}

/// The part that is read first, so that a later format is named as such and not as an unknown key.
#[derive(Deserialize)]
struct Head {
    version: u32,
}

impl Lock {
    /// Reads a lock.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        if text.len() > MAX_LOCK {
            return Err(LockError::TooLarge(text.len()));
        }
        let format = |error| LockError::Format(Box::new(error));
        let head: Head = toml::from_str(text).map_err(format)?;
        if head.version != FORMAT {
            return Err(LockError::Version(head.version));
        }
        let mut lock: Self = toml::from_str(text).map_err(format)?;
        for buildpack in &mut lock.buildpacks {
            // As a manifest has them; a lock may have been written before they were.
            buildpack.asks.hosts.extend(dependency::hosts(&buildpack.dependencies));
        }
        Ok(lock)
    }

    /// The same in the one sequence that it is written in.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.stack.images.sort_by(|a, b| a.platform.cmp(&b.platform));
        for buildpack in &mut self.buildpacks {
            buildpack.dependencies.sort_by(|a, b| (&a.id, &a.version).cmp(&(&b.id, &b.version)));
        }
        self.buildpacks.sort_by(|a, b| (&a.id, &a.version, &a.component).cmp(&(&b.id, &b.version, &b.component)));
        self
    }

    /// The text of the file. Equal inputs give equal bytes.
    pub fn to_toml(&self) -> String {
        let text = toml::to_string(&self.clone().sorted()).expect("names, numbers and lists of them are always TOML");
        format!("{HEAD}\n{text}")
    }

    /// Which buildpacks are tried together.
    pub fn selection(&self) -> Selection {
        Selection { order: self.order.clone(), composites: self.composites.clone(), system: self.system.clone() }
    }

    /// The stack's image for a platform.
    pub fn image(&self, platform: &Platform) -> Option<&LockedImage> {
        let exact = self.stack.images.iter().find(|image| image.platform == *platform);
        exact.or_else(|| self.stack.images.iter().find(|image| image.platform.serves(platform)))
    }

    /// What a reference of the builder led to when it was locked.
    pub fn pin(&self, reference: &str) -> Option<&LockedBuildpack> {
        self.buildpacks.iter().find(|buildpack| buildpack.reference.as_deref() == Some(reference))
    }

    /// This lock with the buildpacks of some ids, and those alone, as `new` has them. The order is the new one if it is made
    /// for them: a group may name a version.
    #[must_use]
    pub fn updated(&self, new: &Self, ids: &BTreeSet<BuildpackId>) -> Self {
        let (kept, taken) = (self.buildpacks.iter(), new.buildpacks.iter());
        let kept = kept.filter(|buildpack| !ids.contains(&buildpack.id));
        let taken = taken.filter(|buildpack| ids.contains(&buildpack.id));
        let buildpacks: Vec<LockedBuildpack> = kept.chain(taken).cloned().collect();
        let Selection { order, composites, system } = new.selection();
        Self { order, composites, system, buildpacks, ..self.clone() }.sorted()
    }
}

impl LockedBuildpack {
    /// `id@version`.
    pub fn title(&self) -> String {
        format!("{}@{}", self.id, self.version)
    }

    /// What it wants: what it asks for, and the interfaces of the contract that it imports.
    pub fn wants(&self) -> Capabilities {
        let mut wants = self.asks.clone();
        wants.interfaces.extend(self.imported());
        wants
    }

    /// The interfaces of the contract that it imports.
    pub fn imported(&self) -> BTreeSet<Interface> {
        let names = self.imports.iter().filter_map(|import| import.strip_prefix(PACKAGE));
        names.filter_map(|name| Interface::named(name.split('@').next().unwrap_or(name))).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A lock of one buildpack that wants little.
    pub(crate) fn lock() -> Lock {
        let buildpack = LockedBuildpack {
            id: "acme/tool".parse().unwrap(),
            version: Version::new(1, 2, 0),
            reference: Some("registry.example.com/acme/tool:1".to_owned()),
            manifest: Some(Digest::of(b"manifest")),
            component: Digest::of(b"component"),
            size: 1000,
            contract: "0.1".to_owned(),
            signer: None,
            imports: ["stave:buildpack/app@0.1.0".to_owned(), "wasi:cli/stdout@0.2.6".to_owned()].into(),
            asks: Capabilities { settings: ["BP_TOOL_*".to_owned()].into(), ..Capabilities::default() },
            grants: Capabilities {
                interfaces: [Interface::Layers].into(),
                settings: ["BP_*".to_owned()].into(),
                ..Capabilities::default()
            },
            dependencies: Vec::new(),
        };
        let order = "order = [{ group = [{ id = \"acme/tool\" }] }]";
        let order: std::collections::BTreeMap<String, Order> = toml::from_str(order).unwrap();
        Lock {
            version: FORMAT,
            builder: LockedBuilder { name: "builder.toml".to_owned(), digest: None },
            stack: LockedStack {
                name: "stack.toml".to_owned(),
                images: ["linux/arm64", "linux/amd64"]
                    .map(|platform| LockedImage {
                        platform: platform.parse().unwrap(),
                        digest: Digest::of(platform.as_bytes()),
                    })
                    .into(),
            },
            order: order["order"].clone(),
            composites: Vec::new(),
            system: System::default(),
            buildpacks: vec![buildpack],
        }
    }

    #[test]
    fn is_written_sorted_and_read_again() {
        let mut lock = lock();
        let mut other = lock.buildpacks[0].clone();
        other.id = "acme/again".parse().unwrap();
        lock.buildpacks.push(other);
        let text = lock.to_toml();
        let again = Lock::parse(&text).unwrap();
        assert_eq!((again.to_toml(), &again), (text, &lock.clone().sorted()));
        assert_eq!(again.buildpacks[0].id.as_str(), "acme/again");
        lock.buildpacks.reverse();
        lock.stack.images.reverse();
        assert_eq!(lock.to_toml(), again.to_toml());
    }

    #[test]
    fn is_read_by_people() {
        insta::assert_snapshot!(lock().to_toml(), @r#"
        # Every input of a build by digest. Written by `stave lock`; `stave lock update` changes it.

        version = 1

        [builder]
        name = "builder.toml"

        [stack]
        name = "stack.toml"

        [[stack.images]]
        platform = "linux/amd64"
        digest = "sha256:baf0239e48ff4c47ebac3ba02b5cf1506b69cd5a0c0d0c825a53ba65976fb942"

        [[stack.images]]
        platform = "linux/arm64"
        digest = "sha256:b3e3ab55f887c56c0bd8bec3743b0fb54daaa17861e03db5133ef2835eb0da5a"

        [[order]]

        [[order.group]]
        id = "acme/tool"
        optional = false

        [[buildpacks]]
        id = "acme/tool"
        version = "1.2.0"
        reference = "registry.example.com/acme/tool:1"
        manifest = "sha256:05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f"
        component = "sha256:6985ca1f4daa5a584a28eae043a239cb96689af1337ea13afb63e00c2bf512fa"
        size = 1000
        contract = "0.1"
        imports = ["stave:buildpack/app@0.1.0", "wasi:cli/stdout@0.2.6"]

        [buildpacks.asks]
        interfaces = []
        ecosystems = []
        settings = ["BP_TOOL_*"]

        [buildpacks.grants]
        interfaces = ["layers"]
        ecosystems = []
        settings = ["BP_*"]
        "#);
    }

    #[test]
    fn says_why_it_refuses() {
        let message = |text: &str| Lock::parse(text).unwrap_err().to_string();
        assert_eq!(message("version = 9\nnew = 1"), "the lock is of version 9, and this version of stave reads 1");
        assert_eq!(message("version = 1\nnew = 1"), "the lock does not follow the format of stave.lock");
        assert_eq!(message(&"#".repeat(MAX_LOCK + 1)), "the lock has 8388609 bytes, more than the limit of 8388608");
    }

    #[test]
    fn an_update_of_one_buildpack_leaves_the_others() {
        let mut old = lock();
        let mut other = old.buildpacks[0].clone();
        other.id = "acme/other".parse().unwrap();
        old.buildpacks.push(other);
        let mut new = old.clone();
        new.stack.images.clear();
        for buildpack in &mut new.buildpacks {
            buildpack.version = Version::new(2, 0, 0);
        }
        let updated = old.updated(&new, &["acme/tool".parse().unwrap()].into());
        let titles: Vec<String> = updated.buildpacks.iter().map(LockedBuildpack::title).collect();
        assert_eq!(titles, ["acme/other@1.2.0", "acme/tool@2.0.0"]);
        assert_eq!(updated.stack.images.len(), 2, "the stack stays");
    }

    #[test]
    fn what_a_reference_led_to_is_known() {
        let lock = lock();
        assert_eq!(lock.pin("registry.example.com/acme/tool:1").unwrap().manifest, Some(Digest::of(b"manifest")));
        assert!(lock.pin("registry.example.com/acme/tool:2").is_none());
        assert!(lock.image(&"linux/arm64/v8".parse().unwrap()).is_some());
        assert_eq!(lock.buildpacks[0].wants().interfaces, [Interface::App].into());
    }
}
