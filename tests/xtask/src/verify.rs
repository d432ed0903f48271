//! Every check there is, quickest first, the tests last.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use crate::{
    bills, demo, peers, setup,
    shell::{self, cargo, has, output, step, target_folder},
};

/// The version of cargo-deny that checks the dependency rules.
const CARGO_DENY: &str = "0.20.2";

pub(crate) fn run() -> Result<()> {
    step("set up: compiler targets and the tools that the tests compare with", || {
        setup::toolchain()?;
        setup::packages(&setup::ALL)
    })?;
    step("format", || shell::run(cargo().args(["fmt", "--all", "--check"])))?;
    step("dependency rules", || {
        let deny = cargo_deny()?;
        shell::run(
            Command::new(deny).args(["--workspace", "check", "bans", "licenses", "sources"]).current_dir(shell::root()),
        )
    })?;
    step("lints", || {
        let clippy = ["clippy", "--locked", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"];
        shell::run(cargo().args(clippy))
    })?;
    step("documentation", || {
        let doc = ["doc", "--locked", "--workspace", "--no-deps", "--document-private-items", "--quiet"];
        shell::run(cargo().args(doc).env("RUSTDOCFLAGS", "--deny warnings"))
    })?;
    step("the example app", demo::example_jar)?;
    let peers = step("the lifecycle, pack and crane, where Go is there", || peers::here(peers::BUILDERS))?;
    step("oras, where Go is there", || peers::here(peers::ORAS))?;
    step("cosign, where Go is there", || peers::here(peers::COSIGN))?;
    step("the fuzzer of HTTP APIs, where pip is there", bills::fuzzer)?;
    // With the tests beside it, so that what both depend on is compiled once, with the features that the tests ask for too.
    step("stave itself", || {
        shell::run(cargo().args(["build", "--locked", "--workspace", "--bin", "stave", "--test", "all"]))
    })?;
    // No step of its own: the runner's closing lines are the last that is said.
    println!("==> tests");
    let mut test = cargo();
    if let Some(peers) = peers {
        test.env("STAVE_CNB_LAUNCHER", peers.join("launcher"));
    }
    shell::run(test.args(["test", "--locked", "--workspace", "--no-fail-fast"]))
}

/// The one on the PATH if it is of the right version, else one installed into the target folder.
fn cargo_deny() -> Result<PathBuf> {
    let tools = target_folder().join("tools");
    let ours = tools.join("bin/cargo-deny");
    let is_right = |program: &PathBuf| {
        output(Command::new(program).arg("--version")).is_ok_and(|version| version.ends_with(CARGO_DENY))
    };
    if has("cargo-deny") && is_right(&PathBuf::from("cargo-deny")) {
        return Ok(PathBuf::from("cargo-deny"));
    }
    if !ours.exists() || !is_right(&ours) {
        // Unoptimised: it runs for a second, and would compile for minutes.
        let mut install = cargo();
        install.args(["install", "--quiet", "--locked", "--debug", "--force", "--version", CARGO_DENY, "cargo-deny"]);
        shell::run(install.arg("--root").arg(&tools).arg("--target-dir").arg(target_folder().join("tools-build")))?;
    }
    Ok(ours)
}
