//! Signatures in registries: hung there, listed, and met in bad shape.

use serde_json::Value;
use stave_lifecycle::image::Descriptor;

use super::*;
use crate::{
    Attachment,
    component::{Means, Place},
    index::descriptor_of,
    signature::{self, BUNDLE, MAX_SIGNATURES, Signature, older_tag},
};

const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

fn means(world: &World) -> Means {
    Means {
        registries: world.registries.clone(),
        blobs: Arc::new(FolderBlobs::new(world.temp.path())),
        observer: Arc::new(Silent),
        cancel: Cancel::new(),
    }
}

fn place(world: &World) -> Place {
    Place::Registry(world.reference("app:1"))
}

/// An image in the registry, and what leads to it.
fn published(world: &World) -> Descriptor {
    world.push("app:1", &two_layers()).unwrap();
    descriptor_of(&two_layers())
}

fn attach(world: &World, subject: &Descriptor, bytes: &[u8]) {
    let attachment = Attachment { media_type: BUNDLE, annotations: &[("k", "v")], file: bytes };
    signature::attach(&place(world), subject, &attachment, &means(world)).unwrap();
}

fn list(world: &World, subject: &Descriptor) -> Result<Vec<Signature>, PortError> {
    signature::list(&place(world), &subject.digest, &means(world))
}

/// What is found, or why nothing is.
fn told(world: &World, subject: &Descriptor) -> String {
    match list(world, subject) {
        Err(error) => world.told(&error),
        Ok(found) => {
            let one = |signature: &Signature| match signature {
                Signature::Bundle(bytes) => format!("bundle {}", String::from_utf8_lossy(bytes)),
                Signature::Simple { payload, signature, has_certificate } => {
                    format!("payload {} {signature} {has_certificate}", String::from_utf8_lossy(payload))
                }
                Signature::Unreadable(why) => format!("unreadable: {why}"),
            };
            found.iter().map(one).collect::<Vec<_>>().join("\n").replace(&world.registry.host(), "HOST")
        }
    }
}

fn tag(subject: &Descriptor) -> String {
    subject.digest.to_string().replace(':', "-")
}

/// Lists entries under the tag that stands for the subject.
fn listing(world: &World, subject: &Descriptor, entries: &[Value]) {
    let list = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries });
    world.registry.put_manifest("app", &tag(subject), INDEX, list.to_string().as_bytes());
}

/// Puts a manifest on the shelf; what leads to it.
fn put(world: &World, manifest: &Value) -> Value {
    let bytes = manifest.to_string().into_bytes();
    let digest = Digest::of(&bytes);
    world.registry.put_manifest("app", &digest.to_string(), MANIFEST, &bytes);
    json!({ "mediaType": MANIFEST, "artifactType": BUNDLE, "digest": digest, "size": bytes.len() })
}

fn blob(world: &World, media_type: &str, bytes: &[u8]) -> Value {
    world.registry.put_blob("app", &Digest::of(bytes), bytes);
    json!({ "mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len() })
}

#[test]
fn a_signature_hangs_there_and_is_found() {
    for guard in [Guard::Open, Guard::Bearer(ME)] {
        let world = world(guard, Some(ME), None);
        let subject = published(&world);
        assert_eq!(list(&world, &subject).unwrap(), []);
        attach(&world, &subject, b"{\"one\":1}");
        attach(&world, &subject, b"{\"two\":2}");
        attach(&world, &subject, b"{\"one\":1}");
        assert_eq!(told(&world, &subject), "bundle {\"one\":1}\nbundle {\"two\":2}");
        let index: Value = serde_json::from_slice(&world.registry.manifest("app", &tag(&subject)).unwrap()).unwrap();
        let entry = &index["manifests"][0];
        assert_eq!((&entry["artifactType"], &entry["annotations"]["k"]), (&json!(BUNDLE), &json!("v")));
        let manifest = world.registry.manifest("app", entry["digest"].as_str().unwrap()).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        assert_eq!(manifest["subject"], json!(subject));
        // The tag leads where it led.
        assert_eq!(signature::subject(&place(&world), &means(&world)).unwrap(), subject);
    }
}

#[test]
fn a_registry_that_lists_referrers_is_asked_page_by_page() {
    let shelf: Arc<Mutex<Vec<Value>>> = Arc::default();
    let held = Arc::clone(&shelf);
    let hook: Hook = Box::new(move |asked| {
        let (path, query) = asked.path.split_once('?')?;
        path.contains("/referrers/").then(|| {
            let page: usize = query.split_once("page=").map_or(0, |(_, page)| page.parse().unwrap());
            let entry = held.lock().unwrap().get(page).cloned();
            let list = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] });
            let reply = Reply::ok(list.to_string()).header("content-type", INDEX);
            match page {
                0 => reply.header("link", "<?page=1>; rel=\"next\""),
                _ => reply,
            }
        })
    });
    let world = world(Guard::Open, None, Some(hook));
    let subject = published(&world);
    for text in ["a", "b"] {
        let layer = blob(&world, BUNDLE, text.as_bytes());
        let entry = put(&world, &json!({ "subject": subject, "layers": [layer] }));
        shelf.lock().unwrap().push(entry);
    }
    // What stands under the tag is not asked for.
    listing(&world, &subject, &vec![json!({}); 2000]);
    assert_eq!(told(&world, &subject), "bundle a\nbundle b");
    let asked = world.registry.lines().into_iter().find(|line| line.contains("/referrers/")).unwrap();
    assert!(
        asked.ends_with(&format!(
            "referrers/{}?artifactType={}",
            subject.digest,
            BUNDLE.replace('/', "%2F").replace('+', "%2B")
        )),
        "{asked}"
    );
}

