//! What comes back of a build: what its image tells, its layers as they are, and their contents.

mod another;

use std::sync::Arc;

use serde_json::json;
use stave_archive::{layer::Packing, tree::Tree};
use stave_model::{
    env::{EnvChange, EnvOp, EnvScope},
    launch::Aggregate,
    target::Platform,
};

use super::*;
use crate::{
    build::{Built, Part},
    export::{self, Choices, Exported},
    port::{bases::Base, cancel::Cancel, observer::Event},
    testing::{Artifacts, Memory, Recorder, bench, manifest, refused, shop, shown},
    workbench::{DraftLayer, Shop, Workbench},
};

/// An image in which `acme/tool` left notes and a layer for each kind of use.
pub(crate) fn image(seen: &str) -> Image {
    let layer = |build: bool, launch: bool, cache: bool| {
        let sha = Digest::of(b"layer");
        json!({ "sha": sha, "data": { "version": seen }, "build": build, "launch": launch, "cache": cache })
    };
    let label = json!({
        "app": [], "config": { "sha": "" }, "launcher": { "sha": "" }, "process-types": { "sha": "" },
        "runImage": { "topLayer": "", "reference": "" }, "stack": { "runImage": { "image": "" } },
        "buildpacks": [
            { "key": "acme/tool", "version": "1.0.0", "store": { "metadata": { "seen": seen } }, "layers": {
                "jre": layer(false, true, false), "jdk": layer(true, true, false), "kept": layer(false, true, true) } },
            { "key": "acme/other", "version": "1.0.0", "layers": {} }
        ]
    });
    let config = json!({ "config": { "Labels": { LIFECYCLE_LABEL: label.to_string() } } });
    Image::new(Platform::linux("amd64"), config.to_string().into_bytes(), Vec::new())
}

