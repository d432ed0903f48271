//! Source images to a registry and back, and those that kpack's own tools put there.

use stave_archive::limits::Limits;

use super::*;
use crate::{
    manifest::{DOCKER_CONFIG, DOCKER_LAYER_GZIP, DOCKER_MANIFEST},
    source,
};

fn source_image(world: &World) -> Image {
    let app = world.temp.path().join("app");
    std::fs::create_dir_all(app.join("empty")).unwrap();
    std::fs::write(app.join("run"), "#!").unwrap();
    let read = stave_archive::folder::read(&app, &Limits::default()).unwrap();
    let blobs = world.temp.path().join("made");
    std::fs::create_dir_all(&blobs).unwrap();
    source::make(&read.tree, &FolderBlobs::new(&blobs), &Cancel::new()).unwrap()
}

/// What the image that a name leads to carries.
fn fetched(world: &World, name: &str) -> Result<String, PortError> {
    let image = world.source(name).source()?;
    let tree = source::read(&image, &Limits::default(), world.temp.path(), &Cancel::new())?;
    Ok(tree.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>().join(" "))
}

#[test]
fn a_source_goes_there_and_comes_back() {
    let world = world(Guard::Bearer(ME), Some(ME), None);
    let image = source_image(&world);
    let pinned = format!("team/app-source@{}", image.digest());
    let tagged = Reference { tag: Some("20261130094500".to_owned()), ..world.reference(&pinned) };
    let tag = RegistryTag::new(world.registries.clone(), tagged).unwrap();
    assert!(!tag.has(&image, &Cancel::new()).unwrap());
    assert_eq!(tag.put(&image, &Silent, &Cancel::new()).unwrap().digest, image.digest());
    assert!(tag.has(&image, &Cancel::new()).unwrap());
    for name in [&pinned, "team/app-source:20261130094500"] {
        assert_eq!(fetched(&world, name).unwrap(), "empty run", "{name}");
    }
    let before = world.registry.lines().len();
    tag.put(&image, &Silent, &Cancel::new()).unwrap();
    let lines = world.registry.lines().split_off(before);
    assert!(!lines.iter().any(|line| line.starts_with("POST")), "nothing is sent twice: {lines:?}");
    assert_eq!(fetched(&world, &pinned).unwrap(), "empty run");
}

/// They have docker's media types and no platform.
#[test]
fn kpack_s_source_images_are_read() {
    let world = world(Guard::Open, None, None);
    let layer = layer(&[("app/run", "#!")]);
    let config = json!({
        "architecture": "", "os": "", "created": "0001-01-01T00:00:00Z", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [layer.diff_id] }, "history": [{ "created": "0001-01-01T00:00:00Z" }],
    });
    let config = config.to_string().into_bytes();
    // A push brings the blobs there; the manifest is then put in docker's words.
    world.push("app:blobs", &Image::new(Platform::linux("amd64"), config.clone(), vec![layer.clone()])).unwrap();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": DOCKER_MANIFEST,
        "config": { "mediaType": DOCKER_CONFIG, "size": config.len(), "digest": Digest::of(&config) },
        "layers": [{ "mediaType": DOCKER_LAYER_GZIP, "size": layer.descriptor.size, "digest": layer.descriptor.digest }],
    });
    world.registry.put_manifest("app", "kp", DOCKER_MANIFEST, manifest.to_string().as_bytes());
    assert_eq!(fetched(&world, "app:kp").unwrap(), "app app/run");
    assert!(world.pull("app:kp").is_err(), "nothing can be run on it");
}

#[test]
fn all_machines_read_the_same_of_an_index() {
    let world = world(Guard::Open, None, None);
    let image = |arch: &str, name: &str| image(arch, vec![layer(&[(name, "")])]);
    let put = |tag: &str, images: &[(&str, Image)]| {
        let entry = |(platform, image): &(&str, Image)| {
            world.push(&format!("app@{}", image.digest()), image).unwrap();
            let (os, arch) = platform.split_once('/').unwrap();
            json!({ "mediaType": MANIFEST, "digest": image.digest(), "size": image.manifest.len(),
                    "platform": { "os": os, "architecture": arch } })
        };
        let entries: Vec<_> = images.iter().map(entry).collect();
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries });
        world.registry.put_manifest("app", tag, INDEX, index.to_string().as_bytes());
    };
    put("two", &[("linux/arm64", image("arm64", "arm")), ("linux/amd64", image("amd64", "amd"))]);
    put("one", &[("linux/s390x", image("s390x", "other")), ("unknown/unknown", image("amd64", "attestation"))]);
    put("none", &[("linux/arm64", image("arm64", "arm")), ("linux/s390x", image("s390x", "other"))]);
    assert_eq!(fetched(&world, "app:two").unwrap(), "amd");
    assert_eq!(fetched(&world, "app:one").unwrap(), "other");
    insta::assert_snapshot!(world.told(&fetched(&world, "app:none").unwrap_err()), @"
    could not use the source image `HOST/app:none`
    caused by: there is no image for linux/amd64, only for linux/arm64, linux/s390x
    ");
}

#[test]
fn a_layer_that_a_registry_exchanged_is_not_believed() {
    let other = std::sync::Arc::new(Mutex::new(None::<String>));
    let wanted = std::sync::Arc::clone(&other);
    let hook: Hook = Box::new(move |asked| {
        let digest = wanted.lock().unwrap().clone()?;
        (asked.method == "GET" && asked.path.ends_with(&digest)).then(|| Reply::ok("something else"))
    });
    let world = world(Guard::Open, None, Some(hook));
    let image = source_image(&world);
    world.push("app:1", &image).unwrap();
    *other.lock().unwrap() = Some(image.layers[0].descriptor.digest.to_string());
    let error = fetched(&world, "app:1").unwrap_err();
    assert_eq!(error.fault, Fault::Integrity, "{}", error.sentence());
}
