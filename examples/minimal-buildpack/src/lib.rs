//! The minimal buildpack: starts what `start.json` names, with the variables that stand there.
use std::collections::BTreeMap;

use stave_sdk::{Buildpack, Failure, OrFail, Report, Requirement, Verdict, app, layers};

/// The buildpack.
#[derive(Debug)]
pub struct Minimal;

#[derive(serde::Deserialize)]
struct Start {
    command: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
}

impl Buildpack for Minimal {
    fn detect() -> Result<Verdict, Failure> {
        Ok(Verdict::pass_if(app::exists("start.json")?, "no start.json"))
    }

    fn build(_: &[Requirement]) -> Result<Report, Failure> {
        let start: Start = app::read_json("start.json")?.or_blame_app("start.json is gone")?;
        layers::environment("environment", start.env)?;
        Ok(Report::web(start.command))
    }
}

stave_sdk::export!(Minimal);
