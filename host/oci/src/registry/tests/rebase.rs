//! Images rebased where they are: what is asked of the registry, and what is there afterwards.

use serde_json::Value;
use stave_lifecycle::{port::bases::Base, rebase::rebase};
use stave_model::sbom::Format;

use super::attach::{listed, publish};
use super::*;
use crate::{
    index::Swaps,
    testing::{app_on, billed_app_on},
    validate,
};

/// An app's own bills.
const BILLS: [(&str, &str); 2] =
    [("layers/sbom/launch/sbom.cdx.json", "{\"c\":1}"), ("layers/sbom/launch/sbom.spdx.json", "{\"s\":1}")];

/// A base of two layers in the registry, the lower one the same for all.
fn put_base(world: &World, name: &str, arch: &str) -> Base {
    let base = image(arch, vec![layer(&[("etc/os-release", "ID=none\n")]), layer(&[("etc/version", name)])]);
    world.push(name, &base).unwrap();
    world.source(name).base(&Platform::linux(arch)).unwrap()
}

fn put(world: &World, name: &str, image: &Image, index: Option<(&str, &crate::index::Rewritten)>) -> Stored {
    let tag = RegistryTag::new(world.registries.clone(), world.reference(name)).unwrap();
    tag.replace(std::slice::from_ref(image), index, &Silent, &Cancel::new()).unwrap()
}

/// What was asked since, and how many bytes of layers were given out.
fn asked_since(world: &World, before: usize) -> Vec<String> {
    let host = world.registry.host();
    let blank = |line: &str| {
        let words = line.replace(&host, "HOST");
        let parts: Vec<&str> = words.split("sha256:").collect();
        let rest = parts.iter().skip(1).map(|part| format!("<digest>{}", part.get(64..).unwrap_or_default()));
        let rest: Vec<String> = rest.collect();
        format!("{}{}", parts[0], rest.concat()).replace("sha256%3A", "sha256:")
    };
    world.registry.lines()[before..].iter().map(|line| blank(&line.replace("sha256%3A", "sha256:"))).collect()
}

