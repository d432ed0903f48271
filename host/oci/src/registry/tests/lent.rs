//! What is not sent: blobs that are there, blobs that another repository lends, and indexes that name what is there.

use super::*;

/// What was asked since `before`, without the registry's name.
fn since(world: &World, before: usize) -> Vec<String> {
    world.registry.lines().split_off(before)
}

fn sends_bytes(world: &World, before: usize) -> usize {
    let asked = world.registry.asked().split_off(before);
    let uploads = asked.iter().filter(|asked| asked.path.contains("/uploads/"));
    uploads.map(|asked| asked.body.len()).sum()
}

/// The image whose layers lie in the image store, where nothing says whence they came.
fn without_origins(image: &Image) -> Image {
    let mut image = image.clone();
    image.layers.iter_mut().for_each(|layer| layer.origin = None);
    image
}

#[test]
fn pushing_again_asks_for_each_blob_and_three_times_more() {
    let world = world(Guard::Open, None, None);
    let image = two_layers();
    world.push("app:1", &image).unwrap();
    for name in ["app:1", "app:2"] {
        let before = world.registry.lines().len();
        world.push(name, &image).unwrap();
        assert!(since(&world, before).len() <= image.layers.len() + 3, "{:?}", since(&world, before));
        assert_eq!(sends_bytes(&world, before), 0);
    }
}

#[test]
fn ten_repositories_share_what_was_sent_once() {
    for guard in [Guard::Open, Guard::Bearer(ME)] {
        let world = world(guard, Some(ME), None);
        let layers: Vec<_> = (0..6).map(|n| layer(&[("n", &n.to_string())])).collect();
        let image = without_origins(&image("amd64", layers));
        world.push("first:1", &image).unwrap();
        for n in 0..10 {
            let (name, before) = (format!("other-{n}"), world.registry.lines().len());
            world.push(&format!("{name}:1"), &image).unwrap();
            let lines = since(&world, before);
            for layer in &image.layers {
                let digest = layer.descriptor.digest.to_string();
                // What a registry asks for before it answers comes on top, once for all that ask side by side.
                let refused = usize::from(guard != Guard::Open);
                let asked = lines.iter().filter(|line| line.contains(&digest[7..])).count();
                assert!(asked <= 2 + refused, "{asked}: {lines:?}");
            }
            // The configuration is of no layer: it alone is sent.
            assert_eq!(sends_bytes(&world, before), image.config.len(), "{lines:?}");
        }
    }
}

#[test]
fn a_base_that_was_kept_in_the_store_is_mounted_too() {
    let world = world(Guard::Open, None, None);
    world.push("base:1", &image("amd64", vec![layer(&[("base", "x")])])).unwrap();
    let base = world.pull("base:1").unwrap();
    let mut layers = base.layers.clone();
    layers.push(layer(&[("app", "y")]));
    let app = without_origins(&image("amd64", layers));
    let before = world.registry.lines().len();
    world.push("app:1", &app).unwrap();
    let digest = base.layers[0].descriptor.digest.to_string();
    let of_base: Vec<String> = since(&world, before).into_iter().filter(|line| line.contains(&digest[7..])).collect();
    assert!(of_base[0].starts_with("POST") && of_base[0].contains("from=base"), "{of_base:?}");
    assert!(of_base[1].starts_with("HEAD") && of_base.len() == 2, "{of_base:?}");
}

#[test]
fn a_mount_that_became_an_upload_goes_on_there() {
    let world = world(Guard::Open, None, None);
    world.push("base:1", &two_layers()).unwrap();
    let base = world.pull("base:1").unwrap();
    read(&base).unwrap();
    for layer in &base.layers {
        world.registry.lose_blob("base", &layer.descriptor.digest);
    }
    let before = world.registry.lines().len();
    world.push("app:1", &base).unwrap();
    let opened = since(&world, before).iter().filter(|line| line.starts_with("POST")).count();
    assert_eq!(opened, 3, "one for each blob");
}

#[test]
fn a_mount_that_is_refused_is_no_failure() {
    for status in [400, 401, 403, 404, 405] {
        let hook: Hook = Box::new(move |asked| asked.path.contains("mount=").then(|| Reply::new(status, "")));
        let world = world(Guard::Open, None, Some(hook));
        world.push("base:1", &two_layers()).unwrap();
        let base = world.pull("base:1").unwrap();
        world.push("app:1", &base).unwrap();
        assert_eq!(world.registry.blob_count("app"), 3, "{status}");
    }
}

