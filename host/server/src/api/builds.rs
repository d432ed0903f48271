//! Builds: the records as they are kept.

use axum::http::StatusCode;
use serde_json::{Value, json};
use stave_platform::{
    port::records::ImageRecord,
    resource::{
        build::{Build, joined},
        name::ImageKey,
    },
    table::lists::outcome,
};

use super::{Page, value};
use crate::{App, answer::Answer, call::Call, trouble::Trouble};

/// A build's record, with kpack's words for what came of it and why it was made.
fn document(build: &Build) -> Result<Value, Trouble> {
    let mut document = value(build)?;
    document["status"] = json!(outcome(build));
    document["reason"] = json!(joined(&build.changes));
    Ok(document)
}

/// An image's record.
fn record(app: &App, key: &ImageKey) -> Result<ImageRecord, Trouble> {
    app.services.records.image(key)?.ok_or_else(|| Trouble::missing(format_args!("image {key}")))
}

/// One of its builds.
pub(super) fn find(app: &App, call: &Call) -> Result<(ImageKey, Build), Trouble> {
    let (key, number) = (call.key()?, call.number()?);
    let found = record(app, &key)?.builds.into_iter().find(|build| build.number == number);
    match found {
        Some(build) => Ok((key, build)),
        None => Err(gone(&key, number)),
    }
}

fn gone(key: &ImageKey, number: u64) -> Trouble {
    Trouble::missing(format_args!("build {number} of the image {key}"))
}

/// `GET …/builds`: by rising number.
pub(crate) fn list(app: &App, call: &Call) -> Result<Answer, Trouble> {
    let page = Page::of(call)?;
    page.list(&record(app, &call.key()?)?.builds, document)
}

/// `GET …/builds/{number}`.
pub(crate) fn show(app: &App, call: &Call) -> Result<Answer, Trouble> {
    Ok(Answer::json(document(&find(app, call)?.1)?))
}

/// `POST …/builds/{number}/cancel`: it is asked to stop, and does so soon.
pub(crate) fn cancel(app: &App, call: &Call) -> Result<Answer, Trouble> {
    let (key, number) = (call.key()?, call.number()?);
    let amended = app.services.records.amend_image(&key, &mut |record| {
        if record.running().is_some_and(|build| build.number == number) {
            record.run.stop = Some(number);
        }
        Ok(())
    })?;
    let record = amended.ok_or_else(|| Trouble::missing(format_args!("image {key}")))?;
    let build = record.builds.iter().find(|build| build.number == number).ok_or_else(|| gone(&key, number))?;
    if !build.is_running() {
        return Err(Trouble::conflict(format!("build {number} of the image {key} is over")));
    }
    Ok(Answer::json(document(build)?).with(StatusCode::ACCEPTED))
}
