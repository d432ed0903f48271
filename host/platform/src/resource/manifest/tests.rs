//! Manifests of kpack's are read as they are; what is wrong has its path.

use serde_json::json;

use super::*;
use crate::resource::{
    image::Tagging,
    policy::{Automatic, UpdatePolicy},
};

/// What is done to a manifest.
type Change = fn(&mut Value);

#[expect(clippy::panic_in_result_fn, reason = "what is no image here is a fault of the test")]
fn image(change: impl FnOnce(&mut Value)) -> Result<Image, Refused> {
    let mut manifest = json!({
        "apiVersion": "kpack.io/v1alpha2",
        "kind": "Image",
        "metadata": { "name": "web", "namespace": "team-a" },
        "spec": {
            "tag": "registry.example.com/team-a/web",
            "source": { "git": { "url": "https://git.example.com/web", "revision": "main" } },
        },
    });
    change(&mut manifest);
    parse(&manifest).map(|resource| match resource {
        Resource::Image(image) => *image,
        other => panic!("{other:?}"),
    })
}

fn refusal(change: impl FnOnce(&mut Value)) -> String {
    image(change).unwrap_err().to_string()
}

#[test]
fn defaults_are_the_fields() {
    let image = image(|_| {}).unwrap();
    let spec = &image.spec;
    assert_eq!((spec.failed_build_history_limit, spec.success_build_history_limit), (10, 10));
    assert_eq!(spec.image_tagging_strategy, Tagging::BuildNumber);
    assert_eq!(spec.builder.to_string(), "ClusterBuilder default");
    assert_eq!(spec.service_account_name, "default");
    assert_eq!(image.key().to_string(), "team-a/web");
    assert_eq!(spec.update_policy, UpdatePolicy { automatic: Automatic::All, windows: Vec::new() });
}

#[test]
fn what_a_cluster_gives_out_is_read() {
    let read = image(|manifest| {
        manifest["metadata"]["uid"] = json!("0-1");
        manifest["metadata"]["resourceVersion"] = json!("7");
        manifest["metadata"]["managedFields"] = json!([{ "manager": "kp" }]);
        manifest["metadata"]["generation"] = json!(3);
        manifest["status"] = json!({ "anything": [1, 2] });
        manifest["spec"]["builder"] = json!({ "kind": "Builder", "name": "mine" });
        manifest["spec"]["cache"] = json!({ "volume": { "size": "2G", "storageClassName": "fast" } });
        manifest["spec"]["build"] = json!({
            "env": [{ "name": "BP_JVM_VERSION", "value": "21" }, { "name": "EMPTY" }],
            "services": [{ "kind": "Secret", "name": "maven" }],
            "resources": { "limits": { "cpu": "1000m", "memory": "2Gi" }, "requests": { "cpu": 1 } },
            "tolerations": [{ "key": "a", "operator": "Exists" }],
            "nodeSelector": { "disk": "ssd" },
            "buildTimeout": 1600,
            "creationTime": "now",
        });
        manifest["spec"]["additionalTags"] = json!(["registry.example.com/team-a/web:v1"]);
        manifest["spec"]["imageTaggingStrategy"] = json!("None");
        manifest["spec"]["cosign"] = json!({ "annotations": [{ "name": "a", "value": "b" }] });
        manifest["spec"]["defaultProcess"] = json!("web");
    })
    .unwrap();
    assert_eq!(read.metadata.generation, 3);
    assert_eq!(read.spec.build.resources.limits["cpu"], read.spec.build.resources.requests["cpu"]);
    let written = json!({ "metadata": read.metadata, "spec": read.spec });
    let again: Image = serde_json::from_value(written).unwrap();
    assert_eq!(again, read);
}

