//! What a push is answered with.

use super::*;

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
    upload elsewhere: could not push sha256:2b0d2ae018ccb188d3a1fba00be4a3c4e079be517b81386af4278b79e0278872 to HOST/app
    caused by: the registry wants it sent to another place, http://127.0.0.2:9/upload

    upload nowhere: could not push sha256:2b0d2ae018ccb188d3a1fba00be4a3c4e079be517b81386af4278b79e0278872 to HOST/app
    caused by: the registry did not say where to send it

    another digest: could not publish `HOST/app:1`
    caused by: the image is sha256:683a361c21a149995f665eba618c6b1419c8be22ebb0d1b8067a7cff1648d791, and HOST names sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa

    denied: could not push sha256:2b0d2ae018ccb188d3a1fba00be4a3c4e079be517b81386af4278b79e0278872 to HOST/app
    caused by: HOST: requested access \u{1b}[31m is denied (DENIED)
    caused by: http://HOST/v2/app/blobs/uploads/ answered 403 (forbidden)
    hint: no login is kept for HOST: docker login HOST
    ");
}

/// A registry that says of every blob to have it.
fn boaster(image: &Image) -> Hook {
    let blobs: Vec<_> =
        image.layers.iter().map(|layer| layer.descriptor.clone()).chain([image.config_descriptor()]).collect();
    Box::new(move |asked| {
        let blob = blobs.iter().find(|blob| asked.path.ends_with(&blob.digest.to_string()))?;
        (asked.method == "HEAD").then(|| Reply::ok("").claiming(blob.size))
    })
}

#[test]
fn n21_what_only_seems_to_be_there_is_sent_before_the_tag_moves() {
    let image = two_layers();
    let world = world(Guard::Open, None, Some(boaster(&image)));
    world.push("app:1", &image).unwrap();
    let lines = world.registry.lines();
    let puts: Vec<bool> =
        lines.iter().filter(|line| line.starts_with("PUT")).map(|line| line.contains("/manifests/")).collect();
    assert_eq!(puts, [true, false, false, false, true]);
    assert_eq!(read(&world.pull("app:1").unwrap()).unwrap(), read(&image).unwrap());
}

#[test]
fn n21_a_registry_that_never_has_it_gets_no_tag() {
    let image = two_layers();
    let boaster = boaster(&image);
    let liar: Hook = Box::new(move |asked| {
        let takes = asked.method == "PUT" && asked.path.contains("/uploads/");
        if takes { Some(Reply::new(201, "")) } else { boaster(asked) }
    });
    let world = world(Guard::Open, None, Some(liar));
    let error = world.push("app:1", &image).unwrap_err();
    assert!(world.told(&error).contains("blob unknown") || world.told(&error).contains("unknown to registry"));
    assert_eq!(world.registry.manifest("app", "1"), None);
}

#[test]
fn n21_a_mount_that_did_not_happen_becomes_an_upload() {
    let lie: Hook = Box::new(|asked: &Asked| asked.path.contains("mount=").then(|| Reply::new(201, "")));
    let world = world(Guard::Open, None, Some(lie));
    world.push("base:1", &image("amd64", vec![layer(&[("base", "x")])])).unwrap();
    let base = world.pull("base:1").unwrap();
    world.push("app:1", &base).unwrap();
    assert_eq!(world.registry.blob_count("app"), 2);
}

#[test]
fn n22_another_digest_for_our_manifest_is_told_with_both() {
    let other = Digest::of(b"other").to_string();
    let image = two_layers();
    for method in ["PUT", "HEAD"] {
        let said = other.clone();
        let hook: Hook = Box::new(move |asked| {
            let is_manifest = asked.method == method && asked.path.contains("/manifests/");
            let status = if method == "PUT" { 201 } else { 200 };
            is_manifest.then(|| Reply::new(status, "").header("docker-content-digest", &said))
        });
        let world = world(Guard::Open, None, Some(hook));
        let error = world.push("app:1", &image).unwrap_err();
        let told = world.told(&error);
        assert_eq!(error.fault, Fault::Integrity, "{told}");
        assert!(told.contains(&other) && told.contains(&image.digest().to_string()), "{told}");
    }
}

#[test]
fn n22_a_registry_that_names_no_digest_is_asked_for_the_bytes() {
    for (bytes, good) in [(two_layers().manifest, true), (b"{}".to_vec(), false)] {
        let hook: Hook = Box::new(move |asked| match (asked.method.as_str(), asked.path.contains("/manifests/")) {
            ("PUT", true) => Some(Reply::new(201, "")),
            ("HEAD", true) => Some(Reply::ok("")),
            ("GET", true) => Some(Reply::ok(bytes.clone())),
            _ => None,
        });
        let world = world(Guard::Open, None, Some(hook));
        assert_eq!(world.push("app:1", &two_layers()).is_ok(), good);
    }
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
