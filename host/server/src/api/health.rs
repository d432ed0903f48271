//! Whether it lives, and whether it can do its work.

use axum::http::StatusCode;
use serde_json::json;

use crate::{App, answer::Answer, call::Call, trouble::Trouble};

/// That it answers at all.
#[expect(clippy::unnecessary_wraps, reason = "handlers are of one kind")]
pub(crate) fn alive(_: &App, _: &Call) -> Result<Answer, Trouble> {
    Ok(Answer::json(json!({ "status": "alive" })))
}

/// That the records can be read.
pub(crate) fn ready(app: &App, _: &Call) -> Result<Answer, Trouble> {
    if app.is_stopping() {
        return Err(Trouble::new(StatusCode::SERVICE_UNAVAILABLE, "it is about to end"));
    }
    match app.services.records.version() {
        Ok(version) => Ok(Answer::json(json!({ "status": "ready", "version": version }))),
        Err(failed) => Err(Trouble::from(failed).answering(StatusCode::SERVICE_UNAVAILABLE)),
    }
}
