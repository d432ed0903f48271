//! `stave buildpack test`: runs a buildpack on the apps in its `fixtures/`, and compares what comes of each with what is
//! expected.

use std::{path::PathBuf, sync::Arc, time::Instant};

use stave_engine::Engine;
use stave_lifecycle::port::buildpack::Buildpack;

use super::{
    compile::{Talk, compile},
    read_component, write_whole,
};
use crate::{
    alone,
    args::BuildpackTest,
    exit::{DIFFERS, Exit, GENERAL, USAGE, printable},
    fixture::{self, Fixture, diff},
    ui::seconds,
    watch,
    workshop::Workshop,
};

/// The largest expected.toml that is written: as large as it is read.
const MAX_EXPECTED: usize = 1 << 20;

/// What became of one fixture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// As expected.
    Ok,
    /// Not.
    Differs,
    /// Nobody said what is expected.
    New,
    /// Written down.
    Updated,
}

/// Runs them once, or again and again.
pub(crate) fn run(workshop: &Workshop, arguments: &BuildpackTest) -> Result<(), Exit> {
    let engine = alone::engine()?;
    if !arguments.watch {
        return once(workshop, &engine, arguments);
    }
    let places: Vec<PathBuf> = [&arguments.folder].into_iter().chain(&arguments.component).cloned().collect();
    watch::repeat(workshop, &places, || once(workshop, &engine, arguments))
}

fn once(workshop: &Workshop, engine: &Engine, arguments: &BuildpackTest) -> Result<(), Exit> {
    let started = Instant::now();
    let fixtures = fixture::list(&arguments.folder, arguments.filter.as_deref())?;
    let (name, wasm) = match &arguments.component {
        Some(file) => (file.display().to_string(), read_component(&file.display().to_string())?),
        None => (arguments.folder.display().to_string(), compile(&arguments.folder, Talk::Faults)?.wasm),
    };
    let tested: Arc<dyn Buildpack> = Arc::new(alone::load(engine, &printable(&name), &wasm)?);
    let compiled = started.elapsed();
    let mut marks = Vec::new();
    for fixture in &fixtures {
        workshop.cancel.check()?;
        marks.push(one(workshop, &tested, fixture, arguments.update)?);
    }
    workshop.ui.result(&summary(&marks));
    let took = seconds(started.elapsed().saturating_sub(compiled));
    workshop.ui.say(&format!("tested {} in {took}, compiled in {}", tested.manifest().title(), seconds(compiled)));
    let wrong = marks.iter().filter(|mark| matches!(mark, Mark::Differs | Mark::New)).count();
    if wrong == 0 {
        return Ok(());
    }
    let error = match (wrong, marks.len()) {
        (_, 1) => "the fixture is not as expected".to_owned(),
        (1, all) => format!("1 of {all} fixtures is not as expected"),
        (wrong, all) => format!("{wrong} of {all} fixtures are not as expected"),
    };
    Err(Exit::new(DIFFERS, error).hint("if it is right now, `stave buildpack test --update` writes it down"))
}

/// Runs one, and says what became of it.
fn one(workshop: &Workshop, tested: &Arc<dyn Buildpack>, fixture: &Fixture, update: bool) -> Result<Mark, Exit> {
    let outcome = fixture::run::run(workshop, tested, fixture)?;
    let found = outcome.text().map_err(|error| Exit::new(GENERAL, error))?;
    // One that cannot be read is written anew.
    let expected = if update { fixture.expected().unwrap_or_default() } else { fixture.expected()? };
    let mark = match &expected {
        Some(expected) if *expected == outcome => Mark::Ok,
        _ if update => {
            write(fixture, &found)?;
            Mark::Updated
        }
        Some(_) => Mark::Differs,
        None => Mark::New,
    };
    let word = match mark {
        Mark::Ok => "ok",
        Mark::Differs => "differs",
        Mark::New => "new",
        Mark::Updated => "updated",
    };
    workshop.ui.result(&format!("{word:8}{}", printable(&fixture.name)));
    if matches!(mark, Mark::Differs | Mark::New) {
        // As it would be written down, so that comments and the order of keys are no difference.
        let expected = expected.map(|expected| expected.text()).transpose();
        let expected = expected.map_err(|error| Exit::new(GENERAL, error))?.unwrap_or_default();
        for line in diff::lines(&expected, &found).lines() {
            workshop.ui.result(format!("        {}", printable(line)).trim_end());
        }
    }
    Ok(mark)
}

fn write(fixture: &Fixture, text: &str) -> Result<(), Exit> {
    let file = fixture.snapshot();
    if text.len() > MAX_EXPECTED {
        let error = format!("what comes of {} has {} bytes, too many to be written down", fixture.name, text.len());
        return Err(Exit::new(USAGE, error));
    }
    write_whole(&file, text.as_bytes()).map_err(|error| {
        let context = format!("could not write {}", printable(&file.display().to_string()));
        Exit::new(USAGE, anyhow::Error::new(error).context(context))
    })
}

fn counted(count: usize) -> String {
    if count == 1 { "one fixture".to_owned() } else { format!("{count} fixtures") }
}

/// One line about all of them.
fn summary(marks: &[Mark]) -> String {
    let count = |mark: Mark| marks.iter().filter(|other| **other == mark).count();
    let parts = [
        (count(Mark::Ok), "as expected"),
        (count(Mark::Differs), "not as expected"),
        (count(Mark::New), "without an expected.toml"),
        (count(Mark::Updated), "written down"),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    format!("{}: {}", counted(marks.len()), parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted() {
        assert_eq!(summary(&[Mark::Ok]), "one fixture: 1 as expected");
        assert_eq!(
            summary(&[Mark::Ok, Mark::New, Mark::Differs, Mark::Ok, Mark::Updated]),
            "5 fixtures: 2 as expected, 1 not as expected, 1 without an expected.toml, 1 written down"
        );
    }
}
