//! The field's own tools, which images are compared with. `cargo verify` installs them.

use std::{path::PathBuf, process::Command};

/// Programs and the Debian packages that bring them.
const PACKAGES: [(&str, &str); 17] = [
    ("cc", "gcc"),
    ("chmod", "coreutils"),
    ("docker-registry", "docker-registry"),
    ("dpkg-deb", "dpkg"),
    ("git", "git"),
    ("javac", "default-jdk-headless"),
    ("mvn", "maven"),
    ("openssl", "openssl"),
    ("podman", "podman"),
    ("qemu-aarch64-static", "qemu-user-static"),
    ("runc", "runc"),
    ("script", "bsdutils"),
    ("skopeo", "skopeo"),
    ("strace", "strace"),
    ("umoci", "umoci"),
    ("taskset", "util-linux"),
    ("unshare", "util-linux"),
];

/// A program that must be there.
#[track_caller]
pub(crate) fn tool(name: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found: Option<PathBuf> = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|p| p.is_file());
    let Some(found) = found else {
        let package = PACKAGES.iter().find(|(program, _)| *program == name).map_or(name, |(_, package)| package);
        panic!("{name} is missing: `cargo xtask setup` installs it, as does `apt-get install {package}`")
    };
    Command::new(found)
}
