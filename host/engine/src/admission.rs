//! Whether a component may be run at all: what it imports ⊆ what its manifest asks for ⊆ what it is granted, and nothing else.
//!
//! Decided before the component is compiled, from names alone. The workbench checks every call again.

use stave_model::{
    capability::{Excess, Interface, excess, imports::WASI, lines},
    dependency,
    digest::Digest,
    manifest::CONTRACTS,
    policy::grants::Allowance,
};

use crate::component::{Description, PACKAGE, contract, split};

/// What every buildpack has, whether it asks or not (`wit/`: "always granted"). It all stays within the build.
pub const ALWAYS: [Interface; 3] = Interface::ALWAYS;

/// What every buildpack exports.
const EXPORTS: [&str; 2] = ["detection", "construction"];

/// Why a component is not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It wants the network.
    #[error(
        "{buildpack} imports {import}, and buildpacks have no network; what it needs from there it declares as a \
         dependency in its manifest, and the host fetches it"
    )]
    Network {
        /// id@version.
        buildpack: String,
        /// The import.
        import: String,
    },
    /// It wants a version of WASI that is not here.
    #[error("{buildpack} imports {import}, and this host offers WASI 0.2")]
    WasiVersion {
        /// id@version.
        buildpack: String,
        /// The import.
        import: String,
    },
    /// It wants a part of WASI that buildpacks do not have.
    #[error("{buildpack} imports {import}, a part of WASI that buildpacks do not have")]
    Wasi {
        /// id@version.
        buildpack: String,
        /// The import.
        import: String,
    },
    /// It is made for a version of the contract that is not here.
    #[error("{buildpack} is made for another contract: it names {name}, and this host speaks {PACKAGE} {}", spoken())]
    Contract {
        /// id@version.
        buildpack: String,
        /// The import or export that shows it.
        name: String,
    },
    /// Its manifest names one version of the contract and its binary another.
    #[error("{buildpack} names {name}, and its manifest says that it is made for {PACKAGE} {contract}")]
    Track {
        /// id@version.
        buildpack: String,
        /// The import or export that shows it.
        name: String,
        /// The version in the manifest.
        contract: String,
    },
    /// It wants an interface that came with a later version of the contract than the one it is made for.
    #[error("{buildpack} imports {import}, which {PACKAGE} {contract} does not have: it came with {since}")]
    TooEarly {
        /// id@version.
        buildpack: String,
        /// The import.
        import: String,
        /// The version that it is made for.
        contract: String,
        /// The first version that has it.
        since: &'static str,
    },
    /// It wants an interface of the contract that this host does not know.
    #[error("{buildpack} imports {import}, which this version of stave does not know; a later one may")]
    Unknown {
        /// id@version.
        buildpack: String,
        /// The import.
        import: String,
    },
    /// It wants something that is nobody's.
    #[error("{buildpack} imports {import}, which is neither in the contract ({PACKAGE} {}) nor in WASI", spoken())]
    Foreign {
        /// id@version.
        buildpack: String,
        /// The import.
        import: String,
    },
    /// It does not do what a buildpack does.
    #[error("{buildpack} does not export {PACKAGE}/{export}@{contract}, as every buildpack must")]
    Export {
        /// id@version.
        buildpack: String,
        /// The version that it is made for.
        contract: String,
        /// The interface that is missing.
        export: &'static str,
    },
    /// It imports more than its manifest says.
    #[error("{buildpack} imports {PACKAGE}/{interface} ({}), which its manifest does not ask for", .interface.meaning())]
    Unasked {
        /// id@version.
        buildpack: String,
        /// The interface.
        interface: Interface,
    },
    /// It asks for more than it is granted.
    #[error("{buildpack} asks for what {}: {}", withheld(.allowance, .excess), lines(.excess).join(", "))]
    Ungranted {
        /// id@version.
        buildpack: String,
        /// The component's digest.
        component: Digest,
        /// What is missing.
        excess: Vec<Excess>,
        /// What it is granted, and who withholds the rest.
        allowance: Box<Allowance>,
    },
}

