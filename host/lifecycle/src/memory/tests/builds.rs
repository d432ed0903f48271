//! Builds: layers without their files, changes to the app, dependencies, requirements, and the buildpacks that follow.

use stave_model::{
    env::{EnvChange, EnvOp, EnvScope},
    launch::{Launch, Process},
    layer::Usage,
    manifest::Manifest,
    plan::{Entry, Plan},
};

use super::*;
use crate::{
    build::{self, Built},
    detect::Detection,
    port::{artifacts::ArtifactSource, failure::PortError},
    previous::{
        Previous,
        tests::{Yard, all_layers, image},
    },
    testing::{everything, shown, tar_gz},
    workbench::Unpacking,
};

/// A group of these, the first of which provides what `requirements` names.
pub(super) fn group(members: Vec<Fake>, requirements: &[&str]) -> Detection {
    let members: Vec<Arc<dyn Buildpack>> =
        members.into_iter().map(|fake| Arc::new(fake) as Arc<dyn Buildpack>).collect();
    let entry = |name: &&str| Entry {
        name: (*name).to_owned(),
        providers: vec![0],
        requires: vec![Requirement { name: (*name).to_owned(), metadata: [("v".to_owned(), "1".to_owned())].into() }],
    };
    let titles = members.iter().map(|member| member.manifest().title()).collect();
    let plan = Plan { members: titles, entries: requirements.iter().map(entry).collect() };
    Detection { members, plan, attempts: Vec::new() }
}

impl Runs {
    pub(super) fn build(&mut self, group: &Detection, world: &World) -> Built {
        self.enter(world);
        build::build(&self.shop, group, world.app.clone()).unwrap()
    }

    /// How each answer came to be, in order.
    pub(super) fn recalls(&self) -> Vec<String> {
        let recall = |event| match event {
            Event::Recalled { recall: Recall::Remembered, .. } => Some("remembered".to_owned()),
            Event::Recalled { recall: Recall::Ran(cause), .. } => Some(format!("ran: {cause}")),
            _ => None,
        };
        self.observer.take().into_iter().filter_map(recall).collect()
    }
}

/// A buildpack of one call.
fn builds(title: &str, work: fn(&Workbench)) -> Fake {
    Fake::new(title).builds(move |bench, _| {
        work(bench);
        Ok(Report::default())
    })
}

/// How a build of `after` comes to be once `before` was built.
fn then(work: fn(&Workbench), before: &World, after: &World) -> String {
    let mut runs = Runs::new(Artifacts::default());
    let group = group(vec![builds("t/a@1.0.0", work)], &[]);
    runs.build(&group, before);
    assert_eq!(runs.recalls(), ["ran: first time"]);
    let recalled = runs.build(&group, after);
    let recall = runs.recalls().pop().unwrap();
    // Whatever it is that came of it, a run without memory comes to the same.
    runs.shop.memory = Memory::none();
    assert_same(&recalled, &runs.build(&group, after));
    recall
}

fn assert_same(one: &Built, other: &Built) {
    assert_eq!(shown(&one.app), shown(&other.app));
    assert_eq!(one.launch, other.launch);
    assert_eq!(one.parts.len(), other.parts.len());
    for (one, other) in one.parts.iter().zip(&other.parts) {
        assert_eq!(one.store, other.store);
        let layers = |layers: &[DraftLayer]| {
            let layer = |layer: &DraftLayer| {
                let files = shown(&layer.tree().unwrap());
                (
                    layer.name.clone(),
                    layer.usage,
                    files,
                    layer.env.clone(),
                    layer.metadata.clone(),
                    layer.contents.clone(),
                    layer.recipe,
                )
            };
            layers.iter().map(layer).collect::<Vec<_>>()
        };
        assert_eq!(layers(&one.layers), layers(&other.layers));
    }
}

const LAUNCH: Usage = Usage { build: false, launch: true, cache: false };

