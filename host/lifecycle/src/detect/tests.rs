//! Who takes the app, and what is said of those who do not.

mod explanations;
mod scenarios;

use std::{io, sync::atomic::Ordering};

use stave_model::{
    order::{Group, Member},
    plan::Requirement,
    target::pattern::TargetPattern,
};

use super::*;
use crate::{
    port::buildpack::{Blame, Failure},
    testing::{Artifacts, Fake, Recorder, shop, tree},
};

/// One alternative: `+x` provides x, `-x` requires x.
fn way(text: &str) -> Alternative {
    let mut alternative = Alternative::default();
    for word in text.split_whitespace() {
        match word.split_at(1) {
            ("+", name) => alternative.provides.push(name.to_owned()),
            (_, name) => alternative.requires.push(Requirement { name: name.to_owned(), metadata: [].into() }),
        }
    }
    alternative
}

fn failure(summary: &str, hint: Option<&str>) -> RunError {
    let (summary, hint) = (summary.to_owned(), hint.map(str::to_owned));
    RunError::Refused(Box::new(Failure { blame: Blame::App, summary, detail: None, hint, file: None, line: None }))
}

/// What a buildpack of the tests does, by its name: `no-…` declines, `fails-…`, `crashes-…`, `breaks-…`; others pass with
/// `ways`.
fn fake(title: &str, ways: &'static [&'static str]) -> Arc<Fake> {
    let name = title.split(['/', '@']).nth(1).unwrap().to_owned();
    let fake = Fake::new(title).detects(move |_| match name.split('-').next() {
        Some("no") => Ok(Verdict::Skip("there's no \"jar\"\u{7}".to_owned())),
        Some("fails") => Err(failure("the jar's manifest is damaged", Some("build it again"))),
        Some("crashes") => {
            let source = Some("error while executing\n  1: main".into());
            Err(RunError::Stopped { reason: "it panicked: boom".to_owned(), source })
        }
        Some("breaks") => Err(RunError::Host(Box::new(io::Error::other("no memory")))),
        _ => Ok(Verdict::Pass(ways.iter().map(|text| way(text)).collect())),
    });
    Arc::new(fake)
}

/// `a/x@1.0.0 b/y?`: members; a `?` makes one optional.
fn group(text: &str) -> Group {
    let member = |word: &str| {
        let (name, optional) = word.strip_suffix('?').map_or((word, false), |name| (name, true));
        let (id, version) = name.split_once('@').map_or((name, None), |(id, version)| (id, Some(version)));
        let version = version.map(|version| version.parse().unwrap());
        Member { id: id.parse().unwrap(), version, optional, exec_env: Vec::new() }
    };
    Group { group: text.split_whitespace().map(member).collect() }
}

fn run(shop: &Shop, fakes: &[Arc<Fake>], groups: &[&str]) -> Result<Detection, DetectError> {
    let selection = groups.iter().map(|text| group(text)).collect::<Vec<_>>().into();
    run_selection(shop, fakes, &selection, "production")
}

fn run_selection(
    shop: &Shop,
    fakes: &[Arc<Fake>],
    selection: &Selection,
    exec_env: &str,
) -> Result<Detection, DetectError> {
    let buildpacks: Vec<Arc<dyn Buildpack>> = fakes.iter().map(|fake| fake.clone() as Arc<dyn Buildpack>).collect();
    let lineup = Lineup { buildpacks: &buildpacks, selection, exec_env: &exec_env.parse().unwrap() };
    detect(shop, &lineup, &tree(&[("a.jar", "x")]))
}