impl Refusal {
    /// What a person could do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Network { .. } | Self::Wasi { .. } => {
                Some("its author builds it without the part that needs this".to_owned())
            }
            Self::WasiVersion { .. } => Some("its author builds it for wasm32-wasip2".to_owned()),
            Self::Contract { .. } | Self::Unknown { .. } => {
                Some("take another version of the buildpack, or of stave".to_owned())
            }
            Self::Track { .. } => {
                Some("its author makes `contract` in buildpack.toml and the SDK's version the same".to_owned())
            }
            Self::TooEarly { since, .. } => Some(format!("its author makes it for contract {since}")),
            Self::Foreign { .. } => None,
            Self::Export { .. } => Some("its author exports it with the SDK's macro".to_owned()),
            Self::Unasked { interface, .. } => {
                Some(format!("its author adds interfaces = [\"{interface}\"] to `asks` in its buildpack.toml"))
            }
            Self::Ungranted { excess, allowance, .. } => Some(allowance.remedy("it", excess)),
        }
    }
}

/// Who withholds something, for a sentence.
fn withheld(allowance: &Allowance, excess: &[Excess]) -> String {
    let policy = allowance.policy_alone(excess);
    policy.map_or_else(|| "it is not granted".to_owned(), |policy| format!("the policy {policy} does not allow it"))
}

/// Refuses what no grant could help: an import that this host has for nobody.
pub fn check_imports(component: &Description) -> Result<(), Refusal> {
    let Description { manifest, imports, .. } = component;
    imports.iter().try_for_each(|import| check_import(import, &manifest.contract, &|| manifest.title()))
}

/// Decides. What everybody has need not be granted.
pub fn admit(component: &Description, allowed: impl Into<Allowance>) -> Result<Allowance, Refusal> {
    let allowance = allowed.into().with_always();
    let contract = component.manifest.contract.as_str();
    let buildpack = || component.manifest.title();
    check_imports(component)?;
    for export in EXPORTS {
        let found = component.exports.iter().filter_map(|name| self::contract(name).map(|parts| (name, parts)));
        let mut named = found.filter(|(_, (interface, _))| *interface == export);
        match named.next() {
            None => return Err(Refusal::Export { buildpack: buildpack(), contract: contract.to_owned(), export }),
            Some((name, (_, version))) => check_track(name, version, contract, &buildpack)?,
        }
    }
    let asked = component.manifest.asks.clone().with_always();
    let imported = component.interfaces();
    if let Some(interface) = imported.difference(&asked.interfaces).next() {
        return Err(Refusal::Unasked { buildpack: buildpack(), interface: *interface });
    }
    let excess = excess(&component.manifest.asks, allowance.may());
    if excess.is_empty() {
        return Ok(allowance);
    }
    let (component, allowance) = (component.digest, Box::new(allowance));
    Err(Refusal::Ungranted { buildpack: buildpack(), component, excess, allowance })
}

/// Whether a name of the contract has the version that the manifest says: a component speaks one version and no other.
fn check_track(name: &str, version: &str, contract: &str, buildpack: &dyn Fn() -> String) -> Result<(), Refusal> {
    if on_track(version, contract) {
        return Ok(());
    }
    let (buildpack, name) = (buildpack(), short(name));
    if CONTRACTS.iter().any(|spoken| on_track(version, spoken)) {
        return Err(Refusal::Track { buildpack, name, contract: contract.to_owned() });
    }
    Err(Refusal::Contract { buildpack, name })
}

/// What a component's manifest asks for and it could never use: it does not import the interface, or no dependency comes from
/// the ecosystem.
pub fn unused(component: &Description) -> Vec<Excess> {
    let mut usable = component.manifest.asks.clone();
    let imported = component.interfaces();
    usable.interfaces = imported.iter().copied().chain(ALWAYS).collect();
    if !imported.contains(&Interface::Context) {
        usable.settings.clear();
    }
    if !imported.contains(&Interface::Bindings) {
        usable.bindings.clear();
    }
    let brings_in = imported.contains(&Interface::Artifacts);
    let dependencies = if brings_in { &component.manifest.dependencies[..] } else { &[] };
    let artifacts = dependencies.iter().flat_map(|dependency| &dependency.artifacts);
    usable.ecosystems = artifacts.map(|artifact| artifact.purl.kind.clone()).collect();
    usable.hosts = dependency::hosts(dependencies).collect();
    excess(&component.manifest.asks, &usable)
}