#[test]
fn files_that_are_copied_into_a_layer() {
    let copy: fn(&Workbench) = |bench| {
        let layer = bench.create_layer("l", LAUNCH).unwrap();
        bench.overlay_write("lib/own", b"1".to_vec(), false).unwrap();
        bench.layer_copy_app(layer, &globs(&["lib/*"]), "into").unwrap();
        // Does not go a second time, and the buildpack is told so.
        bench.layer_copy_app(layer, &globs(&["lib/*"]), "into").unwrap_err();
    };
    let one = World::of(&[("lib/a", "1"), ("b", "1")]);
    let changed = "ran: the content of `lib/*` changed";
    for (after, expected) in [
        (World::of(&[("lib/a", "1"), ("b", "2")]), "remembered"),
        (World::of(&[("lib/a", "2"), ("b", "1")]), changed),
        (World::of(&[("lib/a", "#!"), ("b", "1")]), changed),
        (World::of(&[("lib/a", "1"), ("lib/c", "1")]), changed),
        (World::of(&[("lib/a", "1"), ("lib/own", "0")]), "remembered"),
    ] {
        assert_eq!(then(copy, &one, &after), expected);
    }
}

#[test]
fn changes_over_the_app() {
    let change: fn(&Workbench) = |bench| {
        bench.overlay_write("new", b"1".to_vec(), true).unwrap();
        drop(bench.overlay_remove(&globs(&["*.md"])));
        drop(bench.overlay_unpack("a.zip", ""));
        drop(bench.read("in", 9));
    };
    let world = |files: &[(&str, &str)], zip: &[(&str, &str)]| World::of(files).with_zip("a.zip", zip);
    let one = world(&[("a.md", "1"), ("b", "1")], &[("in", "1"), ("x", "1")]);
    for (after, expected) in [
        (world(&[("a.md", "2"), ("b", "2"), ("c", "3")], &[("in", "1"), ("x", "1")]), "remembered"),
        (world(&[("a.md", "1"), ("b", "1")], &[("in", "1"), ("x", "2")]), "remembered"),
        (world(&[("a.md", "1"), ("b", "1")], &[("in", "2"), ("x", "1")]), "ran: `in` changed"),
        (world(&[("a.md", "1"), ("b", "1")], &[("in", "1")]), "ran: `a.zip` changed"),
        (
            world(&[("a.md", "1"), ("c.md", "1"), ("b", "1")], &[("in", "1"), ("x", "1")]),
            "ran: what matches `*.md` changed",
        ),
        (world(&[("a.md", "1"), ("x", "1")], &[("in", "1"), ("x", "1")]), "ran: `a.zip` changed"),
        (World::of(&[("a.md", "1"), ("b", "1")]), "ran: `a.zip` was removed"),
    ] {
        assert_eq!(then(change, &one, &after), expected);
    }
}

/// One that does everything there is to do.
pub(super) fn thorough() -> Fake {
    let build = |bench: &Workbench, requirements: &[Requirement]| {
        bench.step(&format!("version {}", requirements[0].metadata["v"]));
        let available = bench.available("jre").unwrap();
        let jre = bench.fetch("jre", &available[0].dependency.version.to_string()).unwrap();
        let layer = bench.create_layer("jre", LAUNCH).unwrap();
        let how = Unpacking { into: "home".to_owned(), drop: globs(&["*.txt"]), ..Unpacking::default() };
        bench.artifact_unpack(jre, layer, &how).unwrap();
        bench.artifact_save(jre, layer, "it", true).unwrap();
        bench.layer_write(layer, "bin/own", vec![0, 255], true).unwrap();
        bench.layer_link(layer, "link", "bin/own").unwrap();
        bench.layer_remove(layer, &globs(&["home/gone"])).unwrap();
        let change = EnvChange {
            scope: EnvScope::Process("web".parse().unwrap()),
            op: EnvOp::Prepend,
            name: "PATH".parse().unwrap(),
            value: b"\xff".to_vec(),
            delimiter: Some(":".to_owned()),
        };
        bench.layer_set_env(layer, change).unwrap();
        bench.layer_set_metadata(layer, vec![("v".to_owned(), "21".to_owned())]).unwrap();
        bench.create_layer("none", Usage::default()).unwrap();
        bench.log(crate::port::observer::Level::Info, "done");
        let process = Process {
            kind: "web".parse().unwrap(),
            command: vec!["run".to_owned()],
            args: Vec::new(),
            direct: true,
            default: true,
            working_directory: None,
            exec_env: Vec::new(),
            buildpack: "not/me".parse().unwrap(),
        };
        let launch = Launch { processes: vec![process], ..Launch::default() };
        Ok(Report { launch, store: [("k".to_owned(), "v".to_owned())].into(), ..Report::default() })
    };
    let mut fake = Fake::new("t/all@1.0.0").builds(build);
    fake.manifest = Manifest { asks: everything(), ..declaring(&jre()) };
    fake
}