/// Scenario 36.
#[test]
fn what_is_wrong_with_an_image_is_said_with_its_place() {
    let name = "a".repeat(64);
    let refused = refusal(|m| m["metadata"]["name"] = json!(name));
    assert_eq!(
        refused,
        format!(
            "Image `team-a/{name}` is refused: metadata.name: `{name}` is not a valid name: use lower-case letters, digits, \
             `-` and `.`, a letter or digit first and last, at most 63 characters"
        )
    );
    let cases: [(&str, Change); 15] = [
        ("spec.souce: unknown field `souce`, expected one of", |m| m["spec"]["souce"] = json!({})),
        ("spec.source.git.branch: unknown field `branch`", |m| m["spec"]["source"]["git"]["branch"] = json!("x")),
        ("spec.source: only one of git, blob and registry can be given, not git and blob", |m| {
            m["spec"]["source"]["blob"] = json!({ "url": "https://files.example.com/a.jar" });
        }),
        ("spec.source: one of git, blob and registry is needed", |m| m["spec"]["source"] = json!({})),
        ("spec.failedBuildHistoryLimit: it is at least 1", |m| m["spec"]["failedBuildHistoryLimit"] = json!(0)),
        ("spec.successBuildHistoryLimit: it is at least 1", |m| m["spec"]["successBuildHistoryLimit"] = json!(0)),
        ("spec.build.nodeSelector: the operating system follows from the builder", |m| {
            m["spec"]["build"] = json!({ "nodeSelector": { "kubernetes.io/os": "linux" } });
        }),
        ("spec.build.services[1].name: another binding has the same name", |m| {
            let secret = json!({ "kind": "Secret", "name": "a" });
            m["spec"]["build"] = json!({ "services": [secret, secret] });
        }),
        ("spec.build.env[0].valueFrom: unknown field `valueFrom`", |m| {
            m["spec"]["build"] =
                json!({ "env": [{ "name": "A", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }] });
        }),
        ("spec.additionalTags[0]: it is on the same registry as spec.tag", |m| {
            m["spec"]["additionalTags"] = json!(["other.example.com/web"]);
        }),
        ("spec.tag: `registry.example.com/web@sha256:00` is not the name of an image", |m| {
            m["spec"]["tag"] = json!("registry.example.com/web@sha256:00");
        }),
        ("spec.cache: only one of volume and registry can be given", |m| {
            m["spec"]["cache"] = json!({ "volume": { "size": "1G" }, "registry": { "tag": "registry.example.com/c" } });
        }),
        ("spec.builder.kind: unknown variant `Store`", |m| {
            m["spec"]["builder"] = json!({ "kind": "Store", "name": "a" });
        }),
        ("spec.updatePolicy: kpack does not know it: write apiVersion: stave/v1", |m| {
            m["spec"]["updatePolicy"] = json!({ "automatic": "stackOnly" });
        }),
        ("spec.notary: unknown field `notary`", |m| m["spec"]["notary"] = json!({})),
    ];
    for (expected, change) in cases {
        let refused = refusal(change);
        assert!(refused.contains(&format!(": {expected}")), "{refused}");
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let refused = refusal(|m| {
        m["spec"]["failedBuildHistoryLimit"] = json!(0);
        m["spec"]["build"] = json!({ "buildTimeout": 0, "creationTime": "yesterday" });
    });
    assert_eq!(
        refused,
        "Image `team-a/web` is refused: spec.failedBuildHistoryLimit: it is at least 1; spec.build.buildTimeout: it is at \
         least 1 second; spec.build.creationTime: it is empty, `now`, or seconds since 1970"
    );
}

#[test]
fn our_own_version_has_the_policy() {
    let read = image(|m| {
        m["apiVersion"] = json!("stave/v1");
        m["spec"]["updatePolicy"] = json!({ "automatic": "none" });
    });
    assert_eq!(read.unwrap().spec.update_policy.automatic, Automatic::None);
}

/// Scenario 35: what cannot be changed.
#[test]
fn some_things_stay() {
    let with_cache = |size: &str| {
        let cache = json!({ "volume": { "size": size } });
        image(|m| m["spec"]["cache"] = cache).unwrap()
    };
    let refusals = |old: &Image, new: &Image| old.refusals(new).iter().map(ToString::to_string).collect::<Vec<_>>();
    let old = with_cache("2G");
    assert_eq!(refusals(&old, &with_cache("3G")), [""; 0]);
    assert_eq!(refusals(&old, &with_cache("1500M")), ["spec.cache.volume.size: it only grows, and is 2G"]);
    assert_eq!(refusals(&old, &image(|_| {}).unwrap()), [""; 0], "a cache can be switched off");
    let other = image(|m| m["spec"]["tag"] = json!("registry.example.com/team-a/other")).unwrap();
    assert_eq!(
        refusals(&image(|_| {}).unwrap(), &other),
        ["spec.tag: it stays registry.example.com/team-a/web: another tag is another image"]
    );
}

#[test]
fn the_other_kinds_are_read_and_refused_alike() {
    let resource = |kind: &str, spec: Value| {
        let mut manifest = json!({ "apiVersion": "kpack.io/v1alpha2", "kind": kind, "metadata": { "name": "x" } });
        manifest["spec"] = spec;
        parse(&manifest).map_err(|refused| refused.to_string())
    };
    let order = json!([{ "group": [{ "id": "stave/java" }, { "id": "stave/procfile", "version": "1.0.0", "optional": true }] }]);
    let builder = json!({
        "tag": "registry.example.com/ops/default", "order": order,
        "stack": { "kind": "ClusterStack", "name": "base" }, "store": { "kind": "ClusterStore", "name": "default" },
        "lifecycle": { "kind": "ClusterLifecycle", "name": "default-lifecycle" },
        "serviceAccountRef": { "name": "ops", "namespace": "ops" },
    });
    assert!(matches!(resource("ClusterBuilder", builder), Ok(Resource::Builder(_))));
    let stack = json!({ "id": "io.example.base", "buildImage": { "image": "registry.example.com/build" },
        "runImage": { "image": "registry.example.com/run:1" } });
    assert!(matches!(resource("ClusterStack", stack), Ok(Resource::Stack(_))));
    let store = json!({ "sources": [{ "image": "registry.example.com/java" }] });
    assert!(matches!(resource("ClusterStore", store), Ok(Resource::Store(_))));
    let package = json!({ "image": "registry.example.com/java:1" });
    assert!(matches!(resource("Buildpack", package.clone()), Ok(Resource::Package(_))));
    assert!(matches!(resource("ClusterBuildpack", package), Ok(Resource::Package(_))));
    let of = |entry: Value| json!({ "order": [{ "group": [entry] }] });
    for (kind, spec, expected) in [
        ("ClusterStore", json!({ "sources": [] }), "spec.sources: at least one is needed"),
        ("ClusterStack", json!({ "id": "" , "runImage": { "image": "run" } }), "spec.id: it is empty"),
        ("Builder", json!({ "order": [] }), "spec.order: at least one group is needed"),
        ("Builder", json!({ "order": [{ "group": [] }] }), "spec.order[0].group: at least one buildpack is needed"),
        (
            "Builder",
            json!({ "order": [{ "group": [{ "id": "../x" }] }] }),
            "spec.order[0].group[0].id: `../x` is not a valid",
        ),
        (
            "Builder",
            json!({ "order": order, "lifecycle": { "name": "mine" } }),
            "spec.lifecycle: the program is its own",
        ),
        (
            "Builder",
            json!({ "order": order, "stack": { "kind": "Stack", "name": "a" } }),
            "spec.stack.kind: unknown variant",
        ),
        ("Build", json!({}), "kind: builds are made by the platform, not by hand"),
        ("ClusterLifecycle", json!({}), "kind: `ClusterLifecycle` is not known; Image, Builder"),
        ("ClusterBuildpack", json!({}), "spec: missing field `image`"),
        ("Buildpack", json!({ "image": "" }), "spec.image: "),
        (
            "Buildpack",
            json!({ "image": "registry.example.com/java", "serviceAccountRef": { "name": "ops", "namespace": "ops" } }),
            "spec.serviceAccountRef: a Buildpack has a serviceAccountName",
        ),
        (
            "ClusterBuildpack",
            json!({ "image": "registry.example.com/java", "serviceAccountName": "ops" }),
            "spec.serviceAccountName: a ClusterBuildpack has a serviceAccountRef",
        ),
        (
            "ClusterBuilder",
            of(json!({ "kind": "Buildpack", "name": "java" })),
            "spec.order[0].group[0].kind: a ClusterBuilder is of no namespace",
        ),
        (
            "Builder",
            of(json!({ "kind": "ClusterStore", "name": "java" })),
            "spec.order[0].group[0].kind: unknown variant",
        ),
        ("Builder", of(json!({ "kind": "Buildpack" })), "spec.order[0].group[0]: it has a `kind` and no `name`"),
        ("Builder", of(json!({ "name": "java" })), "spec.order[0].group[0]: it has a `name` and no `kind`"),
        ("Builder", of(json!({ "version": "1.0.0" })), "spec.order[0].group[0]: it names no buildpack"),
        ("Builder", of(json!({ "image": "registry.example.com/java" })), "spec.order[0].group[0].image: unknown field"),
    ] {
        let refused = resource(kind, spec).unwrap_err();
        assert!(refused.starts_with(&format!("{kind} `x` is refused: {expected}")), "{refused}");
    }
    let old = parse(&json!({ "apiVersion": "kpack.io/v1alpha1", "kind": "Image" })).unwrap_err();
    assert_eq!(
        old.to_string(),
        "Image is refused: apiVersion: `kpack.io/v1alpha1` is not read: write kpack.io/v1alpha2 or stave/v1"
    );
    assert!(
        parse(&json!([])).unwrap_err().to_string().starts_with("the manifest is refused: manifest: it is an object")
    );
}

/// Scenario 37.
#[test]
fn a_service_accounts_secret_is_no_binding() {
    let read = image(|m| {
        m["spec"]["build"] = json!({ "services": [
            { "kind": "Secret", "name": "maven" }, { "kind": "Secret", "name": "push" }, { "kind": "Redis", "name": "pull" },
        ] });
    })
    .unwrap();
    let held = ["push", "pull"].map(|name| name.parse().unwrap()).into();
    let problems: Vec<String> = read.forbidden_services(&held).iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        ["spec.build.services[1]: the secret push belongs to a service account, and buildpacks may not read it"]
    );
}

