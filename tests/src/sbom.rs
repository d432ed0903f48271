//! Bills of materials: in the image, as files, and beside the image in a registry.

use std::fs;

use serde_json::Value;

use crate::support::{
    env::{TestEnv, listing},
    images::checked_here,
    jar,
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
        "layers/sbom/launch/app/sbom.cdx.json",
        "layers/sbom/launch/app/sbom.spdx.json",
        "layers/sbom/launch/sbom.cdx.json",
        "layers/sbom/launch/sbom.spdx.json",
        "layers/sbom/launch/stave_java/jre/sbom.cdx.json",
        "layers/sbom/launch/stave_java/jre/sbom.spdx.json",
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
    assert_eq!(kinds, ["application/vnd.cyclonedx+json", "application/spdx+json"]);
    let first = raw(&registry.reference(&format!("team/tiny@{}", index["manifests"][0]["digest"].as_str().unwrap())));
    assert_eq!(first["subject"]["digest"], built.result());
    // Again, and nothing is hung twice.
    env.run(&["build", "tiny.jar", "--tag", &name, "--publish"]).succeeds();
    assert_eq!(raw(&list), index);
    env.run(&["sbom", "download", &name, "-o", "bills"]).succeeds();
    assert!(env.work().join("bills/layers/sbom/launch/sbom.cdx.json").is_file());
}
