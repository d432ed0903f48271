//! Tars made header by header, so that they can lie; honest ones made by the `tar` crate, to differ with.

use super::*;
use crate::{
    compression::tests::{KINDS, compress},
    format::{self, Format},
    tree::Node,
    zip::tests::span,
};

pub(crate) fn header(name: &str, kind: u8, size: u64) -> Header {
    let (mode, mtime) = (0o644, 0);
    Header { name: name.as_bytes().to_vec(), link: Vec::new(), kind, mode, uid: 0, gid: 0, size, mtime }
}

/// One entry: its header, its contents, and padding.
pub(crate) fn member(header: &Header, bytes: &[u8]) -> Vec<u8> {
    let mut out = [&header.block(b"")[..], bytes].concat();
    out.resize(out.len().next_multiple_of(BLOCK), 0);
    out
}

pub(crate) fn file(name: &str, bytes: &[u8]) -> Vec<u8> {
    member(&header(name, kind::FILE, bytes.len() as u64), bytes)
}

fn folder(name: &str) -> Vec<u8> {
    member(&header(name, kind::FOLDER, 0), b"")
}

fn link(name: &str, kind: u8, to: &str) -> Vec<u8> {
    member(&Header { link: to.as_bytes().to_vec(), ..header(name, kind, 0) }, b"")
}

fn pax(records: &[&str]) -> Vec<u8> {
    // Two digits, or three: all that the records here need.
    let digits = |record: &str| if record.len() < 96 { 2 } else { 3 };
    let records: Vec<String> =
        records.iter().map(|record| format!("{} {record}\n", record.len() + 2 + digits(record))).collect();
    let text = records.concat();
    member(&header("PaxHeaders/x", kind::PAX, text.len() as u64), text.as_bytes())
}

pub(crate) fn end(members: &[Vec<u8>]) -> Vec<u8> {
    [members.concat(), vec![0; 2 * BLOCK]].concat()
}

fn spool() -> Spool {
    Spool::new_in(&std::env::temp_dir()).unwrap()
}

fn unpack(bytes: &[u8]) -> Result<Tree, ArchiveError> {
    read(bytes, &Limits::default(), &mut spool(), Links::Inside)
}

fn complaints(archives: &[(&str, Vec<u8>)]) -> String {
    let complaint = |(what, bytes): &(&str, Vec<u8>)| match unpack(bytes) {
        Ok(tree) => panic!("{what} was accepted: {tree:?}"),
        Err(error) => format!("{what}: {error}\n"),
    };
    archives.iter().map(complaint).collect::<Vec<_>>().concat()
}

