//! Layers are written and read back by our own reader, and by the `tar` crate.

use std::{
    io::{Cursor, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use proptest::prelude::*;

use super::*;
use crate::{
    compression::{Compression, decoder},
    content::{Bytes, Content},
    intake::Links,
    limits::Limits,
    spool::Spool,
    tar,
};

fn path(text: &str) -> TreePath {
    text.parse().unwrap()
}

fn file(text: &str, executable: bool) -> Node {
    Node::file(Arc::new(Bytes::new(text.as_bytes())), executable)
}

fn tree(nodes: &[(&str, Node)]) -> Tree {
    let mut tree = Tree::new();
    for (at, node) in nodes {
        tree.insert(path(at), node.clone()).unwrap();
    }
    tree
}

/// The forms that there are, one of each kind.
const PACKINGS: [Packing; 3] = [Packing::Plain, Packing::GZIP, Packing::ZSTD];

fn packed(tree: &Tree, place: &Place, packing: Packing) -> (Written, Vec<u8>) {
    let mut out = Vec::new();
    let written = write(tree, place, packing, &AtomicBool::new(false), &mut out).unwrap();
    (written, out)
}

/// What another reader sees: names, types, modes, owners, links, sizes.
fn listing(bytes: &[u8]) -> String {
    let mut archive = ::tar::Archive::new(Cursor::new(bytes));
    let mut lines = Vec::new();
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        let link =
            entry.link_name_bytes().map(|to| format!(" -> {}", String::from_utf8_lossy(&to))).unwrap_or_default();
        let kind = char::from(header.entry_type().as_byte());
        let (mode, uid, gid) = (header.mode().unwrap(), header.uid().unwrap(), header.gid().unwrap());
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        assert_eq!(header.mtime().unwrap(), 315_532_801);
        lines.push(format!("{kind} {mode:04o} {uid}:{gid} {} {name}{link}", entry.size()));
    }
    lines.join("\n")
}

fn sample() -> [(&'static str, Node); 6] {
    let odd = Node::File(Access { mode: 0o4711, uid: 5, gid: 6 }, Arc::new(Bytes::new(*b"odd")));
    [
        ("bin/java", file("elf", true)),
        ("bin-notes", file("", false)),
        ("lib/libz.so", Node::Link("libz.so.1".to_owned())),
        ("tmp", Node::Folder(Access { mode: 0o1777, uid: 0, gid: 0 })),
        ("release", file("JAVA_VERSION=21", false)),
        ("odd", odd),
    ]
}

#[test]
fn a_buildpacks_layer_looks_like_the_lifecycles() {
    let layers = Access { mode: 0o755, uid: 1001, gid: 1000 };
    let place = Place::folder("/layers/stave_java/jre").unwrap().owned_by(1001, 1000).parent(path("layers"), layers);
    let (written, bytes) = packed(&tree(&sample()), &place, Packing::Plain);
    insta::assert_snapshot!(listing(&bytes), @r"
    5 0755 1001:1000 0 /layers
    5 0755 0:0 0 /layers/stave_java
    5 0755 1001:1000 0 /layers/stave_java/jre
    5 0755 1001:1000 0 /layers/stave_java/jre/bin
    0 0755 1001:1000 3 /layers/stave_java/jre/bin/java
    0 0644 1001:1000 0 /layers/stave_java/jre/bin-notes
    5 0755 1001:1000 0 /layers/stave_java/jre/lib
    2 0777 1001:1000 0 /layers/stave_java/jre/lib/libz.so -> libz.so.1
    0 0755 1001:1000 3 /layers/stave_java/jre/odd
    0 0644 1001:1000 15 /layers/stave_java/jre/release
    5 0755 1001:1000 0 /layers/stave_java/jre/tmp
    ");
    assert_eq!((written.diff_id, written.size), (written.digest, written.tar_size));
    assert_eq!(written.size, bytes.len() as u64);
    assert_eq!(written.media_type, "application/vnd.oci.image.layer.v1.tar");
}

#[test]
fn a_base_layer_keeps_what_its_tree_says() {
    let (_, bytes) = packed(&tree(&sample()), &Place::root().relative(), Packing::Plain);
    insta::assert_snapshot!(listing(&bytes), @r"
    5 0755 0:0 0 bin
    0 0755 0:0 3 bin/java
    0 0644 0:0 0 bin-notes
    5 0755 0:0 0 lib
    2 0777 0:0 0 lib/libz.so -> libz.so.1
    0 4711 5:6 3 odd
    0 0644 0:0 15 release
    5 1777 0:0 0 tmp
    ");
}

#[test]
fn an_empty_tree_is_the_end_of_a_tar() {
    let (written, bytes) = packed(&Tree::new(), &Place::root(), Packing::Plain);
    assert_eq!(bytes, [0; 1024]);
    assert_eq!(written.diff_id, Digest::of(&[0; 1024]));
}

#[test]
fn digests_are_of_the_tar_and_of_the_bytes_that_were_written() {
    let place = Place::folder("/layers/x/y").unwrap();
    let (plain, tar) = packed(&tree(&sample()), &place, Packing::Plain);
    for (packing, kind) in [(Packing::GZIP, Compression::Gzip), (Packing::ZSTD, Compression::Zstd)] {
        let (written, bytes) = packed(&tree(&sample()), &place, packing);
        assert_eq!((written.diff_id, written.digest), (plain.diff_id, Digest::of(&bytes)));
        assert_eq!((written.size, written.tar_size), (bytes.len() as u64, tar.len() as u64));
        assert_eq!(written.media_type, packing.media_type());
        let mut unpacked = Vec::new();
        decoder(kind, &bytes[..], &Limits::default()).unwrap().read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, tar);
        if packing == Packing::GZIP {
            assert_eq!(&bytes[..10], b"\x1f\x8b\x08\0\0\0\0\0\x04\xff", "no time, no name, no system");
        }
    }
}

/// The sample with text and noise of several blocks.
fn large_sample() -> Vec<(&'static str, Node)> {
    let words: Vec<String> = (0..200_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 12).to_string()).collect();
    let mut state = 1_u64;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33).to_le_bytes()[0]
    });
    let noise: Vec<u8> = noise.take(3_000_000).collect();
    let mut nodes = sample().to_vec();
    nodes.push(("large.txt", file(&words.join(" "), false)));
    let text = packed(&tree(&nodes), &Place::folder("/layers/x/y").unwrap().owned_by(1001, 1000), Packing::Plain).0;
    assert_eq!(text.diff_id.to_string(), "sha256:0fdfbafffde4964fbc1c942981ba48abb656147e6682cc319b8cf7234b9e0a52");
    nodes.push(("noise.bin", Node::file(Arc::new(Bytes::new(noise)), false)));
    nodes
}

