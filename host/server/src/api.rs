//! What can be asked, as plain functions over the records: each may wait for a disk, and none knows of sockets.

pub(crate) mod builds;
pub(crate) mod health;
pub(crate) mod hook;
pub(crate) mod images;
pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod operators;
pub(crate) mod plan;

use serde_json::{Value, json};

use crate::{answer::Answer, call::Call, call::MAX_NUMBER, trouble::Trouble};

/// How manifests of ours begin.
pub(crate) const OURS: &str = "stave/v1";

/// Most entries of a list.
const MAX_LIMIT: u64 = 500;
/// How many entries a list has where nobody says.
const LIMIT: u64 = 100;

/// Which part of a list is asked for.
struct Page {
    limit: u64,
    offset: u64,
}

impl Page {
    fn of(call: &Call) -> Result<Self, Trouble> {
        let limit = call.asked_number("limit", LIMIT, 1..=MAX_LIMIT)?;
        Ok(Self { limit, offset: call.asked_number("offset", 0, 0..=MAX_NUMBER)? })
    }

    /// That part of it: entries become documents only there.
    fn list<T>(&self, entries: &[T], document: impl FnMut(&T) -> Result<Value, Trouble>) -> Result<Answer, Trouble> {
        let skipped = usize::try_from(self.offset).unwrap_or(usize::MAX);
        let shown = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let items: Vec<Value> = entries.iter().skip(skipped).take(shown).map(document).collect::<Result<_, _>>()?;
        let (total, limit, offset) = (entries.len(), self.limit, self.offset);
        Ok(Answer::json(json!({ "items": items, "total": total, "limit": limit, "offset": offset })))
    }
}

/// A value of ours as JSON.
fn value(of: impl serde::Serialize) -> Result<Value, Trouble> {
    serde_json::to_value(of).map_err(|error| {
        Trouble::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, format!("write the answer as JSON: {error}"))
    })
}
