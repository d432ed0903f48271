//! Signatures by cosign and by this crate, and everything that can be wrong with one.

use std::error::Error as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::*;
use crate::{
    bundle::{BUNDLE, MAX_BUNDLE, encoded},
    fixtures::{self, COSIGN_BUNDLE, COSIGN_PAYLOAD, COSIGN_SIGNATURE, PASSWORD, PLAIN_PRIVATE, PRIVATE, keys, signed},
    secret::PrivateKey,
    simple::MAX_PAYLOAD,
};

const STATEMENT: &str = "application/vnd.in-toto+json";
const KIND: &str = "cosign container image signature";

fn ours() -> PrivateKey {
    PrivateKey::from_pem(PLAIN_PRIVATE, b"").unwrap()
}

fn other() -> PrivateKey {
    PrivateKey::from_pem(fixtures::OTHER_PRIVATE, b"").unwrap()
}

/// Whose it is, or why nobody's.
fn told(signed: &Signed<'_>) -> String {
    match signer(signed, &fixtures::signed(), &keys()) {
        Ok(name) => format!("signed by {name}"),
        Err(error) => {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("{error}{cause}")
        }
    }
}

fn told_of(bundle: &Value) -> String {
    told(&Signed::Bundle(bundle.to_string().as_bytes()))
}

/// A statement that says yes to an artefact.
fn statement() -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "digest": { "sha256": signed().hex() } }],
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "predicate": {},
    })
}

/// A bundle around a payload of some type, signed by a key.
fn enveloped(key: &PrivateKey, kind: &str, payload: &[u8]) -> Value {
    json!({
        "mediaType": BUNDLE,
        "verificationMaterial": { "publicKey": { "hint": key.public().hint() } },
        "dsseEnvelope": {
            "payload": STANDARD.encode(payload),
            "payloadType": kind,
            "signatures": [{ "sig": key.signature(&encoded(kind, payload)) }],
        },
    })
}

fn stated(statement: &Value) -> Value {
    enveloped(&ours(), STATEMENT, statement.to_string().as_bytes())
}

#[test]
fn what_cosign_signed_is_verified() {
    assert_eq!(told(&Signed::Bundle(COSIGN_BUNDLE)), "signed by ours");
    let signature = COSIGN_SIGNATURE.trim();
    let simple = Signed::Simple { payload: COSIGN_PAYLOAD, signature, has_certificate: false };
    assert_eq!(told(&simple), "signed by ours");
}

#[test]
fn what_is_signed_here_is_verified_and_always_the_same() {
    let bundle = ours().sign(&signed());
    assert_eq!(told(&Signed::Bundle(&bundle)), "signed by ours");
    // The key behind a password is the same key, and there is no chance in a signature.
    assert_eq!(PrivateKey::from_pem(PRIVATE, PASSWORD).unwrap().sign(&signed()), bundle);
    let shape: Value = serde_json::from_slice(&bundle).unwrap();
    let theirs: Value = serde_json::from_slice(COSIGN_BUNDLE).unwrap();
    assert_eq!(shape["mediaType"], theirs["mediaType"]);
    assert_eq!(shape["verificationMaterial"], theirs["verificationMaterial"]);
    assert_eq!(told(&Signed::Bundle(&other().sign(&signed()))), "signed by theirs");
}

