//! The description of all that can be asked (`OpenAPI` 3.1), kept beside the code as `openapi.json`. A test compares it with the
//! table of routes, another one every answer of the other tests with it, and a fuzzer the running server.

use serde_json::{Value, json};

use crate::{
    App, Services,
    answer::Answer,
    call::Call,
    rights::{Role, may},
    trouble::Trouble,
};

const DOCUMENT: &str = include_str!("openapi.json");

/// The description of a server: who asks for what has to say who they are depends on the secrets it has.
pub fn document(services: &Services) -> Value {
    let mut document: Value = serde_json::from_str(DOCUMENT).unwrap_or_default();
    document["info"]["version"] = json!(services.lifecycle);
    let Some(paths) = document["paths"].as_object_mut() else { return document };
    for (path, methods) in paths {
        for (method, operation) in methods.as_object_mut().into_iter().flatten() {
            if path.ends_with("/hook") {
                operation["security"] = json!([{ "hookToken": [] }, { "gitlabToken": [] }, { "hookSignature": [] }]);
            } else if path.starts_with("/v1/") && services.token.is_some() {
                let is_theirs = may(Role::Developer(&[]), &method.to_uppercase(), path, "").is_ok();
                operation["security"] = if is_theirs && services.developers.is_some() {
                    json!([{ "operators": [] }, { "developers": [] }])
                } else {
                    json!([{ "operators": [] }])
                };
            }
        }
    }
    document
}

/// `GET /openapi.json`.
#[expect(clippy::unnecessary_wraps, reason = "handlers are of one kind")]
pub(crate) fn show(app: &App, _: &Call) -> Result<Answer, Trouble> {
    Ok(Answer::json(document(&app.services)))
}
