//! What a buildpack may do: what its component imports ⊆ what its manifest asks for ⊆ what the operator grants.
//!
//! The comparison is made before a component is compiled, and its answer names what is missing, so that a refusal can be
//! read and acted upon. Arguments are checked again at each call, against the same [`Capabilities`].

pub mod imports;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

/// An interface of the contract, which is an ability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interface {
    /// Reads the app's source.
    App,
    /// Reads the target and granted settings.
    Context,
    /// Writes messages.
    Log,
    /// Makes layers.
    Layers,
    /// Brings in declared dependencies.
    Artifacts,
    /// Changes the app as exported.
    Overlay,
    /// Reads granted service bindings.
    Bindings,
    /// Names what is in its layers.
    Sbom,
}

impl Interface {
    /// All there are.
    pub const ALL: [Interface; 8] =
        [Self::App, Self::Context, Self::Log, Self::Layers, Self::Artifacts, Self::Overlay, Self::Bindings, Self::Sbom];

    /// What every buildpack has, whether it asks or not (`wit/`: "always granted"). It all stays within the build.
    pub const ALWAYS: [Interface; 3] = [Self::App, Self::Context, Self::Log];

    /// Its name in the contract, such as `artifacts`.
    pub fn name(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Context => "context",
            Self::Log => "log",
            Self::Layers => "layers",
            Self::Artifacts => "artifacts",
            Self::Overlay => "overlay",
            Self::Bindings => "bindings",
            Self::Sbom => "sbom",
        }
    }

    /// The first version of the contract that has it.
    pub fn since(self) -> &'static str {
        match self {
            Self::Sbom => "0.2",
            _ => "0.1",
        }
    }

    /// The interface of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|interface| interface.name() == name)
    }

    /// What it lets a buildpack do, in a few words for a person who decides about it.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::App => "read the app's source",
            Self::Context => "read the target and the settings it asks for",
            Self::Log => "write messages",
            Self::Layers => "add layers to the image",
            Self::Artifacts => "bring declared dependencies into the image",
            Self::Overlay => "add and leave out app files in the image",
            Self::Bindings => "read the service bindings it asks for, with their secrets",
            Self::Sbom => "name what is in its layers, for the bill of materials",
        }
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of abilities and the arguments they may be used with: what is asked for, or what is granted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capabilities {
    /// Interfaces of the contract.
    #[serde(default)]
    pub interfaces: BTreeSet<Interface>,
    /// Package URL types that dependencies may come from, such as `pypi`.
    #[serde(default)]
    pub ecosystems: BTreeSet<String>,
    /// Names of settings that may be read; a `*` at the end stands for any rest.
    #[serde(default)]
    pub settings: BTreeSet<String>,
    /// Types of service bindings that may be read, such as `ca-certificates`; a `*` at the end stands for any rest.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub bindings: BTreeSet<String>,
    /// Hosts that dependencies of no ecosystem (`pkg:generic`) may be fetched from: a whole name, or `*.` and the end of one.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub hosts: BTreeSet<String>,
}

/// One of the lists of names and patterns, and what is the same for all of them.
struct Names {
    of: fn(&Capabilities) -> &BTreeSet<String>,
    of_mut: fn(&mut Capabilities) -> &mut BTreeSet<String>,
    /// Whether everything that the second matches is matched by the first too.
    covers: fn(&str, &str) -> bool,
    lacking: fn(String) -> Excess,
}

/// All of these lists.
const NAMES: [Names; 4] = [
    Names { of: |c| &c.ecosystems, of_mut: |c| &mut c.ecosystems, covers: is_same, lacking: Excess::Ecosystem },
    Names { of: |c| &c.settings, of_mut: |c| &mut c.settings, covers, lacking: Excess::Setting },
    Names { of: |c| &c.bindings, of_mut: |c| &mut c.bindings, covers: covers_kind, lacking: Excess::Binding },
    Names { of: |c| &c.hosts, of_mut: |c| &mut c.hosts, covers: covers_host, lacking: Excess::Host },
];

impl Capabilities {
    /// What every buildpack is granted where nothing else is said: everything that stays within the build itself.
    pub fn usual() -> Self {
        use Interface::{App, Context, Layers, Log, Overlay, Sbom};
        Self {
            interfaces: [App, Context, Log, Layers, Overlay, Sbom].into(),
            ecosystems: BTreeSet::new(),
            settings: ["BP_*".to_owned(), "BPE_*".to_owned(), "BPL_*".to_owned()].into(),
            bindings: BTreeSet::new(),
            hosts: BTreeSet::new(),
        }
    }

    /// The same, together with what every buildpack has.
    #[must_use]
    pub fn with_always(mut self) -> Self {
        self.interfaces.extend(Interface::ALWAYS);
        self
    }

