//! `stave lock`: writes every input of a build by digest, and shows what an update changes before it is taken.

use std::{collections::BTreeSet, path::Path};

use serde::Serialize;
use stave_model::{
    id::BuildpackId,
    lock::{
        Lock,
        compare::{Change, changes, unaccepted},
    },
    target::Platform,
};

use crate::{
    args::{LockCommand, LockDiff, LockUpdate, Locking, Output},
    builder,
    exit::{Exit, GENERAL, UNACCEPTED, USAGE, printable},
    locked::{self, Fresh},
    review,
    whole::write_whole,
    workshop::Workshop,
};

/// What the long help adds.
pub(crate) const HELP: &str = "\
The lock names the base of every platform, and of every buildpack the component, the contract, what it imports, asks for and is
granted, and its dependencies, all by digest. `build`, `detect` and `verify` take nothing else with --locked. An update of a
buildpack that is new, wants or is granted more than before, is older than before, or is no longer signed by whom it was, is
written only if its id is given with --accept, or typed where somebody is asked.";

/// The result for programs.
#[derive(Serialize)]
struct Report<'a> {
    lock: String,
    written: bool,
    changes: &'a [Change],
}

pub(crate) fn run(workshop: &Workshop, arguments: &crate::args::Lock) -> Result<(), Exit> {
    match &arguments.command {
        None => write(workshop, &arguments.what, &[]),
        Some(LockCommand::Update(LockUpdate { ids, what })) => {
            if !is_there(&what.lock_file)? {
                let exit = Exit::new(USAGE, format!("there is no {}", shown(&what.lock_file)));
                return Err(exit.hint("`stave lock` writes the first one"));
            }
            write(workshop, what, ids)
        }
        Some(LockCommand::Diff(arguments)) => diff(workshop, arguments),
    }
}

/// Makes the lock anew, compares it with the one that is there, and writes it if nothing is left to agree to.
fn write(workshop: &Workshop, what: &Locking, ids: &[BuildpackId]) -> Result<(), Exit> {
    let file = &what.lock_file;
    let old = if is_there(file)? { Some(locked::read(file)?) } else { None };
    let builder = named(workshop, what.builder.as_deref(), old.as_ref());
    let platforms = platforms(&what.platform, old.as_ref());
    let ids: BTreeSet<BuildpackId> = ids.iter().cloned().collect();
    let new = match &old {
        Some(old) if !ids.is_empty() => {
            for id in &ids {
                check_known(old, id)?;
            }
            let builder = builder::find_now(workshop, &builder)?;
            if builder.digest.is_some() || old.builder.digest.is_some() || builder.name != old.builder.name {
                let exit = Exit::new(USAGE, "an artefact, or another builder than the locked one, is taken as a whole");
                return Err(exit.hint("leave the ids out: `stave lock update`"));
            }
            if !what.platform.is_empty() {
                let exit = Exit::new(USAGE, "the bases stay as they are where single buildpacks are updated");
                return Err(exit.hint("leave --platform out, or the ids"));
            }
            old.updated(&locked::make(workshop, builder, &platforms, &Fresh::Only(&ids, old))?, &ids)
        }
        _ => locked::make(workshop, builder::find_now(workshop, &builder)?, &platforms, &Fresh::All)?,
    };
    let changes = old.as_ref().map(|old| changes(old, &new)).unwrap_or_default();
    let is_first = old.is_none();
    if what.output == Output::Text {
        for line in review::lines(&changes) {
            workshop.ui.result(&line);
        }
    }
    let lock = file.display().to_string();
    let accepted = match agreed(workshop, &changes, what) {
        Ok(accepted) => accepted,
        Err(exit) => {
            report(workshop, what.output, &Report { lock, written: false, changes: &changes })?;
            return Err(exit);
        }
    };
    let text = new.to_toml();
    let differs = old.is_none_or(|old| old.to_toml() != text);
    if differs {
        write_whole(file, text.as_bytes()).map_err(|error| {
            Exit::new(GENERAL, anyhow::Error::new(error).context(format!("could not write {}", shown(file))))
        })?;
    }
    for id in accepted {
        workshop.ui.say(&format!("accepted: {id}"));
    }
    let said = match (is_first, differs) {
        (true, _) => format!("{} buildpacks and {} bases are locked in", new.buildpacks.len(), new.stack.images.len()),
        (false, true) => "written:".to_owned(),
        (false, false) => "nothing has changed:".to_owned(),
    };
    workshop.ui.say(&format!("{said} {}", shown(file)));
    report(workshop, what.output, &Report { lock, written: differs, changes: &changes })
}

