//! What the program carries inside, so that one file on a laptop is enough: buildpacks, launchers, the default stack.

use stave_model::{capability::Capabilities, target::Platform};

/// A buildpack inside the program.
pub(crate) struct Embedded {
    /// Its name for `builtin:NAME`.
    pub(crate) name: &'static str,
    /// The component with its manifest.
    pub(crate) component: &'static [u8],
}

macro_rules! embedded {
    ($name:literal) => {
        Embedded { name: $name, component: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".wasm")) }
    };
}

/// The default buildpacks.
pub(crate) const BUILDPACKS: [Embedded; 5] = [
    embedded!("ca-certificates"),
    embedded!("java"),
    embedded!("procfile"),
    embedded!("environment-variables"),
    embedded!("image-labels"),
];

/// The default order: groups of names, each with whether the group can do without it. A group has one that makes the app
/// run; the others add to what that one makes, and by themselves are no reason to take an app.
pub(crate) const ORDER: [&[(&str, bool)]; 2] = [
    &[
        ("ca-certificates", true),
        ("java", false),
        ("procfile", true),
        ("environment-variables", true),
        ("image-labels", true),
    ],
    &[("ca-certificates", true), ("procfile", false), ("environment-variables", true), ("image-labels", true)],
];

/// The default stack's definition.
pub(crate) const STACK: &str = include_str!("../../../examples/stacks/jvm-tiny/stack.toml");

/// The launcher for a platform, if there is one.
pub(crate) fn launcher(platform: &Platform) -> Option<&'static [u8]> {
    match (platform.os.as_str(), platform.arch.as_str()) {
        ("linux", "amd64") => Some(include_bytes!(concat!(env!("OUT_DIR"), "/launcher-amd64"))),
        ("linux", "arm64") => Some(include_bytes!(concat!(env!("OUT_DIR"), "/launcher-arm64"))),
        _ => None,
    }
}

/// Whether these bytes are inside the program.
pub(crate) fn is_inside(component: &[u8]) -> bool {
    BUILDPACKS.iter().any(|buildpack| buildpack.component == component)
}

/// What a buildpack inside the program is granted: what its manifest asks for. Whoever trusts the program trusts these.
pub(crate) fn grants(component: &[u8]) -> Capabilities {
    let manifest = stave_model::component::manifest(component).ok();
    manifest.and_then(|text| stave_model::manifest::Manifest::parse(text).ok()).map(|m| m.asks).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use stave_model::manifest::Manifest;

    use super::*;

    #[test]
    fn what_is_inside_is_whole() {
        for buildpack in BUILDPACKS {
            let manifest = stave_model::component::manifest(buildpack.component).unwrap();
            let manifest = Manifest::parse(manifest).unwrap();
            assert!(manifest.buildpack.id.as_str().ends_with(buildpack.name));
        }
        for arch in ["amd64", "arm64"] {
            assert_eq!(&launcher(&Platform::linux(arch)).unwrap()[..4], b"\x7fELF");
        }
        assert!(launcher(&Platform::linux("riscv64")).is_none());
    }

    #[test]
    fn the_default_order_names_every_buildpack_inside() {
        let named: Vec<&str> = ORDER.iter().flat_map(|group| group.iter().map(|(name, _)| *name)).collect();
        assert!(named.iter().all(|name| BUILDPACKS.iter().any(|buildpack| buildpack.name == *name)));
        assert!(BUILDPACKS.iter().all(|buildpack| named.contains(&buildpack.name)));
        assert!(ORDER.iter().all(|group| group.iter().any(|(_, optional)| !optional)));
    }

    #[test]
    fn the_default_stack_is_sound() {
        stave_distro::definition::Definition::parse(STACK).unwrap();
    }
}
