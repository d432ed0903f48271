//! What a change would do, before it is made.

use serde_json::{Value, json};
use stave_platform::{
    decide::Priority,
    plan::{
        plan,
        world::{Change, Unresolved},
    },
    resource::{Problem, build::joined, manifest::parse},
};

use crate::{App, answer::Answer, call::Call, trouble::Trouble};

/// Most manifests at once.
const MAX_MANIFESTS: usize = 1000;

/// `POST /v1/plan`: manifests, in their order.
pub(crate) fn make(app: &App, call: &Call) -> Result<Answer, Trouble> {
    let body = call.json()?;
    let refused =
        |path: &str, rule: &str| Trouble::refused("the manifests are refused", vec![Problem::new(path, rule)]);
    let manifests = body.as_array().ok_or_else(|| refused("manifests", "it is a list of manifests"))?;
    if manifests.is_empty() || manifests.len() > MAX_MANIFESTS {
        return Err(refused("manifests", "there is at least 1, and at most 1000"));
    }
    let (mut resources, mut problems) = (Vec::new(), Vec::new());
    for (at, manifest) in manifests.iter().enumerate() {
        match parse(manifest) {
            Ok(resource) => resources.push(resource),
            Err(refused) => problems
                .extend(refused.problems.into_iter().map(|one| Problem::new(format!("[{at}].{}", one.path), one.rule))),
        }
    }
    if !problems.is_empty() {
        return Err(Trouble::refused("the manifests are refused", problems));
    }
    let world = app.snapshot()?.world(&app.services.lifecycle);
    let made = plan(&world, &Change::Manifests(resources), &app.services.rules, app.now());
    let plan = made.map_err(|unresolved: Unresolved| Trouble::refused(unresolved.to_string(), Vec::new()))?;
    let rows: Vec<Value> = plan
        .rows
        .iter()
        .map(|row| {
            json!({
                "image": row.image,
                "mode": row.mode,
                "reasons": joined(&row.changes),
                "changes": row.changes,
                "priority": if row.priority == Priority::High { "high" } else { "low" },
                "isDueAlready": row.is_due_already,
                "seconds": row.seconds,
            })
        })
        .collect();
    let held = plan.held.iter().map(|(key, held)| json!({ "image": key, "why": held.line(), "until": held.until }));
    let unknown = plan.unknown.iter().map(|(key, why)| json!({ "image": key, "why": why }));
    Ok(Answer::json(json!({
        "rows": rows,
        "held": held.collect::<Vec<_>>(),
        "unknown": unknown.collect::<Vec<_>>(),
        "untouched": plan.untouched,
        "seconds": plan.seconds,
    })))
}
