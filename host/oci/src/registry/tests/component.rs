//! Components in registries: there and back, and what hostile registries serve in their place.

use stave_archive::content::Bytes;
use stave_lifecycle::image::Descriptor;

use super::*;
use crate::component::{self, COMPONENT, CONFIG, Facts, Means, Place, artifact};

const WASM: &[u8] = b"\0asm\x0d\0\x01\0 and so on";
const LIMIT: u64 = 1000;

fn one() -> Image {
    artifact(Arc::new(Bytes::new(WASM)), Digest::of(WASM), &Facts::default())
}

fn means(world: &World) -> Means {
    Means {
        registries: world.registries.clone(),
        blobs: Arc::new(FolderBlobs::new(world.temp.path())),
        observer: Arc::new(Silent),
        cancel: Cancel::new(),
    }
}

fn place(world: &World, rest: &str) -> Place {
    Place::Registry(world.reference(rest))
}

fn refused(world: &World) -> String {
    let error = component::pull(&place(world, "java:1"), LIMIT, &means(world)).map(drop).unwrap_err();
    world.told(&error)
}

fn blobs_asked(world: &World) -> usize {
    world.registry.lines().iter().filter(|line| line.starts_with("GET ") && line.contains("/blobs/")).count()
}

#[test]
fn a_component_goes_there_and_comes_back() {
    for guard in [Guard::Open, Guard::Basic(ME), Guard::Bearer(ME)] {
        let world = world(guard, Some(ME), None);
        let resolved = component::push(&place(&world, "acme/java:1"), &one(), &means(&world)).unwrap();
        assert_eq!(resolved, place(&world, &format!("acme/java@{}", one().digest())));
        let puts: Vec<String> = world.registry.lines().into_iter().filter(|line| line.starts_with("PUT ")).collect();
        assert!(puts.last().unwrap().ends_with("/manifests/1"), "the tag moves last: {puts:?}");

        let found = component::find(&place(&world, "acme/java:1"), LIMIT, &means(&world)).unwrap();
        assert_eq!(blobs_asked(&world), 1, "the configuration alone, until somebody wants the bytes");
        assert_eq!((found.bytes().unwrap().as_slice(), found.component.digest), (WASM, Digest::of(WASM)));
        assert_eq!((found.resolved, found.manifest.digest), (resolved.clone(), one().digest()));
        // All of it is here, and its digest says what it is.
        let before = world.registry.lines().len();
        assert_eq!(component::pull(&resolved, LIMIT, &means(&world)).unwrap().1, WASM);
        assert_eq!(world.registry.lines().len(), before);
        // Publishing again changes nothing.
        assert_eq!(component::push(&place(&world, "acme/java:1"), &one(), &means(&world)).unwrap(), resolved);
    }
}

#[test]
fn what_is_too_large_is_not_fetched() {
    let world = world(Guard::Open, None, None);
    let wasm = vec![0; 1001];
    let large = artifact(Arc::new(Bytes::new(wasm.clone())), Digest::of(&wasm), &Facts::default());
    component::push(&place(&world, "java:1"), &large, &means(&world)).unwrap();
    insta::assert_snapshot!(refused(&world), @"
    could not use the buildpack `HOST/java:1`
    caused by: the component says to have 1001 bytes; 1 to 1000 are taken
    ");
    assert_eq!(blobs_asked(&world), 0);
}

/// Serves this manifest, with what it leads to on the shelf.
fn serving(manifest: &serde_json::Value, config: &[u8], hook: Option<Hook>) -> World {
    let world = world(Guard::Open, None, hook);
    for bytes in [config, WASM] {
        world.registry.put_blob("java", &Digest::of(bytes), bytes);
    }
    let media_type = manifest["mediaType"].as_str().unwrap();
    world.registry.put_manifest("java", "1", media_type, manifest.to_string().as_bytes());
    world
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Descriptor {
    Descriptor { media_type: media_type.to_owned(), digest: Digest::of(bytes), size: bytes.len() as u64 }
}

fn manifest(config: &Descriptor, layers: &[Descriptor]) -> serde_json::Value {
    json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers })
}

#[test]
fn what_is_no_component_is_refused_before_it_is_fetched() {
    let (config, wasm) = (descriptor(CONFIG, b"{}"), descriptor(COMPONENT, WASM));
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] });
    let cases = [
        ("index", index),
        ("two layers", manifest(&config, &[wasm.clone(), wasm.clone()])),
        ("image", manifest(&descriptor(stave_lifecycle::image::CONFIG, b"{}"), std::slice::from_ref(&wasm))),
    ];
    let shown = cases.map(|(name, manifest)| {
        let world = serving(&manifest, b"{}", None);
        let said = refused(&world);
        assert_eq!(blobs_asked(&world), 0, "{name}");
        format!("{name}: {said}")
    });
    insta::assert_snapshot!(shown.join("\n\n"), @"
    index: could not use the buildpack `HOST/java:1`
    caused by: it is an index of several manifests, and a component has one for all platforms
    hint: buildpacks are published with `stave buildpack publish`

    two layers: could not use the buildpack `HOST/java:1`
    caused by: it has 2 layers, and a component has one

    image: could not use the buildpack `HOST/java:1`
    caused by: it is something else than a component: its configuration is `application/vnd.oci.image.config.v1+json`
    hint: buildpacks are published with `stave buildpack publish`
    ");
}

