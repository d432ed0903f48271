//! Tests of the image store as its users see it.

use std::{
    fs::OpenOptions,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    thread,
    time::Duration,
};

use stave_archive::content::Bytes;
use stave_lifecycle::{
    image::{LAYER, MANIFEST},
    port::{
        bases::Bases as _,
        blobs::Blobs,
        observer::{Event, Silent},
    },
};

use super::*;
use crate::folders::{CACHE_VARIABLE, DATA_VARIABLE};

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn cache(&self) -> DiskBlobs {
        DiskBlobs::open(&Folder::open(self.0.path().join("cache"), CACHE_VARIABLE).unwrap()).unwrap()
    }

    fn store(&self) -> ImageStore {
        let data = Folder::open(self.0.path().join("data"), DATA_VARIABLE).unwrap();
        ImageStore::open(&data, Some(self.cache())).unwrap()
    }
}

fn layer(text: &str) -> ImageLayer {
    let bytes = text.as_bytes().to_vec();
    let digest = Digest::of(&bytes);
    let descriptor = Descriptor { media_type: LAYER.to_owned(), digest, size: bytes.len() as u64 };
    ImageLayer { descriptor, diff_id: digest, content: Arc::new(Bytes::new(bytes)), origin: None }
}

fn image(arch: &str, layers: &[&str]) -> Image {
    let layers: Vec<ImageLayer> = layers.iter().map(|text| layer(text)).collect();
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| layer.diff_id).collect();
    let config = serde_json::json!({
        "architecture": arch, "os": "linux", "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    Image::new(Platform::linux(arch), serde_json::to_vec(&config).unwrap(), layers)
}

fn put(store: &ImageStore, name: &str, image: &Image) -> Result<Digest, PortError> {
    store.put(name, image, &Silent, &Cancel::new())
}

fn blob_count(store: &ImageStore) -> usize {
    fs::read_dir(store.blobs.path()).unwrap().count()
}

#[test]
fn an_image_comes_back_as_it_was() {
    let home = Home::new();
    let image = image("amd64", &["base", "app"]);
    assert_eq!(put(&home.store(), "app:latest", &image).unwrap(), image.digest());
    let back = home.store().get("app:latest", &Platform::linux("amd64")).unwrap().unwrap();
    assert_eq!((back.manifest, back.config, back.media_type.as_str()), (image.manifest, image.config, MANIFEST));
    let bytes: Vec<Vec<u8>> = back.layers.iter().map(|layer| layer.content.bytes(99).unwrap()).collect();
    assert_eq!(bytes, [b"base".to_vec(), b"app".to_vec()]);
    assert!(home.store().get("app:latest", &Platform::linux("arm64")).unwrap().is_none());
    assert!(home.store().get("other", &Platform::linux("amd64")).unwrap().is_none());
}

#[test]
fn a_layer_in_the_cache_is_linked() {
    let home = Home::new();
    let image = image("amd64", &["base"]);
    let mut blob = home.cache().create().unwrap();
    blob.write_all(b"base").unwrap();
    blob.keep(&Digest::of(b"base")).unwrap();
    put(&home.store(), "app", &image).unwrap();
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    assert_eq!(inode(&home.store().place(&Digest::of(b"base"))), inode(&home.cache().path(&Digest::of(b"base"))));
}

#[test]
fn what_no_name_leads_to_is_removed() {
    let home = Home::new();
    let store = home.store();
    put(&store, "app", &image("amd64", &["base", "app 1"])).unwrap();
    put(&store, "stack", &image("amd64", &["base"])).unwrap();
    assert_eq!(blob_count(&store), 6);
    put(&store, "app", &image("amd64", &["base", "app 2"])).unwrap();
    assert_eq!(blob_count(&store), 6);
    assert_eq!(store.remove("app").unwrap(), 1);
    assert_eq!(blob_count(&store), 3);
    assert_eq!(store.remove("app").unwrap(), 0);
    assert!(store.get("stack", &Platform::linux("amd64")).unwrap().is_some());
}

#[test]
fn a_layer_that_lies_is_not_stored() {
    let home = Home::new();
    let store = home.store();
    let mut bad = image("amd64", &["base", "app"]);
    bad.layers[1].content = Arc::new(Bytes::new(*b"apq"));
    let error = put(&store, "app", &bad).unwrap_err();
    assert_eq!(error.fault, Fault::Integrity);
    assert_eq!(store.list().unwrap(), []);
}

/// Other bytes of the same number in the same file, some time after it was written.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[0] ^= 1;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, bytes).unwrap();
    let later = fs::metadata(path).unwrap().modified().unwrap() + Duration::from_mins(1);
    OpenOptions::new().write(true).open(path).unwrap().set_modified(later).unwrap();
}

