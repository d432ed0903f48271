//! Signatures in layouts: hung on what is there, which is found as before.

use std::sync::Arc;

use stave_archive::content::Bytes;
use stave_lifecycle::image::Descriptor;
use stave_transport::{Client, Options};

use super::*;
use crate::{
    Attachment,
    component::{self, CONFIG, Facts, Means, artifact},
    index::descriptor_of,
    registry::{Registries, credentials::Credentials},
    signature::{self, BUNDLE, Signature},
    testing::FolderBlobs,
};

const WASM: &[u8] = b"\0asm\x0d\0\x01\0 and so on";

fn means(folder: &Path) -> Means {
    Means {
        registries: Registries::new(Client::new(Options::default()), Credentials::none(), []),
        blobs: Arc::new(FolderBlobs::new(folder)),
        observer: Arc::new(Silent),
        cancel: Cancel::new(),
    }
}

fn at(folder: &Path, name: Option<&str>) -> component::Place {
    component::Place::Layout { place: place(folder, name), digest: None }
}

#[test]
fn a_signature_hangs_beside_what_it_signs() {
    let temp = tempfile::tempdir().unwrap();
    let (folder, means) = (temp.path().join("out"), means(temp.path()));
    let one = artifact(Arc::new(Bytes::new(WASM)), Digest::of(WASM), &Facts::default());
    component::push(&at(&folder, None), &one, &means).unwrap();
    let subject = descriptor_of(&one);
    assert_eq!(signature::subject(&at(&folder, None), &means).unwrap(), subject);
    let attach = |bytes: &[u8], subject: &Descriptor| {
        let attachment = Attachment { media_type: BUNDLE, annotations: &[("k", "v")], file: bytes };
        signature::attach(&at(&folder, None), subject, &attachment, &means)
    };
    for bytes in [b"{\"one\":1}", b"{\"two\":2}", b"{\"one\":1}"] {
        attach(bytes, &subject).unwrap();
    }
    let listed = |digest: &Digest| signature::list(&at(&folder, None), digest, &means).unwrap();
    let expected = [b"{\"one\":1}", b"{\"two\":2}"].map(|bytes| Signature::Bundle(bytes.to_vec()));
    assert_eq!(listed(&subject.digest), expected);
    assert_eq!(listed(&Digest::of(b"another")), []);
    // It is found as before, and named once more.
    assert_eq!(component::pull(&at(&folder, None), 1000, &means).unwrap().1, WASM);
    assert_eq!(signature::subject(&at(&folder, None), &means).unwrap(), subject);
    component::push(&at(&folder, None), &one, &means).unwrap();
    assert_eq!(listed(&subject.digest), expected);
    let missing = Descriptor { digest: Digest::of(b"missing"), ..subject };
    let error = told(&attach(b"{}", &missing).unwrap_err(), &folder);
    insta::with_settings!({ filters => vec![("[0-9a-f]{64}", "HEX")] }, {
        insta::assert_snapshot!(error, @"
        could not attach a signature to sha256:HEX in `oci:DIR`
        caused by: could not read sha256:HEX in `oci:DIR`
        caused by: No such file or directory (os error 2)
        ");
    });
}

#[test]
fn what_other_tools_copied_is_found_by_its_names() {
    let temp = tempfile::tempdir().unwrap();
    let (folder, means) = (temp.path().join("out"), means(temp.path()));
    let one = artifact(Arc::new(Bytes::new(WASM)), Digest::of(WASM), &Facts::default());
    component::push(&at(&folder, Some("java")), &one, &means).unwrap();
    let subject = descriptor_of(&one);
    let blob = |kind: &str, bytes: &[u8]| {
        fs::write(folder.join("blobs/sha256").join(Digest::of(bytes).hex()), bytes).unwrap();
        json!({ "mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len() })
    };
    let bundle = blob(BUNDLE, b"{\"bundle\":1}");
    let manifest = json!({ "mediaType": MANIFEST, "subject": subject, "layers": [bundle] }).to_string();
    let list = json!({ "manifests": [blob(MANIFEST, manifest.as_bytes())] }).to_string();
    let mut payload = blob("application/vnd.dev.cosign.simplesigning.v1+json", b"{}");
    payload["annotations"] = json!({ "dev.cosignproject.cosign/signature": "MEUC" });
    let older = json!({ "mediaType": MANIFEST, "layers": [payload] }).to_string();
    let mut outer = index(&folder);
    let tag = subject.digest.to_string().replace(':', "-");
    for (kind, bytes, name) in [(INDEX, list, tag.clone()), (MANIFEST, older, format!("{tag}.sig"))] {
        let mut entry = blob(kind, bytes.as_bytes());
        entry["annotations"] = json!({ NAME: name });
        outer["manifests"].as_array_mut().unwrap().push(entry);
    }
    fs::write(folder.join("index.json"), outer.to_string()).unwrap();
    let simple = Signature::Simple { payload: b"{}".to_vec(), signature: "MEUC".to_owned(), has_certificate: false };
    let found = signature::list(&at(&folder, Some("java")), &subject.digest, &means).unwrap();
    assert_eq!(found, [Signature::Bundle(b"{\"bundle\":1}".to_vec()), simple]);
    assert_eq!(signature::subject(&at(&folder, None), &means).unwrap(), subject, "signatures are not meant");
    assert!(outer["manifests"][0]["artifactType"] == CONFIG);
}
