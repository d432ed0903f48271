//! A buildpack that brings the dependency `tool` into the image: the version that the setting `BP_BRING` names, or the newest.

use stave_sdk::{
    Buildpack, Failure, OrFail, Process, Report, Requirement, Verdict,
    artifacts::{self, Unpacking},
    context,
    layers::Usage,
};

/// Brings.
pub struct Bringer;

impl Buildpack for Bringer {
    fn detect() -> Result<Verdict, Failure> {
        Ok(Verdict::pass())
    }

    fn build(_: &[Requirement]) -> Result<Report, Failure> {
        let wanted = context::setting("BP_BRING")?;
        let mut there = artifacts::available("tool")?.into_iter();
        let tool = there.find(|tool| wanted.as_ref().is_none_or(|wanted| *wanted == tool.version));
        tool.or_blame_app("no such tool")?.layer("tool", Usage::LAUNCH, &Unpacking::default())?;
        Ok(Report { processes: vec![Process::new("web", ["tool"]).default()], ..Report::default() })
    }
}

stave_sdk::export!(Bringer);
