//! Scenarios of detection, from the rules of the lifecycle: order, plan, targets, execution environments, failures.
//!
//! A scenario is a few buildpacks, an order, and what comes of it. Buildpacks, one after the other with `;` between:
//!
//! | | |
//! |---|---|
//! | `a` | passes, and neither provides nor requires anything |
//! | `a +x -y` | passes, provides x, requires y; `/` separates ways |
//! | `a no`, `a error` | declines; fails |
//! | `a on linux/arm64`, `a on debian` | builds for that platform, or distribution; the target is linux/amd64, debian 12 |
//! | `a for test` | is for that execution environment |
//!
//! In an order `a?` is optional, `a:test` in that execution environment only, `a@2` a version, `|` separates groups; capital
//! letters are composites, defined after `where`. `pre` and `post` are system buildpacks.

use stave_model::{
    order::{Composite, SystemMembers},
    target::{
        Distro,
        pattern::{DistroPattern, TargetPattern},
    },
};

use super::*;

fn buildpack(text: &str) -> Arc<Fake> {
    let (name, does) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    let (name, version) = name.split_once('@').unwrap_or((name, "1"));
    let mut fake = Fake::new(&format!("t/{name}@{version}.0.0"));
    match does.split_once(' ') {
        Some(("on", distro)) if !distro.contains('/') => {
            let distros = vec![DistroPattern { name: distro.to_owned(), version: String::new() }];
            fake.manifest.targets.push(TargetPattern { distros, ..TargetPattern::default() });
        }
        Some(("on", platform)) => {
            let (os, arch) = platform.split_once('/').map(|(os, arch)| (os.to_owned(), arch.to_owned())).unwrap();
            fake.manifest.targets.push(TargetPattern { os: Some(os), arch: Some(arch), ..TargetPattern::default() });
        }
        Some(("for", exec_env)) => fake.manifest.buildpack.exec_env.push(exec_env.parse().unwrap()),
        _ => {
            let does = does.to_owned();
            fake = fake.detects(move |_| match does.as_str() {
                "" => Ok(Verdict::Pass(Vec::new())),
                "no" => Ok(Verdict::Skip("no".to_owned())),
                "error" => Err(failure("broken", None)),
                ways => Ok(Verdict::Pass(ways.split('/').map(way).collect())),
            });
        }
    }
    Arc::new(fake)
}

fn members(text: &str) -> Vec<Member> {
    let member = |word: &str| {
        let (word, optional) = word.strip_suffix('?').map_or((word, false), |word| (word, true));
        let (word, exec_env) = word.split_once(':').unwrap_or((word, ""));
        let (id, version) = word.split_once('@').map_or((word, None), |(id, version)| (id, Some(version)));
        Member {
            id: format!("t/{id}").parse().unwrap(),
            version: version.map(|version| format!("{version}.0.0").parse().unwrap()),
            optional,
            exec_env: [exec_env].into_iter().filter(|e| !e.is_empty()).map(|e| e.parse().unwrap()).collect(),
        }
    };
    text.split_whitespace().map(member).collect()
}

fn order(text: &str) -> Vec<Group> {
    text.split('|').map(|group| Group { group: members(group) }).collect()
}

/// `ORDER [where A = ORDER; B = ORDER] [pre MEMBERS] [post MEMBERS]`.
fn selection(text: &str) -> Selection {
    let (text, post) = text.split_once(" post ").unwrap_or((text, ""));
    let (text, pre) = text.split_once(" pre ").unwrap_or((text, ""));
    let (text, composites) = text.split_once(" where ").unwrap_or((text, ""));
    let mut selection = Selection::from(order(text));
    for composite in composites.split("; ").filter(|text| !text.is_empty()) {
        let (name, groups) = composite.split_once(" = ").unwrap();
        let id = format!("t/{name}").parse().unwrap();
        selection.composites.push(Composite { id, version: None, order: order(groups) });
    }
    selection.system.pre = SystemMembers { buildpacks: members(pre) };
    selection.system.post = SystemMembers { buildpacks: members(post) };
    selection
}

