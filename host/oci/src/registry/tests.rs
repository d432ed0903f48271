//! Pulls and pushes against a registry in this process.

mod attach;
mod builder;
mod component;
mod faults;
mod hostile;
mod lent;
mod rebase;
mod signatures;
mod source;
mod uploads;

use std::{collections::BTreeSet, sync::Mutex, time::Duration};

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
use stave_transport::{
    Options,
    testing::{Asked, Fault as Trouble, Reply, StillClock},
};

use super::{pull::RegistryImage, push::RegistryTag, *};
use crate::testing::{
    FolderBlobs, MemoryResults, image, layer,
    registry::{Character, Guard, Hook, TestRegistry, Wrong},
};

/// `me:secret` in base64.
const ME: &str = "bWU6c2VjcmV0";

struct World {
    registry: TestRegistry,
    temp: tempfile::TempDir,
    registries: Registries,
    clock: Arc<StillClock>,
}

fn world(guard: Guard, login: Option<&str>, hook: Option<Hook>) -> World {
    world_of(Character { guard, hook, ..Character::default() }, login)
}

/// Nobody waits here: the clock stands still but for those who wait by it.
fn world_of(character: Character, login: Option<&str>) -> World {
    let registry = TestRegistry::of(character).unwrap();
    let temp = tempfile::tempdir().unwrap();
    let mut credentials = Credentials::none();
    if let Some(login) = login {
        let text = json!({ "auths": { registry.host(): { "auth": login } } }).to_string();
        std::fs::write(temp.path().join("auth.json"), text).unwrap();
        let path = temp.path().join("auth.json").into_os_string();
        credentials = Credentials::of_environment(|name| (name == "REGISTRY_AUTH_FILE").then(|| path.clone()));
    }
    let clock = Arc::new(StillClock::default());
    let client = Client::new(Options { clock: clock.clone(), ..Options::default() });
    let registries = Registries::new(client, credentials, []).remembering(Arc::new(MemoryResults::default()));
    World { registry, temp, registries, clock }
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
    let registries =
        Registries::new(Client::new(Options::default()), Credentials::none(), ["Plain.example.com:5000".to_owned()]);
    for (name, plain) in
        [("localhost", true), ("plain.example.com:5000", true), ("plain.example.com", false), ("example.com", false)]
    {
        assert_eq!(registries.way(&name.parse().unwrap()).unwrap().plain, plain, "{name}");
    }
}
