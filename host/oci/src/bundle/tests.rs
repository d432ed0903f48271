//! Bundles written and taken in; those in bad shape are `hostile`'s.

mod hostile;

use std::{
    error::Error as _,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use stave_archive::content::Bytes;
use stave_lifecycle::{
    image::{Descriptor, MANIFEST},
    port::{
        cancel::Cancel,
        failure::{Fault, PortError},
        observer::Silent,
    },
};
use stave_model::{
    builder::pinned::{self, PinnedBuildpack, PinnedImage, PinnedStack},
    bundle::{self, BundledBuilder, Declared},
    capability::Capabilities,
    order::System,
    target::Platform,
};

use super::*;
use crate::{
    builder,
    component::Place,
    layout::{self, Layout},
    manifest::MAX_LAYER,
    testing::{image, layer},
};

/// What a bundle is made of, and the folders of a test.
struct World {
    temp: tempfile::TempDir,
    builder: Image,
    carried: Vec<Image>,
    stack: Vec<Image>,
    files: BTreeMap<Digest, Arc<dyn Content>>,
    document: Bundle,
}

impl World {
    /// A builder of one component; its stack is in `repository`, or travels with it.
    fn new(repository: Option<&str>) -> Self {
        let images = ["amd64", "arm64"].map(|arch| image(arch, vec![layer(&[("etc/os-release", "ID=none\n")])]));
        let images: Vec<Image> = images.into();
        let pinned = |image: &Image| PinnedImage { platform: image.platform.clone(), digest: image.digest() };
        let stack: Vec<PinnedImage> = images.iter().map(pinned).collect();
        let component = b"a component";
        let made = PinnedBuilder {
            format: pinned::FORMAT,
            description: String::new(),
            stack: PinnedStack {
                name: "base".to_owned(),
                repository: repository.map(str::to_owned),
                images: stack.clone(),
            },
            buildpacks: vec![PinnedBuildpack {
                id: "acme/tool".parse().unwrap(),
                version: "1.0.0".parse().unwrap(),
                digest: Digest::of(component),
                size: component.len() as u64,
                reference: None,
                grants: Capabilities::default(),
            }],
            order: Vec::new(),
            composites: Vec::new(),
            system: System::default(),
        };
        let artifact = builder::artifact(&made, vec![Arc::new(Bytes::new(&component[..]))]);
        let (carried, stack_images) = if repository.is_some() { (Vec::new(), images) } else { (images, Vec::new()) };
        let digest = builder::digest(&artifact, &carried);
        let dependencies = ["one", "two"].map(|text| Declared {
            id: text.to_owned(),
            version: "1.0.0".parse().unwrap(),
            platform: Some(Platform::linux("amd64")),
            digest: Digest::of(text.as_bytes()),
            purl: format!("pkg:generic/{text}@1.0.0").parse().unwrap(),
            buildpack: "acme/tool@1.0.0".to_owned(),
        });
        let content = |text: &str| Arc::new(Bytes::new(text.as_bytes())) as Arc<dyn Content>;
        let document = Bundle {
            format: bundle::FORMAT,
            builder: BundledBuilder { name: "acme/tools:1".to_owned(), digest },
            stack,
            dependencies: dependencies.into(),
            left_out: Vec::new(),
        };
        let files = ["one", "two"].map(|text| (Digest::of(text.as_bytes()), content(text))).into();
        Self { temp: tempfile::tempdir().unwrap(), builder: artifact, carried, stack: stack_images, files, document }
    }

    fn write(&self, name: &str) -> PathBuf {
        let path = self.temp.path().join(name);
        let contents = Contents {
            document: &self.document,
            builder: &self.builder,
            carried: &self.carried,
            stack: &self.stack,
            files: &self.files,
        };
        let size = write(&path, &contents, &Silent, &Cancel::new()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), size);
        path
    }

    fn builders(&self) -> PathBuf {
        self.temp.path().join("data/builders")
    }

    fn import(&self, file: &Path, name: Option<&str>) -> Result<Imported, PortError> {
        fs::create_dir_all(self.temp.path().join("data")).unwrap();
        import(file, &self.builders(), name, &Silent, &Cancel::new())
    }

    /// What a name leads to among the kept builders.
    fn find(&self, name: &str) -> Result<builder::Found, PortError> {
        let place = layout::Place { folder: self.builders(), name: Some(name.to_owned()) };
        let layout = Layout::open(place.clone())?;
        let mut documents = layout.documents(None);
        builder::found(&Place::Layout { place, digest: None }, &mut documents)
    }

    fn blob(&self, digest: Digest) -> PathBuf {
        self.builders().join("blobs/sha256").join(digest.hex())
    }

    /// What is told of a file that is not taken, which leaves nothing.
    fn refused(&self, bytes: &[u8]) -> String {
        let path = self.temp.path().join("bad.tar");
        fs::write(&path, bytes).unwrap();
        let error = self.import(&path, None).unwrap_err();
        assert_eq!(fs::read_dir(self.temp.path().join("data")).unwrap().count(), 0, "something is left");
        let mut text = error.source().map(ToString::to_string).unwrap_or_default();
        let mut next = error.source().and_then(|cause| cause.source());
        while let Some(cause) = next {
            text = format!("{text}: {cause}");
            next = cause.source();
        }
        text.replace(&self.temp.path().display().to_string(), "DIR")
    }
}

