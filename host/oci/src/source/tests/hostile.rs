//! Layers that somebody else wrote: several, removals among them, archives in them, and what must not get in.

use super::*;

/// A tar as somebody else writes it: `x/` is a folder, a text behind `-> ` a link's, behind `=> ` a hard link's; no name is
/// held to be too bad.
fn tar(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, text) in entries {
        let mut header = tar::Header::new_gnu();
        let (kind, link) = match (text.strip_prefix("-> "), text.strip_prefix("=> ")) {
            (Some(to), _) => (tar::EntryType::Symlink, Some(to)),
            (_, Some(to)) => (tar::EntryType::Link, Some(to)),
            _ if *text == "device" => (tar::EntryType::Char, None),
            _ if path.ends_with('/') => (tar::EntryType::Directory, None),
            _ => (tar::EntryType::Regular, None),
        };
        let bytes = if kind.is_file() { text.as_bytes() } else { b"" };
        header.set_entry_type(kind);
        header.set_mode(if text.starts_with("#!") { 0o4711 } else { 0o600 });
        header.set_uid(1000);
        header.set_size(bytes.len() as u64);
        let old = header.as_old_mut();
        old.name[..path.len()].copy_from_slice(path.as_bytes());
        if let Some(to) = link {
            old.linkname[..to.len()].copy_from_slice(to.as_bytes());
        }
        header.set_cksum();
        archive.append(&header, bytes).unwrap();
    }
    archive.into_inner().unwrap()
}

fn plain(bytes: Vec<u8>) -> ImageLayer {
    let digest = Digest::of(&bytes);
    let descriptor = Descriptor { media_type: LAYER.to_owned(), digest, size: bytes.len() as u64 };
    ImageLayer { descriptor, diff_id: digest, content: Arc::new(Bytes::new(bytes)), origin: None }
}

fn files(entries: &[(&str, &str)]) -> ImageLayer {
    plain(tar(entries))
}

/// An image that says by kpack's label to carry an archive.
fn labelled(kind: &Value, layers: Vec<ImageLayer>) -> Image {
    let mut image = image("amd64", layers);
    let mut config: Value = serde_json::from_slice(&image.config).unwrap();
    config["config"]["Labels"] = json!({ CONTENT_TYPE_LABEL: kind });
    image.config = serde_json::to_vec(&config).unwrap();
    image
}

fn said(image: &Image) -> String {
    without_digests(&source(image).map_or_else(|error| told(&error), |tree| shown(&tree)))
}

/// Digests of images and layers say nothing here.
fn without_digests(text: &str) -> String {
    let parts = text.split("sha256:").enumerate();
    parts.map(|(at, part)| if at == 0 { part.to_owned() } else { format!("DIGEST{}", &part[64..]) }).collect()
}

#[test]
fn somebody_else_s_files_are_a_source() {
    let entries = [
        ("./", ""),
        ("./bin/", ""),
        ("./bin/run", "#!run"),
        ("./bin/same", "=> bin/run"),
        ("/etc/x", "y"),
        ("l", "-> /etc/x"),
    ];
    insta::assert_snapshot!(said(&image("amd64", vec![files(&entries)])), @"bin/, bin/run*=#!run, bin/same*=#!run, etc/, etc/x=y, l -> /etc/x");
}

#[test]
fn layers_lie_over_each_other() {
    let below = files(&[("a", "1"), ("b/c", "1"), ("b/d", "1"), ("e/f", "1"), ("g", "-> e")]);
    let above = files(&[(".wh.a", ""), ("b/.wh.c", ""), ("e/.wh..wh..opq", ""), ("e/new", "2"), ("g/h", "2")]);
    let packed = packed_layer(&[("z", "3")], "zstd".parse().unwrap());
    insta::assert_snapshot!(said(&image("amd64", vec![below, above, packed])), @"b/, b/d=1, e/, e/new=2, g/, g/h=2, z*=3");
}

