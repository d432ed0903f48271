//! `stave build list`, `status`, `logs`, `diff` and `cancel`: the builds of images that the platform keeps up to date.

mod diff;

use std::{cell::Cell, thread, time::Duration};

use serde_json::Value;
use stave_platform::{
    decide::Verdict,
    port::records::{ImageRecord, Run},
    reconcile::decision,
    resource::{
        build::{Build, Outcome},
        name::{ImageKey, Name},
    },
    table::{lists, statuses},
};
use stave_store::{
    lease::{Holder, Lease},
    logs::{Progress, Stamps},
};

use super::{
    image::{key, record},
    resources,
};
use crate::{
    args::{
        platform::Whose,
        records::{BuildCancel, BuildList, BuildLogs, BuildRecords, BuildStatus},
    },
    document,
    exit::{Exit, GENERAL, USAGE},
    platform::{Desk, failed, logs::show, now},
    workshop::Workshop,
};

/// How often it is looked whether a build goes on.
const PAUSE: Duration = Duration::from_millis(100);

/// Does what was typed about builds.
pub(crate) fn run(workshop: &Workshop, command: &BuildRecords) -> Result<(), Exit> {
    let desk = Desk::open(workshop)?;
    match command {
        BuildRecords::List(arguments) => list(&desk, arguments),
        BuildRecords::Status(arguments) => status(&desk, arguments),
        BuildRecords::Logs(arguments) => logs(&desk, arguments),
        BuildRecords::Diff(arguments) => diff::run(&desk, arguments),
        BuildRecords::Cancel(arguments) => cancel(&desk, arguments),
    }
}

fn list(desk: &Desk<'_>, arguments: &BuildList) -> Result<(), Exit> {
    let snapshot = desk.snapshot()?;
    let namespace = resources::namespace(desk.workshop, &arguments.whose);
    let is_meant = |key: &ImageKey| {
        (arguments.all_namespaces || key.namespace == namespace)
            && arguments.image.as_ref().is_none_or(|name| key.name == *name)
    };
    let records = snapshot.images.iter().filter(|(key, _)| is_meant(key));
    let builds: Vec<Build> = records.flat_map(|(_, record)| record.builds.clone()).collect();
    if let Some(format) = arguments.printed.form.document() {
        desk.workshop.ui.result(&document::write(&builds, format)?);
        return Ok(());
    }
    if builds.is_empty() {
        return Err(Exit::new(USAGE, "no builds found"));
    }
    desk.workshop.ui.result(lists::builds(&builds).trim_end_matches('\n'));
    Ok(())
}

/// The build that is meant: the newest where no number is said.
pub(super) fn build_of(record: &ImageRecord, number: Option<u64>) -> Result<&Build, Exit> {
    let found = match number {
        None => record.builds.last(),
        Some(number) => record.builds.iter().find(|build| build.number == number),
    };
    found.ok_or_else(|| match number {
        None => Exit::new(USAGE, "no builds found"),
        Some(number) => Exit::new(USAGE, format!("build \"{number}\" not found")),
    })
}

/// The image and its build.
pub(super) fn found(desk: &Desk<'_>, image: &Name, whose: &Whose) -> Result<(ImageKey, ImageRecord), Exit> {
    let key = key(desk, image, whose);
    let record = record(desk, &key)?;
    Ok((key, record))
}

fn status(desk: &Desk<'_>, arguments: &BuildStatus) -> Result<(), Exit> {
    let (_, record) = found(desk, &arguments.image, &arguments.whose)?;
    let build = build_of(&record, arguments.build)?;
    let text = match arguments.printed.form.document() {
        Some(format) => document::write(build, format)?,
        None => statuses::build(build),
    };
    desk.workshop.ui.result(text.trim_end_matches('\n'));
    Ok(())
}