/// Who builds and what they provide to each other; or the exit code of the lifecycle and what each group lacks.
fn outcome(buildpacks: &str, text: &str, exec_env: &str) -> String {
    let fakes: Vec<Arc<Fake>> = buildpacks.split(';').map(buildpack).collect();
    let (mut shop, _) = shop(Artifacts::default());
    shop.target.distro = Some(Distro { name: "debian".to_owned(), version: "12".to_owned() });
    let said = match run_selection(&shop, &fakes, &selection(text), exec_env) {
        Ok(Detection { plan, .. }) => {
            let entry = |entry: &plan::Entry| {
                let providers: Vec<&str> = entry.providers.iter().map(|at| plan.members[*at].as_str()).collect();
                format!("; {}={}", entry.name, providers.join("+"))
            };
            plan.members.join(" ") + &plan.entries.iter().map(entry).collect::<String>()
        }
        Err(error) => {
            let code = match &error {
                DetectError::NoGroup(_) if error.has_failure() => 21,
                DetectError::NoGroup(_) => 20,
                _ => return error.to_string(),
            };
            let groups = error.attempts().iter().map(|attempt| format!("; {}", attempt.conclusion()));
            format!("{code}{}", groups.collect::<String>())
        }
    };
    said.replace("t/", "").replace("@1.0.0", "")
}

#[track_caller]
fn check(scenarios: &[(&str, &str, &str, &str)]) {
    for (what, buildpacks, order, expected) in scenarios {
        assert_eq!(outcome(buildpacks, order, "production"), *expected, "{what}");
    }
}

#[test]
fn groups_are_tried_in_order() {
    check(&[
        ("all pass", "a; b", "a b", "a b"),
        ("the first group that passes", "a no; b; c", "a b | b c | c", "b c"),
        ("an optional one declines", "a; b no", "a b?", "a"),
        ("a needed one declines", "a; b no", "a b", "20; b is needed, and did not pass"),
        ("two needed ones decline", "a no; b no", "a b", "20; a and b are needed, and did not pass"),
        ("nobody passes", "a no; b no", "a? b?", "20; nobody is left to build"),
        (
            "each group for its own reason",
            "a no; b no",
            "a | b",
            "20; a is needed, and did not pass; b is needed, and did not pass",
        ),
        ("a group without members", "a", " | a", "a"),
        ("one of two versions", "a@1 no; a@2", "a@1 | a@2", "a@2.0.0"),
        ("the first of an id counts", "a@1; a@2", "a@2 a@1", "a@2.0.0"),
        ("the first of an id counts, and is optional", "a no; b", "a? b a", "b"),
    ]);
}

#[test]
fn a_failure_is_told_apart() {
    check(&[
        ("a needed one fails", "a; b error", "a b", "21; b is needed, and did not pass"),
        ("an optional one fails, and is skipped", "a; b error", "a b?", "a"),
        ("an optional one fails, alone", "b error", "b?", "21; nobody is left to build"),
        ("another group passes", "a; b error", "b | a", "a"),
        (
            "another group declines",
            "a no; b error",
            "b | a",
            "21; b is needed, and did not pass; a is needed, and did not pass",
        ),
        ("an optional one fails, a needed one declines", "a no; b error", "a b?", "21; a is needed, and did not pass"),
        (
            "an optional one fails, and the plan does not fit",
            "a +x; b error",
            "a b?",
            "21; a provides `x`, which no buildpack from it on requires",
        ),
    ]);
}

#[test]
fn composites_stand_for_their_groups() {
    check(&[
        ("its first group", "a; b; c", "A c where A = a | b", "a c"),
        ("its second group", "a no; b; c", "A c where A = a | b", "b c"),
        (
            "none of its groups",
            "a no; b no; c",
            "A c where A = a | b",
            "20; a is needed, and did not pass; b is needed, and did not pass",
        ),
        ("optional, none of its groups", "a no; b no; c", "A? c where A = a | b", "c"),
        ("optional, a group of it fits", "a; b; c", "A? c where A = a | b", "a c"),
        (
            "optional, and what follows needs it",
            "a no; c -x",
            "A? c where A = a",
            "20; a is needed, and did not pass; c requires `x`, which no buildpack up to it provides",
        ),
        ("what follows decides on its group", "a +x; b +y; c -y", "A c where A = a | b", "b c; y=b"),
        ("the inner one varies first", "a no; b; c; d", "A d where A = B c; B = a | b", "b c d"),
        ("the next group of the outer one", "a no; b no; c; d", "A d where A = B c | c; B = a | b", "c d"),
        ("two composites, each its second", "a +x; b; c -y; d", "A B where A = a | b; B = c | d", "b d"),
        ("a group with a composite, then one without", "a no; b", "A | b where A = a", "b"),
        ("an optional member inside", "a no; b", "A where A = a? b", "b"),
        ("who is inside was there before", "a; b", "a A where A = a b", "a b"),
        (
            "somebody inside fails",
            "a error; b no",
            "A | b where A = a",
            "21; a is needed, and did not pass; b is needed, and did not pass",
        ),
        (
            "somebody inside an optional one fails",
            "a error; b no",
            "A? b where A = a",
            "21; a and b are needed, and did not pass; b is needed, and did not pass",
        ),
    ]);
}

