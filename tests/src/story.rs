//! The reference story: an image is built on an outdated stack, and a moment later it stands on the patched one, without its
//! app being built again. kp's words, a real registry, stacks that are composed from signed packages, an app that answers.
//!
//! `cargo story` runs [`the_reference_story`] with `STAVE_STORY` set: then every command and all that it says is shown, and
//! the world stays as `target/story`.

mod variants;
mod versions;

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::Value;
use stave_model::target::Platform;

use crate::support::{
    app::spring_webdb,
    container::Podman,
    env::TestEnv,
    mirror::Mirror,
    platform::{BUILD, REBASE, World, assert_in_order, push, steps},
    process::root,
    registry::Registry,
};

/// The planted package. The version that the outdated stack has stands for one with a flaw.
const PLANTED: &str = "libplanted";
const FLAWED: &str = "1.0-1";
const MENDED: &str = "1.0-2";
/// The variable that makes the story one to read.
const TOLD: &str = "STAVE_STORY";

/// The stacks as they come from packages: the example's, and one package more. Their digests in the registry.
fn composed(world: &World) -> [String; 2] {
    let mirror = Mirror::start(&world.env);
    let text = fs::read_to_string(root().join("examples/stacks/jvm-tiny/stack.toml")).unwrap();
    let suite = "suite = \"bookworm\"\n";
    assert!(text.contains(suite) && text.contains("\"tzdata\","));
    let text = text.replace(suite, &format!("{suite}pockets = []\n"));
    world.env.write("stack.toml", text.replace("\"tzdata\",", &format!("\"tzdata\",\n    \"{PLANTED}\",")));
    let platform = Platform::of_this_machine();
    [("old", FLAWED), ("new", MENDED)].map(|(name, version)| {
        mirror.offer(PLANTED, version);
        world.tell(&format!("The distribution offers {PLANTED} {version}."));
        world.typed(&format!("stack create stack.toml --tag {name} --platform {platform}"));
        world.typed(&format!("export {name} --to oci:stack-{name} --platform {platform}"));
        let [digest, _] = ["stack/run", "stack/build"].map(|repository| {
            let reference = world.registry.reference(&format!("{repository}:{name}"));
            push(&world.env.work().join(format!("stack-{name}")), &reference);
            world.digest(&reference)
        });
        digest
    })
}

fn world() -> World {
    let is_told = std::env::var_os(TOLD).is_some();
    let env = if is_told { TestEnv::kept("story").warmed() } else { TestEnv::warm() };
    fs::copy(spring_webdb(), env.work().join("spring-webdb.jar")).unwrap();
    let registry = Registry::start(&env);
    let mut world = World::of(env, registry, is_told);
    [world.old, world.new] = composed(&world);
    world
}

#[test]
fn the_reference_story() {
    let world = world();
    world.operators_work();
    two_builders_are_ready(&world);

    let (created, first) = timed(|| world.create("spring-webdb.jar"));
    what_is_said_of_the_first_build(&world, &created);
    let was_asked = source_reads(&world);
    assert!(was_asked > 0, "the first build read its source");

    let (patched, second) = timed(|| world.typed("image patch spring-webdb --cluster-builder default"));
    assert_in_order(&patched, &["Patching Image Resource...", "Image Resource \"spring-webdb\" patched"]);
    assert!(!patched.contains("(no change)") && !patched.contains("CONFIG"), "{patched}");
    what_is_said_of_the_second_build(&world);
    assert_eq!(source_reads(&world), was_asked, "A7: the second build read no source");

    let listed = world.typed("build list spring-webdb");
    let (a, b) = (world.made("spring-webdb", 1), world.made("spring-webdb", 2));
    assert_ne!(a, b);
    let width = a.len() + 4;
    let expected = format!(
        "BUILD    STATUS     {:width$}REASON    IMAGE RESOURCE\n\
         1        SUCCESS    {a:width$}CONFIG    spring-webdb\n\
         2        SUCCESS    {b:width$}STACK     spring-webdb\n",
        "BUILT IMAGE"
    );
    assert_eq!(listed, expected);

    only_the_base_is_another(&world, &a, &b);
    the_records_say_so(&world, &b);
    tags_lead_to_both(&world, &a, &b);
    packages_are_mended(&world, &a, &b);
    both_start_and_answer(&world, &a, &b);
    world.tell(&listed);
    world.tell(&format!("build 1 took {} ms, build 2 {} ms", first.as_millis(), second.as_millis()));
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let answer = work();
    (answer, started.elapsed())
}

/// How often somebody asked the registry for what is in the repository of the image's source.
fn source_reads(world: &World) -> usize {
    world.registry.asked().iter().filter(|line| line.starts_with("GET /v2/team/spring-webdb-source/")).count()
}

