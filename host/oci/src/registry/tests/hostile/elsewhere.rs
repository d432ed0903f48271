//! Whoever leads us elsewhere: locations, redirects, token services, addresses in documents, TLS that is none.

use std::{io::Read, net::TcpListener, thread};

use stave_transport::proxy::Proxies;

use super::*;

/// Another server, which is asked nothing, or nothing that has a secret in it.
fn other() -> TestRegistry {
    TestRegistry::start(Guard::Open, None).unwrap()
}

#[test]
fn n11_a_public_registry_does_not_lead_into_private_networks() {
    // A proxy that is itself the registry behind it: so the registry counts as public.
    for target in [
        "http://127.0.0.1:1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://[::1]/",
        "http://[fd00::1]/",
        "http://[::ffff:192.168.0.1]/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://localhost/",
    ] {
        let hook: Hook = Box::new(move |asked| {
            Some(if asked.method == "CONNECT" { Reply::ok("") } else { Reply::redirect(307, target) })
        });
        let mut world = world(Guard::Open, None, Some(hook));
        let proxy = Some(format!("http://{}", world.registry.host()));
        let proxies = Proxies { http: proxy, ..Proxies::default() };
        let client = Client::new(Options { proxies, clock: world.clock.clone(), ..Options::default() });
        world.registries = Registries::new(client, Credentials::none(), ["registry.example.com".to_owned()]);
        let blobs = Arc::new(FolderBlobs::new(world.temp.path()));
        let name = "registry.example.com/app:1".parse().unwrap();
        let image = RegistryImage::new(world.registries.clone(), name, blobs, Arc::new(Silent), Cancel::new());
        let error = image.image(&Platform::linux("amd64")).unwrap_err();
        assert_eq!(error.fault, Fault::Denied, "{target}: {}", world.told(&error));
        assert_eq!(world.registry.lines().len(), 2, "{target}: {:?}", world.registry.lines());
    }
}

#[test]
fn n12_an_upload_goes_nowhere_else() {
    let other = other();
    let host = other.host();
    for location in [format!("http://{host}/up"), format!("//{host}/up"), format!("http://me:x@{host}/up")] {
        for mounts in [false, true] {
            let location = location.clone();
            let hook: Hook = Box::new(move |asked| {
                let opens = asked.method == "POST" && (!mounts || asked.path.contains("mount="));
                opens.then(|| Reply::new(202, "").header("location", &location))
            });
            let world = world(Guard::Basic(ME), Some(ME), Some(hook));
            let mut image = two_layers();
            if mounts {
                image.layers[0].origin = Some(format!("{}/base", world.registry.host()));
            }
            // What a mount leads to is only a help: there is an upload of our own.
            assert_eq!(world.push("app:1", &image).is_ok(), mounts);
        }
    }
    assert_eq!(other.lines(), [""; 0]);
}

#[test]
fn n12_a_session_that_is_kept_is_one_of_this_registry() {
    let other = other();
    let world = world(Guard::Open, None, None);
    let mut image = two_layers();
    image.layers[0].descriptor.size = 9 << 20;
    let (registry, digest) = (world.registry.host().parse().unwrap(), image.layers[0].descriptor.digest);
    let session = format!("http://{}/v2/app/blobs/uploads/1", other.host()).parse().unwrap();
    world.registries.memory.note_session(&registry, "app", &digest, &session);
    let _ = world.push("app:1", &image);
    assert_eq!(other.lines(), [""; 0]);
}

#[test]
fn n13_a_login_is_brought_to_no_token_service_that_could_be_anybodys() {
    let other = other();
    let realms = [
        format!("http://{}.example.com/token", other.host().replace(':', "-")),
        "file:///etc/passwd".to_owned(),
        format!("http://me:secret@{}/token", other.host()),
        "/token".to_owned(),
        String::new(),
    ];
    for realm in realms {
        let challenge = format!("Bearer realm=\"{realm}\",service=\"x\"");
        let hook: Hook = Box::new(move |_| Some(Reply::new(401, "").header("www-authenticate", &challenge)));
        let (world, error) = pull_against(Guard::Open, Some(ME), hook);
        assert_eq!(error.fault, Fault::Denied, "{}", world.told(&error));
        assert!(!world.told(&error).contains("secret"), "{}", world.told(&error));
        assert_eq!(world.registry.lines().len(), 1);
    }
    assert_eq!(other.lines(), [""; 0]);
}

