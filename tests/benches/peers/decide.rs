//! B5 and B12: deciding and starting. B5 detects with 1, 50 and 200 buildpacks that all pass, in one group. B12 starts each
//! program and lets it say its version.

use std::{fs, path::Path, process::Command};

use crate::{
    builds::builder,
    creator::{Creator, Scripts},
    gauge::{self, measure},
    machine,
    support::{images::small_base, tools::tool},
    table::{Beside, Row, Sample, loudly},
    world::{World, env, forget, planter},
};

const RUNS: usize = 20;

pub(crate) fn run(world: &World, wanted: &dyn Fn(&str) -> bool) {
    if wanted("B5") {
        for count in [1, 50, 200] {
            detect(world, world.size(count, count.min(5)));
        }
    }
    if wanted("B12") {
        start(world);
    }
}

fn detect(world: &World, count: usize) {
    let env = env();
    small_base(&env);
    env.write("app/readme.txt", "an app");
    let names: Vec<String> = (0..count).map(|number| format!("pack-{number}")).collect();
    let components: Vec<String> = names.iter().map(|name| planter(&env, name, None)).collect();
    builder(&env, "oci:base", &components);
    let ours = |more: &[&str]| {
        let arguments = ["detect", "app", "--builder", "builder.toml", "--quiet"];
        measure(&mut world.stave(&env, &[&arguments[..], more].concat()))
    };
    let first = Sample::of(world.runs(3), || {
        forget(&env.cache());
        fs::create_dir(env.cache()).unwrap();
        ours(&[])
    });
    let warm = Sample::of(world.runs(RUNS), || ours(&["--no-memory"]));
    let remembered = Sample::of(world.runs(RUNS), || ours(&[]));
    let theirs = match world.peers {
        None => Err(loudly("detector", "the lifecycle could not be built; see `cargo xtask peers`")),
        Some(peers) => {
            let creator = Creator::new(&env, peers, "detector", "oci:base");
            let scripts = |name: &String| Scripts { name: name.clone(), ..Scripts::process() };
            creator.buildpacks(&names.iter().map(scripts).collect::<Vec<_>>());
            Ok(Sample::of(world.runs(RUNS), || measure(&mut creator.detect(&env))))
        }
    };
    let limit = Some(machine::starting(&env));
    let peers: Vec<Beside> = vec![("detector".to_owned(), theirs)];
    let what = |how: &str| format!("B5 detect over {count}, {how}");
    Row { what: what("all run, their code kept"), ours: Ok(warm), peers: peers.clone(), limit }.print();
    Row { what: what("answers remembered"), ours: Ok(remembered), peers, limit }.print();
    Row { what: what("their code compiled first"), ours: Ok(first), peers: vec![], limit }.print();
}

fn start(world: &World) {
    let env = env();
    let ours = Sample::of(world.runs(RUNS), || measure(&mut world.stave(&env, &["--version"])));
    let version = |program: &Path, argument: &str| {
        let mut command = gauge::command(&env, program);
        command.arg(argument).env("CNB_PLATFORM_API", "0.14");
        Sample::of(world.runs(RUNS), || measure(&mut again(&command)))
    };
    let mut peers: Vec<Beside> = Vec::new();
    let mut sizes = vec![("Stave", size(&world.stave))];
    if let Some(there) = world.peers {
        for (name, argument) in [("lifecycle", "-version"), ("crane", "version"), ("pack", "version")] {
            peers.push((name.to_owned(), Ok(version(&there.path(name), argument))));
            sizes.push((name, size(&there.path(name))));
        }
    } else {
        peers.push(("lifecycle, crane, pack".to_owned(), Err(loudly("B12", "see `cargo xtask peers`"))));
    }
    for name in ["umoci", "skopeo"] {
        let program = tool(name).get_program().to_owned();
        peers.push((name.to_owned(), Ok(version(Path::new(&program), "--version"))));
        sizes.push((name, size(Path::new(&program))));
    }
    let sizes: Vec<String> =
        sizes.iter().map(|(name, size)| format!("{name} {}.{} MB", size / 10, size % 10)).collect();
    world.note(format!("B12, the programs' files: {}.", sizes.join(", ")));
    let what = "B12 a program says its version".to_owned();
    Row { what, ours: Ok(ours), peers, limit: Some(machine::starting(&env)) }.print();
}

/// In tenths of a megabyte.
fn size(program: &Path) -> u64 {
    fs::metadata(program).unwrap().len() / 100_000
}

/// The same command, to be run once more.
fn again(command: &Command) -> Command {
    let mut again = Command::new(command.get_program());
    again.args(command.get_args()).env_clear();
    again.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    again
}
