//! Options of a Java virtual machine that depend on how the container was started.
//!
//! They go before what stands in `JAVA_TOOL_OPTIONS`, so that the options that a person wrote there, which a JVM reads
//! later, have the last word. `switches` are what people ask for, `memory` is shared out by itself, and `regions` knows
//! how sizes stand among the options.

use std::{
    borrow::Cow,
    fs,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use stave_model::env::Variables;

use super::{Answer, Environment, Failed};

mod memory;
mod regions;
mod switches;

use memory::{ASSUMED_CLASSES, Adjustment, Classes, Memory, Wishes, share_out};
use regions::Chosen;
use switches::Switched;

const OPTIONS: &str = "JAVA_TOOL_OPTIONS";
/// Variables besides that `java` takes options from, after those.
const MORE_OPTIONS: [&str; 3] = ["JAVA_OPTS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"];
/// The most classes that somebody can speak of.
const MAX_CLASSES: u32 = 100_000_000;

/// What there is around the JVM.
#[derive(Debug, Clone, Copy)]
pub(super) struct Machine {
    /// Whether the runtime can be debugged.
    has_debugger: bool,
    /// The memory for it.
    memory: Memory,
    /// Seconds since 1970.
    now: u64,
    /// The number of this process, and of the app.
    process: u32,
}

impl Machine {
    /// This one, with the runtime that the environment names.
    pub(super) fn here(variables: &Variables) -> Self {
        let home = Environment(variables).get("JAVA_HOME").unwrap_or_default();
        // Version 2 of control groups, then version 1.
        let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
        let limit = limits.into_iter().find_map(|path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok());
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Self {
            has_debugger: Path::new(&home).join("lib/libjdwp.so").exists(),
            memory: Memory::from(limit, &meminfo),
            now: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            process: std::process::id(),
        }
    }
}

/// Decides, and makes the folder for heap dumps if one is wished for.
pub(super) fn answer(environment: &Environment<'_>, machine: &Machine) -> Result<Answer, Failed> {
    let (answer, folder) = decide(environment, machine)?;
    if let Some(folder) = folder {
        let failed = |cause| Failed::File { attempt: "make the folder for heap dumps", path: folder.clone(), cause };
        fs::create_dir_all(&folder).map_err(failed)?;
    }
    Ok(answer)
}

/// What is added, and the folder that it needs.
fn decide(environment: &Environment<'_>, machine: &Machine) -> Result<(Answer, Option<String>), Failed> {
    let old = environment.get(OPTIONS).unwrap_or_default();
    let all = [OPTIONS].into_iter().chain(MORE_OPTIONS);
    let written = all.filter_map(|name| environment.get(name)).collect::<Vec<_>>().join(" ");
    let switched = Switched::from(environment, machine, &written)?;
    let wishes = wishes(environment, machine.memory, &written)?;
    let shares = share_out(&wishes)?;
    let mut words = switched.options;
    words.push(shares.options(&wishes.chosen));
    words.push(old.clone());
    words.extend(environment.get("JAVA_OPTS"));
    let new = words.iter().map(|words| words.trim()).filter(|words| !words.is_empty()).collect::<Vec<_>>().join(" ");
    let mut answer = Answer { said: switched.said, ..Answer::default() };
    answer.said.push(shares.said(&wishes));
    answer.set.extend(switched.variable.map(|(name, value)| (Cow::Owned(name), value)));
    if new != old.trim() {
        answer.set.push((Cow::Borrowed(OPTIONS), new));
    }
    Ok((answer, switched.folder))
}

/// What the environment says of the memory. `written` is all that a person wrote as options.
fn wishes(environment: &Environment<'_>, memory: Memory, written: &str) -> Result<Wishes, Failed> {
    let expected = "a percentage from 0 to 99";
    let head_room = match environment.number("BPL_JVM_HEAD_ROOM", 0, 99, expected)? {
        None => environment.number("BPL_JVM_HEADROOM", 0, 99, expected)?,
        given => given,
    };
    let count = |name| environment.number(name, 0, MAX_CLASSES, "a number of classes");
    let there = |name| Ok::<_, Failed>(count(name)?.map_or(ASSUMED_CLASSES, u64::from));
    let classes = match count("BPL_JVM_LOADED_CLASS_COUNT")? {
        Some(loaded) => Classes::Loaded(loaded.into()),
        None => Classes::There(
            there("BPI_JVM_CLASS_COUNT")? + there("BPI_APPLICATION_CLASS_COUNT")?,
            adjustment(environment)?,
        ),
    };
    Ok(Wishes {
        memory,
        head_room: head_room.unwrap_or(0),
        threads: environment.number("BPL_JVM_THREAD_COUNT", 1, 1_000_000, "a number of threads")?,
        classes,
        chosen: Chosen::from_options(written)?,
    })
}

fn adjustment(environment: &Environment<'_>) -> Result<Adjustment, Failed> {
    let name = "BPL_JVM_CLASS_ADJUSTMENT";
    let Some(value) = environment.get(name) else { return Ok(Adjustment::More(0)) };
    let expected = "a number of classes to add, or a percentage such as 150%";
    Adjustment::parse(&value).ok_or(Failed::Setting { name, value, expected })
}

#[cfg(test)]
mod tests;
