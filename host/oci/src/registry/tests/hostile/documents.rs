//! Documents that a registry serves under the right digest, and that are no images all the same.

use super::*;
use crate::validate::validate;

/// What pulling this document by a tag ends with.
fn refusal(world: &World, media_type: &str, document: &[u8]) -> PortError {
    world.registry.put_manifest("app", "bad", media_type, document);
    let before = world.registry.lines().len();
    let error = world.pull("app:bad").unwrap_err();
    assert_eq!(world.registry.lines().len(), before + 1, "nothing that it names is asked for");
    error
}

fn descriptor(image: &Image) -> serde_json::Value {
    json!({ "mediaType": MANIFEST, "digest": image.digest(), "size": image.manifest.len(),
            "platform": { "os": "linux", "architecture": "amd64" } })
}

#[test]
fn n03_documents_have_their_measure() {
    let world = world(Guard::Open, None, None);
    let image = two_layers();
    world.push("app:1", &image).unwrap();
    let text = String::from_utf8(image.manifest.clone()).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut long = manifest.clone();
    long["layers"] = vec![manifest["layers"][0].clone(); 513].into();
    let mut longest = manifest.clone();
    longest["layers"] = vec![manifest["layers"][0].clone(); 50_000].into();
    let entries = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": vec![descriptor(&image); 1025] });
    let deep = format!("{},\"x\":{}{}}}", &text[..text.len() - 1], "[".repeat(100_000), "]".repeat(100_000));
    let twice = format!("{},\"layers\":[]}}", &text[..text.len() - 1]);
    let large = format!("{},\"x\":\"{}\"}}", &text[..text.len() - 1], "x".repeat(5 << 20));
    let cases = [
        ("513 layers", long.to_string(), Fault::InvalidInput),
        ("50000 layers", longest.to_string(), Fault::TooLarge),
        ("1025 entries", entries.to_string(), Fault::InvalidInput),
        ("deep", deep, Fault::InvalidInput),
        ("a key twice", twice, Fault::InvalidInput),
        ("5 MiB", large, Fault::TooLarge),
    ];
    for (name, document, fault) in cases {
        let media_type = if name.ends_with("entries") { INDEX } else { MANIFEST };
        let error = refusal(&world, media_type, document.as_bytes());
        assert_eq!(error.fault, fault, "{name}: {}", world.told(&error));
    }
}

#[test]
fn n04_what_is_two_things_at_once_is_neither() {
    let world = world(Guard::Open, None, None);
    let image = two_layers();
    world.push("app:1", &image).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&image.manifest).unwrap();
    let both = |media_type: &str| {
        let mut both = manifest.clone();
        (both["mediaType"], both["manifests"]) = (json!(media_type), json!([descriptor(&image)]));
        both.to_string()
    };
    let mut untyped = manifest.clone();
    untyped.as_object_mut().unwrap().remove("mediaType");
    let cases = [
        (both(MANIFEST), MANIFEST),
        (both(INDEX), INDEX),
        (both(MANIFEST), INDEX),
        (manifest.to_string(), INDEX),
        (manifest.to_string(), "text/html"),
        (untyped.to_string(), "application/octet-stream"),
        (untyped.to_string(), "application/vnd.oci.artifact.manifest.v1+json"),
    ];
    for (document, media_type) in cases {
        let error = refusal(&world, media_type, document.as_bytes());
        assert_eq!(error.fault, Fault::InvalidInput, "{media_type} {document}: {}", world.told(&error));
    }
}