#[test]
fn a_resource_is_written_as_it_is_read() {
    let group =
        json!([{ "group": [{ "id": "acme/tool", "version": "1.0.0", "optional": true }, { "id": "acme/app" }] }]);
    let packages = json!([{ "group": [
        { "kind": "Buildpack", "name": "tool" },
        { "kind": "ClusterBuildpack", "name": "app", "id": "acme/app", "version": "1.0.0", "optional": true },
    ] }]);
    for (kind, namespace, spec) in [
        ("ClusterStack", None, json!({ "id": "base", "runImage": { "image": "registry.example.com/run:1" } })),
        ("ClusterStore", None, json!({ "sources": [{ "image": "registry.example.com/tool:1" }] })),
        ("ClusterBuilder", None, json!({ "stack": { "kind": "ClusterStack", "name": "base" }, "order": group })),
        ("Builder", Some("team-a"), json!({ "stack": { "kind": "ClusterStack", "name": "base" }, "order": group })),
        ("Builder", Some("team-a"), json!({ "stack": { "kind": "ClusterStack", "name": "base" }, "order": packages })),
        ("Buildpack", Some("team-a"), json!({ "image": "registry.example.com/tool:1", "serviceAccountName": "ops" })),
        (
            "ClusterBuildpack",
            None,
            json!({ "image": "registry.example.com/tool:1", "serviceAccountRef": { "name": "ops", "namespace": "ops" } }),
        ),
    ] {
        let mut manifest =
            json!({ "apiVersion": "kpack.io/v1alpha2", "kind": kind, "metadata": { "name": "one" }, "spec": spec });
        if let Some(namespace) = namespace {
            manifest["metadata"]["namespace"] = json!(namespace);
        }
        let resource = parse(&manifest).unwrap();
        assert_eq!((resource.kind(), resource.manifest()), (kind, manifest));
    }
    let mut written =
        Resource::Image(Box::new(image(|manifest| manifest["metadata"]["generation"] = json!(7)).unwrap()));
    assert_eq!(written.manifest()["apiVersion"], "kpack.io/v1alpha2");
    assert_eq!(written.manifest()["metadata"], json!({ "name": "web", "namespace": "team-a" }));
    if let Resource::Image(image) = &mut written {
        image.spec.watch.enabled = false;
    }
    assert_eq!(written.manifest()["apiVersion"], "stave/v1");
    let read = parse(&written.manifest()).unwrap();
    assert_eq!(read.manifest(), written.manifest());
}
