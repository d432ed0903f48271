//! Stave beside the lifecycle and pack themselves: each reads and rebases what the other made.
//!
//! The programs are built where Go is on the machine (`tests/peers`); elsewhere these tests say that they were skipped.

use std::{
    fmt::Write as _,
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use stave_lifecycle::port::{cancel::Cancel, observer::Silent, sink::Sink as _};
use stave_model::{digest::Digest, target::Platform};
use stave_oci::{
    layout::{LayoutFolder, Place},
    testing,
};

use crate::support::{
    env::{TestEnv, listing},
    images::{checked_here, config},
    jar,
    peers::{NoDaemon, Peers},
    process::succeeds,
    registry::Registry,
    tools::tool,
};

/// Puts a base image of one small layer into the registry, and answers that layer's digest.
fn publish_base(env: &TestEnv, name: &str, text: &str) -> Digest {
    let arch = Platform::of_this_machine().arch;
    let layer = testing::layer(&[("etc/os-release", text)]);
    let diff_id = layer.diff_id;
    let folder = env.work().join(format!("base-{}", diff_id.hex()));
    let sink = LayoutFolder::new(Place { folder: folder.clone(), name: None });
    sink.put(&testing::image(&arch, vec![layer]), &Silent, &Cancel::new()).unwrap();
    let (from, to) = (format!("oci:{}", folder.display()), format!("docker://{name}"));
    succeeds(tool("skopeo").args(["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false", &from, &to]));
    diff_id
}

/// An image's configuration as crane reads it. It takes manifests that mix media types, as pack's rebase writes them.
fn remote_config(peers: &Peers, env: &TestEnv, name: &str) -> Value {
    serde_json::from_str(&succeeds(peers.command(env, "crane").args(["config", name]))).unwrap()
}

fn diff_ids(config: &Value) -> &[Value] {
    config["rootfs"]["diff_ids"].as_array().unwrap()
}

/// What the lifecycle's label says of each layer: a name and the digest of its tar.
fn labelled(config: &Value) -> Vec<(String, String)> {
    let label = config["config"]["Labels"]["io.buildpacks.lifecycle.metadata"].as_str().unwrap();
    let label: Value = serde_json::from_str(label).unwrap();
    let sha = |of: &Value| of["sha"].as_str().unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for (index, slice) in label["app"].as_array().unwrap().iter().enumerate() {
        found.push((format!("app {index}"), sha(slice)));
    }
    for buildpack in label["buildpacks"].as_array().unwrap() {
        for (name, layer) in buildpack["layers"].as_object().unwrap() {
            found.push((format!("{}:{name}", buildpack["key"].as_str().unwrap()), sha(layer)));
        }
    }
    found.extend(["config", "launcher", "process-types", "sbom"].map(|part| (part.to_owned(), sha(&label[part]))));
    found
}

#[test]
fn pack_reads_and_rebases_our_image() {
    let Some(peers) = Peers::here("pack_reads_and_rebases_our_image") else { return };
    let env = TestEnv::warm();
    let registry = Registry::start(&env);
    let (base, name) = (registry.reference("stacks/run:1"), registry.reference("team/tiny:1"));
    let first = publish_base(&env, &base, "ID=none\nVERSION_ID=1\n");
    env.write("tiny.jar", jar::boot());
    env.run(&["build", "tiny.jar", "--run-image", &base, "--tag", &name, "--publish"]).succeeds();
    let before = remote_config(peers, &env, &name);

    let daemon = NoDaemon::start();
    let pack = |arguments: &[&str]| -> Command {
        let mut pack = peers.command(&env, "pack");
        pack.env("DOCKER_HOST", daemon.address()).args(arguments);
        pack
    };
    let about: Value = serde_json::from_str(&succeeds(&mut pack(&["inspect", "--output", "json", &name]))).unwrap();
    let about = &about["remote_info"];
    assert_eq!(about["base_image"]["top_layer"], first.to_string());
    assert_eq!(about["run_images"][0]["name"], base);
    assert_eq!(about["rebasable"], true);
    assert_eq!(about["buildpacks"][0]["id"], "stave/java");
    let processes = about["processes"].as_array().unwrap();
    let kinds: Vec<_> = processes.iter().map(|process| process["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["web", "executable-jar", "task"]);
    assert_eq!((&processes[0]["default"], &processes[0]["command"]), (&Value::from(true), &Value::from("java")));
    let told = env.run(&["inspect", &name, "--output", "json"]).succeeds().stdout;
    let mut told = serde_json::from_str::<Value>(&told).unwrap()["remote_info"].take();
    // pack hides this one when the launcher's version is below 0.5.0, before which the CNB launcher had another label; so is ours.
    told["base_image"]["reference"] = about["base_image"]["reference"].clone();
    assert_eq!(&told, about, "what Stave says of it");

    // The bills of materials, as each takes them out.
    succeeds(&mut pack(&["sbom", "download", "--remote", "--output-dir", "by-pack", &name]));
    env.run(&["sbom", "download", &name, "--output-dir", "by-stave"]).succeeds();
    let (by_pack, by_stave) = (env.work().join("by-pack"), env.work().join("by-stave"));
    let found = listing(&by_pack);
    for path in ["sbom.cdx.json", "stave_java/jre/sbom.spdx.json"] {
        assert!(found.contains_key(&format!("layers/sbom/launch/{path}")), "{found:?}");
    }
    // Beside what the image carries, Stave says what its base has, and everything together; this base lists no packages.
    let mut ours = listing(&by_stave);
    for format in ["cdx", "spdx"] {
        assert!(ours.remove(&format!("layers/sbom/sbom.{format}.json")).is_some(), "{ours:?}");
    }
    assert_eq!(ours, found);
    for path in found.keys() {
        assert!(fs::read(by_pack.join(path)).unwrap() == fs::read(by_stave.join(path)).unwrap(), "{path} differs");
    }

    // The stack is patched under the same tag.
    let second = publish_base(&env, &base, "ID=none\nVERSION_ID=2\n");
    succeeds(&mut pack(&["rebase", &name, "--publish", "--run-image", &base]));
    let after = remote_config(peers, &env, &name);
    assert_eq!(diff_ids(&after)[0], second.to_string());
    assert_eq!(diff_ids(&after)[1..], diff_ids(&before)[1..]);
    assert_eq!(labelled(&after), labelled(&before));
    for field in ["Entrypoint", "Env", "WorkingDir"] {
        assert_eq!(after["config"][field], before["config"][field], "{field}");
    }
    // And what pack has written is read here again.
    let said = env.run(&["inspect", &name]).succeeds().stdout;
    assert!(said.contains("web (default)"), "{said}");
}

/// Runs the lifecycle's exporter in a root of its own, on the layers and the app that an image of ours unpacks to.
fn export_by_lifecycle(peers: &Peers, root: &Path, base: &str, name: &str) {
    fs::copy(peers.path("lifecycle"), root.join("cnb/lifecycle/exporter")).unwrap();
    fs::write(root.join("cnb/run.toml"), format!("[[images]]\nimage = \"{base}\"\n")).unwrap();
    fs::create_dir_all(root.join("tmp")).unwrap();
    let layers = root.join("layers");
    let mut group = String::new();
    for buildpack in folders(&layers).into_iter().filter(|name| !["config", "sbom"].contains(&name.as_str())) {
        for layer in folders(&layers.join(&buildpack)) {
            fs::write(layers.join(&buildpack).join(format!("{layer}.toml")), "[types]\nlaunch = true\n").unwrap();
        }
        let id = buildpack.replace('_', "/");
        let _ = write!(group, "[[group]]\nid = \"{id}\"\nversion = \"0.1.0\"\napi = \"0.10\"\n");
    }
    fs::write(layers.join("group.toml"), group).unwrap();
    let analyzed = format!("[run-image]\nreference = \"{base}\"\nimage = \"{base}\"\n");
    fs::write(layers.join("analyzed.toml"), analyzed).unwrap();

    // It wants to be root, to whom the small base gives everything; a namespace of users is enough.
    let mut export = tool("unshare");
    export.env_clear().envs([
        ("HOME", "/tmp"),
        ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        ("CNB_PLATFORM_API", "0.14"),
    ]);
    export.args(["-r", "chroot"]).arg(root).args(["/cnb/lifecycle/exporter", "-uid", "0", "-gid", "0"]);
    succeeds(export.args(["-app", "/workspace", "-process-type", "web", name]));
}

/// The names of the folders in a folder, sorted.
fn folders(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap().flatten().filter(|entry| entry.file_type().unwrap().is_dir());
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Unpacks a layout's image with umoci; answers its root.
fn unpack(env: &TestEnv, layout: &Path, name: &str) -> PathBuf {
    let bundle = env.work().join(format!("bundle-{name}"));
    let mut unpack = tool("umoci");
    unpack.arg("unpack");
    if !rustix::process::getuid().is_root() {
        unpack.arg("--rootless");
    }
    succeeds(unpack.args(["--image", &format!("{}:{name}", layout.display())]).arg(&bundle));
    bundle.join("rootfs")
}

#[test]
fn the_lifecycle_makes_the_same_layers_of_the_same_folders() {
    let Some(peers) = Peers::here("the_lifecycle_makes_the_same_layers_of_the_same_folders") else { return };
    let env = TestEnv::warm();
    let registry = Registry::start(&env);
    let base = registry.reference("stacks/run:1");
    publish_base(&env, &base, "ID=none\n");
    env.write("tiny.jar", jar::boot());
    env.run(&["build", "tiny.jar", "--run-image", &base, "--tag", "tiny", "--to", "oci:out:tiny"]).succeeds();
    let layout = env.work().join("out");
    let ours = config(&checked_here(&layout));

    let name = registry.reference("team/by-lifecycle:1");
    export_by_lifecycle(peers, &unpack(&env, &layout, "tiny"), &base, &name);
    let theirs = remote_config(peers, &env, &name);
    assert_eq!(labelled(&theirs), labelled(&ours));
    assert_eq!(diff_ids(&theirs), diff_ids(&ours));
    for field in ["Entrypoint", "WorkingDir"] {
        assert_eq!(theirs["config"][field], ours["config"][field], "{field}");
    }
    assert_eq!(variables(&theirs), variables(&ours));
    assert_eq!(theirs["history"], ours["history"]);
    let exported = theirs;
    let said = env.run(&["inspect", &name]).succeeds().stdout;
    assert!(said.contains("web (default)"), "{said}");

    // What the lifecycle made, on a patched stack: put there by its own rebaser, and by Stave.
    publish_base(&env, &base, "ID=none\nVERSION_ID=2\n");
    let copy = registry.reference("team/by-lifecycle:2");
    succeeds(peers.command(&env, "crane").args(["copy", &name, &copy]));
    let mut rebaser = Command::new(peers.path("lifecycle"));
    rebaser.arg0("rebaser").env_clear().env("CNB_PLATFORM_API", "0.14").env("HOME", "/nowhere");
    succeeds(rebaser.args(["-run-image", &base, &name]));
    env.run(&["rebase", &copy, "--publish"]).succeeds();
    let (theirs, ours) = (remote_config(peers, &env, &name), remote_config(peers, &env, &copy));
    assert_eq!(diff_ids(&ours), diff_ids(&theirs));
    // The lifecycle's rebaser leaves the history empty.
    let history = |config: &Value| config["history"].as_array().unwrap().clone();
    assert_eq!(history(&ours)[1..], history(&exported)[1..]);
    assert_eq!(ours["created"], theirs["created"]);
    let label = |config: &Value| -> Value {
        let label = config["config"]["Labels"]["io.buildpacks.lifecycle.metadata"].as_str().unwrap();
        serde_json::from_str(label).unwrap()
    };
    assert_eq!(label(&ours), label(&theirs));
    for field in ["Entrypoint", "Env", "WorkingDir", "User"] {
        assert_eq!(ours["config"][field], theirs["config"][field], "{field}");
    }
}

/// How what a launcher starts ends, and what it prints; `process` is what the launcher is called as.
fn started(launcher: &Path, root: &Path, process: &str, words: &[&str]) -> (Option<i32>, String, String) {
    let mut start = Command::new(launcher);
    start.arg0(process).env_clear().current_dir("/").args(words);
    start.env("CNB_LAYERS_DIR", root.join("layers")).env("CNB_APP_DIR", root.join("workspace"));
    start.env("CNB_PLATFORM_API", "0.14").env("PATH", "/usr/bin:/bin");
    let output = start.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    // Nobody promises the order in which variables stand.
    let mut lines: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    (output.status.code(), lines.join("\n"), text(&output.stderr))
}

/// Arguments, environment and folder, of what Stave exported and of what the lifecycle did. A Java app is started otherwise on
/// purpose: its memory is reckoned by a helper inside our launcher, and the other one has none.
#[test]
fn both_launchers_start_what_either_exported() {
    let Some(peers) = Peers::here("both_launchers_start_what_either_exported") else { return };
    let env = TestEnv::warm();
    let registry = Registry::start(&env);
    let base = registry.reference("stacks/run:1");
    publish_base(&env, &base, "ID=none\n");
    env.write("app/Procfile", "web: /usr/bin/env\nshow: /usr/bin/printf '[%s]' \"$GREETING\" 'a b'\n");
    let mut build = vec!["build", "app", "--run-image", &base, "--tag", "tiny", "--to", "oci:out:tiny"];
    build.extend(["-e", "BPE_GREETING=good day", "-e", "BPE_PREPEND_PATH=/first", "-e", "BPE_DELIM_PATH=:"]);
    env.run(&build).succeeds();
    let by_stave = unpack(&env, &env.work().join("out"), "tiny");
    let launcher = env.work().join("launcher");
    fs::copy(by_stave.join("cnb/lifecycle/launcher"), &launcher).unwrap();
    let name = registry.reference("team/by-lifecycle:1");
    export_by_lifecycle(peers, &by_stave, &base, &name);
    // The lifecycle's manifest mixes media types, which the unpacker of layouts does not take.
    let (flat, by_lifecycle) = (env.work().join("exported.tar"), env.work().join("exported"));
    succeeds(peers.command(&env, "crane").args(["export", &name]).arg(&flat));
    fs::create_dir(&by_lifecycle).unwrap();
    succeeds(Command::new("tar").arg("-xf").arg(&flat).arg("-C").arg(&by_lifecycle));
    for root in [&by_stave, &by_lifecycle] {
        for (process, words) in [
            ("launcher", &["--", "/usr/bin/env"][..]),
            ("launcher", &["--", "/bin/pwd"]),
            ("launcher", &["--", "/usr/bin/printf", "[%s]", "a b", "$GREETING", "*"]),
            ("launcher", &["echo $GREETING; pwd"]),
            ("/cnb/process/web", &[]),
            ("/cnb/process/show", &[]),
            ("/cnb/process/show", &["one", "t w o"]),
        ] {
            let ours = started(&launcher, root, process, words);
            assert_eq!(ours, started(&peers.path("launcher"), root, process, words), "{process} {words:?}");
            if process.ends_with("web") {
                assert!(ours.1.contains("GREETING=good day") && ours.1.contains("PATH=/first:"), "{ours:?}");
            }
        }
    }
}

/// The environment. Where the base has no search path, the lifecycle's ends in a colon, by which the working folder is searched
/// too; ours does not.
fn variables(config: &Value) -> Vec<&str> {
    let env = config["config"]["Env"].as_array().unwrap();
    env.iter().map(|variable| variable.as_str().unwrap().trim_end_matches(':')).collect()
}