fn check_import(import: &str, contract: &str, buildpack: &dyn Fn() -> String) -> Result<(), Refusal> {
    let shown = short(import);
    let Some((package, interface, version)) = split(import) else {
        return Err(Refusal::Foreign { buildpack: buildpack(), import: shown });
    };
    if package == PACKAGE {
        check_track(import, version, contract, buildpack)?;
        return match Interface::named(interface) {
            Some(known) if is_later(known.since(), contract) => Err(Refusal::TooEarly {
                buildpack: buildpack(),
                import: shown,
                contract: contract.to_owned(),
                since: known.since(),
            }),
            Some(_) => Ok(()),
            None if interface == "types" => Ok(()),
            None => Err(Refusal::Unknown { buildpack: buildpack(), import: shown }),
        };
    }
    let buildpack = buildpack();
    if matches!(package, "wasi:sockets" | "wasi:http" | "wasi:tls") {
        return Err(Refusal::Network { buildpack, import: shown });
    }
    if !package.starts_with("wasi:") {
        return Err(Refusal::Foreign { buildpack, import: shown });
    }
    if !on_track(version, "0.2") {
        return Err(Refusal::WasiVersion { buildpack, import: shown });
    }
    let offered = WASI.iter().any(|(name, interfaces)| *name == package && interfaces.contains(&interface));
    if offered { Ok(()) } else { Err(Refusal::Wasi { buildpack, import: shown }) }
}

/// Whether one version of the contract that is spoken here came after another.
fn is_later(version: &str, than: &str) -> bool {
    let place = |of: &str| CONTRACTS.iter().position(|spoken| *spoken == of);
    place(version) > place(than)
}

/// The versions of the contract that are spoken here, in words.
fn spoken() -> String {
    CONTRACTS.join(" and ")
}

/// Whether `version` is one of the versions `track.N`, which understand each other.
fn on_track(version: &str, track: &str) -> bool {
    version
        .strip_prefix(track)
        .and_then(|rest| rest.strip_prefix('.'))
        .is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|b| b.is_ascii_digit()))
}

