//! Builders: what they need, what their orders come to, and that nothing is made twice (41 to 44).

use std::fs;

use stave_model::component::embed;

use crate::support::{guests, platform::World, process::root};

/// Publishes the procfile buildpack with another manifest.
pub(super) fn publish(world: &World, tag: &str, edit: impl Fn(String) -> String) {
    let manifest = fs::read_to_string(root().join("buildpacks/procfile/buildpack.toml")).unwrap();
    world.env.write("edited.wasm", embed(&guests::bare("procfile"), &edit(manifest)).unwrap());
    world.run(&format!("buildpack publish edited.wasm REG/buildpacks/procfile:{tag}")).succeeds();
}

pub(super) fn versioned(version: &str) -> impl Fn(String) -> String {
    move |manifest: String| {
        let edited = manifest.replacen("version = \"0.1.0\"", &format!("version = \"{version}\""), 1);
        assert_ne!(edited, manifest);
        edited
    }
}

/// The words of the builder's row.
fn row(world: &World, name: &str) -> Vec<String> {
    let listed = world.run("clusterbuilder list").succeeds().stdout;
    let row = listed.lines().find(|line| line.split_whitespace().next() == Some(name));
    row.unwrap_or_else(|| panic!("{listed}")).split_whitespace().map(str::to_owned).collect()
}

#[test]
fn scenario_41_what_a_builder_needs_is_named_where_it_is_missing() {
    let world = World::quick();
    let stack = "apiVersion: kpack.io/v1alpha2\nkind: ClusterStack\nmetadata: {name: empty}\n\
                 spec: {id: stave.small, runImage: {image: REG/stack/none}, buildImage: {image: REG/stack/none}}\n";
    world.env.write("stack.yaml", world.named(stack));
    world.run("apply -f stack.yaml");
    let create = "clusterbuilder create broken --tag REG/ops/broken";
    for (more, wanted) in [
        ("--store none --order order.yaml", "none"),
        ("--stack none --order order.yaml", "none"),
        ("--stack empty --order order.yaml", "empty"),
        ("--buildpack acme/none", "acme/none"),
    ] {
        let said = world.refused(&format!("{create} {more}"));
        assert!(said.contains(wanted), "{more}: {said}");
        assert_eq!(row(&world, "broken")[..2], ["broken", "false"], "{more}");
        world.typed("clusterbuilder delete broken");
    }
    let pushed = world.registry.asked();
    assert!(!pushed.iter().any(|line| line.contains("/v2/ops/broken/")), "{pushed:?}");
    // Once what was missing is there, it is ready by itself.
    world.refused(&format!("{create} --stack late --order order.yaml"));
    world.typed(&format!("clusterstack create late --run-image REG/stack/run@{}", world.new));
    assert_eq!(row(&world, "broken")[1], "true");
}

#[test]
fn scenario_42_the_highest_version_is_taken_unless_one_is_named() {
    let world = World::quick();
    for version in ["2.0.0", "10.0.0"] {
        publish(&world, version, versioned(version));
    }
    let sources = "-b REG/buildpacks/procfile:2.0.0 -b REG/buildpacks/procfile:10.0.0";
    world.typed(&format!("clusterstore create more {sources}"));
    let create = |name: &str, buildpack: &str| {
        format!("clusterbuilder create {name} --tag REG/ops/{name} --store more --buildpack {buildpack}")
    };
    let version = |name: &str| {
        world.document(&format!("clusterbuilder status {name}"))["status"]["builderMetadata"][0]["version"].clone()
    };
    world.typed(&create("highest", "stave/procfile"));
    assert_eq!(version("highest"), "10.0.0");
    world.typed(&create("exact", "stave/procfile@2.0.0"));
    assert_eq!(version("exact"), "2.0.0");
    let said = world.refused(&create("missing", "stave/procfile@3.0.0"));
    assert!(said.contains("stave/procfile") && said.contains("3.0.0"), "{said}");
    // What it names stays what it is when the store grows; what it does not, follows.
    publish(&world, "11.0.0", versioned("11.0.0"));
    world.typed("clusterstore add more -b REG/buildpacks/procfile:11.0.0");
    assert_eq!((version("highest"), version("exact")), ("11.0.0".into(), "2.0.0".into()));
}

#[test]
fn scenario_43_the_same_builder_is_made_once() {
    let world = World::quick();
    let before = row(&world, "default");
    let asked = world.registry.asked().len();
    let said =
        world.typed("clusterbuilder save default --tag REG/ops/default-builder --store default --order order.yaml");
    assert!(said.contains("ClusterBuilder \"default\" patched (no change)"), "{said}");
    world.typed("clusterstack refresh");
    world.typed("clusterstore refresh");
    assert_eq!(row(&world, "default"), before);
    let sent: Vec<String> = world.registry.asked().split_off(asked);
    assert!(sent.iter().all(|line| line.starts_with("GET ") || line.starts_with("HEAD ")), "{sent:?}");
    // Another builder of the same parts is the same artefact.
    world.typed("clusterbuilder create twin --tag REG/ops/twin --store default --order order.yaml");
    let digest = |row: &[String]| row[3].split_once('@').unwrap().1.to_owned();
    let description =
        |name: &str| world.document(&format!("clusterbuilder status {name}"))["status"]["builderMetadata"].clone();
    assert_eq!(description("twin"), description("default"));
    assert_eq!(digest(&row(&world, "twin")).len(), digest(&before).len());

    // Where no tag is said, it is below the default repository.
    world.typed("config default-repository REG/ops/all");
    world.typed("clusterbuilder create untagged --store default --order order.yaml");
    let image = &row(&world, "untagged")[3];
    assert!(image.starts_with(&world.named("REG/ops/all@sha256:")), "{image}");
    assert_eq!(world.registry.tags("ops/all"), ["clusterbuilder-untagged"]);
    world.refused("clusterbuilder create bad --tag REG/Ops/UPPER --order order.yaml");
}

#[test]
fn scenario_44_a_buildpack_that_cannot_be_used_is_named() {
    let world = World::quick();
    // No buildpack at all.
    let said = world.refused(&format!("clusterstore create bad -b REG/stack/run@{}", world.new));
    assert!(said.contains("stack/run"), "{said}");
    world.typed("clusterstore delete bad --force");
    // One for machines that are not these.
    let other = if cfg!(target_arch = "aarch64") { "linux/amd64" } else { "linux/arm64" };
    publish(&world, "elsewhere", |manifest| {
        let (head, rest) = manifest.split_once("[buildpack]").unwrap();
        format!("{head}[buildpack]{}\n[[targets]]\nplatform = \"{other}\"\n", without_targets(rest))
    });
    world.typed("clusterstore create elsewhere -b REG/buildpacks/procfile:elsewhere");
    let create = "clusterbuilder create elsewhere --tag REG/ops/elsewhere --store elsewhere --order order.yaml";
    let said = match world.run(create) {
        made if made.code == Some(0) => {
            world.refused("image create web -c elsewhere --tag REG/team/web --local-path app");
            world.log("web", 1)
        }
        refused => refused.stderr,
    };
    assert!(said.contains("stave/procfile") && said.contains(other), "{said}");
}

/// A manifest without its targets.
fn without_targets(manifest: &str) -> String {
    let mut blocks = manifest.split("[[targets]]\n");
    let mut kept = blocks.next().unwrap_or_default().to_owned();
    for block in blocks {
        // A target is its one line.
        kept.push_str(block.split_once('\n').map_or("", |(_, rest)| rest));
    }
    kept
}
