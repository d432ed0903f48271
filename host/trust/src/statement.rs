//! What a bundle says of an artefact: an in-toto statement, in cosign's words.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stave_model::{digest::Digest, json};

use crate::verify::{Unverified, cut};

/// The media type of statements.
pub(crate) const PAYLOAD: &str = "application/vnd.in-toto+json";
/// The type of a statement (in-toto attestation framework, v1).
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// What says yes to an artefact, and nothing else of it.
pub const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";
/// How many artefacts a statement may be about.
const MAX_SUBJECTS: usize = 64;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    #[serde(rename = "_type")]
    kind: &'a str,
    subject: [WrittenSubject; 1],
    predicate_type: &'a str,
    predicate: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct WrittenSubject {
    digest: WrittenDigest,
}

#[derive(Serialize)]
struct WrittenDigest {
    sha256: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    #[serde(default)]
    subject: Vec<Subject>,
    predicate_type: String,
}

#[derive(Deserialize)]
struct Subject {
    #[serde(default)]
    digest: BTreeMap<String, String>,
}

/// The statement that says yes to an artefact.
pub(crate) fn written(subject: &Digest) -> Vec<u8> {
    let statement = Written {
        kind: STATEMENT,
        subject: [WrittenSubject { digest: WrittenDigest { sha256: subject.hex() } }],
        predicate_type: SIGNED,
        predicate: BTreeMap::new(),
    };
    serde_json::to_vec(&statement).expect("texts are always JSON")
}

/// Checks that a statement says yes to an artefact. That it is a statement of somebody who is trusted was checked before.
pub(crate) fn check(statement: &[u8], wanted: &Digest) -> Result<(), Unverified> {
    let Statement { kind, subject, predicate_type } = json::parse(statement).map_err(Unverified::Malformed)?;
    if kind != STATEMENT {
        return Err(Unverified::Kind { what: "statement", found: cut(&kind) });
    }
    if predicate_type != SIGNED {
        return Err(Unverified::Kind { what: "predicate", found: cut(&predicate_type) });
    }
    if subject.len() > MAX_SUBJECTS {
        return Err(Unverified::TooMany("artefacts that it is about"));
    }
    let wanted = wanted.hex();
    let is_it = |subject: &Subject| subject.digest.get("sha256").is_some_and(|hex| *hex == wanted);
    if subject.iter().any(is_it) { Ok(()) } else { Err(Unverified::Subject) }
}