/// The chosen members, or everything that is said about why there are none.
fn outcome(fakes: &[Arc<Fake>], groups: &[&str]) -> String {
    let (shop, _) = shop(Artifacts::default());
    match run(&shop, fakes, groups) {
        Ok(detection) => {
            let titles: Vec<String> = detection.members.iter().map(|member| member.manifest().title()).collect();
            assert_eq!(titles, detection.plan.members);
            titles.join(" ")
        }
        Err(DetectError::NoGroup(attempts)) => explain::briefly(&attempts),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_first_group_that_fits_is_taken() {
    let all = [
        fake("t/yes@1.0.0", &[]),
        fake("t/other@1.0.0", &[]),
        fake("t/no-jar@1.0.0", &[]),
        fake("t/fails-always@1.0.0", &[]),
        fake("t/crashes-always@1.0.0", &[]),
        fake("t/gives@1.0.0", &["+x"]),
        fake("t/takes@1.0.0", &["-x"]),
        fake("t/either@1.0.0", &["+y", ""]),
    ];
    for (groups, expected) in [
        (&["t/yes"][..], "t/yes@1.0.0"),
        (&["t/no-jar", "t/yes"], "t/yes@1.0.0"),
        (&["t/yes", "t/other"], "t/yes@1.0.0"),
        (&["t/yes t/other"], "t/yes@1.0.0 t/other@1.0.0"),
        (&["t/no-jar? t/yes"], "t/yes@1.0.0"),
        (&["t/fails-always? t/yes t/crashes-always?"], "t/yes@1.0.0"),
        (&["t/yes t/no-jar", "t/other"], "t/other@1.0.0"),
        (&["t/gives t/takes"], "t/gives@1.0.0 t/takes@1.0.0"),
        (&["t/gives? t/yes"], "t/yes@1.0.0"),
        (&["t/gives", "t/takes", "t/yes"], "t/yes@1.0.0"),
        (&["t/either"], "t/either@1.0.0"),
        (&["t/yes t/yes?"], "t/yes@1.0.0"),
        (&["t/yes@1.0.0"], "t/yes@1.0.0"),
    ] {
        assert_eq!(outcome(&all, groups), expected, "{groups:?}");
    }
}

#[test]
fn says_why_nobody_takes_the_app() {
    let all = [
        fake("t/yes@1.0.0", &[]),
        fake("t/no-jar@1.0.0", &[]),
        fake("t/fails-always@1.0.0", &[]),
        fake("t/crashes-always@1.0.0", &[]),
        fake("t/breaks-down@1.0.0", &[]),
        fake("t/gives@1.0.0", &["+x"]),
        fake("t/takes@1.0.0", &["-y"]),
        fake("t/two@1.0.0", &["+x", "+z -y"]),
        fake("t/many@1.0.0", &["+x"; plan::MAX_ALTERNATIVES + 1]),
    ];
    let groups = [
        "t/yes t/no-jar t/fails-always?",
        "t/crashes-always t/breaks-down? t/many?",
        "t/gives t/takes",
        "t/no-jar? t/fails-always?",
        "t/gives? t/takes?",
        "t/two t/takes",
        "t/takes t/takes",
    ];
    let said = groups.map(|group| outcome(&all, &[group])).join("\n");
    insta::assert_snapshot!(said, @r#"
    t/yes@1.0.0: passed
    t/no-jar@1.0.0: there's no "jar"\u{7}
    t/fails-always@1.0.0 (optional): failed: the jar's manifest is damaged (build it again)

    t/crashes-always@1.0.0: failed: the sandbox stopped it: it panicked: boom
    t/breaks-down@1.0.0 (optional): failed: the host failed while running it: no memory
    t/many@1.0.0 (optional): failed: it offers more than 32 alternatives

    t/gives@1.0.0: passed
    t/takes@1.0.0: passed
    t/gives@1.0.0 provides `x`, which no buildpack from it on requires
    t/takes@1.0.0 requires `y`, which no buildpack up to it provides

    t/no-jar@1.0.0 (optional): there's no "jar"\u{7}
    t/fails-always@1.0.0 (optional): failed: the jar's manifest is damaged (build it again)
    nobody is left to build

    t/gives@1.0.0 (optional): passed
    t/takes@1.0.0 (optional): passed
    t/gives@1.0.0 provides `x`, which no buildpack from it on requires, so it is left out
    t/takes@1.0.0 requires `y`, which no buildpack up to it provides, so it is left out
    nobody is left to build

    t/two@1.0.0: passed
    t/takes@1.0.0: passed
    none of 2 combinations of what they offer fits; the first:
    t/two@1.0.0 provides `x`, which no buildpack from it on requires
    t/takes@1.0.0 requires `y`, which no buildpack up to it provides

    t/takes@1.0.0: passed
    t/takes@1.0.0 requires `y`, which no buildpack up to it provides
    "#);
    insta::assert_snapshot!(outcome(&all, &groups), @r#"
    t/yes@1.0.0: passed
    t/no-jar@1.0.0: there's no "jar"\u{7}
    t/fails-always@1.0.0: failed: the jar's manifest is damaged (build it again)
    t/crashes-always@1.0.0: failed: the sandbox stopped it: it panicked: boom
    t/breaks-down@1.0.0: failed: the host failed while running it: no memory
    t/many@1.0.0: failed: it offers more than 32 alternatives
    t/gives@1.0.0: passed
    t/takes@1.0.0: passed
    t/two@1.0.0: passed
    group 1: t/no-jar@1.0.0 is needed, and did not pass
    group 2: t/crashes-always@1.0.0 is needed, and did not pass
    group 3: t/gives@1.0.0 provides `x`, which no buildpack from it on requires; t/takes@1.0.0 requires `y`, which no buildpack up to it provides
    group 4: nobody is left to build
    group 5: t/gives@1.0.0 provides `x`, which no buildpack from it on requires, so it is left out; t/takes@1.0.0 requires `y`, which no buildpack up to it provides, so it is left out; nobody is left to build
    group 6: none of 2 combinations of what they offer fits; the first: t/two@1.0.0 provides `x`, which no buildpack from it on requires; t/takes@1.0.0 requires `y`, which no buildpack up to it provides
    group 7: t/takes@1.0.0 requires `y`, which no buildpack up to it provides
    "#);
    assert_eq!(outcome(&all, &[]), "");
}

#[test]
fn the_order_must_name_one_buildpack_each() {
    let all = [fake("t/a@1.0.0", &[]), fake("t/a@2.0.0", &[]), fake("t/b@1.0.0", &[]), fake("t/b@1.0.0", &[])];
    assert_eq!(outcome(&all, &["t/a@2.0.0"]), "t/a@2.0.0");
    let said = ["t/none", "t/a@3.0.0", "t/a", "t/b@1.0.0", "t/none?"].map(|group| outcome(&all, &[group]));
    insta::assert_snapshot!(said.join("\n"), @r#"
    the order names the buildpack t/none, and the builder has none such
    the order names the buildpack t/a@3.0.0, and the builder has none such
    the order names the buildpack t/a, and the builder has several such
    the order names the buildpack t/b@1.0.0, and the builder has several such
    the order names the buildpack t/none, and the builder has none such
    "#);
}

#[test]
fn a_failure_is_told_from_a_refusal() {
    let all = [fake("t/no-jar@1.0.0", &[]), fake("t/crashes-always@1.0.0", &[])];
    let (shop, _) = shop(Artifacts::default());
    let failed = |groups: &[&str]| run(&shop, &all, groups).err().unwrap().has_failure();
    assert!(!failed(&["t/no-jar"]));
    assert!(failed(&["t/no-jar", "t/crashes-always"]));
    assert!(!failed(&["t/none"]));
    assert_eq!(run(&shop, &all, &["t/no-jar"]).err().unwrap().to_string(), "no buildpack takes this app");
}

#[test]
fn a_buildpack_is_asked_once_and_heard_once() {
    let all = [fake("t/no-jar@1.0.0", &[]), fake("t/yes@1.0.0", &[]), fake("t/unused@1.0.0", &[])];
    let (shop, observer) = shop(Artifacts::default());
    run(&shop, &all, &["t/yes t/no-jar", "t/no-jar", "t/yes", "t/unused"]).unwrap();
    let asked: Vec<usize> = all.iter().map(|fake| fake.asked.load(Ordering::Relaxed)).collect();
    assert_eq!(asked, [1, 1, 0]);
    let titles = |name: &str| format!("t/{name}@1.0.0");
    let note = |text: &str| Event::Note(Level::Debug, text.to_owned());
    assert_eq!(
        observer.take(),
        [
            Event::Phase(FlowPhase::Detect),
            Event::Detected { buildpack: titles("yes"), verdict: Ok(()) },
            Event::Detected { buildpack: titles("no-jar"), verdict: Err("there's no \"jar\"\u{7}".to_owned()) },
            note("group 1: t/no-jar@1.0.0 is needed, and did not pass"),
            note("group 2: t/no-jar@1.0.0 is needed, and did not pass"),
            note("group 3: everybody who is needed passed, and what is provided and required fits"),
            Event::Chosen(vec![titles("yes")]),
        ]
    );
}

#[test]
fn who_does_not_build_for_the_target_is_not_asked() {
    let mut other = Fake::new("t/arm@1.0.0");
    other.manifest.targets.push(TargetPattern { arch: Some("arm64".to_owned()), ..TargetPattern::default() });
    let all = [Arc::new(other), fake("t/yes@1.0.0", &[])];
    assert_eq!(outcome(&all, &["t/arm? t/yes"]), "t/yes@1.0.0");
    assert_eq!(outcome(&all, &["t/arm"]), "t/arm@1.0.0: it builds for */arm64, not for linux/amd64\n");
    assert_eq!(all[0].asked.load(Ordering::Relaxed), 0);
}

#[test]
fn looks_at_the_app_and_no_further() {
    let looks = Fake::new("t/looks@1.0.0").detects(|bench| {
        let read = bench.read("a.jar", 9).is_ok_and(|bytes| bytes == b"x");
        let writes = bench.overlay_write("b", Vec::new(), false).is_ok();
        assert!(read && !writes);
        Ok(Verdict::Pass(Vec::new()))
    });
    assert_eq!(outcome(&[Arc::new(looks)], &["t/looks"]), "t/looks@1.0.0");
}

#[test]
fn a_request_to_stop_ends_it() {
    let (shop, observer) = shop(Artifacts::default());
    let stops = shop.cancel.clone();
    let stopped = Arc::new(Fake::new("t/stopped@1.0.0").detects(move |_| {
        stops.set();
        Err(RunError::Cancelled)
    }));
    let never = fake("t/yes@1.0.0", &[]);
    let is_cancelled = |observer: &Recorder, groups: &[&str]| {
        observer.take();
        let result = run(&shop, &[stopped.clone(), never.clone()], groups);
        let heard = observer.take();
        matches!(result, Err(DetectError::Cancelled)) && !heard.iter().any(|e| matches!(e, Event::Chosen(_)))
    };
    assert!(is_cancelled(&observer, &["t/stopped? t/yes", "t/yes"]));
    let asked = never.asked.load(Ordering::Relaxed);
    assert!(is_cancelled(&observer, &["t/yes"]), "it was set before");
    assert_eq!(never.asked.load(Ordering::Relaxed), asked, "nobody is asked any more");
}

#[test]
fn what_somebody_says_while_it_stops_does_not_count() {
    let (shop, observer) = shop(Artifacts::default());
    let stops = shop.cancel.clone();
    let confused = Fake::new("t/confused@1.0.0").detects(move |_| {
        stops.set();
        Ok(Verdict::Skip("it could not read the app".to_owned()))
    });
    let result = run(&shop, &[Arc::new(confused)], &["t/confused"]);
    assert!(matches!(result, Err(DetectError::Cancelled)));
    assert_eq!(observer.take(), [Event::Phase(FlowPhase::Detect)]);
}
