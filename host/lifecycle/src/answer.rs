//! What a buildpack answers, checked and turned into the model's words. Nothing of it is believed before.
//!
//! The answers come here from every version of the contract, and from buildpacks that run natively, in words of none.

use std::collections::BTreeMap;

use stave_model::{
    id::BuildpackId,
    launch::{Label, Launch, MAX_LABELS, MAX_PROCESSES, MAX_SLICES, Process, Slice},
    plan::{Alternative, MAX_ALTERNATIVES, Requirement},
};

use crate::port::buildpack::{Failure, Report, RunError, Verdict, visible};

/// What a buildpack says in detect.
#[derive(Debug)]
pub enum Told {
    /// It takes part in one of these ways.
    Pass(Vec<Offered>),
    /// It has nothing to do, because ….
    Skip(String),
}

/// A way in which it takes part.
#[derive(Debug)]
pub struct Offered {
    /// Names that it would provide.
    pub provides: Vec<String>,
    /// What it would need.
    pub requires: Vec<Asked>,
}

/// Something that it requires.
#[derive(Debug)]
pub struct Asked {
    /// Its name.
    pub name: String,
    /// Details for whoever provides it.
    pub metadata: Vec<(String, String)>,
}

/// What it says at the end of build.
#[derive(Debug)]
pub struct Reported {
    /// Processes of the image.
    pub processes: Vec<Started>,
    /// Labels of the image.
    pub labels: Vec<(String, String)>,
    /// Slices, each a list of patterns.
    pub slices: Vec<Vec<String>>,
    /// Requirements left to the next provider.
    pub unmet: Vec<String>,
    /// Notes for the next build.
    pub store: Vec<(String, String)>,
}

/// A process that it names.
#[derive(Debug)]
pub struct Started {
    /// Its type.
    pub kind: String,
    /// The program and the arguments that always go with it.
    pub command: Vec<String>,
    /// The arguments that a user's own replace.
    pub args: Vec<String>,
    /// Whether it is the one that starts when none is named.
    pub default: bool,
    /// Where it starts; in the app's folder if nothing is said.
    pub working_directory: Option<String>,
    /// The execution environments that have it.
    pub exec_env: Vec<String>,
}

/// A failure in its own words, of any length.
#[derive(Debug)]
pub struct GaveUp(pub Failure);

/// Most names that one alternative provides or requires, and most that are left unmet.
const MAX_NAMES: usize = 100;
/// Longest name of a plan, in bytes.
const MAX_NAME: usize = 256;
/// Most names and values that are kept together, in bytes.
const MAX_NOTES: usize = 64 * 1024;
/// Longest text that is shown to a person, in characters: of one line, and of more.
const MAX_LINE: usize = 2000;
const MAX_TEXT: usize = 20_000;
/// Longest last words, in characters.
const MAX_WORDS: usize = 500;

/// What detect answered.
pub fn verdict(answer: Result<Told, GaveUp>) -> Result<Verdict, RunError> {
    match answer.map_err(refused)? {
        Told::Skip(reason) => Ok(Verdict::Skip(cut(reason, MAX_LINE))),
        Told::Pass(alternatives) => {
            cap("alternatives", alternatives.len(), MAX_ALTERNATIVES)?;
            alternatives.into_iter().map(alternative).collect::<Result<_, _>>().map(Verdict::Pass)
        }
    }
}

