//! Lists against paths, as tables; and git itself as the judge of ours.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use super::*;

/// Whether a list names a path; a path that ends in `/` is a folder.
fn named(text: &str, meaning: Meaning, path: &str) -> bool {
    let list = List::parse(text, meaning).unwrap();
    list.names(&path.trim_end_matches('/').parse().unwrap(), path.ends_with('/')).is_some()
}

/// Patterns with the paths that they name and those that they do not.
const GIT: [(&str, &[&str], &[&str]); 34] = [
    ("# no\n\n   \n\\#yes", &["#yes", "a/#yes"], &["no", "yes"]),
    ("log", &["log", "a/log", "log/x", "a/log/"], &["logs", "a.log", "Log"]),
    ("*.log", &["a.log", ".log", "x/a.log"], &["a.log2", "alog"]),
    ("/log", &["log", "log/x"], &["a/log"]),
    ("log/", &["log/", "a/log/", "log/x"], &["log", "a/log"]),
    ("a/log", &["a/log", "a/log/x"], &["b/a/log"]),
    ("a/b/", &["a/b/", "a/b/c"], &["a/b", "x/a/b/"]),
    ("a/*", &["a/x", "a/x/y", "a/.b"], &["a/", "b/a/x"]),
    ("a/**", &["a/x", "a/x/y"], &["a/", "a"]),
    ("**/log", &["log", "a/log", "a/b/log"], &["logs"]),
    ("**/a/log", &["a/log", "x/a/log"], &["a/x/log"]),
    ("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["b", "a/xb"]),
    ("a/**/**/b", &["a/b", "a/x/y/b"], &["b"]),
    ("**", &["a", "a/b"], &[]),
    ("/**", &["a", "a/b"], &[]),
    ("/*", &["a", "a/b"], &[]),
    ("a**b", &["ab", "axb", "x/axxb"], &["a/b"]),
    ("?", &["a", "x/b"], &["ab", "é"]),
    ("a??c", &["abbc", "aéc"], &["a/bc", "ac"]),
    ("[ab].c", &["a.c", "x/b.c"], &["c.c", "ab.c"]),
    ("[!ab].c", &["c.c"], &["a.c", ".c"]),
    ("[^ab].c", &["c.c"], &["b.c"]),
    ("[a-c]x", &["ax", "bx", "cx"], &["dx", "-x"]),
    ("[]a]", &["]", "a"], &["b", "[]"]),
    ("[[:digit:]_]", &["5", "_"], &["a", ":"]),
    ("[a", &[], &["[a", "a"]),
    ("{a,b}", &["{a,b}"], &["a", "b"]),
    ("\\!x\n\\*y", &["!x", "*y"], &["x", "ay"]),
    ("x\\ \ny  ", &["x ", "y"], &["x", "y  "]),
    ("*.txt\n!keep.txt", &["a.txt", "d/a.txt"], &["keep.txt", "d/keep.txt"]),
    ("d/\n!d/keep", &["d/keep", "d/x", "d/"], &["keep"]),
    ("d/*\n!d/keep", &["d/x", "d/x/y"], &["d/keep", "d/keep/x"]),
    ("/*\n!/src\n/src/*\n!/src/main", &["a", "src/a", "src/test/x"], &["src/main", "src/main/x", "src/"]),
    ("!a\na", &["a"], &["b"]),
];

#[test]
fn gitignore_names_what_git_names() {
    for (list, yes, no) in GIT {
        for path in yes {
            assert!(named(list, Meaning::Git, path), "{list:?} should name {path}");
        }
        for path in no {
            assert!(!named(list, Meaning::Git, path), "{list:?} should not name {path}");
        }
    }
}

#[test]
fn dockerignore_begins_at_the_root_and_its_last_word_counts() {
    for (list, yes, no) in [
        ("# no\nlog", &["log", "log/x"][..], &["a/log", "no"][..]),
        ("**/log", &["log", "a/log", "a/b/log/x"], &["logs"]),
        ("*/log", &["a/log"], &["log", "a/b/log"]),
        ("/log/", &["log", "log/x"], &["a/log"]),
        ("./a/../b//c", &["b/c"], &["a", "a/b/c"]),
        ("  log  ", &["log"], &["  log"]),
        (".", &[], &["a"]),
        ("*\n!src", &["a", "a/b"], &["src", "src/x"]),
        ("d\n!d/keep", &["d/x", "d"], &["d/keep", "d/keep/x"]),
        ("d\n!d/keep\nd/keep/x", &["d/keep/x"], &["d/keep/y"]),
        ("a/**", &["a/x", "a/x/y"], &["b"]),
        ("?", &["a", "é"], &["ab"]),
        ("a?b[0-9]", &["axb5"], &["ab5"]),
    ] {
        for path in yes {
            assert!(named(list, Meaning::Docker, path), "{list:?} should name {path}");
        }
        for path in no {
            assert!(!named(list, Meaning::Docker, path), "{list:?} should not name {path}");
        }
    }
    assert!(List::parse("a", Meaning::Docker).unwrap().is_final());
    assert!(!List::parse("a\n!a/b", Meaning::Docker).unwrap().is_final());
}

#[test]
fn the_line_that_decides_is_known() {
    let list = List::parse("# first\n*.txt\n!a.txt\n/b.txt\n", Meaning::Git).unwrap();
    let pattern = |path: &str| list.names(&path.parse().unwrap(), false).map(|p| (p.line, p.text.as_str()));
    assert_eq!(pattern("b.txt"), Some((4, "/b.txt")));
    assert_eq!(pattern("x/b.txt"), Some((2, "*.txt")));
    assert_eq!(pattern("a.txt"), None);
}

#[test]
fn lists_of_deeper_folders_go_first() {
    let list = |text: &str| List::parse(text, Meaning::Git).unwrap();
    let (top, deep) = (list("*.log\n/a/gone/\n"), list("!keep.log\nother\n"));
    let lists = [(TreePath::root(), &top), ("a/b".parse().unwrap(), &deep)];
    let named = |path: &str| {
        git_names(&lists, &path.parse().unwrap(), false).map(|(folder, pattern)| (folder.to_string(), pattern.line))
    };
    assert_eq!(named("a/b/x.log"), Some((String::new(), 1)));
    assert_eq!(named("a/b/keep.log"), None);
    assert_eq!(named("a/keep.log"), Some((String::new(), 1)));
    assert_eq!(named("a/b/c/other/x"), Some(("a/b".to_owned(), 2)));
    assert_eq!(named("other"), None);
    assert_eq!(named("a/gone/b/keep.log"), Some((String::new(), 2)), "nothing below an ignored folder comes back");
}

#[test]
fn lists_have_limits() {
    let refused = |text: &str| List::parse(text, Meaning::Git).unwrap_err().to_string();
    let said = [
        refused(&"a".repeat(MAX_LIST + 1)),
        refused(&"a\n".repeat(MAX_PATTERNS + 1)),
        refused(&format!("\n{}", "a".repeat(5000))),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
    it has 1048577 bytes, more than the limit of 1048576
    it has more than 10000 patterns
    its line 2 is longer than 4096 bytes
    ");
}

#[test]
fn a_hostile_pattern_takes_no_longer_than_another() {
    // With a search that tries every star again, each of these would take longer than the universe has.
    let stars = "*a".repeat(1000);
    let folders = "**/a/".repeat(500);
    let path = vec!["a".repeat(200); 15].join("/");
    assert!(!named(&format!("{stars}b"), Meaning::Git, &path));
    assert!(!named(&format!("/{folders}b"), Meaning::Git, &["a"; 250].join("/")));
}

/// What git says of paths in a folder with these lists; none where there is no git.
fn git_says(folder: &Path, paths: &[&str]) -> Option<Vec<bool>> {
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.current_dir(folder).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        git.env("HOME", folder).env("GIT_CONFIG_NOSYSTEM", "1").args(arguments);
        git
    };
    if !git(&["init", "--quiet"]).status().is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: there is no git here to compare gitignore with");
        return None;
    }
    let mut check = git(&["check-ignore", "--no-index", "--stdin", "-z", "--verbose", "--non-matching"]);
    let mut child = check.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // git looks at the disk for what is a folder; a slash at the end would be taken for a part of the name.
    let paths: Vec<&str> = paths.iter().map(|path| path.trim_end_matches('/')).collect();
    input.write_all(paths.join("\0").as_bytes()).unwrap();
    drop(input);
    let said = child.wait_with_output().unwrap().stdout;
    // Source, line, pattern and path of each; a pattern with `!` takes back.
    let fields: Vec<&[u8]> = said.split(|byte| *byte == 0).collect();
    Some(fields.chunks_exact(4).map(|of| !of[0].is_empty() && !of[2].starts_with(b"!")).collect())
}

/// Makes an empty file or a folder; false where something of the other kind is in the way.
fn make(root: &Path, path: &str) -> bool {
    let real = root.join(path);
    if path.ends_with('/') {
        return fs::create_dir_all(real).is_ok();
    }
    fs::create_dir_all(real.parent().unwrap()).and_then(|()| fs::File::create(real)).is_ok()
}

#[test]
fn git_agrees() {
    for (text, yes, no) in GIT {
        let mut left: Vec<&str> = yes.iter().chain(no).copied().collect();
        while !left.is_empty() {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(".gitignore"), text).unwrap();
            // What is a file for one path may be a folder for another: that one waits for the next round.
            let (made, later): (Vec<&str>, Vec<&str>) = left.iter().partition(|path| make(folder.path(), path));
            let Some(said) = git_says(folder.path(), &made) else { return };
            let ours: Vec<bool> = made.iter().map(|path| named(text, Meaning::Git, path)).collect();
            assert_eq!(said, ours, "{text:?} {made:?}");
            left = later;
        }
    }
}
