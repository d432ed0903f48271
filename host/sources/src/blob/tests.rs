//! Archives behind a server of our own.

use std::{io::Write, sync::Arc};

use stave_transport::{
    Options,
    testing::{Asked, Fault as Wrong, Reply, Server, StillClock},
};
use tempfile::TempDir;

use super::*;
use crate::testing::{Shelf, shown as tree_text};

struct Case {
    client: Client,
    shelf: Shelf,
    scratch: TempDir,
    cancel: Cancel,
}

impl Case {
    fn new() -> Self {
        let client = Client::new(Options { clock: Arc::new(StillClock::default()), ..Options::default() });
        Self { client, shelf: Shelf::default(), scratch: tempfile::tempdir().unwrap(), cancel: Cancel::new() }
    }

    fn archives(&self) -> Archives<'_> {
        Archives::new(&self.client, &self.shelf, self.scratch.path())
    }

    fn resolve(&self, url: &Url, last: Option<&Seen>) -> Result<Seen, Failed> {
        self.archives().resolve(&blob(url.as_str()), None, last, &self.cancel)
    }

    /// An archive's files, as they are behind a URL.
    fn files(&self, bytes: &[u8], strip: u32, sub_path: Option<&str>) -> String {
        let bytes = bytes.to_vec();
        let server = Server::start(move |_| Reply::ok(bytes.clone())).unwrap();
        let blob = Blob { strip_components: strip, ..blob(server.url("/download").as_str()) };
        let seen = self.archives().resolve(&blob, None, None, &self.cancel).unwrap();
        let tree = self.archives().fetch(&seen.found(&blob), sub_path, None, &self.cancel);
        tree.map_or_else(|failed| told(&failed, &server), |tree| tree_text(&tree))
    }
}

fn blob(url: &str) -> Blob {
    Blob { url: url.to_owned(), auth: None, strip_components: 0 }
}

fn told(failed: &Failed, server: &Server) -> String {
    let text = format!("{:?}: {}\n  {}", failed.fault, failed.sentence(), failed.hint.as_deref().unwrap_or("-"));
    text.replace(&server.authority(), "HOST")
}

