//! Dependency descriptors (50).

use std::{io::Write as _, process::Stdio};

use crate::support::{
    platform::World,
    process::{Outcome, stave},
};

/// A descriptor of one stack, one store and one builder, each also what is meant by `default`.
fn descriptor(world: &World, digest: &str, sources: &[&str]) -> String {
    let sources =
        sources.iter().map(|source| format!("  - image: REG/buildpacks/{source}\n")).collect::<Vec<_>>().concat();
    world.named(&format!(
        "apiVersion: kp.kpack.io/v1\nkind: DependencyDescriptor\ndefaultClusterStack: base\ndefaultClusterBuilder: base\n\
         clusterStores:\n- name: imported\n  sources:\n{sources}\
         clusterStacks:\n- name: base\n  buildImage: {{image: REG/stack/build@{digest}}}\n  runImage: {{image: REG/stack/run@{digest}}}\n\
         clusterBuilders:\n- name: base\n  clusterStack: base\n  clusterStore: imported\n  order:\n  - group:\n    - id: stave/procfile\n"
    ))
}

/// Runs the program with an answer to what it asks.
fn asked(world: &World, line: &str, answer: &str) -> Outcome {
    let mut command = world.env.command(stave());
    command.args(world.words(line)).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

fn in_store(world: &World) -> Vec<String> {
    let status = world.document("clusterstore status imported");
    let sources = status["spec"]["sources"].as_array().unwrap_or_else(|| panic!("{status}"));
    let mut sources: Vec<String> = sources.iter().map(|one| one["image"].as_str().unwrap().to_owned()).collect();
    sources.sort();
    sources
}

#[test]
fn scenario_50_a_descriptor_is_imported_and_stores_lose_nothing() {
    let world = World::quick();
    world.typed("config default-repository REG/ops/all");
    world.run("buildpack publish builtin:image-labels REG/buildpacks/labels").succeeds();
    world.env.write("first.yaml", descriptor(&world, &world.old, &["procfile", "labels"]));
    let said = world.typed("import -f first.yaml --dry-run");
    assert!(said.ends_with("Imported resources (dry run)\n"), "{said}");
    world.refused("clusterstore status imported");
    let said = world.typed("import -f first.yaml");
    for line in [
        "Importing ClusterStore 'imported'...",
        "Importing ClusterStack 'base'...",
        "Importing ClusterStack 'default'...",
        "Importing ClusterBuilder 'base'...",
        "Importing ClusterBuilder 'default'...",
        "Imported resources",
    ] {
        assert!(said.lines().any(|one| one == line), "{line}: {said}");
    }
    let both = [world.named("REG/buildpacks/labels"), world.named("REG/buildpacks/procfile")];
    assert_eq!(in_store(&world), both);
    let builders = world.typed("clusterbuilder list");
    assert!(builders.lines().any(|line| line.starts_with("base ") && line.contains(" true ")), "{builders}");

    let said = world.typed("import -f first.yaml");
    assert!(said.ends_with("Imported resources (no change)\n"), "{said}");
    // A package that the next one does not name any more stays.
    world.env.write("second.yaml", descriptor(&world, &world.new, &["procfile"]));
    let no = asked(&world, "import -f second.yaml --show-changes", "n\n");
    assert!(no.stdout.contains(&world.new) || no.stderr.contains(&world.new), "{no:?}");
    let run_image = || world.document("clusterstack status base")["spec"]["runImage"]["image"].to_string();
    assert!(run_image().contains(&world.old), "who says no has nothing imported");
    asked(&world, "import -f second.yaml --show-changes", "y\n").succeeds();
    assert!(run_image().contains(&world.new));
    assert_eq!(in_store(&world), both);

    // The words of older descriptors mean the same.
    let older = descriptor(&world, &world.new, &["procfile"])
        .replace("kp.kpack.io/v1\n", "kp.kpack.io/v1alpha1\n")
        .replace("defaultClusterStack", "defaultStack")
        .replace("clusterStores", "stores")
        .replace("clusterStacks", "stacks");
    world.env.write("older.yaml", older);
    let said = world.typed("import -f older.yaml");
    assert!(said.ends_with("Imported resources (no change)\n"), "{said}");
    world.env.write("unknown.yaml", "apiVersion: kp.kpack.io/v2\n");
    assert!(world.refused("import -f unknown.yaml").contains("kp.kpack.io/v2"));
}