#[test]
fn a_signature_of_the_manifest_itself_is_verified() {
    let manifest = fixtures::MANIFEST;
    let bundle = |digest: &Digest, signature: &str| {
        json!({
            "mediaType": BUNDLE,
            "verificationMaterial": { "publicKey": { "hint": ours().public().hint() } },
            "messageSignature": {
                "messageDigest": { "algorithm": "SHA2_256", "digest": STANDARD.encode(digest.bytes()) },
                "signature": signature,
            },
        })
    };
    let good = bundle(&signed(), &ours().signature(manifest));
    assert_eq!(told_of(&good), "signed by ours");
    let another = bundle(&Digest::of(b"another"), &ours().signature(b"another"));
    let claimed = bundle(&signed(), &ours().signature(b"another"));
    let mut other_hash = good.clone();
    other_hash["messageSignature"]["messageDigest"]["algorithm"] = json!("SHA2_512");
    insta::assert_snapshot!([another, claimed, other_hash].map(|bundle| told_of(&bundle)).join("\n"), @"
    it is about another artefact
    it says to be made with the key ours, and is not: it, or what is signed, was changed
    the type of its digest is `SHA2_512`
    ");
}

#[test]
fn what_says_something_else_is_no_signature() {
    let mut of_another = statement();
    of_another["subject"][0]["digest"]["sha256"] = json!(Digest::of(b"another").hex());
    let mut weak = statement();
    weak["subject"][0]["digest"] = json!({ "sha1": signed().hex(), "SHA256": signed().hex() });
    let mut nobody = statement();
    nobody["subject"] = json!([]);
    let mut crowd = statement();
    crowd["subject"] = json!(vec![json!({ "digest": {} }); 65]);
    let mut bill = statement();
    bill["predicateType"] = json!("https://cyclonedx.org/bom");
    let mut older = statement();
    older["_type"] = json!("https://in-toto.io/Statement/v0.1");
    let twice = statement().to_string().replacen('{', r#"{"predicateType":"x","#, 1);
    let twice = enveloped(&ours(), STATEMENT, twice.as_bytes());
    let text = enveloped(&ours(), "text/plain", statement().to_string().as_bytes());
    let shown = [of_another, weak, nobody, crowd, bill, older].map(|statement| told_of(&stated(&statement)));
    insta::assert_snapshot!([&shown[..], &[told_of(&twice), told_of(&text)]].concat().join("\n"), @"
    it is about another artefact
    it is about another artefact
    it is about another artefact
    it has too many artefacts that it is about
    the type of its predicate is `https://cyclonedx.org/bom`
    the type of its statement is `https://in-toto.io/Statement/v0.1`
    it cannot be read: it is not the JSON it should be
    the type of its payload is `text/plain`
    ");
}

#[test]
fn what_nobody_known_signed_is_no_signature() {
    let stranger = fixtures::stranger();
    let by_stranger = enveloped(&stranger, STATEMENT, statement().to_string().as_bytes());
    let mut unnamed = by_stranger.clone();
    unnamed["verificationMaterial"] = json!({ "publicKey": {} });
    // The stranger says to be somebody else.
    let mut claimed = by_stranger.clone();
    claimed["verificationMaterial"]["publicKey"]["hint"] = json!(ours().public().hint());
    // What was signed is changed afterwards.
    let mut tampered = stated(&statement());
    let mut other = statement();
    other["predicate"] = json!({ "more": true });
    tampered["dsseEnvelope"]["payload"] = json!(STANDARD.encode(other.to_string()));
    // A signature of the payload, but not of its type.
    let mut bare = stated(&statement());
    bare["dsseEnvelope"]["signatures"][0]["sig"] = json!(ours().signature(statement().to_string().as_bytes()));
    let mut torn = stated(&statement());
    torn["dsseEnvelope"]["signatures"][0]["sig"] = json!("MEUCIQ==");
    let shown = [by_stranger, unnamed, claimed, tampered, bare, torn].map(|bundle| told_of(&bundle));
    insta::assert_snapshot!(shown.join("\n").replace(&stranger.public().hint(), "HINT"), @"
    it is made with another key (HINT)
    it is made with another key
    it says to be made with the key ours, and is not: it, or what is signed, was changed
    it says to be made with the key ours, and is not: it, or what is signed, was changed
    it says to be made with the key ours, and is not: it, or what is signed, was changed
    it says to be made with the key ours, and is not: it, or what is signed, was changed
    ");
    // The hint only says which key to ask first: a wrong one takes nothing from a good signature.
    let mut misled = stated(&statement());
    misled["verificationMaterial"]["publicKey"]["hint"] = json!("x");
    assert_eq!(told_of(&misled), "signed by ours");
}

#[test]
fn what_is_no_bundle_that_cosign_makes_is_refused() {
    let good = stated(&statement());
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut bundle = good.clone();
        change(&mut bundle);
        bundle
    };
    let cases = [
        changed(&|bundle| bundle["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.1")),
        changed(&|bundle| bundle["mediaType"] = json!(["x"])),
        changed(&|bundle| bundle["verificationMaterial"]["certificate"] = json!({ "rawBytes": "" })),
        changed(&|bundle| bundle["verificationMaterial"] = json!({ "x509CertificateChain": { "certificates": [] } })),
        changed(&|bundle| bundle["messageSignature"] = json!({ "signature": "" })),
        changed(&|bundle| bundle["dsseEnvelope"] = Value::Null),
        changed(&|bundle| bundle["dsseEnvelope"]["signatures"] = json!([])),
        changed(&|bundle| bundle["dsseEnvelope"]["signatures"] = json!(vec![json!({ "sig": "" }); 2])),
        changed(&|bundle| bundle["dsseEnvelope"]["payload"] = json!("*")),
        changed(&|bundle| bundle["dsseEnvelope"] = json!("x")),
    ];
    let mut shown: Vec<String> = cases.iter().map(told_of).collect();
    let twice = good.to_string().replacen('{', &format!("{{\"mediaType\":\"{BUNDLE}\","), 1);
    shown.push(told(&Signed::Bundle(twice.as_bytes())));
    shown.push(told(&Signed::Bundle(&vec![b' '; MAX_BUNDLE + 1])));
    shown.push(told(&Signed::Bundle("[".repeat(1000).as_bytes())));
    insta::assert_snapshot!(shown.join("\n"), @"
    the type of its bundle is `application/vnd.dev.sigstore.bundle+json;version=0.1`
    the type of its bundle is ``
    it is made with a certificate for an identity, and only signatures of keys can be verified
    it is made with a certificate for an identity, and only signatures of keys can be verified
    it has an envelope and a signature of a message, and may have one of them
    there is no signature in it
    there is no signature in it
    it has too many signatures
    it is not base64 where it should be
    it cannot be read: it is not the JSON it should be
    it cannot be read: it is not the JSON it should be
    it has more than 262144 bytes
    it cannot be read: it is not the JSON it should be
    ");
}

#[test]
fn the_older_format_is_read_as_strictly() {
    let payload = |digest: &Digest, kind: &str| {
        let image = json!({ "docker-manifest-digest": digest });
        let critical =
            json!({ "identity": { "docker-reference": "registry.example.com/x" }, "image": image, "type": kind });
        json!({ "critical": critical, "optional": null }).to_string()
    };
    let judged = |payload: &str, signature: &str, has_certificate| {
        told(&Signed::Simple { payload: payload.as_bytes(), signature, has_certificate })
    };
    let by = |key: &PrivateKey, payload: &str| judged(payload, &key.signature(payload.as_bytes()), false);
    let good = payload(&signed(), KIND);
    let another = payload(&Digest::of(b"another"), KIND);
    let twice = good.replacen('{', r#"{"critical":{},"#, 1);
    let large = format!("{good}{}", " ".repeat(MAX_PAYLOAD));
    let shown = [
        by(&ours(), &good),
        by(&fixtures::stranger(), &good),
        by(&ours(), &another),
        by(&ours(), &payload(&signed(), "atomic container signature")),
        by(&ours(), &twice),
        by(&ours(), &large),
        judged(&good, &ours().signature(another.as_bytes()), false),
        judged(&good, &ours().signature(good.as_bytes()), true),
        judged(&good, "*", false),
    ];
    insta::assert_snapshot!(shown.join("\n"), @"
    signed by ours
    it is made with another key
    it is about another artefact
    the type of its payload is `atomic container signature`
    it cannot be read: it is not the JSON it should be
    it has more than 65536 bytes
    it is made with another key
    it is made with a certificate for an identity, and only signatures of keys can be verified
    it is not base64 where it should be
    ");
}

#[test]
fn nobody_who_is_not_asked_for_is_believed() {
    let none = Keyring::default();
    let bundle = ours().sign(&signed());
    let told = signer(&Signed::Bundle(&bundle), &signed(), &none).unwrap_err();
    assert!(matches!(told, Unverified::Stranger(Some(_))), "{told}");
    assert_eq!(
        signer(&Signed::Bundle(&bundle), &Digest::of(b"another"), &keys()).unwrap_err().to_string(),
        "it is about another artefact"
    );
}
