//! All tests that need more than one crate, as one program. Every file beside this one is listed here.

#![cfg(test)]

mod support;

mod architecture;
mod arm64;
mod authors;
mod builder;
mod bundle;
mod cache_folder;
mod cli;
mod damaged;
mod dependencies;
mod detect;
mod fleet;
mod full_disk;
mod image;
mod inputs;
mod interop;
mod interrupt;
mod java;
mod keeping;
mod killed;
mod lock;
mod memory;
mod native;
mod peers;
mod platform;
mod policy;
mod previous;
mod publish;
mod readme;
mod rebase;
mod refusals;
mod refused_buildpacks;
mod registry;
mod reproducible;
mod sandbox;
mod sbom;
mod serve;
mod small_buildpacks;
mod store;
mod story;
mod trust;
mod twins;
mod variations;
mod verify;

/// A file that nobody lists is a test that never runs.
#[test]
fn every_file_is_listed() {
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let listed =
        |file: &str, modules: &str| file == "runner" || file == "mod" || modules.contains(&format!("mod {file};"));
    for (folder, modules) in [
        ("", include_str!("runner.rs")),
        ("support", include_str!("support/mod.rs")),
        ("killed", include_str!("killed.rs")),
        ("platform", include_str!("platform.rs")),
        ("serve", include_str!("serve.rs")),
        ("story", include_str!("story.rs")),
        ("trust", include_str!("trust.rs")),
    ] {
        for entry in std::fs::read_dir(source.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            // What insta leaves behind for review.
            if name.starts_with('.') {
                continue;
            }
            assert!(listed(name, modules), "{} is not listed", path.display());
        }
    }
}