pub(super) fn jre() -> Vec<u8> {
    tar_gz(&[("bin/java", "#!java"), ("gone", "1"), ("note.txt", "1")])
}

/// The manifest of one that declares `file` as its runtime.
fn declaring(file: &[u8]) -> Manifest {
    let sha256 = Digest::of(file).hex();
    let text = format!(
        "contract = \"0.1\"\n[buildpack]\nid = \"t/all\"\nversion = \"1.0.0\"\n[[dependencies]]\nid = \"jre\"\n\
         version = \"21.0.1\"\nname = \"Java\"\n[[dependencies.artifacts]]\npurl = \"pkg:pypi/jre@21.0.1?file_name=jre.tar.gz\"\n\
         sha256 = \"{sha256}\"\n"
    );
    Manifest::parse(&text).unwrap()
}

#[test]
fn all_that_was_built_comes_back() {
    let mut runs = Runs::new(Artifacts::of(&[&jre()]));
    let group = group(vec![thorough()], &["jre"]);
    let first = runs.build(&group, &World::of(&[]));
    let said: Vec<Event> = runs.observer.take();
    let second = runs.build(&group, &World::of(&[("README", "")]));
    let again: Vec<Event> = runs.observer.take();
    assert!(again.iter().any(|event| matches!(event, Event::Recalled { recall: Recall::Remembered, .. })));
    let words = |events: &[Event]| {
        let is_word = |event: &&Event| {
            matches!(event, Event::Message { .. } | Event::Step { .. } | Event::LeftOut { .. } | Event::Building { .. })
        };
        events.iter().filter(is_word).cloned().collect::<Vec<_>>()
    };
    assert_eq!((words(&said).len(), words(&said)), (4, words(&again)));
    let files = shown(&second.parts[0].layers[0].tree().unwrap());
    let files: Vec<&str> = files.lines().filter(|line| line.contains("own") || line.contains("java")).collect();
    assert_eq!(files, ["bin/own* = \0\u{fffd}", "home/bin/java* = #!java", "link -> bin/own"]);
    assert_same(&Built { app: second.app.clone(), ..first }, &second);
}

#[test]
fn other_requirements_are_another_question() {
    let mut runs = Runs::new(Artifacts::of(&[&jre()]));
    let world = World::of(&[]);
    let built = |runs: &mut Runs, requirements: &[&str]| {
        runs.build(&group(vec![thorough()], requirements), &world);
        runs.recalls().pop().unwrap()
    };
    assert_eq!(built(&mut runs, &["jre"]), "ran: first time");
    assert_eq!(built(&mut runs, &["jre", "jdk"]), "ran: first time");
    assert_eq!(built(&mut runs, &["jre"]), "remembered");
}

/// Sells nothing, for a reason that may pass.
struct Closed(Fault);

impl ArtifactSource for Closed {
    fn fetch(
        &self,
        _: &stave_model::dependency::Dependency,
        _: &stave_model::dependency::Artifact,
        _: &dyn crate::port::observer::Observer,
        _: &crate::port::cancel::Cancel,
    ) -> Result<stave_archive::content::Span, PortError> {
        Err(PortError::new(self.0, "could not fetch"))
    }
}

#[test]
fn what_was_built_without_a_dependency_that_could_not_be_fetched_is_not_kept() {
    for fault in [Fault::Network, Fault::NotFound, Fault::Denied] {
        let mut fake = Fake::new("t/all@1.0.0").builds(|bench, _| {
            let _ = bench.fetch("jre", "21.0.1");
            Ok(Report::default())
        });
        fake.manifest = Manifest { asks: everything(), ..declaring(b"x") };
        let mut runs = Runs::new(Artifacts::default());
        runs.shop.artifacts = Arc::new(Closed(fault));
        let group = group(vec![fake], &[]);
        for expected in ["ran: first time", "ran: something could not be read or fetched the last time"] {
            runs.build(&group, &World::of(&[]));
            assert_eq!(runs.recalls(), [expected], "{fault:?}");
        }
    }
    // A version that the manifest does not declare is another matter.
    let none: fn(&Workbench) = |bench| assert_eq!(bench.fetch("jre", "1.0.0").unwrap_err().fault, Fault::NotFound);
    assert_eq!(then(none, &World::of(&[]), &World::of(&[])), "remembered");
}

