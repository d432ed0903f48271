//! What is within what, for each kind of capability.

use super::*;

fn capabilities(interfaces: &[Interface], ecosystems: &[&str], settings: &[&str]) -> Capabilities {
    Capabilities {
        interfaces: interfaces.iter().copied().collect(),
        ecosystems: ecosystems.iter().map(|s| (*s).to_owned()).collect(),
        settings: settings.iter().map(|s| (*s).to_owned()).collect(),
        ..Capabilities::default()
    }
}

fn words(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn hosts_are_whole_names_or_all_below_one() {
    for (allowed, wanted, expected) in [
        ("d.example.com", "d.example.com", true),
        ("d.example.com", "D.Example.COM", true),
        ("d.example.com", "a.d.example.com", false),
        ("d.example.com", "d.example.com.", false),
        ("*.example.com", "d.example.com", true),
        ("*.example.com", "a.d.example.com", true),
        ("*.example.com", "*.d.example.com", true),
        ("*.example.com", "*.example.com", true),
        ("*.example.com", "example.com", false),
        ("*.example.com", ".example.com", false),
        ("*.example.com", "evilexample.com", false),
        ("*.example.com", "d.example.com.evil.org", false),
        ("*.d.example.com", "*.example.com", false),
        ("d.example.com", "*.example.com", false),
        ("*", "d.example.com", false),
        ("*.", "d.example.com.", false),
    ] {
        let hosts = Capabilities { hosts: words(&[allowed]), ..Capabilities::default() };
        assert_eq!(hosts.allows_host(wanted), expected, "{allowed} {wanted}");
    }
}

#[test]
fn what_both_allow_is_within_each() {
    let set = |settings: &[&str], hosts: &[&str], bindings: &[&str]| Capabilities {
        settings: words(settings),
        hosts: words(hosts),
        bindings: words(bindings),
        ..capabilities(&[Interface::Layers, Interface::Artifacts], &["pypi", "npm"], &[])
    };
    let one = set(&["BP_*", "HOME", "X_A*"], &["*.example.com", "a.org"], &["Maven*"]);
    let other = Capabilities {
        interfaces: [Interface::Artifacts, Interface::Sbom].into(),
        ecosystems: words(&["pypi", "maven"]),
        ..set(&["BP_JVM_*", "*", "X_AB", "Y"], &["d.example.com", "*.d.example.com", "b.org"], &["maven", "npmrc"])
    };
    let both = one.meet(&other);
    let expected = Capabilities {
        interfaces: [Interface::Artifacts].into(),
        ecosystems: words(&["pypi"]),
        ..set(&["BP_*", "BP_JVM_*", "HOME", "X_A*", "X_AB"], &["d.example.com", "*.d.example.com"], &["maven"])
    };
    assert_eq!(both, expected);
    assert_eq!(other.meet(&one), expected, "it does not depend on whom is asked first");
    assert_eq!((excess(&both, &one), excess(&both, &other)), (Vec::new(), Vec::new()));
    assert_eq!(one.meet(&Capabilities::default()), Capabilities::default());
    let all = one.clone().join(&other);
    assert_eq!((excess(&one, &all), excess(&other, &all)), (Vec::new(), Vec::new()));
    assert!(all.allows(&Excess::Host("x.example.com".to_owned())) && !all.allows(&Excess::Host("c.org".to_owned())));
    assert_eq!(one.meet(&one), one);
}

#[test]
fn what_is_missing_is_one_line_a_list() {
    let many: Vec<Excess> = (0..30).map(|n| Excess::Setting(format!("S{n:02}\u{1b}{}", "x".repeat(200)))).collect();
    let [line] = &lines(&many)[..] else { panic!("one list is one line") };
    assert!(line.len() < 20 * 120 && line.contains("\\u{1b}") && !line.contains('\u{1b}'), "{line}");
    let mixed = Capabilities { hosts: words(&["a.org"]), ..capabilities(&[Interface::Layers], &["a", "b"], &[]) };
    assert_eq!(
        lines(&mixed.each()),
        [r#"interfaces = ["layers"]"#, r#"ecosystems = ["a", "b"]"#, r#"hosts = ["a.org"]"#]
    );
    assert!(mixed.each().into_iter().all(|one| mixed.allows(&one)) && !mixed.is_empty());
}

#[test]
fn bindings_are_granted_by_their_type() {
    let kinds = |kinds: &[&str]| Capabilities {
        bindings: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
        ..Capabilities::default()
    };
    assert!(kinds(&["CA-Certificates"]).allows_binding("ca-certificates"));
    assert!(kinds(&["maven*"]).allows_binding("Maven-settings") && !kinds(&["maven"]).allows_binding("maven-settings"));
    let lines: Vec<String> =
        excess(&kinds(&["npmrc", "Maven"]), &kinds(&["maven"])).iter().map(ToString::to_string).collect();
    assert_eq!(lines, [r#"bindings = ["npmrc"]"#]);
}

#[test]
fn what_is_not_granted_is_named_as_the_line_that_would_grant_it() {
    let asked = capabilities(&[Interface::App, Interface::Artifacts], &["pypi"], &["BP_JVM_*", "HOME"]);
    let lines: Vec<String> = excess(&asked, &Capabilities::usual()).iter().map(ToString::to_string).collect();
    assert_eq!(lines, [r#"interfaces = ["artifacts"]"#, r#"ecosystems = ["pypi"]"#, r#"settings = ["HOME"]"#]);
    assert_eq!(excess(&asked, &asked), []);
}

#[test]
fn settings_are_listed_where_all_of_them_are_allowed() {
    for (allowed, prefix, expected) in [
        ("BPE_*", "BPE_", true),
        ("BPE_*", "BPE_APPEND_", true),
        ("BPE_*", "BP", false),
        ("BPE_*", "", false),
        ("*", "", true),
        ("BPE_X", "BPE_X", false),
        ("BPE_*", "BPE_*", true),
    ] {
        assert_eq!(capabilities(&[], &[], &[allowed]).allows_settings(prefix), expected, "{allowed} {prefix}");
    }
}

#[test]
fn a_pattern_is_covered_by_a_wider_one_only() {
    for (allowed, wanted, expected) in [
        ("BP_*", "BP_X", true),
        ("BP_*", "BP_JVM_*", true),
        ("BP_JVM_*", "BP_*", false),
        ("BP_X", "BP_*", false),
        ("BP_X", "BP_X", true),
        ("*", "HOME", true),
        ("BP_X", "BP_XY", false),
    ] {
        assert_eq!(covers(allowed, wanted), expected, "{allowed} {wanted}");
    }
}
