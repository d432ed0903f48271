//! Webhooks: a git host says that something happened, and the image's source is looked up again now.
//!
//! What it says happened is not read: where the source is, is asked of the source. So nothing in the body can do more than make
//! one look earlier than it would have been made.

use axum::http::{HeaderMap, StatusCode};
use serde_json::json;

use crate::{App, Secret, answer::Answer, call::Call, hmac, trouble::Trouble};

/// Git hosts that sign the body.
const SIGNATURE: &str = "x-hub-signature-256";
/// Git hosts that send the token itself, and everybody else.
const TOKENS: [&str; 2] = ["x-stave-token", "x-gitlab-token"];

/// `POST …/hook`.
pub(crate) fn receive(app: &App, call: &Call) -> Result<Answer, Trouble> {
    let Some(token) = &app.services.hook_token else {
        return Err(Trouble::new(StatusCode::NOT_FOUND, "this server takes no webhooks"));
    };
    if !is_known(token, &call.headers, &call.body) {
        let headers = "`X-Stave-Token`, `X-Gitlab-Token` or `X-Hub-Signature-256`";
        return Err(Trouble::stranger(format!("a webhook needs one header of {headers} that is right")));
    }
    let key = call.key()?;
    let amended = app.services.records.amend_image(&key, &mut |record| {
        record.source.ask();
        Ok(())
    })?;
    if amended.is_none() {
        return Err(Trouble::missing(format_args!("image {key}")));
    }
    Ok(Answer::json(json!({ "image": key })).with(StatusCode::ACCEPTED))
}

/// Whether whoever sends it knows the token. Of several proofs each has to be right.
fn is_known(token: &Secret, headers: &HeaderMap, body: &[u8]) -> bool {
    let mut proofs = Vec::new();
    for signature in headers.get_all(SIGNATURE) {
        let given = signature.as_bytes().strip_prefix(b"sha256=").and_then(|digits| hex::decode(digits).ok());
        proofs.push(given.is_some_and(|given| hmac::is_same(&given, &hmac::hmac(token.bytes(), body))));
    }
    for given in TOKENS.into_iter().flat_map(|name| headers.get_all(name)) {
        proofs.push(hmac::is_same(given.as_bytes(), token.bytes()));
    }
    !proofs.is_empty() && proofs.into_iter().all(|is_right| is_right)
}
