//! Lists of referrers that somebody else wrote, under the tag that stands for an image where a registry does not list them.

use serde_json::Value;
use stave_lifecycle::port::observer::{Event, Level, Observer};

use super::{super::attach::with_bills, *};

/// What somebody is warned of.
#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Observer for Warnings {
    fn observe(&self, event: Event) {
        if let Event::Note(Level::Warning, text) = event {
            self.0.lock().unwrap().push(text);
        }
    }
}

/// The tag of an image's list.
fn tag(image: &Image) -> String {
    image.digest().to_string().replace(':', "-")
}

/// Publishes an image with its bills; what was warned of.
fn publish(world: &World, image: &Image) -> String {
    let warnings = Warnings::default();
    let sink = RegistryTag::new(world.registries.clone(), world.reference("app:1")).unwrap().with_bills();
    sink.put(image, &warnings, &Cancel::new()).unwrap();
    assert_eq!(world.pull("app:1").unwrap().digest(), image.digest());
    warnings.0.into_inner().unwrap().join("\n").replace(&world.registry.host(), "HOST")
}

fn entry(digest: &Digest, size: usize) -> Value {
    json!({ "mediaType": MANIFEST, "artifactType": "application/x", "digest": digest, "size": size })
}

#[test]
fn n25_a_list_of_referrers_has_its_measure() {
    let image = with_bills();
    let listing = |entries: Vec<Value>| {
        json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries }).to_string().into_bytes()
    };
    // As many as fit into the bytes that are read, and as many as are allowed.
    let million = format!("{{\"manifests\":[{}{{}}]}}", "{},".repeat(999_999)).into_bytes();
    let cases = [
        ("a million", million),
        ("a thousand", listing((0..1000_u32).map(|n| entry(&Digest::of(&n.to_le_bytes()), 1)).collect())),
        ("no index", image.manifest.clone()),
        ("a page", b"<html>".to_vec()),
    ];
    let mut shown = Vec::new();
    for (name, list) in cases {
        let world = world(Guard::Open, None, None);
        world.registry.put_manifest("app", &tag(&image), INDEX, &list);
        shown.push(format!("{name}: {}", publish(&world, &image)));
        assert!(world.registry.manifest("app", &tag(&image)).unwrap() == list, "{name}: what is there stays");
    }
    insta::assert_snapshot!(shown.join("\n").replace(&tag(&image), "TAG"), @"
    a million: could not list the SBOM of `HOST/app:1`: it has 1000000 entries already, and 1000 are allowed
    a thousand: could not list the SBOM of `HOST/app:1`: it has 1000 entries already, and 1000 are allowed
    no index: could not list the SBOM of `HOST/app:1`: what the registry has under its tag is no index
    a page: could not list the SBOM of `HOST/app:1`: what the registry has under its tag cannot be read: it is not the JSON it should be: expected value at line 1 column 1
    ");
}

#[test]
fn n25_an_endless_list_of_referrers_ends() {
    let image = with_bills();
    let path = format!("/v2/app/manifests/{}", tag(&image));
    let hook: Hook = Box::new(move |asked| {
        let is_list = asked.method == "GET" && asked.path == path;
        is_list.then(|| Reply::ok("{").fault(Trouble::Endless))
    });
    let world = world(Guard::Open, None, Some(hook));
    let warned = publish(&world, &image);
    assert!(warned.contains("is larger than the 4194304 bytes allowed"), "{warned}");
    assert_eq!(world.registry.manifest("app", &tag(&image)), None);
}

#[test]
fn n25_a_list_that_leads_to_itself_is_not_followed() {
    let image = with_bills();
    let fresh = world(Guard::Open, None, None);
    publish(&fresh, &image);
    let requests = fresh.registry.lines().len();

    let world = world(Guard::Open, None, None);
    // An artefact about the image that is its own subject, and the image, which is about itself.
    let own = Digest::of(b"about itself");
    let about = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "subject": entry(&own, 9) }).to_string();
    world.registry.put_manifest("app", &own.to_string(), MANIFEST, about.as_bytes());
    let others = [entry(&own, about.len()), entry(&image.digest(), image.manifest.len())];
    let list = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": others, "annotations": { "k": "v" } });
    world.registry.put_manifest("app", &tag(&image), INDEX, list.to_string().as_bytes());
    assert_eq!(publish(&world, &image), "");
    assert_eq!(world.registry.lines().len(), requests, "{:?}", world.registry.lines());
    let list: Value = serde_json::from_slice(&world.registry.manifest("app", &tag(&image)).unwrap()).unwrap();
    let listed = list["manifests"].as_array().unwrap();
    assert_eq!((&listed[..2], listed.len(), &list["annotations"]["k"]), (&others[..], 4, &json!("v")));
}
