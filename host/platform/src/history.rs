//! The records of an image's builds: how one begins, what it is tagged, which go, and what people do with old ones.
//!
//! Only records go. Tags in a registry stay, for somebody may run them.

use std::{collections::BTreeSet, fmt};

use serde_json::Value;
use stave_model::time;

use crate::{
    decide::{Start, basis},
    resource::{
        build::{Build, Change, Inputs, Mode, Outcome, Reason},
        image::{Image, Lock, Rollback, Tagging},
        reference::{LATEST, Tag},
        source::ResolvedSource,
    },
};

/// Where build `number` is put: the image's tag, one of its own, and the additional ones.
pub fn tags(image: &Image, number: u64, started: u64) -> Vec<Tag> {
    let spec = &image.spec;
    let mut tags = vec![spec.tag.clone()];
    if spec.image_tagging_strategy == Tagging::BuildNumber {
        let digits: String = time::rfc3339(started).chars().filter(char::is_ascii_digit).collect();
        let (date, clock) = digits.split_at(digits.len().saturating_sub(6));
        let prefix = Some(spec.tag.tag()).filter(|tag| *tag != LATEST).map(|tag| format!("{tag}-")).unwrap_or_default();
        tags.push(spec.tag.beside(format!("{prefix}b{number}.{date}.{clock}")));
    }
    tags.extend(spec.additional_tags.iter().cloned());
    tags
}

/// The record of a build that starts at `now`.
pub fn begin(image: &Image, start: Start, now: u64) -> Build {
    Build {
        image: image.key(),
        number: start.number,
        generation: image.metadata.generation,
        mode: start.mode,
        changes: start.changes,
        tags: tags(image, start.number, now),
        inputs: start.inputs,
        based_on: start.based_on,
        attempt: start.attempt,
        triggers: start.triggers,
        started: now,
        finished: None,
        outcome: Outcome::Running,
        log: None,
        pinned: false,
    }
}

/// How many seconds the last builds of a kind took: the middle one of the last five that made an image.
pub fn usual_seconds(builds: &[Build], mode: Mode) -> Option<u64> {
    let ended = builds.iter().rev().filter(|build| build.mode == mode && build.made().is_some());
    let mut seconds: Vec<u64> =
        ended.filter_map(|build| Some(build.finished?.saturating_sub(build.started))).take(5).collect();
    seconds.sort_unstable();
    seconds.get(seconds.len() / 2).copied()
}

/// A record that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surplus {
    /// Which.
    pub number: u64,
    /// Why.
    pub why: String,
}

/// Which records go: the oldest beyond what the image keeps, of successful and other builds apart. What is in use stays: the
/// newest success, what the next decision compares with, what runs, what is pinned, and what the image is locked or turned
/// back to.
pub fn surplus(image: &Image, builds: &[Build]) -> Vec<Surplus> {
    let newest =
        |is_meant: fn(&Build) -> bool| builds.iter().rev().find(|build| is_meant(build)).map(|build| build.number);
    let in_use: BTreeSet<u64> = [
        newest(|build| build.made().is_some()),
        basis(builds).map(|build| build.number),
        // What failed by chance last is counted on.
        newest(|build| !build.is_running() && build.outcome != Outcome::Superseded),
        image.status.lock.as_ref().map(|lock| lock.build),
        image.status.rollback.as_ref().map(|rollback| rollback.to),
    ]
    .into_iter()
    .flatten()
    .collect();
    let (made, other): (Vec<&Build>, Vec<&Build>) =
        builds.iter().filter(|build| !build.is_running()).partition(|build| build.made().is_some());
    let of = |builds: Vec<&Build>, limit: u32, what: &str| {
        let there = builds.len();
        let surplus = there.saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
        let goes = builds.into_iter().filter(|build| !build.pinned && !in_use.contains(&build.number)).take(surplus);
        let why = format!("{limit} {what} builds are kept, and there are {there}");
        goes.map(|build| Surplus { number: build.number, why: why.clone() }).collect::<Vec<_>>()
    };
    let mut gone = of(made, image.spec.success_build_history_limit, "successful");
    gone.extend(of(other, image.spec.failed_build_history_limit, "other"));
    gone.sort_by_key(|surplus| surplus.number);
    gone
}

