//! What a pull is answered with.

use stave_lifecycle::image::LAYER_GZIP;

use super::*;

#[test]
fn n01_other_bytes_are_not_taken() {
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

/// The disk has the layer already, and changed it.
#[test]
fn what_a_disk_did_to_a_fetched_layer_is_found_and_the_layer_is_fetched_again() {
    let image = two_layers();
    let world = world(Guard::Open, None, None);
    world.push("app:1", &image).unwrap();
    let there = read(&image).unwrap();
    assert_eq!(read(&world.pull("app:1").unwrap()).unwrap(), there);
    let gets =
        || world.registry.lines().iter().filter(|line| line.starts_with("GET ") && line.contains("/blobs/")).count();
    let before = gets();
    assert_eq!(read(&world.pull("app:1").unwrap()).unwrap(), there);
    assert_eq!(gets(), before, "what is whole is not fetched again");
    for (change, layer) in image.layers.iter().enumerate() {
        let path = world.temp.path().join(layer.descriptor.digest.hex());
        let mut bytes = std::fs::read(&path).unwrap();
        if change == 0 {
            bytes[20] ^= 1;
        } else {
            bytes.truncate(9);
        }
        std::fs::write(&path, bytes).unwrap();
    }
    assert_eq!(read(&world.pull("app:1").unwrap()).unwrap(), there);
    assert_eq!(gets(), before + 2);
}

#[test]
fn n01_another_manifest_than_asked_for_is_not_taken() {
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

#[test]
fn n02_sizes_are_believed_within_reason_and_no_further() {
    let world = world(Guard::Open, None, None);
    let image = two_layers();
    world.push("app:1", &image).unwrap();
    let text = String::from_utf8(image.manifest.clone()).unwrap();
    let size = format!("\"size\":{}", image.layers[0].descriptor.size);
    for wrong in ["-1", "0", "9223372036854775808", "18446744073709551616", "1.5", "\"9\""] {
        let changed = text.replacen(&size, &format!("\"size\":{wrong}"), 1);
        assert_ne!(changed, text);
        world.registry.put_manifest("app", "2", MANIFEST, changed.as_bytes());
        let error = world.pull("app:2").unwrap_err();
        assert_eq!(error.fault, Fault::InvalidInput, "{wrong}: {}", world.told(&error));
    }
}

#[test]
fn n02_a_body_without_end_ends_at_the_size_that_was_promised() {
    let layer = format!("/blobs/{}", two_layers().layers[0].descriptor.digest);
    let endless: Hook = Box::new(move |asked| {
        let is_layer = asked.method == "GET" && asked.path.contains(&layer);
        is_layer.then(|| Reply::ok("").fault(Trouble::Endless))
    });
    let world = world(Guard::Open, None, Some(endless));
    world.push("app:1", &two_layers()).unwrap();
    let error = read(&world.pull("app:1").unwrap()).unwrap_err();
    assert_eq!(error.fault, Fault::Integrity, "{}", world.told(&error));
    assert_eq!(world.clock.waits(), [], "and is not asked for again");
}

#[test]
fn n09_what_a_tag_led_to_at_first_is_what_is_pulled() {
    let (old, new) = (two_layers(), image("amd64", vec![layer(&[("c", "3")])]));
    let moved = Mutex::new(false);
    let target = new.manifest.clone();
    let hook: Hook = Box::new(move |asked| {
        let is_tag = asked.method == "GET" && asked.path.ends_with("/manifests/1");
        let has_moved = is_tag && std::mem::replace(&mut *moved.lock().unwrap(), true);
        has_moved.then(|| Reply::ok(target.clone()).header("content-type", MANIFEST))
    });
    let world = world(Guard::Open, None, Some(hook));
    world.push("app:1", &old).unwrap();
    let pulled = world.pull("app:1").unwrap();
    assert_eq!((pulled.digest(), read(&pulled).unwrap()), (old.digest(), read(&old).unwrap()));
    assert_eq!(world.pull("app:1").unwrap_err().fault, Fault::NotFound, "the other one was never pushed");
}

#[test]
fn n16_tokens_have_their_limits() {
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
fn n16_a_token_that_never_suffices_is_renewed_once() {
    let never: Hook = Box::new(|asked| {
        let host = asked.header("host").unwrap_or_default();
        let challenge = format!("Bearer realm=\"http://{host}/token\"");
        // Aged before it was made, says the one clock; for ever good, says the other.
        let token = r#"{"token":"t","expires_in":-5,"issued_at":"2999-01-01T00:00:00Z"}"#;
        let is_token = asked.path.starts_with("/token");
        Some(if is_token { Reply::ok(token) } else { Reply::new(401, "").header("www-authenticate", &challenge) })
    });
    let (world, error) = pull_against(Guard::Open, Some(ME), never);
    assert_eq!(error.fault, Fault::Denied);
    let tokens = world.registry.lines().iter().filter(|line| line.starts_with("GET /token")).count();
    assert_eq!((tokens, world.registry.lines().len()), (2, 5));
}

#[test]
fn n17_patience_has_an_end() {
    let endless: Hook = Box::new(|_| Some(Reply::new(429, "").header("retry-after", "86400")));
    let (world, error) = pull_against(Guard::Open, None, endless);
    assert!(world.told(&error).contains("answered 429"), "{}", world.told(&error));
    assert_eq!(world.clock.waits(), [Duration::from_mins(1); 4]);
    let (world, _) = pull_against(Guard::Open, None, Box::new(|_| Some(Reply::new(503, ""))));
    assert_eq!((world.clock.waits().len(), world.registry.lines().len()), (4, 5));
    let page: Hook = Box::new(|_| Some(Reply::ok("<html>Sign in</html>").header("content-type", "text/html")));
    let (world, error) = pull_against(Guard::Open, None, page);
    assert_eq!((error.fault, world.registry.lines().len()), (Fault::InvalidInput, 1));
}

#[test]
fn n19_a_rest_that_is_another_is_never_appended() {
    let image = image("amd64", vec![layer(&[("a", &"long enough to break off".repeat(40))])]);
    let bytes = image.layers[0].content.bytes(1 << 20).unwrap();
    assert_eq!(image.layers[0].descriptor.media_type, LAYER_GZIP);
    let rests: [fn(&[u8], usize) -> Reply; 5] = [
        |bytes, from| Reply::rest(bytes, from + 1),
        |bytes, from| Reply::new(206, &bytes[from..]),
        |bytes, from| Reply::new(206, &bytes[from..]).header("content-range", "bytes 0-9/10"),
        |bytes, _| Reply::ok(bytes),
        |_, _| Reply::new(416, ""),
    ];
    for rest in rests {
        let (name, whole) = (image.layers[0].descriptor.digest.to_string(), bytes.clone());
        let first = Mutex::new(true);
        let hook: Hook = Box::new(move |asked| {
            let is_layer = asked.method == "GET" && asked.path.ends_with(&name);
            match asked.range_start() {
                Some(from) if is_layer => Some(rest(&whole, from)),
                None if is_layer && std::mem::take(&mut *first.lock().unwrap()) => {
                    Some(Reply::ok(whole.clone()).fault(Trouble::DropAfter(20)))
                }
                _ => None,
            }
        });
        let world = world(Guard::Open, None, Some(hook));
        world.push("app:1", &image).unwrap();
        assert_eq!(read(&world.pull("app:1").unwrap()).unwrap(), std::slice::from_ref(&bytes));
        assert!(world.registry.asked().iter().any(|asked| asked.range_start() == Some(20)));
    }
}
