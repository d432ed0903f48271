//! What a build makes of an app with the default builder: a sound image with the field's labels.

use serde_json::Value;
use stave_lifecycle::image::Image;

use crate::support::{
    env::TestEnv,
    images::{checked_here, config},
    jar,
};

fn build(env: &TestEnv, app: &str, more: &[&str]) -> Image {
    env.run(&[&["build", app, "--to", "oci:out"], more].concat()).succeeds();
    checked_here(&env.work().join("out"))
}

fn label(image: &Image, name: &str) -> Value {
    let text = config(image)["config"]["Labels"][name].as_str().unwrap_or_else(|| panic!("no label {name}")).to_owned();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_boot_jar_becomes_an_image_with_the_fields_labels() {
    let env = TestEnv::warm();
    env.write("tiny.jar", jar::boot());
    let image = build(&env, "tiny.jar", &[]);
    let config = config(&image);
    insta::assert_snapshot!(serde_json::to_string_pretty(&config["config"]["Entrypoint"]).unwrap(), @r#"
    [
      "/cnb/process/web"
    ]
    "#);
    assert_eq!(config["config"]["User"], "1002:1000");
    assert_eq!(config["config"]["WorkingDir"], "/workspace");
    let labels: Vec<&String> = config["config"]["Labels"].as_object().unwrap().keys().collect();
    insta::assert_debug_snapshot!(labels, @r#"
    [
        "io.buildpacks.base.description",
        "io.buildpacks.base.distro.name",
        "io.buildpacks.base.distro.version",
        "io.buildpacks.base.id",
        "io.buildpacks.build.metadata",
        "io.buildpacks.lifecycle.metadata",
        "io.buildpacks.project.metadata",
        "io.buildpacks.rebasable",
        "io.buildpacks.stack.id",
        "org.opencontainers.image.title",
        "org.opencontainers.image.version",
        "org.springframework.boot.version",
    ]
    "#);
    assert_eq!(config["config"]["Labels"]["org.opencontainers.image.title"], "tiny");
    assert_eq!(config["config"]["Labels"]["org.opencontainers.image.version"], "1.2.3");
    let build = label(&image, "io.buildpacks.build.metadata");
    let types: Vec<&Value> = build["processes"].as_array().unwrap().iter().map(|process| &process["type"]).collect();
    assert_eq!(types, ["executable-jar", "task", "web"]);
    assert_eq!(build["buildpacks"][0]["id"], "stave/java");
}

#[test]
fn every_label_of_a_layer_is_a_layer() {
    let env = TestEnv::warm();
    env.write("tiny.jar", jar::boot());
    let image = build(&env, "tiny.jar", &[]);
    let config = config(&image);
    let diff_ids = config["rootfs"]["diff_ids"].as_array().unwrap();
    let lifecycle = label(&image, "io.buildpacks.lifecycle.metadata");
    let slices = lifecycle["app"].as_array().unwrap();
    // Libraries, loader and application: one layer each, so that a change of code moves no library.
    assert!(slices.len() >= 3, "{slices:?}");
    for slice in slices {
        assert!(diff_ids.contains(&slice["sha"]), "{slice}");
    }
    for (name, layer) in lifecycle["buildpacks"][0]["layers"].as_object().unwrap() {
        assert!(diff_ids.contains(&layer["sha"]), "{name}");
    }
    let top = lifecycle["runImage"]["topLayer"].as_str().unwrap();
    assert!(diff_ids.iter().any(|id| id == top), "{top}");
}

#[test]
fn a_plain_jar_and_a_folder_are_apps_too() {
    let env = TestEnv::warm();
    env.write("plain.jar", jar::plain());
    build(&env, "plain.jar", &[]);
    // The same jar in a folder is found there; and so is what it looks like unpacked.
    env.write("with-jar/plain.jar", jar::plain());
    env.run(&["build", "with-jar", "--to", "oci:in-folder"]).succeeds();
    checked_here(&env.work().join("in-folder"));
    env.write("exploded/META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\nMain-Class: com.example.Main\r\n\r\n");
    env.write("exploded/com/example/Main.class", [0xca, 0xfe, 0xba, 0xbe]);
    env.run(&["build", "exploded", "--to", "oci:from-exploded"]).succeeds();
    checked_here(&env.work().join("from-exploded"));
}

#[test]
fn one_changed_class_moves_one_slice() {
    let env = TestEnv::warm();
    let classes = "exploded/BOOT-INF/classes/com/example/Main.class";
    let unpacked = |env: &TestEnv, class: &[u8]| {
        for (name, text) in [
            (
                "META-INF/MANIFEST.MF",
                "Main-Class: x.Launcher\nSpring-Boot-Version: 3.5.0\nStart-Class: com.example.Main\nSpring-Boot-Classes: BOOT-INF/classes/\nSpring-Boot-Lib: BOOT-INF/lib/\nSpring-Boot-Layers-Index: BOOT-INF/layers.idx\n",
            ),
            (
                "BOOT-INF/layers.idx",
                "- \"dependencies\":\n  - \"BOOT-INF/lib/\"\n- \"application\":\n  - \"BOOT-INF/classes/\"\n  - \"META-INF/\"\n",
            ),
            ("BOOT-INF/lib/a.jar", "not looked into"),
        ] {
            env.write(&format!("exploded/{name}"), text);
        }
        env.write(classes, class);
    };
    unpacked(&env, b"one");
    let first = build(&env, "exploded", &[]);
    unpacked(&env, b"two");
    let second = build(&env, "exploded", &[]);
    let moved = first.layers.iter().filter(|layer| !second.layers.iter().any(|other| other.diff_id == layer.diff_id));
    assert_eq!(moved.count(), 1);
    assert_eq!(first.layers.len(), second.layers.len());
}
