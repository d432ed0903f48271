//! What the program carries inside, so that one file on a laptop is enough: buildpacks, launchers, the default stack.

use stave_model::{capability::Capabilities, target::Platform};

/// A buildpack inside the program.
pub(crate) struct Embedded {
    /// Its name for `builtin:NAME`.
    pub(crate) name: &'static str,
    /// The component with its manifest.
    pub(crate) component: &'static [u8],
}

/// The default buildpacks, in the order in which they are tried.
pub(crate) const BUILDPACKS: [Embedded; 1] =
    [Embedded { name: "java", component: include_bytes!(concat!(env!("OUT_DIR"), "/java.wasm")) }];

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
    fn the_default_stack_is_sound() {
        stave_distro::definition::Definition::parse(STACK).unwrap();
    }
}