/// Whether there is a lock. What cannot be looked at is not taken for none: everything would pass as its first entry.
fn is_there(file: &Path) -> Result<bool, Exit> {
    match std::fs::symlink_metadata(file) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => {
            Err(Exit::new(USAGE, anyhow::Error::new(error).context(format!("could not read the lock {}", shown(file)))))
        }
    }
}

/// Stops where somebody has to agree and does not. Answers whose update was agreed to.
fn agreed(workshop: &Workshop, changes: &[Change], what: &Locking) -> Result<Vec<BuildpackId>, Exit> {
    let mut accepted: BTreeSet<BuildpackId> = what.accept.iter().cloned().collect();
    for update in unaccepted(changes, &accepted.clone()) {
        if what.output == Output::Text {
            let question = format!("{} wants more than before; type its id to accept that: ", update.id);
            let answer = workshop.pausing(|| workshop.ui.ask(&question))?;
            workshop.cancel.check()?;
            if answer.is_some_and(|answer| answer == update.id.as_str()) {
                accepted.insert(update.id.clone());
            }
        }
    }
    let waiting = unaccepted(changes, &accepted);
    if waiting.is_empty() {
        let stopped = unaccepted(changes, &BTreeSet::new());
        return Ok(stopped.into_iter().map(|update| update.id.clone()).collect());
    }
    let lock = shown(&what.lock_file);
    let mut exit = Exit::new(UNACCEPTED, format!("{lock} stays as it is: an update wants more than was accepted"));
    for update in &waiting {
        exit = exit.detail(format!("{}:", update.id));
        for stop in &update.stops {
            exit = exit.detail(format!("  {stop}"));
        }
    }
    let flags: BTreeSet<String> = waiting.iter().map(|update| format!("--accept {}", update.id)).collect();
    let flags = flags.into_iter().collect::<Vec<_>>().join(" ");
    Err(exit.hint(format!("whoever agrees runs it again with {flags}")))
}

fn diff(workshop: &Workshop, arguments: &LockDiff) -> Result<(), Exit> {
    let file = arguments.old.clone().unwrap_or_else(|| stave_model::lock::FILE.into());
    let old = locked::read(&file)?;
    let new = if let Some(new) = &arguments.new {
        locked::read(new)?
    } else {
        let builder = named(workshop, arguments.builder.as_deref(), Some(&old));
        locked::make(workshop, builder::find_now(workshop, &builder)?, &platforms(&[], Some(&old)), &Fresh::All)?
    };
    let changes = changes(&old, &new);
    if arguments.output == Output::Text {
        for line in review::lines(&changes) {
            workshop.ui.result(&line);
        }
        if changes.is_empty() {
            workshop.ui.say("nothing is different");
        }
    }
    report(workshop, arguments.output, &Report { lock: file.display().to_string(), written: false, changes: &changes })
}

fn report(workshop: &Workshop, output: Output, report: &Report<'_>) -> Result<(), Exit> {
    if output == Output::Json {
        workshop.ui.result(&serde_json::to_string_pretty(report).map_err(|error| Exit::new(GENERAL, error))?);
    }
    Ok(())
}

/// The builder: as typed, as the lock has it, as the configuration has it, or the one inside the program.
fn named(workshop: &Workshop, typed: Option<&Path>, lock: Option<&Lock>) -> builder::Named {
    let named = typed.map(Path::to_owned).or_else(|| lock.map(|lock| lock.builder.name.clone().into()));
    builder::Named::of(workshop, named.or_else(|| workshop.config.builder.clone()).as_deref())
}

fn platforms(typed: &[Platform], lock: Option<&Lock>) -> Vec<Platform> {
    let mut platforms = typed.to_vec();
    if platforms.is_empty() {
        platforms =
            lock.map(|lock| lock.stack.images.iter().map(|image| image.platform.clone()).collect()).unwrap_or_default();
    }
    if platforms.is_empty() {
        platforms.push(Platform::of_this_machine());
    }
    platforms.sort();
    platforms.dedup();
    platforms
}

fn check_known(lock: &Lock, id: &BuildpackId) -> Result<(), Exit> {
    if lock.buildpacks.iter().any(|buildpack| buildpack.id == *id) {
        return Ok(());
    }
    let ids: Vec<&str> = lock.buildpacks.iter().map(|buildpack| buildpack.id.as_str()).collect();
    Err(Exit::new(USAGE, format!("the lock has no buildpack {id}")).hint(format!("it has {}", ids.join(", "))))
}

fn shown(file: &Path) -> String {
    printable(&file.display().to_string())
}
