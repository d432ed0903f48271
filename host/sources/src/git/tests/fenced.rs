//! Wishes of others: what is behind the fence is not asked, by whatever way it is named.

use std::process::{Command, Stdio};

use stave_transport::address::reach;

use super::{
    served::{Host, include},
    *,
};
use crate::{Fence, Secret};

fn within(case: &Case, fence: Fence) -> Repositories {
    case.repositories.clone().within(fence)
}

fn named(hosts: &[&str]) -> Fence {
    Fence::new(hosts.iter().map(|host| (*host).to_owned()).collect())
}

fn resolve(repositories: &Repositories, url: &str) -> Result<Resolved, Failed> {
    let git = Git { url: url.to_owned(), revision: "main".to_owned(), initialize_submodules: true };
    repositories.resolve(&git, None, &Credentials::None, None, &Cancel::new())
}

#[test]
fn a_server_of_this_machine_is_asked_only_where_it_is_named() {
    let repo = Repo::of(&[("app.txt", "1")]);
    let Some(host) = Host::of(&[("app", &repo)]) else { return };
    let case = Case::new();
    let told = |result: Result<Resolved, Failed>| case.told(&repo, result).replace(&host.server.authority(), "HOST");
    let elsewhere = host.url("app").replace("127.0.0.1", "localhost");
    let port = host.server.url("/").port().unwrap().to_string();
    let refused = told(resolve(&within(&case, named(&["example.com"])), &host.url("app")));
    let by_name = told(resolve(&within(&case, named(&["127.0.0.1"])), &elsewhere)).replace(&port, "PORT");
    insta::assert_snapshot!(format!("{refused}\n{by_name}"), @r"
    Refused: a repository of a private network is refused: http://HOST/app is not asked: its host has a private address
      -
    Refused: a repository of a private network is refused: http://localhost:PORT/app is not asked: its host has a private address
      -
    ");
    assert_eq!(host.server.lines(), [""; 0], "nobody was asked");

    let found = resolve(&within(&case, named(&["127.0.0.1"])), &host.url("app")).unwrap();
    let tree = within(&case, named(&["127.0.0.1"])).fetch(&found.found, None, &Credentials::None, &case.cancel);
    assert_eq!(shown(&tree.unwrap()), "app.txt = 1");
    assert!(resolve(&within(&case, named(&["localhost"])), &elsewhere).is_ok());
    // Whoever is allowed leads nowhere else, not even to itself.
    insta::assert_snapshot!(told(resolve(&within(&case, named(&["127.0.0.1"])), &host.url("moved"))), @r"
    Refused: could not ask http://HOST/moved for its branches and tags: git says: fatal: unable to access 'http://HOST/moved/': The requested URL returned error: 301
      the server leads elsewhere, and for others nobody follows: write the address that it leads to, often with `.git` at its end
    ");
    assert!(resolve(&case.repositories, &host.url("moved")).is_ok(), "one's own wishes follow");
}

#[test]
fn a_submodule_is_judged_as_its_repository_is() {
    let lib = Repo::of(&[("lib.txt", "2")]);
    let app = Repo::of(&[("app.txt", "1")]);
    let Some(host) = Host::of(&[("lib", &lib)]) else { return };
    let inside = host.url("lib").replace("127.0.0.1", "localhost");
    include(&app, "lib", &inside, &lib.git(&["rev-parse", "HEAD"]));
    let Some(host) = Host::of(&[("app", &app)]) else { return };
    let case = Case::new();
    let fetch = |fence| {
        let repositories = within(&case, fence);
        let found = resolve(&repositories, &host.url("app")).unwrap();
        repositories.fetch(&found.found, None, &Credentials::None, &case.cancel)
    };
    let failed = fetch(named(&["127.0.0.1"])).unwrap_err();
    assert!(failed.sentence().contains("its host has a private address"), "{}", failed.sentence());
    assert!(fetch(named(&["127.0.0.1", "localhost"])).is_ok());
}

/// A name that is this machine, whatever anybody else says of it.
#[expect(clippy::unnecessary_wraps, reason = "it stands where a name is looked up, which may fail")]
fn this_machine(_: &str, _: u16) -> std::io::Result<Vec<(std::net::IpAddr, stave_transport::address::Reach)>> {
    let ip = "127.0.0.1".parse().unwrap();
    Ok(vec![(ip, reach(ip))])
}

#[test]
fn git_and_ssh_ask_where_the_host_was_judged_to_be() {
    let repo = Repo::of(&[("app.txt", "1")]);
    let Some(host) = Host::of(&[("app", &repo)]) else { return };
    let case = Case::new();
    let repositories = within(&case, Fence::looking_up(&["git.example.test"], this_machine));
    let version = Command::new("git").arg("--version").output().unwrap().stdout;
    let version = String::from_utf8(version).unwrap();
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse::<u32>().ok());
    // An older one does not know the setting, and asks for the name itself.
    if (numbers.next().unwrap(), numbers.next().unwrap()) >= (2, 37) {
        // Nobody else knows this name.
        resolve(&repositories, &host.url("app").replace("127.0.0.1", "git.example.test")).unwrap();
    }
    if Command::new("ssh").arg("-V").stderr(Stdio::null()).status().is_ok() {
        let key = Credentials::SshKey { key: Secret::new("no key"), known_hosts: Some(String::new()) };
        let url = "ssh://git@git.example.test:1/app".to_owned();
        let git = Git { url, revision: "main".to_owned(), initialize_submodules: false };
        let failed = repositories.resolve(&git, None, &key, None, &case.cancel).unwrap_err();
        assert!(failed.sentence().contains("127.0.0.1 port 1: Connection refused"), "{}", failed.sentence());
    }
}
