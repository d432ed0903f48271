//! Repositories, addresses and revisions that mean harm.

use std::{fs, time::Duration};

use super::*;
use stave_archive::limits::Limits as FileLimits;

#[test]
fn names_are_never_options_or_programs() {
    let (case, repo) = (Case::new(), Repo::of(&[("a", "1")]));
    let mark = repo.path().join("touched");
    let touch = format!("touch {}", mark.display());
    let urls = [
        format!("--upload-pack={touch}"),
        format!("ext::sh -c {touch}"),
        format!("ext::sh%20-c%20{}", touch.replace(' ', "%20")),
        format!("ssh://-oProxyCommand={touch}/x"),
        format!("-oProxyCommand={touch}:x"),
        "fd::3".to_owned(),
        "file:///../../etc".to_owned(),
    ];
    for url in &urls {
        let failed = case.resolve(url, "main", None, None).unwrap_err();
        assert_eq!(failed.fault, Fault::Refused, "{url}");
        case.fetch(&commit(url, &"1".repeat(40)), None).unwrap_err();
    }
    for revision in ["--upload-pack=touch x", "-x", "", "a b", "a\n", "main\0"] {
        let failed = case.resolve(&repo.url(), revision, None, None).unwrap_err();
        assert_eq!(failed.fault, Fault::Refused, "{revision:?}");
        case.fetch(&commit(&repo.url(), revision), None).unwrap_err();
    }
    assert!(!mark.exists());
}

#[test]
fn nothing_of_a_repository_runs() {
    let (case, repo) = (Case::new(), Repo::new());
    let mark = repo.path().join("touched");
    let script = format!("#!/bin/sh\ntouch {}\n", mark.display());
    let program = repo.path().join("program");
    fs::write(&program, &script).unwrap();
    let command = program.display().to_string();
    let hash =
        repo.commit(&[(".gitattributes", "* filter=evil diff=evil\n"), ("hooks/post-checkout", &script), ("a", "1")]);
    for (key, value) in [
        ("filter.evil.smudge", command.as_str()),
        ("filter.evil.clean", &command),
        ("diff.evil.textconv", &command),
        ("core.fsmonitor", &command),
        ("core.sshCommand", &command),
    ] {
        repo.git(&["config", key, value]);
    }
    for hook in ["post-checkout", "reference-transaction", "post-merge", "pre-auto-gc"] {
        fs::write(repo.path().join(".git/hooks").join(hook), &script).unwrap();
    }
    let found = case.resolve(&repo.url(), "main", Some("hooks"), None).unwrap();
    assert_eq!(found.found.revision, hash);
    let tree = case.fetch(&found.found, None).unwrap();
    assert!(tree.get("a").is_some());
    assert!(!mark.exists());
}

#[test]
fn what_is_too_large_is_refused_before_it_is_kept() {
    let repo = Repo::of(&[("small", "1"), ("huge", &"x".repeat(100_000)), ("more/huge", &"x".repeat(100_000))]);
    let hash = repo.git(&["rev-parse", "HEAD"]);
    let told = |change: &dyn Fn(&mut Limits)| {
        let mut case = Case::new();
        let mut limits = Limits::default();
        change(&mut limits);
        case.repositories = case.repositories.limited(limits);
        let result = case.resolve(&repo.url(), "main", None, None).and_then(|found| case.fetch(&found.found, None));
        case.told(&repo, result).replace(&hash[..12], "COMMIT")
    };
    insta::assert_snapshot!([
        told(&|limits| limits.files.entry_bytes = 50_000),
        told(&|limits| limits.files.total_bytes = 150_000),
        told(&|limits| limits.files = FileLimits { entries: 2, ..FileLimits::default() }),
        told(&|limits| limits.packs = 100),
        told(&|limits| limits.references = 20),
        told(&|limits| limits.ask = Duration::ZERO),
    ].join("\n"), @r"
    Refused: could not read commit COMMIT of file:///repo: `huge` is refused: it holds 100000 bytes, more than the limit of 50000
      -
    Refused: could not read commit COMMIT of file:///repo: its files hold more than 150000 bytes
      -
    Refused: could not read commit COMMIT of file:///repo: it holds more than 2 files
      -
    Refused: could not fetch commit COMMIT of file:///repo: it is larger than 100 bytes
      -
    Refused: could not ask file:///repo for its branches and tags: it wrote more than 20 bytes
      -
    Transient: could not ask file:///repo for its branches and tags: it took longer than 0ns
      -
    ");
}

#[test]
fn trees_that_no_git_would_write_are_refused() {
    let repo = Repo::of(&[("a", "1")]);
    let blob = repo.git(&["rev-parse", "HEAD:a"]);
    for name in ["..", ".git"] {
        let (case, entry) = (Case::new(), repo.path().join("entry"));
        // A tree by hand: mode, name and twenty bytes.
        let raw: Vec<u8> = (0..40).step_by(2).map(|at| u8::from_str_radix(&blob[at..at + 2], 16).unwrap()).collect();
        fs::write(&entry, [format!("100644 {name}\0").as_bytes(), &raw].concat()).unwrap();
        let tree = repo.git(&["hash-object", "-t", "tree", "-w", "--literally", "entry"]);
        let hash = repo.git(&["commit-tree", "-m", "evil", &tree]);
        repo.git(&["update-ref", "refs/heads/evil", &hash]);
        let failed = case.resolve(&repo.url(), "evil", None, None).and_then(|found| case.fetch(&found.found, None));
        let failed = failed.unwrap_err();
        assert_eq!(failed.fault, Fault::Refused, "{name}: {}", failed.sentence());
    }
}

#[test]
fn who_stops_is_obeyed() {
    let (case, repo) = (Case::new(), Repo::of(&[("a", "1")]));
    case.cancel.set();
    let failed = case.resolve(&repo.url(), "main", None, None).unwrap_err();
    assert_eq!(failed.fault, Fault::Interrupted);
    assert!(failed.sentence().ends_with("stopped on request"), "{}", failed.sentence());
}

#[test]
fn a_submodule_of_a_local_repository_stays_an_empty_folder_or_is_refused() {
    let (case, lib, repo) = (Case::new(), Repo::of(&[("lib.txt", "1")]), Repo::of(&[("app.txt", "1")]));
    let inner = lib.git(&["rev-parse", "HEAD"]);
    let modules = format!("[submodule \"lib\"]\n\tpath = vendor/lib\n\turl = {}\n", lib.url());
    repo.commit(&[(".gitmodules", &modules)]);
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{inner},vendor/lib")]);
    repo.git(&["commit", "--quiet", "--message=module"]);
    let mut found = case.resolve(&repo.url(), "main", None, None).unwrap().found;
    let tree = shown(&case.fetch(&found, None).unwrap());
    assert!(tree.contains("vendor/lib/") && !tree.contains("lib.txt"), "{tree}");
    found.initialize_submodules = true;
    let told = case.told(&lib, case.fetch(&found, None));
    assert!(told.contains("a submodule may not be on this machine"), "{told}");
}