fn text_of(tree: &Tree, path: &str) -> String {
    match tree.get(path) {
        Some(Node::File(_, content)) => String::from_utf8(content.bytes(1000).unwrap()).unwrap(),
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn an_honest_archive_is_read_in_every_compression() {
    let long = format!("deep/{}/name", "d".repeat(120));
    let members = [
        folder("./"),
        folder("./bin/"),
        member(&Header { mode: 0o104_755, uid: 7, gid: 8, ..header("./bin/su", kind::FILE, 3) }, b"su\n"),
        link("./bin/also", kind::HARD_LINK, "./bin/su"),
        link("./bin/sh", kind::LINK, "su"),
        pax(&[&format!("path={long}"), "mtime=1.5"]),
        file("cut", b"long"),
        member(&header("././@LongLink", kind::GNU_LONG_NAME, 6), b"other\0"),
        file("cut", b"gnu"),
    ];
    let bytes = end(&members);
    for kind in KINDS {
        let packed = span(&compress(kind, &bytes));
        assert_eq!(Format::of("x", &packed).unwrap(), Format::Tar(kind));
        let tree = format::unpack(packed, Format::Tar(kind), &Limits::default(), &mut spool()).unwrap();
        let su = Access { mode: 0o4755, uid: 7, gid: 8 };
        for path in ["bin/su", "bin/also"] {
            assert!(matches!(tree.get(path), Some(Node::File(access, _)) if *access == su), "{path}");
            assert_eq!(text_of(&tree, path), "su\n");
        }
        assert!(matches!(tree.get("bin/sh"), Some(Node::Link(text)) if text == "su"));
        assert_eq!((text_of(&tree, &long), text_of(&tree, "other")), ("long".to_owned(), "gnu".to_owned()));
    }
}

#[test]
fn another_writer_is_understood() {
    let mut builder = ::tar::Builder::new(Vec::new());
    let long = format!("{}/{}.txt", "folder".repeat(20), "f".repeat(120));
    for name in ["a.txt", "caf\u{e9}.txt", &long] {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(name.len() as u64);
        header.set_mode(0o755);
        builder.append_data(&mut header, name, name.as_bytes()).unwrap();
    }
    let tree = unpack(&builder.into_inner().unwrap()).unwrap();
    for name in ["a.txt", "caf\u{e9}.txt", &long] {
        assert_eq!(text_of(&tree, name), name);
    }
}

#[test]
fn names_and_links_that_lead_elsewhere_are_refused() {
    insta::assert_snapshot!(complaints(&[
        ("climbing", end(&[file("a/../../x", b"")])),
        ("absolute", end(&[file("/etc/passwd", b"")])),
        ("the root as a link", end(&[link("/.", kind::LINK, "/")])),
        ("the root as a file", end(&[file("./", b"")])),
        ("link outside", end(&[link("a/l", kind::LINK, "../../etc")])),
        ("absolute link", end(&[link("l", kind::LINK, "/etc/passwd")])),
        ("empty link", end(&[link("l", kind::LINK, "")])),
        ("file through a link", end(&[link("l", kind::LINK, "d"), file("l/x", b"")])),
        ("folder over a link", end(&[link("l", kind::LINK, "d"), folder("l/")])),
        ("hard link outside", end(&[link("h", kind::HARD_LINK, "../x")])),
        ("hard link to nothing", end(&[link("h", kind::HARD_LINK, "x")])),
        ("hard link to a folder", end(&[folder("d"), link("h", kind::HARD_LINK, "d")])),
        ("hard link through a link", end(&[file("d/x", b""), link("l", kind::LINK, "d"), link("h", kind::HARD_LINK, "l/x")])),
        ("moved link", end(&[link("a/b/l", kind::LINK, "../x"), link("h", kind::HARD_LINK, "a/b/l")])),
        ("name in PAX", end(&[pax(&["path=../../evil"]), file("good", b"")])),
        ("control characters", end(&[file("../\x1b[2J", b"")])),
    ]), @r"
    climbing: path `a/../../x` is refused: it holds `.` or `..`
    absolute: path `/etc/passwd` is refused: it is absolute
    the root as a link: path `/.` is refused: it is absolute
    the root as a file: tar entry `./` is refused: it is a file with the name of a folder
    link outside: symbolic link `a/l` leads outside of its tree: `../../etc`
    absolute link: symbolic link `l` leads outside of its tree: `/etc/passwd`
    empty link: symbolic link `l` leads outside of its tree: ``
    file through a link: `l/x` is there twice, or below something that is not a folder
    folder over a link: `l` is there twice, or below something that is not a folder
    hard link outside: tar entry `h` is refused: it is a hard link to `../x`
    hard link to nothing: tar entry `h` is refused: it is a hard link to a file that is not in the archive before it
    hard link to a folder: tar entry `h` is refused: it is a hard link to a folder
    hard link through a link: tar entry `h` is refused: it is a hard link to a file that is not in the archive before it
    moved link: symbolic link `h` leads outside of its tree: `../x`
    name in PAX: path `../../evil` is refused: it holds `.` or `..`
    control characters: path `../\u{1b}[2J` is refused: it holds `.` or `..`
    ");
}

#[test]
fn what_is_there_twice_is_refused() {
    insta::assert_snapshot!(complaints(&[
        ("files", end(&[file("a", b"1"), file("./a", b"2")])),
        ("folders", end(&[folder("a/"), folder("a")])),
        ("file and folder", end(&[file("a", b"1"), folder("a/")])),
        ("file in a file", end(&[file("a", b"1"), file("a/b", b"2")])),
    ]), @r"
    files: `a` is there twice, or below something that is not a folder
    folders: `a` is there twice, or below something that is not a folder
    file and folder: `a` is there twice, or below something that is not a folder
    file in a file: `a/b` is there twice, or below something that is not a folder
    ");
}

#[test]
fn sizes_that_disagree_are_refused() {
    let mut endless = header("x", kind::FILE, 0).block(b"");
    endless[124..136].copy_from_slice(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff");
    let mut negative = endless;
    negative[124] = 0xff;
    let summed = |mut block: Block| {
        block[148..156].fill(b' ');
        let sum: u64 = block.iter().map(|b| u64::from(*b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block.to_vec()
    };
    insta::assert_snapshot!(complaints(&[
        ("PAX larger", end(&[pax(&["size=1024"]), file("x", b"1")])),
        ("PAX zero", end(&[pax(&["size=0"]), file("x", &file("hidden", b"2"))])),
        ("PAX negative", end(&[pax(&["size=-1"]), file("x", b"1")])),
        ("PAX overflow", end(&[pax(&["size=99999999999999999999"]), file("x", b"1")])),
        ("base-256 endless", end(&[summed(endless)])),
        ("base-256 negative", end(&[summed(negative)])),
        ("folder with contents", end(&[member(&header("d/", kind::FOLDER, 3), b"abc")])),
        ("link with contents", end(&[member(&Header { link: b"x".to_vec(), ..header("l", kind::LINK, 3) }, b"abc")])),
        ("file ends early", member(&header("x", kind::FILE, 5000), b"abc")),
    ]), @r"
    PAX larger: tar entry `x` is refused: its size is given twice and differs
    PAX zero: tar entry `x` is refused: its size is given twice and differs
    PAX negative: tar entry `PaxHeaders/x` is refused: its extended header is damaged
    PAX overflow: tar entry `PaxHeaders/x` is refused: its extended header is damaged
    base-256 endless: tar entry `x` is refused: it holds 9223372036854775807 bytes, more than the limit of 4294967296
    base-256 negative: tar entry `x` is refused: its size is not a number, or too large
    folder with contents: tar entry `d/` is refused: it is a folder or link that declares contents
    link with contents: tar entry `l` is refused: it is a folder or link that declares contents
    file ends early: tar entry `x` is refused: the archive ends within it
    ");
}

#[test]
fn kinds_and_owners_that_have_no_place_are_refused() {
    insta::assert_snapshot!(complaints(&[
        ("device", end(&[member(&header("dev/sda", b'4', 0), b"")])),
        ("fifo", end(&[member(&header("pipe", b'6', 0), b"")])),
        ("old sparse", end(&[member(&header("s", b'S', 0), b"")])),
        ("new sparse", end(&[pax(&["GNU.sparse.major=1"]), file("s", b"")])),
        ("unknown", end(&[member(&header("x", 0x1b, 0), b"")])),
        ("owner", end(&[pax(&["uid=4294967295"]), file("x", b"")])),
        ("negative owner", end(&[pax(&["uid=-2"]), file("x", b"")])),
    ]), @r"
    device: tar entry `dev/sda` is refused: it is a device or a fifo
    fifo: tar entry `pipe` is refused: it is a device or a fifo
    old sparse: tar entry `s` is refused: it is a sparse file
    new sparse: tar entry `PaxHeaders/x` is refused: it is a sparse file
    unknown: tar entry `x` is refused: its type `\u{1b}` is not known
    owner: tar entry `x` is refused: its owner or group is above 2147483647
    negative owner: tar entry `PaxHeaders/x` is refused: its extended header is damaged
    ");
}

#[test]
fn damaged_headers_are_refused_and_not_skipped() {
    let mut flipped = file("x", b"1");
    flipped[3] = b'y';
    insta::assert_snapshot!(complaints(&[
        ("checksum", end(&[flipped])),
        ("PAX length", end(&[member(&header("p", kind::PAX, 9), b"99 path=x"), file("x", b"")])),
        ("PAX key twice", end(&[pax(&["path=abc", "path=xyz"]), file("x", b"")])),
        ("PAX header twice", end(&[pax(&["path=abc"]), pax(&["path=xyz"]), file("x", b"")])),
        ("PAX and GNU name", end(&[pax(&["path=abc"]), member(&header("L", kind::GNU_LONG_NAME, 2), b"b\0"), file("x", b"")])),
        ("PAX huge", end(&[member(&header("p", kind::PAX, 2 << 20), b"")])),
        ("PAX for nothing", end(&[file("x", b""), pax(&["path=abc"])])),
        ("global path", end(&[member(&header("g", kind::PAX_GLOBAL, 12), b"12 path=abc\n"), file("x", b"")])),
        ("not UTF-8", end(&[member(&header("L", kind::GNU_LONG_NAME, 5), b"caf\xe9\0"), file("x", b"")])),
        ("link not UTF-8", end(&[member(&Header { link: b"caf\xe9".to_vec(), ..header("l", kind::LINK, 0) }, b"")])),
    ]), @r"
    checksum: tar entry `x` is refused: its header's checksum is wrong
    PAX length: tar entry `p` is refused: its extended header is damaged
    PAX key twice: tar entry `PaxHeaders/x` is refused: its extended header says one thing twice
    PAX header twice: tar entry `PaxHeaders/x` is refused: its extended header says one thing twice
    PAX and GNU name: tar entry `L` is refused: it describes an entry that is described already
    PAX huge: tar entry `p` is refused: its extended header holds 2097152 bytes, more than 1048576
    PAX for nothing: tar archive is refused: its last header describes an entry that is not there
    global path: tar entry `g` is refused: it is a global header that changes all entries
    not UTF-8: tar entry `caf�` is refused: its name is not UTF-8
    link not UTF-8: tar entry `l` is refused: the text of its link is not UTF-8
    ");
}

#[test]
fn a_comment_for_all_entries_is_let_be() {
    let comment = member(&header("pax_global_header", kind::PAX_GLOBAL, 14), b"14 comment=ab\n");
    assert_eq!(text_of(&unpack(&end(&[comment, file("x", b"text")])).unwrap(), "x"), "text");
}

#[test]
fn the_end_is_marked_and_nothing_follows() {
    let whole = end(&[file("x", b"text")]);
    for len in 0..whole.len() {
        assert!(unpack(&whole[..len]).is_err(), "cut at {len}");
    }
    assert!(unpack(&[whole.clone(), vec![0; 8192]].concat()).is_ok());
    insta::assert_snapshot!(complaints(&[
        ("no end", file("x", b"text")),
        ("one zero block", [file("x", b"text"), vec![0; BLOCK]].concat()),
        ("garbage", [whole.clone(), b"garbage".to_vec()].concat()),
        ("second archive", [whole.clone(), whole.clone()].concat()),
        ("endless zeros", [whole, vec![0; 2 << 20]].concat()),
    ]), @r"
    no end: tar archive is refused: it ends before its end is marked
    one zero block: tar archive is refused: it ends before its end is marked
    garbage: tar archive is refused: bytes follow its end
    second archive: tar archive is refused: bytes follow its end
    endless zeros: tar archive is refused: more than 1 MiB of zeros follows its end
    ");
}

#[test]
fn limits_hold_before_anything_is_kept() {
    let mut spool = spool();
    let limits = Limits { entries: 2, total_bytes: 10_000, entry_bytes: 9_000, ratio: 200 };
    let large = file("large", &[1; 9_001]);
    let both = [file("a", &[1; 6_000]), file("b", &[1; 6_000])];
    let many = [folder("a"), folder("b"), folder("c")];
    let mut table = Vec::new();
    for bytes in [end(&[large]), end(&both), end(&many)] {
        let error = read(&bytes[..], &limits, &mut spool, Links::Inside).unwrap_err();
        table.push(error.to_string());
    }
    insta::assert_snapshot!(table.join("\n"), @r"
    tar entry `large` is refused: it holds 9001 bytes, more than the limit of 9000
    tar archive is refused: its files hold more than 10000 bytes
    tar archive is refused: it holds more than 2 entries
    ");
    assert_eq!(spool.size(), 6_000);
    let deep = format!("{}x", "d/".repeat(1_000));
    assert!(
        unpack(&end(&[
            pax(&[]),
            member(&header("L", kind::GNU_LONG_NAME, deep.len() as u64), deep.as_bytes()),
            file("x", b"")
        ]))
        .is_err()
    );
}

#[test]
fn a_package_may_have_any_link_text() {
    let bytes = end(&[link("etc/localtime", kind::LINK, "/usr/share/zoneinfo/UTC"), link("l", kind::LINK, "../../x")]);
    let tree = read(&bytes[..], &Limits::default(), &mut spool(), Links::AnyText).unwrap();
    assert!(matches!(tree.get("etc/localtime"), Some(Node::Link(text)) if text == "/usr/share/zoneinfo/UTC"));
    assert_eq!(tree.len(), 3);
}