#[test]
fn what_leads_elsewhere_is_refused() {
    let cases: [(&str, &[(&str, &str)]); 10] = [
        ("climbing", &[("a/../../x", "")]),
        ("climbing from the root", &[("/../x", "")]),
        ("two slashes", &[("//etc/passwd", "")]),
        ("through a link", &[("l", "-> /etc"), ("l/passwd", "")]),
        ("hard link outside", &[("h", "=> ../../etc/passwd")]),
        ("hard link to nothing", &[("h", "=> etc/passwd")]),
        ("twice", &[("a", "1"), ("./a", "2")]),
        ("device", &[("sda", "device")]),
        ("removed folder", &[(".wh.a/b", "")]),
        ("removed root", &[("a/.wh...", "")]),
    ];
    let said: Vec<String> = cases
        .iter()
        .map(|(what, entries)| format!("{what}: {}", said(&image("amd64", vec![files(entries)]))))
        .collect();
    insta::assert_snapshot!(said.join("\n"), @"
    climbing: InvalidInput: could not read the source image DIGEST: the layer DIGEST: path `a/../../x` is refused: it holds `.` or `..`
    climbing from the root: InvalidInput: could not read the source image DIGEST: the layer DIGEST: path `../x` is refused: it holds `.` or `..`
    two slashes: InvalidInput: could not read the source image DIGEST: the layer DIGEST: path `/etc/passwd` is refused: it is absolute
    through a link: InvalidInput: could not read the source image DIGEST: the layer DIGEST: `l/passwd` is there twice, or below something that is not a folder
    hard link outside: InvalidInput: could not read the source image DIGEST: the layer DIGEST: layer entry `h` is refused: it is a hard link to `../../etc/passwd`
    hard link to nothing: InvalidInput: could not read the source image DIGEST: the layer DIGEST: layer entry `h` is refused: it is a hard link to a file that is not in the archive before it
    twice: InvalidInput: could not read the source image DIGEST: the layer DIGEST: `a` is there twice, or below something that is not a folder
    device: InvalidInput: could not read the source image DIGEST: the layer DIGEST: layer entry `sda` is refused: it is a device or a fifo
    removed folder: InvalidInput: could not read the source image DIGEST: the layer DIGEST: layer entry `.wh.a` is refused: a name that removes another one has to be a file
    removed root: InvalidInput: could not read the source image DIGEST: the layer DIGEST: layer entry `a/.wh...` is refused: it removes something that has no name
    ");
}

#[test]
fn what_is_not_promised_is_not_believed() {
    let good = || files(&[("a", "1")]);
    let other_bytes = ImageLayer { content: files(&[("a", "2")]).content, ..good() };
    let cut = ImageLayer { content: Arc::new(Bytes::new(tar(&[])[..512].to_vec())), ..good() };
    let other_tar = ImageLayer { diff_id: Digest::of(b"x"), ..good() };
    let garbage = plain(b"garbage".to_vec());
    let followed = plain([tar(&[("a", "1")]), b"more".to_vec()].concat());
    let said: Vec<String> =
        [other_bytes, cut, other_tar, garbage, followed].map(|layer| said(&image("amd64", vec![good(), layer]))).into();
    insta::assert_snapshot!(said.join("\n"), @"
    Integrity: could not read the source image DIGEST: the layer DIGEST, over 1 entries and 1 bytes: cannot read the tar archive: DIGEST is not what it should be: it has another digest, or not 2048 bytes
    Integrity: could not read the source image DIGEST: the layer DIGEST, over 1 entries and 1 bytes: cannot read the layer archive: DIGEST is not what it should be: it has another digest, or not 2048 bytes
    Integrity: could not read the source image DIGEST: the layer DIGEST, over 1 entries and 1 bytes: its files are others than its configuration says: DIGEST, not DIGEST
    InvalidInput: could not read the source image DIGEST: the layer DIGEST, over 1 entries and 1 bytes: layer archive is refused: it ends before its end is marked
    InvalidInput: could not read the source image DIGEST: the layer DIGEST, over 1 entries and 1 bytes: layer archive is refused: bytes follow its end
    ");
}

#[test]
fn limits_hold_for_all_layers_together() {
    let layers = || vec![files(&[("a", "12345"), ("b", "12345")]), files(&[("c", "12345"), ("d/e", "1")])];
    let said = |limits: Limits| {
        let tree = read(&image("amd64", layers()), &limits, &std::env::temp_dir(), &Cancel::new());
        without_digests(&tree.map_or_else(|error| told(&error), |tree| shown(&tree)))
    };
    let limits = Limits { entries: 10, total_bytes: 10_000, entry_bytes: 5, ratio: 200 };
    insta::assert_snapshot!([
        limits,
        Limits { entries: 3, ..limits },
        Limits { total_bytes: 3080, ..limits },
        Limits { total_bytes: 2000, ..limits },
        Limits { entry_bytes: 4, ..limits },
    ].map(said).join("\n"), @"
    a=12345, b=12345, c=12345, d/, d/e=1
    InvalidInput: could not read the source image DIGEST: the layer DIGEST, over 2 entries and 10 bytes: layer archive is refused: it holds more than 1 entries
    InvalidInput: could not read the source image DIGEST: the layer DIGEST, over 2 entries and 10 bytes: cannot read the tar archive: the stream unpacks to more than 3070 bytes
    InvalidInput: could not read the source image DIGEST: the layer DIGEST: cannot read the tar archive: the stream unpacks to more than 2000 bytes
    InvalidInput: could not read the source image DIGEST: the layer DIGEST: layer entry `a` is refused: it holds 5 bytes, more than the limit of 4
    ");
    // What a small layer unpacks to ends somewhere.
    let bomb = packed_layer(&[("zeros", &"\0".repeat(4 << 20))], Packing::GZIP);
    let few = Limits { total_bytes: 1 << 20, ..Limits::default() };
    assert!(read(&image("amd64", vec![bomb]), &few, &std::env::temp_dir(), &Cancel::new()).is_err());
}

#[test]
fn an_archive_in_a_layer_is_unpacked_as_kpack_says() {
    let inner = [("app/", ""), ("app/run", "#!run"), ("app/text", "text")];
    let zipped = zip(&[("app/", "", false), ("app/run", "#!run", true), ("app/text", "text", false)], true);
    // Our own layer is a tar.gz as it stands.
    let root = folder(&[("app/run", "#!run", true)], 0, SystemTime::now());
    let gzipped = made(&tree(root.path())).0.layers[0].content.bytes(1 << 20).unwrap();
    let carrying = |kind: &str, name: &str, archive: &[u8]| {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(archive.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, archive).unwrap();
        said(&labelled(&json!(kind), vec![plain(builder.into_inner().unwrap())]))
    };
    let expected = "app/, app/run*=#!run, app/text=text";
    for kind in ["zip", "jar", "war"] {
        assert_eq!(carrying(kind, "source", &zipped), expected, "{kind}");
    }
    assert_eq!(carrying("tar", "a.tar", &tar(&inner)), expected);
    assert_eq!(carrying("tar.gz", "a.tgz", &gzipped), "app/, app/run*=#!run");
    assert_eq!(carrying("", "a.tar", b"text"), "a.tar=text");
    let climbing = tar(&[("../../x", "")]);
    let linked = tar(&[("l", "-> /etc/passwd")]);
    let two = |kind: &str| said(&labelled(&json!(kind), vec![files(&[("a", "")]), files(&[("b", "")])]));
    let alone = |entries: &[(&str, &str)]| said(&labelled(&json!("tar"), vec![files(entries)]));
    insta::assert_snapshot!([
        carrying("zip", "x", b"no zip"),
        carrying("zip", "x", &tar(&inner)),
        carrying("tar", "x", &climbing),
        carrying("tar", "x", &linked),
        carrying("tar.gz", "x", &tar(&inner)),
        carrying("rar\n", "x", b""),
        two("zip"),
        alone(&[("a", ""), ("b", "")]),
        alone(&[("a/b", "")]),
        alone(&[]),
        said(&labelled(&json!(7), vec![files(&[("a", "")])])),
    ].join("\n"), @r"
    InvalidInput: could not read the source image DIGEST: cannot read the zip archive: Missing end of central directory
    InvalidInput: could not read the source image DIGEST: cannot read the zip archive: Missing end of central directory
    InvalidInput: could not read the source image DIGEST: path `../../x` is refused: it holds `.` or `..`
    InvalidInput: could not read the source image DIGEST: symbolic link `l` leads outside of its tree: `/etc/passwd`
    InvalidInput: could not read the source image DIGEST: cannot read the tar archive: invalid gzip header
    Unsupported: could not read the source image DIGEST: its label source.contenttype.kpack.io is `rar\n`, which is no kind of archive that is known
      hint: the label source.contenttype.kpack.io is zip, jar, war, tar or tar.gz, or it is left out
    InvalidInput: could not read the source image DIGEST: it says to carry an archive, which is one file in one layer, and has not one layer
    InvalidInput: could not read the source image DIGEST: it says to carry an archive, and its layer does not hold one file alone
    InvalidInput: could not read the source image DIGEST: it says to carry an archive, and its layer does not hold one file alone
    InvalidInput: could not read the source image DIGEST: it says to carry an archive, and its layer does not hold one file alone
    Unsupported: could not read the source image DIGEST: its label source.contenttype.kpack.io is `no text`, which is no kind of archive that is known
      hint: the label source.contenttype.kpack.io is zip, jar, war, tar or tar.gz, or it is left out
    ");
}