#[test]
fn six_requests_where_the_base_is_there() {
    let world = world(Guard::Open, None, None);
    let old = put_base(&world, "team/app:run-1", "amd64");
    let first = app_on(&old, &[("workspace/app", "1")]);
    world.push("team/app:1", &first).unwrap();
    put_base(&world, "team/app:run-2", "amd64");
    // Somebody else's machine, where nothing is kept.
    let fresh = World { temp: tempfile::tempdir().unwrap(), ..world };
    let before = fresh.registry.lines().len();
    let app = fresh.source("team/app:1").every().unwrap();
    let new = fresh.source("team/app:run-2").base(&Platform::linux("amd64")).unwrap();
    let rebased = rebase(&app.images[0], &new, false).unwrap();
    assert_eq!(put(&fresh, "team/app:1", &rebased.image, None).digest, rebased.image.digest());
    insta::assert_snapshot!(asked_since(&fresh, before).join("\n"), @"
    GET /v2/team/app/manifests/1
    GET /v2/team/app/blobs/<digest>
    GET /v2/team/app/manifests/run-2
    GET /v2/team/app/blobs/<digest>
    POST /v2/team/app/blobs/uploads/?digest=<digest>
    PUT /v2/team/app/manifests/1
    ");
    let there = fresh.pull("team/app:1").unwrap();
    assert_eq!(there.digest(), rebased.image.digest());
    validate(&there).unwrap();
    // And back: the first image again, under its first digest.
    let old = fresh.source("team/app:run-1").base(&Platform::linux("amd64")).unwrap();
    let back = rebase(&there, &old, false).unwrap();
    assert_eq!(put(&fresh, "team/app:1", &back.image, None).digest, first.digest());
}

#[test]
fn layers_of_a_base_in_another_repository_are_mounted() {
    let world = world(Guard::Open, None, None);
    let old = put_base(&world, "stacks/run:1", "amd64");
    world.push("team/app:1", &app_on(&old, &[("workspace/app", "1")])).unwrap();
    put_base(&world, "stacks/run:2", "amd64");
    let fresh = World { temp: tempfile::tempdir().unwrap(), ..world };
    let app = fresh.source("team/app:1").every().unwrap();
    let new = fresh.source("stacks/run:2").base(&Platform::linux("amd64")).unwrap();
    let rebased = rebase(&app.images[0], &new, false).unwrap();
    let before = fresh.registry.lines().len();
    put(&fresh, "team/app:1", &rebased.image, None);
    let mut lines = asked_since(&fresh, before);
    lines.sort();
    insta::assert_snapshot!(lines.join("\n"), @"
    POST /v2/team/app/blobs/uploads/?digest=<digest>
    POST /v2/team/app/blobs/uploads/?mount=<digest>&from=stacks%2Frun
    PUT /v2/team/app/manifests/1
    ");
    validate(&fresh.pull("team/app:1").unwrap()).unwrap();
}

#[test]
fn a_rebased_image_has_its_bills_hung_on_it_again() {
    let lists_itself = |asked: &Asked| {
        let is_artifact = asked.method == "PUT" && String::from_utf8_lossy(&asked.body).contains("\"subject\"");
        is_artifact.then(|| Reply::new(201, "").header("oci-subject", "sha256:x"))
    };
    for hook in [None, Some(Box::new(lists_itself) as Hook)] {
        let lists_itself = hook.is_some();
        let world = world(Guard::Bearer(ME), Some(ME), hook);
        let old = put_base(&world, "run:1", "amd64");
        let app = billed_app_on(&old, &[("workspace/app", "1")], &BILLS);
        publish(&world, &app);
        let new = put_base(&world, "run:2", "amd64");
        // Somebody else's machine, where nothing is kept.
        let fresh = World { temp: tempfile::tempdir().unwrap(), ..world };
        let held = fresh.source("app:1").every().unwrap();
        let image = rebase(&held.images[0], &new, false).unwrap().image;
        let tag = RegistryTag::new(fresh.registries.clone(), fresh.reference("app:1")).unwrap().with_bills();
        let before = fresh.registry.lines().len();
        tag.replace(std::slice::from_ref(&image), None, &Silent, &Cancel::new()).unwrap();
        let asked = fresh.registry.asked().split_off(before);
        let about: Vec<Value> = asked.iter().filter_map(|asked| serde_json::from_slice(&asked.body).ok()).collect();
        let about: Vec<&Value> = about.iter().filter(|document| document.get("subject").is_some()).collect();
        assert_eq!(about.len(), 2);
        for (artifact, (_, bill)) in about.iter().zip(BILLS) {
            assert_eq!(artifact["subject"]["digest"], json!(image.digest()));
            assert_eq!(artifact["layers"][0]["digest"], json!(Digest::of(bill.as_bytes())), "the app's own, as it was");
        }
        let (before, after) = (listed(&fresh, &app), listed(&fresh, &image));
        assert_eq!((before.len(), after.len()), if lists_itself { (0, 0) } else { (2, 2) });
        assert!(before.is_empty() || before != after, "each names its own image");
    }
}

#[test]
fn what_the_registry_lost_is_sent_after_all() {
    let world = world(Guard::Open, None, None);
    let old = put_base(&world, "run:1", "amd64");
    let app = app_on(&old, &[("workspace/app", "1")]);
    world.push("app:1", &app).unwrap();
    let new = put_base(&world, "run:2", "amd64");
    // The same manifest in a repository without its blobs, as a registry with a bad clean-up has it.
    world.registry.put_manifest("other", "1", MANIFEST, &app.manifest);
    let held = world.source("app:1").every().unwrap();
    let mut image = rebase(&held.images[0], &new, false).unwrap().image;
    for layer in &mut image.layers {
        layer.origin = Some(world.reference("other:1").name());
    }
    put(&world, "other:1", &image, None);
    validate(&world.pull("other:1").unwrap()).unwrap();
}

#[test]
fn an_index_is_rebased_whole() {
    let world = world(Guard::Open, None, None);
    let mut entries = Vec::new();
    for arch in ["amd64", "arm64"] {
        let base = put_base(&world, &format!("run:{arch}-1"), arch);
        let app = billed_app_on(&base, &[("workspace/app", arch)], &BILLS);
        world.push(&format!("app:{arch}"), &app).unwrap();
        entries.push(json!({ "mediaType": MANIFEST, "digest": app.digest(), "size": app.manifest.len(),
            "platform": { "architecture": arch, "os": "linux" } }));
        put_base(&world, &format!("run:{arch}-2"), arch);
    }
    let about = entries[0]["digest"].clone();
    entries.push(json!({ "mediaType": MANIFEST, "digest": Digest::of(b"attestation"), "size": 9,
        "platform": { "architecture": "unknown", "os": "unknown" },
        "annotations": { "vnd.docker.reference.digest": about } }));
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries, "annotations": { "k": "v" } });
    world.registry.put_manifest("app", "all", INDEX, index.to_string().as_bytes());

    let every = world.source("app:all").every().unwrap();
    assert_eq!(every.images.len(), 2);
    let (mut swaps, mut new) = (Swaps::default(), Vec::new());
    for image in &every.images {
        let base = world.source(&format!("run:{}-2", image.platform.arch)).base(&image.platform).unwrap();
        let rebased = rebase(image, &base, false).unwrap().image;
        swaps.add(image.digest(), rebased.clone());
        new.push(rebased);
    }
    let rewritten = every.rewritten(&swaps).unwrap().unwrap();
    let tag = RegistryTag::new(world.registries.clone(), world.reference("app:all")).unwrap().with_bills();
    let stored = tag.replace(&new, Some((INDEX, &rewritten)), &Silent, &Cancel::new()).unwrap();
    let there = world.registry.manifest("app", "all").unwrap();
    assert_eq!(Digest::of(&there), stored.digest);
    let there: Value = serde_json::from_slice(&there).unwrap();
    assert_eq!((&there["annotations"]["k"], there["manifests"].as_array().unwrap().len()), (&json!("v"), 2));
    for image in &new {
        let pulled = world.source("app:all").image(&image.platform).unwrap();
        assert_eq!(pulled.digest(), image.digest());
        validate(&pulled).unwrap();
        let about: Vec<Value> = listed(&world, image).iter().map(|entry| entry["artifactType"].clone()).collect();
        assert_eq!(about, Format::ALL.map(Format::media_type), "each platform has its own bills again");
    }
}
