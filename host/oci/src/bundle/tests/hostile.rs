//! Bundles in bad shape: none is taken in, nothing is left of it, and each is told why.

use super::*;

/// An archive of these files, and of others with a type and a size of their own.
fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        append(&mut archive, name, tar::EntryType::Regular, bytes);
    }
    archive.into_inner().unwrap()
}

fn append(archive: &mut tar::Builder<Vec<u8>>, name: &str, kind: tar::EntryType, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    // Not through the library's own checks of names.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    archive.append(&header, bytes).unwrap();
}

/// The annotations of an entry that is called so.
fn called(name: &str) -> Value {
    json!({ "org.opencontainers.image.ref.name": name })
}

/// The files with another one in the place of the index.
fn with_index(files: &[(String, Vec<u8>)], change: &dyn Fn(&mut Value)) -> Vec<(String, Vec<u8>)> {
    let mut files = files.to_vec();
    let index = files.iter_mut().find(|(name, _)| name == INDEX).unwrap();
    let mut value = serde_json::from_slice(&index.1).unwrap();
    change(&mut value);
    index.1 = value.to_string().into_bytes();
    files
}

/// The files with another document and manifest of the bundle, and an index that leads to them.
fn with_document(
    files: &[(String, Vec<u8>)],
    document: &dyn Fn(&mut Value),
    manifest: &dyn Fn(&mut Value),
) -> Vec<(String, Vec<u8>)> {
    let mut files = files.to_vec();
    let of = |bytes: &[u8]| (format!("{BLOBS}{}", Digest::of(bytes).hex()), bytes.to_vec());
    // They come behind the two that have names.
    let (mut new_manifest, mut new_document): (Value, Value) =
        (serde_json::from_slice(&files[2].1).unwrap(), serde_json::from_slice(&files[3].1).unwrap());
    document(&mut new_document);
    files[3] = of(new_document.to_string().as_bytes());
    let describe = |value: &mut Value, bytes: &[u8]| {
        value["digest"] = json!(Digest::of(bytes));
        value["size"] = json!(bytes.len());
    };
    describe(&mut new_manifest["config"], &files[3].1);
    manifest(&mut new_manifest);
    files[2] = of(new_manifest.to_string().as_bytes());
    let bytes = files[2].1.clone();
    with_index(&files, &|index| {
        let entry = index["manifests"].as_array_mut().unwrap().last_mut().unwrap();
        describe(entry, &bytes);
    })
}

