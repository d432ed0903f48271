//! Bills of images of ours and of others, and of those that mean harm.

use std::sync::Arc;

use serde_json::json;
use stave_archive::content::Bytes;
use stave_lifecycle::{
    image::{Descriptor, ImageLayer, LAYER},
    port::bases::Base,
};

use super::*;
use crate::testing::{billed_app_on, image, layer};

/// An image whose label says that its last layer has the bills.
fn with_label(layers: Vec<ImageLayer>, sha: &str) -> Image {
    let mut image = image("amd64", layers);
    let mut config: Value = serde_json::from_slice(&image.config).unwrap();
    let label = json!({ "sbom": { "sha": sha }, "anything": [1] }).to_string();
    config["config"] = json!({ "Labels": { LIFECYCLE_LABEL: label } });
    image.config = config.to_string().into_bytes();
    image
}

fn bills_of(layer: ImageLayer) -> Result<Vec<String>, PortError> {
    let sha = layer.diff_id.to_string();
    read(&with_label(vec![layer], &sha)).map(|bills| bills.unwrap().into_keys().collect())
}

#[test]
fn bills_are_found_by_the_label() {
    assert!(read(&image("amd64", vec![layer(&[("a", "1")])])).unwrap().is_none());
    assert!(read(&with_label(vec![], "")).unwrap().is_none());
    let files = [("layers/sbom/launch/a_b/l/sbom.cdx.json", "{}"), ("layers/sbom/launch/sbom.legacy.json", "[]")];
    assert_eq!(bills_of(layer(&files)).unwrap(), files.map(|(path, _)| path));
    let missing = read(&with_label(vec![layer(&files)], "sha256:1")).unwrap_err();
    assert_eq!(missing.to_string(), "could not find the SBOM of the image");
}

#[test]
fn what_is_no_bill_is_left_where_it_is() {
    let odd = [
        ("layers/other/x.json", "x"),
        ("layers/sbomb/x.json", "x"),
        ("layers/sbom/launch/.hidden", "x"),
        ("layers/sbom/launch/sp ace.json", "x"),
        ("etc/passwd", "x"),
        ("layers/sbom/ok.json", "x"),
    ];
    assert_eq!(bills_of(layer(&odd)).unwrap(), ["layers/sbom/ok.json"]);
    for path in ["layers/sbom/../../x", "/etc/x", "layers/sbom//x", "../layers/sbom/x", "layers/sbom"] {
        assert!(!normal(path).is_some_and(|path| is_bill(&path)), "{path}");
    }
}

#[test]
fn a_layer_that_is_another_one_is_refused() {
    let (good, other) = (layer(&[("layers/sbom/a", "1")]), layer(&[("layers/sbom/a", "2")]));
    let swapped = ImageLayer { content: other.content.clone(), ..good.clone() };
    assert!(bills_of(swapped).is_err());
    let lied = ImageLayer { diff_id: good.diff_id, ..other };
    assert_eq!(bills_of(lied).unwrap_err().fault, Fault::Integrity);
    let mut cut = good;
    cut.descriptor.media_type = stave_lifecycle::image::LAYER.to_owned();
    assert!(bills_of(cut).is_err(), "what is packed is no tar");
}

/// A base with one package and an app on it, which has one library.
fn app_on_base(bills: &[(&str, &str)]) -> Image {
    let status = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\n";
    let base = image("amd64", vec![layer(&[("etc/os-release", "ID=debian\n"), ("var/lib/dpkg/status", status)])]);
    let base = Base { image: base, name: "run".to_owned(), reference: "run".to_owned() };
    billed_app_on(&base, &[("workspace/app", "1")], bills)
}

fn names(bill: &[u8]) -> Vec<String> {
    sbom::read(bill).unwrap().into_iter().map(|one| format!("{} {}", one.name, one.version)).collect()
}

fn unwarned(error: &PortError) {
    panic!("{error}");
}