#[test]
fn an_image_tells_of_its_build() {
    let previous = Previous::of_image(&image("yes"));
    let (tool, other) = ("acme/tool".parse().unwrap(), "acme/other".parse().unwrap());
    assert_eq!(previous.notes(&tool), [("seen".to_owned(), "yes".to_owned())].into());
    assert_eq!(previous.notes(&other), BTreeMap::new());
    let layer = |name: &str| match previous.layer(&tool, &name.parse().unwrap()) {
        Ok(layer) => format!("{name}: {:?}", layer.metadata),
        Err(reason) => format!("{name}: {reason}"),
    };
    insta::assert_snapshot!(["jre", "jdk", "kept", "none"].map(layer).join("\n"), @r#"
    jre: {"version": "yes"}
    jdk: it was for later buildpacks and not to be kept
    kept: its contents are not kept any more
    none: the previous image does not have it
    "#);
    assert!(previous.layer(&other, &"jre".parse().unwrap()).is_err());
    let cleared = previous.clone().without_layers();
    assert_eq!(cleared.notes(&tool), previous.notes(&tool));
    assert_eq!(cleared.layer(&tool, &"jre".parse().unwrap()), Err(Reason::Cleared));
    assert!(previous.clone().within(&"production".parse().unwrap()).layer(&tool, &"jre".parse().unwrap()).is_ok());
    let other = previous.clone().within(&"test".parse().unwrap());
    assert_eq!(other.notes(&tool), previous.notes(&tool));
    assert_eq!(other.layer(&tool, &"jre".parse().unwrap()), Err(Reason::OtherExecEnv));
    let cleared = cleared.within(&"test".parse().unwrap());
    assert_eq!(cleared.layer(&tool, &"jre".parse().unwrap()), Err(Reason::Cleared), "that is said first");
}

#[test]
fn an_image_that_tells_nothing_is_none() {
    for config in ["", "{}", r#"{"config":{"Labels":{"io.buildpacks.lifecycle.metadata":"[]"}}}"#] {
        let image = Image::new(Platform::linux("amd64"), config.as_bytes().to_vec(), Vec::new());
        assert!(Previous::of_image(&image).parts.is_empty(), "{config}");
    }
}

const NONE: Usage = Usage { build: false, launch: false, cache: false };
const LAUNCH: Usage = Usage { launch: true, ..NONE };
const CACHE: Usage = Usage { cache: true, ..NONE };
const BOTH: Usage = Usage { launch: true, cache: true, ..NONE };

/// A base of a version of a distribution.
fn base(version: &str) -> Base {
    let config = json!({ "architecture": "amd64", "os": "linux", "config": {
        "Env": ["CNB_USER_ID=1001", "CNB_GROUP_ID=1000"],
        "Labels": { "io.buildpacks.base.distro.name": "debian", "io.buildpacks.base.distro.version": version } } });
    let image = Image::new(Platform::linux("amd64"), config.to_string().into_bytes(), Vec::new());
    Base { image, name: "base".to_owned(), reference: "base".to_owned() }
}

/// Where builds of one image happen, one after the other.
pub(crate) struct Yard {
    pub(crate) memory: Memory,
    pub(crate) shop: Shop,
    observer: Arc<Recorder>,
}

impl Yard {
    pub(crate) fn new() -> Self {
        let (shop, observer) = shop(Artifacts::default());
        Self { memory: Memory::default(), shop, observer }
    }

    /// Builds what `work` leaves on the bench of `acme/tool`.
    pub(crate) fn build(&self, work: impl Fn(&Workbench)) -> Exported {
        let bench = bench(&self.shop, Tree::new());
        work(&bench);
        self.export(bench.clear().layers)
    }

    pub(crate) fn export(&self, layers: Vec<DraftLayer>) -> Exported {
        self.export_on(&base("12"), layers)
    }

    fn export_on(&self, base: &Base, layers: Vec<DraftLayer>) -> Exported {
        let part = Part { manifest: manifest("acme/tool@1.2.3"), layers, store: BTreeMap::new() };
        let launch = Aggregate { processes: Vec::new(), default: None, labels: Vec::new(), slices: Vec::new() };
        let built = Built { parts: vec![part], app: Tree::new(), launch };
        let ports = export::Ports {
            blobs: &self.memory,
            results: &self.memory,
            observer: self.observer.as_ref(),
            cancel: &Cancel::new(),
            launcher: b"launcher",
            launcher_version: "0.1.0",
            packing: Packing::GZIP,
        };
        export::export_as(&ports, base, &built, &Choices::default()).unwrap()
    }

    /// What the next build is told of `exported`.
    pub(crate) fn previous(&self, exported: &Exported) -> Previous {
        let place = Shelf { blobs: Arc::new(self.memory.clone()), results: Arc::new(self.memory.clone()) };
        Previous::of_image(&exported.image).with_kept(exported.kept.clone(), place).for_base(&base("12"))
    }

    /// How the buildpack's layers came to be.
    fn made(&self) -> String {
        let layer = |event| match event {
            Event::Layer { what, how, .. } if what.starts_with("acme") => Some(format!("{what} {how:?}")),
            _ => None,
        };
        let mut made: Vec<String> = self.observer.take().into_iter().filter_map(layer).collect();
        made.sort();
        made.join(", ")
    }
}

/// Makes a layer for launch, one for launch and the next build, two for later builds alone, and one for a build.
pub(crate) fn all_kinds(bench: &Workbench) {
    let kinds = [("jre", LAUNCH), ("modules", BOTH), ("list", CACHE), ("sdk", Usage { build: true, ..CACHE })];
    for (name, usage) in kinds.into_iter().chain([("jdk", Usage { build: true, ..NONE })]) {
        let layer = bench.create_layer(name, usage).unwrap();
        bench.layer_write(layer, "bin/run", format!("#!{name}").into_bytes(), true).unwrap();
        bench.layer_link(layer, "certs", "/etc/ssl/certs").unwrap();
        let change = EnvChange {
            scope: EnvScope::Launch,
            op: EnvOp::Default,
            name: "OF".parse().unwrap(),
            value: name.into(),
            delimiter: None,
        };
        bench.layer_set_env(layer, change).unwrap();
        bench.layer_set_metadata(layer, vec![("of".to_owned(), name.to_owned())]).unwrap();
    }
}

/// The layers of [`all_kinds`], with something in each that a bill names.
pub(crate) fn all_layers(shop: &Shop) -> Vec<DraftLayer> {
    let bench = bench(shop, Tree::new());
    all_kinds(&bench);
    let mut layers = bench.clear().layers;
    for layer in &mut layers {
        let component = json!({ "name": format!("in-{}", layer.name), "version": "1", "licenses": ["MIT", "ISC"] });
        layer.contents = vec![serde_json::from_value(component).unwrap()];
    }
    layers
}

/// Keeps everything that can be.
fn keep_all(bench: &Workbench) {
    bench.reuse_layer("jre", LAUNCH).unwrap();
    bench.reuse_layer("modules", BOTH).unwrap();
    bench.reuse_layer("list", CACHE).unwrap();
    bench.reuse_layer("sdk", Usage { build: true, ..CACHE }).unwrap();
}

#[test]
fn layers_are_kept_as_they_are_and_the_image_is_the_same() {
    let mut yard = Yard::new();
    let first = yard.export(all_layers(&yard.shop));
    assert_eq!(
        yard.made(),
        "acme/tool:jre Written, acme/tool:list Written, acme/tool:modules Written, acme/tool:sdk Written"
    );
    let kept: Vec<&str> = first.kept.layers.values().flatten().map(|(name, _)| name.as_str()).collect();
    assert_eq!(kept, ["list", "modules", "sdk"]);
    yard.shop.previous = Arc::new(yard.previous(&first));
    let written = yard.memory.written();
    let second = yard.build(keep_all);
    assert_eq!(
        yard.made(),
        "acme/tool:jre Reused, acme/tool:list Reused, acme/tool:modules Reused, acme/tool:sdk Reused"
    );
    assert_eq!(yard.memory.written(), written);
    assert_eq!(second.image.digest(), first.image.digest(), "environment, notes and bills are those of before");
    assert_eq!(second.kept, first.kept);
    // And once more, from what was kept of what was kept.
    yard.shop.previous = Arc::new(yard.previous(&second));
    assert_eq!(yard.build(keep_all).image.digest(), first.image.digest());
}

/// Bytes that nobody may look at.
#[derive(Debug)]
struct Unread(u64);

impl Content for Unread {
    fn size(&self) -> u64 {
        self.0
    }

    fn open(&self) -> std::io::Result<Box<dyn std::io::Read + Send + '_>> {
        Err(std::io::Error::other("it was read"))
    }
}

