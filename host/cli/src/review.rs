//! What is different between two locks, in lines that a person reads before agreeing to it.

use stave_model::{
    lock::compare::{Change, DependencyChange, Facts, How, Update},
    policy::trust,
};

use crate::{exit::printable, ui::bytes};

/// All changes, each with what belongs to it indented below.
pub(crate) fn lines(changes: &[Change]) -> Vec<String> {
    let mut lines = Vec::new();
    for change in changes {
        match change {
            Change::Base { platform, old, new } => {
                let shown = |digest: &Option<_>| digest.as_ref().map_or("none".to_owned(), ToString::to_string);
                lines.push(format!("base for {platform}: {} -> {}", shown(old), shown(new)));
            }
            Change::Order => lines.push("order: buildpacks are tried in another order".to_owned()),
            Change::Buildpack(update) => lines.extend(buildpack(update)),
        }
    }
    lines.iter().map(|line| printable(line)).collect()
}

fn buildpack(update: &Update) -> Vec<String> {
    let Update { id, old, new, stops, wants_no_more, granted_no_more, dependencies } = update;
    let mut lines = match (old, new) {
        (Some(old), Some(new)) => {
            let mut lines = vec![format!("{id} {}", from_to(&old.version.to_string(), &new.version.to_string()))];
            lines.extend(facts(old, new).into_iter().map(|fact| format!("  {fact}")));
            lines
        }
        (None, Some(new)) => vec![format!("{id} {} ({}, {})", new.version, bytes(new.size), new.component)],
        (Some(old), None) => vec![format!("{id} {} is gone", old.version)],
        (None, None) => Vec::new(),
    };
    lines.extend(stops.iter().map(|stop| format!("  ! {stop}")));
    lines.extend(wants_no_more.iter().map(|less| format!("  it no longer wants {less}")));
    lines.extend(granted_no_more.iter().map(|less| format!("  it is no longer granted {less}")));
    if new.is_some() {
        lines.extend(dependencies.iter().map(|dependency| format!("  {}", about(dependency))));
    }
    lines
}

/// What else tells the two apart.
fn facts(old: &Facts, new: &Facts) -> Vec<String> {
    let mut facts = Vec::new();
    if old.component != new.component {
        facts.push(format!("component {} -> {}", old.component, new.component));
        facts.push(format!("size {}", from_to(&bytes(old.size), &bytes(new.size))));
    }
    if old.manifest != new.manifest {
        let shown = |facts: &Facts| facts.manifest.map_or("none".to_owned(), |digest| digest.to_string());
        facts.push(format!("manifest {} -> {}", shown(old), shown(new)));
    }
    if old.contract != new.contract {
        facts.push(format!("contract {} -> {}", old.contract, new.contract));
    }
    // Another signer than before is told with what stops.
    let kept = |signer: &String| {
        let is_there = |old: &String| trust::names(old).is_subset(&trust::names(signer));
        old.signer != new.signer && old.signer.as_ref().is_none_or(is_there)
    };
    if let Some(signer) = new.signer.as_ref().filter(|signer| kept(signer)) {
        facts.push(format!("signed by {signer}"));
    }
    facts
}

fn from_to(old: &str, new: &str) -> String {
    if old == new { old.to_owned() } else { format!("{old} -> {new}") }
}

fn about(change: &DependencyChange) -> String {
    let how = match change.how {
        How::Added => "new",
        How::Removed => "gone",
        How::Changed => "changed",
    };
    let licenses = if change.licenses.is_empty() { "no licence said".to_owned() } else { change.licenses.join(", ") };
    format!("dependency {}: {how} ({licenses})", change.name)
}
