//! Files as docker and podman write them.

use super::*;

fn credentials(text: &str) -> (tempfile::TempDir, Credentials) {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("config.json");
    fs::write(&path, text).unwrap();
    (
        temp,
        Credentials {
            headers: None,
            handed: BTreeMap::new(),
            files: vec!["/nonexistent/auth.json".into(), path],
            path: OsString::new(),
        },
    )
}

fn user(credentials: &Credentials, host: &str, repository: &str) -> Option<String> {
    match credentials.find(&host.parse().unwrap(), repository).unwrap()? {
        Login::Password { user, password } => Some(format!("{user}:{password}")),
        Login::IdentityToken(token) | Login::RegistryToken(token) => Some(token),
    }
}

#[test]
fn a_login_is_for_its_registry_alone() {
    let text = r#"{ "auths": {
        "registry.example.com": { "auth": "bWU6cGE6c3M=" },
        "registry.example.com/team": { "auth": "dGVhbTp4" },
        "https://old.example.com/v1/": { "username": "old", "password": "p" },
        "token.example.com": { "auth": "bWU6", "identitytoken": "t" },
        "empty.example.com": {}
    }, "HttpHeaders": { "x": "y" } }"#;
    let (_temp, credentials) = credentials(text);
    let user = |host: &str, repository: &str| user(&credentials, host, repository);
    assert_eq!(user("registry.example.com", "app").as_deref(), Some("me:pa:ss"));
    assert_eq!(user("registry.example.com", "team/app").as_deref(), Some("team:x"));
    assert_eq!(user("registry.example.com", "teams").as_deref(), Some("me:pa:ss"));
    assert_eq!(user("old.example.com", "app").as_deref(), Some("old:p"));
    assert_eq!(user("token.example.com", "app").as_deref(), Some("t"));
    for other in
        ["registry.example.com:5000", "example.com", "registry.example.com.evil.example.org", "empty.example.com"]
    {
        assert_eq!(user(other, "app"), None, "{other}");
    }
}

#[test]
fn a_bad_file_is_an_error_that_shows_no_secret() {
    for text in ["{\"auths\":{\"a.example.com\":{\"auth\":\"c2VjcmV0\"}}}", "{\"auths\":\"secret\"}", "secret"] {
        let (_temp, credentials) = credentials(text);
        let error = credentials.find(&"a.example.com".parse().unwrap(), "app").unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(!cause.contains("secret") && !cause.contains("c2VjcmV0"), "{cause}");
    }
}

#[test]
fn a_login_that_is_handed_over_wins() {
    let (_temp, mut credentials) = credentials(
        r#"{ "auths": {
        "a.example.com": { "auth": "bWU6ZmlsZQ==" }, "b.example.com": { "auth": "bWU6ZmlsZQ==" } } }"#,
    );
    let find = |credentials: &Credentials, host: &str| credentials.find(&host.parse().unwrap(), "app");
    credentials.headers = Some(
        r#"{ "a.example.com": "Basic bWU6aGVhZGVy", "c.example.com:5000": "bearer t", "https://d.example.com/v1/": "X-Identity i" }"#
            .into(),
    );
    assert_eq!(user(&credentials, "a.example.com", "app").as_deref(), Some("me:header"));
    assert_eq!(user(&credentials, "b.example.com", "app").as_deref(), Some("me:file"));
    assert!(find(&credentials, "c.example.com:5000").unwrap() == Some(Login::RegistryToken("t".to_owned())));
    assert!(find(&credentials, "d.example.com").unwrap() == Some(Login::IdentityToken("i".to_owned())));
    assert!(find(&credentials, "c.example.com").unwrap().is_none());
    for bad in ["secret", "[\"secret\"]", r#"{ "a.example.com": "secret" }"#, r#"{ "a.example.com": "Basic secret" }"#]
    {
        credentials.headers = Some(bad.into());
        let error = find(&credentials, "a.example.com").unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(!cause.contains("secret") && !format!("{credentials:?}").contains("secret"), "{cause}");
    }
}

#[test]
fn files_are_looked_for_where_tools_keep_them() {
    let files = |set: &[(&str, &str)]| {
        let set: BTreeMap<String, OsString> = set.iter().map(|(k, v)| ((*k).to_owned(), OsString::from(v))).collect();
        let found = Credentials::of_environment(|name| set.get(name).cloned()).files;
        found.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(files(&[("HOME", "/h")]), "/h/.config/containers/auth.json /h/.docker/config.json");
    let all =
        [("HOME", "/h"), ("DOCKER_CONFIG", "/d"), ("REGISTRY_AUTH_FILE", "/r.json"), ("XDG_RUNTIME_DIR", "/run/1")];
    assert_eq!(files(&all), "/r.json /run/1/containers/auth.json /h/.config/containers/auth.json /d/config.json");
    assert_eq!(files(&[]), "");
}
