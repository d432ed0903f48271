//! Which groups an order comes to: composites, doubles, execution environments, system buildpacks, as tables.
//!
//! In the tables `a` is the buildpack `t/a`, `a?` an optional member, `a@2` one in version 2.0.0, `a:test` one for the
//! execution environment `test`; `|` separates groups. Capital letters are composites.

use super::*;
use crate::order::{Composite, Group, System, SystemMembers};

fn member(text: &str) -> Member {
    let (text, optional) = text.strip_suffix('?').map_or((text, false), |text| (text, true));
    let (text, exec_env) = text.split_once(':').map_or((text, vec![]), |(text, e)| (text, vec![e.parse().unwrap()]));
    let (id, version) = text.split_once('@').map_or((text, None), |(id, version)| (id, Some(version)));
    let version = version.map(|version| format!("{version}.0.0").parse().unwrap());
    Member { id: format!("t/{id}").parse().unwrap(), version, optional, exec_env }
}

fn members(text: &str) -> Vec<Member> {
    text.split_whitespace().map(member).collect()
}

fn order(text: &str) -> Order {
    text.split('|').map(|group| Group { group: members(group) }).collect()
}

/// `a`, `a@2`, `a:test`: a buildpack in version 1.0.0, or 2.0.0, or for one execution environment.
fn manifest(text: &str) -> Manifest {
    let Member { id, version, exec_env, .. } = member(text);
    let version = version.map_or_else(|| "1.0.0".to_owned(), |version| version.to_string());
    let text = format!("contract = \"0.1\"\n[buildpack]\nid = \"{id}\"\nversion = \"{version}\"\n");
    let mut manifest = Manifest::parse(&text).unwrap();
    manifest.buildpack.exec_env = exec_env;
    manifest
}

/// `A = a b | c`: a composite.
fn composite(text: &str) -> Composite {
    let (name, groups) = text.split_once(" = ").unwrap();
    let Member { id, version, .. } = member(name);
    let order = if groups == "nothing" { Vec::new() } else { order(groups) };
    Composite { id, version, order }
}

fn selection(composites: &[&str], text: &str) -> Selection {
    Selection {
        order: order(text),
        composites: composites.iter().map(|text| composite(text)).collect(),
        system: System::default(),
    }
}

const ALL: &str = "a b c d e f v@1 v@2 p:production q:test";

fn groups(selection: &Selection, exec_env: &str) -> Result<Groups, OrderError> {
    let manifests: Vec<Manifest> = ALL.split(' ').map(manifest).collect();
    Groups::new(selection, &manifests.iter().collect::<Vec<_>>(), &exec_env.parse().unwrap())
}

/// A group a line: its name if it came by composites, its members, and who is left out in parentheses.
fn written_out(selection: &Selection, exec_env: &str) -> String {
    let groups = match groups(selection, exec_env) {
        Ok(groups) => groups,
        Err(error) => return error.to_string().replace("t/", ""),
    };
    let line = |flat: Result<Flat, TooMany>| match flat {
        Ok(flat) => {
            let seat = |seat: &Seat| {
                let title = manifest(ALL.split(' ').nth(seat.buildpack).unwrap()).title();
                format!("{}{}", title.replace("@1.0.0", ""), if seat.optional { "?" } else { "" })
            };
            let left_out = flat.left_out.iter().map(|left| format!("({})", left.name.replace("@1.0.0", "")));
            let words: Vec<String> = flat.members.iter().map(seat).chain(left_out).collect();
            format!("{flat}: {}", words.join(" ")).trim_end().to_owned()
        }
        Err(error) => error.to_string(),
    };
    groups.map(line).collect::<Vec<_>>().join("; ").replace("t/", "")
}