#[test]
fn the_bytes_are_the_ones_of_other_days_and_machines() {
    let mut nodes = large_sample();
    let place = Place::folder("/layers/x/y").unwrap().owned_by(1001, 1000);
    let names = ["gzip:1", "gzip:6", "zstd:1", "zstd:3"];
    let written =
        |nodes: &[(&str, Node)]| names.map(|packing| packed(&tree(nodes), &place, packing.parse().unwrap()).0);
    let first = written(&nodes);
    nodes.reverse();
    assert_eq!(first, written(&nodes));
    assert!(first.iter().all(|written| written.diff_id == first[0].diff_id));
    let lines = names.iter().zip(&first).map(|(name, written)| format!("{name} {} {}", written.digest, written.size));
    // A change of the first means that every layer of every user changes; a change of the others that each is compressed, sent
    // and kept again. Neither happens by accident: `LAYER_FORMAT` counts the changes of the others.
    assert_eq!(LAYER_FORMAT, 1);
    insta::assert_snapshot!(format!("{}\n{}", first[0].diff_id, lines.collect::<Vec<_>>().join("\n")), @r"
    sha256:9e1ae8b55e1943f0577a2377234f2ab94d0a2541ffc5dd40d40904a1f80d7fef
    gzip:1 sha256:c51c48d288154b4247e86b3a59e917c82e7243e11cd5af93ed7bc02f511c0977 4100914
    gzip:6 sha256:fb7f575bd5f8afe3b4c07cf6aa520f687fb135b45e1dab6e7b9279fd1234941b 3660366
    zstd:1 sha256:8b963f15caa63a5e498769d8392d74d61321855aa7471e3f6a0878be20d6424c 3522574
    zstd:3 sha256:d799d7f24898905d464089a94fe3c7442f5d00d7c99bcd86c7e462347b25ac4c 3509245
    ");
}

/// Content that gives its bytes in pieces of odd sizes, others each time.
#[derive(Debug)]
struct Trickling(Vec<u8>, AtomicU64);

impl Content for Trickling {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(Pieces { bytes: &self.0, state: &self.1 }))
    }
}

