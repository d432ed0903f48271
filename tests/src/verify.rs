//! Images compared with what their source gives.

use crate::support::{env::TestEnv, images::named_base, jar};

fn world() -> TestEnv {
    let env = TestEnv::warm();
    env.write("tiny.jar", jar::boot());
    for version in ["1", "2"] {
        named_base(&env, "bases", Some(version));
    }
    env.run(&["build", "tiny.jar", "--tag", "tiny", "--run-image", "oci:bases:1"]).succeeds();
    env
}

#[test]
fn an_image_is_what_its_source_gives() {
    let env = world();
    let good = env.run(&["verify", "tiny", "tiny.jar", "--run-image", "oci:bases:1"]).succeeds();
    let digest = env.run(&["images", "-o", "json"]).succeeds().stdout;
    assert!(digest.contains(good.result()), "{digest}");
    assert!(good.stderr.ends_with("tiny is what the source gives\n"), "{}", good.stderr);
}

#[test]
fn the_first_difference_is_named() {
    let env = world();
    let differs = |more: &[&str]| {
        let command = [&["verify", "tiny", "tiny.jar", "--quiet"], more].concat();
        env.run(&command).ends_with(112).stderr
    };
    let base = differs(&["--run-image", "oci:bases:2"]);
    let setting = differs(&["--run-image", "oci:bases:1", "-e", "BP_JVM_VERSION=21"]);
    insta::with_settings!({ filters => vec![("[0-9a-f]{64}", "HEX"), ("[0-9a-f]{12}", "SHORT"), ("size is [0-9]+, and [0-9]+", "size is A, and B")] }, {
        insta::assert_snapshot!([base, setting].concat(), @r"
        error: tiny is not what the source gives
          first difference: the image stands on the base oci:bases:1@sha256:HEX, and was built again on oci:bases:2@sha256:HEX
        hint: --run-image names the base that the image stands on
        error: tiny is not what the source gives
          first difference: layer 3 (Layer: 'jre', Created by buildpack: stave/java@0.1.0): `/layers/stave_java/jre/bin/java`: its size is A, and B when built again
        ");
    });
    let json = env.run(&["verify", "tiny", "tiny.jar", "--run-image", "oci:bases:2", "-o", "json"]).ends_with(112);
    let about: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&about["same"], about["difference"].is_string()), (&false.into(), true));
}
