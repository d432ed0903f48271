//! Sigstore bundles, version 0.3: a signature with what belongs to it in one JSON document.
//!
//! cosign puts a statement of the artefact's digest into an envelope (DSSE) and signs that; a bundle can also carry a plain
//! signature of a message, which here is the artefact's manifest. What is not signed of a bundle decides nothing: it says which
//! key to try, and a wrong answer only leads to a signature that does not verify.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stave_model::{digest::Digest, json};

pub use crate::statement::SIGNED;
use crate::{
    key::Keyring,
    statement::{self, PAYLOAD},
    verify::{Unverified, cut},
};

/// The media type of bundles.
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The largest bundle that is read, in bytes.
pub const MAX_BUNDLE: usize = 256 << 10;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    media_type: &'a str,
    verification_material: WrittenMaterial<'a>,
    dsse_envelope: WrittenEnvelope<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenMaterial<'a> {
    public_key: Hint<'a>,
}

#[derive(Serialize)]
struct Hint<'a> {
    hint: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenEnvelope<'a> {
    payload: String,
    payload_type: &'a str,
    signatures: [WrittenSignature; 1],
}

#[derive(Serialize)]
struct WrittenSignature {
    sig: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    verification_material: Material,
    dsse_envelope: Option<Envelope>,
    message_signature: Option<MessageSignature>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    public_key: Option<PublicKeyHint>,
    certificate: Option<Value>,
    x509_certificate_chain: Option<Value>,
}

#[derive(Deserialize)]
struct PublicKeyHint {
    #[serde(default)]
    hint: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<OneSignature>,
}

#[derive(Deserialize)]
struct OneSignature {
    sig: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageSignature {
    message_digest: Option<MessageDigest>,
    signature: String,
}

#[derive(Deserialize)]
struct MessageDigest {
    algorithm: String,
    digest: String,
}

/// The bundle that says yes to an artefact; `sign` signs a message, and writes that in base64.
pub(crate) fn written(subject: &Digest, hint: &str, sign: impl FnOnce(&[u8]) -> String) -> Vec<u8> {
    let payload = statement::written(subject);
    let sig = sign(&encoded(PAYLOAD, &payload));
    let bundle = Written {
        media_type: BUNDLE,
        verification_material: WrittenMaterial { public_key: Hint { hint } },
        dsse_envelope: WrittenEnvelope {
            payload: STANDARD.encode(payload),
            payload_type: PAYLOAD,
            signatures: [WrittenSignature { sig }],
        },
    };
    serde_json::to_vec(&bundle).expect("texts are always JSON")
}

/// What is signed of an envelope (DSSE protocol, "Signature Definition").
pub(crate) fn encoded(kind: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// The name of the key that says yes to `subject` in a bundle.
pub(crate) fn signer<'k>(bytes: &[u8], subject: &Digest, keys: &'k Keyring) -> Result<&'k str, Unverified> {
    if bytes.len() > MAX_BUNDLE {
        return Err(Unverified::TooLarge(MAX_BUNDLE));
    }
    let document = json::value(bytes).map_err(Unverified::Malformed)?;
    let media_type = document.get("mediaType").and_then(Value::as_str).unwrap_or_default();
    if media_type != BUNDLE {
        return Err(Unverified::Kind { what: "bundle", found: cut(media_type) });
    }
    let malformed = |error| Unverified::Malformed(json::JsonError::Malformed(error));
    let bundle = Bundle::deserialize(document).map_err(malformed)?;
    let Material { public_key, certificate, x509_certificate_chain } = bundle.verification_material;
    if certificate.is_some() || x509_certificate_chain.is_some() {
        return Err(Unverified::Certificate);
    }
    let hint = public_key.map(|key| key.hint).filter(|hint| !hint.is_empty());
    match (bundle.dsse_envelope, bundle.message_signature) {
        (Some(envelope), None) => of_envelope(envelope, hint, subject, keys),
        (None, Some(message)) => of_message(message, hint, subject, keys),
        (Some(_), Some(_)) => Err(Unverified::Ambiguous),
        (None, None) => Err(Unverified::Nothing),
    }
}

fn of_envelope<'k>(
    envelope: Envelope,
    hint: Option<String>,
    subject: &Digest,
    keys: &'k Keyring,
) -> Result<&'k str, Unverified> {
    let Envelope { payload, payload_type, signatures } = envelope;
    if payload_type != PAYLOAD {
        return Err(Unverified::Kind { what: "payload", found: cut(&payload_type) });
    }
    let [OneSignature { sig }] = &signatures[..] else {
        // One bundle, one signature (sigstore bundle specification): which of several counts is nobody's choice.
        return Err(if signatures.is_empty() { Unverified::Nothing } else { Unverified::TooMany("signatures") });
    };
    let (payload, sig) = (decoded(&payload)?, decoded(sig)?);
    let message = encoded(PAYLOAD, &payload);
    // What nobody known signed is not even read.
    let name = keys.find(|key| key.made(&message, &sig)).ok_or_else(|| stranger(hint, keys))?;
    statement::check(&payload, subject).map(|()| name)
}

fn of_message<'k>(
    message: MessageSignature,
    hint: Option<String>,
    subject: &Digest,
    keys: &'k Keyring,
) -> Result<&'k str, Unverified> {
    if let Some(MessageDigest { algorithm, digest }) = message.message_digest {
        if algorithm != "SHA2_256" {
            return Err(Unverified::Kind { what: "digest", found: cut(&algorithm) });
        }
        if decoded(&digest)? != subject.bytes() {
            return Err(Unverified::Subject);
        }
    }
    let signature = decoded(&message.signature)?;
    keys.find(|key| key.made_of(subject, &signature)).ok_or_else(|| stranger(hint, keys))
}

/// Why no key of the ring made a signature: another did, or one of these did and something was changed since.
fn stranger(hint: Option<String>, keys: &Keyring) -> Unverified {
    let Some(hint) = hint else { return Unverified::Stranger(None) };
    match keys.find(|key| key.hint() == hint) {
        Some(name) => Unverified::Broken(name.to_owned()),
        None => Unverified::Stranger(Some(cut(&hint))),
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, Unverified> {
    STANDARD.decode(text).map_err(|_| Unverified::Base64)
}
