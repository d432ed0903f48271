//! What a buildpack may do: what its component imports ⊆ what its manifest asks for ⊆ what the operator grants.
//!
//! The comparison is made before a component is compiled, and its answer names what is missing, so that a refusal can be
//! read and acted upon. Arguments are checked again at each call, against the same [`Capabilities`].

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
}

impl Capabilities {
    /// What every buildpack is granted where nothing else is said: everything that stays within the build itself.
    pub fn usual() -> Self {
        use Interface::{App, Context, Layers, Log, Overlay, Sbom};
        Self {
            interfaces: [App, Context, Log, Layers, Overlay, Sbom].into(),
            ecosystems: BTreeSet::new(),
            settings: ["BP_*".to_owned(), "BPE_*".to_owned(), "BPL_*".to_owned()].into(),
            bindings: BTreeSet::new(),
        }
    }

    /// The same, together with what every buildpack has.
    #[must_use]
    pub fn with_always(mut self) -> Self {
        self.interfaces.extend(Interface::ALWAYS);
        self
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
}

/// `pattern` is a name, or the start of one and `*`.
fn setting_matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

/// One thing that is wanted and not allowed, in the words of the file where it can be allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Excess {
    /// An interface.
    Interface(Interface),
    /// An ecosystem of packages.
    Ecosystem(String),
    /// A setting, or a pattern of settings.
    Setting(String),
    /// A type of service bindings, or a pattern of types.
    Binding(String),
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface(interface) => write!(f, "interfaces = [\"{interface}\"]"),
            Self::Ecosystem(name) => write!(f, "ecosystems = [\"{}\"]", name.escape_debug()),
            Self::Setting(name) => write!(f, "settings = [\"{}\"]", name.escape_debug()),
            Self::Binding(kind) => write!(f, "bindings = [\"{}\"]", kind.escape_debug()),
        }
    }
}

/// What `wanted` holds beyond `allowed`; empty when all of it is allowed.
pub fn excess(wanted: &Capabilities, allowed: &Capabilities) -> Vec<Excess> {
    let interfaces = wanted.interfaces.difference(&allowed.interfaces).map(|i| Excess::Interface(*i));
    let ecosystems = wanted.ecosystems.difference(&allowed.ecosystems).map(|e| Excess::Ecosystem(e.clone()));
    let settings = wanted
        .settings
        .iter()
        .filter(|wanted| !allowed.settings.iter().any(|allowed| covers(allowed, wanted)))
        .map(|setting| Excess::Setting(setting.clone()));
    let bindings = wanted
        .bindings
        .iter()
        .filter(|wanted| {
            let wanted = wanted.to_ascii_lowercase();
            !allowed.bindings.iter().any(|allowed| covers(&allowed.to_ascii_lowercase(), &wanted))
        })
        .map(|kind| Excess::Binding(kind.clone()));
    interfaces.chain(ecosystems).chain(settings).chain(bindings).collect()
}

/// Whether every name that `wanted` matches is matched by `allowed` too.
fn covers(allowed: &str, wanted: &str) -> bool {
    match (allowed.strip_suffix('*'), wanted.strip_suffix('*')) {
        (Some(allowed), Some(wanted)) => wanted.starts_with(allowed),
        (None, Some(_)) => false,
        _ => setting_matches(allowed, wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capabilities(interfaces: &[Interface], ecosystems: &[&str], settings: &[&str]) -> Capabilities {
        Capabilities {
            interfaces: interfaces.iter().copied().collect(),
            ecosystems: ecosystems.iter().map(|s| (*s).to_owned()).collect(),
            settings: settings.iter().map(|s| (*s).to_owned()).collect(),
            bindings: BTreeSet::new(),
        }
    }

    #[test]
    fn bindings_are_granted_by_their_type() {
        let kinds = |kinds: &[&str]| Capabilities {
            bindings: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            ..Capabilities::default()
        };
        assert!(kinds(&["CA-Certificates"]).allows_binding("ca-certificates"));
        assert!(
            kinds(&["maven*"]).allows_binding("Maven-settings") && !kinds(&["maven"]).allows_binding("maven-settings")
        );
        let lines: Vec<String> =
            excess(&kinds(&["npmrc", "Maven"]), &kinds(&["maven"])).iter().map(ToString::to_string).collect();
        assert_eq!(lines, [r#"bindings = ["npmrc"]"#]);
    }

    #[test]
    fn what_is_not_granted_is_named_as_the_line_that_would_grant_it() {
        let asked = capabilities(&[Interface::App, Interface::Artifacts], &["pypi"], &["BP_JVM_*", "HOME"]);
        let lines: Vec<String> = excess(&asked, &Capabilities::usual()).iter().map(ToString::to_string).collect();
        assert_eq!(lines, [r#"interfaces = ["artifacts"]"#, r#"ecosystems = ["pypi"]"#, r#"settings = ["HOME"]"#]);
        assert_eq!(excess(&asked, &asked), []);
    }

    #[test]
    fn settings_are_listed_where_all_of_them_are_allowed() {
        for (allowed, prefix, expected) in [
            ("BPE_*", "BPE_", true),
            ("BPE_*", "BPE_APPEND_", true),
            ("BPE_*", "BP", false),
            ("BPE_*", "", false),
            ("*", "", true),
            ("BPE_X", "BPE_X", false),
            ("BPE_*", "BPE_*", true),
        ] {
            assert_eq!(capabilities(&[], &[], &[allowed]).allows_settings(prefix), expected, "{allowed} {prefix}");
        }
    }

    #[test]
    fn a_pattern_is_covered_by_a_wider_one_only() {
        for (allowed, wanted, expected) in [
            ("BP_*", "BP_X", true),
            ("BP_*", "BP_JVM_*", true),
            ("BP_JVM_*", "BP_*", false),
            ("BP_X", "BP_*", false),
            ("BP_X", "BP_X", true),
            ("*", "HOME", true),
            ("BP_X", "BP_XY", false),
        ] {
            assert_eq!(covers(allowed, wanted), expected, "{allowed} {wanted}");
        }
    }
}
