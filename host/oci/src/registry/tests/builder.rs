//! Builders in registries: there and back, with and without a stack beside them, and what is no builder.

use serde_json::{Value, json};
use stave_archive::content::Bytes;
use stave_lifecycle::image::Descriptor;
use stave_model::builder::pinned::PinnedBuilder;

use super::*;
use crate::{
    builder::{self, ARTIFACT, CONFIG, artifact},
    component::{Means, Place},
};

const WASM: &[u8] = b"\0asm\x0d\0\x01\0 and so on";

fn means(world: &World) -> Means {
    Means {
        registries: world.registries.clone(),
        blobs: Arc::new(FolderBlobs::new(world.temp.path())),
        observer: Arc::new(Silent),
        cancel: Cancel::new(),
    }
}

/// A builder of one buildpack on these bases.
fn pinned(bases: &[Image]) -> PinnedBuilder {
    let images = bases.iter().map(|base| json!({ "platform": base.platform, "digest": base.digest() }));
    let images: Vec<Value> = images.collect();
    let document = json!({
        "format": 1,
        "description": "for tests",
        "stack": { "name": "base", "images": images },
        "buildpacks": [{
            "id": "acme/tool", "version": "1.0.0", "digest": Digest::of(WASM), "size": WASM.len(), "grants": {},
        }],
        "order": [{ "group": [{ "id": "acme/tool" }] }],
    });
    PinnedBuilder::read(document).unwrap()
}

fn made(bases: &[Image]) -> Image {
    artifact(&pinned(bases), vec![Arc::new(Bytes::new(WASM))])
}

fn bases() -> Vec<Image> {
    ["amd64", "arm64"].map(|arch| image(arch, vec![layer(&[("a", arch)])])).into()
}

#[test]
fn a_builder_goes_there_with_its_stack_and_comes_back() {
    let (world, bases) = (world(Guard::Open, None, None), bases());
    let name = Place::Registry(world.reference("acme/builder:1"));
    let resolved = builder::push(&name, &made(&bases), &bases, &means(&world)).unwrap();
    let digest = builder::digest(&made(&bases), &bases);
    assert_eq!(resolved.digest(), Some(digest));
    let found = builder::find(&name, &means(&world)).unwrap();
    assert_eq!((found.digest, &found.resolved, &found.builder), (digest, &resolved, &pinned(&bases)));
    assert_eq!(found.components[0].bytes(100).unwrap(), WASM);
    assert_eq!(found.artifact().digest(), made(&bases).digest());
    // Who asks the same name for an image finds the stack's.
    let Place::Registry(reference) = &resolved else { panic!("{resolved}") };
    for base in &bases {
        let (blobs, cancel) = (means(&world).blobs, Cancel::new());
        let image = RegistryImage::new(world.registries.clone(), reference.clone(), blobs, Arc::new(Silent), cancel);
        assert_eq!(image.image(&base.platform).unwrap().digest(), base.digest());
    }
    // All of it is here, and its digest says what it is.
    let before = world.registry.lines().len();
    assert_eq!(builder::find(&resolved, &means(&world)).unwrap().components[0].bytes(100).unwrap(), WASM);
    assert_eq!(world.registry.lines().len(), before);
}

#[test]
fn a_builder_without_images_is_one_manifest() {
    let world = world(Guard::Open, None, None);
    let name = Place::Registry(world.reference("acme/builder:1"));
    let made = made(&bases());
    let resolved = builder::push(&name, &made, &[], &means(&world)).unwrap();
    assert_eq!(resolved.digest(), Some(made.digest()));
    assert_eq!(builder::find(&name, &means(&world)).unwrap().digest, made.digest());
    // In a layout it has the same digest, and takes the place of what had its name.
    let temp = tempfile::tempdir().unwrap();
    let place = crate::layout::Place { folder: temp.path().join("out"), name: Some("b".to_owned()) };
    let place = Place::Layout { place, digest: None };
    builder::push(&place, &made, &bases(), &means(&world)).unwrap();
    assert_eq!(builder::push(&place, &made, &[], &means(&world)).unwrap().digest(), Some(made.digest()));
    assert_eq!(builder::find(&place, &means(&world)).unwrap().artifact().digest(), made.digest());
}

#[test]
fn what_is_no_builder_is_refused() {
    let of = |media_type: &str, bytes: &[u8]| Descriptor {
        media_type: media_type.to_owned(),
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
    };
    let config = pinned(&bases()).to_json();
    let good = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": ARTIFACT, "config": of(CONFIG, &config),
        "layers": [of("application/wasm", WASM)],
    });
    let refused = |manifest: &Value, config: &[u8]| {
        let world = world(Guard::Open, None, None);
        for bytes in [config, WASM] {
            world.registry.put_blob("b", &Digest::of(bytes), bytes);
        }
        let media_type = manifest["mediaType"].as_str().unwrap();
        world.registry.put_manifest("b", "1", media_type, manifest.to_string().as_bytes());
        match builder::find(&Place::Registry(world.reference("b:1")), &means(&world)) {
            Ok(found) => found.builder.buildpacks[0].title(),
            Err(error) => world.told(&error),
        }
    };
    let with = |change: &dyn Fn(&mut Value)| {
        let mut manifest = good.clone();
        change(&mut manifest);
        manifest
    };
    let other = String::from_utf8(config.clone()).unwrap().replace("\"size\":18", "\"size\":19").into_bytes();
    let index = json!({ "schemaVersion": 2, "mediaType": stave_lifecycle::image::INDEX, "manifests": [] });
    let all = [
        refused(&good, &config),
        refused(&with(&|manifest| manifest["artifactType"] = "acme/\u{1b}".into()), &config),
        refused(&with(&|manifest| manifest["config"]["mediaType"] = "application/json".into()), &config),
        refused(&with(&|manifest| manifest["config"] = json!(of(CONFIG, b"{}"))), b"{}"),
        refused(&with(&|manifest| manifest["config"] = json!(of(CONFIG, &other))), &other),
        refused(&with(&|manifest| manifest["layers"] = json!([])), &config),
        refused(&index, &config),
    ];
    insta::assert_snapshot!(all.join("\n\n"), @r"
    acme/tool@1.0.0

    could not use the builder `HOST/b:1`
    caused by: it is something else than a builder: its type is `acme/\u{1b}`
    hint: builders are made with `stave builder create`

    could not use the builder `HOST/b:1`
    caused by: it is something else than a builder: its type is `application/json`
    hint: builders are made with `stave builder create`

    could not use the builder `HOST/b:1`
    caused by: its configuration is not a builder's
    caused by: it does not follow the format of builders
    caused by: missing field `format`

    could not use the builder `HOST/b:1`
    caused by: its layers are not the components that its configuration names

    could not use the builder `HOST/b:1`
    caused by: its layers are not the components that its configuration names

    could not use the builder `HOST/b:1`
    caused by: its index lists 0 manifests that are for no platform, and a builder is one of them
    hint: builders are made with `stave builder create`
    ");
}
