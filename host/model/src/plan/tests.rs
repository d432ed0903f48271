//! How plans are matched: the rules of the lifecycle's build plan resolution, as tables.

use super::*;

/// `+x` provides x, `-x` requires x, `|` separates alternatives; a `?` first makes it optional.
fn candidate(who: &'static str, text: &str) -> Candidate<&'static str> {
    let (optional, text) = text.strip_prefix('?').map_or((false, text), |rest| (true, rest));
    let alternative = |part: &str| {
        let mut alternative = Alternative::default();
        for word in part.split_whitespace() {
            match word.split_at(1) {
                ("+", name) => alternative.provides.push(name.to_owned()),
                (_, name) => {
                    alternative.requires.push(Requirement { name: name.to_owned(), metadata: BTreeMap::new() });
                }
            }
        }
        alternative
    };
    Candidate { who, optional, alternatives: text.split('|').map(alternative).collect() }
}

fn resolved(group: &[(&'static str, &str)]) -> Resolution<&'static str> {
    let candidates: Vec<_> = group.iter().map(|(who, text)| candidate(who, text)).collect();
    resolve(&candidates, &mut Effort::default())
}

/// The plan as `members: name=providers*requirements …`, or why the last trial failed.
fn outcome(group: &[(&'static str, &str)]) -> String {
    let Resolution { plan, trials, cut_short, .. } = resolved(group);
    if cut_short {
        return "too many".to_owned();
    }
    if let Some(plan) = plan {
        let entry = |e: &Entry| {
            let providers: Vec<&str> = e.providers.iter().map(|at| plan.members[*at]).collect();
            format!("{}={}*{}", e.name, providers.join("+"), e.requires.len())
        };
        let entries: Vec<String> = plan.entries.iter().map(entry).collect();
        return format!("{}: {}", plan.members.join(" "), entries.join(" ")).trim_end().to_owned();
    }
    trials.last().map_or_else(|| "nobody".to_owned(), reasons)
}

fn reasons(trial: &Trial<&'static str>) -> String {
    let dropped = trial.dropped.iter().map(|mismatch| format!("({})", short(mismatch)));
    dropped.chain(trial.misfits.iter().map(short)).collect::<Vec<_>>().join(", ")
}

/// `a-x`: a requires x and is not given it; `a+x`: a provides x and is not asked for it.
fn short(mismatch: &Mismatch<&'static str>) -> String {
    match mismatch {
        Mismatch::Unmet { who, name } => format!("{who}-{name}"),
        Mismatch::Unused { who, name } => format!("{who}+{name}"),
    }
}

#[test]
fn matches_as_the_specification_says() {
    for (what, group, expected) in [
        ("nothing is offered", &[("a", "")][..], "a:"),
        ("nobody is there", &[], "nobody"),
        ("met by itself", &[("a", "+x -x")], "a: x=a*1"),
        ("met by who comes before", &[("a", "+x"), ("b", "-x")], "a b: x=a*1"),
        ("not met by who comes after", &[("a", "-x"), ("b", "+x")], "a-x, b+x"),
        ("required by nobody", &[("a", "+x"), ("b", "")], "a+x"),
        ("required by who comes before only", &[("a", "+x -x"), ("b", "+x")], "b+x"),
        ("an optional one that nobody needs drops out", &[("a", "?+x"), ("b", "")], "b:"),
        ("an optional one that is not given drops out", &[("a", "?-x"), ("b", "")], "b:"),
        ("an optional one that fits stays", &[("a", "?+x"), ("b", "-x")], "a b: x=a*1"),
        ("everybody drops out", &[("a", "?+x"), ("b", "?-y")], "(a+x), (b-y)"),
        ("who drops out takes its provider along", &[("a", "?+x"), ("b", "?-x -y"), ("c", "")], "c:"),
        ("who drops out takes its requirer along", &[("a", "?+x -y"), ("b", "?-x"), ("c", "")], "c:"),
        ("who drops out is missed by one that is needed", &[("a", "?+x -y"), ("b", "-x")], "(a-y), b-x"),
        ("a needed one goes before an optional one", &[("a", "?-y"), ("b", "-x")], "b-x"),
        ("several provide", &[("a", "+x"), ("b", "+x"), ("c", "-x -x")], "a b c: x=a+b*2"),
        ("several provide, each for the next", &[("a", "+x"), ("b", "-x +x"), ("c", "-x")], "a b c: x=a+b*2"),
        ("a later provider is pending until it is required", &[("a", "+x"), ("b", "-x"), ("c", "+x")], "c+x"),
        ("the same said twice counts once", &[("a", "+x +x"), ("b", "-x")], "a b: x=a*1"),
        ("each name is matched alone", &[("a", "+x +y"), ("b", "-x"), ("c", "-y")], "a b c: x=a*1 y=a*1"),
        ("one name too many", &[("a", "+x +y"), ("b", "-x")], "a+y"),
    ] {
        assert_eq!(outcome(group), expected, "{what}");
    }
}

#[test]
fn alternatives_are_tried_depth_first() {
    for (what, group, tried, expected) in [
        ("the first that fits", &[("a", "+x|+y"), ("b", "-y")][..], 2, "a b: y=a*1"),
        ("the last varies fastest", &[("a", "+x|+y"), ("b", "-z|-y|-x")], 3, "a b: x=a*1"),
        ("then the one before", &[("a", "+x|+y"), ("b", "-z|-y")], 4, "a b: y=a*1"),
        ("of many", &[("a", "+jdk +jre|+jdk|+jre"), ("b", "-jre")], 3, "a b: jre=a*1"),
        ("one that offers nothing", &[("a", "+x|"), ("b", "")], 2, "a b:"),
        ("none fits", &[("a", "+x|+y"), ("b", "-z")], 2, "a+y, b-z"),
        // With all but its last alternative, an optional one must fit.
        ("an optional one fits with its second", &[("a", "?+x|+y"), ("b", "-y")], 2, "a b: y=a*1"),
        ("an optional one drops out with its last", &[("a", "?+x|+y"), ("b", "")], 2, "b:"),
        ("an optional one fits rather than drop out", &[("a", "?+x|+y|"), ("b", "-x")], 1, "a b: x=a*1"),
        ("a needed one does not drop out", &[("a", "+x|+y"), ("b", "")], 2, "a+y"),
        ("with its last, it is no reason", &[("a", "?+x|+y"), ("b", "-z")], 2, "b-z"),
    ] {
        assert_eq!(outcome(group), expected, "{what}");
        assert_eq!(resolved(group).tried, tried, "{what}");
    }
}

#[test]
fn every_trial_says_what_did_not_fit() {
    let resolution = resolved(&[("a", "?+x|+y"), ("b", "-z|")]);
    let said: Vec<String> =
        resolution.trials.iter().map(|trial| format!("{:?} {}", trial.ways, reasons(trial))).collect();
    assert_eq!(said, ["[0, 0] a+x, b-z", "[0, 1] a+x", "[1, 0] b-z", "[1, 1] (a+y)"]);
    assert!(resolution.plan.is_some(), "the last one fits, without a");
}

#[test]
fn entries_keep_what_was_required_in_order() {
    let mut group = [candidate("a", "+x"), candidate("b", "-x -y +y"), candidate("c", "-x")];
    group[1].alternatives[0].requires[0].metadata.insert("version".to_owned(), "1".to_owned());
    let plan = resolve(&group, &mut Effort::default()).plan.unwrap();
    assert_eq!(plan.entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["x", "y"]);
    let versions: Vec<Option<&String>> =
        plan.entries[0].requires.iter().map(|requirement| requirement.metadata.get("version")).collect();
    assert_eq!(versions, [Some(&"1".to_owned()), None]);
}

#[test]
fn a_flood_of_alternatives_is_tried_to_a_limit() {
    let many = vec!["+x"; 32].join("|");
    let group = [("a", many.as_str()), ("b", &many), ("c", &many)];
    let resolution = resolved(&group);
    assert_eq!((resolution.tried, resolution.trials.len(), resolution.cut_short), (MAX_TRIALS, MAX_KEPT_TRIALS, true));
    let fits = [("a", many.as_str()), ("b", &many), ("c", &many), ("d", "-x")];
    assert_eq!(resolved(&fits).tried, 1, "what is not tried is no obstacle to what fits");
    // What one group uses up, the next one lacks.
    let candidates: Vec<_> = group.iter().map(|(who, text)| candidate(who, text)).collect();
    let mut effort = Effort { names: 100 };
    assert!(resolve(&candidates, &mut effort).cut_short);
    assert_eq!(resolve(&candidates, &mut effort).tried, 0);
}

#[test]
fn what_is_met_is_given_once() {
    let plan = resolved(&[("a", "+x"), ("b", "+x"), ("c", "-x")]).plan.unwrap();
    assert_eq!(plan.requirements_for(0, &[]).len(), 1);
    assert_eq!(plan.requirements_for(1, &[]).len(), 1, "not met yet: the next provider gets it too");
    assert_eq!(plan.requirements_for(1, &["x".to_owned()]).len(), 0);
}

#[test]
fn a_mismatch_is_a_sentence() {
    let unmet = Mismatch::Unmet { who: "a", name: "x\u{7}".to_owned() };
    let unused = Mismatch::Unused { who: "a", name: "y".to_owned() };
    assert_eq!(unmet.to_string(), "a requires `x\\u{7}`, which no buildpack up to it provides");
    assert_eq!(unused.to_string(), "a provides `y`, which no buildpack from it on requires");
}
