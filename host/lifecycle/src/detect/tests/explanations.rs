//! What is said of all that was tried, and how much of it.

use super::*;

/// All that there is to say about these groups, and the plan if there is one.
fn explained(fakes: &[Arc<Fake>], groups: &[&str]) -> String {
    let (shop, _) = shop(Artifacts::default());
    match run(&shop, fakes, groups) {
        Ok(detection) => format!("{}plan:\n{}", explain::fully(&detection.attempts), explain::plan(&detection)),
        Err(error) => explain::fully(error.attempts()),
    }
}

/// Buildpacks that pass, decline, fail, and offer more than one way.
fn all() -> Vec<Arc<Fake>> {
    let versioned = Fake::new("t/versioned@1.0.0").detects(|_| {
        let metadata =
            [("version", "21"), ("launch", "true\u{7}")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let requires = vec![Requirement { name: "y".to_owned(), metadata: metadata.into() }];
        Ok(Verdict::Pass(vec![Alternative { provides: Vec::new(), requires }]))
    });
    vec![
        fake("t/yes@1.0.0", &[]),
        fake("t/no-jar@1.0.0", &[]),
        fake("t/fails-always@1.0.0", &[]),
        fake("t/gives@1.0.0", &["+x", "+y", "+y +z"]),
        fake("t/takes@1.0.0", &["-z -y"]),
        fake("t/either@1.0.0", &["+w", "-y", ""]),
        fake("t/many@1.0.0", &["+a", "+b", "+c", "+d", "+e", "+f", "+g", "+h"]),
        fake("t/more@1.0.0", &["+a", "+b", "+c", "+d", "+e", "+f", "+g", "-h"]),
        Arc::new(versioned),
    ]
}

#[test]
fn everything_that_was_tried_is_said() {
    let all = all();
    let groups = [
        "t/yes t/no-jar t/fails-always?",
        "t/gives? t/yes t/yes",
        "t/gives t/takes t/either?",
        "t/gives t/versioned t/either?",
        "t/yes",
    ];
    let said = [1, 2, 3, 4].map(|count| explained(&all, &groups[count - 1..count])).join("\n");
    insta::assert_snapshot!(said, @r#"
    group 1: not taken: t/no-jar@1.0.0 is needed, and did not pass
      t/yes@1.0.0: passed
      t/no-jar@1.0.0: there's no "jar"\u{7}
      t/fails-always@1.0.0 (optional): failed: the jar's manifest is damaged (build it again)

    group 1: taken: everybody who is needed passed, and what is provided and required fits
      t/gives@1.0.0 (optional): passed
        way 1: provides `x`
        way 2: provides `y`
        way 3: provides `y`, `z`
      t/yes@1.0.0: passed
      t/yes@1.0.0: left out: the group has one of this id already
      combination 1 (t/gives@1.0.0 way 1): t/gives@1.0.0 provides `x`, which no buildpack from it on requires
      combination 2 (t/gives@1.0.0 way 2): t/gives@1.0.0 provides `y`, which no buildpack from it on requires
      combination 3 (t/gives@1.0.0 way 3): it fits; t/gives@1.0.0 provides `y`, which no buildpack from it on requires, so it is left out; t/gives@1.0.0 provides `z`, which no buildpack from it on requires, so it is left out
    plan:

    group 1: taken: everybody who is needed passed, and what is provided and required fits
      t/gives@1.0.0: passed
        way 1: provides `x`
        way 2: provides `y`
        way 3: provides `y`, `z`
      t/takes@1.0.0: passed
        requires `z`, `y`
      t/either@1.0.0 (optional): passed
        way 1: provides `w`
        way 2: requires `y`
        way 3: asks for nothing
      combination 1 (t/gives@1.0.0 way 1, t/either@1.0.0 way 1): t/gives@1.0.0 provides `x`, which no buildpack from it on requires; t/takes@1.0.0 requires `y`, which no buildpack up to it provides; t/takes@1.0.0 requires `z`, which no buildpack up to it provides; t/either@1.0.0 provides `w`, which no buildpack from it on requires
      combination 2 (t/gives@1.0.0 way 1, t/either@1.0.0 way 2): t/gives@1.0.0 provides `x`, which no buildpack from it on requires; t/takes@1.0.0 requires `y`, which no buildpack up to it provides; t/takes@1.0.0 requires `z`, which no buildpack up to it provides; t/either@1.0.0 requires `y`, which no buildpack up to it provides
      combination 3 (t/gives@1.0.0 way 1, t/either@1.0.0 way 3): t/gives@1.0.0 provides `x`, which no buildpack from it on requires; t/takes@1.0.0 requires `y`, which no buildpack up to it provides; t/takes@1.0.0 requires `z`, which no buildpack up to it provides
      combination 4 (t/gives@1.0.0 way 2, t/either@1.0.0 way 1): t/takes@1.0.0 requires `z`, which no buildpack up to it provides; t/either@1.0.0 provides `w`, which no buildpack from it on requires
      combination 5 (t/gives@1.0.0 way 2, t/either@1.0.0 way 2): t/takes@1.0.0 requires `z`, which no buildpack up to it provides
      combination 6 (t/gives@1.0.0 way 2, t/either@1.0.0 way 3): t/takes@1.0.0 requires `z`, which no buildpack up to it provides
      combination 7 (t/gives@1.0.0 way 3, t/either@1.0.0 way 1): t/either@1.0.0 provides `w`, which no buildpack from it on requires
      combination 8 (t/gives@1.0.0 way 3, t/either@1.0.0 way 2): it fits
    plan:
    `y`: provided by t/gives@1.0.0; required by t/takes@1.0.0, t/either@1.0.0
    `z`: provided by t/gives@1.0.0; required by t/takes@1.0.0

    group 1: taken: everybody who is needed passed, and what is provided and required fits
      t/gives@1.0.0: passed
        way 1: provides `x`
        way 2: provides `y`
        way 3: provides `y`, `z`
      t/versioned@1.0.0: passed
        requires `y` (launch=true\u{7}, version=21)
      t/either@1.0.0 (optional): passed
        way 1: provides `w`
        way 2: requires `y`
        way 3: asks for nothing
      combination 1 (t/gives@1.0.0 way 1, t/either@1.0.0 way 1): t/gives@1.0.0 provides `x`, which no buildpack from it on requires; t/versioned@1.0.0 requires `y`, which no buildpack up to it provides; t/either@1.0.0 provides `w`, which no buildpack from it on requires
      combination 2 (t/gives@1.0.0 way 1, t/either@1.0.0 way 2): t/gives@1.0.0 provides `x`, which no buildpack from it on requires; t/versioned@1.0.0 requires `y`, which no buildpack up to it provides; t/either@1.0.0 requires `y`, which no buildpack up to it provides
      combination 3 (t/gives@1.0.0 way 1, t/either@1.0.0 way 3): t/gives@1.0.0 provides `x`, which no buildpack from it on requires; t/versioned@1.0.0 requires `y`, which no buildpack up to it provides
      combination 4 (t/gives@1.0.0 way 2, t/either@1.0.0 way 1): t/either@1.0.0 provides `w`, which no buildpack from it on requires
      combination 5 (t/gives@1.0.0 way 2, t/either@1.0.0 way 2): it fits
    plan:
    `y`: provided by t/gives@1.0.0; required by t/versioned@1.0.0 (launch=true\u{7}, version=21), t/either@1.0.0
    "#);
}

#[test]
fn of_many_combinations_some_are_said() {
    let all = all();
    // Eight times eight times three, of which the last fits.
    let said = explained(&all, &["t/many t/more t/either"]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.iter().filter(|line| line.starts_with("  combination")).count(), plan::MAX_KEPT_TRIALS + 1);
    insta::assert_snapshot!(lines[lines.len() - 5..].join("\n"), @"
      combination 50 (t/many@1.0.0 way 3, t/more@1.0.0 way 1, t/either@1.0.0 way 2): t/many@1.0.0 provides `c`, which no buildpack from it on requires; t/more@1.0.0 provides `a`, which no buildpack from it on requires; t/either@1.0.0 requires `y`, which no buildpack up to it provides
      141 more combinations that do not fit
      combination 192 (t/many@1.0.0 way 8, t/more@1.0.0 way 8, t/either@1.0.0 way 3): it fits
    plan:
    `h`: provided by t/many@1.0.0; required by t/more@1.0.0
    ");
}

#[test]
fn of_many_groups_those_that_were_tried_are_said() {
    insta::assert_snapshot!(explained(&all(), &["t/no-jar", "t/gives t/versioned", "t/yes"]), @r#"
    group 1: not taken: t/no-jar@1.0.0 is needed, and did not pass
      t/no-jar@1.0.0: there's no "jar"\u{7}
    group 2: taken: everybody who is needed passed, and what is provided and required fits
      t/gives@1.0.0: passed
        way 1: provides `x`
        way 2: provides `y`
        way 3: provides `y`, `z`
      t/versioned@1.0.0: passed
        requires `y` (launch=true\u{7}, version=21)
      combination 1 (t/gives@1.0.0 way 1): t/gives@1.0.0 provides `x`, which no buildpack from it on requires; t/versioned@1.0.0 requires `y`, which no buildpack up to it provides
      combination 2 (t/gives@1.0.0 way 2): it fits
    plan:
    `y`: provided by t/gives@1.0.0; required by t/versioned@1.0.0 (launch=true\u{7}, version=21)
    "#);
}

#[test]
fn an_order_without_end_is_given_up() {
    let all = [fake("t/no-jar@1.0.0", &[]), fake("t/gives@1.0.0", &["+x"])];
    let (shop, _) = shop(Artifacts::default());
    let composite = |id: &str, member: &str| stave_model::order::Composite {
        id: id.parse().unwrap(),
        version: None,
        order: vec![group(member); 10],
    };
    let selection = Selection {
        order: vec![group("c/a c/b c/a c/b")],
        composites: vec![composite("c/a", "t/gives"), composite("c/b", "t/no-jar?")],
        ..Selection::default()
    };
    let error = run_selection(&shop, &all, &selection, "production").err().unwrap();
    insta::assert_snapshot!(crate::testing::told(&error), @"
    no group that was tried takes this app
      caused by: the order comes to more groups than are tried: after 1000, the rest is given up
    ");
    let said = explain::briefly(error.attempts());
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 23);
    insta::assert_snapshot!([lines[0], lines[1], lines[2], lines[21], lines[22]].join("\n"), @r#"
    t/gives@1.0.0: passed
    t/no-jar@1.0.0: there's no "jar"\u{7}
    group 1, c/a group 1, c/b group 1, c/a group 1, c/b group 1: t/gives@1.0.0 provides `x`, which no buildpack from it on requires
    group 1, c/a group 1, c/b group 1, c/a group 2, c/b group 10: t/gives@1.0.0 provides `x`, which no buildpack from it on requires
    and 980 more groups
    "#);
}

#[test]
fn what_they_say_is_cut() {
    let long = "x".repeat(1_000_000);
    let (reason, text) = (long.clone(), long.clone());
    let skips = Fake::new("t/skips@1.0.0").detects(move |_| Ok(Verdict::Skip(reason.clone())));
    let fails = Fake::new("t/fails@1.0.0").detects(move |_| {
        let failure = Failure {
            blame: Blame::App,
            summary: text.clone(),
            detail: Some(text.clone()),
            hint: Some("build it again".to_owned()),
            file: Some(text.clone()),
            line: None,
        };
        Err(RunError::Refused(Box::new(failure)))
    });
    let broken = Fake::new("t/broken@1.0.0").detects(move |_| Err(RunError::BadAnswer(long.clone())));
    let all = [Arc::new(skips), Arc::new(fails), Arc::new(broken)];
    let said = outcome(&all, &["t/skips t/fails t/broken"]);
    let said = said.replace(&"x".repeat(MAX_REASON), "X").replace(&"x".repeat(100), "");
    insta::assert_snapshot!(said, @"
    t/skips@1.0.0: X…
    t/fails@1.0.0: failed: X…: X… (build it again)
    t/broken@1.0.0: failed: its answer breaks the contract: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
    ");
}

#[test]
fn names_that_they_chose_are_cut_and_counted() {
    let names: Vec<String> = (0..100).map(|n| format!("{n:03}{}\u{1b}", "x".repeat(150))).collect();
    let gives = Fake::new("t/gives@1.0.0")
        .detects(move |_| Ok(Verdict::Pass(vec![Alternative { provides: names.clone(), requires: Vec::new() }])));
    let said = outcome(&[Arc::new(gives)], &["t/gives"]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((lines.len(), lines[11]), (12, "and 90 more"));
    assert!(lines.iter().all(|line| line.len() < 200), "{said}");
}

#[test]
fn who_is_needed_and_declines_is_all_there_is_to_say() {
    let all = [
        fake("t/yes@1.0.0", &[]),
        fake("t/no-jar@1.0.0", &[]),
        fake("t/no-war@1.0.0", &[]),
        fake("t/no-need@1.0.0", &[]),
        fake("t/fails-always@1.0.0", &[]),
    ];
    let groups = ["t/no-jar t/yes t/no-need?", "t/no-war t/no-need? t/fails-always?", "t/no-jar t/no-war"];
    insta::assert_snapshot!(outcome(&all, &groups), @r#"
    t/no-jar@1.0.0: there's no "jar"\u{7}
    t/no-war@1.0.0: there's no "jar"\u{7}
    t/fails-always@1.0.0: failed: the jar's manifest is damaged (build it again)
    "#);
}