#[test]
fn an_archive_that_is_not_as_written_is_refused() {
    let world = World::new(None);
    let path = world.write("bundle.tar");
    let (good, all) = (fs::read(&path).unwrap(), files(&path));
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    // The content of the last entry, before the padding and the two blocks of the end.
    let last = good.len() - 1024 - 512;
    let with = |name: &str, kind, bytes: &[u8]| {
        let mut archive = tar::Builder::new(Vec::new());
        append(&mut archive, name, kind, bytes);
        [archive.into_inner().unwrap()[..512 * (1 + bytes.len().div_ceil(512))].to_vec(), good.clone()].concat()
    };
    let regular = tar::EntryType::Regular;
    let twice = |at: usize| archive(&[all.clone(), vec![all[at].clone()]].concat());
    let blob = format!("{BLOBS}{}", Digest::of(b"one").hex());
    let many: Vec<(String, Vec<u8>)> = (0..=MAX_FILES)
        .map(|count| count.to_string().into_bytes())
        .map(|bytes| (format!("{BLOBS}{}", Digest::of(&bytes).hex()), bytes))
        .collect();
    let mut huge = tar::Header::new_gnu();
    huge.set_path(&blob).unwrap();
    huge.set_size(MAX_LAYER + 1);
    huge.set_cksum();
    let cases = [
        ("text", b"this is no archive, but long enough to be looked at".repeat(20)),
        ("nothing", Vec::new()),
        ("cut in an entry", good[..last].to_vec()),
        ("cut in a header", good[..good.len() - 2560 + 200].to_vec()),
        ("cut between entries", archive(&all[..all.len() - 1])),
        ("a bit of a blob", flipped(last)),
        ("a bit of a header", flipped(512 * 2 + 10)),
        ("a link", with("index.json", tar::EntryType::Symlink, b"")),
        ("a hard link", with(&blob, tar::EntryType::Link, b"")),
        ("a folder", with("blobs/", tar::EntryType::Directory, b"")),
        ("a pipe", with(&blob, tar::EntryType::Fifo, b"")),
        ("a long name", with("././@LongLink", tar::EntryType::GNULongName, b"oci-layout")),
        ("an extension", with("x", tar::EntryType::XHeader, b"20 path=index.json\n")),
        ("a sparse file", with(&blob, tar::EntryType::GNUSparse, b"")),
        ("up", with("../evil", regular, b"x")),
        ("absolute", with("/etc/passwd", regular, b"x")),
        ("up within", with("blobs/sha256/../../evil", regular, b"x")),
        ("upper case", with(&blob.to_uppercase().replace("BLOBS/SHA256", "blobs/sha256"), regular, b"one")),
        ("a dot", with("./index.json", regular, b"{}")),
        ("an escape", with("a\u{1b}[2Jb", regular, b"x")),
        ("a blob twice", twice(all.len() - 1)),
        ("an index twice", twice(1)),
        ("too many", archive(&many)),
        ("a huge index", with(INDEX, regular, &vec![b' '; (4 << 20) + 1])),
        ("a huge blob", huge.as_bytes().to_vec()),
        ("no index", archive(&[all[..1].to_vec(), all[2..].to_vec()].concat())),
        ("a stray", with(&format!("{BLOBS}{}", Digest::of(b"stray").hex()), regular, b"stray")),
    ];
    let told: Vec<String> = cases.iter().map(|(what, bytes)| format!("{what}: {}", world.refused(bytes))).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    text: it is no tar archive, or is cut short: numeric field was not a number: ed atthi when getting cksum for this is no archive, but long enough to be looked atthis is no archive, but long enough to be looked 
    nothing: it has no `oci-layout`
    cut in an entry: it ends in the middle of `blobs/sha256/dcb42dd3bf74c6fa668549aadd8770e51517b0c297d829be2956329f0a171dca`
    cut in a header: it is no tar archive, or is cut short: failed to read entire block
    cut between entries: it has no `sha256:dcb42dd3bf74c6fa668549aadd8770e51517b0c297d829be2956329f0a171dca`
    a bit of a blob: the bytes of sha256:dcb42dd3bf74c6fa668549aadd8770e51517b0c297d829be2956329f0a171dca are others than its name says
    a bit of a header: it is no tar archive, or is cut short: archive header checksum mismatch
    a link: `index.json` is not a regular file
    a hard link: `blobs/sha256/7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed` is not a regular file
    a folder: `blobs/` is not a regular file
    a pipe: `blobs/sha256/7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed` is not a regular file
    a long name: `././@LongLink` is not a regular file
    an extension: `x` is not a regular file
    a sparse file: `blobs/sha256/7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed` is not a regular file
    up: `../evil` is no name of a layout's file
    absolute: `/etc/passwd` is no name of a layout's file
    up within: `blobs/sha256/../../evil` is no name of a layout's file
    upper case: `blobs/sha256/7692C3AD3540BB803C020B3AEE66CD8887123234EA0C6E7143C0ADD73FF431ED` is no name of a layout's file
    a dot: `./index.json` is no name of a layout's file
    an escape: `a\u{1b}[2Jb` is no name of a layout's file
    a blob twice: `blobs/sha256/dcb42dd3bf74c6fa668549aadd8770e51517b0c297d829be2956329f0a171dca` is there twice
    an index twice: `index.json` is there twice
    too many: it has more than 8192 files
    a huge index: `index.json` says to have 4194305 bytes, more than 4194304
    a huge blob: `blobs/sha256/7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed` says to have 34359738369 bytes, more than 34359738368
    no index: it has no `index.json`
    a stray: nothing in it leads to sha256:e224ddc6b55af8b2a88404a0b6cb2617db0dfc25b3584a4dd7c4358d911e91f5
    "#);
}

