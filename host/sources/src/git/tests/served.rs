//! Repositories behind HTTP: git's own server, run by a server of ours that asks who is there.

use std::{
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use stave_transport::testing::{Asked, Reply, Server};

use super::*;
use crate::{Secret, testing::http_backend};

/// Serves the repositories in a folder; those whose names begin with `secret` to `ada` alone.
fn serve(folder: PathBuf) -> Option<Server> {
    let backend = http_backend()?;
    Server::start(move |asked| {
        let is_known = asked.header("authorization") == Some("Basic YWRhOmh1bnRlcjIy");
        if asked.path.starts_with("/secret") && !is_known {
            return Reply::new(401, "who?").header("www-authenticate", "Basic realm=\"git\"");
        }
        if asked.path.starts_with("/moved/") {
            return Reply::redirect(301, &asked.path.replacen("/moved/", "/app/", 1));
        }
        answer(&backend, &folder, asked)
    })
    .ok()
}

/// What git's own server answers.
fn answer(backend: &PathBuf, folder: &PathBuf, asked: &Asked) -> Reply {
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let mut command = Command::new(backend);
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
    command.env("GIT_PROJECT_ROOT", folder).env("GIT_HTTP_EXPORT_ALL", "1").env("GIT_CONFIG_NOSYSTEM", "1");
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("PATH_INFO", path).env("QUERY_STRING", query);
    command.env("REQUEST_METHOD", &asked.method).env("CONTENT_LENGTH", asked.body.len().to_string());
    for (variable, header) in [
        ("CONTENT_TYPE", "content-type"),
        ("HTTP_CONTENT_ENCODING", "content-encoding"),
        ("GIT_PROTOCOL", "git-protocol"),
    ] {
        if let Some(value) = asked.header(header) {
            command.env(variable, value);
        }
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&asked.body).unwrap();
    let output = child.wait_with_output().unwrap().stdout;
    let end = output.windows(4).position(|part| part == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let header =
        |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned());
    let status = header("Status:").and_then(|text| text[..3].parse().ok()).unwrap_or(200);
    let reply = Reply::new(status, &output[end + 4..]);
    header("Content-Type:").map_or(reply.clone(), |kind| reply.header("content-type", &kind))
}

/// A folder of bare copies.
pub(super) struct Host {
    folder: TempDir,
    pub(super) server: Server,
}

impl Host {
    pub(super) fn of(repos: &[(&str, &Repo)]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        for (name, repo) in repos {
            repo.git(&["clone", "--quiet", "--bare", ".", folder.path().join(name).to_str().unwrap()]);
        }
        let server = serve(folder.path().to_owned())?;
        Some(Self { folder, server })
    }

    pub(super) fn url(&self, name: &str) -> String {
        self.server.url(&format!("/{name}")).to_string()
    }
}

fn ada() -> Credentials {
    Credentials::Password { user: Secret::new("ada"), password: Secret::new("hunter22") }
}

#[test]
fn a_password_opens_what_is_its_own_and_is_told_nobody() {
    let repo = Repo::of(&[("web/app.txt", "1")]);
    let Some(host) = Host::of(&[("secret", &repo), ("app", &repo)]) else { return };
    let (case, hash) = (Case::new(), repo.git(&["rev-parse", "HEAD"]));
    let resolve = |name: &str, revision: &str, credentials: &Credentials| {
        let git = Git { url: host.url(name), revision: revision.to_owned(), initialize_submodules: false };
        case.repositories.resolve(&git, Some("web"), credentials, None, &case.cancel)
    };
    let found = resolve("secret", "main", &ada()).unwrap();
    assert_eq!(found.found.revision, hash);
    let tree = case.repositories.fetch(&found.found, None, &ada(), &case.cancel).unwrap();
    assert_eq!(shown(&tree), "web/app.txt = 1");
    let wrong = Credentials::Password { user: Secret::new("ada"), password: Secret::new("hunter23") };
    let told = |result: Result<Resolved, Failed>| case.told(&repo, result).replace(&host.server.authority(), "HOST");
    insta::assert_snapshot!([
        told(resolve("secret", "main", &Credentials::None)),
        told(resolve("secret", "main", &wrong)),
        told(resolve("nothing", "main", &ada())),
    ].join("\n"), @r"
    Refused: could not ask http://HOST/secret for its branches and tags: git says: fatal: could not read Username for 'http://HOST': terminal prompts disabled
      check the secret for this host: user and password (or a token), or an ssh key, that may read it
    Refused: could not ask http://HOST/secret for its branches and tags: git says: fatal: Authentication failed for 'http://HOST/secret/'
      check the secret for this host: user and password (or a token), or an ssh key, that may read it
    Refused: could not ask http://HOST/nothing for its branches and tags: git says: fatal: repository 'http://HOST/nothing/' not found
      check the address; hosts say the same of a repository that who asks may not see, so check the secret too
    ");
    let asked = host.server.asked().len();
    resolve("moved", "main", &ada()).unwrap();
    let sent =
        host.server.asked().split_off(asked).iter().filter(|asked| asked.header("authorization").is_some()).count();
    assert_eq!(sent, 0, "who does not ask is not told");
    // Nothing of it is kept, but in the environment of a git that is gone.
    let mut files = vec![case.cache.path().to_owned()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().flatten().map(|entry| entry.path()));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(8).any(|part| part == b"hunter22"), "{}", path.display());
        }
    }
}

