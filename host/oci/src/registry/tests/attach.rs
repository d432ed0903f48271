//! Bills of materials that hang on a published image.

use serde_json::Value;
use stave_archive::content::Bytes;
use stave_lifecycle::{
    image::{Descriptor, ImageLayer, LAYER},
    port::bases::Base,
};
use stave_model::{image::LIFECYCLE_LABEL, sbom::Format};

use super::*;
use crate::testing::billed_app_on;

/// An image with merged bills in both formats.
pub(super) fn with_bills() -> Image {
    let bill =
        layer(&[("layers/sbom/launch/sbom.cdx.json", "{\"c\":1}"), ("layers/sbom/launch/sbom.spdx.json", "{\"s\":1}")]);
    let plain = image("amd64", vec![layer(&[("a", "1")]), bill.clone()]);
    let mut config: Value = serde_json::from_slice(&plain.config).unwrap();
    let label = json!({ "sbom": { "sha": bill.diff_id } }).to_string();
    config["config"] = json!({ "Labels": { LIFECYCLE_LABEL: label } });
    Image::new(plain.platform, config.to_string().into_bytes(), plain.layers)
}

pub(super) fn publish(world: &World, image: &Image) -> usize {
    let before = world.registry.lines().len();
    let tag = RegistryTag::new(world.registries.clone(), world.reference("app:1")).unwrap().with_bills();
    tag.put(image, &Silent, &Cancel::new()).unwrap();
    world.registry.lines().len() - before
}

pub(super) fn listed(world: &World, image: &Image) -> Vec<Value> {
    let tag = image.digest().to_string().replace(':', "-");
    let list = world.registry.manifest("app", &tag).unwrap_or_else(|| b"{}".to_vec());
    let list: Value = serde_json::from_slice(&list).unwrap();
    list["manifests"].as_array().cloned().unwrap_or_default()
}

#[test]
fn both_formats_hang_on_the_image_and_only_once() {
    let world = world(Guard::Open, None, None);
    let image = with_bills();
    publish(&world, &image);
    let first = listed(&world, &image);
    let kinds: Vec<&Value> = first.iter().map(|entry| &entry["artifactType"]).collect();
    assert_eq!(kinds, Format::ALL.map(Format::media_type));
    for entry in &first {
        let manifest = world.registry.manifest("app", entry["digest"].as_str().unwrap()).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        assert_eq!(manifest["subject"]["digest"], json!(image.digest()));
        assert_eq!(manifest["layers"][0]["mediaType"], entry["artifactType"]);
    }
    let again = publish(&world, &image);
    assert_eq!(listed(&world, &image), first);
    let without = {
        let before = world.registry.lines().len();
        world.push("app:1", &image).unwrap();
        world.registry.lines().len() - before
    };
    assert_eq!(again - without, 2, "one look for each bill");
}

#[test]
fn a_registry_that_lists_referrers_itself_is_left_to_it() {
    let hook: Hook = Box::new(|asked| {
        let is_artifact = asked.method == "PUT" && String::from_utf8_lossy(&asked.body).contains("\"subject\"");
        is_artifact.then(|| Reply::new(201, "").header("oci-subject", "sha256:x"))
    });
    let world = world(Guard::Open, None, Some(hook));
    let image = with_bills();
    publish(&world, &image);
    assert_eq!(listed(&world, &image).len(), 0);
}

#[test]
fn an_image_is_published_also_where_nothing_can_hang_on_it() {
    let hook: Hook = Box::new(|asked| {
        let is_artifact = asked.method == "PUT" && String::from_utf8_lossy(&asked.body).contains("\"subject\"");
        is_artifact.then(|| Reply::new(400, r#"{"errors":[{"code":"UNSUPPORTED","message":"no artifacts"}]}"#))
    });
    let world = world(Guard::Open, None, Some(hook));
    let image = with_bills();
    publish(&world, &image);
    assert_eq!(world.pull("app:1").unwrap().digest(), image.digest());
    let plain = two_layers();
    publish(&world, &plain);
    assert_eq!(listed(&world, &plain).len(), 0);
}

#[test]
fn a_base_that_cannot_be_read_takes_nothing_from_the_app() {
    let world = world(Guard::Open, None, None);
    let odd = vec![b'x'; 2048];
    let (digest, content) = (Digest::of(&odd), Arc::new(Bytes::new(odd)));
    let descriptor = Descriptor { media_type: LAYER.to_owned(), digest, size: 2048 };
    let base = image("amd64", vec![ImageLayer { descriptor, diff_id: digest, content, origin: None }]);
    let base = Base { image: base, name: "run".to_owned(), reference: "run".to_owned() };
    let app = billed_app_on(&base, &[("a", "1")], &[("layers/sbom/launch/sbom.cdx.json", "{}")]);
    publish(&world, &app);
    let kinds: Vec<Value> = listed(&world, &app).iter().map(|entry| entry["artifactType"].clone()).collect();
    assert_eq!(kinds, [Format::CycloneDx.media_type()]);
}
