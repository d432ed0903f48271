//! Bases as Debian, distroless images and Alpine have them, laid over one another, and such as mean harm.

use std::sync::Arc;

use serde_json::json;
use stave_archive::content::Bytes;
use stave_lifecycle::{
    image::{Descriptor, LAYER},
    port::bases::Base,
};
use stave_model::{digest::Digest, target::Platform};

use super::*;
use crate::testing::{MemoryResults, app_on, image, layer};

const DEBIAN: (&str, &str) = ("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n");

fn status(packages: &[(&str, &str)]) -> String {
    let one = |(name, version): &(&str, &str)| {
        format!("Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n")
    };
    packages.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn listed(image: &Image) -> Vec<String> {
    let packages = of_base(image, None, &Cancel::new()).unwrap();
    packages.iter().map(|one| format!("{} {}", one.name, one.version)).collect()
}

/// A layer of raw entries: path, kind and content. Our own writer makes none that are so odd.
fn odd_layer(entries: &[(&str, tar::EntryType, &str)]) -> ImageLayer {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, text) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        if kind.is_symlink() || kind.is_hard_link() {
            header.set_size(0);
            builder.append_link(&mut header, path, text).unwrap();
        } else {
            header.set_size(text.len() as u64);
            builder.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
    }
    of_bytes(builder.into_inner().unwrap())
}

fn of_bytes(bytes: Vec<u8>) -> ImageLayer {
    let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
    let descriptor = Descriptor { media_type: LAYER.to_owned(), digest, size };
    ImageLayer { descriptor, diff_id: digest, content: Arc::new(Bytes::new(bytes)), origin: None }
}

#[test]
fn the_packages_of_the_usual_bases() {
    let debian = status(&[("libc6", "2.36-9"), ("bash", "5.2.15-2")]);
    let of = |files: &[(&str, &str)]| listed(&image("amd64", vec![layer(files)]));
    assert_eq!(of(&[DEBIAN, (DPKG, &debian)]), ["bash 5.2.15-2", "libc6 2.36-9"]);
    let distroless = [
        ("usr/lib/os-release", "ID=debian\n"),
        ("var/lib/dpkg/status.d/base-files", "Package: base-files\nVersion: 12.4\nArchitecture: amd64\n"),
        ("var/lib/dpkg/status.d/base-files.md5sums", "Package: no\nVersion: 1\n"),
        ("var/lib/dpkg/status.d/deep/x", "Package: no\nVersion: 1\n"),
        ("var/lib/dpkg/status.d/tzdata", "Package: tzdata\nVersion: 2024a-0\nArchitecture: all\n"),
    ];
    assert_eq!(of(&distroless), ["base-files 12.4", "tzdata 2024a-0"]);
    let alpine = [("etc/os-release", "ID=alpine\nVERSION_ID=3.19\n"), (APK[0], "P:musl\nV:1.2.4-r2\nA:x86_64\n\n")];
    assert_eq!(of(&alpine), ["musl 1.2.4-r2"]);
    assert_eq!(of(&[("a", "1")]), [""; 0]);
    let packages = of_base(&image("amd64", vec![layer(&alpine)]), None, &Cancel::new()).unwrap();
    let purl = packages[0].purl.as_ref().unwrap().to_string();
    assert_eq!(purl, "pkg:apk/alpine/musl@1.2.4-r2?arch=x86_64&distro=alpine-3.19");
}

#[test]
fn upper_layers_hide_what_is_below() {
    let (one, two) = (status(&[("a", "1")]), status(&[("b", "2")]));
    let part = |name: &str| format!("var/lib/dpkg/status.d/{name}");
    let (parts, of_part) = ([part("x"), part("y")], |name: &str| format!("Package: {name}\nVersion: 1\n"));
    let (x, y) = (of_part("x"), of_part("y"));
    let below = || layer(&[DEBIAN, (DPKG, &one), (&parts[0], &x), (&parts[1], &y)]);
    let file = tar::EntryType::Regular;
    let cases: [(&str, ImageLayer, &[&str]); 8] = [
        ("nothing", layer(&[("a", "1")]), &["a 1", "x 1", "y 1"]),
        ("another list", layer(&[(DPKG, &two)]), &["b 2", "x 1", "y 1"]),
        ("a list less", odd_layer(&[("./var/lib/dpkg/.wh.status", file, "")]), &["x 1", "y 1"]),
        ("a part less", odd_layer(&[("var/lib/dpkg/status.d/.wh.x", file, "")]), &["a 1", "y 1"]),
        ("a folder less", odd_layer(&[("var/lib/.wh.dpkg", file, "")]), &[]),
        (
            "a folder anew",
            odd_layer(&[("var/lib/dpkg/status.d/z", file, &of_part("z")), ("var/lib/dpkg/.wh..wh..opq", file, "")]),
            &["z 1"],
        ),
        ("a link instead", odd_layer(&[("var/lib/dpkg", tar::EntryType::Symlink, "/elsewhere")]), &[]),
        ("a link for a list", odd_layer(&[(DPKG, tar::EntryType::Symlink, "/etc/passwd")]), &["x 1", "y 1"]),
    ];
    for (name, above, expected) in cases {
        assert_eq!(listed(&image("amd64", vec![below(), above.clone()])), expected, "{name}");
        let turned = listed(&image("amd64", vec![above, below()]));
        assert!(["a 1", "x 1", "y 1"].iter().all(|one| turned.iter().any(|it| it == one)), "{name} below: {turned:?}");
    }
}