#[test]
fn plans_are_resolved_over_the_whole_group() {
    check(&[
        ("met", "a +x; b -x", "a b", "a b; x=a"),
        ("met across a composite", "a +x; b -x", "A b where A = a", "a b; x=a"),
        ("optional, unmet", "a -x; b", "a? b", "b"),
        ("optional, unused", "a +x; b", "a? b", "b"),
        ("needed, unmet", "a -x; b", "a b", "20; a requires `x`, which no buildpack up to it provides"),
        ("needed, unused", "a +x; b", "a b", "20; a provides `x`, which no buildpack from it on requires"),
        ("provided too late", "a -x; b +x -x", "a? b", "b; x=b"),
        ("the optional ones fall one after the other", "a +x; b -x +y; c -y -z; d", "a? b? c? d", "d"),
        (
            "all fall",
            "a +x; b +y",
            "a? b?",
            "20; a provides `x`, which no buildpack from it on requires, so it is left out; \
          b provides `y`, which no buildpack from it on requires, so it is left out; nobody is left to build",
        ),
        ("a second way fits", "a +x/+y; b -y", "a b", "a b; y=a"),
        ("the second way of both", "a +x/+y; b -z/-y", "a b", "a b; y=a"),
        (
            "no way fits",
            "a +x/+y; b -z",
            "a b",
            "20; none of 2 combinations of what they offer fits; the first: \
          a provides `x`, which no buildpack from it on requires; b requires `z`, which no buildpack up to it provides",
        ),
        ("another group has the way", "a +x/+y; b -z; c -y", "a b | a c", "a c; y=a"),
        ("who passed optionally is asked for", "a +x; b no; c -x", "a? b? c", "a c; x=a"),
        ("several provide", "a +x; b +x; c -x", "a b c", "a b c; x=a+b"),
    ]);
}

#[test]
fn targets_that_do_not_fit_are_not_asked() {
    check(&[
        ("the platform", "a on linux/amd64", "a", "a"),
        ("another platform", "a on linux/arm64; b", "a b", "20; a is needed, and did not pass"),
        ("another platform, optional", "a on linux/arm64; b", "a? b", "b"),
        ("another platform, another group", "a on linux/arm64; b", "a | b", "b"),
        ("the distribution", "a on debian", "a", "a"),
        ("another distribution", "a on alpine; b", "a? b", "b"),
        ("another distribution, needed", "a on alpine", "a", "20; a is needed, and did not pass"),
    ]);
}

#[test]
fn execution_environments_filter() {
    for (what, buildpacks, order, production, test) in [
        ("a buildpack", "a; b for test", "a b", "a", "a b"),
        ("a buildpack for the default", "a; b for production", "a b", "a b", "a"),
        ("a member", "a; b", "a b:test", "a", "a b"),
        ("a composite", "a; b", "A:test b where A = a", "b", "a b"),
        ("only one of two groups", "a for test; b", "a | b", "b", "a"),
        ("nobody is left", "a for test", "a", "20; nobody is left to build", "a"),
    ] {
        assert_eq!(outcome(buildpacks, order, "production"), production, "{what}");
        assert_eq!(outcome(buildpacks, order, "test"), test, "{what}");
    }
}

#[test]
fn system_buildpacks_take_part() {
    check(&[
        ("before and after", "a; e; f", "a pre e post f", "e a f"),
        ("in every group", "a no; b; e", "a | b pre e", "e b"),
        ("one that is needed declines", "a; e no", "a pre e", "20; e is needed, and did not pass"),
        ("an optional one declines", "a; e no", "a pre e?", "a"),
        ("the group names it", "a; e", "a e pre e", "a e"),
        ("they alone are enough", "a no; e", "a? pre e", "e"),
        ("it provides", "a -x; e +x", "a pre e", "e a; x=e"),
    ]);
}
