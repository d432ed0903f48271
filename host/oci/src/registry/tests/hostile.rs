//! Registries that lie, stall, or want what is not theirs.

use super::*;

/// What a registry says instead of the truth.
type Lie = fn(&Asked) -> Option<Reply>;

#[test]
fn other_bytes_are_not_taken() {
    let image = two_layers();
    for change in [
        |bytes: &mut Vec<u8>| bytes[20] ^= 1,
        |bytes: &mut Vec<u8>| bytes.push(0),
        |bytes: &mut Vec<u8>| bytes.truncate(9),
    ] {
        let world = world(Guard::Open, None, None);
        world.push("app:1", &image).unwrap();
        let digest = image.layers[0].descriptor.digest;
        let mut bytes = image.layers[0].content.bytes(1 << 20).unwrap();
        change(&mut bytes);
        world.registry.put_blob("app", &digest, &bytes);
        let error = read(&world.pull("app:1").unwrap()).unwrap_err();
        assert_eq!(error.fault, Fault::Integrity, "{}", world.told(&error));
        assert!(FolderBlobs::new(world.temp.path()).get(&digest).unwrap().is_none(), "nothing of it is kept");
    }
}

#[test]
fn another_manifest_than_asked_for_is_not_taken() {
    let world = world(Guard::Open, None, None);
    let image = two_layers();
    world.push("app:1", &image).unwrap();
    let other = Digest::of(b"other");
    world.registry.put_manifest("app", &other.to_string(), MANIFEST, &image.manifest);
    assert_eq!(world.pull(&format!("app@{other}")).unwrap_err().fault, Fault::Integrity);
    world.registry.put_blob("app", &image.config_descriptor().digest, &vec![b' '; image.config.len()]);
    std::fs::remove_file(world.temp.path().join(image.config_descriptor().digest.hex())).unwrap_or_default();
    assert_eq!(world.pull("app:1").unwrap_err().fault, Fault::Integrity);
}

fn pull_against(guard: Guard, login: Option<&str>, hook: Hook) -> (World, PortError) {
    let world = world(guard, login, Some(hook));
    let error = world.pull("app:1").unwrap_err();
    (world, error)
}