#[test]
fn an_apps_own_lists_are_not_its_bases() {
    let base = image("amd64", vec![layer(&[DEBIAN, (DPKG, &status(&[("a", "1")]))])]);
    let base = Base { image: base, name: "run".to_owned(), reference: "run".to_owned() };
    let app = app_on(&base, &[(DPKG, &status(&[("evil", "1")])), ("workspace/app", "1")]);
    assert_eq!(listed(&app), ["a 1"]);
    let mut lost = app.clone();
    let mut config: Value = serde_json::from_slice(&app.config).unwrap();
    config["config"]["Labels"][LIFECYCLE_LABEL] = json!("{\"runImage\":{\"topLayer\":\"sha256:1\"}}");
    lost.config = config.to_string().into_bytes();
    assert_eq!(listed(&lost), [""; 0], "where the base ends is not known");
}

#[test]
fn a_base_is_read_once() {
    let results = MemoryResults::default();
    let base = image("amd64", vec![layer(&[DEBIAN, (DPKG, &status(&[("a", "1")]))])]);
    assert_eq!(at_hand(&base, Some(&results), &Cancel::new()).unwrap(), None, "nobody built it on anything");
    let base = Base { image: base, name: "run".to_owned(), reference: "run".to_owned() };
    let mut app = app_on(&base, &[("workspace/app", "1")]);
    let first = of_base(&app, Some(&results), &Cancel::new()).unwrap();
    assert_eq!((first.len(), at_hand(&app, None, &Cancel::new()).unwrap()), (1, Some(first.clone())));
    app.layers[0].content = Arc::new(Bytes::new(b"torn".as_slice()));
    app.layers[0].origin = Some("registry.example.com/base".to_owned());
    assert_eq!(of_base(&app, Some(&results), &Cancel::new()).unwrap(), first);
    assert_eq!(at_hand(&app, Some(&results), &Cancel::new()).unwrap(), Some(first));
    assert_eq!(at_hand(&app, None, &Cancel::new()).unwrap(), None, "nothing is fetched for it");
    assert_eq!(of_base(&app, None, &Cancel::new()).unwrap_err().fault, Fault::Integrity);
}

#[test]
fn what_is_not_what_it_says_is_refused() {
    let good = layer(&[DEBIAN, (DPKG, &status(&[("a", "1")]))]);
    let refused = |layer: ImageLayer| {
        let image = Image::new(Platform::linux("amd64"), image("amd64", vec![]).config, vec![layer]);
        let error = of_base(&image, None, &Cancel::new()).unwrap_err();
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        format!("{error}: {cause}")
    };
    let lied = ImageLayer { diff_id: Digest::of(b"x"), ..good.clone() };
    assert!(refused(lied).contains("a layer's diffID is"), "a layer under another's name");
    let mut vast = good.clone();
    vast.descriptor.size = MAX_BASE + 1;
    assert!(refused(vast).contains("are allowed"));
    // A header that promises more than such a list has: nothing of it is read.
    let mut header = tar::Header::new_gnu();
    header.set_path(DPKG).unwrap();
    header.set_size(MAX_LIST + 1);
    header.set_cksum();
    assert!(refused(of_bytes(header.as_bytes().to_vec())).contains("larger than such lists are"));
    let cancel = Cancel::new();
    cancel.set();
    let stopped = of_base(&image("amd64", vec![good]), None, &cancel).unwrap_err();
    assert_eq!(stopped.fault, Fault::Cancelled);
}
