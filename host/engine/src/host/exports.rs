//! What a buildpack exports: called, and its answers in words of no version. They are checked in [`stave_lifecycle::answer`].

use stave_lifecycle::answer::{GaveUp, Offered, Reported, Started, Told};
use stave_model::plan;
use wasmtime::{Store, component::InstancePre};

use super::contract::{
    BuildpackPre,
    exports::stave::buildpack::{construction, detection},
    stave::buildpack::types::{Failure, Requirement},
};
use crate::guest::Guest;

/// A component of this version whose types fit.
pub(crate) struct Linked(BuildpackPre<Guest>);

impl Linked {
    /// Checks that the types fit.
    pub(crate) fn new(linked: InstancePre<Guest>) -> wasmtime::Result<Self> {
        BuildpackPre::new(linked).map(Self)
    }

    /// Asks a fresh instance whether it takes part.
    pub(crate) async fn detect(&self, store: &mut Store<Guest>) -> wasmtime::Result<Result<Told, GaveUp>> {
        let buildpack = self.0.instantiate_async(&mut *store).await?;
        let answer = buildpack.stave_buildpack_detection().call_detect(store).await?;
        Ok(answer.map(Told::from).map_err(GaveUp::from))
    }

    /// Lets a fresh instance do its work.
    pub(crate) async fn build(
        &self,
        store: &mut Store<Guest>,
        requirements: &[plan::Requirement],
    ) -> wasmtime::Result<Result<Reported, GaveUp>> {
        let requirements: Vec<Requirement> = requirements.iter().map(Requirement::from).collect();
        let buildpack = self.0.instantiate_async(&mut *store).await?;
        let answer: Result<_, Failure> =
            buildpack.stave_buildpack_construction().call_build(store, &requirements).await?;
        Ok(answer.map(Reported::from).map_err(GaveUp::from))
    }
}

impl From<detection::Verdict> for Told {
    fn from(verdict: detection::Verdict) -> Self {
        let offered = |detection::Alternative { provides, requires }| Offered {
            provides,
            requires: requires.into_iter().map(Into::into).collect(),
        };
        match verdict {
            detection::Verdict::Skip(reason) => Self::Skip(reason),
            detection::Verdict::Pass(all) => Self::Pass(all.into_iter().map(offered).collect()),
        }
    }
}

impl From<construction::Report> for Reported {
    fn from(report: construction::Report) -> Self {
        let construction::Report { processes, labels, slices, unmet, store } = report;
        let processes = processes.into_iter().map(|process| {
            let construction::Process { kind, command, args, default, working_directory, exec_env } = process;
            Started { kind, command, args, default, working_directory, exec_env }
        });
        Self { processes: processes.collect(), labels, slices, unmet, store }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn a_verdict_keeps_what_it_says() {
        let requires = vec![Requirement { name: text("jre"), metadata: vec![(text("version"), text("21"))] }];
        let alternative = detection::Alternative { provides: vec![text("jar"), text("web")], requires };
        let Told::Pass(told) = detection::Verdict::Pass(vec![alternative]).into() else { panic!("it was skipped") };
        assert_eq!(told[0].provides, ["jar", "web"]);
        assert_eq!(told[0].requires[0].metadata, [(text("version"), text("21"))]);
        assert!(matches!(detection::Verdict::Skip(text("no")).into(), Told::Skip(reason) if reason == "no"));
    }

    #[test]
    fn a_report_keeps_what_it_says() {
        let process = construction::Process {
            kind: text("web"),
            command: vec![text("java")],
            args: vec![text("-jar")],
            default: true,
            working_directory: Some(text("sub")),
            exec_env: vec![text("test")],
        };
        let report = construction::Report {
            processes: vec![process],
            labels: vec![(text("key"), text("value"))],
            slices: vec![vec![text("lib/*")]],
            unmet: vec![text("jre")],
            store: vec![(text("a"), text("b"))],
        };
        let Reported { processes, labels, slices, unmet, store } = report.into();
        let Started { kind, command, args, default, working_directory, exec_env } = &processes[0];
        assert_eq!((kind.as_str(), command, args, default), ("web", &vec![text("java")], &vec![text("-jar")], &true));
        assert_eq!((working_directory.as_deref(), exec_env), (Some("sub"), &vec![text("test")]));
        assert_eq!((labels, slices), (vec![(text("key"), text("value"))], vec![vec![text("lib/*")]]));
        assert_eq!((unmet, store), (vec![text("jre")], vec![(text("a"), text("b"))]));
    }
}