#[test]
fn a_token_for_more_than_may_be_read_is_not_insisted_on() {
    let hook: Hook = Box::new(|asked| {
        let wants_base = asked.path.starts_with("/token") && asked.path.contains("base%3Apull");
        let wants_app = asked.path.contains("app%3Apull");
        (wants_base && wants_app).then(|| Reply::new(403, "no"))
    });
    let world = world(Guard::Bearer(ME), Some(ME), Some(hook));
    world.push("base:1", &two_layers()).unwrap();
    let base = world.pull("base:1").unwrap();
    world.push("app:1", &base).unwrap();
    assert_eq!(world.registry.blob_count("app"), 3);
}

#[test]
fn an_index_comes_after_what_it_names() {
    let world = world(Guard::Open, None, None);
    let images = ["amd64", "arm64"].map(|arch| image(arch, vec![layer(&[("arch", arch)]), layer(&[("both", "x")])]));
    let tag = RegistryTag::new(world.registries.clone(), world.reference("app:1")).unwrap();
    let stored = tag.put_platforms(&images, &Silent, &Cancel::new()).unwrap();
    let lines = world.registry.lines();
    let puts: Vec<&String> = lines.iter().filter(|line| line.starts_with("PUT /v2/app/manifests/")).collect();
    let expected = [images[0].digest().to_string(), images[1].digest().to_string(), "1".to_owned()];
    assert_eq!(puts.len(), 3);
    assert!(puts.iter().zip(expected).all(|(line, target)| line.ends_with(&target)), "{puts:?}");
    assert_eq!(lines.last().unwrap(), "HEAD /v2/app/manifests/1");
    assert_eq!(Digest::of(&world.registry.manifest("app", "1").unwrap()), stored.digest);
    for image in &images {
        let platform = Platform::linux(&image.platform.arch);
        assert_eq!(world.source("app:1").image(&platform).unwrap().digest(), image.digest());
    }
}

#[test]
fn an_index_is_not_half_published() {
    let arm = image("arm64", vec![layer(&[("arch", "arm64")])]);
    let bad = format!("PUT /v2/app/manifests/{}", arm.digest());
    let hook: Hook =
        Box::new(move |asked| (format!("{} {}", asked.method, asked.path) == bad).then(|| Reply::new(403, "")));
    let world = world(Guard::Open, None, Some(hook));
    let tag = RegistryTag::new(world.registries.clone(), world.reference("app:1")).unwrap();
    let images = [image("amd64", vec![layer(&[("arch", "amd64")])]), arm];
    assert_eq!(tag.put_platforms(&images, &Silent, &Cancel::new()).unwrap_err().fault, Fault::Denied);
    assert_eq!(world.registry.manifest("app", "1"), None);
}

#[test]
fn what_happens_is_told() {
    #[derive(Default)]
    struct Told(Mutex<Vec<String>>);
    impl stave_lifecycle::port::observer::Observer for Told {
        fn observe(&self, event: stave_lifecycle::port::observer::Event) {
            use stave_lifecycle::port::observer::Event;
            let line = match event {
                Event::Note(level, text) => format!("{level:?}: {text}"),
                Event::ProgressEnd { what } => format!("done: {}", what.split(' ').next().unwrap_or_default()),
                _ => return,
            };
            self.0.lock().unwrap().push(line);
        }
    }
    let world = world(Guard::Open, None, None);
    let told = |name: &str, image: &Image| {
        let told = Told::default();
        RegistryTag::new(world.registries.clone(), world.reference(name))
            .unwrap()
            .put(image, &told, &Cancel::new())
            .unwrap();
        let mut lines = told.0.into_inner().unwrap();
        lines[1..].sort();
        lines.join("\n").replace(&world.registry.host(), "HOST")
    };
    let image = image("amd64", vec![layer(&[("a", "1")])]);
    insta::assert_snapshot!(told("one:1", &image), @"
    Info: connecting to HOST
    done: push
    done: push
    ");
    insta::assert_snapshot!(told("two:1", &image), @"
    Info: connecting to HOST
    Debug: 2b0d2ae018cc (110 bytes): mounted from one
    done: push
    ");
    insta::assert_snapshot!(told("two:1", &image), @"
    Info: connecting to HOST
    Debug: 2b0d2ae018cc (110 bytes): there already
    Debug: b17b76f48fea (210 bytes): there already
    ");
}
