//! Buildpacks that are named by themselves, of a namespace and of all: what people see of them, what builders take of them, and what
//! follows when one changes.

use std::fs;

use super::builders::{publish, versioned};
use crate::support::{
    env::TestEnv,
    platform::World,
    process::{run, stave},
    registry::{LOGIN, Registry, Setting},
};

/// With `REG` for the registry, as it is typed.
fn said(world: &World, line: &str) -> String {
    let said = world.run(line).succeeds();
    let said = format!("{}{}", said.stderr, said.stdout).replace(&world.registry.host(), "REG");
    // Which registries are asked is told by whatever asks them.
    said.split_inclusive('\n').filter(|line| !line.starts_with("connecting to ")).collect()
}

/// What came of it alone.
fn result(world: &World, line: &str) -> String {
    world.run(line).succeeds().stdout.replace(&world.registry.host(), "REG")
}

/// What is refused, in the same words.
fn refused(world: &World, line: &str) -> String {
    world.refused(line).replace(&world.registry.host(), "REG")
}

/// The versions of a builder's buildpacks: `stave/procfile@2.0.0`.
fn taken(world: &World, status: &str) -> Vec<String> {
    let status = world.document(status);
    let all = status["status"]["builderMetadata"].as_array().unwrap_or_else(|| panic!("{status}"));
    all.iter().map(|one| format!("{}@{}", one["id"].as_str().unwrap(), one["version"].as_str().unwrap())).collect()
}

