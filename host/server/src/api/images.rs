//! Images: the wish, what came of it, and why.

use axum::http::StatusCode;
use serde_json::{Value, json};
use stave_platform::{
    decide::{
        Decision, Question, Verdict,
        compare::Compared,
        explain::explain as in_words,
        status::{Condition, Status, conditions},
    },
    port::records::{Id, ImageRecord, Snapshot},
    reconcile::{builder_state, decision},
    resource::{
        build::{Reason, joined},
        name::ImageKey,
    },
};

use super::{OURS, Page, value};
use crate::{
    App,
    answer::Answer,
    call::{Call, applied},
    trouble::Trouble,
};

/// Words that images are picked by.
const READY: [(&str, Status); 3] = [("True", Status::True), ("False", Status::False), ("Unknown", Status::Unknown)];
const REASONS: [(&str, Reason); 7] = [
    ("TRIGGER", Reason::Trigger),
    ("COMMIT", Reason::Commit),
    ("CONFIG", Reason::Config),
    ("BUILDPACK", Reason::Buildpack),
    ("STACK", Reason::Stack),
    ("LIFECYCLE", Reason::Lifecycle),
    ("ROLLBACK", Reason::Rollback),
];

/// What is decided of an image, and its conditions.
fn judged(app: &App, snapshot: &Snapshot, record: &ImageRecord) -> (Decision, Vec<Condition>) {
    let now = app.now();
    let decision = decision(snapshot, record, &app.services.rules, now);
    let (builder, source) = (builder_state(snapshot, record), record.source_state());
    let question = Question {
        image: &record.image,
        builds: &record.builds,
        builder: &builder,
        source: &source,
        retry: app.services.rules.retry,
        now,
    };
    let conditions = conditions(&question, &decision);
    (decision, conditions)
}

/// How many images are ready, are not, or cannot be told.
pub(super) fn readiness(app: &App, snapshot: &Snapshot) -> [(&'static str, usize); 3] {
    let mut counted = READY.map(|(word, _)| (word, 0));
    for record in snapshot.images.values() {
        let status = judged(app, snapshot, record).1.first().map_or(Status::Unknown, |ready| ready.status);
        counted.iter_mut().filter(|(word, _)| *word == status.as_str()).for_each(|(_, count)| *count += 1);
    }
    counted
}

/// An image as its manifest, with all that is known of it as `status`.
fn document(app: &App, snapshot: &Snapshot, record: &ImageRecord) -> Result<Value, Trouble> {
    let image = &record.image;
    let mut metadata = value(&image.metadata)?;
    metadata["namespace"] = value(image.key().namespace)?;
    let mut status = value(&image.status)?;
    if let Some(last) = record.builds.last() {
        status["latestBuild"] = json!(last.number);
        status["latestBuildReason"] = json!(joined(&last.changes));
        status["latestBuildImageGeneration"] = json!(last.generation);
    }
    status["conditions"] = value(judged(app, snapshot, record).1)?;
    if record.source.of.as_ref() == Some(&image.spec.source) {
        status["source"] = value(&record.source)?;
    }
    let spec = value(&image.spec)?;
    Ok(json!({ "apiVersion": OURS, "kind": "Image", "metadata": metadata, "spec": spec, "status": status }))
}

fn missing(key: &ImageKey) -> Trouble {
    Trouble::missing(format_args!("image {key}"))
}

/// `GET /v1/images`.
pub(crate) fn list(app: &App, call: &Call) -> Result<Answer, Trouble> {
    let page = Page::of(call)?;
    let namespace = call.asked("namespace").map(str::parse::<stave_platform::resource::name::Name>).transpose();
    let namespace = namespace.map_err(|error| Trouble::bad(format!("namespace: {error}")))?;
    let reason = call.asked_word("reason", &REASONS)?;
    let ready = call.asked_word("ready", &READY)?;
    let snapshot = app.snapshot()?;
    let is_asked = |key: &ImageKey, record: &ImageRecord| {
        let changes = record.builds.last().map(|build| build.changes.as_slice()).unwrap_or_default();
        namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace)
            && reason.is_none_or(|reason| changes.iter().any(|change| change.reason == reason))
            && ready.is_none_or(|ready| judged(app, &snapshot, record).1.iter().any(|one| is(one, ready)))
    };
    let found: Vec<&ImageRecord> =
        snapshot.images.iter().filter(|(key, record)| is_asked(key, record)).map(|(_, record)| record).collect();
    page.list(&found, |record| document(app, &snapshot, record))
}