/// A tar; a text that starts with `-> ` is a link's.
fn tar(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, text) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_mode(if text.starts_with("#!") { 0o755 } else { 0o644 });
        if let Some(to) = text.strip_prefix("-> ") {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, path, to).unwrap();
        } else {
            header.set_size(text.len() as u64);
            builder.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// A zip of one stored file.
fn zip(name: &str, text: &str, before: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(text.as_bytes());
    let long = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
    let short = |n: usize| u16::try_from(n).unwrap().to_le_bytes();
    let sizes = [crc.sum().to_le_bytes(), long(text.len()), long(text.len())].concat();
    let start = before.len();
    let mut out = [before, b"PK\x03\x04\x0a\0\0\0\0\0\0\0\0\0", &sizes, &short(name.len()), b"\0\0"].concat();
    out.extend([name.as_bytes(), text.as_bytes()].concat());
    let directory = [
        b"PK\x01\x02\x0a\0\x0a\0\0\0\0\0\0\0\0\0",
        &sizes[..],
        &short(name.len()),
        &[0; 12],
        &long(start),
        name.as_bytes(),
    ]
    .concat();
    let end = [&b"PK\x05\x06\0\0\0\0\x01\0\x01\0"[..], &long(directory.len()), &long(out.len()), b"\0\0"].concat();
    [out, directory, end].concat()
}

#[test]
fn what_is_as_before_is_not_fetched_again() {
    let case = Case::new();
    let versioned = |asked: &Asked| {
        let version = if asked.number < 2 { "\"one\"" } else { "W/\"two\"" };
        match asked.header("if-none-match") {
            Some(known) if known == version => Reply::new(304, "").header("etag", version),
            _ => Reply::ok(version).header("etag", version).header("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        }
    };
    let server = Server::start(versioned).unwrap();
    let url = server.url("/app.tar");
    let first = case.resolve(&url, None).unwrap();
    assert_eq!(first.digest, Digest::of(b"\"one\""));
    assert_eq!(case.resolve(&url, Some(&first)).unwrap(), first);
    let third = case.resolve(&url, Some(&first)).unwrap();
    assert_eq!(third.digest, Digest::of(b"W/\"two\""));
    assert_eq!(case.resolve(&url, Some(&third)).unwrap(), third);
    assert_eq!((server.asked().len(), case.shelf.len()), (4, 2));
    assert_eq!(server.asked()[1].header("if-modified-since"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    let text = serde_json::to_string(&first).unwrap();
    assert_eq!(serde_json::from_str::<Seen>(&text).unwrap(), first);
    // Of another URL nothing is known.
    case.resolve(&server.url("/other.tar"), Some(&third)).unwrap();
    assert_eq!(server.asked()[4].header("if-none-match"), None);
}

#[test]
fn a_server_that_knows_no_versions_has_it_fetched_and_compared() {
    let case = Case::new();
    let server = Server::start(|asked| Reply::ok(if asked.number < 2 { "one" } else { "two" })).unwrap();
    let url = server.url("/app.tar");
    let first = case.resolve(&url, None).unwrap();
    assert_eq!(case.resolve(&url, Some(&first)).unwrap(), first);
    assert_ne!(case.resolve(&url, Some(&first)).unwrap().digest, first.digest);
    assert_eq!(case.shelf.len(), 2);
}

#[test]
fn an_archive_is_known_by_its_bytes() {
    let case = Case::new();
    let entries = [("app-1/run.sh", "#!/bin/sh"), ("app-1/web/a.txt", "text"), ("app-1/link", "-> web/a.txt")];
    let plain = "app-1/link -> web/a.txt\napp-1/run.sh* = #!/bin/sh\napp-1/web/a.txt = text";
    assert_eq!(case.files(&tar(&entries), 0, None), plain);
    assert_eq!(case.files(&gzip(&tar(&entries)), 0, None), plain);
    assert_eq!(case.files(&zip("a.class", "x", b""), 0, None), "a.class = x");
    assert_eq!(case.files(&zip("a.class", "x", b"#!/bin/bash\nexit\n"), 0, None), "a.class = x");
    assert_eq!(case.files(&gzip(&tar(&entries)), 1, None), "link -> web/a.txt\nrun.sh* = #!/bin/sh\nweb/a.txt = text");
    assert_eq!(case.files(&tar(&entries), 1, Some("web")), "a.txt = text");
}

#[test]
fn what_is_no_app_is_refused_in_plain_words() {
    let case = Case::new();
    let leading = [("a/b/link", "-> ../x"), ("a/x", "1")];
    insta::assert_snapshot!([
        case.files(b"<html>sign in</html>", 0, None),
        case.files(b"!<arch>\ndebian-binary", 0, None),
        case.files(&gzip(b"no tar"), 0, None),
        case.files(&zip("../x", "x", b""), 0, None),
        case.files(&tar(&[("link", "-> /etc/passwd")]), 0, None),
        case.files(&tar(&[("a/x", "1"), ("b/x", "2")]), 1, None),
        case.files(&tar(&leading), 2, None),
        case.files(&tar(&leading), 9, None),
        case.files(&tar(&leading), 0, Some("a/x")),
    ].join("\n"), @r"
    Refused: could not unpack http://HOST/download: it is neither a zip (jar, war) nor a tar, by its bytes
      check that the URL leads to the archive itself, and not to a page about it
    Refused: could not unpack http://HOST/download: it is neither a zip (jar, war) nor a tar, by its bytes
      check that the URL leads to the archive itself, and not to a page about it
    Refused: could not unpack http://HOST/download: tar archive is refused: it ends before its end is marked
      -
    Refused: could not unpack http://HOST/download: path `../x` is refused: it holds `.` or `..`
      -
    Refused: could not unpack http://HOST/download: symbolic link `link` leads outside of its tree: `/etc/passwd`
      -
    Refused: could not unpack http://HOST/download: its names do not fit together without their first 1 folders: `x` is there twice, or below something that is not a folder
      check `stripComponents`
    Refused: could not unpack http://HOST/download: its names do not fit together without their first 2 folders: symbolic link `link` leads outside of its tree: `../x`
      check `stripComponents`
    Refused: could not unpack http://HOST/download: nothing is left of it without the first 9 folders of its names
      check `stripComponents`
    Refused: could not unpack http://HOST/download: there is no folder `a/x` in it
      check `subPath`, which counts from what `stripComponents` leaves
    ");
}

#[test]
fn addresses_that_are_no_archive_s_are_refused() {
    let case = Case::new();
    let told = |url: &str| {
        let failed = case.archives().resolve(&blob(url), None, None, &case.cancel).unwrap_err();
        assert_eq!(failed.fault, Fault::Refused);
        failed.sentence()
    };
    insta::assert_snapshot!([
        told("file:///etc/passwd"),
        told("ftp://files.example.com/app.zip?token=s3cret"),
        told("https://ada:hunter22@files.example.com/app.zip"),
        told("app.zip"),
    ].join("\n"), @r"
    the archive's address `file:///etc/passwd` is refused: a file of this machine is not behind a URL
    the archive's address `ftp://files.example.com/app.zip` is refused: https and http are spoken
    the archive's address `https://files.example.com/app.zip` is refused: it holds credentials, which would be written down with every build
    the archive's address `app.zip` is refused: it is no URL
    ");
}

#[test]
fn credentials_stay_with_their_host() {
    let case = Case::new();
    let other = Server::start(|_| Reply::ok("there")).unwrap();
    let away = other.url("/app.zip").to_string();
    let server = Server::start(move |asked| match asked.header("authorization") {
        None => Reply::new(401, ""),
        Some(_) => Reply::redirect(302, &away),
    })
    .unwrap();
    let wish = blob(server.url("/app.zip").as_str());
    let bearer = Authorization::Bearer("hunter22".to_owned());
    case.archives().resolve(&wish, Some(&bearer), None, &case.cancel).unwrap();
    assert_eq!(server.asked()[0].header("authorization"), Some("Bearer hunter22"));
    assert_eq!(other.asked()[0].header("authorization"), None);
    let failed = case.archives().resolve(&wish, None, None, &case.cancel).unwrap_err();
    insta::assert_snapshot!(told(&failed, &server), @r"
    Refused: could not fetch http://HOST/app.zip: http://HOST/app.zip answered 401 (unauthorised)
      check the credentials for this host
    ");
}

/// For others' wishes the client is a narrower one; what it refuses is refused for good.
#[test]
fn what_only_this_machine_reaches_is_refused_for_good() {
    let server = Server::start(|_| Reply::ok(tar(&[("app.txt", "1")]))).unwrap();
    let case = Case::new();
    let resolve = |client: &Client| {
        let archives = Archives::new(client, &case.shelf, case.scratch.path());
        archives.resolve(&blob(server.url("/app.tar").as_str()), None, None, &Cancel::new())
    };
    let failed = resolve(&case.client.public_but([].into())).unwrap_err();
    assert_eq!(failed.fault, Fault::Refused);
    insta::assert_snapshot!(told(&failed, &server), @r"
    Refused: could not fetch http://HOST/app.tar: http://HOST/app.tar is not asked: its host has a private address
      -
    ");
    assert_eq!(server.lines(), [""; 0]);
    assert!(resolve(&case.client.public_but(["127.0.0.1".to_owned()].into())).is_ok());
}

#[test]
fn an_archive_that_changed_since_it_was_found_is_not_taken_for_it() {
    let case = Case::new();
    let server = Server::start(|asked| Reply::ok(tar(&[("version", &asked.number.to_string())]))).unwrap();
    let wish = blob(server.url("/app.tar").as_str());
    let seen = case.resolve(&server.url("/app.tar"), None).unwrap();
    let found = seen.found(&wish);
    let fetch = |found: &FoundBlob| case.archives().fetch(found, None, None, &case.cancel);
    assert_eq!(tree_text(&fetch(&found).unwrap()), "version = 0");
    assert_eq!(server.asked().len(), 1, "it was in the store");
    case.shelf.discard(&seen.digest).unwrap();
    let failed = fetch(&found).unwrap_err();
    assert!(
        failed.fault == Fault::Refused && failed.sentence().contains("another archive now"),
        "{}",
        failed.sentence()
    );
    assert_eq!(tree_text(&fetch(&FoundBlob { digest: None, ..found }).unwrap()), "version = 2");
}

#[test]
fn faults_of_the_network_are_survived_or_told_as_such() {
    let case = Case::new();
    let server = Server::start(|asked| match (asked.path.as_str(), asked.number) {
        ("/cut", 0) => Reply::ok("whole").fault(Wrong::DropAfter(2)),
        ("/busy", _) => Reply::new(503, ""),
        ("/gone", _) => Reply::not_found(),
        _ => Reply::ok("whole"),
    })
    .unwrap();
    assert_eq!(case.resolve(&server.url("/cut"), None).unwrap().digest, Digest::of(b"whole"));
    assert_eq!(case.resolve(&server.url("/busy"), None).unwrap_err().fault, Fault::Transient);
    assert_eq!(case.resolve(&server.url("/gone"), None).unwrap_err().fault, Fault::Refused);
    let small = Limits { archive: 3, ..Limits::default() };
    let too_large = case.archives().limited(small).resolve(&blob(server.url("/x").as_str()), None, None, &case.cancel);
    assert_eq!(too_large.unwrap_err().fault, Fault::Refused);
    case.cancel.set();
    assert_eq!(case.resolve(&server.url("/x"), None).unwrap_err().fault, Fault::Interrupted);
    assert_eq!(case.shelf.len(), 1, "nothing half is kept");
}