/// A name that somebody else chose, fit for a message.
fn short(name: &str) -> String {
    name.chars().take(100).collect::<String>().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use stave_model::{capability::Capabilities, manifest::Manifest};

    const DETECTION: &str = "stave:buildpack/detection@0.1.0";
    const CONSTRUCTION: &str = "stave:buildpack/construction@0.1.0";

    fn component(asks: &str, imports: &[&str], exports: &[&str]) -> Description {
        let manifest = format!("contract = \"0.1\"\n[buildpack]\nid = \"acme/x\"\nversion = \"1.2.3\"\n[asks]\n{asks}");
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Description {
            digest: Digest::of(b""),
            size: 0,
            manifest: Manifest::parse(&manifest).unwrap(),
            imports: owned(imports),
            exports: owned(exports),
        }
    }

    fn refused(asks: &str, imports: &[&str], exports: &[&str]) -> String {
        let refusal = admit(&component(asks, imports, exports), &Capabilities::usual()).unwrap_err();
        refusal.hint().into_iter().fold(refusal.to_string(), |text, hint| format!("{text}\nhint: {hint}"))
    }

    #[test]
    fn takes_what_is_imported_asked_for_and_granted() {
        let imports = [
            "stave:buildpack/types@0.1.0",
            "stave:buildpack/app@0.1.0",
            "stave:buildpack/log@0.1.7",
            "stave:buildpack/layers@0.1.0",
            "wasi:cli/environment@0.2.6",
            "wasi:filesystem/preopens@0.2.12",
        ];
        let good = component("interfaces = [\"layers\"]\nsettings = [\"BP_X\"]", &imports, &[DETECTION, CONSTRUCTION]);
        let allowance = admit(&good, &Capabilities::usual()).unwrap();
        assert_eq!(allowance.may(), &Capabilities::usual().with_always());
        let asked: Vec<Interface> = good.interfaces().into_iter().collect();
        assert_eq!(asked, [Interface::App, Interface::Log, Interface::Layers]);
    }

    #[test]
    fn names_every_import_that_it_refuses() {
        let refuse = |import: &str| refused("", &[import], &[DETECTION, CONSTRUCTION]);
        let all = [
            "wasi:sockets/tcp@0.2.6",
            "wasi:http/outgoing-handler@0.2.0",
            "wasi:cli/run@0.2.0",
            "wasi:cli/stdout@0.3.0",
            "wasi:cli/stdout@0.2.0-rc1",
            "stave:buildpack/app@0.3.0",
            "stave:buildpack/app@0.2.0",
            "stave:buildpack/app",
            "stave:buildpack/sbom@0.1.0",
            "stave:buildpack/tools@0.1.3",
            "acme:tools/run\u{1b}[2J@1.0.0",
            "run",
        ];
        insta::assert_snapshot!(all.map(refuse).join("\n\n"), @r#"
        acme/x@1.2.3 imports wasi:sockets/tcp@0.2.6, and buildpacks have no network; what it needs from there it declares as a dependency in its manifest, and the host fetches it
        hint: its author builds it without the part that needs this

        acme/x@1.2.3 imports wasi:http/outgoing-handler@0.2.0, and buildpacks have no network; what it needs from there it declares as a dependency in its manifest, and the host fetches it
        hint: its author builds it without the part that needs this

        acme/x@1.2.3 imports wasi:cli/run@0.2.0, a part of WASI that buildpacks do not have
        hint: its author builds it without the part that needs this

        acme/x@1.2.3 imports wasi:cli/stdout@0.3.0, and this host offers WASI 0.2
        hint: its author builds it for wasm32-wasip2

        acme/x@1.2.3 imports wasi:cli/stdout@0.2.0-rc1, and this host offers WASI 0.2
        hint: its author builds it for wasm32-wasip2

        acme/x@1.2.3 is made for another contract: it names stave:buildpack/app@0.3.0, and this host speaks stave:buildpack 0.1 and 0.2
        hint: take another version of the buildpack, or of stave

        acme/x@1.2.3 names stave:buildpack/app@0.2.0, and its manifest says that it is made for stave:buildpack 0.1
        hint: its author makes `contract` in buildpack.toml and the SDK's version the same

        acme/x@1.2.3 is made for another contract: it names stave:buildpack/app, and this host speaks stave:buildpack 0.1 and 0.2
        hint: take another version of the buildpack, or of stave

        acme/x@1.2.3 imports stave:buildpack/sbom@0.1.0, which stave:buildpack 0.1 does not have: it came with 0.2
        hint: its author makes it for contract 0.2

        acme/x@1.2.3 imports stave:buildpack/tools@0.1.3, which this version of stave does not know; a later one may
        hint: take another version of the buildpack, or of stave

        acme/x@1.2.3 imports acme:tools/run\u{1b}[2J@1.0.0, which is neither in the contract (stave:buildpack 0.1 and 0.2) nor in WASI

        acme/x@1.2.3 imports run, which is neither in the contract (stave:buildpack 0.1 and 0.2) nor in WASI
        "#);
    }

    #[test]
    fn what_is_asked_for_and_never_used_is_known() {
        let lines = |asks: &str, imports: &[&str]| -> Vec<String> {
            unused(&component(asks, imports, &[])).iter().map(ToString::to_string).collect()
        };
        let asks = "interfaces = [\"app\", \"layers\", \"overlay\", \"artifacts\", \"bindings\"]\n\
                    ecosystems = [\"pypi\"]\nsettings = [\"BP_X\"]\nbindings = [\"maven\"]";
        assert_eq!(
            lines(asks, &["stave:buildpack/layers@0.1.0", "stave:buildpack/artifacts@0.1.0"]),
            [
                r#"interfaces = ["overlay"]"#,
                r#"interfaces = ["bindings"]"#,
                r#"ecosystems = ["pypi"]"#,
                r#"settings = ["BP_X"]"#,
                r#"bindings = ["maven"]"#,
            ]
        );
        assert_eq!(lines("settings = [\"BP_X\"]", &["stave:buildpack/context@0.1.0"]), Vec::<String>::new());
    }

    #[test]
    fn names_what_is_missing() {
        let all = [
            refused("", &[], &[DETECTION]),
            refused("", &[], &[DETECTION, "stave:buildpack/construction@0.7.0"]),
            refused("", &["stave:buildpack/overlay@0.1.0"], &[DETECTION, CONSTRUCTION]),
            refused(
                "interfaces = [\"artifacts\"]\necosystems = [\"pypi\"]\nsettings = [\"HOME\"]",
                &[],
                &[DETECTION, CONSTRUCTION],
            ),
        ];
        insta::assert_snapshot!(all.join("\n\n"), @r#"
        acme/x@1.2.3 does not export stave:buildpack/construction@0.1, as every buildpack must
        hint: its author exports it with the SDK's macro

        acme/x@1.2.3 is made for another contract: it names stave:buildpack/construction@0.7.0, and this host speaks stave:buildpack 0.1 and 0.2
        hint: take another version of the buildpack, or of stave

        acme/x@1.2.3 imports stave:buildpack/overlay (add and leave out app files in the image), which its manifest does not ask for
        hint: its author adds interfaces = ["overlay"] to `asks` in its buildpack.toml

        acme/x@1.2.3 asks for what it is not granted: interfaces = ["artifacts"], ecosystems = ["pypi"], settings = ["HOME"]
        hint: whoever trusts it adds interfaces = ["artifacts"], ecosystems = ["pypi"], settings = ["HOME"] to its `grants` in the builder
        "#);
    }
}
