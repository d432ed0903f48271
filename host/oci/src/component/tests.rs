//! What is written of a component, and components in layouts.

use std::{collections::BTreeSet, error::Error, fs};

use serde_json::{Value, json};
use stave_archive::content::Bytes;
use stave_lifecycle::{
    image::MANIFEST,
    port::{observer::Silent, sink::Sink as _},
};
use stave_transport::{Client, Options};

use super::*;
use crate::{
    layout,
    registry::credentials::Credentials,
    testing::{FolderBlobs, image, layer},
};

/// As the binary format begins; nobody here looks further.
const WASM: &[u8] = b"\0asm\x0d\0\x01\0 and so on";

fn facts() -> Facts {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Facts {
        imports: set(&["stave:buildpack/log@0.1.0", "stave:buildpack/app@0.1.0"]),
        exports: set(&["stave:buildpack/buildpack@0.1.0"]),
        annotations: [("org.opencontainers.image.version".to_owned(), "1.4.2".to_owned())].into(),
        file: Some("java.wasm".to_owned()),
        created: None,
    }
}

fn of(wasm: &[u8], facts: &Facts) -> Image {
    artifact(Arc::new(Bytes::new(wasm.to_vec())), Digest::of(wasm), facts)
}

#[test]
fn the_same_component_is_the_same_artefact() {
    let one = of(WASM, &facts());
    assert_eq!(one.digest(), of(WASM, &facts()).digest());
    insta::assert_snapshot!(String::from_utf8(one.config.clone()).unwrap(), @r#"{"created":"1980-01-01T00:00:01Z","architecture":"wasm","os":"wasip2","layerDigests":["sha256:9aa4d0f286be884c3cf018206ecea42518c0d77dbbae6b7afcb7a764625d87d1"],"component":{"exports":["stave:buildpack/buildpack@0.1.0"],"imports":["stave:buildpack/app@0.1.0","stave:buildpack/log@0.1.0"]}}"#);
    insta::assert_snapshot!(String::from_utf8(one.manifest).unwrap(), @r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.wasm.config.v0+json","digest":"sha256:8d76795bcda3b0210ab3e57efa5dc6448aba9730c294dbe268c6f6c9d86d9c39","size":289},"layers":[{"mediaType":"application/wasm","digest":"sha256:9aa4d0f286be884c3cf018206ecea42518c0d77dbbae6b7afcb7a764625d87d1","size":18,"annotations":{"org.opencontainers.image.title":"java.wasm"}}],"annotations":{"org.opencontainers.image.version":"1.4.2"}}"#);
    let dated = of(WASM, &Facts { created: Some(1_735_689_599), ..facts() });
    let config: Value = serde_json::from_slice(&dated.config).unwrap();
    assert_eq!(config["created"], "2024-12-31T23:59:59Z");
}

fn told(error: &NotAComponent) -> String {
    let causes = std::iter::successors(error.source(), |error| (*error).source());
    causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}"))
}

#[test]
fn only_a_component_is_one() {
    let descriptor = |kind: &str, size: u64| json!({ "mediaType": kind, "digest": Digest::of(b"x"), "size": size });
    let manifest = |config: &str, layers: Value| json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(config, 9), "layers": layers });
    let wasm = |size| descriptor(COMPONENT, size);
    let mut also_index = manifest(CONFIG, json!([wasm(5)]));
    also_index["manifests"] = json!([]);
    let mut old = manifest(CONFIG, json!([wasm(5)]));
    old["schemaVersion"] = json!(1);
    let mut path = manifest(CONFIG, json!([wasm(5)]));
    path["layers"][0]["digest"] = json!("sha256:../../x");
    let cases = [
        json!({ "schemaVersion": 2, "mediaType": stave_lifecycle::image::INDEX, "manifests": [] }),
        manifest(stave_lifecycle::image::CONFIG, json!([wasm(5)])),
        manifest(CONFIG, json!([])),
        manifest(CONFIG, json!([wasm(5), wasm(6)])),
        manifest(CONFIG, json!([descriptor("application/wasm\u{1b}", 5)])),
        manifest(CONFIG, json!([wasm(0)])),
        manifest(CONFIG, json!([wasm(101)])),
        manifest(CONFIG, json!(vec![wasm(5); 513])),
        also_index,
        old,
        path,
        json!({ "schemaVersion": 2, "mediaType": "text/x" }),
    ];
    let refused = |case: &Value| told(&Outline::parse(case.to_string().as_bytes(), None, 100).unwrap_err());
    insta::assert_snapshot!(cases.iter().map(refused).collect::<Vec<_>>().join("\n"), @r"
    it is an index of several manifests, and a component has one for all platforms
    it is something else than a component: its configuration is `application/vnd.oci.image.config.v1+json`
    it has 0 layers, and a component has one
    it has 2 layers, and a component has one
    its layer is `application/wasm\u{1b}`, and a component is `application/wasm`
    the component says to have 0 bytes; 1 to 100 are taken
    the component says to have 101 bytes; 1 to 100 are taken
    it has 513 layers, more than 512
    the manifest is ambiguous: it is a manifest and an index at once
    the manifest is ambiguous: its `schemaVersion` is not 2
    the manifest cannot be read: it is not the JSON it should be: `sha256:../../x` is not a digest: expected `sha256:` and 64 lower-case hex digits
    `text/x` is not a media type of a component that Stave reads
    ");

    for (config, layer) in [
        (CONFIG, COMPONENT),
        ("application/vnd.wasm.config.v1+json", "application/vnd.wasm.content.layer.v1+wasm"),
        (CONFIG, "application/vnd.module.wasm.content.layer.v1+wasm"),
    ] {
        let text = manifest(config, json!([descriptor(layer, 100)])).to_string();
        assert_eq!(Outline::parse(text.as_bytes(), Some(MANIFEST), 100).unwrap().component.size, 100, "{layer}");
        assert!(Outline::parse(text.as_bytes(), Some(stave_lifecycle::image::INDEX), 100).is_err());
    }
}