    /// What both allow, and nothing else.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        let mut both = Self { interfaces: &self.interfaces & &other.interfaces, ..Self::default() };
        for Names { of, of_mut, covers, .. } in NAMES {
            for (mine, theirs) in of(self).iter().flat_map(|mine| of(other).iter().map(move |theirs| (mine, theirs))) {
                // Of two patterns, one is within the other or they have nothing in common.
                if covers(mine, theirs) {
                    of_mut(&mut both).insert(theirs.clone());
                } else if covers(theirs, mine) {
                    of_mut(&mut both).insert(mine.clone());
                }
            }
        }
        both
    }

    /// What one of them allows.
    #[must_use]
    pub fn join(mut self, other: &Self) -> Self {
        self.interfaces.extend(&other.interfaces);
        for Names { of, of_mut, .. } in NAMES {
            of_mut(&mut self).extend(of(other).iter().cloned());
        }
        self
    }

    /// Everything in it, one by one.
    pub fn each(&self) -> Vec<Excess> {
        excess(self, &Self::default())
    }

    /// Whether one thing is within it.
    pub fn allows(&self, wanted: &Excess) -> bool {
        excess(&Self::from(wanted.clone()), self).is_empty()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.interfaces.is_empty() && NAMES.iter().all(|names| (names.of)(self).is_empty())
    }

    /// The names and patterns of all lists.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        NAMES.into_iter().flat_map(move |names| (names.of)(self))
    }

    /// Whether the setting `name` may be read.
    pub fn allows_setting(&self, name: &str) -> bool {
        self.settings.iter().any(|pattern| setting_matches(pattern, name))
    }

    /// Whether every setting whose name begins with `prefix` may be read.
    pub fn allows_settings(&self, prefix: &str) -> bool {
        let all = format!("{prefix}*");
        self.settings.iter().any(|pattern| covers(pattern, &all))
    }

    /// Whether service bindings of a type may be read. Upper and lower case are the same there.
    pub fn allows_binding(&self, kind: &str) -> bool {
        let kind = kind.to_ascii_lowercase();
        self.bindings.iter().any(|pattern| setting_matches(&pattern.to_ascii_lowercase(), &kind))
    }

    /// Whether something may be fetched from a host.
    pub fn allows_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|pattern| covers_host(pattern, host))
    }
}

impl From<Excess> for Capabilities {
    fn from(one: Excess) -> Self {
        let mut capabilities = Self::default();
        match one {
            Excess::Interface(interface) => _ = capabilities.interfaces.insert(interface),
            Excess::Ecosystem(name) => _ = capabilities.ecosystems.insert(name),
            Excess::Setting(name) => _ = capabilities.settings.insert(name),
            Excess::Binding(kind) => _ = capabilities.bindings.insert(kind),
            Excess::Host(host) => _ = capabilities.hosts.insert(host),
        }
        capabilities
    }
}

/// `pattern` is a name, or the start of one and `*`.
fn setting_matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

/// One thing that is wanted and not allowed, in the words of the file where it can be allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Excess {
    /// An interface.
    Interface(Interface),
    /// An ecosystem of packages.
    Ecosystem(String),
    /// A setting, or a pattern of settings.
    Setting(String),
    /// A type of service bindings, or a pattern of types.
    Binding(String),
    /// A host, or a pattern of hosts.
    Host(String),
}

impl Excess {
    /// The list that it belongs into.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Interface(_) => "interfaces",
            Self::Ecosystem(_) => "ecosystems",
            Self::Setting(_) => "settings",
            Self::Binding(_) => "bindings",
            Self::Host(_) => "hosts",
        }
    }

    /// What it is called there.
    pub fn name(&self) -> &str {
        match self {
            Self::Interface(interface) => interface.name(),
            Self::Ecosystem(name) | Self::Setting(name) | Self::Binding(name) | Self::Host(name) => name,
        }
    }
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = [\"{}\"]", self.key(), self.name().escape_debug())
    }
}

/// The most names that a line has, and the most characters of one: a person is to read it.
const MAX_LINE: usize = 20;
const MAX_NAME: usize = 100;

/// What is missing, as lines of the file where it can be granted.
pub fn lines(missing: &[Excess]) -> Vec<String> {
    let keys = ["interfaces", "ecosystems", "settings", "bindings", "hosts"];
    let line = |key| {
        let of_key = missing.iter().filter(|one| one.key() == key).take(MAX_LINE);
        let short = |name: &str| name.chars().take(MAX_NAME).collect::<String>().escape_debug().to_string();
        let names: Vec<String> = of_key.map(|one| format!("\"{}\"", short(one.name()))).collect();
        (!names.is_empty()).then(|| format!("{key} = [{}]", names.join(", ")))
    };
    keys.into_iter().filter_map(line).collect()
}

/// What `wanted` holds beyond `allowed`; empty when all of it is allowed.
pub fn excess(wanted: &Capabilities, allowed: &Capabilities) -> Vec<Excess> {
    let interfaces = wanted.interfaces.difference(&allowed.interfaces).map(|i| Excess::Interface(*i));
    let names = NAMES.into_iter().flat_map(|Names { of, covers, lacking, .. }| {
        let is_lacking = move |wanted: &&String| !of(allowed).iter().any(|allowed| covers(allowed, wanted));
        of(wanted).iter().filter(is_lacking).map(move |name| lacking(name.clone()))
    });
    interfaces.chain(names).collect()
}

fn is_same(allowed: &str, wanted: &str) -> bool {
    allowed == wanted
}

/// Types of service bindings: upper and lower case are the same.
fn covers_kind(allowed: &str, wanted: &str) -> bool {
    covers(&allowed.to_ascii_lowercase(), &wanted.to_ascii_lowercase())
}

/// Hosts: `*.` stands for one or more names before the rest, and for none of the others.
fn covers_host(allowed: &str, wanted: &str) -> bool {
    let (allowed, wanted) = (allowed.to_ascii_lowercase(), wanted.to_ascii_lowercase());
    match allowed.strip_prefix("*.") {
        None => allowed == wanted,
        Some(domain) => {
            let before = wanted.strip_suffix(domain).filter(|_| !domain.is_empty());
            before.and_then(|before| before.strip_suffix('.')).is_some_and(|before| !before.is_empty())
        }
    }
}

/// Whether every name that `wanted` matches is matched by `allowed` too.
fn covers(allowed: &str, wanted: &str) -> bool {
    match (allowed.strip_suffix('*'), wanted.strip_suffix('*')) {
        (Some(allowed), Some(wanted)) => wanted.starts_with(allowed),
        (None, Some(_)) => false,
        _ => setting_matches(allowed, wanted),
    }
}
