//! B1 to B3: a build from nothing, again with nothing changed, and again after one file was changed. Three buildpacks: two make
//! a folder of the app a layer (a runtime of 60 MB, libraries of 200 MB in many files), one names the process. What is left is
//! the app itself, 5 MB. The image goes to a registry on this machine.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    corpus::Files,
    creator::{Creator, Scripts, own},
    gauge::{Figures, measure},
    machine,
    support::{
        env::{TestEnv, listing},
        peers::Peers,
        process::succeeds,
        registry::Registry,
        tools::tool,
    },
    table::{Beside, Row, Sample, loudly},
    world::{World, env, forget, forget_all_but_code, planter, publish_base},
};

/// How often each is run.
const RUNS: usize = 10;
const COLD_RUNS: usize = 5;
/// The file that is changed.
const EDITED: &str = "src/000/file-7";

/// Everything that the three need.
struct Scene<'a> {
    world: &'a World,
    env: TestEnv,
    registry: Registry,
    app: PathBuf,
    /// All bytes of the app's files.
    bytes: u64,
    /// Buildpacks that do their work each time, and such as look at a lock file first.
    creators: Option<[(&'static str, Creator); 2]>,
    /// The app as the lifecycle gets it.
    pristine: PathBuf,
}

pub(crate) fn run(world: &World, wanted: &dyn Fn(&str) -> bool) {
    if wanted("B1") {
        tiny(world);
    }
    let scene = Scene::new(world);
    if wanted("B1") {
        scene.cold();
    }
    if wanted("B2") {
        scene.unchanged();
    }
    if wanted("B3") {
        scene.one_changed();
    }
}

/// The program's call that builds and publishes.
fn build(world: &World, env: &TestEnv, image: &str) -> Command {
    let folders = ["BP_PLANT_RUNTIME=vendor/runtime", "BP_PLANT_LIBRARIES=vendor/libraries"];
    let flags = ["--builder", "builder.toml", "-e", folders[0], "-e", folders[1], "--tag", image, "--publish"];
    world.stave(env, &[&["build", "app"][..], &flags].concat())
}

/// A builder of these components on a base.
pub(crate) fn builder(env: &TestEnv, base: &str, components: &[String]) {
    let mut all = String::new();
    for file in components {
        writeln!(all, "[[buildpacks]]\npath = \"{file}\"").unwrap();
    }
    let group: Vec<String> =
        components.iter().map(|file| format!("{{ id = \"bench/{}\" }}", file.trim_end_matches(".wasm"))).collect();
    let order = format!("[[order]]\ngroup = [{}]\n", group.join(", "));
    env.write("builder.toml", format!("stack = {{ run-image = \"{base}\" }}\n{all}{order}"));
}

/// The lifecycle with buildpacks that do their work each time, and with such as look at a lock file first.
fn creators(env: &TestEnv, peers: &Peers, base: &str) -> [(&'static str, Creator); 2] {
    [("creator", false), ("creator, buildpacks that trust a lock file", true)].map(|(name, by_lock)| {
        let creator = Creator::new(env, peers, if by_lock { "by-lock" } else { "plain" }, base);
        let plant = |name| Scripts::plant(name, by_lock, &creator.aside());
        creator.buildpacks(&[plant("runtime"), plant("libraries"), Scripts::process()]);
        (name, creator)
    })
}

impl<'a> Scene<'a> {
    fn new(world: &'a World) -> Self {
        let (env, part) = (env(), world.size(1, 20));
        let registry = Registry::start(&env);
        let base = publish_base(&env, &registry, "stacks/run:1");
        let app = env.work().join("app");
        let mut files = Files::new(11);
        files.texts(&app.join("src"), 5_000_000 / part, 500 / part);
        files.mixed(&app.join("vendor/runtime"), 60_000_000 / part);
        files.many(&app.join("vendor/libraries"), 200_000_000 / part, 56_000 / part);
        for name in ["runtime", "libraries"] {
            env.write(&format!("app/vendor/{name}.lock"), format!("{name} 1.0.0\n"));
        }
        let bytes = size_of(&app);
        builder(
            &env,
            &base,
            &[
                planter(&env, "runtime", Some("BP_PLANT_RUNTIME")),
                planter(&env, "libraries", Some("BP_PLANT_LIBRARIES")),
                planter(&env, "app", None),
            ],
        );
        let pristine = env.root().join("pristine");
        succeeds(tool("cp").arg("--archive").arg(&app).arg(&pristine));
        own(&pristine);
        let creators = world.peers.map(|peers| creators(&env, peers, &base));
        if creators.is_none() {
            loudly("creator", "the lifecycle could not be built; see `cargo xtask peers`");
        }
        Self { world, env, registry, app, bytes, creators, pristine }
    }

    /// The peers' runs of one scenario; the first creator alone where the second would do the same.
    fn beside(&self, count: usize, which: usize, mut run: impl FnMut(&Creator, usize) -> Figures) -> Vec<Beside> {
        let Some(creators) = &self.creators else { return vec![("creator".to_owned(), Err("not here".to_owned()))] };
        let beside = creators.iter().take(which).map(|(name, creator)| {
            let mut number = 0;
            let sample = Sample::of(count, || {
                number += 1;
                run(creator, number)
            });
            ((*name).to_owned(), Ok(sample))
        });
        beside.collect()
    }

    fn cold(&self) {
        let limit = machine::packing(self.bytes, &[&self.app]);
        let image = |who: &str, number: usize| self.registry.reference(&format!("{who}-{number}/app:1"));
        let mut number = 0;
        let mut cold = |keeps_code: bool| {
            forget_all_but_code(&self.env);
            if !keeps_code {
                forget(&self.env.cache());
                fs::create_dir(self.env.cache()).unwrap();
            }
            number += 1;
            measure(&mut build(self.world, &self.env, &image("ours", number)))
        };
        let runs = self.world.runs(COLD_RUNS);
        let first = Sample::of(runs, || cold(false));
        let ours = Sample::of(runs, || cold(true));
        let peers = self.beside(runs, 1, |creator, number| {
            creator.forget_cache();
            creator.fresh(&self.pristine);
            measure(&mut creator.create(&self.env, &image("theirs", number)))
        });
        let what = "B1 cold build, 3 buildpacks, layers of 60 and 200 MB, an app of 5 MB".to_owned();
        Row { what, ours: Ok(ours), peers, limit: Some(limit) }.print();
        let what = "B1 the same, and the buildpacks are compiled first".to_owned();
        Row { what, ours: Ok(first), peers: vec![], limit: Some(limit) }.print();
    }

    fn image(&self, who: &str) -> String {
        self.registry.reference(&format!("{who}/app:1"))
    }

    /// Builds once, so that there is something to keep.
    fn prepare(&self) {
        measure(&mut build(self.world, &self.env, &self.image("ours")));
        for (name, creator) in self.creators.iter().flatten() {
            creator.fresh(&self.pristine);
            measure(&mut creator.create(&self.env, &self.image(repository(name))));
        }
    }

    fn unchanged(&self) {
        self.prepare();
        let ours =
            Sample::of(self.world.runs(RUNS), || measure(&mut build(self.world, &self.env, &self.image("ours"))));
        let peers = self.repeated(|_, _| ());
        let what = "B2 nothing changed, 265 MB in 57,000 files".to_owned();
        Row { what, ours: Ok(ours), peers, limit: Some(machine::looking(&self.app)) }.print();
    }

    fn one_changed(&self) {
        self.prepare();
        let mut number = 0;
        let ours = Sample::of(self.world.runs(RUNS), || {
            number += 1;
            self.env.write(&format!("app/{EDITED}"), format!("edited for the {number}th time\n"));
            measure(&mut build(self.world, &self.env, &self.image("ours")))
        });
        let peers = self.repeated(|creator, number| creator.edit(EDITED, &format!("edited for the {number}th time\n")));
        // The app's own layer is made anew; the others are looked at.
        let source = self.app.join("src");
        let limit = machine::looking(&self.app) + machine::packing(size_of(&source), &[&source]);
        let what = "B3 one source file changed".to_owned();
        Row { what, ours: Ok(ours), peers, limit: Some(limit) }.print();
    }

    /// The peers' builds of what they have built before, after something was done to the app.
    fn repeated(&self, change: impl Fn(&Creator, usize)) -> Vec<Beside> {
        let names: Vec<&str> = self.creators.iter().flatten().map(|(name, _)| *name).collect();
        let mut peers = self.beside(self.world.runs(COLD_RUNS), 2, |creator, number| {
            creator.fresh(&self.pristine);
            change(creator, number);
            let at = self.creators.iter().flatten().position(|(_, other)| std::ptr::eq(other, creator)).unwrap();
            measure(&mut creator.create(&self.env, &self.image(repository(names[at]))))
        });
        peers.truncate(2);
        peers
    }
}

/// A peer's repository.
fn repository(name: &str) -> &'static str {
    if name == "creator" { "plain" } else { "by-lock" }
}

/// An app of one file on a small base, with one buildpack.
fn tiny(world: &World) {
    let env = env();
    let registry = Registry::start(&env);
    let base = publish_base(&env, &registry, "stacks/run:1");
    env.write("app/readme.txt", "an app");
    builder(&env, &base, &[planter(&env, "app", None)]);
    let mut number = 0;
    measure(&mut build(world, &env, &registry.reference("warm/app:1")));
    let ours = Sample::of(world.runs(RUNS), || {
        forget_all_but_code(&env);
        number += 1;
        measure(&mut build(world, &env, &registry.reference(&format!("ours-{number}/app:1"))))
    });
    let peers = match world.peers {
        None => Err(loudly("creator", "the lifecycle could not be built; see `cargo xtask peers`")),
        Some(peers) => {
            let creator = Creator::new(&env, peers, "plain", &base);
            creator.buildpacks(&[Scripts::process()]);
            let pristine = env.root().join("pristine");
            fs::create_dir(&pristine).unwrap();
            fs::write(pristine.join("readme.txt"), "an app").unwrap();
            own(&pristine);
            Ok(Sample::of(world.runs(RUNS), || {
                creator.forget_cache();
                creator.fresh(&pristine);
                number += 1;
                measure(&mut creator.create(&env, &registry.reference(&format!("theirs-{number}/app:1"))))
            }))
        }
    };
    let what = "B1 cold build of a tiny app, 1 buildpack".to_owned();
    let peers = vec![("creator".to_owned(), peers)];
    Row { what, ours: Ok(ours), peers, limit: Some(machine::starting(&env)) }.print();
}

/// The bytes of all files in a folder.
pub(crate) fn size_of(folder: &Path) -> u64 {
    listing(folder).values().sum()
}
