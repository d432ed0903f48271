//! Bills of materials: in the image, as files, and beside the image in a registry.

use std::{fs, path::PathBuf};

use serde_json::Value;
use stave_lifecycle::port::{cancel::Cancel, observer::Silent, sink::Sink as _};
use stave_model::target::Platform;
use stave_oci::{
    layout::{LayoutFolder, Place},
    testing,
};

use crate::support::{
    env::{TestEnv, listing},
    images::checked_here,
    jar,
    peers::check_bills,
    process::succeeds,
    registry::Registry,
    tools::tool,
};

fn document(env: &TestEnv, path: &str) -> Value {
    serde_json::from_slice(&fs::read(env.work().join(path)).unwrap()).unwrap()
}

#[test]
fn an_image_carries_its_bills() {
    let env = TestEnv::warm();
    env.write("tiny.jar", jar::boot());
    env.run(&["build", "tiny.jar", "--tag", "tiny", "--to", "store", "--to", "oci:out"]).succeeds();
    checked_here(&env.work().join("out"));
    let said = env.run(&["sbom", "download", "tiny", "-o", "bills"]).succeeds();
    let files: Vec<String> = listing(&env.work().join("bills")).into_keys().collect();
    insta::assert_debug_snapshot!(files, @r#"
    [
        "layers/sbom/base/sbom.cdx.json",
        "layers/sbom/base/sbom.spdx.json",
        "layers/sbom/launch/app/sbom.cdx.json",
        "layers/sbom/launch/app/sbom.spdx.json",
        "layers/sbom/launch/sbom.cdx.json",
        "layers/sbom/launch/sbom.spdx.json",
        "layers/sbom/launch/stave_java/jre/sbom.cdx.json",
        "layers/sbom/launch/stave_java/jre/sbom.spdx.json",
        "layers/sbom/sbom.cdx.json",
        "layers/sbom/sbom.spdx.json",
    ]
    "#);
    assert_eq!(said.stdout.lines().count(), files.len());
    let jre = document(&env, "bills/layers/sbom/launch/stave_java/jre/sbom.cdx.json");
    let component = &jre["components"][0];
    assert_eq!((&jre["specVersion"], &component["name"]), (&Value::from("1.6"), &Value::from("jre")));
    assert!(component["purl"].as_str().unwrap().starts_with("pkg:pypi/"), "{component}");
    assert_eq!(component["hashes"][0]["alg"], "SHA-256");
    let all = document(&env, "bills/layers/sbom/launch/sbom.spdx.json");
    assert_eq!(all["spdxVersion"], "SPDX-2.3");
    assert!(!all["packages"].as_array().unwrap().is_empty());

    // The stack's packages, and everything together.
    let count = |path: &str| document(&env, path)["components"].as_array().unwrap().len();
    let (base, whole) = (count("bills/layers/sbom/base/sbom.cdx.json"), count("bills/layers/sbom/sbom.cdx.json"));
    assert_eq!(whole, base + count("bills/layers/sbom/launch/sbom.cdx.json"));
    let libc = &document(&env, "bills/layers/sbom/base/sbom.cdx.json")["components"];
    let libc = libc.as_array().unwrap().iter().find(|one| one["name"] == "libc6").unwrap();
    assert!(libc["purl"].as_str().unwrap().starts_with("pkg:deb/debian/libc6@"), "{libc}");

    let again = env.run(&["sbom", "download", "oci:out", "-o", "again"]).succeeds();
    assert_eq!(again.stdout.lines().count(), files.len());
    for file in &files {
        assert_eq!(
            fs::read(env.work().join("bills").join(file)).unwrap(),
            fs::read(env.work().join("again").join(file)).unwrap()
        );
    }
    crate::support::images::named_base(&env, "base", None);
    env.run(&["sbom", "download", "oci:base"]).ends_with(32);
}

#[test]
fn bills_keep_the_rules_of_their_formats() {
    let env = TestEnv::warm();
    env.write("tiny.jar", jar::boot());
    env.run(&["build", "tiny.jar", "--tag", "tiny"]).succeeds();
    let said = env.run(&["sbom", "download", "tiny", "-o", "bills"]).succeeds();
    let bills: Vec<PathBuf> = said.stdout.lines().map(|file| env.work().join(file)).collect();
    assert_eq!(bills.len(), 10);
    check_bills("bills_keep_the_rules_of_their_formats", &bills);
}

#[test]
fn bills_hang_on_a_published_image() {
    let env = TestEnv::warm();
    env.write("tiny.jar", jar::boot());
    let registry = Registry::start(&env);
    let name = registry.reference("team/tiny:1");
    let built = env.run(&["build", "tiny.jar", "--tag", &name, "--publish"]).succeeds();
    assert!(!built.stderr.contains("warning"), "{}", built.stderr);
    // Debian's registry lists no referrers itself: the list is under the tag that the specification says.
    let tag = built.result().replace(':', "-");
    let list = registry.reference(&format!("team/tiny:{tag}"));
    let raw = |name: &str| -> Value {
        let mut inspect = tool("skopeo");
        inspect.args(["--insecure-policy", "inspect", "--raw", "--tls-verify=false", &format!("docker://{name}")]);
        serde_json::from_str(&succeeds(&mut inspect)).unwrap()
    };
    let index = raw(&list);
    let kinds: Vec<&str> =
        index["manifests"].as_array().unwrap().iter().map(|one| one["artifactType"].as_str().unwrap()).collect();
    // Of the app, and of its base.
    let both = ["application/vnd.cyclonedx+json", "application/spdx+json"];
    assert_eq!(kinds, [both, both].concat());
    let first = raw(&registry.reference(&format!("team/tiny@{}", index["manifests"][0]["digest"].as_str().unwrap())));
    assert_eq!(first["subject"]["digest"], built.result());
    // Again, and nothing is hung twice.
    env.run(&["build", "tiny.jar", "--tag", &name, "--publish"]).succeeds();
    assert_eq!(raw(&list), index);
    env.run(&["sbom", "download", &name, "-o", "bills"]).succeeds();
    assert!(env.work().join("bills/layers/sbom/launch/sbom.cdx.json").is_file());
}

#[test]
fn bills_hang_on_a_rebased_image_too() {
    let env = TestEnv::empty();
    let registry = Registry::start(&env);
    let status = |version: &str| format!("Package: libc6\nStatus: install ok installed\nVersion: {version}\n");
    let runs = ["1", "2"].map(|version| {
        let base = testing::layer(&[("etc/os-release", "ID=debian\n"), ("var/lib/dpkg/status", &status(version))]);
        let image = testing::image(&Platform::of_this_machine().arch, vec![base]);
        let place = Place { folder: env.work().join("bases"), name: Some(version.to_owned()) };
        LayoutFolder::new(place).put(&image, &Silent, &Cancel::new()).unwrap();
        let run = registry.reference(&format!("team/run:{version}"));
        let mut copy = tool("skopeo");
        copy.current_dir(env.work()).args(["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"]);
        succeeds(copy.args([&format!("oci:bases:{version}"), &format!("docker://{run}")]));
        run
    });
    env.write("app/Procfile", "web: ./run\n");
    let name = registry.reference("team/app:1");
    env.run(&["build", "app", "--run-image", &runs[0], "--tag", &name, "--publish"]).succeeds();
    let packages = |folder: &str| {
        env.run(&["sbom", "download", &name, "-o", folder]).succeeds();
        let bill = document(&env, &format!("{folder}/layers/sbom/base/sbom.cdx.json"));
        format!("{} {}", bill["components"][0]["name"], bill["components"][0]["version"])
    };
    assert_eq!(packages("before"), r#""libc6" "1""#);
    // Whoever looked at the new base once has its packages at hand.
    env.run(&["sbom", "download", &runs[1], "-o", "run"]).succeeds();
    let rebased = env.run(&["rebase", &name, "--run-image", &runs[1], "--publish"]).succeeds();
    assert!(!rebased.stderr.contains("warning"), "{}", rebased.stderr);
    assert_eq!(packages("after"), r#""libc6" "2""#);
    let raw = |name: &str| -> Value {
        let mut inspect = tool("skopeo");
        inspect.args(["--insecure-policy", "inspect", "--raw", "--tls-verify=false", &format!("docker://{name}")]);
        serde_json::from_str(&succeeds(&mut inspect)).unwrap()
    };
    let list = raw(&registry.reference(&format!("team/app:{}", rebased.result().replace(':', "-"))));
    let listed = list["manifests"].as_array().unwrap();
    assert_eq!(listed.len(), 2, "of the base, in both formats: {list}");
    for entry in listed {
        let artifact = raw(&registry.reference(&format!("team/app@{}", entry["digest"].as_str().unwrap())));
        assert_eq!(artifact["subject"]["digest"], rebased.result());
    }
}
