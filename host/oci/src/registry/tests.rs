//! Pulls and pushes against a registry in this process.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Duration,
};

use serde_json::json;
use stave_lifecycle::{
    image::{INDEX, Image, MANIFEST},
    port::{
        bases::Bases,
        blobs::Blobs,
        cancel::Cancel,
        observer::Silent,
        sink::{Sink, Stored},
    },
};
use stave_model::{digest::Digest, target::Platform};
use stave_transport::{Options, testing::{Asked, Fault as Trouble, Reply}};

use super::{pull::RegistryImage, push::RegistryTag, *};
use crate::testing::{
    FolderBlobs, image, layer,
    registry::{Guard, Hook, TestRegistry},
};

/// `me:secret` in base64.
const ME: &str = "bWU6c2VjcmV0";

struct World {
    registry: TestRegistry,
    temp: tempfile::TempDir,
    registries: Registries,
}

fn world(guard: Guard, login: Option<&str>, hook: Option<Hook>) -> World {
    let registry = TestRegistry::start(guard, hook).unwrap();
    let temp = tempfile::tempdir().unwrap();
    let mut credentials = Credentials::none();
    if let Some(login) = login {
        let text = json!({ "auths": { registry.host(): { "auth": login } } }).to_string();
        std::fs::write(temp.path().join("auth.json"), text).unwrap();
        let path = temp.path().join("auth.json").into_os_string();
        credentials = Credentials::of_environment(|name| (name == "REGISTRY_AUTH_FILE").then(|| path.clone()));
    }
    let policy = Policy { first: Duration::from_millis(1), longest: Duration::from_millis(2), ..Policy::default() };
    let registries = Registries::new(Client::new(Options::default()), credentials, []).patient(policy);
    World { registry, temp, registries }
}

impl World {
    fn reference(&self, rest: &str) -> Reference {
        format!("{}/{rest}", self.registry.host()).parse().unwrap()
    }

    fn push(&self, name: &str, image: &Image) -> Result<Stored, PortError> {
        RegistryTag::new(self.registries.clone(), self.reference(name))?.put(image, &Silent, &Cancel::new())
    }

    fn source(&self, name: &str) -> RegistryImage {
        let blobs = Arc::new(FolderBlobs::new(self.temp.path()));
        RegistryImage::new(self.registries.clone(), self.reference(name), blobs, Arc::new(Silent), Cancel::new())
    }

    fn pull(&self, name: &str) -> Result<Image, PortError> {
        self.source(name).image(&Platform::linux("amd64"))
    }

    fn told(&self, error: &PortError) -> String {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            text = format!("{text}\ncaused by: {error}");
            cause = error.source();
        }
        let hint = error.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
        format!("{text}{hint}").replace(&self.registry.host(), "HOST")
    }
}

fn two_layers() -> Image {
    image("amd64", vec![layer(&[("a", "1")]), layer(&[("b", "2")])])
}

fn read(image: &Image) -> Result<Vec<Vec<u8>>, PortError> {
    let bytes = image.layers.iter().map(|layer| layer.content.bytes(1 << 20));
    bytes.collect::<Result<_, _>>().map_err(|error| PortError::of_io("could not read", Fault::Io, error))
}

#[test]
fn an_image_goes_there_and_comes_back() {
    for guard in [Guard::Open, Guard::Basic(ME), Guard::Bearer(ME), Guard::Bearer("")] {
        let world = world(guard, Some(ME), None);
        let image = two_layers();
        assert_eq!(world.push("team/app:1", &image).unwrap().digest, image.digest(), "{guard:?}");
        let back = world.pull("team/app:1").unwrap();
        assert_eq!((&back.manifest, &back.config), (&image.manifest, &image.config));
        assert_eq!(read(&back).unwrap(), read(&image).unwrap());
        let base = world.source("team/app:1").base(&Platform::linux("amd64")).unwrap();
        assert_eq!(base.reference, format!("{}/team/app@{}", world.registry.host(), image.digest()));
        assert_eq!(base.name, format!("{}/team/app:1", world.registry.host()));
    }
}

#[test]
fn a_second_push_sends_nothing_but_the_manifest() {
    let world = world(Guard::Open, None, None);
    world.push("app:1", &two_layers()).unwrap();
    let before = world.registry.lines().len();
    world.push("app:2", &two_layers()).unwrap();
    let mut lines = world.registry.lines().split_off(before);
    let last = lines.split_off(lines.len() - 2);
    assert!(lines.iter().all(|line| line.starts_with("HEAD /v2/app/blobs/")) && lines.len() == 3, "{lines:?}");
    assert_eq!(last, ["PUT /v2/app/manifests/2", "HEAD /v2/app/manifests/2"]);
}

