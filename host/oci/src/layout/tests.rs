//! Layouts written, read, and met in bad shape.

mod signatures;

use std::{fs, os::unix::fs::symlink, path::Path};

use serde_json::{Value, json};
use stave_lifecycle::{
    image::{INDEX, Image, MANIFEST},
    port::{
        bases::Base,
        cancel::Cancel,
        failure::{Fault, PortError},
        observer::Silent,
        sink::{Sink, Stored},
    },
    rebase::rebase,
};
use stave_model::digest::Digest;

use super::*;
use crate::{
    index::Swaps,
    testing::{app_on, billed_app_on, image, layer},
};

fn place(folder: &Path, name: Option<&str>) -> Place {
    Place { folder: folder.to_owned(), name: name.map(str::to_owned) }
}

fn put(folder: &Path, name: Option<&str>, image: &Image) -> Result<Stored, PortError> {
    LayoutFolder::new(place(folder, name)).put(image, &Silent, &Cancel::new())
}

fn get(folder: &Path, name: Option<&str>, platform: &str) -> Result<Image, PortError> {
    Layout::open(place(folder, name))?.image(&platform.parse().unwrap())
}

fn told(error: &PortError, folder: &Path) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}\ncaused by: {error}");
        cause = error.source();
    }
    let hint = error.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    format!("{text}{hint}").replace(&folder.display().to_string(), "DIR")
}

fn index(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("index.json")).unwrap()).unwrap()
}

#[test]
fn a_place_is_a_folder_and_perhaps_a_name() {
    assert_eq!(Place::parse("out"), place(Path::new("out"), None));
    assert_eq!(Place::parse("/a/b:latest"), place(Path::new("/a/b"), Some("latest")));
    assert_eq!(Place::parse("out:a.example.com/x:1").name.as_deref(), Some("a.example.com/x:1"));
    assert_eq!(Place::parse("out:").to_string(), "oci:out");
}

#[test]
fn an_image_comes_back_as_it_was() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("new/out");
    let written = image("amd64", vec![layer(&[("a", "1")]), layer(&[("b", "2")])]);
    assert_eq!(put(&folder, Some("latest"), &written).unwrap().digest, written.digest());
    let back = get(&folder, None, "linux/amd64").unwrap();
    assert_eq!((&back.manifest, &back.config), (&written.manifest, &written.config));
    for (a, b) in back.layers.iter().zip(&written.layers) {
        assert_eq!(a.content.bytes(1 << 20).unwrap(), b.content.bytes(1 << 20).unwrap());
    }
    assert_eq!(fs::read_dir(folder.parent().unwrap()).unwrap().count(), 1, "nothing else is left beside it");
    insta::assert_snapshot!(index(&folder), @r#"{"manifests":[{"annotations":{"org.opencontainers.image.ref.name":"latest"},"digest":"sha256:40b3d19e048cd8bd92a91222ff4412d2e980b97af09e610815107b0bfa0cf72d","mediaType":"application/vnd.oci.image.manifest.v1+json","platform":{"architecture":"amd64","os":"linux"},"size":555}],"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}"#);
}