#[test]
fn no_byte_of_a_layer_of_the_image_is_read() {
    let mut yard = Yard::new();
    let mut first = yard.build(all_kinds);
    let jre = |exported: &Exported| exported.image.layers[0].descriptor.clone();
    let before = jre(&first);
    for layer in &mut first.image.layers {
        layer.content = Arc::new(Unread(layer.descriptor.size));
        // Docker sent the image on: the same bytes by another word, which an OCI manifest does not have.
        layer.descriptor.media_type = "application/vnd.docker.image.rootfs.diff.tar.gzip".to_owned();
    }
    yard.shop.previous = Arc::new(yard.previous(&first));
    let second = yard.build(|bench| bench.reuse_layer("jre", LAUNCH).unwrap());
    assert_eq!(jre(&second), before);
    assert_eq!(before.media_type, crate::image::LAYER_GZIP);
}

#[test]
fn contents_come_back_without_their_environment() {
    let mut yard = Yard::new();
    let first = yard.build(all_kinds);
    yard.shop.previous = Arc::new(yard.previous(&first));
    let bench = bench(&yard.shop, Tree::new());
    for (index, (name, usage)) in [("list", CACHE), ("modules", BOTH), ("sdk", LAUNCH)].into_iter().enumerate() {
        assert_eq!(bench.restore_layer(name, usage).unwrap(), index);
        assert_eq!(bench.layer_read(index, "bin/run", 99).unwrap(), format!("#!{name}").into_bytes());
    }
    bench.layer_write(0, "more", b"1".to_vec(), false).unwrap();
    let layers = bench.clear().layers;
    assert_eq!(shown(&layers[0].tree().unwrap()), "bin/run* = #!list\ncerts -> /etc/ssl/certs\nmore = 1");
    assert_eq!(shown(&layers[2].tree().unwrap()), "bin/run* = #!sdk\ncerts -> /etc/ssl/certs");
    assert!(layers.iter().all(|layer| layer.env.is_empty() && layer.metadata.is_empty()));
    // Described as before, it is the same layer.
    let mut again = layers;
    again[1].env = all_layers(&yard.shop).into_iter().find(|layer| layer.name.as_str() == "modules").unwrap().env;
    let second = yard.export(again);
    let id = "acme/tool".parse().unwrap();
    let modules = |exported: &Exported| exported.kept.of(&id, &"modules".parse().unwrap()).unwrap().diff_id;
    assert_eq!(modules(&second), modules(&first));
}