#[test]
fn a_bases_layers_are_mounted_and_never_fetched() {
    for guard in [Guard::Open, Guard::Bearer(ME)] {
        let world = world(guard, Some(ME), None);
        world.push("base:1", &image("amd64", vec![layer(&[("base", "x")])])).unwrap();
        let base = world.pull("base:1").unwrap();
        let mut layers = base.layers.clone();
        layers.push(layer(&[("app", "y")]));
        let mut app = image("amd64", layers.clone());
        app.layers = layers;
        let before = world.registry.lines().len();
        world.push("app:1", &app).unwrap();
        let lines = world.registry.lines().split_off(before);
        let layer = base.layers[0].descriptor.digest.to_string();
        assert!(lines.iter().any(|line| line.contains("mount=")), "{lines:?}");
        assert!(!lines.iter().any(|line| line.starts_with("GET") && line.contains(&layer)), "{lines:?}");
        assert_eq!(world.registry.blob_count("app"), 3);
    }
}

#[test]
fn a_mount_that_did_not_happen_becomes_an_upload() {
    let lie: Hook = Box::new(|asked: &Asked| asked.path.contains("mount=").then(|| Reply::new(201, "")));
    let world = world(Guard::Open, None, Some(lie));
    world.push("base:1", &image("amd64", vec![layer(&[("base", "x")])])).unwrap();
    let base = world.pull("base:1").unwrap();
    world.push("app:1", &base).unwrap();
    assert_eq!(world.registry.blob_count("app"), 2);
}

#[test]
fn an_index_leads_to_the_image_for_a_platform() {
    let world = world(Guard::Open, None, None);
    let images = ["amd64", "arm64"].map(|arch| image(arch, vec![layer(&[("arch", arch)])]));
    let entries = images.each_ref().map(|image| {
        world.push(&format!("app@{}", image.digest()), image).unwrap();
        let (digest, size) = (image.digest(), image.manifest.len());
        json!({ "mediaType": MANIFEST, "digest": digest, "size": size,
                "platform": { "os": "linux", "architecture": image.platform.arch } })
    });
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries }).to_string();
    world.registry.put_manifest("app", "1", INDEX, index.as_bytes());
    assert_eq!(world.pull("app:1").unwrap().digest(), images[0].digest());
    let error = world.source("app:1").image(&Platform::linux("s390x")).unwrap_err();
    insta::assert_snapshot!(world.told(&error), @"
    could not use the image `HOST/app:1`
    caused by: there is no image for linux/s390x, only for linux/amd64, linux/arm64
    ");
    let error = world.source(&format!("app@{}", images[1].digest())).image(&Platform::linux("amd64")).unwrap_err();
    assert_eq!(error.fault, Fault::NotFound);
}

#[test]
fn what_is_named_by_digest_and_kept_needs_no_network() {
    let world = world(Guard::Open, None, None);
    let image = two_layers();
    world.push("app:1", &image).unwrap();
    let name = format!("app@{}", image.digest());
    read(&world.pull(&name).unwrap()).unwrap();
    let before = world.registry.lines().len();
    assert_eq!(read(&world.pull(&name).unwrap()).unwrap(), read(&image).unwrap());
    assert_eq!(world.registry.lines().len(), before);
}

#[test]
fn passing_faults_are_survived() {
    // Whatever is asked for the first time fails; every upload has a session of its own.
    let seen = Mutex::new(BTreeSet::new());
    let flaky: Hook = Box::new(move |asked| {
        let path = asked.path.split("/uploads/").next().unwrap_or_default();
        let is_first = seen.lock().unwrap().insert(format!("{} {path}", asked.method));
        match asked.method == "GET" && path.contains("/blobs/") {
            true if is_first => Some(Reply::ok("half").claiming(90).fault(Trouble::DropAfter(2))),
            false if is_first => Some(Reply::new(503, "later").header("retry-after", "0")),
            _ => None,
        }
    });
    let world = world(Guard::Open, None, Some(flaky));
    let image = image("amd64", vec![layer(&[("a", "1")])]);
    world.push("app:1", &image).unwrap();
    assert_eq!(read(&world.pull("app:1").unwrap()).unwrap(), read(&image).unwrap());
}