#[test]
fn the_older_format_is_read_too() {
    let world = world(Guard::Open, None, None);
    let subject = published(&world);
    let mut signed = blob(&world, PAYLOAD, b"{\"payload\":1}");
    signed["annotations"] = json!({ "dev.cosignproject.cosign/signature": "MEUC", "other": "x" });
    let mut certified = blob(&world, PAYLOAD, b"{\"payload\":2}");
    certified["annotations"] =
        json!({ "dev.cosignproject.cosign/signature": "MEUD", "dev.sigstore.cosign/certificate": "-----BEGIN" });
    let bare = blob(&world, PAYLOAD, b"{\"payload\":3}");
    let other = blob(&world, "text/plain", b"x");
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "layers": [signed, certified, bare, other] });
    world.registry.put_manifest("app", &older_tag(&subject.digest), MANIFEST, manifest.to_string().as_bytes());
    attach(&world, &subject, b"{}");
    insta::assert_snapshot!(told(&world, &subject), @r#"
    bundle {}
    payload {"payload":1} MEUC false
    payload {"payload":2} MEUD true
    unreadable: its payload has no signature beside it
    "#);
}

#[test]
fn n25_what_cannot_be_read_takes_nothing_from_what_can() {
    let world = world(Guard::Open, None, None);
    let subject = published(&world);
    let good = blob(&world, BUNDLE, b"{\"good\":1}");
    let lost = json!({ "mediaType": BUNDLE, "digest": Digest::of(b"lost"), "size": 4 });
    let mut huge = good.clone();
    huge["size"] = json!(1_u64 << 40);
    let swapped = json!({ "mediaType": BUNDLE, "digest": Digest::of(b"swapped"), "size": 7 });
    world.registry.put_blob("app", &Digest::of(b"swapped"), b"another");
    let of = |layers: &[&Value]| put(&world, &json!({ "subject": subject, "layers": layers }));
    let mut elsewhere = subject.clone();
    elsewhere.digest = Digest::of(b"elsewhere");
    let entries = [
        of(&[&lost]),
        of(&[&huge]),
        of(&[&swapped]),
        of(&[&good]),
        // About something else, about nothing, or no signature at all.
        put(&world, &json!({ "subject": elsewhere, "layers": [good] })),
        put(&world, &json!({ "layers": [good] })),
        put(&world, &json!({ "subject": subject, "layers": [blob(&world, "text/x", b"x")] })),
        put(&world, &json!({ "subject": subject, "layers": "x" })),
        json!({ "mediaType": MANIFEST, "artifactType": BUNDLE, "digest": Digest::of(b"gone"), "size": 4 }),
        json!({ "mediaType": MANIFEST, "artifactType": BUNDLE, "digest": "sha256:../../x", "size": 4 }),
        json!({ "mediaType": MANIFEST, "artifactType": BUNDLE, "digest": Digest::of(b"x"), "size": 1_u64 << 40 }),
        json!({ "mediaType": MANIFEST, "artifactType": "application/spdx+json", "digest": Digest::of(b"y"), "size": 1 }),
        json!({ "mediaType": INDEX, "artifactType": BUNDLE, "digest": Digest::of(b"z"), "size": 1 }),
        json!("x"),
    ];
    listing(&world, &subject, &entries);
    world.registry.put_manifest("app", &older_tag(&subject.digest), MANIFEST, b"<html>");
    let told = told(&world, &subject);
    insta::with_settings!({ filters => vec![("[0-9a-f]{64}", "HEX")] }, {
        insta::assert_snapshot!(told, @r#"
        unreadable: could not pull sha256:HEX of `HOST/app:1`: http://HOST/v2/app/blobs/sha256:HEX answered 404 (not found)
        unreadable: it says to have 1099511627776 bytes; 1 to 262144 are taken
        unreadable: could not verify sha256:HEX: its bytes are others than promised
        bundle {"good":1}
        unreadable: it is not the JSON it should be: invalid type: string "x", expected a sequence
        unreadable: could not pull sha256:HEX of `HOST/app:1`: http://HOST/v2/app/manifests/sha256:HEX answered 404 (not found)
        unreadable: its entry is none
        unreadable: it says to have 1099511627776 bytes; 1 to 262144 are taken
        unreadable: it is not the JSON it should be: expected value at line 1 column 1
        "#);
    });
}

#[test]
fn n25_lists_of_signatures_have_their_measure() {
    let many = |count: usize| -> Vec<Value> {
        let digest = |n: usize| Digest::of(&n.to_le_bytes());
        (0..count).map(|n| json!({ "mediaType": MANIFEST, "digest": digest(n), "size": 5 })).collect()
    };
    let layers = |count: usize| {
        let layer = json!({ "mediaType": PAYLOAD, "digest": Digest::of(b"p"), "size": 1 });
        json!({ "schemaVersion": 2, "mediaType": MANIFEST, "layers": vec![layer; count] })
    };
    let mut shown = Vec::new();
    for entries in [many(MAX_SIGNATURES + 1), many(1025)] {
        let world = world(Guard::Open, None, None);
        let subject = published(&world);
        listing(&world, &subject, &entries);
        shown.push(told(&world, &subject));
    }
    let world = world(Guard::Open, None, None);
    let subject = published(&world);
    let manifest = layers(MAX_SIGNATURES + 10).to_string();
    world.registry.put_manifest("app", &older_tag(&subject.digest), MANIFEST, manifest.as_bytes());
    shown.push(told(&world, &subject));
    listing(&world, &subject, &[]);
    world.registry.put_manifest("app", &tag(&subject), INDEX, b"{}");
    shown.push(told(&world, &subject));
    insta::assert_snapshot!(shown.join("\n"), @"
    could not look at the signatures of `HOST/app:1`
    caused by: there are more than 64
    could not look for signatures of `HOST/app:1`
    caused by: it has 1025 entries, more than 1024
    could not look at the signatures of `HOST/app:1`
    caused by: there are more than 64
    could not look for signatures of `HOST/app:1`
    caused by: it is no list of manifests
    ");
}

#[test]
fn n25_a_list_that_leads_away_or_never_ends_is_not_followed() {
    let lies: [(&str, &str); 4] = [
        ("elsewhere", "<http://other.example.com/v2/app/referrers/x>; rel=\"next\""),
        ("another list", "</v2/other/referrers/x>; rel=\"next\""),
        ("itself", "<?again=1>; rel=\"next\""),
        ("nothing", "</v2/app/tags>; rel=\"last\""),
    ];
    let mut shown = Vec::new();
    for (name, link) in lies {
        let hook: Hook = Box::new(move |asked| {
            let list = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] }).to_string();
            asked.path.contains("/referrers/").then(|| Reply::ok(list).header("link", link))
        });
        let world = world(Guard::Open, None, Some(hook));
        let subject = published(&world);
        shown.push(format!("{name}: {}", told(&world, &subject)));
    }
    let hook: Hook =
        Box::new(|asked| asked.path.contains("/referrers/").then(|| Reply::ok("{").fault(Trouble::Endless)));
    let world = world(Guard::Open, None, Some(hook));
    let subject = published(&world);
    shown.push(format!("endless: {}", told(&world, &subject).lines().next().unwrap()));
    insta::assert_snapshot!(shown.join("\n"), @"
    elsewhere: could not look for signatures of `HOST/app:1`
    caused by: its list of referrers goes on somewhere else
    another list: could not look for signatures of `HOST/app:1`
    caused by: its list of referrers goes on somewhere else
    itself: could not look for signatures of `HOST/app:1`
    caused by: its list of referrers has too many pages
    nothing: 
    endless: could not look for signatures of `HOST/app:1`
    ");
}