#[test]
fn a_redirect_to_another_host_is_not_told_the_password() {
    let repo = Repo::of(&[("app.txt", "1")]);
    let Some(host) = Host::of(&[("secret", &repo)]) else { return };
    let target = host.server.url("").to_string();
    let decoy =
        Server::start(move |asked| Reply::redirect(302, &format!("{}{}", target.trim_end_matches('/'), asked.path)))
            .unwrap();
    let case = Case::new();
    let git = Git { url: decoy.url("/secret").to_string(), revision: "main".to_owned(), initialize_submodules: false };
    let failed = case.repositories.resolve(&git, None, &ada(), None, &case.cancel).unwrap_err();
    assert_eq!(failed.fault, Fault::Refused, "{}", failed.sentence());
    assert!(host.server.asked().iter().all(|asked| asked.header("authorization").is_none()));
    assert!(!host.server.asked().is_empty(), "the redirect was followed");
}

#[test]
fn a_server_that_is_gone_is_a_bad_moment() {
    let case = Case::new();
    let gone = Server::start(|_| Reply::new(503, "busy")).unwrap();
    let git = Git { url: gone.url("/app").to_string(), revision: "main".to_owned(), initialize_submodules: false };
    let failed = case.repositories.resolve(&git, None, &Credentials::None, None, &case.cancel).unwrap_err();
    assert_eq!(failed.fault, Fault::Transient, "{}", failed.sentence());
    let authority = gone.authority();
    drop(gone);
    let git = Git { url: format!("http://{authority}/app"), ..git };
    let failed = case.repositories.resolve(&git, None, &Credentials::None, None, &case.cancel).unwrap_err();
    assert_eq!(failed.fault, Fault::Transient, "{}", failed.sentence());
}

/// Adds a submodule without asking anybody.
pub(super) fn include(repo: &Repo, path: &str, url: &str, commit: &str) {
    let file = repo.path().join(".gitmodules");
    let old = std::fs::read_to_string(&file).unwrap_or_default();
    repo.commit(&[(".gitmodules", &format!("{old}[submodule \"{path}\"]\n\tpath = {path}\n\turl = {url}\n"))]);
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},{path}")]);
    repo.git(&["commit", "--quiet", "--message=module"]);
}

#[test]
fn submodules_come_at_the_commits_that_are_named() {
    let deep = Repo::of(&[("deep.txt", "3")]);
    let lib = Repo::of(&[("lib.txt", "2")]);
    include(&lib, "deep", "../deep", &deep.git(&["rev-parse", "HEAD"]));
    let app = Repo::of(&[("web/app.txt", "1")]);
    include(&app, "web/lib", "../secret-lib", &lib.git(&["rev-parse", "HEAD"]));
    lib.commit(&[("lib.txt", "later")]);
    let Some(host) = Host::of(&[("app", &app), ("secret-lib", &lib), ("deep", &deep)]) else { return };
    let mut case = Case::new();
    let git = Git { url: host.url("app"), revision: "main".to_owned(), initialize_submodules: true };
    let found = case.repositories.resolve(&git, Some("web"), &ada(), None, &case.cancel).unwrap().found;
    assert!(found.initialize_submodules);
    let fetch = |case: &Case| case.repositories.fetch(&found, Some("web"), &ada(), &case.cancel);
    insta::assert_snapshot!(shown(&fetch(&case).unwrap()), @r#"
    app.txt = 1
    lib/.gitmodules = [submodule \"deep\"]\n\tpath = deep\n\turl = ../deep\n
    lib/deep/deep.txt = 3
    lib/lib.txt = 2
    "#);
    for change in [|limits: &mut Limits| limits.modules = 1, |limits: &mut Limits| limits.depth = 1] {
        let mut limits = Limits::default();
        change(&mut limits);
        case.repositories = case.repositories.clone().limited(limits);
        assert_eq!(fetch(&case).unwrap_err().fault, Fault::Refused);
    }
    assert!(host.folder.path().exists());
}

#[test]
fn a_submodule_of_which_nothing_is_said_is_refused() {
    let app = Repo::of(&[("app.txt", "1")]);
    app.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},lib", "1".repeat(40))]);
    app.git(&["commit", "--quiet", "--message=module"]);
    let Some(host) = Host::of(&[("app", &app)]) else { return };
    let case = Case::new();
    let found = FoundGit { initialize_submodules: true, ..commit(&host.url("app"), &app.git(&["rev-parse", "HEAD"])) };
    let told = case.told(&app, case.fetch(&found, None)).replace(&host.server.authority(), "HOST");
    insta::assert_snapshot!(told, @r"
    Refused: could not fetch the submodule `lib` of http://HOST/app: `.gitmodules` does not say where it is
      -
    ");
}

#[test]
fn ssh_is_run_with_the_key_and_what_it_says_is_told() {
    if Command::new("ssh").arg("-V").stderr(Stdio::null()).status().is_err() {
        return;
    }
    let case = Case::new();
    let key = Credentials::SshKey { key: Secret::new("no key"), known_hosts: Some(String::new()) };
    // Nobody listens there: ssh itself got as far as that.
    let git =
        Git { url: "ssh://git@127.0.0.1:1/app".to_owned(), revision: "main".to_owned(), initialize_submodules: false };
    let failed = case.repositories.resolve(&git, None, &key, None, &case.cancel).unwrap_err();
    assert_eq!(failed.fault, Fault::Transient);
    assert!(failed.sentence().contains("port 1: Connection refused"), "{}", failed.sentence());
}