#[test]
fn other_bytes_than_promised_are_not_taken() {
    let good = manifest(&descriptor(CONFIG, b"{}"), &[descriptor(COMPONENT, WASM)]);
    let other_config = serving(&good, b"{}", None);
    other_config.registry.put_blob("java", &Digest::of(b"{}"), b"[]");
    let other_bytes = serving(&good, b"{}", None);
    other_bytes.registry.put_blob("java", &Digest::of(WASM), &WASM.to_ascii_uppercase());
    let longer = serving(&good, b"{}", None);
    longer.registry.put_blob("java", &Digest::of(WASM), &[WASM, b"!"].concat());
    let of_another = json!({ "layerDigests": [Digest::of(b"another")] }).to_string();
    let claims = manifest(&descriptor(CONFIG, of_another.as_bytes()), &[descriptor(COMPONENT, WASM)]);
    let of_another = serving(&claims, of_another.as_bytes(), None);
    let (elsewhere, redirected) = redirecting(&WASM.to_ascii_uppercase());
    let mislabelled = serving(
        &good,
        b"{}",
        Some(Box::new(|asked| {
            let is_manifest = asked.path.ends_with("/manifests/1");
            is_manifest.then(|| Reply::ok("{}").header("docker-content-digest", &Digest::of(b"other").to_string()))
        })),
    );
    let shown = [
        ("configuration", other_config),
        ("bytes", other_bytes),
        ("longer", longer),
        ("claims", of_another),
        ("redirected", redirected),
        ("mislabelled", mislabelled),
    ]
    .map(|(name, world)| format!("{name}: {}", refused(&world)));
    assert_eq!(elsewhere.lines().len(), 1);
    insta::assert_snapshot!(shown.join("\n\n"), @"
    configuration: could not verify sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a
    caused by: its bytes are others than promised

    bytes: could not pull `HOST/java@sha256:ef889fa8aa307665bca620d719e31db2fab8980ae975145d449d4110e9789039`
    caused by: could not pull the layer sha256:9aa4d0f286be884c3cf018206ecea42518c0d77dbbae6b7afcb7a764625d87d1 of HOST/java
    caused by: its bytes are others than its descriptor promised

    longer: could not pull `HOST/java@sha256:ef889fa8aa307665bca620d719e31db2fab8980ae975145d449d4110e9789039`
    caused by: could not pull the layer sha256:9aa4d0f286be884c3cf018206ecea42518c0d77dbbae6b7afcb7a764625d87d1 of HOST/java
    caused by: its bytes are others than its descriptor promised

    claims: could not use the buildpack `HOST/java:1`
    caused by: its configuration is about another component than its manifest

    redirected: could not pull `HOST/java@sha256:9694c13a3a46d50effe75f76e060a309021c7843488c9ca387663ce121278425`
    caused by: could not pull the layer sha256:9aa4d0f286be884c3cf018206ecea42518c0d77dbbae6b7afcb7a764625d87d1 of HOST/java
    caused by: its bytes are others than its descriptor promised

    mislabelled: could not pull the buildpack `HOST/java:1`
    caused by: the manifest's digest is not the one that was asked for, or that the registry named
    ");
}

/// A guarded registry that sends whoever asks for the component to another one, which has these bytes.
fn redirecting(bytes: &[u8]) -> (TestRegistry, World) {
    let elsewhere = TestRegistry::start(Guard::Open, None).unwrap();
    elsewhere.put_blob("store", &Digest::of(WASM), bytes);
    let location = format!("http://{}/v2/store/blobs/{}", elsewhere.host(), Digest::of(WASM));
    let hook: Hook = Box::new(move |asked| {
        let is_wasm = asked.path.ends_with(&Digest::of(WASM).to_string()) && asked.header("authorization").is_some();
        is_wasm.then(|| Reply::redirect(307, &location))
    });
    let world = world(Guard::Basic(ME), Some(ME), Some(hook));
    for bytes in [one().config.as_slice(), WASM] {
        world.registry.put_blob("java", &Digest::of(bytes), bytes);
    }
    world.registry.put_manifest("java", "1", MANIFEST, &one().manifest);
    (elsewhere, world)
}

#[test]
fn whoever_keeps_the_bytes_is_told_no_password() {
    let (elsewhere, world) = redirecting(WASM);
    assert_eq!(component::pull(&place(&world, "java:1"), LIMIT, &means(&world)).unwrap().1, WASM);
    let asked = elsewhere.asked();
    assert_eq!((asked.len(), asked[0].header("authorization")), (1, None));
}

#[test]
fn a_component_arrives_through_faults() {
    let script = Box::new(|asked: &Asked| match asked.number {
        0 => Some(Wrong::Status(503, None)),
        2 => Some(Wrong::Half),
        4 => Some(Wrong::Unheard),
        _ => None,
    });
    let world = world_of(Character { script: Some(script), ..Character::default() }, None);
    for bytes in [one().config.as_slice(), WASM] {
        world.registry.put_blob("java", &Digest::of(bytes), bytes);
    }
    world.registry.put_manifest("java", "1", MANIFEST, &one().manifest);
    assert_eq!(component::pull(&place(&world, "java:1"), LIMIT, &means(&world)).unwrap().1, WASM);
}