fn two_builders_are_ready(world: &World) {
    let listed = world.typed("clusterbuilder list");
    let rows: Vec<Vec<&str>> = listed.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 2, "{listed}");
    for (row, name, tag) in
        [(&rows[0], "default", "default-builder"), (&rows[1], "demo-cluster-builder", "demo-cluster-builder")]
    {
        assert_eq!(row[..3], [name, "true", "stave.jvm-tiny"], "{listed}");
        assert!(row[3].starts_with(&world.named(&format!("REG/ops/{tag}@sha256:"))), "{listed}");
    }
    for (stack, digest) in [("demo-stack", &world.old), ("default", &world.new)] {
        let status = world.typed(&format!("clusterstack status {stack}"));
        let run_image = world.named(&format!("REG/stack/run@{digest}"));
        let fields: Vec<Vec<&str>> = status.lines().map(|line| line.split_whitespace().collect()).collect();
        assert!(fields.contains(&vec!["Status:", "Ready"]), "{status}");
        assert!(fields.contains(&vec!["Run", "Image:", &run_image]), "{status}");
    }
    assert_ne!(world.old, world.new);
}

/// D1 and D2.
fn what_is_said_of_the_first_build(world: &World, created: &str) {
    let source = world.named("REG/team/spring-webdb-source");
    assert_in_order(
        created,
        &[
            "Creating Image Resource...",
            &format!("Uploading to '{source}'..."),
            &format!("\tUploading '{source}@sha256:"),
            "Image Resource \"spring-webdb\" created",
        ],
    );
    let log = world.typed("build logs spring-webdb");
    assert_eq!(steps(&log), BUILD);
    assert_in_order(
        &log,
        &[
            "Build reason(s): CONFIG",
            "CONFIG:",
            "- source: {}",
            &format!("+     image: {source}@sha256:"),
            &format!("Successfully pulled {source}@sha256:"),
            "===> ANALYZE",
            "There is no previous image",
            "===> DETECT",
            "stave/java",
            "===> EXPORT",
        ],
    );
    let exported = log.split_once("===> EXPORT").unwrap().1;
    let image = world.named("REG/team/spring-webdb");
    assert_in_order(exported, &[&format!("{image} sha256:"), &format!("{image}:b1.")]);
    assert_eq!(log.lines().last(), Some("Build successful"));
    // Who watched it saw what is kept of it.
    assert!(created.contains(log.trim_end()), "seen:\n{created}\nkept:\n{log}");
}

/// D4, and A9: it is asked right after D3, without a number.
fn what_is_said_of_the_second_build(world: &World) {
    let log = world.typed("build logs spring-webdb");
    assert_eq!(steps(&log), REBASE);
    let (old, new) = (format!("- {}", world.old), format!("+ {}", world.new));
    assert_in_order(&log, &["Build reason(s): STACK", "STACK:", &old, &new, &world.named("REG/team/spring-webdb:b2.")]);
    for absent in ["DETECT", "===> BUILD", "stave/java"] {
        assert!(!log.contains(absent), "{log}");
    }
    assert_eq!(log.lines().last(), Some("Build successful"));
}

/// A1 and A2.
fn only_the_base_is_another(world: &World, a: &str, b: &str) {
    let run_image = |digest: &str| world.named(&format!("REG/stack/run@{digest}"));
    let (old, new) = (world.layers(&run_image(&world.old)), world.layers(&run_image(&world.new)));
    let (of_a, of_b) = (world.layers(a), world.layers(b));
    assert_eq!((&of_a[..old.len()], &of_b[..new.len()]), (&old[..], &new[..]));
    assert_eq!(of_a[old.len()..], of_b[new.len()..]);
    assert!(of_a.len() > old.len() + 1, "{of_a:?}");

    let (of_a, of_b) = (world.config(a), world.config(b));
    let mut labels = Vec::new();
    for field in ["Env", "Entrypoint", "Cmd", "WorkingDir", "User"] {
        assert_eq!(of_a["config"][field], of_b["config"][field], "{field}");
    }
    for (name, value) in of_a["config"]["Labels"].as_object().unwrap() {
        if of_b["config"]["Labels"][name] != *value {
            labels.push(name.as_str());
        }
    }
    assert_eq!(labels, ["io.buildpacks.lifecycle.metadata"], "what an image says of itself");
    let metadata = |config: &Value| {
        let text = config["config"]["Labels"]["io.buildpacks.lifecycle.metadata"].as_str().unwrap();
        let mut metadata: Value = serde_json::from_str(text).unwrap();
        let metadata = metadata.as_object_mut().unwrap();
        let about_base = ["runImage", "stack"].map(|field| metadata.remove(field).unwrap_or_default());
        (Value::Object(metadata.clone()), about_base)
    };
    let ((app_of_a, base_of_a), (app_of_b, base_of_b)) = (metadata(&of_a), metadata(&of_b));
    assert_eq!(app_of_a, app_of_b);
    assert_ne!(base_of_a, base_of_b);
}