#[test]
fn hostile_answers_to_a_pull_end_in_words() {
    let answers: [(&str, Lie); 7] = [
        ("endless manifest", |_| Some(Reply::ok("{").fault(Trouble::Endless))),
        ("html", |_| Some(Reply::ok("<html>").header("content-type", "text/html"))),
        ("image and index", |_| {
            Some(Reply::ok(r#"{"schemaVersion":2,"layers":[],"manifests":[]}"#).header("content-type", MANIFEST))
        }),
        ("not there", |_| None),
        ("realm elsewhere", |_| {
            Some(Reply::new(401, "").header("www-authenticate", "Bearer realm=\"http://auth.example.com/token\""))
        }),
        ("realm is a file", |_| {
            Some(Reply::new(401, "").header("www-authenticate", "Bearer realm=\"file:///etc/passwd\""))
        }),
        ("never satisfied", |asked| {
            let host = asked.header("host").unwrap_or_default();
            let challenge = format!("Bearer realm=\"http://{host}/token\"");
            Some(if asked.path.starts_with("/token") {
                Reply::ok("{\"token\":\"t\"}")
            } else {
                Reply::new(401, "").header("www-authenticate", &challenge)
            })
        }),
    ];
    let shown = answers.map(|(name, answer)| {
        let (world, error) = pull_against(Guard::Open, Some(ME), Box::new(answer));
        format!("{name}: {}", world.told(&error))
    });
    insta::assert_snapshot!(shown.join("\n\n"), @"
    endless manifest: could not pull the image `HOST/app:1`
    caused by: http://HOST/v2/app/manifests/1 is larger than the 4194304 bytes allowed

    html: could not use the image `HOST/app:1`
    caused by: the manifest cannot be read
    caused by: it is not the JSON it should be
    caused by: expected value at line 1 column 1

    image and index: could not use the image `HOST/app:1`
    caused by: the manifest is ambiguous: it is a manifest and an index at once

    not there: could not pull the image `HOST/app:1`
    caused by: HOST: unknown to registry (MANIFEST_UNKNOWN)
    caused by: http://HOST/v2/app/manifests/1 answered 404 (not found)

    realm elsewhere: could not pull the image `HOST/app:1`
    caused by: the registry's token service `http://auth.example.com/token` is not asked: it would be spoken to without encryption

    realm is a file: could not pull the image `HOST/app:1`
    caused by: the registry's token service `file:///etc/passwd` is not asked: only http and https are spoken

    never satisfied: could not pull the image `HOST/app:1`
    caused by: http://HOST/v2/app/manifests/1 answered 401 (unauthorised)
    hint: the login kept for HOST may not do this, or is no longer good: docker login HOST
    ");
}

#[test]
fn tokens_have_their_limits() {
    let answers: [fn() -> Reply; 5] = [
        || Reply::ok("x").fault(Trouble::Endless),
        || Reply::ok("{}"),
        || Reply::ok("{\"token\":\"a\\r\\nx: y\"}"),
        || Reply::ok("{\"token\":\"\"}"),
        || Reply::new(403, "no"),
    ];
    for answer in answers {
        let hook: Hook = Box::new(move |asked| asked.path.starts_with("/token").then(answer));
        let (world, error) = pull_against(Guard::Bearer(ME), Some(ME), hook);
        assert_ne!(error.fault, Fault::NotFound, "{}", world.told(&error));
        assert!(!world.registry.asked().iter().any(|asked| asked.header("x").is_some()));
    }
}

#[test]
fn a_login_goes_to_its_registry_alone() {
    let other = Arc::new(TestRegistry::start(Guard::Open, None).unwrap());
    let target = format!("http://{}/v2/app/manifests/1", other.host());
    let hook: Hook = Box::new(move |asked| {
        let is_authorised = asked.header("authorization").is_some();
        (is_authorised && asked.path.contains("/manifests/")).then(|| Reply::redirect(307, &target))
    });
    let (world, _) = pull_against(Guard::Basic(ME), Some(ME), hook);
    assert!(world.registry.asked().iter().any(|asked| asked.header("authorization").is_some()));
    assert!(!other.asked().is_empty());
    assert!(other.asked().iter().all(|asked| asked.header("authorization").is_none()));
}

#[test]
fn refusals_of_a_push_are_told() {
    let hooks: [(&str, Lie); 4] = [
        ("upload elsewhere", |asked| {
            (asked.method == "POST").then(|| Reply::new(202, "").header("location", "http://127.0.0.2:9/upload"))
        }),
        ("upload nowhere", |asked| (asked.method == "POST").then(|| Reply::new(202, ""))),
        ("another digest", |asked| {
            let is_manifest = asked.method == "PUT" && asked.path.contains("/manifests/");
            let digest = Digest::of(b"other").to_string();
            is_manifest.then(|| Reply::new(201, "").header("docker-content-digest", &digest))
        }),
        ("denied", |asked| {
            let body = r#"{"errors":[{"code":"DENIED","message":"requested access \u001b[31m is denied"}]}"#;
            (asked.method == "POST").then(|| Reply::new(403, body))
        }),
    ];
    let shown = hooks.map(|(name, hook)| {
        let world = world(Guard::Open, None, Some(Box::new(hook)));
        let error = world.push("app:1", &image("amd64", vec![layer(&[("a", "1")])])).unwrap_err();
        if name != "another digest" {
            assert_eq!(world.registry.manifest("app", "1"), None, "{name}");
        }
        let told = world.told(&error);
        format!("{name}: {told}")
    });
    insta::assert_snapshot!(shown.join("\n\n"), @r"
    upload elsewhere: could not push sha256:205ae0ec87de69fc0125f35a5702b2b4460bbb4f92e7914328f68f7811e5d4fa to HOST/app
    caused by: the registry wants it sent to another place, http://127.0.0.2:9/upload

    upload nowhere: could not push sha256:205ae0ec87de69fc0125f35a5702b2b4460bbb4f92e7914328f68f7811e5d4fa to HOST/app
    caused by: the registry did not say where to send it

    another digest: could not publish `HOST/app:1`
    caused by: the image is sha256:3e8a21cda116d045ec5ecb22dcece33a44dbae9bdb0e8de85f52285db324268b, and HOST names sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa

    denied: could not push sha256:205ae0ec87de69fc0125f35a5702b2b4460bbb4f92e7914328f68f7811e5d4fa to HOST/app
    caused by: HOST: requested access \u{1b}[31m is denied (DENIED)
    caused by: http://HOST/v2/app/blobs/uploads/ answered 403 (forbidden)
    hint: no login is kept for HOST: docker login HOST
    ");
}

#[test]
fn blobs_that_only_seem_to_be_there_are_missed_before_the_tag_moves() {
    let image = image("amd64", vec![layer(&[("a", "1")])]);
    let config = image.config_descriptor();
    let sizes: BTreeMap<String, u64> =
        [&config, &image.layers[0].descriptor].map(|blob| (format!("/v2/app/blobs/{}", blob.digest), blob.size)).into();
    let lie: Hook = Box::new(move |asked| {
        let size = sizes.get(&asked.path).filter(|_| asked.method == "HEAD");
        size.map(|size| Reply::ok("").claiming(*size))
    });
    let world = world(Guard::Open, None, Some(lie));
    let error = world.push("app:1", &image).unwrap_err();
    assert!(world.told(&error).contains("blob unknown to registry"), "{}", world.told(&error));
    assert_eq!(world.registry.manifest("app", "1"), None);
}

#[test]
fn a_layer_that_cannot_be_read_moves_no_tag() {
    let world = world(Guard::Open, None, None);
    world.push("base:1", &two_layers()).unwrap();
    let mut bad = world.pull("base:1").unwrap();
    let digest = bad.layers[0].descriptor.digest;
    world.registry.put_blob("base", &digest, b"other bytes");
    bad.layers[0].origin = None;
    let error = world.push("app:1", &bad).unwrap_err();
    assert_eq!(error.fault, Fault::Integrity, "{}", world.told(&error));
    assert_eq!(world.registry.manifest("app", "1"), None);
}
