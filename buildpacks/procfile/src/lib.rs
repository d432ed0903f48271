//! The Procfile buildpack: processes as the app names them.
//!
//! What a Procfile says (`procfile`) and which processes come of it (`processes`) is decided by functions that never ask
//! the host; this file asks it.

mod processes;
mod procfile;

use stave_sdk::{Buildpack, Failure, Report, Requirement, Verdict, app, context, log};

use crate::{
    processes::Line,
    procfile::{FILE, MAX_SIZE},
};

/// A command for the process `web`, instead of the file's or where there is none.
const DEFAULT_SETTING: &str = "BP_PROCFILE_DEFAULT_PROCESS";

/// The buildpack.
#[derive(Debug)]
pub struct Procfile;

impl Buildpack for Procfile {
    fn detect() -> Result<Verdict, Failure> {
        Ok(match lines()?.as_slice() {
            [] => Verdict::skip(format!("no {FILE} that names a process, and no {DEFAULT_SETTING}")),
            _ => Verdict::pass(),
        })
    }

    fn build(_: &[Requirement]) -> Result<Report, Failure> {
        let lines = lines()?;
        for line in &lines {
            if let Some(warning) = processes::warning(line) {
                log::warning(&warning);
            }
        }
        let processes = processes::of(&lines);
        for process in &processes {
            log::info(&processes::told(process));
        }
        Ok(Report { processes, ..Report::default() })
    }
}

/// What the file says, then what the setting says.
fn lines() -> Result<Vec<Line>, Failure> {
    let file = app::read_text(FILE, MAX_SIZE)?;
    let lines = procfile::parse(file.as_deref().unwrap_or_default())?;
    let setting = context::setting(DEFAULT_SETTING)?;
    processes::with_setting(lines, setting.as_deref(), DEFAULT_SETTING)
}

stave_sdk::export!(Procfile);