#[test]
fn other_bytes_are_not_taken() {
    let image = two_layers();
    for change in [|bytes: &mut Vec<u8>| bytes[20] ^= 1, |bytes: &mut Vec<u8>| bytes.push(0), |bytes: &mut Vec<u8>| bytes.truncate(9)] {
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
    let answers: [(&str, fn(&Asked) -> Option<Reply>); 7] = [
        ("endless manifest", |_| Some(Reply::ok("{").fault(Trouble::Endless))),
        ("html", |_| Some(Reply::ok("<html>").header("content-type", "text/html"))),
        ("image and index", |_| {
            Some(Reply::ok(r#"{"schemaVersion":2,"layers":[],"manifests":[]}"#).header("content-type", MANIFEST))
        }),
        ("not there", |_| None),
        ("realm elsewhere", |_| {
            Some(Reply::new(401, "").header("www-authenticate", "Bearer realm=\"http://auth.example.com/token\""))
        }),
        ("realm is a file", |_| Some(Reply::new(401, "").header("www-authenticate", "Bearer realm=\"file:///etc/passwd\""))),
        ("never satisfied", |asked| {
            let host = asked.header("host").unwrap_or_default();
            let challenge = format!("Bearer realm=\"http://{host}/token\"");
            match asked.path.starts_with("/token") {
                true => Some(Reply::ok("{\"token\":\"t\"}")),
                false => Some(Reply::new(401, "").header("www-authenticate", &challenge)),
            }
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
    hint: the login kept for HOST may not do this, or is no longer good: docker login HOST

    realm is a file: could not pull the image `HOST/app:1`
    caused by: the registry's token service `file:///etc/passwd` is not asked: only http and https are spoken
    hint: the login kept for HOST may not do this, or is no longer good: docker login HOST

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
    let hooks: [(&str, fn(&Asked) -> Option<Reply>); 4] = [
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
    let sizes: BTreeMap<String, u64> = [&config, &image.layers[0].descriptor]
        .map(|blob| (format!("/v2/app/blobs/{}", blob.digest), blob.size))
        .into();
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

#[test]
fn logins_are_asked_for_in_words() {
    let push = |guard, login: Option<&str>| {
        let world = world(guard, login, None);
        world.told(&world.push("app:1", &image("amd64", Vec::new())).unwrap_err())
    };
    let cases = [
        push(Guard::Basic(ME), None),
        push(Guard::Basic(ME), Some("b3RoZXI6eA==")),
        push(Guard::Bearer(ME), None),
        push(Guard::Bearer(ME), Some("b3RoZXI6eA==")),
    ];
    insta::assert_snapshot!(cases.join("\n\n"), @"
    could not push sha256:c064e0f64aef608e81add1d7ce9b98b420497e8234d7f6960474feb4169e78c3 to HOST/app
    caused by: the registry asks for a user and password
    hint: no login is kept for HOST: docker login HOST

    could not push sha256:c064e0f64aef608e81add1d7ce9b98b420497e8234d7f6960474feb4169e78c3 to HOST/app
    caused by: http://HOST/v2/app/blobs/sha256:c064e0f64aef608e81add1d7ce9b98b420497e8234d7f6960474feb4169e78c3 answered 401 (unauthorised)
    hint: the login kept for HOST may not do this, or is no longer good: docker login HOST

    could not push sha256:c064e0f64aef608e81add1d7ce9b98b420497e8234d7f6960474feb4169e78c3 to HOST/app
    caused by: the token service refused
    caused by: http://HOST/token?… answered 401 (unauthorised)
    hint: no login is kept for HOST: docker login HOST

    could not push sha256:c064e0f64aef608e81add1d7ce9b98b420497e8234d7f6960474feb4169e78c3 to HOST/app
    caused by: the token service refused
    caused by: http://HOST/token?… answered 401 (unauthorised)
    hint: the login kept for HOST may not do this, or is no longer good: docker login HOST
    ");
    let nameless = RegistryTag::new(world(Guard::Open, None, None).registries, "spring-webdb".parse().unwrap());
    let error = nameless.unwrap_err();
    insta::assert_snapshot!(format!("{error}\nhint: {}", error.hint.clone().unwrap_or_default()), @"
    could not publish `spring-webdb:latest`: the name says no registry
    hint: name the registry, as in registry.example.com/spring-webdb
    ");
}

#[test]
fn a_cancelled_run_asks_nothing_more() {
    let world = world(Guard::Open, None, None);
    let cancel = Cancel::new();
    cancel.set();
    let tag = RegistryTag::new(world.registries.clone(), world.reference("app:1")).unwrap();
    assert_eq!(tag.put(&two_layers(), &Silent, &cancel).unwrap_err().fault, Fault::Cancelled);
    assert_eq!(world.registry.lines(), [""; 0]);
}

#[test]
fn only_known_hosts_are_spoken_to_in_the_open() {
    let registries = Registries::new(Client::new(Options::default()), Credentials::none(), ["Plain.example.com:5000".to_owned()]);
    for (name, plain) in [("localhost", true), ("plain.example.com:5000", true), ("plain.example.com", false), ("example.com", false)] {
        assert_eq!(registries.is_plain(&name.parse().unwrap()), plain, "{name}");
    }
}