/// Prints the log of a build, and follows it while it runs. One that a change has made due is waited for, so that nobody is
/// shown the build before it.
fn logs(desk: &Desk<'_>, arguments: &BuildLogs) -> Result<(), Exit> {
    let (key, mut record) = found(desk, &arguments.image, &arguments.whose)?;
    if arguments.build.is_none() {
        record = due(desk, &key, record, arguments.wait)?;
    }
    let build = build_of(&record, arguments.build)?.clone();
    let is_interrupted = Cell::new(false);
    let progress = || {
        let now = || {
            let record = desk.records().image(&key).ok().flatten()?;
            record.builds.into_iter().find(|one| one.number == build.number)
        };
        match now() {
            Some(running) if running.is_running() => {
                // Whoever runs it holds the lease from before its record is there until after it is complete.
                let is_left = Lease::holder(&desk.workshop.data).is_none();
                is_interrupted.set(is_left && now().is_some_and(|build| build.is_running()));
                if is_interrupted.get() { Progress::Over(None) } else { Progress::Running }
            }
            Some(build) => Progress::Over(build.log),
            None => Progress::Over(build.log),
        }
    };
    let stamps = if arguments.timestamps { Stamps::Shown } else { Stamps::Hidden };
    let shown = show(desk.workshop, desk.logs(), (&key, build.number), stamps, progress);
    // Whoever was stopped in time to say so left no log of it.
    let is_told = is_interrupted.get() && shown.as_ref().err().is_none_or(|exit| exit.code == USAGE);
    if is_told {
        let said = format!("build {} of {key} was interrupted, and nobody goes on with it now", build.number);
        let who = "`stave serve` does, or the next command that changes the image";
        desk.workshop.ui.say(&format!("{said}: {who}"));
        return Ok(());
    }
    shown
}

/// The image's record when the build that is due has begun: where a server does that, in a moment; nobody waits for ever, unless
/// asked to.
fn due(desk: &Desk<'_>, key: &ImageKey, mut found: ImageRecord, wait: bool) -> Result<ImageRecord, Exit> {
    const MOMENTS: u32 = 50;
    let mut moments = 0;
    loop {
        let snapshot = desk.snapshot()?;
        let is_due = matches!(decision(&snapshot, &found, &desk.rules()?, now()).verdict, Verdict::Start(_));
        let is_served = Lease::holder(&desk.workshop.data).is_some();
        if !is_due || !is_served && !wait || moments == MOMENTS && !wait {
            return Ok(found);
        }
        moments += 1;
        desk.workshop.cancel.check()?;
        thread::sleep(PAUSE);
        found = record(desk, key)?;
    }
}

/// Wants a build to stop, and waits until it has. One that nobody runs any more is over at once.
fn cancel(desk: &Desk<'_>, arguments: &BuildCancel) -> Result<(), Exit> {
    let (key, record) = found(desk, &arguments.image, &arguments.whose)?;
    let running = record.running().map(|build| build.number);
    let number = arguments.build.or(running);
    let Some(number) = number.filter(|number| running == Some(*number)) else {
        let what = number
            .map_or_else(|| "no build".to_owned(), |number| format!("build {number} is over, or not there: no build"));
        return Err(Exit::new(USAGE, format!("{what} of the image {} is running", key.name)));
    };
    stop(desk, &key, number)?;
    desk.workshop.ui.result(&format!("Build {number} of Image Resource \"{}\" is asked to stop", key.name));
    wait_for_end(desk, &key, number, arguments.waiting.wait)
}

/// Wants a build to stop.
pub(super) fn stop(desk: &Desk<'_>, key: &ImageKey, number: u64) -> Result<(), Exit> {
    let amended = desk.records().amend_image(key, &mut |record| {
        record.run.stop = Some(number);
        Ok(())
    });
    amended.map(drop).map_err(failed)
}

/// Waits, if `wait`, until a build that is to stop is over. One that nobody runs any more is over by that.
pub(super) fn wait_for_end(desk: &Desk<'_>, key: &ImageKey, number: u64, wait: bool) -> Result<(), Exit> {
    loop {
        let holder = Holder::this_process("stave build cancel", now());
        if let Some(_lease) = Lease::take(&desk.workshop.data, &holder)? {
            // Nobody else begins it again meanwhile.
            let amended = desk.records().amend_image(key, &mut |record| {
                let running = record.builds.iter_mut().find(|build| build.number == number && build.is_running());
                if let Some(build) = running {
                    build.finished = Some(now().max(build.started));
                    build.outcome = Outcome::Cancelled;
                    record.run = Run::default();
                }
                Ok(())
            });
            return amended.map(drop).map_err(failed);
        }
        let found = desk.records().image(key).map_err(failed)?;
        let is_running = |record: ImageRecord| record.running().is_some_and(|build| build.number == number);
        if !wait || !found.is_some_and(is_running) {
            return Ok(());
        }
        desk.workshop.cancel.check()?;
        thread::sleep(PAUSE);
    }
}

/// A build for programs.
pub(super) fn document(build: &Build) -> Result<Value, Exit> {
    serde_json::to_value(build).map_err(|error| Exit::new(GENERAL, error))
}
