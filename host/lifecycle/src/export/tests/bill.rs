//! The layer with the bills of materials: where it stands, what is in it, and when there is none.

use stave_model::sbom::Component;

use super::*;

fn known() -> Built {
    let mut built = simple();
    let jre = Component {
        group: String::new(),
        name: "jre".to_owned(),
        version: "21.0.8".to_owned(),
        purl: Some("pkg:pypi/jre@21.0.8".parse().unwrap()),
        licenses: vec!["MIT".to_owned()],
        sha256: Some(Digest::of(b"jre")),
    };
    for layer in &mut built.parts[0].layers {
        // What only a build needs is not in the image, and in no bill of it.
        if layer.name.as_str() != "cds" {
            layer.contents.push(Component { name: format!("in-{}", layer.name), ..jre.clone() });
        }
    }
    built
}

#[test]
fn bills_stand_between_the_buildpacks_layers_and_the_app() {
    let image = Yard::new().export(&known()).unwrap();
    let history = config(&image)["history"].clone();
    let by: Vec<&str> = history.as_array().unwrap().iter().map(|e| e["created_by"].as_str().unwrap()).collect();
    insta::assert_snapshot!(by.join("\n"), @"
    base
    Layer: 'cds', Created by buildpack: acme/tool@1.2.3
    Layer: 'jre', Created by buildpack: acme/tool@1.2.3
    Software Bill-of-Materials
    Application Layer
    Buildpacks Application Launcher
    Buildpacks Launcher Config
    Buildpacks Process Types
    ");
    let label: Value =
        serde_json::from_str(config(&image)["config"]["Labels"][LIFECYCLE_LABEL].as_str().unwrap()).unwrap();
    assert_eq!(label["sbom"]["sha"], json!(image.layers[3].diff_id));
    assert_eq!(label["app"], json!([{ "sha": image.layers[4].diff_id }]));
    assert_eq!(label["launcher"]["sha"], json!(image.layers[5].diff_id));
    let paths: Vec<String> =
        entries(&image.layers[3]).iter().map(|line| line.split(" = ").next().unwrap().to_owned()).collect();
    insta::assert_snapshot!(paths.join("\n"), @"
    755 1001:1000 /layers
    755 1001:1000 /layers/sbom
    755 1001:1000 /layers/sbom/launch
    755 1001:1000 /layers/sbom/launch/acme_tool
    755 1001:1000 /layers/sbom/launch/acme_tool/jre
    644 1001:1000 /layers/sbom/launch/acme_tool/jre/sbom.cdx.json
    644 1001:1000 /layers/sbom/launch/acme_tool/jre/sbom.spdx.json
    644 1001:1000 /layers/sbom/launch/sbom.cdx.json
    644 1001:1000 /layers/sbom/launch/sbom.spdx.json
    ");
    let text = entries(&image.layers[3]).join("\n");
    assert!(text.contains("in-jre") && !text.contains("in-jdk"), "{text}");
}

#[test]
fn equal_builds_have_equal_bills_and_unknown_ones_none() {
    let (one, two) = (Yard::new().export(&known()).unwrap(), Yard::new().export(&known()).unwrap());
    assert_eq!(one.digest(), two.digest());
    let plain = Yard::new().export(&simple()).unwrap();
    assert_eq!(plain.layers.len() + 1, one.layers.len());
    assert!(!config(&plain)["config"]["Labels"][LIFECYCLE_LABEL].as_str().unwrap().contains("sbom"));
}
