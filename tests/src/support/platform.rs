//! A platform in a world of its own: a registry, two run images of one stack, the Java buildpack in a store, two builders;
//! and the program as people type it.

use std::{
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use stave_lifecycle::{
    image::Image,
    port::{cancel::Cancel, observer::Silent, sink::Sink as _},
};
use stave_model::target::Platform;
use stave_oci::{
    layout::{LayoutFolder, Place},
    testing,
};
use stave_platform::{
    port::{Records as _, records::ImageRecord},
    resource::name::ImageKey,
};
use stave_store::{
    folders::{DATA_VARIABLE, Folder},
    records::DiskRecords,
};

use super::{
    env::TestEnv,
    images::config,
    process::{Outcome, run, stave, succeeds},
    registry::Registry,
    tools::tool,
};

/// All of it.
pub(crate) struct World {
    pub(crate) env: TestEnv,
    pub(crate) registry: Registry,
    /// The outdated run image, by its digest.
    pub(crate) old: String,
    /// The patched one.
    pub(crate) new: String,
    /// The program under test.
    program: PathBuf,
    /// The buildpack of both builders, one of those inside the program.
    buildpack: &'static str,
    /// Whether whoever runs the tests reads what is typed and what is answered.
    is_told: bool,
}

impl World {
    /// With run images of a few bytes and all that operators do: images are built, and cannot be started.
    pub(crate) fn small() -> Self {
        let env = TestEnv::warm();
        let registry = Registry::start(&env);
        Self::with_small_run_images(stave(), env, registry, "java")
    }

    /// The same with a buildpack that only reads a Procfile, and a folder `app` for it: a build takes a moment.
    pub(crate) fn quick() -> Self {
        let env = TestEnv::empty();
        let registry = Registry::start(&env);
        Self::quick_of(stave(), env, registry)
    }

    /// The same of this program, which may be another one than that under test, with this registry.
    pub(crate) fn quick_of(program: &Path, env: TestEnv, registry: Registry) -> Self {
        let world = Self::with_small_run_images(program, env, registry, "procfile");
        world.env.write("app/Procfile", "web: /bin/app\n");
        world
    }

    fn with_small_run_images(program: &Path, env: TestEnv, registry: Registry, buildpack: &'static str) -> Self {
        let [old, new] = ["old", "new"].map(|version| small_run_image(&env, &registry, "stave.small", version));
        let world = Self { env, registry, old, new, program: program.to_owned(), buildpack, is_told: false };
        world.operators_work();
        world
    }

    /// With nothing but a registry: no run images yet.
    pub(crate) fn of(env: TestEnv, registry: Registry, is_told: bool) -> Self {
        let (old, new, program) = (String::new(), String::new(), stave().to_owned());
        Self { env, registry, old, new, program, buildpack: "java", is_told }
    }

    /// O1 to O5 of the story.
    pub(crate) fn operators_work(&self) {
        let name = self.buildpack;
        self.typed(&format!("buildpack publish builtin:{name} REG/buildpacks/{name}"));
        self.env.write("order.yaml", format!("- group:\n  - id: stave/{name}\n"));
        let (old, new) = (&self.old, &self.new);
        for (stack, digest) in [("demo-stack", old), ("default", new)] {
            let build = format!("--build-image REG/stack/build@{digest}");
            self.typed(&format!("clusterstack create {stack} {build} --run-image REG/stack/run@{digest}"));
        }
        self.typed(&format!("clusterstore create default -b REG/buildpacks/{name}"));
        for (builder, repository, stack) in
            [("demo-cluster-builder", "demo-cluster-builder", "demo-stack"), ("default", "default-builder", "default")]
        {
            let order = "--store default --order order.yaml";
            self.typed(&format!("clusterbuilder create {builder} --tag REG/ops/{repository} --stack {stack} {order}"));
        }
    }

    /// Runs the program with the words of a line, in which `REG` is the registry, and gives all that a person sees of it, in the
    /// order in which they see it. It must succeed.
    #[track_caller]
    pub(crate) fn typed(&self, line: &str) -> String {
        let mut shell = self.env.command("sh");
        shell.args(["-c", "exec \"$@\" 2>&1", "sh"]).arg(&self.program);
        self.tell(&format!("$ stave {}", self.words(line).join(" ")));
        let outcome = run(shell.args(self.words(line)));
        self.tell(&outcome.stdout);
        outcome.succeeds().stdout
    }

    /// The same with the two outputs apart, however it ends.
    pub(crate) fn run(&self, line: &str) -> Outcome {
        run(self.env.command(&self.program).args(self.words(line)))
    }

    /// Says something to whoever reads along. The capture of the tests' output is passed by.
    pub(crate) fn tell(&self, text: &str) {
        if self.is_told {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// The words of a line.
    pub(crate) fn words(&self, line: &str) -> Vec<String> {
        line.split_whitespace().map(|word| self.named(word)).collect()
    }

    /// A text in which `REG` is the registry.
    pub(crate) fn named(&self, text: &str) -> String {
        text.replace("REG/", &format!("{}/", self.registry.host()))
    }

    /// The wish of the story, for this jar.
    #[track_caller]
    pub(crate) fn create(&self, jar: &str) -> String {
        self.typed(&format!(
            "image create spring-webdb -c demo-cluster-builder --tag REG/team/spring-webdb --local-path {jar}"
        ))
    }

    /// Wishes for so many images of a quick world's `app`, all on the builder of the outdated stack, and answers their names.
    /// The first one sends the source, and a file has the others. Without a server, each of them is built before this ends.
    #[track_caller]
    pub(crate) fn fleet(&self, size: usize) -> Vec<String> {
        let names: Vec<String> = (0..size).map(|at| format!("image-{at:04}")).collect();
        let first = &names[0];
        self.typed(&format!("image create {first} -c demo-cluster-builder --tag REG/fleet/{first} --local-path app"));
        let record = self.document(&format!("image status {first}"));
        let source = record["spec"]["source"]["registry"]["image"].as_str().unwrap_or_else(|| panic!("{record}"));
        let mut manifests = String::new();
        for name in &names[1..] {
            let _ = write!(
                manifests,
                "---\napiVersion: kpack.io/v1alpha2\nkind: Image\nmetadata: {{name: {name}}}\nspec:\n  tag: {}\n  \
                 builder: {{kind: ClusterBuilder, name: demo-cluster-builder}}\n  \
                 source: {{registry: {{image: '{source}'}}}}\n",
                self.named(&format!("REG/fleet/{name}")),
            );
        }
        self.env.write("fleet.yaml", manifests);
        self.typed("apply -f fleet.yaml");
        names
    }

    /// The rows of an image's builds: `2 SUCCESS STACK`.
    #[track_caller]
    pub(crate) fn rows(&self, image: &str) -> Vec<String> {
        let listed = self.run(&format!("build list {image}")).succeeds().stdout;
        let rows = listed.lines().skip(1).filter(|line| !line.is_empty());
        rows.map(|row| {
            let words: Vec<&str> = row.split_whitespace().collect();
            assert_eq!(words.last(), Some(&image), "{row}");
            format!("{} {} {}", words[0], words[1], words[words.len() - 2])
        })
        .collect()
    }

    /// The last of them.
    #[track_caller]
    pub(crate) fn last_row(&self, image: &str) -> String {
        self.rows(image).pop().unwrap()
    }

    /// The log of a build.
    #[track_caller]
    pub(crate) fn log(&self, image: &str, number: u32) -> String {
        self.run(&format!("build logs {image} -b {number}")).succeeds().stdout
    }

    /// The record of a build.
    #[track_caller]
    pub(crate) fn record(&self, image: &str, number: u32) -> Value {
        self.document(&format!("build status {image} -b {number}"))
    }

    /// The reference, by digest, of what a build made.
    #[track_caller]
    pub(crate) fn made(&self, image: &str, number: u32) -> String {
        let record = self.record(image, number);
        record["outcome"]["succeeded"]["image"].as_str().unwrap_or_else(|| panic!("{record}")).to_owned()
    }

    /// A command's document for programs.
    #[track_caller]
    pub(crate) fn document(&self, line: &str) -> Value {
        let told = self.run(&format!("{line} --output json")).succeeds().stdout;
        serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"))
    }

    /// What the program says of what it refuses, without succeeding in any way.
    #[track_caller]
    pub(crate) fn refused(&self, line: &str) -> String {
        let outcome = self.run(line);
        assert!(outcome.code.is_some_and(|code| code != 0), "`{line}` was done: {outcome:?}");
        assert!(!outcome.failure().is_empty(), "`{line}` says no error: {outcome:?}");
        outcome.failure().to_owned()
    }

    /// Changes what is remembered of an image, as another program or another time would have left it.
    #[track_caller]
    pub(crate) fn amend(&self, image: &str, mut change: impl FnMut(&mut ImageRecord)) {
        let records = DiskRecords::open(&self.data()).unwrap();
        let key = ImageKey { namespace: "default".parse().unwrap(), name: image.parse().unwrap() };
        let amended = records.amend_image(&key, &mut |record| {
            change(record);
            Ok(())
        });
        assert!(amended.unwrap().is_some());
    }

    /// The data folder.
    pub(crate) fn data(&self) -> Folder {
        Folder::open(self.env.data(), DATA_VARIABLE).unwrap()
    }

    /// What skopeo says of an image in the registry.
    #[track_caller]
    #[expect(clippy::unused_self, reason = "it is this world's registry that is asked")]
    pub(crate) fn skopeo(&self, arguments: &[&str], reference: &str) -> String {
        let mut inspect = tool("skopeo");
        inspect.args(["inspect", "--tls-verify=false"]).args(arguments).arg(format!("docker://{reference}"));
        succeeds(&mut inspect)
    }

    /// The digests of an image's layers, from its manifest.
    #[track_caller]
    pub(crate) fn layers(&self, reference: &str) -> Vec<String> {
        let manifest: Value = serde_json::from_str(&self.skopeo(&["--raw"], reference)).unwrap();
        let layers = manifest["layers"].as_array().unwrap_or_else(|| panic!("{manifest}"));
        layers.iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
    }

    /// The configuration of an image.
    #[track_caller]
    pub(crate) fn config(&self, reference: &str) -> Value {
        serde_json::from_str(&self.skopeo(&["--config"], reference)).unwrap()
    }

    /// The digest that a tag leads to.
    #[track_caller]
    pub(crate) fn digest(&self, reference: &str) -> String {
        self.skopeo(&["--format", "{{.Digest}}"], reference)
    }
}

/// The titles of a log's steps.
pub(crate) fn steps(log: &str) -> Vec<&str> {
    log.lines().filter_map(|line| line.strip_prefix("===> ")).collect()
}

/// The steps of a build, from the first to the last.
pub(crate) const BUILD: [&str; 7] = ["PREPARE", "ANALYZE", "DETECT", "RESTORE", "BUILD", "EXPORT", "COMPLETION"];
/// Those of a rebase.
pub(crate) const REBASE: [&str; 2] = ["REBASE", "COMPLETION"];

/// Fails unless `text` has lines with these words, in this order.
#[track_caller]
pub(crate) fn assert_in_order(text: &str, words: &[&str]) {
    let mut lines = text.lines();
    for wanted in words {
        assert!(lines.any(|line| line.contains(wanted)), "no `{wanted}` where it should be in:\n{text}");
    }
}

/// Puts a base of a few bytes, of the stack `id`, into the registry as `stack/run` and `stack/build`, and answers its digest.
pub(crate) fn small_run_image(env: &TestEnv, registry: &Registry, id: &str, version: &str) -> String {
    let layers = vec![testing::layer(&[("etc/os-release", "ID=none\n")]), testing::layer(&[("etc/version", version)])];
    let plain = testing::image(&Platform::of_this_machine().arch, layers);
    let mut described = config(&plain);
    described["config"]["Labels"] = json!({ "io.buildpacks.stack.id": id });
    let base = Image::new(plain.platform.clone(), described.to_string().into_bytes(), plain.layers);
    let folder = env.work().join(format!("{id}-{version}"));
    let sink = LayoutFolder::new(Place { folder: folder.clone(), name: None });
    sink.put(&base, &Silent, &Cancel::new()).unwrap();
    for repository in ["stack/run", "stack/build"] {
        push(&folder, &registry.reference(&format!("{repository}:{id}-{version}")));
    }
    base.digest().to_string()
}

/// Pushes a layout's image as it is.
pub(crate) fn push(layout: &Path, reference: &str) {
    let mut copy = tool("skopeo");
    copy.args(["--insecure-policy", "copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false"]);
    succeeds(copy.arg(format!("oci:{}", layout.display())).arg(format!("docker://{reference}")));
}
