//! What the machine must have: the compiler's targets, and packages of the system (Debian or Ubuntu).

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::shell::{has, output, run};

/// A program and the package that brings it.
pub(crate) type Need = (&'static str, &'static str);

/// For building the example app.
pub(crate) const JAVA: [Need; 2] = [("javac", "default-jdk-headless"), ("mvn", "maven")];
/// For running an image.
pub(crate) const CONTAINERS: [Need; 3] = [("podman", "podman"), ("runc", "runc"), ("newuidmap", "uidmap")];
/// For fetching dependencies of buildpacks: pip knows where its packages are.
pub(crate) const PIP: [Need; 1] = [("pip3", "python3-pip")];
/// For the story of the platform: a registry, and what moves images into it.
pub(crate) const REGISTRY: [Need; 2] = [("docker-registry", "docker-registry"), ("skopeo", "skopeo")];
/// For everything: the tests compare with the field's own tools.
pub(crate) const ALL: [Need; 13] = [
    JAVA[0],
    JAVA[1],
    CONTAINERS[0],
    CONTAINERS[1],
    CONTAINERS[2],
    PIP[0],
    REGISTRY[0],
    REGISTRY[1],
    ("git", "git"),
    ("strace", "strace"),
    ("umoci", "umoci"),
    ("openssl", "openssl"),
    ("qemu-aarch64-static", "qemu-user-static"),
];

/// Makes sure that the compiler can build components and launchers. rustup reads `rust-toolchain.toml` and installs what is
/// missing; a compiler from elsewhere must have the targets already.
pub(crate) fn toolchain() -> Result<()> {
    if !has("rustup") {
        return Ok(());
    }
    let installed =
        output(Command::new("rustup").args(["target", "list", "--installed"]).current_dir(crate::shell::root()))?;
    let missing: Vec<&str> = ["wasm32-wasip2", "x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"]
        .into_iter()
        .filter(|target| !installed.lines().any(|line| line == *target))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    run(Command::new("rustup").args(["target", "add"]).args(missing).current_dir(crate::shell::root()))
}

/// Installs the packages of which the programs are missing, as root or through sudo.
pub(crate) fn packages(needs: &[Need]) -> Result<()> {
    let missing: Vec<&str> = needs.iter().filter(|(program, _)| !has(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !has("apt-get") {
        bail!("these are missing and there is no apt-get to install them: {}", missing.join(", "));
    }
    println!("    installing {}", missing.join(", "));
    let is_root = output(Command::new("id").arg("-u"))? == "0";
    let apt = |words: &[&str]| {
        let mut command = if is_root { Command::new("env") } else { Command::new("sudo") };
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-y"]).args(words).stdout(Stdio::null());
        command
    };
    run(&mut apt(&["update"]))?;
    run(apt(&["--no-install-recommends", "install"]).args(missing))
}