/// The files of an archive.
fn files(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(fs::File::open(path).unwrap());
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let (name, mut bytes) = (entry.path().unwrap().display().to_string(), Vec::new());
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        (name, bytes)
    });
    entries.collect()
}

#[test]
fn a_bundle_is_a_layout_and_the_same_each_time() {
    let world = World::new(None);
    let (one, two) = (world.write("one.tar"), world.write("two.tar"));
    assert_eq!(fs::read(&one).unwrap(), fs::read(two).unwrap());
    assert_eq!(fs::read_dir(world.temp.path()).unwrap().count(), 2, "no partial file is left");
    let all = files(&one);
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names[..2], [MARKER, INDEX]);
    assert!(names[4..].is_sorted(), "{names:?}");
    for (name, bytes) in &all[2..] {
        assert_eq!(*name, format!("{BLOBS}{}", Digest::of(bytes).hex()));
    }
    let index: Value = serde_json::from_slice(&all[1].1).unwrap();
    let listed = index["manifests"].as_array().unwrap().iter();
    let listed: Vec<&str> = listed.map(|entry| layout::named(entry).unwrap()).collect();
    assert_eq!(listed, ["acme/tools:1", "acme/tools:1+bundle"]);
    let manifest: Value = serde_json::from_slice(&all[2].1).unwrap();
    let purls = manifest["layers"].as_array().unwrap().iter().map(|layer| layer["annotations"][PURL].as_str().unwrap());
    let mut purls: Vec<&str> = purls.collect();
    purls.sort_unstable();
    assert_eq!(purls, ["pkg:generic/one@1.0.0", "pkg:generic/two@1.0.0"]);
    // Unpacked, it is what a layout's reader takes.
    let unpacked = world.temp.path().join("unpacked");
    for (name, bytes) in &all {
        let path = unpacked.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let layout = Layout::open(layout::Place { folder: unpacked, name: Some("acme/tools:1".to_owned()) }).unwrap();
    assert_eq!(layout.images().unwrap().len(), 2);
}

