//! An image for the other architecture, built here without emulation and started under it.

use std::process::Command;

use stave_model::target::Platform;

use crate::support::{
    env::TestEnv,
    images::{checked, config},
    jar,
    process::{run, succeeds},
    tools::tool,
};

#[test]
fn an_image_for_arm64_is_built_anywhere() {
    let env = TestEnv::warm();
    env.write("tiny.jar", jar::boot());
    env.run(&["build", "tiny.jar", "--tag", "tiny", "--platform", "linux/arm64", "--to", "oci:out:tiny"]).succeeds();
    let layout = env.work().join("out");
    let image = checked(&layout, &Platform::linux("arm64"));
    assert_eq!(config(&image)["architecture"], "arm64");

    let bundle = env.work().join("bundle");
    let mut unpack = tool("umoci");
    unpack.arg("unpack");
    if !rustix::process::getuid().is_root() {
        unpack.arg("--rootless");
    }
    succeeds(unpack.args(["--image", &format!("{}:tiny", layout.display())]).arg(&bundle));
    let root = bundle.join("rootfs");
    let emulated = || {
        let mut command: Command = tool("qemu-aarch64-static");
        command.env_clear().arg("-L").arg(&root);
        command
    };
    // The launcher, by a name that it knows nothing of, in a place without an image: it says so itself.
    let said = run(emulated().arg(root.join("cnb/lifecycle/launcher")).arg("true"));
    assert_ne!(said.code, Some(0));
    assert!(said.stderr.contains("launcher"), "{}", said.stderr);
    // The runtime, with the libraries of the stack.
    let java = root.join("layers/stave_java/jre/bin/java");
    let version = run(emulated().arg(java).args(["-Xint", "-XX:+UseSerialGC", "-version"])).succeeds();
    assert!(version.stderr.contains("OpenJDK Runtime Environment"), "{}", version.stderr);
}
