//! The lists: one table each.

use std::fmt::Write as _;

use super::{Table, short_reason};
use crate::{
    decide::status::{Condition, Status},
    plan::Plan,
    resource::{
        build::{Build, Mode, Outcome, joined},
        builder::BuilderRevision,
        image::Image,
    },
};

/// What the list of images is made from.
#[derive(Debug, Clone, Copy)]
pub struct ImageRow<'a> {
    /// The image.
    pub image: &'a Image,
    /// Its builds, by rising number.
    pub builds: &'a [Build],
    /// Its condition `Ready`.
    pub ready: &'a Condition,
}

/// `image list`.
pub fn images(rows: &[ImageRow<'_>]) -> String {
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| row.image.key().name.clone());
    let mut table = Table::new(&["NAME", "READY", "LATEST REASON", "LATEST IMAGE", "NAMESPACE"]);
    for ImageRow { image, builds, ready } in rows {
        let key = image.key();
        let reason = builds.last().map(|build| joined(&build.changes)).unwrap_or_default();
        let latest = image.status.latest_image.as_ref().map(ToString::to_string).unwrap_or_default();
        table.row([key.name.as_str(), ready.status.as_str(), &reason, &latest, key.namespace.as_str()]);
    }
    table.render()
}

/// The word for what came of a build.
pub fn outcome(build: &Build) -> &'static str {
    match build.outcome {
        Outcome::Running => "BUILDING",
        Outcome::Succeeded(_) => "SUCCESS",
        // kp has three words; what was stopped made no image either.
        Outcome::Failed(_) | Outcome::Cancelled | Outcome::Superseded => "FAILURE",
    }
}

/// `build list`: of images by falling name, of one by rising number.
pub fn builds(builds: &[Build]) -> String {
    let mut builds: Vec<&Build> = builds.iter().collect();
    builds.sort_by(|a, b| b.image.name.cmp(&a.image.name).then(a.number.cmp(&b.number)));
    let mut table = Table::new(&["BUILD", "STATUS", "BUILT IMAGE", "REASON", "IMAGE RESOURCE"]);
    for build in builds {
        let image = build.made().map(|made| made.image.to_string()).unwrap_or_default();
        let (number, reason) = (build.number.to_string(), short_reason(&build.changes));
        table.row([number.as_str(), outcome(build), &image, &reason, build.image.name.as_str()]);
    }
    table.render()
}

/// `builder list` and `clusterbuilder list`.
pub fn builders<'a>(rows: impl IntoIterator<Item = (&'a str, Status, Option<&'a BuilderRevision>)>) -> String {
    let mut table = Table::new(&["NAME", "READY", "STACK", "IMAGE"]);
    for (name, ready, revision) in rows {
        let stack = revision.map(|revision| revision.stack_id.as_str()).unwrap_or_default();
        let image = revision.and_then(|revision| revision.image.as_ref()).map(ToString::to_string).unwrap_or_default();
        table.row([name, &ready.as_str().to_lowercase(), stack, &image]);
    }
    table.render()
}

/// `clusterstack list`.
pub fn stacks<'a>(rows: impl IntoIterator<Item = (&'a str, Status, &'a str)>) -> String {
    let mut table = Table::new(&["NAME", "READY", "ID"]);
    rows.into_iter().for_each(|(name, ready, id)| table.row([name, ready.as_str(), id]));
    table.render()
}

/// `clusterstore list`.
pub fn stores<'a>(rows: impl IntoIterator<Item = (&'a str, Status)>) -> String {
    let mut table = Table::new(&["NAME", "READY"]);
    rows.into_iter().for_each(|(name, ready)| table.row([name, ready.as_str()]));
    table.render()
}

/// `buildpack list` and `clusterbuildpack list`: with the names that their images are wished for by.
pub fn packages<'a>(rows: impl IntoIterator<Item = (&'a str, Status, String)>) -> String {
    let mut table = Table::new(&["NAME", "READY", "IMAGE"]);
    rows.into_iter().for_each(|(name, ready, image)| table.row([name, &ready.as_str().to_lowercase(), &image]));
    table.render()
}

/// `plan`, which is ours: what a change will do.
pub fn plan(plan: &Plan) -> String {
    let mut text = String::new();
    if !plan.rows.is_empty() {
        let mut table = Table::new(&["IMAGE", "REASON", "HOW", "TAKES", "NAMESPACE"]);
        for row in &plan.rows {
            let how = match (row.mode, row.is_due_already) {
                (mode, false) => mode.to_string(),
                (mode, true) => format!("{mode}, due already"),
            };
            let takes = row.seconds.map(seconds).unwrap_or_default();
            let key = &row.image;
            table.row([key.name.as_str(), &joined(&row.changes), &how, &takes, key.namespace.as_str()]);
        }
        text.push_str(&table.render());
    }
    let others = plan.held.iter().map(|(key, held)| (key, held.line()));
    let unknown = plan.unknown.iter().map(|(key, why)| (key, format!("cannot be told: {why}")));
    let mut table = Table::new(&["IMAGE", "NOT UPDATED", "NAMESPACE"]);
    let mut is_empty = true;
    for (key, why) in others.chain(unknown) {
        is_empty = false;
        table.row([key.name.as_str(), &why, key.namespace.as_str()]);
    }
    if !is_empty {
        text.push_str(&table.render());
    }
    let of = |mode| plan.rows.iter().filter(|row| row.mode == mode).count();
    let takes = match plan.seconds {
        Some(all) if !plan.rows.is_empty() => format!(", {} in all", seconds(all)),
        _ => String::new(),
    };
    let (builds, rebases) = (of(Mode::Build), of(Mode::Rebase));
    let untouched = plan.untouched;
    let _ = writeln!(text, "{builds} to build, {rebases} to rebase{takes}; {untouched} stay as they are");
    text
}

/// A duration for people.
fn seconds(all: u64) -> String {
    match all {
        0..60 => format!("{all} s"),
        60..3600 => format!("{} min {} s", all / 60, all % 60),
        _ => format!("{} h {} min", all / 3600, all / 60 % 60),
    }
}