fn is(condition: &Condition, status: Status) -> bool {
    condition.kind == "Ready" && condition.status == status
}

/// `GET` of an image.
pub(crate) fn show(app: &App, call: &Call) -> Result<Answer, Trouble> {
    let key = call.key()?;
    let snapshot = app.snapshot()?;
    let record = snapshot.images.get(&key).ok_or_else(|| missing(&key))?;
    Ok(Answer::json(document(app, &snapshot, record)?))
}

/// `PUT` of an image.
pub(crate) fn apply(app: &App, call: &Call) -> Result<Answer, Trouble> {
    let key = call.key()?;
    let resource = call.manifest("Image", &key.name, Some(&key.namespace))?;
    let came = app.services.records.apply_over(&resource, call.over()?)?;
    let snapshot = app.snapshot()?;
    // Somebody may have taken it away again by now.
    let record = snapshot.images.get(&key).ok_or_else(|| missing(&key))?;
    Ok(Answer::json(document(app, &snapshot, record)?).with(applied(came)))
}

/// `DELETE` of an image. What is in the registry stays there.
pub(crate) fn remove(app: &App, call: &Call) -> Result<Answer, Trouble> {
    let key = call.key()?;
    if app.services.records.remove(&Id::Image(key.clone()))? { Ok(Answer::done()) } else { Err(missing(&key)) }
}

/// `POST …/trigger`: somebody wants a build.
pub(crate) fn trigger(app: &App, call: &Call) -> Result<Answer, Trouble> {
    let (key, now) = (call.key()?, app.now());
    let amended = app.services.records.amend_image(&key, &mut |record| {
        record.image.status.triggers += 1;
        record.image.status.triggered_at = Some(now);
        // Where its source is by now is what somebody wants to have built.
        record.source.ask();
        Ok(())
    })?;
    let record = amended.ok_or_else(|| missing(&key))?;
    let document = json!({ "image": key, "triggers": record.image.status.triggers });
    Ok(Answer::json(document).with(StatusCode::ACCEPTED))
}

/// `GET …/explain`: every comparison with both values, and why nothing happens where nothing does.
pub(crate) fn explain(app: &App, call: &Call) -> Result<Answer, Trouble> {
    let key = call.key()?;
    let snapshot = app.snapshot()?;
    let record = snapshot.images.get(&key).ok_or_else(|| missing(&key))?;
    let (decision, conditions) = judged(app, &snapshot, record);
    let comparisons: Vec<Value> = decision
        .comparisons
        .iter()
        .map(|one| {
            let (result, why) = match one.result {
                Compared::Same => ("same", None),
                Compared::Differs => ("differs", None),
                Compared::Skipped(why) => ("skipped", Some(why)),
            };
            json!({ "reason": one.reason, "result": result, "why": why, "old": one.old, "new": one.new })
        })
        .collect();
    let mut document = json!({
        "image": key,
        "verdict": word(&decision.verdict),
        "line": decision.line(),
        "comparedWith": decision.compared_with,
        "comparisons": comparisons,
        "conditions": value(conditions)?,
        "text": in_words(&record.image, &decision),
    });
    match &decision.verdict {
        Verdict::Start(start) => {
            document["start"] = json!({
                "number": start.number, "mode": start.mode, "reasons": joined(&start.changes), "attempt": start.attempt,
                "noRebase": start.no_rebase,
            });
        }
        Verdict::Held(held) => {
            document["until"] = json!(held.until);
        }
        _ => {}
    }
    Ok(Answer::json(document))
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Start(_) => "start",
        Verdict::UpToDate { .. } => "upToDate",
        Verdict::Running { .. } => "running",
        Verdict::Held(_) => "held",
        Verdict::Unknown(_) => "unknown",
    }
}