struct Pieces<'a> {
    bytes: &'a [u8],
    state: &'a AtomicU64,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let state = self.state.load(Ordering::Relaxed).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
        self.state.store(state, Ordering::Relaxed);
        let most = usize::try_from(state >> 44).unwrap().max(1).min(buffer.len());
        self.bytes.read(&mut buffer[..most])
    }
}

#[test]
fn neither_threads_nor_pieces_show_in_the_bytes() {
    let mut nodes = Vec::new();
    for (at, node) in large_sample() {
        let trickle = |content: Arc<dyn Content>| Trickling(content.bytes(9 << 20).unwrap(), AtomicU64::new(7));
        nodes.push((
            at,
            match node.clone() {
                Node::File(access, content) => Node::File(access, Arc::new(trickle(content)) as Arc<dyn Content>),
                other => other,
            },
        ));
    }
    let (whole, trickling) = (tree(&large_sample()), tree(&nodes));
    let place = Place::folder("/app").unwrap();
    for packing in PACKINGS {
        let expected = packed(&whole, &place, packing);
        // As many layers at a time on one press; the most is more than it has blocks.
        for (threads, layers) in [(1, 9), (2, 2), (7, 1)] {
            let press = Press::with_threads(threads).unwrap();
            let all: Vec<_> = thread::scope(|scope| {
                let write = || {
                    let mut out = Vec::new();
                    let written =
                        press.write(&trickling, &place, packing, &AtomicBool::new(false), &|_| (), &mut out).unwrap();
                    (written, out)
                };
                let threads: Vec<_> = (0..layers).map(|_| scope.spawn(write)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(all.iter().all(|one| *one == expected), "{packing} on {threads} threads");
        }
    }
}

#[test]
fn a_removal_in_disguise_is_refused() {
    let refused = |at: &str| {
        let result = write(
            &tree(&[(at, file("", false))]),
            &Place::folder("/workspace").unwrap(),
            Packing::Plain,
            &AtomicBool::new(false),
            io::sink(),
        );
        result.unwrap_err().to_string()
    };
    insta::assert_snapshot!([refused("etc/.wh.passwd"), refused(".wh..wh..opq"), refused(".wh.dir/file")].join("\n"), @r"
    `/workspace/etc/.wh.passwd` cannot be in a layer: names that start with `.wh.` remove files
    `/workspace/.wh..wh..opq` cannot be in a layer: names that start with `.wh.` remove files
    `/workspace/.wh.dir` cannot be in a layer: names that start with `.wh.` remove files
    ");
}

#[derive(Debug)]
struct Lying {
    says: u64,
    has: &'static [u8],
}

impl Content for Lying {
    fn size(&self) -> u64 {
        self.says
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(self.has))
    }
}

struct FullDisk(usize);

impl Write for FullDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_failure_on_either_side_ends_both() {
    let place = Place::folder("/app").unwrap();
    let fail = |says, has, cancel: bool, room| {
        let tree = tree(&[
            ("file", Node::file(Arc::new(Lying { says, has }), false)),
            ("more", file(&"x".repeat(9 << 20), false)),
        ]);
        let [plain, gzip, zstd] = PACKINGS.map(|packing| {
            let error = write(&tree, &place, packing, &AtomicBool::new(cancel), FullDisk(room)).unwrap_err();
            let source = std::error::Error::source(&error).map(|source| format!("; {source}")).unwrap_or_default();
            format!("{error}{source}\n")
        });
        assert_eq!([&gzip, &zstd], [&plain, &plain]);
        plain
    };
    let plenty = 99 << 20;
    let table = [
        fail(9, b"short", false, plenty),
        fail(2, b"long", false, plenty),
        fail(5, b"right", true, plenty),
        fail(5, b"right", false, 100),
    ];
    insta::assert_snapshot!(table.concat(), @r"
    cannot read `/app/file` into a layer; it is shorter than it was when it was indexed
    cannot read `/app/file` into a layer; it is longer than it was when it was indexed
    writing the layer was cancelled
    cannot write the layer; no storage space
    ");
}

#[test]
fn a_large_file_takes_the_blocks_it_takes() {
    const MIB: usize = 1 << 20;
    for size in [0, 1, 511, 512, 513, MIB - 2048, MIB - 1536, MIB - 1535, MIB - 1024, MIB, 8 * MIB, 8 * MIB + 1] {
        let text = "s".repeat(size);
        let (written, bytes) = packed(&tree(&[("f", file(&text, false))]), &Place::root(), Packing::Plain);
        assert_eq!(written.tar_size, (512 + size.next_multiple_of(512) + 1024) as u64, "{size}");
        assert_eq!(written.diff_id, Digest::of(&bytes));
    }
}

fn any_node() -> impl Strategy<Value = Node> {
    let access = (0u32..0o10_000, 0u32..=0x7fff_ffff, 0u32..5_000_000);
    let access = access.prop_map(|(mode, uid, gid)| Access { mode, uid, gid });
    let bytes = proptest::collection::vec(any::<u8>(), 0..1500);
    prop_oneof![
        (access.clone(), bytes).prop_map(|(access, bytes)| Node::File(access, Arc::new(Bytes::new(bytes)))),
        access.prop_map(Node::Folder),
        "[a-z/\u{e9}]{1,120}".prop_map(Node::Link),
    ]
}

/// Long, short, nested and non-ASCII names; what cannot stand beside the others is left out.
fn any_tree() -> impl Strategy<Value = Vec<(TreePath, Node)>> {
    let name = prop_oneof!["[a-c]", "[a-z. -]{1,60}", "[d\u{e9}\u{1F980}\n]{1,50}"];
    let at = proptest::collection::vec(name, 1..6).prop_map(|names| names.join("/"));
    let nodes = proptest::collection::vec((at, any_node()), 0..12);
    nodes.prop_map(|nodes| nodes.into_iter().filter_map(|(at, node)| Some((at.parse().ok()?, node))).collect())
}

fn as_text(tree: &Tree) -> Vec<String> {
    let line = |(at, node): (&TreePath, &Node)| match node {
        Node::File(access, content) => format!("{at:?} {access:?} {:?}", content.bytes(9999).unwrap()),
        other => format!("{at:?} {other:?}"),
    };
    tree.iter().map(line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_what_is_read(nodes in any_tree()) {
        let mut tree = Tree::new();
        for (at, node) in nodes {
            let _ = tree.insert(at, node);
        }
        let (written, bytes) = packed(&tree, &Place::root().relative(), Packing::GZIP);
        let stream = decoder(Compression::Gzip, &bytes[..], &Limits::default()).unwrap();
        let mut spool = Spool::new_in(&std::env::temp_dir()).unwrap();
        let back = tar::read(stream, &Limits::default(), &mut spool, Links::AnyText).unwrap();
        prop_assert_eq!(as_text(&back), as_text(&tree));
        prop_assert_eq!(packed(&back, &Place::root().relative(), Packing::GZIP).0, written);
    }
}

/// Names and links on both sides of every border between plain, split and PAX headers.
fn borders() -> Tree {
    let mut nodes: Vec<(String, Node)> = Vec::new();
    let name = |letter: &str, n: usize| letter.repeat(n);
    for n in [1, 50, 86, 87, 88, 89, 90, 98, 99, 100, 101, 140, 200, 250] {
        nodes.push((format!("f{}", name("x", n)), file("x", false)));
        nodes.push((format!("d{}/{}", name("y", n), name("z", n)), file("x", true)));
        nodes.push((format!("e{}/{}/{}", name("y", n), name("q", 60), name("z", n)), file("x", true)));
        nodes.push((format!("l{}", name("x", n)), Node::Link(name("t", n))));
        nodes.push((format!("w{}/\u{e9}{}/a", name("x", n), name("u", n)), file("y", false)));
        nodes.push((format!("\u{e9}{}", name("x", n)), Node::Link("\u{e9}".to_owned())));
    }
    let large_ids = Access { mode: 0o4755, uid: 3_000_000, gid: 2_097_152 };
    nodes.push(("ids".to_owned(), Node::File(large_ids, Arc::new(Bytes::new(*b"q")))));
    let mut tree = Tree::new();
    for (at, node) in nodes {
        tree.insert(path(&at), node).unwrap();
    }
    tree
}

#[test]
fn headers_are_the_ones_that_go_writes() {
    let (written, _) = packed(&borders(), &Place::folder("/layers/x").unwrap(), Packing::Plain);
    // Go's `archive/tar` (1.26) wrote the same bytes when it was given what it read from them.
    insta::assert_snapshot!(written.diff_id, @"sha256:8846b0d06050de95863a709d5694d13659c49b711539a91d2476c13bb9413be6");
}
