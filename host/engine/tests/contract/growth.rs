//! A released version of the contract stays what it was: what was built against it goes on running.

use stave_model::{digest::Digest, manifest::CONTRACTS};
use wit_component::semver_check;
use wit_parser::Resolve;

use crate::text::{read, released, served};

/// What was released, by version: the digest of its text in `wit/released/`. A line is added with a version and never changed.
const RELEASED: [(&str, &str); 2] = [
    ("0.1", "05d4e8d6b0db065a08ee3f09e3976ffe806cd3c925c4ba878dd96ba97e03be2b"),
    ("0.2", "8875b071bc7889bc76de110e638488c5b269404f78c9fe45e72afa291a768fb5"),
];

/// Whether every component that was built against `old` runs on a host that speaks `new`; the reason if not.
fn grows(old: &str, new: &str) -> Result<(), String> {
    // Both can stand beside each other only under different versions, and the check looks at no version.
    let renumbered = |text: &str, version: &str| {
        let start = text.find("package stave:buildpack@").expect("the package's name");
        let end = start + text[start..].find(';').expect("its end");
        format!("{}package stave:buildpack@{version}{}", &text[..start], &text[end..])
    };
    let mut resolve = Resolve::default();
    let old = read(&mut resolve, &renumbered(old, "0.0.1"));
    let new = read(&mut resolve, &renumbered(new, "0.0.2"));
    semver_check(resolve, old, new).map_err(|error| format!("{error:#}"))
}

#[test]
fn what_was_released_is_what_was_released() {
    assert_eq!(
        RELEASED.map(|(version, _)| version),
        CONTRACTS,
        "every version that is served is kept as it was released"
    );
    for (version, digest) in RELEASED {
        let found = Digest::of(released(version).as_bytes()).hex();
        assert_eq!(found, digest, "wit/released/v{version}.wit is not what was released");
    }
}

#[test]
fn what_is_served_takes_everything_that_was_built_against_the_release() {
    for (version, _) in RELEASED {
        grows(&released(version), &served(version)).unwrap_or_else(|why| panic!("v{version}: {why}"));
    }
}

#[test]
fn a_version_has_everything_of_the_one_before() {
    for pair in CONTRACTS.windows(2) {
        grows(&served(pair[0]), &served(pair[1])).unwrap_or_else(|why| panic!("{pair:?}: {why}"));
    }
}

#[test]
fn growth_within_a_version_is_taken() {
    let released = released("0.1");
    for (what, from, to) in [
        ("a function", "interface log {", "interface log {\n    more: func();"),
        ("a method", "resource archive {", "resource archive {\n        size: func() -> u64;"),
        (
            "an interface",
            "world buildpack {\n    import app;",
            "interface more { more: func(); }\nworld buildpack {\n    import more;\n    import app;",
        ),
        ("words", "/// Writes a message of one or more lines.", "/// Writes lines."),
    ] {
        assert!(released.contains(from), "{what}");
        assert_eq!(grows(&released, &released.replacen(from, to, 1)), Ok(()), "{what}");
    }
}

#[test]
fn a_change_that_breaks_what_was_built_is_refused() {
    let released = released("0.1");
    for (what, from, to) in [
        (
            "a field more",
            "executable: bool,\n    }\n\n    /// Everything",
            "executable: bool,\n        owner: u32,\n    }\n\n    /// Everything",
        ),
        ("a field less", "        /// SPDX expressions.\n        licenses: list<string>,\n", ""),
        ("a case more", "enum kind { file, folder, link }", "enum kind { file, folder, link, socket }"),
        ("a flag less", "        cache,\n", ""),
        ("a function less", "    step: func(title: string);", ""),
        ("another argument", "step: func(title: string)", "step: func(title: string, level: level)"),
        (
            "another answer",
            "read: func(path: string, limit: u32) -> result<list<u8>, error>",
            "read: func(path: string, limit: u32) -> result<string, error>",
        ),
        ("an interface less", "    import overlay;\n", ""),
        ("an export more", "    export detection;", "    export detection;\n    export log;"),
    ] {
        assert!(released.contains(from), "{what}");
        let why = grows(&released, &released.replacen(from, to, 1)).expect_err(what);
        assert!(why.contains("type") || why.contains("missing") || why.contains("found"), "{what}: {why}");
    }
}
