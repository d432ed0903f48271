//! Tables of documents, good and hostile.

use std::error::Error;

use serde_json::json;

use super::*;

fn descriptor(media_type: &str, size: impl Into<Value>) -> Value {
    json!({ "mediaType": media_type, "digest": Digest::of(b"x").to_string(), "size": size.into() })
}

fn manifest() -> Value {
    json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, 7), "layers": [descriptor(LAYER_GZIP, 9)] })
}

fn index(entries: &[(&str, &str)]) -> Value {
    let entries: Vec<Value> = entries
        .iter()
        .map(|(os, arch)| {
            let mut entry = descriptor(MANIFEST, 7);
            entry["platform"] = json!({ "os": os, "architecture": arch });
            entry
        })
        .collect();
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries })
}

fn parse(value: &Value, outer: Option<&str>) -> Result<Document, ManifestError> {
    Document::parse(&serde_json::to_vec(value).unwrap(), outer)
}

fn refusal(value: &Value, outer: Option<&str>) -> String {
    let error = parse(value, outer).unwrap_err();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[test]
fn reads_both_families() {
    assert!(matches!(parse(&manifest(), None), Ok(Document::Manifest(_))));
    assert!(matches!(
        parse(&manifest(), Some("application/vnd.oci.image.manifest.v1+json; charset=utf-8")),
        Ok(Document::Manifest(_))
    ));
    assert!(matches!(parse(&manifest(), Some("application/json")), Ok(Document::Manifest(_))));
    let mut untyped = manifest();
    untyped.as_object_mut().unwrap().remove("mediaType");
    assert!(matches!(parse(&untyped, Some(MANIFEST)), Ok(Document::Manifest(_))));
    let docker = json!({
        "schemaVersion": 2, "mediaType": DOCKER_MANIFEST,
        "config": descriptor(DOCKER_CONFIG, 7), "layers": [descriptor(DOCKER_LAYER_GZIP, 9)],
    });
    assert!(matches!(parse(&docker, Some(DOCKER_MANIFEST)), Ok(Document::Manifest(_))));
    assert!(matches!(parse(&index(&[("linux", "amd64")]), Some(INDEX)), Ok(Document::Index(_))));
}

#[test]
fn refuses_what_is_hostile() {
    let with = |key: &str, value: Value| {
        let mut document = manifest();
        document[key] = value;
        document
    };
    let layers = |layer: Value| with("layers", json!([layer]));
    let digest = |text: &str| {
        let mut layer = descriptor(LAYER, 1);
        layer["digest"] = text.into();
        layers(layer)
    };
    let mut untyped = manifest();
    untyped.as_object_mut().unwrap().remove("mediaType");
    let upper = format!("sha256:{}", "A".repeat(64));
    let cases = [
        (with("manifests", json!([])), None),
        (with("fsLayers", json!([])), None),
        (with("schemaVersion", 1.into()), None),
        (with("mediaType", "text/html".into()), None),
        (with("mediaType", 7.into()), None),
        (untyped, None),
        (manifest(), Some(INDEX)),
        (layers(descriptor(LAYER, -1)), None),
        (layers(descriptor(LAYER, 0)), None),
        (layers(descriptor(LAYER, u64::MAX)), None),
        (layers(descriptor(LAYER, 1.5)), None),
        (layers(descriptor("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", 1)), None),
        (with("layers", vec![descriptor(LAYER, 1); 513].into()), None),
        (with("layers", Value::Null), None),
        (with("config", descriptor("application/vnd.example.config\u{1b}[31m", 2)), None),
        (with("config", descriptor(CONFIG, 5 << 20)), None),
        (digest("sha256:../../x"), None),
        (digest(&upper), None),
        (digest("sha512:00"), None),
        (digest(&format!("sha256:{}", "a".repeat(63))), None),
    ];
    let shown: Vec<String> = cases.iter().map(|(value, outer)| refusal(value, *outer)).collect();
    insta::assert_snapshot!(shown.join("\n"), @r"
    the manifest is ambiguous: it is a manifest and an index at once
    the manifest is ambiguous: it is a manifest and an index at once
    the manifest is ambiguous: its `schemaVersion` is not 2
    `text/html` is not a media type of an image that Stave reads
    the manifest is ambiguous: its `mediaType` is not a text
    the manifest is ambiguous: nothing says its media type
    the manifest is ambiguous: its `mediaType` is not the one it was announced with
    the manifest cannot be read: it is not the JSON it should be: invalid value: integer `-1`, expected u64
    the layer sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 says to have 0 bytes; 1 to 34359738368 are possible
    the layer sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 says to have 18446744073709551615 bytes; 1 to 34359738368 are possible
    the manifest cannot be read: it is not the JSON it should be: invalid type: floating point `1.5`, expected u64
    `application/vnd.docker.image.rootfs.foreign.diff.tar.gzip` is not a media type of a layer that Stave reads
    it has 513 layers, more than 512
    the manifest cannot be read: it is not the JSON it should be: invalid type: null, expected a sequence
    `application/vnd.example.config\u{1b}[31m` is not a media type of an image's configuration that Stave reads
    the configuration sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 says to have 5242880 bytes; 1 to 4194304 are possible
    the manifest cannot be read: it is not the JSON it should be: `sha256:../../x` is not a digest: expected `sha256:` and 64 lower-case hex digits
    the manifest cannot be read: it is not the JSON it should be: `sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA` is not a digest: expected `sha256:` and 64 lower-case hex digits
    the manifest cannot be read: it is not the JSON it should be: `sha512:00` is not a digest: expected `sha256:` and 64 lower-case hex digits
    the manifest cannot be read: it is not the JSON it should be: `sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa` is not a digest: expected `sha256:` and 64 lower-case hex digits
    ");
}

#[test]
fn a_platform_is_found_or_those_there_are_are_named() {
    let document = index(&[("linux", "arm64"), ("linux", "amd64"), ("unknown", "unknown"), ("lin ux", "x")]);
    let Document::Index(index) = parse(&document, None).unwrap() else { panic!("not an index") };
    let platform = |text: &str| text.parse::<Platform>().unwrap();
    assert_eq!(index.choose(&platform("linux/amd64")).unwrap().platform, Some(platform("linux/amd64")));
    assert_eq!(index.choose(&platform("linux/arm64/v8")).unwrap().platform, Some(platform("linux/arm64")));
    insta::assert_snapshot!(index.choose(&platform("linux/s390x")).unwrap_err(), @"there is no image for linux/s390x, only for linux/arm64, linux/amd64");
    let none = Index { entries: Vec::new(), ..index };
    insta::assert_snapshot!(none.choose(&platform("linux/amd64")).unwrap_err(), @"there is no image for linux/amd64, only for no platform at all");
}