#[test]
fn composites_are_written_out_depth_first() {
    for (what, composites, order, expected) in [
        ("no composite", &[][..], "a b? | c", "group 1: a b?; group 2: c"),
        ("one in front", &["A = a | b"], "A c", "group 1, A group 1: a c; group 1, A group 2: b c"),
        ("one in the middle", &["A = a b"], "c A d", "group 1, A group 1: c a b d"),
        ("one alone", &["A = a | b"], "A | c", "group 1, A group 1: a; group 1, A group 2: b; group 2: c"),
        ("an optional one", &["A = a"], "A? b", "group 1, A group 1: a b; group 1, without A: b"),
        ("an optional one alone", &["A = a"], "A?", "group 1, A group 1: a; group 1, without A:"),
        (
            "two",
            &["A = a | b", "B = c | d"],
            "A B",
            "group 1, A group 1, B group 1: a c; group 1, A group 1, B group 2: a d; \
             group 1, A group 2, B group 1: b c; group 1, A group 2, B group 2: b d",
        ),
        (
            "one in another",
            &["A = B c | d", "B = a | b"],
            "A e",
            "group 1, A group 1, B group 1: a c e; group 1, A group 1, B group 2: b c e; group 1, A group 2: d e",
        ),
        (
            "an optional one in an optional one",
            &["A = a B?", "B = b"],
            "A? c",
            "group 1, A group 1, B group 1: a b c; group 1, A group 1, without B: a c; group 1, without A: c",
        ),
        ("members stay optional", &["A = a? b"], "A c?", "group 1, A group 1: a? b c?"),
        ("an empty group", &["A = | a"], "A b", "group 1, A group 1: b; group 1, A group 2: a b"),
        ("in versions", &["A@1 = a", "A@2 = b"], "A@2", "group 1, A@2.0.0 group 1: b"),
    ] {
        assert_eq!(written_out(&selection(composites, order), "production"), expected, "{what}");
    }
}

#[test]
fn the_first_of_an_id_counts() {
    for (what, composites, order, expected) in [
        ("twice the same", &[][..], "a b a?", "group 1: a b (a)"),
        ("optional first", &[], "a? b a", "group 1: a? b (a)"),
        ("in another version", &[], "v@1 v@2", "group 1: v (v@2.0.0)"),
        ("in a composite", &["A = a b"], "a A", "group 1, A group 1: a b (a)"),
        ("after a composite", &["A = a | b"], "A a", "group 1, A group 1: a (a); group 1, A group 2: b a"),
        ("a composite twice", &["A = a"], "A A", "group 1, A group 1, A group 1: a (a)"),
        ("each group for itself", &[], "a | a", "group 1: a; group 2: a"),
    ] {
        assert_eq!(written_out(&selection(composites, order), "production"), expected, "{what}");
    }
}

#[test]
fn who_is_not_for_the_execution_environment_is_left_out() {
    for (what, composites, order, production, test) in [
        ("a buildpack", &[][..], "a p", "group 1: a p", "group 1: a (p)"),
        ("another", &[], "q a", "group 1: a (q)", "group 1: q a"),
        ("a member", &[], "a b:test", "group 1: a (b)", "group 1: a b"),
        ("every environment", &[], "a:*", "group 1: a", "group 1: a"),
        ("nobody is left", &[], "q", "group 1: (q)", "group 1: q"),
        ("a composite", &["A = a"], "A:test b", "group 1: b (A)", "group 1, A group 1: a b"),
        ("in a composite", &["A = q a"], "A", "group 1, A group 1: a (q)", "group 1, A group 1: q a"),
        // Who is left out is not the first of its id.
        ("the other version", &[], "v@1:test v@2", "group 1: v@2.0.0 (v)", "group 1: v (v@2.0.0)"),
    ] {
        assert_eq!(written_out(&selection(composites, order), "production"), production, "{what}");
        assert_eq!(written_out(&selection(composites, order), "test"), test, "{what}");
    }
}

#[test]
fn it_says_why_somebody_is_left_out() {
    let reasons = |order: &str| -> Vec<String> {
        let flat = groups(&selection(&[], order), "production").unwrap().next().unwrap().unwrap();
        flat.left_out.iter().map(|left_out| format!("{}: {}", left_out.name, left_out.reason)).collect()
    };
    assert_eq!(reasons("a a"), ["t/a@1.0.0: the group has one of this id already"]);
    let expected = "it is for the execution environment test, and this image is for production";
    assert_eq!(reasons("a q b:test"), ["t/q@1.0.0", "t/b@1.0.0"].map(|name| format!("{name}: {expected}")));
}