#[test]
fn what_was_taken_in_is_there_by_its_name() {
    for repository in [None, Some("registry.example.com/base")] {
        let world = World::new(repository);
        let file = world.write("bundle.tar");
        for _ in 0..2 {
            let imported = world.import(&file, None).unwrap();
            assert_eq!((&imported.document, imported.name.as_str()), (&world.document, "acme/tools:1"));
            assert_eq!(imported.files.values().sum::<u64>(), 6);
            assert!(imported.stack > 0);
        }
        let found = world.find("acme/tools:1").unwrap();
        assert_eq!((found.digest, found.components[0].size()), (world.document.builder.digest, 11));
        for digest in world.files.keys().chain(world.document.stack.iter().map(|image| &image.digest)) {
            assert_eq!(Digest::of(&fs::read(world.blob(*digest)).unwrap()), *digest);
        }
        // Beside it, another name; and what is damaged is healed.
        let damaged = world.blob(Digest::of(b"one"));
        fs::write(&damaged, "uno").unwrap();
        let imported = world.import(&file, Some("mine:2")).unwrap();
        assert_eq!(imported.name, "mine:2");
        assert_eq!(fs::read(damaged).unwrap(), b"one");
        for name in ["mine:2", "acme/tools:1"] {
            assert_eq!(world.find(name).unwrap().digest, world.document.builder.digest);
        }
        assert_eq!(fs::read_dir(world.temp.path().join("data")).unwrap().count(), 1, "nothing is left beside");
    }
}

#[test]
fn another_bundle_takes_the_place_of_the_one_of_its_name() {
    let (old, new) = (World::new(Some("registry.example.com/base")), World::new(None));
    old.import(&old.write("bundle.tar"), None).unwrap();
    old.import(&new.write("bundle.tar"), None).unwrap();
    assert_eq!(old.find("acme/tools:1").unwrap().digest, new.document.builder.digest);
    let index: Value = serde_json::from_slice(&fs::read(old.builders().join(INDEX)).unwrap()).unwrap();
    let names: Vec<_> = index["manifests"].as_array().unwrap().iter().map(|entry| layout::named(entry)).collect();
    assert_eq!(
        names,
        [Some("acme/tools:1"), Some("acme/tools:1+bundle")],
        "the old one's stack is not listed any more"
    );
    // Who was locked to the old one still finds it.
    assert!(old.blob(old.document.builder.digest).exists());
}

#[test]
fn a_file_that_cannot_be_read_or_written_is_said() {
    let world = World::new(None);
    let told = |error: &PortError| {
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        format!("{error}: {cause}").replace(&world.temp.path().display().to_string(), "DIR")
    };
    let missing = world.import(&world.temp.path().join("none.tar"), None).unwrap_err();
    let folder = world.import(world.temp.path(), None).unwrap_err();
    let contents = Contents {
        document: &world.document,
        builder: &world.builder,
        carried: &world.carried,
        stack: &world.stack,
        files: &world.files,
    };
    let occupied = write(world.temp.path(), &contents, &Silent, &Cancel::new()).unwrap_err();
    let cancel = Cancel::new();
    cancel.set();
    let path = world.temp.path().join("stopped.tar");
    let stopped = write(&path, &contents, &Silent, &cancel).unwrap_err();
    assert_eq!((stopped.fault, path.exists()), (Fault::Cancelled, false));
    let good = world.write("bundle.tar");
    let stopped = import(&good, &world.builders(), None, &Silent, &cancel).unwrap_err();
    assert_eq!((stopped.fault, world.builders().exists()), (Fault::Cancelled, false));
    insta::assert_snapshot!([missing, folder, occupied].iter().map(told).collect::<Vec<_>>().join("\n"), @r"
    could not import the bundle `DIR/none.tar`: No such file or directory (os error 2)
    could not import the bundle `DIR`: it is not a regular file
    could not write the bundle `DIR`: something is there that is not a file
    ");
}

#[test]
fn a_file_with_other_bytes_is_not_written() {
    let mut world = World::new(None);
    world.files.insert(Digest::of(b"one"), Arc::new(Bytes::new(&b"uno"[..])));
    let contents = Contents {
        document: &world.document,
        builder: &world.builder,
        carried: &world.carried,
        stack: &world.stack,
        files: &world.files,
    };
    let path = world.temp.path().join("bundle.tar");
    let error = write(&path, &contents, &Silent, &Cancel::new()).unwrap_err();
    assert_eq!(error.fault, Fault::Integrity);
    assert_eq!(fs::read_dir(world.temp.path()).unwrap().count(), 0);
}
