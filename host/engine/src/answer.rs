//! What a buildpack answers, checked and turned into the model's words. Nothing of it is believed before.

use std::collections::BTreeMap;

use stave_lifecycle::port::buildpack::{Blame, Failure, Report, RunError, Verdict};
use stave_model::{
    id::BuildpackId,
    launch::{Label, Launch, MAX_LABELS, MAX_PROCESSES, MAX_SLICES, Process, Slice},
    plan::{Alternative, MAX_ALTERNATIVES, Requirement},
};

use crate::bindings::{
    exports::stave::buildpack::{construction, detection},
    stave::buildpack::types,
};

/// Most names that one alternative provides or requires, and most that are left unmet.
const MAX_NAMES: usize = 100;
/// Longest name of a plan, in bytes.
const MAX_NAME: usize = 256;
/// Most names and values that are kept together, in bytes.
const MAX_NOTES: usize = 64 * 1024;
/// Longest text that is shown to a person, in characters: of one line, and of more.
const MAX_LINE: usize = 2000;
const MAX_TEXT: usize = 20_000;

impl From<&Requirement> for types::Requirement {
    fn from(requirement: &Requirement) -> Self {
        Self {
            name: requirement.name.clone(),
            metadata: requirement.metadata.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    }
}

/// What detect answered.
pub(crate) fn verdict(answer: Result<detection::Verdict, types::Failure>) -> Result<Verdict, RunError> {
    match answer.map_err(refused)? {
        detection::Verdict::Skip(reason) => Ok(Verdict::Skip(cut(reason, MAX_LINE))),
        detection::Verdict::Pass(alternatives) => {
            cap("alternatives", alternatives.len(), MAX_ALTERNATIVES)?;
            alternatives.into_iter().map(alternative).collect::<Result<_, _>>().map(Verdict::Pass)
        }
    }
}

/// What build answered.
pub(crate) fn report(
    answer: Result<construction::Report, types::Failure>,
    buildpack: &BuildpackId,
) -> Result<Report, RunError> {
    let construction::Report { processes, labels, slices, unmet, store } = answer.map_err(refused)?;
    cap("processes", processes.len(), MAX_PROCESSES)?;
    cap("labels", labels.len(), MAX_LABELS)?;
    cap("slices", slices.len(), MAX_SLICES)?;
    let launch = Launch {
        processes: processes.into_iter().map(|p| process(p, buildpack)).collect::<Result<_, _>>()?,
        labels: labels.into_iter().map(|(key, value)| Label { key, value }).collect(),
        slices: slices.into_iter().map(|paths| Slice { paths }).collect(),
    };
    launch.check().map_err(|error| RunError::BadAnswer(error.to_string()))?;
    names("unmet requirements", &unmet)?;
    Ok(Report { launch, unmet, store: notes("its store", store)? })
}

fn alternative(alternative: detection::Alternative) -> Result<Alternative, RunError> {
    let detection::Alternative { provides, requires } = alternative;
    names("names it provides", &provides)?;
    cap("requirements", requires.len(), MAX_NAMES)?;
    let requires = requires.into_iter().map(requirement).collect::<Result<_, _>>()?;
    Ok(Alternative { provides, requires })
}

fn requirement(requirement: types::Requirement) -> Result<Requirement, RunError> {
    let types::Requirement { name, metadata } = requirement;
    names("names", std::slice::from_ref(&name))?;
    let metadata = notes(&format!("the requirement `{name}`"), metadata)?;
    Ok(Requirement { name, metadata })
}

fn process(process: construction::Process, buildpack: &BuildpackId) -> Result<Process, RunError> {
    let construction::Process { kind, command, args, default, working_directory, exec_env } = process;
    let kind = kind.parse().map_err(|error: stave_model::id::InvalidName| RunError::BadAnswer(error.to_string()))?;
    let buildpack = buildpack.clone();
    Ok(Process { kind, command, args, direct: true, default, working_directory, exec_env, buildpack })
}

/// Fails when there are more than `most`.
fn cap(what: &str, count: usize, most: usize) -> Result<(), RunError> {
    if count > most {
        return Err(RunError::BadAnswer(format!("{count} {what}, where at most {most} are taken")));
    }
    Ok(())
}

/// Names of a plan: free, but fit to be shown.
fn names(what: &str, names: &[String]) -> Result<(), RunError> {
    cap(what, names.len(), MAX_NAMES)?;
    match names.iter().find(|name| name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control)) {
        None => Ok(()),
        Some(name) => {
            let name = name.chars().take(100).collect::<String>();
            let rule = "is not a name: it is empty, longer than 256 bytes or holds control characters";
            Err(RunError::BadAnswer(format!("`{}` {rule}", name.escape_debug())))
        }
    }
}

