//! The reference story (`tests/src/story.rs`) as something to read: two stacks are composed, one of them with a flaw, an image
//! is built on it, and a moment later it stands on the other one. Every command is shown with all that it says.

use anyhow::Result;

use crate::{
    demo, setup,
    shell::{self, cargo, step, target_folder},
};

/// The test that tells it.
const TEST: &str = "story::the_reference_story";

pub(crate) fn run() -> Result<()> {
    step("set up: compiler targets, Java, pip, a container runtime, a registry", || {
        setup::toolchain()?;
        setup::packages(
            &[setup::JAVA.as_slice(), setup::CONTAINERS.as_slice(), setup::PIP.as_slice(), setup::REGISTRY.as_slice()]
                .concat(),
        )
    })?;
    step("build the example app with Maven", demo::example_jar)?;
    // As `cargo verify` does it, so that nothing is compiled twice.
    step("build stave and its tests (the first time this compiles a WebAssembly engine: minutes)", || {
        shell::run(cargo().args(["build", "--locked", "--workspace", "--bin", "stave", "--test", "all"]))
    })?;
    println!("==> the story; the first time, the packages of the default stack and a Java runtime are fetched");
    let test = ["test", "--quiet", "--locked", "--workspace", "--test", "all", "--", "--exact", TEST];
    shell::run(cargo().args(test).env("STAVE_STORY", "1"))?;
    println!("\nIts world stays in {}", target_folder().join("story").display());
    Ok(())
}