/// What build answered.
pub fn report(answer: Result<Reported, GaveUp>, buildpack: &BuildpackId) -> Result<Report, RunError> {
    let Reported { processes, labels, slices, unmet, store } = answer.map_err(refused)?;
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

fn alternative(alternative: Offered) -> Result<Alternative, RunError> {
    let Offered { provides, requires } = alternative;
    names("names it provides", &provides)?;
    cap("requirements", requires.len(), MAX_NAMES)?;
    let requires = requires.into_iter().map(requirement).collect::<Result<_, _>>()?;
    Ok(Alternative { provides, requires })
}

fn requirement(requirement: Asked) -> Result<Requirement, RunError> {
    let Asked { name, metadata } = requirement;
    names("names", std::slice::from_ref(&name))?;
    let metadata = notes(&format!("the requirement `{name}`"), metadata)?;
    Ok(Requirement { name, metadata })
}

fn process(process: Started, buildpack: &BuildpackId) -> Result<Process, RunError> {
    let Started { kind, command, args, default, working_directory, exec_env } = process;
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

fn refused(GaveUp(failure): GaveUp) -> RunError {
    let Failure { blame, summary, detail, hint, file, line } = failure;
    RunError::Refused(Box::new(Failure {
        blame,
        summary: cut(summary, MAX_LINE),
        detail: detail.map(|text| cut(text, MAX_TEXT)),
        hint: hint.map(|text| cut(text, MAX_LINE)),
        file: file.map(|text| cut(text, MAX_LINE)),
        line,
    }))
}

/// What a buildpack did that ended in a panic, by the last words that it had: the SDK and Rust's standard library both say
/// `… panicked at FILE:LINE…`.
pub fn panicked(last_words: &str) -> String {
    let last_words = plain(last_words.trim(), MAX_WORDS);
    let words =
        last_words.lines().map(str::trim).take_while(|line| !line.starts_with("note:")).collect::<Vec<_>>().join(" ");
    match words.find("panicked") {
        Some(start) => format!("it {}", &words[start..]),
        None => format!("it gave up with the words: {words}"),
    }
}

/// A text from outside: cut to so many characters, control characters made visible, lines kept.
pub fn plain(text: &str, most: usize) -> String {
    let cut: String = text.chars().take(most).collect();
    cut.lines().map(visible).collect::<Vec<_>>().join("\n")
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
        let requires = vec![Asked { name: text("jre"), metadata }];
        let alternative = Offered { provides: vec![text("jar"), text("web")], requires };
        let Verdict::Pass(passed) = verdict(Ok(Told::Pass(vec![alternative]))).unwrap() else {
            panic!("it was skipped")
        };
        let needed = Requirement { name: text("jre"), metadata: [(text("version"), text("21"))].into() };
        assert_eq!(passed, [Alternative { provides: vec![text("jar"), text("web")], requires: vec![needed] }]);
    }

    #[test]
    fn a_report_keeps_what_it_says() {
        let process = Started {
            kind: text("web"),
            command: vec![text("java")],
            args: vec![text("-jar")],
            default: true,
            working_directory: Some(text("sub")),
            exec_env: vec![text("test")],
        };
        let answer = Reported {
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
    fn texts_are_cut_between_characters() {
        assert_eq!(cut(text("ééé"), 2), "éé…");
        assert_eq!(cut(text("ééé"), 3), "ééé");
    }

    #[test]
    fn a_text_from_outside_is_cut_and_plain() {
        assert_eq!(plain("a\u{1b}[2J \"b\"\n\tc", 100), "a\\u{1b}[2J \"b\"\n\\tc");
        assert_eq!(plain(&"x".repeat(1000), 10), "x".repeat(10));
    }

    #[test]
    fn last_words_become_a_reason() {
        for (words, reason) in [
            ("the buildpack panicked at src/lib.rs:7: no staves", "it panicked at src/lib.rs:7: no staves"),
            (
                "\nthread 'main' panicked at src/lib.rs:7:5:\nno staves\nnote: x\n",
                "it panicked at src/lib.rs:7:5: no staves",
            ),
            ("assertion failed: x", "it gave up with the words: assertion failed: x"),
        ] {
            assert_eq!(panicked(words), reason);
        }
    }

    #[test]
    fn an_answer_beyond_the_contract_says_what_of_it_is() {
        let pair = |value: &str| (text("a"), text(value));
        let asked = || Asked { name: text("jre"), metadata: vec![pair("1"), pair("2")] };
        let offered = |provides, requires| Offered { provides, requires };
        let told = |ways| verdict(Ok(Told::Pass(ways))).unwrap_err().to_string();
        let reported = |unmet, store| {
            let answer = Reported { processes: vec![], labels: vec![], slices: vec![], unmet, store };
            report(Ok(answer), &"acme/x".parse().unwrap()).unwrap_err().to_string()
        };
        let said = [
            told((0..33).map(|_| offered(vec![], vec![])).collect()),
            told(vec![offered(vec![text("x"); 101], vec![])]),
            told(vec![offered(vec![], vec![asked()])]),
            reported(vec![String::new()], vec![]),
            reported(vec![], vec![pair("1"), pair("2")]),
        ];
        insta::assert_snapshot!(said.join("\n"), @r"
        its answer breaks the contract: 33 alternatives, where at most 32 are taken
        its answer breaks the contract: 101 names it provides, where at most 100 are taken
        its answer breaks the contract: the requirement `jre` says twice what `a` is
        its answer breaks the contract: `` is not a name: it is empty, longer than 256 bytes or holds control characters
        its answer breaks the contract: its store says twice what `a` is
        ");
    }
}
