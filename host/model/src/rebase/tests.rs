//! The checks as a table, and what becomes of configuration and labels.

use std::error::Error;

use super::*;
use crate::digest::Digest;

fn id(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

/// A base with two layers, tagged as `tag`.
fn base(tag: &str) -> Value {
    json!({
        "architecture": "arm64", "os": "linux", "created": "2026-01-01T00:00:00Z", "os.version": tag,
        "config": {
            "Env": ["PATH=/usr/bin", format!("CNB_STACK_ID={tag}"), "TZ=UTC"],
            "Labels": {
                "io.buildpacks.base.distro.name": "debian", "io.buildpacks.base.distro.version": "13",
                "io.buildpacks.base.id": tag, "io.buildpacks.stack.id": "tiny", "other": tag,
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [id("root"), id(tag)] },
        "history": [
            { "created_by": "root" }, { "created_by": "env", "empty_layer": true }, { "created_by": tag }
        ],
    })
}

/// An image on the base `one`, as it is built here.
fn app() -> Value {
    let metadata = json!({
        "app": [{ "sha": id("app") }], "buildpacks": [], "config": { "sha": id("app") }, "launcher": { "sha": id("app") },
        "process-types": { "sha": "" },
        "runImage": { "topLayer": id("one"), "reference": "registry.example.com/run@sha256:1",
                      "image": "registry.example.com/run:1", "mirrors": ["mirror.example.com:5000/m/run:1"] },
        "stack": { "runImage": { "image": "registry.example.com/run:1", "mirrors": ["mirror.example.com:5000/m/run:1"] } },
    });
    let ours: LifecycleMetadata = serde_json::from_value(metadata).unwrap();
    json!({
        "architecture": "arm64", "os": "linux", "variant": "v8", "created": CREATED, "os.version": "one",
        "config": {
            "Env": ["PATH=/cnb/process:/cnb/lifecycle:/usr/bin", "CNB_PLATFORM_API=0.14", "TZ=UTC"],
            "Entrypoint": ["/cnb/process/web"], "User": "1001:1000",
            "Labels": {
                "io.buildpacks.base.distro.name": "debian", "io.buildpacks.base.distro.version": "13",
                "io.buildpacks.base.id": "one", "io.buildpacks.stack.id": "tiny", "other": "app",
                "io.buildpacks.lifecycle.metadata": serde_json::to_string(&ours).unwrap(),
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [id("root"), id("one"), id("app")] },
        "history": [
            { "created": CREATED, "created_by": "root" }, { "created": CREATED, "created_by": "one" },
            { "created": CREATED, "created_by": "Application Layer" },
        ],
    })
}

fn onto(app: &Value, base: &Value, name: &str, force: bool) -> Result<Rebase, Refusal> {
    let (config, reference) = (base.to_string().into_bytes(), format!("{name}@{}", id("manifest")));
    decide(app.to_string().as_bytes(), &NewBase { config: &config, name, reference: &reference }, force)
}

/// The outcome and its causes in one line.
fn said(outcome: Result<Rebase, Refusal>) -> String {
    match outcome {
        Ok(done) => {
            let overruled: Vec<String> = done.overruled.iter().map(|refusal| format!(", although {refusal}")).collect();
            format!("yes: {}{}", done.rule, overruled.concat())
        }
        Err(refusal) => match refusal.source() {
            Some(cause) => format!("no: {refusal}: {cause}"),
            None => format!("no: {refusal}"),
        },
    }
}

const NAME: &str = "registry.example.com/run:1";

#[test]
fn the_checks_in_their_order() {
    type Change = fn(&mut Value, &mut Value);
    let old: Change = |app, _| app["config"]["Env"] = json!(["CNB_PLATFORM_API=0.11"]);
    let cases: [(&str, Change); 16] = [
        ("as it is", |_, _| ()),
        ("not to be rebased", |app, _| app["config"]["Labels"]["io.buildpacks.rebasable"] = json!("false")),
        ("another machine", |_, base| base["architecture"] = json!("amd64")),
        ("another variant", |_, base| base["variant"] = json!("v9")),
        ("another version", |_, base| base["config"]["Labels"]["io.buildpacks.base.distro.version"] = json!("12")),
        ("base names no distribution", |_, base| base["config"]["Labels"] = json!({})),
        ("image names no distribution", |app, _| {
            app["config"]["Labels"]["io.buildpacks.base.distro.name"] = json!("");
        }),
        ("old, same stack", |app, _| app["config"]["Env"] = json!(["CNB_PLATFORM_API=0.11"])),
        ("old, no stack", |app, base| {
            (app["config"]["Env"], base["config"]["Labels"]) = (json!([]), json!({}));
        }),
        ("old, a mixin is missing", |app, base| {
            app["config"]["Env"] = Value::Null;
            app["config"]["Labels"]["io.buildpacks.stack.mixins"] = json!(r#"["git","run:zlib"]"#);
            base["config"]["Labels"]["io.buildpacks.stack.mixins"] = json!(r#"["zlib"]"#);
        }),
        ("not built", |app, _| drop(app["config"]["Labels"].as_object_mut().unwrap().remove(LIFECYCLE_LABEL))),
        ("broken label", |app, _| app["config"]["Labels"][LIFECYCLE_LABEL] = json!("{")),
        ("empty label", |app, _| app["config"]["Labels"][LIFECYCLE_LABEL] = json!("{}")),
        ("no such layer", |app, _| app["rootfs"]["diff_ids"][1] = json!("sha256:0")),
        ("no base layers", |_, base| base["rootfs"]["diff_ids"] = json!([])),
        ("no configuration", |app, _| *app = json!([])),
    ];
    let lines = cases.map(|(what, change)| {
        let (mut app, mut base) = (app(), base("two"));
        change(&mut app, &mut base);
        let (plain, forced) = (said(onto(&app, &base, NAME, false)), said(onto(&app, &base, NAME, true)));
        if plain == forced { format!("{what}\n  {plain}") } else { format!("{what}\n  {plain}\n  forced {forced}") }
    });
    let text = lines.join("\n").replace(&id("one").to_string(), "<one>");
    insta::assert_snapshot!(text, @"
    as it is
      yes: the image names registry.example.com/run:1 as its base
    not to be rebased
      no: the image says that it must not be rebased (label io.buildpacks.rebasable)
      forced yes: the image names registry.example.com/run:1 as its base, although the image says that it must not be rebased (label io.buildpacks.rebasable)
    another machine
      no: the image is for linux/arm64/v8, the new base for linux/amd64
    another variant
      no: the image is for linux/arm64/v8, the new base for linux/arm64/v9
    another version
      no: the image was built on debian 13, the new base is debian 12
      forced yes: the image names registry.example.com/run:1 as its base, although the image was built on debian 13, the new base is debian 12
    base names no distribution
      yes: the image names registry.example.com/run:1 as its base
    image names no distribution
      no: the image was built on a distribution that it does not name, the new base is debian 13
      forced yes: the image names registry.example.com/run:1 as its base, although the image was built on a distribution that it does not name, the new base is debian 13
    old, same stack
      yes: the image names registry.example.com/run:1 as its base
    old, no stack
      no: the image is of the stack `tiny`, the new base of ``, and images of before platform API 0.12 stay on theirs
    old, a mixin is missing
      no: the new base lacks what the image asks of its stack: git
    not built
      no: the image was not built by buildpacks: it has no label io.buildpacks.lifecycle.metadata
    broken label
      no: the label io.buildpacks.lifecycle.metadata of the image cannot be read: EOF while parsing an object at line 1 column 1
    empty label
      no: the label io.buildpacks.lifecycle.metadata of the image cannot be read
    no such layer
      no: the image's base cannot be told from its app: no layer is `<one>`, which the label names as the base's last
    no base layers
      no: the configuration of the new base cannot be read: the base image's configuration has no valid `diff_ids`
    no configuration
      no: the configuration of the image cannot be read: the base image's configuration is not a JSON object
    ");
    let mut new = base("two");
    new["config"]["Labels"]["io.buildpacks.stack.id"] = json!("other");
    let mut app = app();
    old(&mut app, &mut new);
    assert!(matches!(onto(&app, &new, NAME, true).unwrap_err(), Refusal::Stack { .. }), "force does not help");
}

#[test]
fn names_that_are_taken() {
    let digest = id("x");
    let cases = [
        "registry.example.com/run:1",
        "registry.example.com/run:2",
        &format!("registry.example.com/run@{digest}"),
        "mirror.example.com:5000/m/run:1",
        "mirror.example.com:5000/m/run:1.0.1",
        "mirror.example.com:5000/m/run",
        "mirror.example.com/m/run:1",
        "registry.example.com/run-evil:1",
        "registry.example.com/a/run:1",
        "oci:registry.example.com/run",
        "run:1",
    ];
    let lines = cases.map(|name| {
        let outcome = onto(&app(), &base("two"), name, false);
        let names = outcome.as_ref().ok().map(|done| {
            let config: Value = serde_json::from_slice(&done.config).unwrap();
            let label = config["config"]["Labels"][LIFECYCLE_LABEL].as_str().unwrap();
            let known = known_names(&serde_json::from_str(label).unwrap());
            format!("\n  then {}", known.join(", "))
        });
        format!("{name}\n  {}{}", said(outcome), names.unwrap_or_default()).replace(&digest.to_string(), "<digest>")
    });
    insta::assert_snapshot!(lines.join("\n"), @"
    registry.example.com/run:1
      yes: the image names registry.example.com/run:1 as its base
      then registry.example.com/run:1, mirror.example.com:5000/m/run:1
    registry.example.com/run:2
      yes: it is of the same repository as registry.example.com/run:1
      then registry.example.com/run:2, mirror.example.com:5000/m/run:2
    registry.example.com/run@<digest>
      yes: it is of the same repository as registry.example.com/run:1
      then registry.example.com/run:1, mirror.example.com:5000/m/run:1
    mirror.example.com:5000/m/run:1
      yes: the image names mirror.example.com:5000/m/run:1 as its base
      then registry.example.com/run:1, mirror.example.com:5000/m/run:1
    mirror.example.com:5000/m/run:1.0.1
      yes: it is of the same repository as mirror.example.com:5000/m/run:1
      then registry.example.com/run:1.0.1, mirror.example.com:5000/m/run:1.0.1
    mirror.example.com:5000/m/run
      yes: it is of the same repository as mirror.example.com:5000/m/run:1
      then registry.example.com/run:1, mirror.example.com:5000/m/run:1
    mirror.example.com/m/run:1
      no: `mirror.example.com/m/run:1` is not a base of the image, which stands on registry.example.com/run:1, mirror.example.com:5000/m/run:1
    registry.example.com/run-evil:1
      no: `registry.example.com/run-evil:1` is not a base of the image, which stands on registry.example.com/run:1, mirror.example.com:5000/m/run:1
    registry.example.com/a/run:1
      no: `registry.example.com/a/run:1` is not a base of the image, which stands on registry.example.com/run:1, mirror.example.com:5000/m/run:1
    oci:registry.example.com/run
      no: `oci:registry.example.com/run` is not a base of the image, which stands on registry.example.com/run:1, mirror.example.com:5000/m/run:1
    run:1
      no: `run:1` is not a base of the image, which stands on registry.example.com/run:1, mirror.example.com:5000/m/run:1
    ");
    let forced = onto(&app(), &base("two"), "other.example.com/run:7", true).unwrap();
    assert_eq!(candidates(&forced.config, None).unwrap(), ["other.example.com/run:7"]);
}

#[test]
fn a_layout_s_name_has_its_folder_as_repository() {
    for (name, repository, tag) in [
        ("oci:base", "oci:base", None),
        ("oci:a/b.c:run", "oci:a/b.c", Some("run")),
        ("host:5000/run", "host:5000/run", None),
        ("host:5000/run:1@sha256:0", "host:5000/run", Some("1")),
    ] {
        let parsed = Name::parse(name);
        assert_eq!((parsed.repository, parsed.tag), (repository, tag), "{name}");
    }
}

#[test]
fn where_a_base_is_looked_for() {
    let app = app().to_string().into_bytes();
    let near = candidates(&app, Some("mirror.example.com:5000")).unwrap();
    assert_eq!(near, ["mirror.example.com:5000/m/run:1", "registry.example.com/run:1"]);
    for registry in [None, Some("mirror.example.com")] {
        assert_eq!(candidates(&app, registry).unwrap()[0], "registry.example.com/run:1");
    }
    let mut old: Value = serde_json::from_slice(&app).unwrap();
    let metadata = json!({ "runImage": { "topLayer": "x" }, "stack": { "runImage": { "image": "old/run" } } });
    old["config"]["Labels"][LIFECYCLE_LABEL] = json!(metadata.to_string());
    assert_eq!(candidates(old.to_string().as_bytes(), None).unwrap(), ["old/run"]);
}

#[test]
fn the_base_is_exchanged_and_nothing_else() {
    let done = onto(&app(), &base("two"), NAME, false).unwrap();
    assert_eq!((done.old_layers, done.env_kept.len()), (2, 0));
    let config: Value = serde_json::from_slice(&done.config).unwrap();
    assert_eq!(config["rootfs"]["diff_ids"], json!([id("root"), id("two"), id("app")]));
    let by: Vec<&Value> = config["history"].as_array().unwrap().iter().map(|entry| &entry["created_by"]).collect();
    assert_eq!(by, ["root", "two", "Application Layer"]);
    assert!(config["history"].as_array().unwrap().iter().all(|entry| entry["created"] == CREATED));
    assert_eq!((&config["variant"], &config["os.version"]), (&json!("v8"), &json!("two")));
    assert_eq!(config["config"]["Env"], app()["config"]["Env"]);
    let labels = &config["config"]["Labels"];
    assert_eq!((&labels["io.buildpacks.base.id"], &labels["other"]), (&json!("two"), &json!("app")));
    let metadata: Value = serde_json::from_str(labels[LIFECYCLE_LABEL].as_str().unwrap()).unwrap();
    assert_eq!(metadata["runImage"]["topLayer"], json!(id("two")));
    assert_eq!(metadata["runImage"]["reference"], json!(format!("{NAME}@{}", id("manifest"))));
    assert_eq!(metadata["runImage"]["image"], NAME);
}

#[test]
fn the_way_back_gives_the_first_image_again() {
    // The first rebase writes where the base was found in its own words; from there it is a circle.
    let first = onto(&app(), &base("one"), NAME, false).unwrap().config;
    let mut image: Value = serde_json::from_slice(&first).unwrap();
    for (tag, name) in [("two", "registry.example.com/run:2"), ("three", "registry.example.com/run:3"), ("one", NAME)] {
        image = serde_json::from_slice(&onto(&image, &base(tag), name, false).unwrap().config).unwrap();
    }
    assert_eq!(image.to_string(), String::from_utf8(first).unwrap());
}

#[test]
fn what_a_lifecycle_wrote_into_the_label_stays() {
    let mut app = app();
    let text = app["config"]["Labels"][LIFECYCLE_LABEL].as_str().unwrap();
    let mut metadata: Value = serde_json::from_str(text).unwrap();
    metadata["sbom"] = json!({ "sha": "sha256:1" });
    metadata["buildpacks"] =
        json!([{ "key": "x", "version": "1", "layers": { "l": { "data": { "deep": [1, null] } } } }]);
    app["config"]["Labels"][LIFECYCLE_LABEL] = json!(metadata.to_string());
    let done: Value = serde_json::from_slice(&onto(&app, &base("two"), NAME, false).unwrap().config).unwrap();
    let after: Value = serde_json::from_str(done["config"]["Labels"][LIFECYCLE_LABEL].as_str().unwrap()).unwrap();
    assert_eq!((&after["sbom"], &after["buildpacks"]), (&metadata["sbom"], &metadata["buildpacks"]));
}

#[test]
fn what_the_base_sets_otherwise_is_said() {
    let mut new = base("two");
    new["config"]["Env"] = json!(["PATH=/usr/local/bin:/usr/bin", "TZ=UTC", "LANG=C", "CNB_STACK_ID=x"]);
    let done = onto(&app(), &new, NAME, false).unwrap();
    let kept: Vec<String> = done.env_kept.iter().map(|kept| format!("{} {}", kept.build, kept.name)).collect();
    assert_eq!(kept, ["would set otherwise PATH", "would add LANG"]);
    let config: Value = serde_json::from_slice(&done.config).unwrap();
    assert_eq!(config["config"]["Env"], app()["config"]["Env"]);
}

#[test]
fn a_history_that_does_not_fit_is_blank() {
    let (mut app, mut new) = (app(), base("two"));
    (app["history"], new["history"]) = (json!([{}]), Value::Null);
    let done: Value = serde_json::from_slice(&onto(&app, &new, NAME, false).unwrap().config).unwrap();
    assert_eq!(done["history"], json!([{ "created": CREATED }, { "created": CREATED }, {}]));
}