#[test]
fn a_cluster_buildpack_is_made_changed_shown_and_taken_away() {
    let world = World::quick();
    publish(&world, "2.0.0", versioned("2.0.0"));
    let create = "clusterbuildpack create procfile --image REG/buildpacks/procfile";
    insta::assert_snapshot!(said(&world, &format!("{create} --dry-run")), @r#"Cluster Buildpack "procfile" created (dry run)"#);
    assert!(refused(&world, "cbp status procfile").contains("ClusterBuildpack \"procfile\" not found"));
    insta::assert_snapshot!(said(&world, create), @r#"Cluster Buildpack "procfile" created"#);
    insta::assert_snapshot!(refused(&world, create), @r#"
    error: ClusterBuildpack "procfile" already exists
    hint: `stave clusterbuildpack patch` changes it, `stave clusterbuildpack save` does either
    "#);
    insta::assert_snapshot!(said(&world, "cbps patch procfile -i REG/buildpacks/procfile"), @r#"Cluster Buildpack "procfile" patched (no change)"#);
    insta::assert_snapshot!(result(&world, "clstrbp save procfile -i REG/buildpacks/procfile:2.0.0"), @r#"Cluster Buildpack "procfile" patched"#);
    insta::assert_snapshot!(said(&world, "clusterbuildpacks list"), @"
    NAME        READY    IMAGE
    procfile    true     REG/buildpacks/procfile:2.0.0
    ");
    insta::assert_snapshot!(said(&world, "clusterbuildpack status procfile"), @"
    Status:    Ready
    Source:    REG/buildpacks/procfile:2.0.0

    BUILDPACK ID      VERSION    HOMEPAGE
    stave/procfile    2.0.0
    ");
    let document = world.document("clusterbuildpack status procfile");
    assert_eq!(document["kind"], "ClusterBuildpack");
    assert_eq!(document["status"]["buildpacks"][0]["id"], "stave/procfile", "{document}");
    let store = document["status"]["buildpacks"][0]["storeImage"].as_str().unwrap();
    assert!(store.starts_with(&world.named("REG/buildpacks/procfile@sha256:")), "{store}");
    // A document is all that is on the standard output, and `apply -f` reads it again.
    let printed = world.run("clusterbuildpack save procfile -i REG/buildpacks/procfile:2.0.0 --output yaml").succeeds();
    world.env.write("printed.yaml", &printed.stdout);
    insta::assert_snapshot!(said(&world, "apply -f printed.yaml"), @r#"ClusterBuildpack "procfile" unchanged"#);
    insta::assert_snapshot!(said(&world, "clusterbuildpack delete procfile"), @r#"Cluster Buildpack "procfile" deleted"#);
    insta::assert_snapshot!(refused(&world, "clusterbuildpack list"), @"error: no cluster buildpacks found");
    insta::assert_snapshot!(refused(&world, "clusterbuildpack save procfile"), @"
    error: a new ClusterBuildpack needs an image
    hint: say it with --image
    ");
}

#[test]
fn a_buildpack_is_of_its_namespace_beside_what_authors_do() {
    let world = World::quick();
    insta::assert_snapshot!(refused(&world, "buildpack list"), @"error: no buildpacks found");
    let create = "buildpack create mine -i REG/buildpacks/procfile -n team-a --service-account reader";
    insta::assert_snapshot!(said(&world, create), @r#"Buildpack "mine" created"#);
    insta::assert_snapshot!(said(&world, "bp list -n team-a"), @"
    NAME    READY    IMAGE
    mine    true     REG/buildpacks/procfile:latest
    ");
    insta::assert_snapshot!(refused(&world, "bps status mine"), @r#"
    error: Buildpack "mine" not found
    hint: there is no Buildpack yet
    "#);
    assert_eq!(world.document("buildpack status mine -n team-a")["spec"]["serviceAccountName"], "reader");
    // The author's commands are where they were.
    assert!(said(&world, "buildpack inspect builtin:procfile").contains("stave/procfile"));

    // Its builders take it by its id or by its name, and nobody else does.
    publish(&world, "2.0.0", versioned("2.0.0"));
    said(&world, "buildpack patch mine -i REG/buildpacks/procfile:2.0.0 -n team-a");
    let create = |namespace: &str| {
        format!("builder create own --tag REG/{namespace}/own --buildpack stave/procfile -n {namespace}")
    };
    for namespace in ["team-a", "team-b"] {
        world.typed(&create(namespace));
    }
    assert_eq!(taken(&world, "builder status own -n team-a"), ["stave/procfile@2.0.0"]);
    assert_eq!(taken(&world, "builder status own -n team-b"), ["stave/procfile@0.1.0"]);
    world.env.write("order.yaml", "- group:\n  - kind: Buildpack\n    name: mine\n");
    world.typed("builder patch own --order order.yaml -n team-a");
    let status = said(&world, "builder status own -n team-a");
    assert!(
        status.contains("CLUSTERBUILDPACK NAME    CLUSTERBUILDPACK KIND\nmine                     Buildpack\n"),
        "{status}"
    );
    let not_theirs = refused(&world, "builder patch own --order order.yaml -n team-b");
    assert!(not_theirs.contains("the Buildpack team-b/mine does not exist"), "{not_theirs}");
    let not_its = refused(&world, "clusterbuilder create all --tag REG/ops/all --order order.yaml");
    insta::assert_snapshot!(not_its, @"error: ClusterBuilder `all` is refused: spec.order[0].group[0].kind: a ClusterBuilder is of no namespace: name a ClusterBuildpack");
    insta::assert_snapshot!(said(&world, "buildpack delete mine -n team-a"), @r#"
    warning: Buildpack "mine" is used by Builder own: they stay as they are, and are not updated
    Buildpack "mine" deleted
    "#);
}

/// What an operator types, what a plan says of it beforehand, and what then happens.
#[test]
fn another_version_of_a_cluster_buildpack_is_planned_built_and_told() {
    let world = World::quick();
    publish(&world, "2.0.0", versioned("2.0.0"));
    world.typed("clusterbuildpack create procfile -i REG/buildpacks/procfile");
    world.env.write("order.yaml", "- group:\n  - kind: ClusterBuildpack\n    name: procfile\n");
    world.typed("clusterbuilder create named --tag REG/ops/named --order order.yaml");
    world.typed("image create web -c named --tag REG/team/web --local-path app");
    let before = world.document("clusterbuilder status named");
    for plan in [
        "plan clusterbuildpack procfile --image REG/buildpacks/procfile:2.0.0",
        // What its order does not name does not reach it, however new it is.
        "plan clusterstore default -b REG/buildpacks/procfile:2.0.0",
    ] {
        let planned = said(&world, plan);
        let is_reached = planned.contains("web      BUILDPACK    build");
        assert_eq!(is_reached, plan.contains("clusterbuildpack"), "{plan}: {planned}");
    }
    let patch = "apiVersion: kpack.io/v1alpha2\nkind: ClusterBuildpack\nmetadata: {name: procfile}\n\
                 spec: {image: REG/buildpacks/procfile:2.0.0}\n";
    world.env.write("patch.yaml", world.named(patch));
    let planned = said(&world, "plan apply -f patch.yaml");
    assert!(planned.contains("web      BUILDPACK    build"), "{planned}");
    assert_eq!(world.document("clusterbuilder status named"), before, "a plan changes nothing");
    let done = said(&world, "apply -f patch.yaml --wait");
    assert!(done.contains("ClusterBuildpack \"procfile\" configured"), "{done}");
    assert_eq!(world.rows("web"), ["1 SUCCESS CONFIG", "2 SUCCESS BUILDPACK"]);
    assert_eq!(taken(&world, "clusterbuilder status named"), ["stave/procfile@2.0.0"]);
    let log = world.log("web", 2);
    assert!(log.contains("Build reason(s): BUILDPACK") && log.contains("2.0.0"), "{log}");

    // A tag that was moved is looked at again by who asks for it.
    publish(&world, "2.0.0", versioned("2.1.0"));
    assert!(said(&world, "clusterbuildpack refresh procfile").contains("Cluster Buildpack \"procfile\" refreshed\n"));
    assert_eq!(world.last_row("web"), "3 SUCCESS BUILDPACK");
    insta::assert_snapshot!(said(&world, "clusterbuildpack refresh"), @r#"Cluster Buildpack "procfile" refreshed (no change)"#);

    // An id is found where it is highest: the default builder's order names one.
    let default = "clusterbuilder status default";
    assert_eq!(taken(&world, default), ["stave/procfile@2.1.0"], "of the cluster buildpack");
    world.typed("clusterbuildpack delete procfile");
    world.typed("clusterstack refresh");
    assert_eq!(taken(&world, default), ["stave/procfile@0.1.0"], "of the store");
    let gone = world.document("clusterbuilder status named")["status"]["message"].clone();
    assert_eq!(gone, "the ClusterBuildpack procfile does not exist");
}

#[test]
fn what_cannot_be_read_is_told_and_holds_up_nobody_else() {
    let world = World::quick();
    let bad = refused(&world, "clusterbuildpack create bad -i REG/buildpacks/none");
    assert!(bad.contains("the ClusterBuildpack `bad` is not ready") && bad.contains("buildpacks/none"), "{bad}");
    assert!(refused(&world, &format!("buildpack create bad -i REG/stack/run@{}", world.new)).contains("is not ready"));
    insta::assert_snapshot!(said(&world, "clusterbuildpack list"), @"
    NAME    READY    IMAGE
    bad     false    REG/buildpacks/none:latest
    ");
    let status = said(&world, "clusterbuildpack status bad");
    assert!(status.starts_with("Status:    Not Ready\nReason:    could not look up REG/buildpacks/none"), "{status}");
    world.typed("clusterbuildpack create good -i REG/buildpacks/procfile");
    world.typed("clusterbuilder create fine --tag REG/ops/fine --order order.yaml");
    let missing = refused(&world, "clusterbuilder create broken --tag REG/ops/broken --buildpack acme/none");
    assert!(
        missing.contains("no store or ClusterBuildpack has the buildpack acme/none; not ready: ClusterBuildpack bad"),
        "{missing}"
    );
    world.env.write("bad.yaml", "- group:\n  - {kind: ClusterBuildpack, name: good, id: acme/other}\n");
    let other = refused(&world, "clusterbuilder create other --tag REG/ops/other --order bad.yaml");
    assert!(other.contains("the ClusterBuildpack good has stave/procfile@0.1.0, and not acme/other"), "{other}");
    // Once it is there, whoever wishes for the same again has it.
    world.run("buildpack publish builtin:procfile REG/buildpacks/none").succeeds();
    insta::assert_snapshot!(result(&world, "clusterbuildpack patch bad"), @r#"Cluster Buildpack "bad" patched (no change)"#);
    assert_eq!(world.document("clusterbuildpack status bad")["status"]["ready"], "True");
}

#[test]
fn a_component_on_this_machine_is_sent_where_others_find_it() {
    let world = World::quick();
    let nowhere = refused(&world, "clusterbuildpack create procfile -i builtin:procfile");
    assert!(nowhere.contains("is on this machine only"), "{nowhere}");
    world.typed("config default-repository REG/ops/all");
    let said = said(&world, "clusterbuildpack create procfile -i builtin:procfile");
    assert!(said.starts_with("Uploading to 'REG/ops/all'...\n\tUploading 'REG/ops/all@sha256:"), "{said}");
    assert_eq!(world.document("clusterbuildpack status procfile")["status"]["ready"], "True");
}

#[test]
fn cluster_buildpacks_of_a_descriptor_are_imported_as_what_they_are() {
    let world = World::quick();
    let descriptor = |tag: &str| {
        let run = format!("REG/stack/run@{}", world.new);
        world.named(&format!(
            "apiVersion: kp.kpack.io/v1\nkind: DependencyDescriptor\ndefaultClusterBuilder: base\n\
             clusterBuildpacks:\n- name: procfile\n  image: REG/buildpacks/procfile{tag}\n\
             clusterStacks:\n- name: base\n  runImage: {{image: '{run}'}}\n\
             clusterBuilders:\n- name: base\n  clusterStack: base\n  order:\n  - group:\n    - {{kind: ClusterBuildpack, name: procfile}}\n"
        ))
    };
    world.typed("config default-repository REG/ops/imported");
    world.env.write("first.yaml", descriptor(""));
    let first = said(&world, "import -f first.yaml");
    let lines: Vec<&str> = first.lines().filter(|line| line.starts_with("Import")).collect();
    assert_eq!(
        lines,
        [
            "Importing ClusterBuildpack 'procfile'...",
            "Importing ClusterStack 'base'...",
            "Importing ClusterBuilder 'base'...",
            "Importing ClusterBuilder 'default'...",
            "Imported resources",
        ],
        "{first}"
    );
    assert_eq!(taken(&world, "clusterbuilder status base"), ["stave/procfile@0.1.0"]);
    assert!(said(&world, "import -f first.yaml").ends_with("Imported resources (no change)\n"));
    publish(&world, "2.0.0", versioned("2.0.0"));
    world.env.write("second.yaml", descriptor(":2.0.0"));
    let shown = said(&world, "import -f second.yaml --show-changes --force");
    assert!(shown.contains("ClusterBuildpack 'procfile'\n"), "{shown}");
    assert_eq!(taken(&world, "clusterbuilder status base"), ["stave/procfile@2.0.0"]);
}

#[test]
fn a_list_of_no_buildpacks_says_so() {
    let env = TestEnv::empty();
    for (list, said) in [("clusterbuildpack", "no cluster buildpacks found"), ("buildpack", "no buildpacks found")] {
        let outcome = env.run(&[list, "list"]).ends_with(3);
        assert!(outcome.failure().starts_with(&format!("error: {said}")), "{list}: {}", outcome.stderr);
    }
}

#[test]
fn what_only_a_service_account_may_read_is_read_with_its_secret() {
    let world = World::quick();
    let guarded = Registry::of(&world.env, &Setting { guarded: true, ..Setting::default() });
    let host = guarded.host();
    let login = world.env.root().join("home/.docker/config.json");
    fs::create_dir_all(login.parent().unwrap()).unwrap();
    fs::write(&login, format!("{{\"auths\": {{\"{host}\": {{\"auth\": \"{LOGIN}\"}}}}}}")).unwrap();
    world.typed(&format!("buildpack publish builtin:procfile {host}/buildpacks/procfile"));
    fs::remove_file(&login).unwrap();

    let secret = "secret create reader --registry-user me --service-account reader -n ops --registry";
    let mut create = world.env.command(stave());
    create.args(secret.split(' ')).arg(&host);
    run(create.env("REGISTRY_PASSWORD", "secret")).succeeds();
    let cluster = |account: &str| {
        format!(
            "apiVersion: kpack.io/v1alpha2\nkind: ClusterBuildpack\nmetadata: {{name: guarded}}\n\
             spec: {{image: '{host}/buildpacks/procfile'{account}}}\n"
        )
    };
    world.env.write("nobody.yaml", cluster(""));
    assert!(refused(&world, "apply -f nobody.yaml").contains("ClusterBuildpack `guarded` is not ready"));
    world.env.write("somebody.yaml", cluster(", serviceAccountRef: {name: reader, namespace: ops}"));
    said(&world, "apply -f somebody.yaml");
    world.env.write("order.yaml", "- group:\n  - kind: ClusterBuildpack\n    name: guarded\n");
    world.typed("clusterbuilder create named --tag REG/ops/named --order order.yaml");
    // Whoever builds with it needs no login: the builder has all of it.
    world.typed("image create web -c named --tag REG/team/web --local-path app");
    assert_eq!(world.rows("web"), ["1 SUCCESS CONFIG"]);

    // A namespace's own account counts there, and no other.
    let create = format!("create own -i {host}/buildpacks/procfile --service-account reader");
    assert!(refused(&world, &format!("buildpack {create} -n team-a")).contains("is not ready"));
    said(&world, &format!("buildpack {create} -n ops"));
    assert_eq!(world.document("buildpack status own -n team-a")["status"]["ready"], "False");
    assert_eq!(world.document("buildpack status own -n ops")["status"]["ready"], "True");
}