#[test]
fn n13_a_token_service_that_leads_on_takes_no_login_with_it() {
    let other = Arc::new(other());
    let target = format!("http://{}/token", other.host());
    let hook: Hook = Box::new(move |asked| asked.path.starts_with("/token").then(|| Reply::redirect(307, &target)));
    let (world, _) = pull_against(Guard::Bearer(ME), Some(ME), hook);
    assert!(world.registry.asked().iter().any(|asked| asked.header("authorization").is_some()));
    assert!(other.asked().iter().all(|asked| asked.header("authorization").is_none()));
}

#[test]
fn n14_a_login_goes_to_its_registry_alone() {
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
fn n14_whoever_a_redirect_leads_to_is_told_no_login() {
    // It asks for a password, or names a token service of its own.
    for challenge in ["Basic realm=\"x\"".to_owned(), "Bearer realm=\"http://HOST/token\"".to_owned()] {
        let thief: Hook = Box::new(move |asked| {
            let challenge = challenge.replace("HOST", asked.header("host").unwrap_or_default());
            Some(Reply::new(401, "").header("www-authenticate", &challenge))
        });
        let thief = TestRegistry::start(Guard::Open, Some(thief)).unwrap();
        let target = format!("http://{}/v2/app/manifests/1", thief.host());
        let hook: Hook = Box::new(move |_| Some(Reply::redirect(307, &target)));
        let (world, error) = pull_against(Guard::Basic(ME), Some(ME), hook);
        assert_eq!(error.fault, Fault::Denied, "{}", world.told(&error));
        assert_eq!(thief.lines(), ["GET /v2/app/manifests/1"]);
        assert!(thief.asked().iter().all(|asked| asked.header("authorization").is_none()));
        assert_eq!(world.registry.lines().len(), 1);
    }
}

#[test]
fn n15_addresses_in_a_layer_are_not_followed() {
    let other = other();
    let world = world(Guard::Open, None, None);
    let image = two_layers();
    world.push("app:1", &image).unwrap();
    let mut manifest: serde_json::Value = serde_json::from_slice(&image.manifest).unwrap();
    let urls = json!([format!("http://{}/layer", other.host())]);
    manifest["layers"][0]["urls"] = urls;
    world.registry.put_manifest("app", "2", MANIFEST, manifest.to_string().as_bytes());
    assert_eq!(read(&world.pull("app:2").unwrap()).unwrap(), read(&image).unwrap());
    manifest["layers"][0]["mediaType"] = json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    world.registry.put_manifest("app", "3", MANIFEST, manifest.to_string().as_bytes());
    assert_eq!(world.pull("app:3").unwrap_err().fault, Fault::InvalidInput);
    assert_eq!(other.lines(), [""; 0]);
}

#[test]
fn n23_tls_is_never_given_up_for_none() {
    // A registry of this machine for which certificates are kept, that does not speak TLS.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let heard = thread::spawn(move || {
        let mut first = [0; 1];
        let mut stream = listener.accept().unwrap().0;
        stream.read_exact(&mut first).unwrap();
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 no TLS here\r\n\r\n").unwrap();
        // Nobody comes back in the open.
        listener.set_nonblocking(true).unwrap();
        (first[0], listener)
    });
    let world = world(Guard::Open, None, None);
    let folder = world.temp.path().join("containers/certs.d").join(&host);
    std::fs::create_dir_all(folder).unwrap();
    let config = world.temp.path().as_os_str().to_owned();
    let certificates = Certificates::of_environment(|name| (name == "XDG_CONFIG_HOME").then(|| config.clone()));
    let registries = world.registries.clone().certified(certificates);
    let name = format!("{host}/app:1").parse().unwrap();
    let error = RegistryTag::new(registries, name)
        .unwrap()
        .put(&image("amd64", Vec::new()), &Silent, &Cancel::new())
        .unwrap_err();
    let (first, listener) = heard.join().unwrap();
    assert_eq!(first, 0x16, "a handshake, not a request");
    assert!(listener.accept().is_err(), "asked once");
    insta::assert_snapshot!(world.told(&error).replace(&host, "HOST"), @"
    could not push sha256:c064e0f64aef608e81add1d7ce9b98b420497e8234d7f6960474feb4169e78c3 to HOST/app
    caused by: could not set up a trusted connection to https://HOST/v2/app/blobs/sha256:c064e0f64aef608e81add1d7ce9b98b420497e8234d7f6960474feb4169e78c3
    caused by: received corrupt message of type InvalidContentType
    hint: perhaps HOST does not speak TLS: STAVE_INSECURE_REGISTRIES=HOST says so
    ");
}
