//! Answers between the SDK's words and the model's, both ways.

use stave_lifecycle::{
    answer::{self, Asked, GaveUp, Offered, Reported, Started, Told},
    port::{
        buildpack::{self as port, RunError},
        observer,
    },
};
use stave_model::{
    id::BuildpackId,
    launch::{self, Label, Launch},
    layer, plan,
};

use crate::{Alternative, Blame, Failure, Process, Report, Requirement, Verdict, layers::Usage, log::Level};

/// What a native buildpack's detect answered, checked as a component's is.
pub(super) fn verdict(answer: Result<Verdict, Failure>) -> Result<port::Verdict, RunError> {
    let told = |verdict| match verdict {
        Verdict::Skip(reason) => Told::Skip(reason),
        Verdict::Pass(alternatives) => Told::Pass(alternatives.into_iter().map(offered).collect()),
    };
    answer::verdict(answer.map(told).map_err(gave_up))
}

fn offered(alternative: Alternative) -> Offered {
    let Alternative { provides, requires } = alternative;
    let asked = |Requirement { name, metadata }| Asked { name, metadata };
    Offered { provides, requires: requires.into_iter().map(asked).collect() }
}

/// What a native buildpack's build answered, checked as a component's is.
pub(super) fn report(answer: Result<Report, Failure>, buildpack: &BuildpackId) -> Result<port::Report, RunError> {
    let started = |process| {
        let Process { kind, command, args, default, working_directory, exec_env } = process;
        Started { kind, command, args, default, working_directory, exec_env }
    };
    let reported = |report| {
        let Report { processes, labels, slices, unmet, store } = report;
        Reported { processes: processes.into_iter().map(started).collect(), labels, slices, unmet, store }
    };
    answer::report(answer.map(reported).map_err(gave_up), buildpack)
}

fn gave_up(failure: Failure) -> GaveUp {
    let Failure { blame, summary, detail, hint, file, line } = failure;
    let blame = match blame {
        Blame::App => port::Blame::App,
        Blame::Buildpack => port::Blame::Buildpack,
        Blame::Environment => port::Blame::Environment,
    };
    GaveUp(port::Failure { blame, summary, detail, hint, file, line })
}

/// A failure as its author wrote it.
pub(super) fn failure(failure: port::Failure) -> Failure {
    let port::Failure { blame, summary, detail, hint, file, line } = failure;
    let blame = match blame {
        port::Blame::App => Blame::App,
        port::Blame::Buildpack => Blame::Buildpack,
        port::Blame::Environment => Blame::Environment,
    };
    Failure { blame, summary, detail, hint, file, line }
}

/// A verdict as its author wrote it.
pub(super) fn verdict_back(verdict: port::Verdict) -> Verdict {
    let alternative = |plan::Alternative { provides, requires }| Alternative {
        provides,
        requires: requires.into_iter().map(requirement_back).collect(),
    };
    match verdict {
        port::Verdict::Skip(reason) => Verdict::Skip(reason),
        port::Verdict::Pass(alternatives) => Verdict::Pass(alternatives.into_iter().map(alternative).collect()),
    }
}

/// A report as its author wrote it.
pub(super) fn report_back(report: port::Report) -> Report {
    let port::Report { launch: Launch { processes, labels, slices }, unmet, store } = report;
    let process = |process: launch::Process| Process {
        kind: process.kind.to_string(),
        command: process.command,
        args: process.args,
        default: process.default,
        working_directory: process.working_directory,
        exec_env: process.exec_env,
    };
    Report {
        processes: processes.into_iter().map(process).collect(),
        labels: labels.into_iter().map(|Label { key, value }| (key, value)).collect(),
        slices: slices.into_iter().map(|slice| slice.paths).collect(),
        unmet,
        store: store.into_iter().collect(),
    }
}

/// An entry of a plan as a buildpack is given it.
pub(super) fn requirement_back(requirement: plan::Requirement) -> Requirement {
    Requirement { name: requirement.name, metadata: requirement.metadata.into_iter().collect() }
}

/// An entry of a plan as the lifecycle hands it out.
pub(super) fn requirement(requirement: &Requirement) -> plan::Requirement {
    plan::Requirement { name: requirement.name.clone(), metadata: requirement.metadata.iter().cloned().collect() }
}

/// What a layer is for.
pub(super) fn usage(usage: layer::Usage) -> Usage {
    let flags = [(usage.build, Usage::BUILD), (usage.launch, Usage::LAUNCH), (usage.cache, Usage::CACHE)];
    flags.into_iter().filter(|(set, _)| *set).fold(Usage::empty(), |all, (_, flag)| all | flag)
}

/// How important a message is.
pub(super) fn level(level: observer::Level) -> Level {
    match level {
        observer::Level::Debug => Level::Debug,
        observer::Level::Info => Level::Info,
        observer::Level::Warning => Level::Warning,
        observer::Level::Error => Level::Error,
    }
}
