//! Images with one fault each.

use std::sync::Arc;

use serde_json::json;
use stave_archive::content::Bytes;
use stave_lifecycle::image::{Descriptor, ImageLayer, LAYER};
use stave_model::{digest::Digest, image::CREATED, target::Platform};

use super::*;
use crate::testing::{image, layer};

fn told(image: &Image) -> String {
    let problems = validate(image).err().unwrap_or_default();
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

type Change = fn(&mut Image);

/// Kind, name, link text, mode, time.
type Member<'a> = (tar::EntryType, &'a str, &'a str, u32, u64);

const FILE: tar::EntryType = tar::EntryType::Regular;
const LINK: tar::EntryType = tar::EntryType::Symlink;

/// A layer as no writer of ours would make it.
fn raw_layer(members: &[Member<'_>]) -> ImageLayer {
    let mut archive = tar::Builder::new(Vec::new());
    for (kind, name, link, mode, mtime) in members {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_gnu_mut().unwrap().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_size(0);
        header.set_mode(*mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(*mtime);
        header.set_cksum();
        archive.append(&header, &b""[..]).unwrap();
    }
    let bytes = archive.into_inner().unwrap();
    let digest = Digest::of(&bytes);
    let descriptor = Descriptor { media_type: LAYER.to_owned(), digest, size: bytes.len() as u64 };
    ImageLayer { descriptor, diff_id: digest, content: Arc::new(Bytes::new(bytes)), origin: None }
}

/// An image of the CNB kind: the first layer is the base.
fn built(layers: Vec<ImageLayer>, entrypoint: &str, change: impl Fn(&mut Value)) -> Image {
    let sha = |layer: &ImageLayer| json!({ "sha": layer.diff_id });
    let last = layers.last().unwrap().diff_id;
    let mut metadata = json!({
        "app": layers[1..].iter().map(sha).collect::<Vec<_>>(), "buildpacks": [],
        "config": { "sha": last }, "launcher": { "sha": last }, "process-types": { "sha": "" },
        "runImage": { "topLayer": layers[0].diff_id, "reference": "base" },
        "stack": { "runImage": { "image": "base" } },
    });
    change(&mut metadata);
    let config = json!({
        "architecture": "amd64", "os": "linux", "created": CREATED,
        "config": {
            "Entrypoint": [entrypoint], "Env": [format!("CNB_PLATFORM_API={}", stave_model::image::PLATFORM_API)],
            "Labels": { "io.buildpacks.lifecycle.metadata": metadata.to_string(), "io.buildpacks.build.metadata": "{}" },
        },
        "rootfs": { "type": "layers", "diff_ids": layers.iter().map(|layer| layer.diff_id).collect::<Vec<_>>() },
        "history": layers.iter().map(|_| json!({})).collect::<Vec<_>>(),
    });
    Image::new(Platform::linux("amd64"), serde_json::to_vec(&config).unwrap(), layers)
}

#[test]
fn good_images_pass() {
    assert_eq!(told(&image("amd64", vec![layer(&[("a", "1")])])), "");
    let base = layer(&[("bin/sh", "#!")]);
    let app = layer(&[("cnb/lifecycle/launcher", "x"), ("workspace/a", "1")]);
    assert_eq!(told(&built(vec![base.clone(), app.clone()], "/cnb/lifecycle/launcher", |_| ())), "");
    let links = raw_layer(&[(LINK, "cnb/process", "/cnb/lifecycle", 0o777, 315_532_801)]);
    assert_eq!(told(&built(vec![base, app, links], "/cnb/process/./launcher", |_| ())), "");
}

#[test]
fn documents_that_do_not_agree_are_found() {
    let good = || image("amd64", vec![layer(&[("a", "1")])]);
    let changes: [(&str, Change); 7] = [
        ("config", |image| image.config.push(b' ')),
        ("layer", |image| image.layers.clear()),
        ("platform", |image| image.platform = Platform::linux("arm64")),
        ("diffID", |image| image.layers[0].diff_id = Digest::of(b"other")),
        ("size", |image| image.layers[0].descriptor.size += 1),
        ("bytes", |image| image.layers[0].content = Arc::new(Bytes::new(*b"\x1f\x8bnot gzip"))),
        ("manifest", |image| image.manifest = b"{}".to_vec()),
    ];
    let shown = changes.map(|(name, change)| {
        let mut image = good();
        change(&mut image);
        format!("{name}:\n{}", told(&image))
    });
    insta::assert_snapshot!(shown.join("\n\n"), @"
    config:
    manifest: it names another configuration

    layer:
    manifest: it names other layers
    configuration: the image's configuration names 1 layers, its manifest 0

    platform:
    configuration: it is for linux/amd64, the image for linux/arm64

    diffID:
    configuration: its diffIDs are not the layers'
    layer 0: its diffID is sha256:9bc8eacbf293098560b7b3a0bf5b3c446cf3dd6e3ed8c45008ece65ed16fab4a, not sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa

    size:
    manifest: it names other layers
    layer 0: it has 110 bytes, and 111 are promised

    bytes:
    layer 0: it has 10 bytes, and 110 are promised
    layer 0: its digest is sha256:b6414ce2cb6aa36c297c733108468e05128bf5adc6c8fe4fd03f53e91204bda1, not sha256:2b0d2ae018ccb188d3a1fba00be4a3c4e079be517b81386af4278b79e0278872
    layer 0: its diffID is sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855, not sha256:9bc8eacbf293098560b7b3a0bf5b3c446cf3dd6e3ed8c45008ece65ed16fab4a
    layer 0: it cannot be read: invalid gzip header

    manifest:
    manifest: the manifest is ambiguous: its `schemaVersion` is not 2
    ");
}

#[test]
fn a_changed_byte_is_found() {
    let mut image = image("amd64", vec![raw_layer(&[(FILE, "a", "", 0o644, 7)])]);
    let mut bytes = image.layers[0].content.bytes(1 << 20).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    image.layers[0].content = Arc::new(Bytes::new(bytes));
    assert!(told(&image).contains("its digest is"));
}

#[test]
fn archives_that_deceive_are_found() {
    let members = |members: &[Member<'_>]| told(&image("amd64", vec![raw_layer(members)]));
    let cases = [
        members(&[(FILE, "../a", "", 0o644, 0), (FILE, "a/../../b", "", 0o644, 0), (FILE, "a//b", "", 0o644, 0)]),
        members(&[(FILE, "a", "", 0o644, 0), (FILE, "./a", "", 0o644, 0), (FILE, "/a", "", 0o644, 0)]),
        members(&[(tar::EntryType::Char, "dev/null", "", 0o644, 0), (tar::EntryType::Fifo, "pipe", "", 0o644, 0)]),
        members(&[(tar::EntryType::Link, "a", "b", 0o644, 0)]),
        members(&[(FILE, "a/.wh.", "", 0o644, 0), (FILE, "a/.wh...", "", 0o644, 0)]),
    ];
    insta::assert_snapshot!(cases.join("\n\n"), @"
    layer 0: `../a` is not a path within an image
    layer 0: `a/../../b` is not a path within an image
    layer 0: `a//b` is not a path within an image

    layer 0: `./a` is there twice
    layer 0: `/a` is there twice

    layer 0: `dev/null` is neither a file nor a folder nor a link
    layer 0: `pipe` is neither a file nor a folder nor a link

    layer 0: `a` is a hard link to `b`, which is no file there

    layer 0: `a/.wh.` removes nothing
    layer 0: `a/.wh...` removes nothing
    ");
}

#[test]
fn layers_of_ours_keep_our_rules() {
    let base = raw_layer(&[(FILE, "old", "", 0o644, 7), (LINK, "lib", "usr/lib", 0o777, 7)]);
    let app = raw_layer(&[(FILE, "lib/x", "", 0o755, 315_532_801), (FILE, "late", "", 0o644, 8)]);
    insta::assert_snapshot!(told(&built(vec![base, app], "/lib/x", |_| ())), @"
    layer 1: `late` has another time than all others: 8
    layer 1: `lib/x` lies below `lib`, which is no folder
    configuration: its entrypoint `/lib/x` is in no layer
    ");
}

#[test]
fn an_entrypoint_has_to_be_there() {
    let entrypoint = |path: &str| {
        let base = layer(&[("bin/gone", "x"), ("bin/sh", "x")]);
        let app = raw_layer(&[
            (FILE, "bin/.wh.gone", "", 0o644, 315_532_801),
            (FILE, "text", "", 0o644, 315_532_801),
            (LINK, "round", "round", 0o777, 315_532_801),
        ]);
        told(&built(vec![base, app], path, |_| ()))
    };
    assert_eq!(entrypoint("/bin/sh"), "");
    insta::assert_snapshot!(["/bin/gone", "/text", "/round", "/bin", "/none"].map(entrypoint).join("\n"), @"
    configuration: its entrypoint `/bin/gone` is in no layer
    configuration: its entrypoint `/text` is a file that cannot be run
    configuration: its entrypoint `/round` leads round in circles
    configuration: its entrypoint `/bin` is not a file
    configuration: its entrypoint `/none` is in no layer
    ");
}

#[test]
fn labels_name_layers_that_are_there() {
    let with = |change: fn(&mut Value)| {
        let layers = vec![layer(&[("bin/sh", "x")]), layer(&[("a", "1")])];
        told(&built(layers, "/bin/sh", change))
    };
    let cases = [
        with(|metadata| metadata["launcher"]["sha"] = json!(Digest::of(b"other"))),
        with(|metadata| metadata["app"] = json!([])),
        with(|metadata| metadata["runImage"]["topLayer"] = json!("")),
        with(|metadata| *metadata = json!([])),
    ];
    insta::assert_snapshot!(cases.join("\n"), @"
    labels: launcher says sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa, which is no layer of the image
    labels: the app has no layer
    labels: runImage.topLayer says , which is no layer of the image
    labels: io.buildpacks.lifecycle.metadata cannot be read: invalid length 0, expected struct LifecycleMetadata with 9 elements at line 1 column 2
    ");
}
