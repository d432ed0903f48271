//! Repositories on this machine, through the git that is installed.

mod fenced;
mod hostile;
mod served;

use stave_archive::tree::Tree;
use stave_lifecycle::port::cancel::Cancel;
use stave_platform::{
    port::Failed,
    resource::{
        build::Fault,
        source::{Found, FoundGit, Git, ResolvedSource},
    },
};
use tempfile::TempDir;

use super::{Credentials, Kind, Limits, Repositories, Resolved};
use crate::testing::{Repo, shown};

/// Repositories with a cache of their own.
struct Case {
    cache: TempDir,
    repositories: Repositories,
    cancel: Cancel,
}

impl Case {
    fn new() -> Self {
        let cache = tempfile::tempdir().unwrap();
        let repositories = Repositories::new(cache.path());
        Self { cache, repositories, cancel: Cancel::new() }
    }

    fn resolve(
        &self,
        url: &str,
        revision: &str,
        sub_path: Option<&str>,
        last: Option<&Resolved>,
    ) -> Result<Resolved, Failed> {
        let git = Git { url: url.to_owned(), revision: revision.to_owned(), initialize_submodules: false };
        let last = last
            .map(|last| ResolvedSource { at: Found::Git(last.found.clone()), sub_path: sub_path.map(str::to_owned) });
        self.repositories.resolve(&git, sub_path, &Credentials::None, last.as_ref(), &self.cancel)
    }

    fn fetch(&self, found: &FoundGit, sub_path: Option<&str>) -> Result<Tree, Failed> {
        self.repositories.fetch(found, sub_path, &Credentials::None, &self.cancel)
    }

    /// What a failure says, and what could be done; without the folders of this run.
    fn told<T>(&self, repo: &Repo, result: Result<T, Failed>) -> String {
        let Err(failed) = result else { panic!("it went well") };
        let text = format!("{:?}: {}\n  {}", failed.fault, failed.sentence(), failed.hint.as_deref().unwrap_or("-"));
        let text = text.replace(&repo.path().display().to_string(), "/repo");
        text.replace(&self.cache.path().display().to_string(), "/cache")
    }
}

fn commit(url: &str, revision: &str) -> FoundGit {
    FoundGit { url: url.to_owned(), revision: revision.to_owned(), tree: None, initialize_submodules: false }
}

#[test]
fn a_branch_a_tag_and_a_commit_are_found() {
    let (case, repo) = (Case::new(), Repo::of(&[("app.txt", "1")]));
    let first = repo.git(&["rev-parse", "HEAD"]);
    repo.git(&["tag", "light"]);
    repo.git(&["tag", "--annotate", "--message=release", "v1"]);
    let second = repo.commit(&[("app.txt", "2")]);
    repo.git(&["branch", "feature/x"]);
    let find = |revision: &str| {
        let resolved = case.resolve(&repo.url(), revision, None, None).unwrap();
        assert_eq!((&resolved.found.url, &resolved.found.tree), (&repo.url(), &None));
        (resolved.kind, resolved.is_moving(), resolved.found.revision)
    };
    assert_eq!(find("main"), (Kind::Branch, true, second.clone()));
    assert_eq!(find("feature/x"), (Kind::Branch, true, second.clone()));
    assert_eq!(find("refs/heads/main"), (Kind::Branch, true, second.clone()));
    assert_eq!(find("light"), (Kind::Tag, true, first.clone()));
    assert_ne!(repo.git(&["rev-parse", "v1"]), first, "the tag is an object of its own");
    assert_eq!(find("v1"), (Kind::Tag, true, first.clone()));
    assert_eq!(find(&first), (Kind::Commit, false, first.clone()));
    let third = repo.commit(&[("app.txt", "3")]);
    assert_eq!(find("main").2, third, "the branch has moved");
    assert_eq!(find(&first.to_uppercase()).2, first);
}

