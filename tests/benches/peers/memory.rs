//! B9, beside what `export` looks at: memory where much else is large. A build by fifty buildpacks, and an image whose manifest is as
//! large as a registry takes.

use std::{fs, path::Path};

use serde_json::Value;
use stave_model::digest::Digest;

use crate::{
    builds::builder,
    creator::{Creator, Scripts},
    gauge::{self, measure},
    machine,
    support::registry::Registry,
    table::{Beside, Row, Sample, loudly},
    world::{World, base_layout, env, forget_all_but_code, planter, publish, publish_base},
};

const RUNS: usize = 10;
const MANY: usize = 50;
/// A registry takes manifests of 4 MiB.
const MANIFEST: usize = 4_000_000;

pub(crate) fn run(world: &World, _: &dyn Fn(&str) -> bool) {
    many(world);
    manifest(world);
}

/// Fifty buildpacks detect and build, one of which has a process.
fn many(world: &World) {
    let env = env();
    let registry = Registry::start(&env);
    let base = publish_base(&env, &registry, "stacks/run:1");
    env.write("app/readme.txt", "an app");
    let count = world.size(MANY, 5);
    let names: Vec<String> = (0..count).map(|number| format!("pack-{number}")).collect();
    let components: Vec<String> = names.iter().map(|name| planter(&env, name, None)).collect();
    builder(&env, &base, &components);
    measure(&mut world.stave(&env, &["detect", "app", "--builder", "builder.toml", "--quiet"]));
    let image = registry.reference("ours/app:1");
    let ours = Sample::of(world.runs(RUNS), || {
        forget_all_but_code(&env);
        let arguments = ["build", "app", "--builder", "builder.toml", "--quiet", "--tag", &image, "--publish"];
        measure(&mut world.stave(&env, &arguments))
    });
    let theirs = match world.peers {
        None => Err(loudly("creator", "the lifecycle could not be built; see `cargo xtask peers`")),
        Some(peers) => {
            let creator = Creator::new(&env, peers, "creator", &base);
            let scripts = |name: &String| Scripts { name: name.clone(), ..Scripts::process() };
            creator.buildpacks(&names.iter().map(scripts).collect::<Vec<_>>());
            Ok(Sample::of(world.runs(RUNS), || {
                creator.forget_cache();
                creator.fresh(&env.work().join("app"));
                measure(&mut creator.create(&env, &registry.reference("theirs/app:1")))
            }))
        }
    };
    let peers: Vec<Beside> = vec![("creator".to_owned(), theirs)];
    let what = format!("B9 a build by {count} buildpacks, published");
    Row { what, ours: Ok(ours), peers, limit: Some(machine::starting(&env)) }.print();
}

/// An image is read whose manifest is nearly all annotation.
fn manifest(world: &World) {
    let env = env();
    let registry = Registry::start(&env);
    let layout = base_layout(&env, "1");
    enlarge(&layout);
    let image = registry.reference("large/app:1");
    publish(&layout, &image);
    let ours =
        Sample::of(world.runs(RUNS), || measure(&mut world.stave(&env, &["inspect", "--output", "json", &image])));
    let theirs = match world.peers {
        None => Err(loudly("crane", "see `cargo xtask peers`")),
        Some(peers) => Ok(Sample::of(world.runs(RUNS), || {
            let mut command = gauge::command(&env, peers.path("crane"));
            measure(command.args(["config", &image]))
        })),
    };
    let peers: Vec<Beside> = vec![("crane config".to_owned(), theirs)];
    let what = "B9 an image with a manifest of 4 MB is inspected".to_owned();
    Row { what, ours: Ok(ours), peers, limit: Some(machine::starting(&env)) }.print();
}

/// Gives the only manifest of a layout an annotation that makes it large.
fn enlarge(layout: &Path) {
    let read = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let blob = |digest: &str| layout.join("blobs").join(digest.replace(':', "/"));
    let mut index = read(&layout.join("index.json"));
    let mut manifest = read(&blob(index["manifests"][0]["digest"].as_str().unwrap()));
    manifest["annotations"]["org.example.padding"] = "x".repeat(MANIFEST - 2000).into();
    let bytes = manifest.to_string().into_bytes();
    let digest = Digest::of(&bytes).to_string();
    index["manifests"][0]["size"] = bytes.len().into();
    index["manifests"][0]["digest"] = digest.clone().into();
    fs::write(blob(&digest), bytes).unwrap();
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
}