fn kept(home: &Home, bytes: &[u8]) -> Span {
    let mut blob = home.cache().create().unwrap();
    blob.write_all(bytes).unwrap();
    blob.keep(&Digest::of(bytes)).unwrap()
}

#[test]
fn what_was_damaged_is_healed_by_the_next_put() {
    let home = Home::new();
    let (store, image) = (home.store(), image("amd64", &["base", "app"]));
    put(&store, "app", &image).unwrap();
    let blobs = [image.layers[0].descriptor.digest, image.config_descriptor().digest, image.digest()];
    let good = blobs.map(|digest| fs::read(store.place(&digest)).unwrap());
    for damaged in blobs {
        damage(&store.place(&damaged));
        put(&store, "app", &image).unwrap();
        assert_eq!(blobs.map(|digest| fs::read(store.place(&digest)).unwrap()), good);
    }
}

#[test]
fn a_damaged_blob_of_the_cache_is_not_linked() {
    let home = Home::new();
    let (store, digest) = (home.store(), Digest::of(b"base"));
    kept(&home, b"base");
    damage(&home.cache().path(&digest));
    put(&store, "app", &image("amd64", &["base"])).unwrap();
    assert_eq!(fs::read(store.place(&digest)).unwrap(), b"base");
    assert!(home.cache().get(&digest).unwrap().is_none(), "it would be made again");
}

#[test]
fn damage_that_two_names_share_is_healed() {
    let home = Home::new();
    let (store, digest) = (home.store(), Digest::of(b"base"));
    let mut own = image("amd64", &["base"]);
    own.layers[0].content = Arc::new(kept(&home, b"base"));
    put(&store, "app", &own).unwrap();
    damage(&store.place(&digest));
    assert_ne!(fs::read(home.cache().path(&digest)).unwrap(), b"base", "they are one file");
    // The bytes that are at hand are the damaged ones: nobody can heal it with them, and nobody is lied to.
    assert_eq!(put(&store, "app", &own).unwrap_err().fault, Fault::Integrity);
    // The next build makes the layer again.
    assert!(home.cache().get(&digest).unwrap().is_none());
    own.layers[0].content = Arc::new(kept(&home, b"base"));
    put(&store, "app", &own).unwrap();
    assert_eq!(fs::read(store.place(&digest)).unwrap(), b"base");
}