/// Pairs of name and value, each name once.
fn notes(of: &str, pairs: Vec<(String, String)>) -> Result<BTreeMap<String, String>, RunError> {
    let size: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size > MAX_NOTES {
        return Err(RunError::BadAnswer(format!(
            "{of} has {size} bytes of notes, where at most {MAX_NOTES} are taken"
        )));
    }
    let mut notes = BTreeMap::new();
    for (name, value) in pairs {
        let shown = name.chars().take(100).collect::<String>();
        if notes.insert(name, value).is_some() {
            return Err(RunError::BadAnswer(format!("{of} says twice what `{}` is", shown.escape_debug())));
        }
    }
    Ok(notes)
}

fn refused(failure: types::Failure) -> RunError {
    let types::Failure { blame, summary, detail, hint, file, line } = failure;
    let blame = match blame {
        types::Blame::App => Blame::App,
        types::Blame::Buildpack => Blame::Buildpack,
        types::Blame::Environment => Blame::Environment,
    };
    RunError::Refused(Box::new(Failure {
        blame,
        summary: cut(summary, MAX_LINE),
        detail: detail.map(|text| cut(text, MAX_TEXT)),
        hint: hint.map(|text| cut(text, MAX_LINE)),
        file: file.map(|text| cut(text, MAX_LINE)),
        line,
    }))
}

/// At most so many characters. Whoever shows the text makes control characters visible.
fn cut(text: String, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
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
        let metadata = vec![(text("version"), text("21"))];
        let requires = vec![types::Requirement { name: text("jre"), metadata }];
        let alternative = detection::Alternative { provides: vec![text("jar"), text("web")], requires };
        let Verdict::Pass(passed) = verdict(Ok(detection::Verdict::Pass(vec![alternative]))).unwrap() else {
            panic!("it was skipped")
        };
        let needed = Requirement { name: text("jre"), metadata: [(text("version"), text("21"))].into() };
        let expected = Alternative { provides: vec![text("jar"), text("web")], requires: vec![needed.clone()] };
        assert_eq!(passed, [expected]);
        let back = types::Requirement::from(&needed);
        assert_eq!((back.name, back.metadata), (text("jre"), vec![(text("version"), text("21"))]));
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
        let answer = construction::Report {
            processes: vec![process],
            labels: vec![(text("key"), text("value"))],
            slices: vec![vec![text("lib/*")]],
            unmet: vec![text("jre")],
            store: vec![(text("a"), text("b"))],
        };
        let report = report(Ok(answer), &"acme/x".parse().unwrap()).unwrap();
        let process = &report.launch.processes[0];
        assert_eq!((process.kind.as_str(), process.buildpack.as_str()), ("web", "acme/x"));
        assert_eq!((&process.command, &process.args), (&vec![text("java")], &vec![text("-jar")]));
        assert!(process.default && process.direct);
        assert_eq!((process.working_directory.as_deref(), &process.exec_env), (Some("sub"), &vec![text("test")]));
        assert_eq!(report.launch.labels, [Label { key: text("key"), value: text("value") }]);
        assert_eq!(report.launch.slices, [Slice { paths: vec![text("lib/*")] }]);
        assert_eq!((report.unmet, report.store), (vec![text("jre")], [(text("a"), text("b"))].into()));
    }

    #[test]
    fn a_failure_keeps_whose_it_is() {
        for (blame, expected) in [
            (types::Blame::App, Blame::App),
            (types::Blame::Buildpack, Blame::Buildpack),
            (types::Blame::Environment, Blame::Environment),
        ] {
            let failure =
                types::Failure { blame, summary: text("no"), detail: None, hint: None, file: None, line: Some(3) };
            let RunError::Refused(failure) = refused(failure) else { panic!("not refused") };
            assert_eq!((failure.blame, failure.summary.as_str(), failure.line), (expected, "no", Some(3)));
        }
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut(text("ééé"), 2), "éé…");
        assert_eq!(cut(text("ééé"), 3), "ééé");
    }
}