#[test]
fn what_is_not_there_is_told_with_what_is() {
    let (case, repo) = (Case::new(), Repo::of(&[("app.txt", "1")]));
    repo.git(&["branch", "feature/login"]);
    let empty = Repo::new();
    let find = |repo: &Repo, revision: &str| case.told(repo, case.resolve(&repo.url(), revision, None, None));
    let nowhere = case.resolve("file:///nowhere/at/all", "main", None, None);
    insta::assert_snapshot!([
        find(&repo, "mian"),
        find(&repo, "login"),
        find(&repo, "release"),
        find(&repo, "1a2b3c4"),
        find(&empty, "main"),
        case.told(&repo, nowhere),
        case.told(&repo, case.fetch(&commit(&repo.url(), &"1".repeat(40)), None)),
        case.told(&repo, case.fetch(&commit(&repo.url(), "main"), None)),
    ].join("\n"), @r"
    Refused: could not find `mian` in file:///repo: it is neither a branch, nor a tag, nor a whole commit
      did you mean `main`?
    Refused: could not find `login` in file:///repo: it is neither a branch, nor a tag, nor a whole commit
      did you mean `feature/login`?
    Refused: could not find `release` in file:///repo: it is neither a branch, nor a tag, nor a whole commit
      `git ls-remote` lists what there is; many repositories call their branch `main`
    Refused: could not find `1a2b3c4` in file:///repo: it is neither a branch, nor a tag, nor a whole commit
      name a commit by all its 40 digits: `git rev-parse` prints them
    Refused: could not find `main` in file:///repo: it is neither a branch, nor a tag, nor a whole commit
      there is nothing in this repository yet: push a branch
    Refused: could not ask file:///nowhere/at/all for its branches and tags: git says: fatal: '/nowhere/at/all' does not appear to be a git repository
      check the address; hosts say the same of a repository that who asks may not see, so check the secret too
    Refused: could not fetch commit 111111111111 of file:///repo: it has no such commit
      the commit was removed, or the history was written anew: name a branch, a tag or another commit
    Refused: could not fetch `main` of file:///repo: it is no commit
      -
    ");
}

#[test]
fn a_folder_has_a_hash_that_only_its_own_changes_change() {
    let (case, repo) = (Case::new(), Repo::of(&[("web/app.txt", "1"), ("api/app.txt", "1")]));
    let first = case.resolve(&repo.url(), "main", Some("web"), None).unwrap();
    assert_eq!(first.found.tree.as_deref(), Some(&*repo.git(&["rev-parse", "HEAD:web"])));
    let outside = repo.commit(&[("api/app.txt", "2")]);
    let second = case.resolve(&repo.url(), "main", Some("./web/"), Some(&first)).unwrap();
    assert_eq!((&second.found.revision, &second.found.tree), (&outside, &first.found.tree));
    let resolved =
        |found: &Resolved| ResolvedSource { at: Found::Git(found.found.clone()), sub_path: Some("web".to_owned()) };
    assert_eq!(resolved(&second).has_moved(&resolved(&first)), Some(false));
    repo.commit(&[("web/app.txt", "2")]);
    let third = case.resolve(&repo.url(), "main", Some("web"), Some(&second)).unwrap();
    assert_eq!(resolved(&third).has_moved(&resolved(&second)), Some(true));
    let at = |path: &str| {
        case.told(&repo, case.resolve(&repo.url(), "main", Some(path), None))
            .replace(&third.found.revision[..12], "COMMIT")
    };
    insta::assert_snapshot!([at("nothing"), at("web/app.txt"), at("../x"), at(":(top)web")].join("\n"), @r"
    Refused: could not look at `nothing` in commit COMMIT of file:///repo: there is no such folder
      check `subPath`: it is a folder of the repository
    Refused: could not look at `web/app.txt` in commit COMMIT of file:///repo: it is a file or a link
      check `subPath`: it is a folder of the repository
    Refused: the subPath `../x` is refused: it is no path within the source: path `../x` is refused: it holds `.` or `..`
      name a folder within the source, such as services/web
    Refused: could not look at `:(top)web` in commit COMMIT of file:///repo: there is no such folder
      check `subPath`: it is a folder of the repository
    ");
}

#[test]
fn folders_come_without_their_files_where_the_server_can_do_that() {
    let objects = |case: &Case| {
        let pack = |entry: std::fs::DirEntry| entry.path().join("objects/pack");
        let packs =
            std::fs::read_dir(case.cache.path()).unwrap().flatten().map(pack).find(|pack| pack.exists()).unwrap();
        packs.parent().unwrap().parent().unwrap().to_owned()
    };
    for (filters, has_blob) in [("true", false), ("false", true)] {
        let (case, repo) = (Case::new(), Repo::of(&[("web/app.txt", "text"), ("web/.gitmodules", "x")]));
        repo.git(&["config", "uploadpack.allowFilter", filters]);
        case.resolve(&repo.url(), "main", Some("web"), None).unwrap();
        let blob = repo.git(&["rev-parse", "HEAD:web/app.txt"]);
        let folder = objects(&case);
        let mut look = std::process::Command::new("git");
        look.arg("--git-dir").arg(&folder).args(["cat-file", "--batch-all-objects", "--batch-check"]);
        let text = String::from_utf8(look.output().unwrap().stdout).unwrap();
        assert_eq!(text.contains(&blob), has_blob, "{filters}: {text}");
    }
}

#[test]
fn nothing_is_fetched_while_nothing_changes() {
    let (case, repo) = (Case::new(), Repo::of(&[("web/app.txt", "1")]));
    let first = case.resolve(&repo.url(), "main", Some("web"), None).unwrap();
    std::fs::remove_dir_all(case.cache.path()).unwrap();
    let second = case.resolve(&repo.url(), "main", Some("web"), Some(&first)).unwrap();
    assert_eq!(second, first);
    assert!(!case.cache.path().exists(), "something was fetched");
    // A commit that was found is not even asked for.
    let (url, hash) = (repo.url(), first.found.revision.clone());
    let found = case.resolve(&url, &hash, Some("web"), None).unwrap();
    drop(repo);
    assert_eq!(case.resolve(&url, &hash, Some("web"), Some(&found)).unwrap(), found);
    assert_eq!(case.resolve(&url, "main", Some("web"), Some(&found)).unwrap_err().fault, Fault::Refused);
}

#[test]
fn a_commit_is_what_its_trees_say() {
    let case = Case::new();
    let repo = Repo::of(&[
        (
            ".gitattributes",
            "ignored.txt export-ignore\nsubst.txt export-subst\ncrlf.txt text eol=crlf\nbig.bin filter=lfs\n",
        ),
        ("ignored.txt", "here"),
        ("subst.txt", "$Format:%H$"),
        ("crlf.txt", "one\ntwo\n"),
        ("run.sh", "#!/bin/sh\n"),
        ("docs/empty", ""),
        ("docs/same", "here"),
        ("inner", "-> docs/same"),
        ("outer", "-> ../../etc/passwd"),
        ("absolute", "-> /etc/passwd"),
        ("sp ace/ümläut", "x"),
    ]);
    let first = repo.git(&["rev-parse", "HEAD"]);
    repo.commit(&[("later.txt", "later")]);
    let tree = case.fetch(&commit(&repo.url(), &first), None).unwrap();
    insta::assert_snapshot!(shown(&tree), @r"
    .gitattributes = ignored.txt export-ignore\nsubst.txt export-subst\ncrlf.txt text eol=crlf\nbig.bin filter=lfs\n
    absolute -> /etc/passwd
    crlf.txt = one\ntwo\n
    docs/empty =
    docs/same = here
    ignored.txt = here
    inner -> docs/same
    outer -> ../../etc/passwd
    run.sh* = #!/bin/sh\n
    sp ace/ümläut = x
    subst.txt = $Format:%H$
    ");
    let docs = case.fetch(&commit(&repo.path().display().to_string(), &first), Some("docs")).unwrap();
    assert_eq!(shown(&docs), "empty =\nsame = here");
    let head = repo.git(&["rev-parse", "HEAD"]);
    assert!(case.fetch(&commit(&repo.url(), &head), None).unwrap().get("later.txt").is_some());
    // What was fetched is there, also when the repository is gone.
    let url = repo.url();
    drop(repo);
    assert_eq!(shown(&case.fetch(&commit(&url, &first), None).unwrap()), shown(&tree));
}

#[test]
fn an_old_server_gives_an_old_commit_with_all_that_came_after_it() {
    let mut case = Case::new();
    case.repositories.protocol = Some("protocol.version=0");
    let repo = Repo::of(&[("web/app.txt", "1")]);
    let old = repo.git(&["rev-parse", "HEAD"]);
    repo.commit(&[("web/app.txt", "2")]);
    assert_eq!(shown(&case.fetch(&commit(&repo.url(), &old), Some("web")).unwrap()), "app.txt = 1");
    let found = case.resolve(&repo.url(), &old, Some("web"), None).unwrap();
    assert_eq!(found.found.tree, Some(repo.git(&["rev-parse", &format!("{old}:web")])));
    let none = case.told(&repo, case.fetch(&commit(&repo.url(), &"1".repeat(40)), None));
    insta::assert_snapshot!(none, @r"
    Refused: could not fetch commit 111111111111 of file:///repo: it has no such commit
      the commit was removed, or the history was written anew: name a branch, a tag or another commit
    ");
}

#[test]
fn a_damaged_cache_is_made_anew() {
    let (case, repo) = (Case::new(), Repo::of(&[("app.txt", "1")]));
    let first = repo.git(&["rev-parse", "HEAD"]);
    case.fetch(&commit(&repo.url(), &first), None).unwrap();
    for entry in std::fs::read_dir(case.cache.path()).unwrap().flatten() {
        let packs = std::fs::read_dir(entry.path().join("objects/pack")).into_iter().flatten().flatten();
        for pack in packs.filter(|pack| pack.path().extension().is_some_and(|ending| ending == "pack")) {
            std::fs::remove_file(pack.path()).unwrap();
        }
    }
    // What was there is missing, which is found, thrown away, and right the next time.
    let second = repo.commit(&[("app.txt", "2")]);
    let tries: Vec<bool> = (0..2).map(|_| case.fetch(&commit(&repo.url(), &first), None).is_ok()).collect();
    assert!(tries[1], "{tries:?}");
    assert_eq!(shown(&case.fetch(&commit(&repo.url(), &second), None).unwrap()), "app.txt = 2");
}

#[test]
fn many_fetches_begin_anew_and_many_threads_wait_for_each_other() {
    let (case, repo) = (Case::new(), Repo::new());
    let commits: Vec<String> = (0..30).map(|n| repo.commit(&[("app.txt", &n.to_string())])).collect();
    std::thread::scope(|scope| {
        for part in commits.chunks(15) {
            let (case, repo) = (&case, &repo);
            scope.spawn(move || {
                for hash in part {
                    case.fetch(&commit(&repo.url(), hash), None).unwrap();
                }
            });
        }
    });
    let packs =
        |folder: std::path::PathBuf| std::fs::read_dir(folder.join("objects/pack")).into_iter().flatten().count();
    let most: usize =
        std::fs::read_dir(case.cache.path()).unwrap().flatten().map(|entry| packs(entry.path())).max().unwrap();
    assert!((1..=3 * 26).contains(&most), "{most} files");
}

#[test]
fn git_must_be_installed() {
    let (mut case, repo) = (Case::new(), Repo::of(&[("a", "1")]));
    case.repositories.program = "/nowhere/git".into();
    let told = case.told(&repo, case.resolve(&repo.url(), "main", None, None));
    insta::assert_snapshot!(told, @r"
    Refused: could not ask file:///repo for its branches and tags: there is no program `git` here: No such file or directory (os error 2)
      install git 2.32 or later: sources in git repositories are fetched with the machine's own
    ");
    let limits = Limits::default();
    assert!(limits.ask < limits.fetch);
}

#[test]
fn the_oldest_git_is_not_newer_than_the_one_that_is_tested() {
    let text = String::from_utf8(std::process::Command::new("git").arg("--version").output().unwrap().stdout).unwrap();
    let number = |text: &str| text.split('.').take(2).filter_map(|part| part.parse::<u32>().ok()).collect::<Vec<_>>();
    let installed = text.split_whitespace().nth(2).map(number).unwrap();
    assert!(installed >= number(super::OLDEST), "{text}");
}