/// An app on a base whose only layer is not an archive.
#[test]
fn a_base_that_cannot_be_read_takes_nothing_from_the_app() {
    let odd = vec![b'x'; 2048];
    let (digest, content) = (Digest::of(&odd), Arc::new(Bytes::new(odd)));
    let descriptor = Descriptor { media_type: LAYER.to_owned(), digest, size: 2048 };
    let base = image("amd64", vec![ImageLayer { descriptor, diff_id: digest, content, origin: None }]);
    let base = Base { image: base, name: "run".to_owned(), reference: "run".to_owned() };
    let cdx = String::from_utf8(Format::CycloneDx.write("image", &[])).unwrap();
    let bills = |bills: &[(&str, &str)], warn: &mut dyn FnMut(&PortError)| {
        of(&billed_app_on(&base, &[("a", "1")], bills), None, &Cancel::new(), warn)
    };
    let mut warned = Vec::new();
    let carried = bills(&[("layers/sbom/launch/sbom.cdx.json", &cdx)], &mut |error| warned.push(error.to_string()));
    assert_eq!(carried.unwrap().into_keys().collect::<Vec<_>>(), ["layers/sbom/launch/sbom.cdx.json"]);
    assert_eq!(warned, ["could not read which packages the image's base has"]);
    assert_eq!(bills(&[], &mut unwarned).unwrap_err().to_string(), warned[0], "there is nothing else to write");
}

#[test]
fn a_base_and_the_whole_follow_from_the_image() {
    let library = Component {
        group: "org.example".to_owned(),
        name: "core".to_owned(),
        version: "1".to_owned(),
        purl: None,
        licenses: vec!["MIT".to_owned()],
        sha256: None,
    };
    let cdx = String::from_utf8(Format::CycloneDx.write("image", std::slice::from_ref(&library))).unwrap();
    let image = app_on_base(&[("layers/sbom/launch/sbom.cdx.json", &cdx), ("layers/sbom/launch/sbom.spdx.json", "{}")]);
    let bills = of(&image, None, &Cancel::new(), &mut unwarned).unwrap();
    let paths: Vec<&str> = bills.keys().map(String::as_str).collect();
    let expected = ["base/sbom.cdx", "base/sbom.spdx", "launch/sbom.cdx", "launch/sbom.spdx", "sbom.cdx", "sbom.spdx"];
    assert_eq!(paths, expected.map(|path| format!("layers/sbom/{path}.json")));
    assert_eq!(names(&bills["layers/sbom/base/sbom.cdx.json"]), ["libc6 2.36-9"]);
    assert_eq!(names(&bills["layers/sbom/sbom.cdx.json"]), ["libc6 2.36-9", "core 1"]);
    assert_eq!(bills["layers/sbom/launch/sbom.cdx.json"], cdx.as_bytes(), "what the image carries stays as it is");
    assert_eq!(of(&image, None, &Cancel::new(), &mut unwarned).unwrap(), bills);
    // The parts, as they are attached.
    let attached = [of_app(&image).unwrap(), of_base(&image, None, &Cancel::new()).unwrap()].concat();
    let expected = ["launch/sbom.cdx", "launch/sbom.spdx", "base/sbom.cdx", "base/sbom.spdx"];
    let expected = expected.map(|path| bills[&format!("layers/sbom/{path}.json")].clone());
    assert_eq!(attached.into_iter().map(|(_, bill)| bill).collect::<Vec<_>>(), expected);
}

#[test]
fn the_whole_is_there_where_all_is_known() {
    let paths = |image: &Image| of(image, None, &Cancel::new(), &mut unwarned).unwrap().into_keys().collect::<Vec<_>>();
    let base = ["layers/sbom/base/sbom.cdx.json", "layers/sbom/base/sbom.spdx.json"];
    let whole = ["layers/sbom/sbom.cdx.json", "layers/sbom/sbom.spdx.json"];
    // Nothing is known of the app but what it stands on.
    assert_eq!(paths(&app_on_base(&[])), [base, whole].concat());
    // Another lifecycle's image: bills of layers, and none of all of them.
    let other = "layers/sbom/launch/a_b/l/sbom.cdx.json";
    assert_eq!(paths(&app_on_base(&[(other, "{}")])), [&base[..], &[other]].concat());
    assert_eq!(paths(&image("amd64", vec![layer(&[("a", "1")])])), [""; 0]);
    let torn = app_on_base(&[("layers/sbom/launch/sbom.cdx.json", "{")]);
    let error = of(&torn, None, &Cancel::new(), &mut unwarned).unwrap_err();
    assert_eq!(
        (error.fault, error.to_string().as_str()),
        (Fault::InvalidInput, "could not use the SBOM of the app in the image")
    );
}