#[test]
fn documents_that_do_not_agree_are_refused() {
    let world = World::new(None);
    let all = files(&world.write("bundle.tar"));
    let index = |change: &dyn Fn(&mut Value)| archive(&with_index(&all, change));
    let document = |change: &dyn Fn(&mut Value)| archive(&with_document(&all, change, &|_| {}));
    let manifest = |change: &dyn Fn(&mut Value)| archive(&with_document(&all, &|_| {}, change));
    let replaced = |at: usize, bytes: &[u8]| {
        let mut all = all.clone();
        all[at].1 = bytes.to_vec();
        archive(&all)
    };
    let again = |index: &mut Value, at: usize, name: &str| {
        let mut entry = index["manifests"][at].clone();
        entry["annotations"] = called(name);
        index["manifests"].as_array_mut().unwrap().push(entry);
    };
    let other = Digest::of(b"one");
    let cases = [
        ("another layout", replaced(0, br#"{"imageLayoutVersion":"2.0.0"}"#)),
        ("an index that reads two ways", replaced(1, br#"{"manifests":[],"manifests":[]}"#)),
        ("an empty index", index(&|index| *index = json!({}))),
        ("no document", index(&|index| drop(index["manifests"].as_array_mut().unwrap().pop()))),
        ("two documents", index(&|index| again(index, 1, "acme/tools:1+stack"))),
        ("no builder", index(&|index| drop(index["manifests"].as_array_mut().unwrap().remove(0)))),
        ("another's name", index(&|index| again(index, 0, "acme/other:1"))),
        ("no name", index(&|index| index["manifests"][0]["annotations"] = json!({}))),
        ("no digest", index(&|index| index["manifests"][0]["digest"] = json!("sha256:1"))),
        ("another size", index(&|index| index["manifests"][0]["size"] = json!(1))),
        ("not there", index(&|index| index["manifests"][0]["digest"] = json!(Digest::of(b"x")))),
        (
            "the document is a file",
            index(&|index| {
                index["manifests"][1]["digest"] = json!(other);
                index["manifests"][1]["size"] = json!(3);
            }),
        ),
        ("format", document(&|document| document["format"] = json!(2))),
        ("shape", document(&|document| document["root"] = json!(true))),
        ("another name", document(&|document| document["builder"]["name"] = json!("acme/else:1"))),
        ("a name with a digest", {
            let name = format!("acme/tools:1@{other}");
            let mut all = with_document(&all, &|document| document["builder"]["name"] = json!(name), &|_| {});
            all = with_index(&all, &|index| {
                index["manifests"][0]["annotations"] = called(&name);
                index["manifests"][1]["annotations"] = called(&format!("{name}+bundle"));
            });
            archive(&all)
        }),
        ("another builder", document(&|document| document["builder"]["digest"] = json!(other))),
        ("another stack", document(&|document| document["stack"][0]["digest"] = json!(other))),
        ("half a stack", document(&|document| drop(document["stack"].as_array_mut().unwrap().pop()))),
        ("a dependency less", document(&|document| drop(document["dependencies"].as_array_mut().unwrap().pop()))),
        ("a layer less", manifest(&|manifest| drop(manifest["layers"].as_array_mut().unwrap().pop()))),
        ("a layer of another kind", manifest(&|manifest| manifest["layers"][0]["mediaType"] = json!("x"))),
        ("a layer of another size", manifest(&|manifest| manifest["layers"][0]["size"] = json!(4))),
        ("another configuration", manifest(&|manifest| manifest["config"]["mediaType"] = json!("x"))),
    ];
    let told: Vec<String> = cases.iter().map(|(what, bytes)| format!("{what}: {}", world.refused(bytes))).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    another layout: its `oci-layout` is not that of version 1.0.0
    an index that reads two ways: its index cannot be read: it is not the JSON it should be: the key `manifests` is there twice at line 1 column 31
    an empty index: its index is not a bundle's: it lists nothing
    no document: its index is not a bundle's: it does not list one document of a bundle
    two documents: its index is not a bundle's: it does not list one document of a bundle
    no builder: its index is not a bundle's: it does not list one builder and one document of a bundle
    another's name: its index is not a bundle's: it lists what is no part of one
    no name: its index is not a bundle's: it lists what is no part of one
    no digest: its index is not a bundle's: what it lists has no media type, digest or size
    another size: sha256:dcb42dd3bf74c6fa668549aadd8770e51517b0c297d829be2956329f0a171dca has 697 bytes, and what leads to it says 1
    not there: it has no `sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881`
    the document is a file: its manifest cannot be read: it is not the JSON it should be: expected value at line 1 column 1
    format: its document is not a bundle's: it is written in format 2, and this version of stave reads 1
    shape: its document is not a bundle's: it does not follow the format of bundles: unknown field `root`, expected one of `format`, `builder`, `stack`, `dependencies`, `left-out`
    another name: its index is not a bundle's: it lists what is no part of one
    a name with a digest: its parts do not agree: the name of its builder is none that a builder has
    another builder: its parts do not agree: its builder is not the one that its document names
    another stack: its parts do not agree: its images are not the stack's that its builder names
    half a stack: its parts do not agree: its images are not the stack's that its builder names
    a dependency less: its parts do not agree: its layers are not the dependencies that its document names
    a layer less: its parts do not agree: its layers are not the dependencies that its document names
    a layer of another kind: its index is not a bundle's: what it lists as the document of a bundle is something else
    a layer of another size: sha256:3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3 has 3 bytes, and what leads to it says 4
    another configuration: its index is not a bundle's: what it lists as the document of a bundle is something else
    "#);
}

#[test]
fn a_builder_that_is_none_is_refused() {
    let world = World::new(None);
    let all = files(&world.write("bundle.tar"));
    // An image of the stack alone, under the builder's name.
    let image = &world.carried[0];
    let entry = |image: &Image| {
        let size = image.manifest.len() as u64;
        layout::entry(
            &Descriptor { media_type: MANIFEST.to_owned(), digest: image.digest(), size },
            None,
            Some("acme/tools:1"),
        )
    };
    let instead = with_index(&all, &|index| index["manifests"][0] = entry(image));
    let needed: Vec<String> = [&image.manifest, &image.config].map(|bytes| Digest::of(bytes).hex()).into();
    let needed = |name: &str| {
        let layers = image.layers.iter().map(|layer| layer.descriptor.digest.hex());
        layers
            .chain(needed.clone())
            .chain(["one", "two"].map(|text| Digest::of(text.as_bytes()).hex()))
            .any(|hex| name.ends_with(&hex))
    };
    let instead: Vec<_> = instead
        .into_iter()
        .enumerate()
        .filter(|(at, (name, _))| *at < 4 || needed(name))
        .map(|(_, file)| file)
        .collect();
    insta::assert_snapshot!(world.refused(&archive(&instead)), @"could not use the builder `oci:DIR/data/builders:acme/tools:1`: it is something else than a builder: its type is `application/vnd.oci.image.manifest.v1+json`");
}
