use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::folders::DATA_VARIABLE;

fn data(temp: &tempfile::TempDir) -> Folder {
    Folder::open(temp.path().join("data"), DATA_VARIABLE).unwrap()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// `team-a/NAME`.
fn secret(called: &str, purpose: Purpose, values: &[(&str, &[u8])]) -> Secret {
    let is_binding = matches!(purpose, Purpose::Binding { .. });
    let value = |(key, value): &(&str, &[u8])| (key.parse().unwrap(), Value(binding::Secret::new(*value)));
    Secret {
        namespace: name("team-a"),
        name: name(called),
        service_account: (!is_binding).then(|| name("default")),
        purpose,
        values: values.iter().map(value).collect(),
    }
}

fn registry() -> Secret {
    let purpose = Purpose::Registry { host: "registry.example.com".to_owned(), user: "me".to_owned() };
    secret("registry", purpose, &[(keys::PASSWORD, b"hunter22")])
}

fn all_kinds() -> Vec<Secret> {
    let git = |url: &str, user: Option<&str>| Purpose::Git { url: url.to_owned(), user: user.map(str::to_owned) };
    let blob = Purpose::Blob { url: "https://files.example.com".to_owned(), user: None };
    let binding = Purpose::Binding { r#type: "postgresql".parse().unwrap(), provider: Some("acme".to_owned()) };
    vec![
        secret("blob", blob, &[(keys::AUTHORIZATION, b"Bearer hunter22")]),
        secret("db", binding, &[("host", b"db.example.com"), ("key", &[0, 0xff, 0xfe, b'x'])]),
        secret("git", git("https://git.example.com", Some("me")), &[(keys::PASSWORD, b"hunter22\n")]),
        registry(),
        secret("ssh", git("git@git.example.com", None), &[(keys::SSH_KEY, b"hunter22"), (keys::KNOWN_HOSTS, b"")]),
    ]
}

#[test]
fn what_was_put_comes_back_and_goes() {
    let temp = tempfile::tempdir().unwrap();
    let secrets = DiskSecrets::of(&data(&temp));
    assert_eq!(secrets.list(None).unwrap(), []);
    assert_eq!(secrets.get(&name("team-a"), &name("db")).unwrap(), None);
    assert!(!temp.path().join("data/platform").exists(), "who looks makes nothing");
    for secret in all_kinds() {
        secrets.put(&secret).unwrap();
        assert_eq!(secrets.get(&secret.namespace, &secret.name).unwrap(), Some(secret));
    }
    // A namespace may be called as anything.
    let other = Secret { namespace: name("new"), ..registry() };
    secrets.put(&other).unwrap();
    let titles = |namespace: Option<&str>| {
        let listed = secrets.list(namespace.map(name).as_ref()).unwrap();
        listed.iter().map(|one| format!("{}/{}", one.namespace, one.name)).collect::<Vec<_>>()
    };
    let own = ["team-a/blob", "team-a/db", "team-a/git", "team-a/registry", "team-a/ssh"];
    assert_eq!(titles(Some("team-a")), own);
    assert_eq!(titles(None), [&["new/registry"][..], &own].concat());
    assert_eq!(titles(Some("team-b")), [""; 0]);
    let mut changed = registry();
    changed.service_account = Some(name("other"));
    changed.values.insert("more".parse().unwrap(), Value(binding::Secret::new("x")));
    secrets.put(&changed).unwrap();
    let listed = secrets.list(Some(&name("team-a"))).unwrap().swap_remove(3);
    assert_eq!((listed.service_account, listed.keys.len()), (Some(name("other")), 2));
    assert!(secrets.remove(&name("new"), &name("registry")).unwrap());
    assert!(!secrets.remove(&name("new"), &name("registry")).unwrap());
    assert_eq!(titles(None), own);
}

#[test]
fn a_binding_is_what_a_build_takes() {
    let bindings: Vec<Binding> = all_kinds().iter().filter_map(Secret::binding).collect();
    let [db] = &bindings[..] else { panic!("{bindings:?}") };
    assert_eq!((db.name.as_str(), db.kind.as_str(), db.provider.as_deref()), ("db", "postgresql", Some("acme")));
    assert_eq!(db.entries["key"].reveal(), [0, 0xff, 0xfe, b'x']);
}

#[test]
fn nobody_sees_a_value() {
    let temp = tempfile::tempdir().unwrap();
    let secrets = DiskSecrets::of(&data(&temp));
    for secret in all_kinds() {
        secrets.put(&secret).unwrap();
        assert!(!format!("{secret:?}").contains("hunter22"), "{secret:?}");
        let path = secrets.path(&secret.namespace, &secret.name);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o7777, 0o700);
    }
    assert!(!format!("{:?}", secrets.list(None).unwrap()).contains("hunter22"));
    // A damaged file would be quoted by what reads it.
    let path = secrets.path(&name("team-a"), &name("registry"));
    for damage in [r#"{"values":{"password":hunter22}}"#, r#""hunter22""#, r#"{"hunter22":1}"#, ""] {
        fs::write(&path, damage).unwrap();
        let error = secrets.list(None).unwrap_err();
        assert!(!format!("{error:?} {}", error.sentence()).contains("hunter22"), "{error:?}");
        let text = format!("{}\nhint: {}", error.sentence(), error.hint.unwrap());
        let text = text.replace(&temp.path().display().to_string(), "/tmp");
        insta::allow_duplicates! {
            insta::assert_snapshot!(text, @"
            could not read the secret team-a/registry: `/tmp/data/platform/secrets/team-a/registry.json` is damaged
            hint: take it away and make it again
            ");
        }
    }
    // Another's file in its place is not it.
    fs::copy(secrets.path(&name("team-a"), &name("git")), &path).unwrap();
    assert_eq!(secrets.get(&name("team-a"), &name("registry")).unwrap_err().fault, Fault::Integrity);
    assert!(secrets.remove(&name("team-a"), &name("registry")).unwrap(), "what cannot be read can be taken away");
    std::os::unix::fs::symlink(secrets.path(&name("team-a"), &name("git")), &path).unwrap();
    secrets.get(&name("team-a"), &name("registry")).unwrap_err();
}

#[test]
fn what_cannot_be_kept_is_said() {
    let temp = tempfile::tempdir().unwrap();
    let secrets = DiskSecrets::of(&data(&temp));
    let with = |change: &dyn Fn(&mut Secret)| {
        let mut secret = registry();
        change(&mut secret);
        let error = secrets.put(&secret).unwrap_err();
        assert_eq!(error.fault, Fault::InvalidInput);
        error.sentence()
    };
    let git = |url: &str| Purpose::Git { url: url.to_owned(), user: None };
    let big = || Value(binding::Secret::new(vec![b'x'; MAX_SECRET]));
    let said = [
        with(&|secret| secret.values.clear()),
        with(&|secret| {
            secret.values.insert("big".parse().unwrap(), big());
        }),
        with(&|secret| secret.purpose = Purpose::Registry { host: "a\nb".to_owned(), user: "me".to_owned() }),
        with(&|secret| secret.purpose = Purpose::Registry { host: "a".to_owned(), user: String::new() }),
        with(&|secret| secret.purpose = git("https://me:hunter22@git.example.com/a")),
        with(&|secret| secret.purpose = Purpose::Binding { r#type: "db".parse().unwrap(), provider: None }),
    ];
    insta::assert_snapshot!(said.join("\n"), @"
    could not keep the secret team-a/registry: it has no values, or more than 1000
    could not keep the secret team-a/registry: its values have 1048584 bytes, and 1048576 are allowed
    could not keep the secret team-a/registry: its host is not one line of text of at most 2048 bytes
    could not keep the secret team-a/registry: its user is not one line of text of at most 2048 bytes
    could not keep the secret team-a/registry: its url has a password in it, which would be seen where the secret is listed
    could not keep the secret team-a/registry: a service account holds no bindings: buildpacks may not read what it holds
    ");
    assert_eq!(secrets.list(None).unwrap(), []);
    for url in ["git@git.example.com", "ssh://git@git.example.com:22/a", "https://git.example.com/a:b@c"] {
        secrets.put(&Secret { purpose: git(url), ..registry() }).unwrap();
    }
    let full = BTreeMap::from([(keys::PASSWORD.parse().unwrap(), Value(binding::Secret::new(vec![1; MAX_SECRET])))]);
    let full = Secret { values: full, ..registry() };
    secrets.put(&full).unwrap();
    assert_eq!(secrets.get(&full.namespace, &full.name).unwrap(), Some(full), "what may be kept can be read again");
}

#[test]
fn there_are_only_so_many() {
    let temp = tempfile::tempdir().unwrap();
    let secrets = DiskSecrets::of(&data(&temp));
    secrets.put(&registry()).unwrap();
    let folder = secrets.path(&name("team-b"), &name("x")).parent().unwrap().to_owned();
    fs::create_dir(&folder).unwrap();
    for number in 1..MAX_SECRETS {
        fs::write(folder.join(format!("s{number}.json")), "").unwrap();
    }
    let one_more = Secret { name: name("one-more"), ..registry() };
    let error = secrets.put(&one_more).unwrap_err();
    assert_eq!(error.fault, Fault::TooLarge);
    insta::assert_snapshot!(error.sentence(), @"could not keep the secret team-a/one-more: there are 1000 secrets already");
    secrets.put(&registry()).unwrap();
    secrets.remove(&name("team-b"), &name("s1")).unwrap();
    secrets.put(&one_more).unwrap();
}