#[test]
fn a_dependency_follows_from_the_target() {
    let arm = World { arch: "arm64", ..World::of(&[]) };
    let asks: fn(&Workbench) = |bench| drop(bench.available("jre"));
    assert_eq!(then(asks, &World::of(&[]), &arm), "remembered", "there is none for either");
    let file = jre();
    let mut fake = thorough();
    fake.manifest.dependencies[0].artifacts[0].platform = Some(Platform::linux("amd64"));
    let mut other = fake.manifest.dependencies[0].artifacts[0].clone();
    let arm_file = tar_gz(&[("bin/java", "#!java for arm")]);
    other.platform = Some(Platform::linux("arm64"));
    other.sha256 = Digest::of(&arm_file);
    fake.manifest.dependencies[0].artifacts.push(other);
    let group = group(vec![fake], &["jre"]);
    let mut runs = Runs::new(Artifacts::of(&[&file, &arm_file]));
    runs.build(&group, &World::of(&[]));
    runs.build(&group, &arm);
    runs.build(&group, &World::of(&[]));
    assert_eq!(runs.recalls(), ["ran: first time", "ran: the dependency `jre` changed", "remembered"]);
}

#[test]
fn a_layer_that_cannot_be_made_again_says_so() {
    let mut runs = Runs::new(Artifacts::of(&[&jre()]));
    let group = group(vec![thorough()], &["jre"]);
    runs.build(&group, &World::of(&[]));
    runs.shop.artifacts = Arc::new(Closed(Fault::Network));
    let built = runs.build(&group, &World::of(&[]));
    assert_eq!(runs.recalls().pop().unwrap(), "remembered", "nobody needs its files yet");
    let error = built.parts[0].layers[0].tree().unwrap_err();
    assert_eq!((error.fault, error.to_string().as_str()), (Fault::Network, "could not fetch"));
    runs.shop.artifacts = Arc::new(Artifacts::of(&[&jre()]));
    assert_eq!(runs.build(&group, &World::of(&[])).parts[0].layers[0].tree().unwrap().len(), 7);
}

#[test]
fn later_buildpacks_are_asked_about_the_app_as_it_was_changed() {
    let members = || {
        let first = builds("t/first@1.0.0", |bench| {
            let text = bench.setting("BP_A").unwrap().unwrap_or_default();
            bench.overlay_write("made", text.into_bytes(), false).unwrap();
        });
        let second = builds("t/second@1.0.0", |bench| {
            let text = bench.read("made", 9).unwrap();
            bench.overlay_write("last", text, false).unwrap();
        });
        group(vec![first, second], &[])
    };
    let mut runs = Runs::new(Artifacts::default());
    let world = |value| World::of(&[("made", "source")]).set("BP_A", value);
    runs.build(&members(), &world("1"));
    assert_eq!(runs.recalls(), ["ran: first time", "ran: first time"]);
    let built = runs.build(&members(), &world("1"));
    assert_eq!(
        (shown(&built.app).as_str(), runs.recalls()),
        ("last = 1\nmade = 1", globs(&["remembered", "remembered"]))
    );
    let built = runs.build(&members(), &world("2"));
    assert_eq!(shown(&built.app), "last = 2\nmade = 2");
    assert_eq!(runs.recalls(), ["ran: setting BP_A changed", "ran: `made` changed"]);
}