#[test]
fn what_cannot_be_kept_says_why() {
    let mut yard = Yard::new();
    let first = yard.build(all_kinds);
    let whole = yard.previous(&first);
    let mut said = Vec::new();
    let mut ask = |previous: Previous, name: &str, usage| {
        yard.shop.previous = Arc::new(previous);
        let bench = bench(&yard.shop, Tree::new());
        said.push(refused(bench.reuse_layer(name, usage)).lines().next().unwrap().to_owned());
    };
    ask(whole.clone(), "none", LAUNCH);
    ask(whole.clone(), "jre", BOTH);
    ask(whole.clone(), "jdk", Usage { build: true, ..NONE });
    ask(whole.clone(), "../x", LAUNCH);
    ask(whole.clone().without_layers(), "jre", LAUNCH);
    ask(whole.clone().for_base(&base("13")), "jre", LAUNCH);
    ask(whole.clone().for_base(&base("13")), "modules", BOTH);
    ask(Previous::of_image(&first.image).for_base(&base("12")), "modules", BOTH);
    let mut damaged = whole.clone();
    let text: Arc<dyn Content> = Arc::new(crate::testing::span(b"other"));
    damaged.layers.values_mut().for_each(|layer| layer.content = text.clone());
    ask(damaged, "jre", LAUNCH);
    ask(Previous { parts: BTreeMap::new(), ..whole.clone() }, "jre", LAUNCH);
    insta::assert_snapshot!(said.join("\n"), @"
    NotFound: could not keep the layer `none` of the previous build as it is: the previous build had no such layer
    NotFound: could not keep the layer `jre` of the previous build as it is: in the previous build it had other uses
    NotFound: could not keep the layer `jdk` of the previous build as it is: the previous build had no such layer
    InvalidInput: could not keep the layer `../x` of the previous build as it is
    NotFound: could not keep the layer `jre` of the previous build as it is: nothing of earlier builds is to be used
    NotFound: could not keep the layer `jre` of the previous build as it is: it was made for a base of another distribution or owner
    NotFound: could not keep the layer `modules` of the previous build as it is: it was made for a base of another distribution or owner
    NotFound: could not keep the layer `modules` of the previous build as it is: its contents are not kept any more
    NotFound: could not keep the layer `jre` of the previous build as it is: the previous image's copy of it is damaged
    NotFound: could not keep the layer `jre` of the previous build as it is: the previous build had no such layer
    ");

    // What belongs to no image does not belong to its base either, and what an image lost may be kept.
    yard.shop.previous = Arc::new(Previous { parts: BTreeMap::new(), ..whole.clone() });
    bench(&yard.shop, Tree::new()).reuse_layer("modules", BOTH).unwrap();
    yard.shop.previous = Arc::new(whole.for_base(&base("13")));
    let bench = bench(&yard.shop, Tree::new());
    bench.reuse_layer("list", CACHE).unwrap();
    insta::assert_snapshot!(
        [refused(bench.reuse_layer("list", CACHE)), refused(bench.restore_layer("jre", LAUNCH))].join("\n"),
        @"
    InvalidInput: could not keep the layer `list` of the previous build as it is: it was begun before
    NotFound: could not begin the layer `jre` of the previous build with its contents: it was not to be kept for the next build
      hint: the buildpack makes it anew with `layers.create`
    "
    );
}

#[test]
fn kept_contents_that_are_lost_or_damaged_are_not_there() {
    for damage in [Memory::lose, Memory::damage, Memory::cut] {
        let mut yard = Yard::new();
        let first = yard.build(all_kinds);
        let id = manifest("acme/tool@1.2.3").buildpack.id;
        let list = first.kept.of(&id, &"list".parse().unwrap()).unwrap().descriptor.digest;
        damage(&yard.memory, &list);
        yard.shop.previous = Arc::new(yard.previous(&first));
        let bench = bench(&yard.shop, Tree::new());
        let error = refused(bench.restore_layer("list", CACHE));
        assert!(error.contains("its contents are not kept any more"), "{error}");
        assert!(!yard.memory.digests().contains(&list), "so that the right bytes can take its place");
        bench.restore_layer("sdk", CACHE).unwrap();
    }
}
