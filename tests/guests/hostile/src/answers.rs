//! Answers that break the contract, and some that do not: one is full of escape sequences, one depends on the execution
//! environment.

use stave_sdk::{Alternative, Failure, Process, Report, Requirement, Verdict, context};

/// What detect answers to a word.
pub(crate) fn verdict(word: &str) -> Option<Verdict> {
    let provide = |name: &str| Alternative { provides: vec![name.to_owned()], requires: vec![] };
    Some(match word {
        "escape" => Verdict::skip("\u{1b}[2J\u{1b}]0;owned\u{7}nothing\r\nhere"),
        "gigabyte" => Verdict::skip("x".repeat(8 << 20)),
        "million" => {
            Verdict::Pass((0..1_000_000).map(|_| Alternative { provides: vec![], requires: vec![] }).collect())
        }
        "alternatives" => Verdict::Pass((0..33).map(|_| provide("x")).collect()),
        "no-name" => Verdict::Pass(vec![provide("")]),
        "bad-name" => Verdict::Pass(vec![provide("a\u{1b}[2J")]),
        "provides" => Verdict::Pass(vec![Alternative { provides: vec!["x".to_owned(); 101], requires: vec![] }]),
        "requires" => {
            let requirement = Requirement::new("jre").with("version", "1").with("version", "2");
            Verdict::Pass(vec![Alternative { provides: vec![], requires: vec![requirement] }])
        }
        _ => return None,
    })
}

/// What build answers to a word.
pub(crate) fn report(word: &str) -> Option<Report> {
    let processes = |processes: Vec<Process>| Report { processes, ..Report::default() };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Some(match word {
        "bad-process" => processes(vec![Process::new("../web", ["x"])]),
        "no-command" => processes(vec![Process::new::<&str>("web", [])]),
        "escape" => processes(vec![Process::new("web", ["\u{1b}[2J"])]),
        "defaults" => processes(vec![Process::new("a", ["x"]).default(), Process::new("b", ["x"]).default()]),
        "processes" => processes((0..10_000).map(|n| Process::new(format!("p{n}"), ["x"])).collect()),
        "label" => Report { labels: vec![pair("io.buildpacks.lifecycle.metadata", "{}")], ..Report::default() },
        "long-label" => Report { labels: vec![pair("a", &"x".repeat(100_000))], ..Report::default() },
        "labels" => Report { labels: (0..10_000).map(|n| pair(&format!("l{n}"), "")).collect(), ..Report::default() },
        "slice" => Report { slices: vec![vec!["../*".to_owned()]], ..Report::default() },
        "store" => Report { store: vec![pair("a", &"x".repeat(100_000))], ..Report::default() },
        "exec-env" => Report {
            processes: vec![
                Process::new("web", ["printenv", "CNB_EXEC_ENV"]).default(),
                Process::new("check", ["printenv", "CNB_EXEC_ENV"]).only_in(["test"]),
            ],
            labels: vec![pair("org.example.told", &context::exec_env())],
            ..Report::default()
        },
        "unmet" => Report { unmet: vec!["x".repeat(300)], ..Report::default() },
        _ => return None,
    })
}

/// A failure in the buildpack's own words.
pub(crate) fn refusal() -> Failure {
    Failure::app("\u{1b}[2Jnothing to see").detail("x".repeat(100_000)).hint("go away").file("a\u{7}").line(7)
}