#[test]
fn an_image_replaces_the_one_of_its_name_and_platform() {
    let temp = tempfile::tempdir().unwrap();
    let images = ["1", "2", "3"].map(|text| image("amd64", vec![layer(&[("a", text)])]));
    let arm = image("arm64", vec![layer(&[("a", "4")])]);
    put(temp.path(), Some("one"), &images[0]).unwrap();
    fs::write(temp.path().join("blobs/sha256/.stave-killed.partial"), "half").unwrap();
    put(temp.path(), Some("two"), &images[1]).unwrap();
    assert!(!temp.path().join("blobs/sha256/.stave-killed.partial").exists());
    put(temp.path(), Some("one"), &arm).unwrap();
    put(temp.path(), Some("one"), &images[2]).unwrap();
    let digest = |name, platform| get(temp.path(), name, platform).map(|image| image.digest());
    assert_eq!(digest(Some("one"), "linux/amd64").unwrap(), images[2].digest());
    assert_eq!(digest(Some("two"), "linux/amd64").unwrap(), images[1].digest());
    assert_eq!(digest(None, "linux/arm64").unwrap(), arm.digest());
    assert_eq!(index(temp.path())["manifests"].as_array().unwrap().len(), 3);
    let told = |name, platform| told(&digest(name, platform).unwrap_err(), temp.path());
    insta::assert_snapshot!(told(None, "linux/amd64"), @"
    `oci:DIR` has several images for linux/amd64
    hint: name one of them, as in oci:FOLDER:NAME; the names are two, one
    ");
    insta::assert_snapshot!(told(Some("three"), "linux/amd64"), @"
    there is no image called `three`
    hint: there are one, two
    ");
    insta::assert_snapshot!(told(Some("two"), "linux/arm64"), @"
    `oci:DIR:two` has no image for linux/arm64
    hint: there is one for linux/amd64
    ");
}

#[test]
fn one_platform_put_under_an_index_s_name_leaves_the_others_there() {
    let temp = tempfile::tempdir().unwrap();
    let of = |arch: &str, text: &str| image(arch, vec![layer(&[("a", text)])]);
    let (old, arm) = (of("amd64", "1"), of("arm64", "1"));
    let all = [old.clone(), arm.clone()];
    for name in [Some("app"), Some("other"), None] {
        LayoutFolder::new(place(temp.path(), name)).put_platforms(&all, &Silent, &Cancel::new()).unwrap();
    }
    let digest = |name, platform| get(temp.path(), name, platform).map(|image| image.digest());
    for (name, other) in [(Some("app"), Some("other")), (None, Some("other"))] {
        let new = of("amd64", &format!("{name:?}"));
        assert_eq!(put(temp.path(), name, &new).unwrap().digest, new.digest());
        let there = |image: &Image| {
            let layout = Layout::open(place(temp.path(), name)).unwrap();
            layout.exactly_for(&image.platform).unwrap() == [image.digest()]
        };
        assert!(there(&new) && there(&arm), "{name:?}");
        assert_eq!(digest(other, "linux/amd64").unwrap(), old.digest(), "that name was not meant");
        // A platform that is new there joins them.
        let riscv = of("riscv64", "1");
        put(temp.path(), name, &riscv).unwrap();
        assert!(there(&new) && there(&arm) && there(&riscv), "{name:?}");
        assert_eq!(Layout::open(place(temp.path(), Some("other"))).unwrap().images().unwrap().len(), 2);
    }
    let entries = index(temp.path())["manifests"].as_array().unwrap().clone();
    assert_eq!(entries.len(), 3);
    assert!(entries.iter().all(|entry| entry["mediaType"] == INDEX), "each name still leads to one index");
    // An index takes the place of all that the name led to.
    LayoutFolder::new(place(temp.path(), Some("app"))).put_platforms(&all, &Silent, &Cancel::new()).unwrap();
    assert!(digest(Some("app"), "linux/riscv64").is_err());
    assert_eq!(digest(Some("app"), "linux/amd64").unwrap(), old.digest());
}

#[test]
fn a_failure_leaves_no_layout() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("out");
    let mut bad = image("amd64", vec![layer(&[("a", "1")])]);
    bad.layers[0].descriptor.digest = Digest::of(b"another");
    assert_eq!(put(&folder, None, &bad).unwrap_err().fault, Fault::Integrity);
    let cancel = Cancel::new();
    cancel.set();
    let good = image("amd64", vec![layer(&[("a", "1")])]);
    let error = LayoutFolder::new(place(&folder, None)).put(&good, &Silent, &cancel).unwrap_err();
    assert_eq!(error.fault, Fault::Cancelled);
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("thesis.txt"), "years of work").unwrap();
    let error = put(temp.path(), None, &image("amd64", vec![layer(&[("a", "1")])])).unwrap_err();
    insta::assert_snapshot!(told(&error, temp.path()), @"
    could not write `oci:DIR`
    caused by: something is there that is not an image layout
    hint: name a new folder
    ");
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
}

#[test]
fn n24_a_layout_in_bad_shape_is_refused() {
    type Damage = fn(&Path, &Image);
    let damages: [(&str, Damage); 8] = [
        ("no such folder", |folder, _| fs::remove_dir_all(folder).unwrap()),
        ("no marker", |folder, _| fs::remove_file(folder.join("oci-layout")).unwrap()),
        ("index is a folder", |folder, _| {
            fs::remove_file(folder.join("index.json")).unwrap();
            fs::create_dir(folder.join("index.json")).unwrap();
        }),
        ("index is torn", |folder, _| fs::write(folder.join("index.json"), "{\"schemaV").unwrap()),
        ("manifest is gone", |folder, image| fs::remove_file(blob(folder, image.digest())).unwrap()),
        ("manifest is another", |folder, image| fs::write(blob(folder, image.digest()), "{}").unwrap()),
        ("layer is a link", |folder, image| {
            let layer = blob(folder, image.layers[0].descriptor.digest);
            fs::rename(&layer, folder.join("elsewhere")).unwrap();
            symlink(folder.join("elsewhere"), layer).unwrap();
        }),
        ("blobs are a link", |folder, _| {
            fs::rename(folder.join("blobs"), folder.join("elsewhere")).unwrap();
            symlink("elsewhere", folder.join("blobs")).unwrap();
        }),
    ];
    let shown: Vec<String> = damages
        .iter()
        .map(|(name, damage)| {
            let temp = tempfile::tempdir().unwrap();
            let folder = temp.path().join("out");
            let image = image("amd64", vec![layer(&[("a", "1")])]);
            put(&folder, None, &image).unwrap();
            damage(&folder, &image);
            format!("{name}: {}", told(&get(&folder, None, "linux/amd64").unwrap_err(), &folder))
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n\n"), @"
    no such folder: could not open the layout `oci:DIR`
    caused by: No such file or directory (os error 2)

    no marker: could not open the layout `oci:DIR`
    caused by: No such file or directory (os error 2)
    hint: a layout has a file `oci-layout`

    index is a folder: could not read `oci:DIR`
    caused by: index.json is not a regular file

    index is torn: could not read `oci:DIR`
    caused by: the manifest cannot be read
    caused by: it is not the JSON it should be
    caused by: EOF while parsing a string at line 1 column 9

    manifest is gone: could not read sha256:683a361c21a149995f665eba618c6b1419c8be22ebb0d1b8067a7cff1648d791 in `oci:DIR`
    caused by: No such file or directory (os error 2)

    manifest is another: could not verify sha256:683a361c21a149995f665eba618c6b1419c8be22ebb0d1b8067a7cff1648d791
    caused by: its bytes are others than promised

    layer is a link: could not read sha256:2b0d2ae018ccb188d3a1fba00be4a3c4e079be517b81386af4278b79e0278872 in `oci:DIR`
    caused by: Too many levels of symbolic links (os error 40)

    blobs are a link: could not open the layout `oci:DIR`
    caused by: Not a directory (os error 20)
    ");
}

fn blob(folder: &Path, digest: Digest) -> PathBuf {
    folder.join("blobs/sha256").join(digest.hex())
}

#[test]
fn a_changed_layer_is_not_handed_on() {
    let temp = tempfile::tempdir().unwrap();
    let image = image("amd64", vec![layer(&[("a", "1")])]);
    put(temp.path(), None, &image).unwrap();
    let path = blob(temp.path(), image.layers[0].descriptor.digest);
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 1;
    fs::write(&path, bytes).unwrap();
    let back = get(temp.path(), None, "linux/amd64").unwrap();
    assert!(back.layers[0].content.bytes(1 << 20).is_err());
    let other = tempfile::tempdir().unwrap();
    assert_eq!(put(&other.path().join("copy"), None, &back).unwrap_err().fault, Fault::Integrity);
}

#[test]
fn a_changed_blob_is_made_good_by_who_puts_it_again() {
    let temp = tempfile::tempdir().unwrap();
    let image = image("amd64", vec![layer(&[("a", "1")])]);
    put(temp.path(), None, &image).unwrap();
    for digest in [image.layers[0].descriptor.digest, image.config_descriptor().digest, image.digest()] {
        let path = blob(temp.path(), digest);
        let whole = fs::read(&path).unwrap();
        let mut changed = whole.clone();
        changed[20] ^= 1;
        fs::write(&path, changed).unwrap();
        put(temp.path(), None, &image).unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole, "{digest}: of the same size, and other bytes");
    }
}

#[test]
fn a_link_in_a_blobs_place_is_not_written_through() {
    let temp = tempfile::tempdir().unwrap();
    let image = image("amd64", vec![layer(&[("a", "1")])]);
    put(temp.path(), None, &image).unwrap();
    let path = blob(temp.path(), image.layers[0].descriptor.digest);
    fs::rename(&path, temp.path().join("elsewhere")).unwrap();
    symlink(temp.path().join("elsewhere"), &path).unwrap();
    assert!(put(temp.path(), None, &image).is_err());
}

#[test]
fn indexes_may_lie_in_indexes_but_not_for_ever() {
    let temp = tempfile::tempdir().unwrap();
    let image = image("amd64", vec![layer(&[("a", "1")])]);
    put(temp.path(), None, &image).unwrap();
    let nest = |times: usize| {
        let mut outer = index(temp.path());
        for _ in 0..times {
            let bytes = serde_json::to_vec(&outer).unwrap();
            let digest = Digest::of(&bytes);
            fs::write(blob(temp.path(), digest), &bytes).unwrap();
            outer = json!({
                "schemaVersion": 2, "manifests": [{ "mediaType": INDEX, "digest": digest, "size": bytes.len() }],
            });
        }
        fs::write(temp.path().join("index.json"), outer.to_string()).unwrap();
    };
    nest(2);
    assert_eq!(get(temp.path(), None, "linux/amd64").unwrap().digest(), image.digest());
    nest(5);
    let error = get(temp.path(), None, "linux/amd64").unwrap_err();
    insta::assert_snapshot!(told(&error, temp.path()), @"
    could not search `oci:DIR`
    caused by: its indexes lie too deep in one another
    ");
}

#[test]
fn images_are_replaced_where_they_stand() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("out");
    let base = |arch: &str, version: &str| {
        let image = image(arch, vec![layer(&[("etc/version", version)])]);
        Base { reference: format!("run@{}", image.digest()), image, name: "run:1".to_owned() }
    };
    let apps = ["amd64", "arm64"].map(|arch| app_on(&base(arch, "1"), &[("workspace/a", arch)]));
    for app in &apps {
        put(&folder, Some("app"), app).unwrap();
    }
    put(&folder, Some("other"), &apps[0]).unwrap();
    // The second one behind an index of its own, as other tools write it.
    let mut outer = index(&folder);
    let inner = outer["manifests"].as_array_mut().unwrap().remove(1);
    let inner = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [inner] }).to_string();
    let digest = Digest::of(inner.as_bytes());
    fs::write(folder.join("blobs/sha256").join(digest.hex()), &inner).unwrap();
    outer["manifests"].as_array_mut().unwrap().push(json!({ "mediaType": INDEX, "digest": digest, "size": inner.len(),
        "annotations": { NAME: "app" } }));
    fs::write(folder.join("index.json"), outer.to_string()).unwrap();

    let turn = |version: &str| {
        let mut swaps = Swaps::default();
        for image in Layout::open(place(&folder, Some("app"))).unwrap().images().unwrap() {
            let new = rebase(&image, &base(&image.platform.arch, version), false).unwrap().image;
            swaps.add(image.digest(), new);
        }
        assert_eq!(swaps.images().count(), 2);
        LayoutFolder::new(place(&folder, Some("app"))).replace(&swaps, &Silent, &Cancel::new()).unwrap();
    };
    turn("2");
    for arch in ["amd64", "arm64"] {
        let image = get(&folder, Some("app"), &format!("linux/{arch}")).unwrap();
        assert_eq!(image.layers[0].diff_id, base(arch, "2").image.layers[0].diff_id);
        crate::validate(&image).unwrap();
    }
    assert_eq!(
        get(&folder, Some("other"), "linux/amd64").unwrap().digest(),
        apps[0].digest(),
        "that name was not meant"
    );
    turn("1");
    for (arch, app) in ["amd64", "arm64"].iter().zip(&apps) {
        let image = get(&folder, Some("app"), &format!("linux/{arch}")).unwrap();
        assert_eq!(image.digest(), app.digest(), "the way back gives the first image again");
    }
}

#[test]
fn bills_that_hang_on_an_image_follow_a_rebase() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("out");
    let base = |version: &str| {
        let status = format!("Package: libc6\nVersion: {version}\n");
        let image = image("amd64", vec![layer(&[("var/lib/dpkg/status.d/libc6", &status)])]);
        Base { reference: format!("run@{}", image.digest()), image, name: "run:1".to_owned() }
    };
    let bill = "{\"components\":[]}";
    let app = billed_app_on(&base("1"), &[("workspace/a", "1")], &[("layers/sbom/launch/sbom.cdx.json", bill)]);
    put(&folder, Some("app"), &app).unwrap();
    let turn = |image: &Image, version: &str| {
        let (mut swaps, new) = (Swaps::default(), rebase(image, &base(version), false).unwrap().image);
        swaps.add(image.digest(), new.clone());
        LayoutFolder::new(place(&folder, Some("app"))).replace(&swaps, &Silent, &Cancel::new()).unwrap();
        assert_eq!(get(&folder, Some("app"), "linux/amd64").unwrap().digest(), new.digest());
        new
    };
    let blob = |digest: &Value| fs::read(folder.join("blobs/sha256").join(&digest.as_str().unwrap()[7..])).unwrap();
    let hung = || -> Vec<Value> {
        let all = index(&folder)["manifests"].as_array().unwrap().clone();
        all.into_iter().filter(|entry| entry.get("artifactType").is_some()).collect()
    };
    // Nobody hung anything on it: nothing is hung on the next one either.
    let second = turn(&app, "2");
    assert_eq!(hung(), [Value::Null; 0]);
    // Somebody hangs a bill on it, a signature, and a bill on another image.
    let mut outer = index(&folder);
    let kind = "application/vnd.cyclonedx+json";
    for (kind, subject) in [(kind, &second), ("application/x.signature", &second), (kind, &app)] {
        let bill = crate::artifact::Attachment { media_type: kind, annotations: &[], file: b"{}" };
        let artifact = bill.manifest(&crate::index::descriptor_of(subject));
        let manifest = crate::artifact::descriptor(MANIFEST, &artifact);
        fs::write(folder.join("blobs/sha256").join(manifest.digest.hex()), &artifact).unwrap();
        let mut entry = json!(manifest);
        entry["artifactType"] = json!(kind);
        outer["manifests"].as_array_mut().unwrap().push(entry);
    }
    fs::write(folder.join("index.json"), outer.to_string()).unwrap();
    assert_eq!(get(&folder, None, "linux/amd64").unwrap().digest(), second.digest(), "artefacts are no images");
    let others = hung().split_off(1);
    let third = turn(&second, "3");
    let (kept, new) = (hung()[..2].to_vec(), hung().split_off(2));
    assert_eq!(kept, others, "what is not ours to make again stays");
    let artifacts: Vec<Value> =
        new.iter().map(|entry| serde_json::from_slice(&blob(&entry["digest"])).unwrap()).collect();
    assert!(artifacts.iter().all(|artifact| artifact["subject"]["digest"] == json!(third.digest())));
    let bills: Vec<String> =
        artifacts.iter().map(|artifact| String::from_utf8(blob(&artifact["layers"][0]["digest"])).unwrap()).collect();
    assert_eq!((bills.len(), bills[0].as_str()), (3, bill), "the app's as it was, and two of the base");
    assert!(bills[1..].iter().all(|bill| bill.contains("libc6") && bill.contains("\"3\"")), "{bills:?}");
}