/// A3 and A4.
fn the_records_say_so(world: &World, b: &str) {
    let (first, second) = (world.record("spring-webdb", 1), world.record("spring-webdb", 2));
    let made = |record: &Value| record["outcome"]["succeeded"].clone();
    assert_eq!(made(&first)["buildpacks"], made(&second)["buildpacks"]);
    assert_eq!(made(&first)["buildpacks"][0]["id"], "stave/java");
    assert_eq!(made(&second)["runImage"], world.named(&format!("REG/stack/run@{}", world.new)));
    assert_eq!(made(&first)["runImage"], world.named(&format!("REG/stack/run@{}", world.old)));
    assert_eq!((&first["mode"], &second["mode"]), (&Value::from("build"), &Value::from("rebase")));

    let status = world.typed("image status spring-webdb");
    let fields: Vec<Vec<&str>> = status.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(fields.contains(&vec!["Status:", "Ready"]) && fields.contains(&vec!["LatestImage:", b]), "{status}");
    for (title, expected) in [
        ("Builder Ref", [["Name:", "default"], ["Kind:", "ClusterBuilder"]]),
        ("Last Successful Build", [["Id:", "2"], ["Build Reason:", "STACK"]]),
        ("Last Failed Build", [["Id:", "--"], ["Build Reason:", "--"]]),
    ] {
        let below = fields.iter().skip_while(|line| line.join(" ") != title).skip(1);
        let found: Vec<String> = below.take(2).map(|line| line.join(" ")).collect();
        assert_eq!(found, expected.map(|words| words.join(" ")), "{status}");
    }
}

/// A5.
fn tags_lead_to_both(world: &World, a: &str, b: &str) {
    let tags = world.registry.tags("team/spring-webdb");
    let of = |start: &str| tags.iter().find(|tag| tag.starts_with(start)).unwrap_or_else(|| panic!("{tags:?}"));
    for (tag, image) in [("latest", b), (of("b1."), a), (of("b2."), b)] {
        let digest = world.digest(&world.named(&format!("REG/team/spring-webdb:{tag}")));
        assert_eq!(Some(digest.as_str()), image.split_once('@').map(|(_, digest)| digest), "{tag}");
    }
}

/// A8: the bills of materials, as `stave sbom download` writes them.
fn packages_are_mended(world: &World, a: &str, b: &str) {
    let bills = |image: &str, folder: &str| {
        world.env.run(&["sbom", "download", image, "-o", folder]).succeeds();
        ["base", "launch"].map(|part| {
            let file = world.env.work().join(folder).join("layers/sbom").join(part).join("sbom.cdx.json");
            let bill: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
            let components = bill["components"].as_array().unwrap().iter();
            let named =
                components.map(|one| format!("{} {}", one["name"].as_str().unwrap(), one["version"].as_str().unwrap()));
            named.collect::<Vec<String>>()
        })
    };
    let ([base_of_a, app_of_a], [base_of_b, app_of_b]) = (bills(a, "bills-a"), bills(b, "bills-b"));
    assert_eq!(app_of_a, app_of_b);
    assert!(!app_of_a.is_empty());
    let (flawed, mended) = (format!("{PLANTED} {FLAWED}"), format!("{PLANTED} {MENDED}"));
    let findings = |packages: &[String]| packages.iter().filter(|package| **package == flawed).count();
    assert_eq!((findings(&base_of_a), findings(&base_of_b)), (1, 0));
    assert!(base_of_b.contains(&mended), "{base_of_b:?}");
    let others = |packages: &[String]| {
        packages.iter().filter(|package| !package.starts_with(PLANTED)).cloned().collect::<Vec<_>>()
    };
    assert_eq!(others(&base_of_a), others(&base_of_b));
    assert!(others(&base_of_a).iter().any(|package| package.starts_with("libc6 ")));
    world.tell(&format!("A has {flawed}, B has {mended}"));
}

/// A6.
fn both_start_and_answer(world: &World, a: &str, b: &str) {
    let podman = Podman::new(&world.env);
    let answers = [a, b].map(|image| {
        let id = podman.take(&["pull", "--quiet", "--tls-verify=false", image]);
        let container = podman.serve(&id);
        [container.get("/"), container.get("/casks")]
    });
    assert_eq!(answers[0], answers[1]);
    let casks: Value = serde_json::from_str(&answers[1][1]).unwrap();
    assert!(casks.as_array().is_some_and(|casks| !casks.is_empty()), "{casks}");
    world.tell(&format!("GET /       {}\nGET /casks  {}", answers[1][0].trim(), answers[1][1].trim()));
}
