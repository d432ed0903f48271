//! Bills of images of ours and of others, and of those that mean harm.

use serde_json::json;
use stave_lifecycle::image::ImageLayer;

use super::*;
use crate::testing::{image, layer};

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
