//! The older format: a payload that names the artefact's digest (containers-signature(5), "simple signing"), and a signature in
//! an annotation beside it, both under a tag made of the digest.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use stave_model::{digest::Digest, json};

use crate::{
    key::Keyring,
    verify::{Unverified, cut},
};

/// The largest payload that is read, in bytes.
pub const MAX_PAYLOAD: usize = 64 << 10;
/// What cosign calls such a payload.
const KIND: &str = "cosign container image signature";

#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

/// The name of the key that says yes to `subject` in a payload.
pub(crate) fn signer<'k>(
    payload: &[u8],
    signature: &str,
    subject: &Digest,
    keys: &'k Keyring,
) -> Result<&'k str, Unverified> {
    if payload.len() > MAX_PAYLOAD {
        return Err(Unverified::TooLarge(MAX_PAYLOAD));
    }
    let signature = STANDARD.decode(signature).map_err(|_| Unverified::Base64)?;
    let name = keys.find(|key| key.made(payload, &signature)).ok_or(Unverified::Stranger(None))?;
    let Payload { critical: Critical { image, kind } } = json::parse(payload).map_err(Unverified::Malformed)?;
    if kind != KIND {
        return Err(Unverified::Kind { what: "payload", found: cut(&kind) });
    }
    if image.digest == subject.to_string() { Ok(name) } else { Err(Unverified::Subject) }
}