#[test]
fn who_counts_on_an_image_gets_it_whole_or_not_at_all() {
    let home = Home::new();
    let (store, image) = (home.store(), image("amd64", &["base", "app"]));
    put(&store, "app", &image).unwrap();
    let amd64 = Platform::linux("amd64");
    let whole = || store.get_whole("app", &amd64);
    assert_eq!(whole().unwrap().unwrap().digest(), image.digest());
    assert!(store.get_whole("other", &amd64).unwrap().is_none());
    let blobs = [image.digest(), image.config_descriptor().digest, image.layers[1].descriptor.digest];
    let good = blobs.map(|digest| fs::read(store.place(&digest)).unwrap());
    for (digest, bytes) in blobs.into_iter().zip(&good) {
        // Nobody has the right bytes.
        damage(&store.place(&digest));
        assert_eq!(whole().unwrap_err().fault, Fault::Integrity);
        let (checked, _, damaged) = store.verify().unwrap();
        let names = vec!["app".to_owned()];
        assert_eq!(damaged, [Damage { digest, images: names.clone(), healed: false }]);
        assert_eq!(checked, if digest == image.digest() { 0 } else { 3 }, "what is sound");
        // The cache has them.
        kept(&home, bytes);
        assert_eq!(whole().unwrap().unwrap().digest(), image.digest());
        assert_eq!(store.verify().unwrap().2, []);
        fs::remove_file(store.place(&digest)).unwrap();
        assert_eq!(store.verify().unwrap().2, [Damage { digest, images: names, healed: true }]);
        assert_eq!(blobs.map(|digest| fs::read(store.place(&digest)).unwrap()), good);
    }
}

#[test]
fn what_images_are_made_of_is_live_and_what_their_bases_say() {
    let home = Home::new();
    let (store, base) = (home.store(), image("amd64", &["base"]));
    let reference = format!("registry.example.com/base@{}", base.digest());
    let label = serde_json::json!({ "runImage": { "topLayer": "", "reference": reference } }).to_string();
    let mut app = image("amd64", &["base", "app"]);
    let mut config: serde_json::Value = serde_json::from_slice(&app.config).unwrap();
    config["config"]["Labels"][stave_model::image::LIFECYCLE_LABEL] = label.into();
    app = Image::new(app.platform, serde_json::to_vec(&config).unwrap(), app.layers);
    put(&store, "app", &app).unwrap();
    kept(&home, &base.manifest);
    let live = store.live().unwrap();
    let layers = app.layers.iter().map(|layer| layer.descriptor.digest);
    let of_app = layers.chain([app.digest(), app.config_descriptor().digest]);
    assert_eq!(live, of_app.chain([base.digest(), base.config_descriptor().digest]).collect());
    store.remove("app").unwrap();
    assert!(store.live().unwrap().is_empty());
}

#[test]
fn whoever_waits_for_the_store_says_so() {
    struct Ear(std::sync::mpsc::Sender<Event>);
    impl Observer for Ear {
        fn observe(&self, event: Event) {
            let _ = self.0.send(event);
        }
    }
    let home = Home::new();
    let (sender, heard) = std::sync::mpsc::channel();
    let store = home.store().telling(Waiting::new(Arc::new(Ear(sender)), Cancel::new()));
    put(&store, "app", &image("amd64", &["base"])).unwrap();
    let waits: [&(dyn Fn() + Sync); 3] =
        [&|| drop(store.get("app", &Platform::linux("amd64")).unwrap()), &|| drop(store.verify().unwrap()), &|| {
            assert_eq!(store.remove("app").unwrap(), 1);
        }];
    for wait in waits {
        let held = home.store().alone().unwrap();
        thread::scope(|scope| {
            scope.spawn(wait);
            let Event::Note(_, text) = heard.recv().unwrap() else { panic!("another event") };
            assert_eq!(text, "waiting for another stave that works on the image store");
            drop(held);
        });
    }
}

#[test]
fn a_descriptor_s_size_is_not_believed() {
    let home = Home::new();
    let (store, good) = (home.store(), image("amd64", &["base"]));
    let mut bad = image("amd64", &["base"]);
    bad.layers[0].descriptor.size += 1;
    for _ in 0..2 {
        // Of bytes that come, of those in the cache, and of those in the store.
        assert_eq!(put(&store, "bad", &bad).unwrap_err().fault, Fault::Integrity);
        kept(&home, b"base");
        assert_eq!(put(&store, "bad", &bad).unwrap_err().fault, Fault::Integrity);
        put(&store, "app", &good).unwrap();
    }
    assert!(store.get("app", &Platform::linux("amd64")).unwrap().is_some());
}

