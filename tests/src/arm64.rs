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

/// What the script ends with where a namespace of users cannot have emulators of its own.
const NOT_HERE: i32 = 99;

/// Registers the emulator for this namespace alone, and starts `java -version` through the launcher in the image's root.
const SCRIPT: &str = r#"
image_path=$PATH
PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc 2> /dev/null || exit 99
elf='\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
printf '%s' ":stave-arm64:M::$elf:$mask:$2:F" 2> /dev/null > /proc/sys/fs/binfmt_misc/register || exit 99
mkdir -p "$1/proc" && mount --rbind /proc "$1/proc" || exit 98
exec env "PATH=$image_path" /usr/sbin/chroot "$1" /cnb/lifecycle/launcher -- java -Xint -XX:+UseSerialGC -version
"#;

#[test]
fn an_image_for_arm64_is_built_anywhere() {
    let env = TestEnv::warm();
    env.write("tiny.jar", jar::boot());
    env.run(&["build", "tiny.jar", "--tag", "tiny", "--platform", "linux/arm64", "--to", "oci:out:tiny"]).succeeds();
    let layout = env.work().join("out");
    let image = checked(&layout, &Platform::linux("arm64"));
    assert_eq!(config(&image)["architecture"], "arm64");
    // Built in one run with the other platform, it is the very same.
    let both = ["--platform", "linux/amd64,linux/arm64", "--to", "oci:both:tiny"];
    env.run(&[&["build", "tiny.jar", "--tag", "tiny"][..], &both].concat()).succeeds();
    assert_eq!(checked(&env.work().join("both"), &Platform::linux("arm64")).digest(), image.digest());
    checked(&env.work().join("both"), &Platform::linux("amd64"));

    let bundle = env.work().join("bundle");
    let mut unpack = tool("umoci");
    unpack.arg("unpack");
    if !rustix::process::getuid().is_root() {
        unpack.arg("--rootless");
    }
    succeeds(unpack.args(["--image", &format!("{}:tiny", layout.display())]).arg(&bundle));
    let root = bundle.join("rootfs");
    // The runtime, with the libraries of the stack.
    let mut java = tool("qemu-aarch64-static");
    java.env_clear().arg("-L").arg(&root).arg(root.join("layers/stave_java/jre/bin/java"));
    let version = run(java.args(["-Xint", "-XX:+UseSerialGC", "-version"])).succeeds();
    assert!(version.stderr.contains("OpenJDK Runtime Environment"), "{}", version.stderr);

    // The launcher, which becomes the runtime: a program that starts another needs the kernel to know the emulator.
    let mut start: Command = tool("unshare");
    start.env_clear().args(["-Urm", "/bin/sh", "-c", SCRIPT, "sh"]).arg(&root);
    start.arg(tool("qemu-aarch64-static").get_program());
    for variable in config(&image)["config"]["Env"].as_array().unwrap() {
        let (name, value) = variable.as_str().unwrap().split_once('=').unwrap();
        start.env(name, value);
    }
    let started = run(&mut start);
    if started.code == Some(NOT_HERE) {
        // Kernels before 6.7: registering the emulator would be for the whole machine, which is not a test's to do.
        return;
    }
    let started = started.succeeds();
    assert!(started.stderr.contains("OpenJDK Runtime Environment"), "{}", started.stderr);
}