#[test]
fn what_the_previous_build_left() {
    let asks = builds("acme/tool@1.0.0", |bench| {
        let seen = bench.notes().unwrap();
        let jre = bench.previous_layer("jre").unwrap();
        assert_eq!((seen.len(), jre.is_some()), (1, true));
        assert_eq!(bench.previous_layer("kept").unwrap(), None);
        assert_eq!(bench.previous_layer("../x").unwrap_err().fault, Fault::InvalidInput);
    });
    let group = group(vec![asks], &[]);
    let mut runs = Runs::new(Artifacts::default());
    for (seen, expected) in [
        ("1", "ran: first time"),
        ("1", "remembered"),
        ("2", "ran: the notes of the previous build changed"),
        ("1", "remembered"),
    ] {
        runs.shop.previous = Arc::new(Previous::of_image(&image(seen)));
        runs.build(&group, &World::of(&[]));
        assert_eq!(runs.recalls(), [expected]);
    }
}

/// Keeps one layer as it is and adds to what another held, or makes them.
fn keeps() -> Fake {
    builds("acme/tool@1.2.3", |bench| {
        if bench.reuse_layer("jre", LAUNCH).is_err() {
            bench.create_layer("jre", LAUNCH).unwrap();
        }
        let cache = Usage { cache: true, ..Usage::default() };
        let list = bench.restore_layer("list", cache).or_else(|_| bench.create_layer("list", cache)).unwrap();
        bench.layer_write(list, "more", b"1".to_vec(), false).unwrap();
    })
}

#[test]
fn layers_that_are_kept_are_remembered_with_what_they_are() {
    let yard = Yard::new();
    let first = yard.export(all_layers(&yard.shop));
    let mut runs = Runs::new(Artifacts::default());
    let group = group(vec![keeps()], &[]);
    let mut build = |previous: &Previous, expected: &str| {
        runs.shop.previous = Arc::new(previous.clone());
        let built = runs.build(&group, &World::of(&[]));
        assert_eq!(runs.recalls(), [expected]);
        let [jre, list] = &built.parts[0].layers[..] else { panic!("there are two") };
        let contents: Vec<&str> = jre.contents.iter().map(|component| component.name.as_str()).collect();
        let sha = jre.reused.as_ref().map(|layer| layer.diff_id);
        (sha, contents.join(" "), jre.metadata.len(), shown(&list.tree().unwrap()))
    };
    let none = (None, String::new(), 0, "more = 1".to_owned());
    assert_eq!(build(&Previous::default(), "ran: first time"), none);
    assert_eq!(build(&Previous::default(), "remembered"), none);
    let there = yard.previous(&first);
    let kept = build(&there, "ran: the layer `jre` of the previous build was added");
    let jre = first.image.layers[0].diff_id;
    let files = "bin/run* = #!list\ncerts -> /etc/ssl/certs\nmore = 1";
    assert_eq!(kept, (Some(jre), "in-jre".to_owned(), 1, files.to_owned()));
    assert_eq!(build(&there, "remembered"), kept);

    // Another layer of the same name, another note, or contents that are gone.
    let mut other = all_layers(&yard.shop);
    let jre = other.iter_mut().find(|layer| layer.name.as_str() == "jre").unwrap();
    jre.metadata = [("of".to_owned(), "other".to_owned())].into();
    let other = yard.previous(&yard.export(other));
    assert_eq!(build(&other, "ran: the layer `jre` of the previous build changed"), kept);
    assert_eq!(build(&there, "remembered"), kept);
    let id = "acme/tool".parse().unwrap();
    yard.memory.lose(&first.kept.of(&id, &"list".parse().unwrap()).unwrap().descriptor.digest);
    // The last that ran had the other note.
    let lost = build(&there, "ran: the layer `jre` of the previous build changed");
    assert_eq!((lost.0, lost.3), (kept.0, "more = 1".to_owned()));
    assert_eq!(build(&Previous::default(), "remembered"), none);
}

#[test]
fn a_report_that_breaks_the_contract_is_not_kept() {
    let fake = Fake::new("t/a@1.0.0").builds(|_, _| Ok(Report { unmet: vec!["x".to_owned()], ..Report::default() }));
    let mut runs = Runs::new(Artifacts::default());
    runs.enter(&World::of(&[]));
    let group = group(vec![fake], &[]);
    for _ in 0..2 {
        build::build(&runs.shop, &group, Tree::new()).unwrap_err();
        assert_eq!(runs.recalls(), ["ran: first time"]);
    }
    assert_eq!(runs.results.results(), 0);
}