#[test]
fn a_blob_is_read_again_only_if_its_file_is_another() {
    let home = Home::new();
    let (store, image) = (home.store(), image("amd64", &["base"]));
    let digest = image.layers[0].descriptor.digest;
    put(&store, "app", &image).unwrap();
    let known = fs::read(store.folder.path().join(CHECKED)).unwrap();
    let there = || files::open(&store.place(&digest)).unwrap().unwrap();
    assert!(Checked::parse(&known).knows(&digest, &there()));
    put(&store, "app", &image).unwrap();
    assert_eq!(fs::read(store.folder.path().join(CHECKED)).unwrap(), known);
    damage(&store.place(&digest));
    assert!(!Checked::parse(&known).knows(&digest, &there()));
    // Without what was known everything is read, and known again.
    fs::write(store.folder.path().join(CHECKED), "torn").unwrap();
    put(&store, "app", &image).unwrap();
    assert!(store.checked().knows(&digest, &there()));
    store.remove("app").unwrap();
    assert!(Checked::parse(&known).bytes(&BTreeSet::new()).is_some_and(|bytes| bytes == b"{}"));
}

#[test]
fn damage_is_met_with_an_error() {
    let home = Home::new();
    let (store, image) = (home.store(), image("amd64", &["base"]));
    put(&store, "app", &image).unwrap();
    for digest in [image.digest(), image.config_descriptor().digest, image.layers[0].descriptor.digest] {
        let path = store.place(&digest);
        let good = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, &good[1..]).unwrap();
        let error = store.get("app", &Platform::linux("amd64")).unwrap_err();
        assert_eq!(error.fault, Fault::Integrity, "{error}");
        fs::write(&path, good).unwrap();
    }
    assert!(store.get("app", &Platform::linux("amd64")).unwrap().is_some());
    fs::write(store.folder.path().join("index.json"), "{").unwrap();
    assert_eq!(store.list().unwrap_err().fault, Fault::Integrity);
}

#[test]
fn many_writers_lose_nothing() {
    let home = Home::new();
    thread::scope(|scope| {
        for writer in 0..8 {
            let home = &home;
            scope.spawn(move || {
                let store = home.store();
                for round in 0..10 {
                    put(&store, &format!("app-{writer}"), &image("amd64", &["base", &format!("{writer} {round}")]))
                        .unwrap();
                    store.get("app-0", &Platform::linux("amd64")).unwrap();
                }
            });
        }
    });
    let store = home.store();
    assert_eq!(store.list().unwrap().len(), 8);
    for writer in 0..8 {
        assert!(store.get(&format!("app-{writer}"), &Platform::linux("amd64")).unwrap().is_some());
    }
    assert_eq!(blob_count(&store), 1 + 8 * 3);
}

#[test]
fn a_cancelled_put_gives_no_name() {
    let home = Home::new();
    let cancel = Cancel::new();
    cancel.set();
    let error = home.store().put("app", &image("amd64", &["base"]), &Silent, &cancel).unwrap_err();
    assert_eq!(error.fault, Fault::Cancelled);
    assert_eq!(home.store().list().unwrap(), []);
}

#[test]
fn messages_name_what_there_is() {
    let home = Home::new();
    put(&home.store(), "app", &image("arm64", &["base"])).unwrap();
    let base = |name: &str| NamedImage::new(home.store(), name).base(&Platform::linux("amd64")).unwrap_err();
    let error = base("app");
    insta::assert_snapshot!(format!("{error}\nhint: {}", error.hint.as_deref().unwrap()), @"
    the image `app` is not there for linux/amd64
    hint: it is there for linux/arm64
    ");
    insta::assert_snapshot!(base("nothing"), @"there is no image `nothing` in the image store");
    insta::assert_snapshot!(put(&home.store(), "a\u{1b}[31m b", &image("arm64", &[])).unwrap_err(), @r"`a\u{1b}[31m b` is not a name for an image");
}
