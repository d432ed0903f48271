//! `stave detect`: which buildpacks an app would be built with, and why.

use std::collections::BTreeMap;

use serde::Serialize;
use stave_lifecycle::detect::{Attempt, DetectError, Detection, MemberAttempt, Outcome, explain};
use stave_model::{
    plan::{Alternative, Mismatch, Trial},
    target::Platform,
};

use crate::{
    args::{Detect, Output},
    exit::{Exit, GENERAL, printable},
    prepare::{detect_failed, prepare},
    workshop::Workshop,
};

/// The result for programs. A group that nobody found is empty.
#[derive(Serialize, Default)]
struct Found<'a> {
    group: &'a [String],
    plan: Vec<PlanEntry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tried: Option<Vec<AttemptAbout<'a>>>,
}

/// A name of the plan.
#[derive(Serialize)]
struct PlanEntry<'a> {
    name: &'a str,
    providers: Vec<&'a str>,
    requires: Vec<Required<'a>>,
}

#[derive(Serialize)]
struct Required<'a> {
    by: &'a str,
    metadata: &'a BTreeMap<String, String>,
}

/// A group that was tried.
#[derive(Serialize)]
struct AttemptAbout<'a> {
    group: &'a str,
    taken: bool,
    because: String,
    members: Vec<Member<'a>>,
    left_out: Vec<LeftOut<'a>>,
    combinations_tried: usize,
    combinations: Vec<Combination<'a>>,
}

#[derive(Serialize)]
struct Member<'a> {
    buildpack: &'a str,
    optional: bool,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ways: Option<&'a [Alternative]>,
}

#[derive(Serialize)]
struct LeftOut<'a> {
    name: &'a str,
    reason: &'a str,
}

/// One way of each member that passed, by number from 1.
#[derive(Serialize)]
struct Combination<'a> {
    ways: BTreeMap<&'a str, usize>,
    left_out: Vec<Reason<'a>>,
    misfits: Vec<Reason<'a>>,
}

#[derive(Serialize)]
struct Reason<'a> {
    buildpack: &'a str,
    kind: &'static str,
    name: &'a str,
}

/// Detects, and prints what came of it: for programs also when nobody takes the app.
pub(crate) fn run(workshop: &Workshop, arguments: &Detect) -> Result<(), Exit> {
    let platform = arguments.source.platform.first().cloned().unwrap_or_else(Platform::of_this_machine);
    let prepared = prepare(workshop, &arguments.source)?;
    let (_, shop) = prepared.open_shop(workshop, platform)?;
    let found = prepared.detect(&shop);
    let attempts: &[Attempt] = match &found {
        Ok(detection) => &detection.attempts,
        Err(DetectError::Order(_) | DetectError::Cancelled) => {
            return found.map(|_| ()).map_err(|error| detect_failed(error, arguments.explain));
        }
        Err(error) => error.attempts(),
    };
    match arguments.output {
        Output::Json => {
            let result = Found {
                tried: arguments.explain.then(|| attempts.iter().map(tried).collect()),
                ..found.as_ref().map(chosen).unwrap_or_default()
            };
            workshop.ui.result(&serde_json::to_string_pretty(&result).map_err(|error| Exit::new(GENERAL, error))?);
        }
        Output::Text => {
            let explanation = if arguments.explain { explain::fully(attempts) } else { String::new() };
            let result = found.as_ref().map(for_people).unwrap_or_default();
            let both = [explanation, result].join(if arguments.explain { "\n" } else { "" });
            let shown: Vec<String> = both.trim_end().lines().map(printable).collect();
            if !shown.is_empty() {
                workshop.ui.result(&shown.join("\n"));
            }
        }
    }
    found.map(|_| ()).map_err(|error| detect_failed(error, arguments.explain))
}

fn for_people(detection: &Detection) -> String {
    let plan = explain::plan(detection);
    let plan = if plan.is_empty() { "nothing is provided or required" } else { plan.trim_end() };
    let section = |title: &str, body: &str| format!("{title}\n  {}", body.replace('\n', "\n  "));
    [section("group", &detection.plan.members.join("\n")), section("plan", plan)].join("\n")
}

fn chosen(detection: &Detection) -> Found<'_> {
    let plan = &detection.plan;
    let entries = plan.entries.iter().map(|entry| PlanEntry {
        name: &entry.name,
        providers: entry.providers.iter().filter_map(|at| plan.members.get(*at).map(String::as_str)).collect(),
        requires: detection
            .requires_of(&entry.name)
            .into_iter()
            .map(|(by, requirement)| Required { by, metadata: &requirement.metadata })
            .collect(),
    });
    Found { group: &plan.members, plan: entries.collect(), tried: None }
}

fn tried(attempt: &Attempt) -> AttemptAbout<'_> {
    let trials = attempt.resolution.as_ref().map(|resolution| resolution.trials.as_slice()).unwrap_or_default();
    AttemptAbout {
        group: &attempt.group,
        taken: attempt.is_taken(),
        because: attempt.conclusion(),
        members: attempt.members.iter().map(member).collect(),
        left_out: attempt
            .left_out
            .iter()
            .map(|left_out| LeftOut { name: &left_out.name, reason: &left_out.reason })
            .collect(),
        combinations_tried: attempt.resolution.as_ref().map_or(0, |resolution| resolution.tried),
        combinations: trials.iter().map(|trial| combination(attempt, trial)).collect(),
    }
}

fn member(member: &MemberAttempt) -> Member<'_> {
    let (verdict, reason, ways) = match &*member.outcome {
        Outcome::Passed(ways) => ("passed", None, Some(ways.as_slice())),
        Outcome::Declined(reason) => ("declined", Some(reason.as_str()), None),
        Outcome::Failed(reason) => ("failed", Some(reason.as_str()), None),
    };
    Member { buildpack: &member.title, optional: member.optional, verdict, reason, ways }
}

fn combination<'a>(attempt: &'a Attempt, trial: &'a Trial<String>) -> Combination<'a> {
    let several = attempt.passed().zip(&trial.ways).filter(|((_, ways), _)| ways.len() > 1);
    Combination {
        ways: several.map(|((member, _), way)| (member.title.as_str(), way + 1)).collect(),
        left_out: trial.dropped.iter().map(reason).collect(),
        misfits: trial.misfits.iter().map(reason).collect(),
    }
}

fn reason(mismatch: &Mismatch<String>) -> Reason<'_> {
    match mismatch {
        Mismatch::Unmet { who, name } => Reason { buildpack: who, kind: "unmet", name },
        Mismatch::Unused { who, name } => Reason { buildpack: who, kind: "unused", name },
    }
}