#[test]
fn a_configuration_is_only_a_claim() {
    let artifact = of(WASM, &facts());
    let outline = Outline::parse(&artifact.manifest, None, 100).unwrap();
    let claims = outline.claims(&artifact.config).unwrap().unwrap();
    assert_eq!((&claims.imports, &claims.exports), (&facts().imports, &facts().exports));
    assert_eq!(claims.denied_by(&facts().imports), None);
    let really: BTreeSet<String> = ["wasi:sockets/tcp@0.2.0", "stave:buildpack/app@0.1.0"].map(str::to_owned).into();
    let denial = claims.denied_by(&really).unwrap();
    assert_eq!(denial.hidden, ["wasi:sockets/tcp@0.2.0"]);
    assert_eq!(denial.invented, ["stave:buildpack/log@0.1.0"]);
    // Others say less, or nothing.
    for text in ["{}", r#"{"component":null}"#, r#"{"architecture":"wasm","os":"wasip2"}"#] {
        assert_eq!(outline.claims(text.as_bytes()).unwrap(), None, "{text}");
    }
    let of_another = json!({ "layerDigests": [Digest::of(b"another")] }).to_string();
    let refused = [of_another.as_str(), "[", r#"{"component":{"imports":3}}"#]
        .map(|text| told(&outline.claims(text.as_bytes()).unwrap_err()));
    insta::assert_snapshot!(refused.join("\n"), @"
    its configuration is about another component than its manifest
    its configuration cannot be read: it is not the JSON it should be: EOF while parsing a list at line 1 column 1
    its configuration cannot be read: it is not the JSON it should be: invalid type: integer `3`, expected a sequence
    ");
    let older = Outline { config: Descriptor { media_type: "older".to_owned(), ..outline.config.clone() }, ..outline };
    assert_eq!(older.claims(of_another.as_bytes()).unwrap(), None);
}

struct World {
    temp: tempfile::TempDir,
    means: Means,
}

fn world() -> World {
    let temp = tempfile::tempdir().unwrap();
    fs::create_dir(temp.path().join("blobs")).unwrap();
    let means = Means {
        registries: Registries::new(Client::new(Options::default()), Credentials::none(), []),
        blobs: Arc::new(FolderBlobs::new(&temp.path().join("blobs"))),
        observer: Arc::new(Silent),
        cancel: Cancel::new(),
    };
    World { temp, means }
}

impl World {
    fn place(&self, rest: &str) -> Place {
        format!("oci:{}/{rest}", self.temp.path().display()).parse().unwrap()
    }

    fn refused(&self, place: &Place, limit: u64) -> String {
        let error = pull(place, limit, &self.means).map(drop).unwrap_err();
        let causes = std::iter::successors(error.source(), |error| (*error).source());
        let told = causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}"));
        let hint = error.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{told}{hint}").replace(&self.temp.path().display().to_string(), "/tmp")
    }
}

#[test]
fn a_component_goes_into_a_layout_and_comes_back() {
    let world = world();
    let (one, other) = (of(WASM, &facts()), of(b"\0asm other", &facts()));
    let resolved = push(&world.place("out:java"), &one, &world.means).unwrap();
    assert_eq!(resolved, world.place(&format!("out:java@{}", one.digest())));
    let (found, bytes) = pull(&world.place("out:java"), 100, &world.means).unwrap();
    assert_eq!((bytes.as_slice(), found.component.digest), (WASM, Digest::of(WASM)));
    assert_eq!((&found.resolved, found.manifest.digest), (&resolved, one.digest()));
    assert_eq!(found.annotations, facts().annotations);
    assert!(found.span().unwrap().is_none(), "whoever reads there would have to compare");
    // Whoever names nothing means the only one there is.
    assert_eq!(pull(&world.place("out"), 100, &world.means).unwrap().1, WASM);

    // Another takes the place of its name alone.
    push(&world.place("out:go"), &other, &world.means).unwrap();
    push(&world.place("out:java"), &other, &world.means).unwrap();
    assert_eq!(pull(&world.place("out:java"), 100, &world.means).unwrap().1, b"\0asm other");
    // What was there is found by its digest.
    assert_eq!(pull(&resolved, 100, &world.means).unwrap().1, WASM);
    let index: Value = serde_json::from_slice(&fs::read(world.temp.path().join("out/index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
    let first = &index["manifests"][0];
    assert_eq!((&first["platform"], &first["artifactType"]), (&Value::Null, &json!(CONFIG)));
}

#[test]
fn an_image_beside_it_is_not_meant() {
    let world = world();
    let place = layout::Place { folder: world.temp.path().join("out"), name: None };
    let app = image("amd64", vec![layer(&[("a", "1")])]);
    LayoutFolder::new(place.clone()).put(&app, &Silent, &Cancel::new()).unwrap();
    insta::assert_snapshot!(world.refused(&world.place("out"), 100), @"could not use the buildpack `oci:/tmp/out`: it is something else than a component: its configuration is `application/vnd.oci.image.config.v1+json` (buildpacks are published with `stave buildpack publish`)");
    push(&world.place("out"), &of(WASM, &facts()), &world.means).unwrap();
    assert_eq!(pull(&world.place("out"), 100, &world.means).unwrap().1, WASM);
    // One without a name takes the place of the one without a name.
    push(&world.place("out"), &of(b"\0asm other", &facts()), &world.means).unwrap();
    assert_eq!(pull(&world.place("out"), 100, &world.means).unwrap().1, b"\0asm other");
    assert_eq!(Layout::open(place).unwrap().images().unwrap().len(), 1, "and the image stays");
}

#[test]
fn what_is_not_right_in_a_layout_is_refused() {
    let world = world();
    let one = of(WASM, &facts());
    let resolved = push(&world.place("out:a"), &one, &world.means).unwrap();
    push(&world.place("out:b"), &of(b"\0asm b", &facts()), &world.means).unwrap();
    let blob = world.temp.path().join("out/blobs/sha256").join(Digest::of(WASM).hex());
    let mut said = vec![
        world.refused(&world.place("none"), 100),
        world.refused(&world.place("out:c"), 100),
        world.refused(&world.place("out"), 100),
        world.refused(&world.place("out:a"), 10),
        world.refused(&resolved.pinned(Digest::of(b"gone")), 100),
    ];
    fs::write(&blob, [WASM, b"more"].concat()).unwrap();
    said.push(world.refused(&resolved, 100));
    fs::write(&blob, WASM.to_ascii_uppercase()).unwrap();
    said.push(world.refused(&resolved, 100));
    let pinned = push(&resolved, &one, &world.means).unwrap_err();
    said.push(pinned.to_string().replace(&world.temp.path().display().to_string(), "/tmp"));
    insta::assert_snapshot!(said.join("\n"), @"
    could not open the layout `oci:/tmp/none`: No such file or directory (os error 2)
    there is no buildpack at `oci:/tmp/out:c` (the names there are a, b)
    there are several buildpacks at `oci:/tmp/out` (the names there are a, b)
    could not use the buildpack `oci:/tmp/out:a`: the component says to have 18 bytes; 1 to 10 are taken
    could not read sha256:283bb9deef02e6843abfb538efa1eca70801bd8a701c3f98191e123496339247 in `oci:/tmp/out:a`: No such file or directory (os error 2)
    could not pull `oci:/tmp/out:a@sha256:6710f2138e877c7b564dcc3be7555567dcc1ca2cee163daaba2013fe81541774`: sha256:9aa4d0f286be884c3cf018206ecea42518c0d77dbbae6b7afcb7a764625d87d1 is not what it should be: it has another digest, or not 18 bytes
    could not pull `oci:/tmp/out:a@sha256:6710f2138e877c7b564dcc3be7555567dcc1ca2cee163daaba2013fe81541774`: sha256:9aa4d0f286be884c3cf018206ecea42518c0d77dbbae6b7afcb7a764625d87d1 is not what it should be: it has another digest, or not 18 bytes
    could not publish `oci:/tmp/out:a@sha256:6710f2138e877c7b564dcc3be7555567dcc1ca2cee163daaba2013fe81541774`: a name in a layout has no digest
    ");
}