#[test]
fn system_buildpacks_are_in_every_group() {
    for (what, pre, post, composites, order, expected) in [
        ("before", "e", "", &[][..], "a | b", "group 1: e a; group 2: e b"),
        ("after", "", "f?", &[], "a | b", "group 1: a f?; group 2: b f?"),
        ("both", "d e?", "f", &[], "a", "group 1: d e? a f"),
        ("not where the group names it", "e", "f", &[], "e? a | f b", "group 1: e? a f; group 2: e f b"),
        ("in whatever version", "v@2", "", &[], "v@1 | a", "group 1: v; group 2: v@2.0.0 a"),
        ("before and after is before", "e", "e", &[], "a", "group 1: e a (e)"),
        (
            "a composite",
            "A?",
            "",
            &["A = e | f"],
            "a",
            "group 1, A group 1: e a; group 1, A group 2: f a; group 1, without A: a",
        ),
        ("once where a composite has it", "e", "f", &["A = f e a"], "A", "group 1, A group 1: e f a (e) (f)"),
        (
            "not in groups of composites",
            "e",
            "",
            &["A = a | b"],
            "c A",
            "group 1, A group 1: e c a; group 1, A group 2: e c b",
        ),
        ("for the execution environment", "q", "", &[], "a", "group 1: a (q)"),
    ] {
        let system = System {
            pre: SystemMembers { buildpacks: members(pre) },
            post: SystemMembers { buildpacks: members(post) },
        };
        let selection = Selection { system, ..selection(composites, order) };
        assert_eq!(written_out(&selection, "production"), expected, "{what}");
    }
}

#[test]
fn an_order_that_is_wrong_is_wrong_before_anybody_is_asked() {
    for (composites, order, expected) in [
        (&[][..], "a | x", "the order names the buildpack x, and the builder has none such"),
        (&[], "a@3", "the order names the buildpack a@3.0.0, and the builder has none such"),
        (&[], "x?", "the order names the buildpack x, and the builder has none such"),
        (&[], "v", "the order names the buildpack v, and the builder has several such"),
        (&["a = b"], "a", "the order names the buildpack a, and the builder has several such"),
        (&["A = b"], "A@1", "the order names the buildpack A@1.0.0, and the builder has none such"),
        (&["A = x"], "a", "the order names the buildpack x, and the builder has none such"),
        (&["A = nothing"], "a", "the composite A has no groups"),
        (&["A = A"], "a", "the composite A stands for itself: A > A"),
        (&["A = a B", "B = C?", "C = b | A"], "B", "the composite A stands for itself: A > B > C > A"),
        (&["A = B", "B = C", "C = b | B"], "a", "the composite B stands for itself: B > C > B"),
    ] {
        assert_eq!(written_out(&selection(composites, order), "production"), expected);
    }
}

#[test]
fn nesting_has_a_limit() {
    let nested = |depth: usize| -> String {
        let inner = |n: usize| if n == 1 { "a".to_owned() } else { format!("C{}", n - 1) };
        let composites: Vec<String> = (1..=depth).rev().map(|n| format!("C{n} = {}", inner(n))).collect();
        let composites: Vec<&str> = composites.iter().map(String::as_str).collect();
        written_out(&selection(&composites, &format!("C{depth}")), "production")
    };
    assert!(nested(MAX_DEPTH).ends_with(": a"));
    assert_eq!(nested(MAX_DEPTH + 1), "the composite C33 has composites in it more than 32 deep");
    // A thousand of them overrun no stack.
    assert_eq!(nested(1000), "the composite C33 has composites in it more than 32 deep");
}

#[test]
fn a_flood_of_groups_is_given_up() {
    let many = format!("A = {}", ["a"; 10].join(" | "));
    let said = written_out(&selection(&[&many], "A A A A A A A A A"), "production");
    let given: Vec<&str> = said.split("; ").collect();
    assert_eq!(given.len(), MAX_GROUPS + 1);
    assert_eq!(given[MAX_GROUPS], "the order comes to more groups than are tried: after 1000, the rest is given up");
    let enough = groups(&selection(&[&many], "A A A"), "production").unwrap();
    assert_eq!(enough.flatten().count(), MAX_GROUPS, "exactly so many are no flood");

    // One group that doubles itself thirty times.
    let doubling: Vec<String> = (1..30).map(|n| format!("C{} = C{n} C{n}", n + 1)).collect();
    let doubling: Vec<&str> = doubling.iter().map(String::as_str).chain(["C1 = a"]).collect();
    let said = written_out(&selection(&doubling, "C30 | a"), "production");
    assert_eq!(said, "the order comes to more groups than are tried: after 0, the rest is given up");
}