/// Why an old build cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no record of it.
    #[error("{image} has no build {number}{}", known(.numbers))]
    NoBuild {
        /// Whose.
        image: String,
        /// Which.
        number: u64,
        /// Those that made an image.
        numbers: Vec<u64>,
    },
    /// It made nothing.
    #[error("build {number} of {image} made no image{}", known(.numbers))]
    NoImage {
        /// Whose.
        image: String,
        /// Which.
        number: u64,
        /// Those that made one.
        numbers: Vec<u64>,
    },
    /// The tag stands for its image already.
    #[error("{image} is what build {number} made")]
    IsThere {
        /// Whose.
        image: String,
        /// Which.
        number: u64,
    },
    /// A build runs, which would take the tag again.
    #[error("build {number} of {image} is running")]
    Running {
        /// Whose.
        image: String,
        /// Which.
        number: u64,
    },
}

fn known(numbers: &[u64]) -> String {
    if numbers.is_empty() {
        return ", nor any that made an image".to_owned();
    }
    let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    format!("; those that made an image are {}", numbers.join(", "))
}

/// A build that made an image.
fn with_image<'a>(image: &Image, builds: &'a [Build], number: u64) -> Result<&'a Build, Refusal> {
    let numbers = builds.iter().filter(|build| build.made().is_some()).map(|build| build.number).collect();
    let name = image.key().to_string();
    match builds.iter().find(|build| build.number == number) {
        None => Err(Refusal::NoBuild { image: name, number, numbers }),
        Some(build) if build.made().is_none() => Err(Refusal::NoImage { image: name, number, numbers }),
        Some(build) => Ok(build),
    }
}

/// Locks an image to what its builder was at a build. Until it is unlocked, every build obeys.
pub fn lock(image: &Image, builds: &[Build], number: u64) -> Result<Lock, Refusal> {
    let build = with_image(image, builds, number)?;
    Ok(Lock { build: number, revision: build.inputs.revision.clone() })
}

/// What turning an image back comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnedBack {
    /// The record of it: a build that made what the earlier one made.
    pub build: Build,
    /// Why nothing is built now: until the source or the settings change, or somebody asks.
    pub rollback: Rollback,
}

/// Turns an image back to what an earlier build made. `source` is where the image's source is now.
pub fn turn_back(
    image: &Image,
    builds: &[Build],
    number: u64,
    source: &ResolvedSource,
    now: u64,
) -> Result<TurnedBack, Refusal> {
    let name = || image.key().to_string();
    if let Some(running) = builds.iter().find(|build| build.is_running()) {
        return Err(Refusal::Running { image: name(), number: running.number });
    }
    let earlier = with_image(image, builds, number)?;
    let latest = builds.iter().rev().find_map(Build::made);
    if latest.map(|made| made.image.digest()) == earlier.made().map(|made| made.image.digest()) {
        return Err(Refusal::IsThere { image: name(), number });
    }
    let shown =
        |made: Option<&crate::resource::build::Made>| made.map_or(Value::Null, |made| made.image.to_string().into());
    let wish = Inputs {
        source: source.clone(),
        env: image.spec.build.env.clone(),
        resources: image.spec.build.resources.clone(),
        services: image.spec.build.services.clone(),
        ..earlier.inputs.clone()
    }
    .wish();
    let newest = builds.iter().map(|build| build.number).max().unwrap_or_default();
    let number_now = newest.max(image.status.build_counter) + 1;
    let change = Change { reason: Reason::Rollback, old: shown(latest), new: shown(earlier.made()) };
    let build = Build {
        number: number_now,
        generation: image.metadata.generation,
        mode: Mode::Rollback,
        changes: vec![change],
        tags: tags(image, number_now, now),
        based_on: Some(number),
        attempt: 1,
        triggers: image.status.triggers,
        started: now,
        finished: Some(now),
        log: None,
        pinned: false,
        ..earlier.clone()
    };
    Ok(TurnedBack { build, rollback: Rollback { to: number, wish } })
}

impl fmt::Display for Surplus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "build {} goes: {}", self.number, self.why)
    }
}

#[cfg(test)]
mod tests;