#[test]
fn n05_indexes_in_indexes_end() {
    let world = world(Guard::Open, None, None);
    let image = two_layers();
    world.push("app:1", &image).unwrap();
    let mut entry = descriptor(&image);
    let mut depths = Vec::new();
    for _ in 0..10 {
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] }).to_string();
        let digest = Digest::of(index.as_bytes());
        world.registry.put_manifest("app", &digest.to_string(), INDEX, index.as_bytes());
        entry["mediaType"] = json!(INDEX);
        (entry["digest"], entry["size"]) = (json!(digest), json!(index.len()));
        depths.push(world.pull(&format!("app@{digest}")).is_ok());
    }
    assert_eq!(depths[..4], [true, true, true, false]);
    assert!(!depths[4..].contains(&true));
    // One that names itself can only be found under a digest that is not its own.
    let itself = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] }).to_string();
    world.registry.put_manifest("app", entry["digest"].as_str().unwrap(), INDEX, itself.as_bytes());
    world.registry.put_manifest("app", "itself", INDEX, itself.as_bytes());
    assert!(world.pull("app:itself").is_err());
}

#[test]
fn n06_a_digest_is_one_or_nothing_is_asked_for() {
    let world = world(Guard::Open, None, None);
    let image = two_layers();
    world.push("app:1", &image).unwrap();
    let text = String::from_utf8(image.manifest.clone()).unwrap();
    let good = image.layers[0].descriptor.digest.to_string();
    let upper = good.to_uppercase().replace("SHA256", "sha256");
    let sha512 = format!("sha512:{}", "a".repeat(128));
    for bad in
        ["sha256:../../../../etc/passwd", &upper, &sha512, &good[..good.len() - 1], "", "sha256:", &format!("{good}/")]
    {
        for of in [&good, &image.config_descriptor().digest.to_string()] {
            let error = refusal(&world, MANIFEST, text.replacen(of, bad, 1).as_bytes());
            assert_eq!(error.fault, Fault::InvalidInput, "{bad}: {}", world.told(&error));
        }
    }
}

/// The image with another configuration, which the manifest names rightly.
fn configured(world: &World, config: &serde_json::Value) -> Result<Image, PortError> {
    let image = two_layers();
    world.push("app:1", &image).unwrap();
    let other = Image::new(image.platform, serde_json::to_vec(config).unwrap(), image.layers);
    world.registry.put_blob("app", &other.config_descriptor().digest, &other.config);
    world.registry.put_manifest("app", "2", MANIFEST, &other.manifest);
    world.pull("app:2")
}

#[test]
fn n07_a_configuration_describes_the_layers() {
    let good: serde_json::Value = serde_json::from_slice(&two_layers().config).unwrap();
    let with = |change: fn(&mut serde_json::Value)| {
        let mut config = good.clone();
        change(&mut config);
        config
    };
    let cases = [
        ("a diffID too few", with(|config| drop(config["rootfs"]["diff_ids"].as_array_mut().unwrap().pop()))),
        ("no diffIDs", with(|config| config["rootfs"] = json!({ "type": "layers" }))),
        ("no rootfs", with(|config| drop(config.as_object_mut().unwrap().remove("rootfs")))),
        ("a rootfs that is none", with(|config| config["rootfs"] = json!("layers"))),
        ("a diffID that is a path", with(|config| config["rootfs"]["diff_ids"][0] = json!("sha256:../x"))),
        ("a history of nothing", with(|config| config["history"] = json!([{ "empty_layer": -1 }]))),
        ("a history that is none", with(|config| config["history"] = json!(-1))),
        ("no platform", with(|config| config["os"] = json!(""))),
        ("a list", json!([])),
    ];
    for (name, config) in cases {
        let world = world(Guard::Open, None, None);
        let error = configured(&world, &config).unwrap_err();
        assert_eq!(error.fault, Fault::InvalidInput, "{name}: {}", world.told(&error));
    }
}

#[test]
fn n08_a_layer_with_anothers_diff_id_is_found_when_it_is_read() {
    let mut config: serde_json::Value = serde_json::from_slice(&two_layers().config).unwrap();
    config["rootfs"]["diff_ids"][0] = json!(Digest::of(b"another"));
    let world = world(Guard::Open, None, None);
    let pulled = configured(&world, &config).unwrap();
    assert!(read(&pulled).is_ok(), "its digest is right");
    let findings = validate(&pulled);
    assert!(format!("{findings:?}").contains("diff"), "{findings:?}");
}
