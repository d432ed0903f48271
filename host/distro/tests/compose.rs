//! A whole stack from a signed archive on loopback: what comes out, and what is refused with which words.

#![allow(missing_docs, reason = "a test")]

mod support;

use std::{collections::BTreeMap, error::Error, fs, io::Read, path::Path};

use flate2::read::GzDecoder;
use serde_json::Value;
use stave_archive::content::Content;
use stave_distro::{
    compose::{ComposeError, Stack, compose, compose_locked},
    definition::Definition,
    fetch::Ports,
    lock::Lock,
    settings::Settings,
    sources::{Described, Mirror, Mirrors},
};
use stave_lifecycle::port::{
    cancel::Cancel,
    failure::Fault,
    observer::{Event, Observer, Silent},
};
use stave_transport::{
    client::{Client, Options},
    testing::{Reply, Server},
};
use support::{Archive, Entry, Kept, Signer};

const NOW: u64 = 1_750_000_000;
const DATE: &str = "Date: Sat, 17 May 2025 09:31:05 UTC\n";

const DEFINITION: &str = r#"
    id = "toy.stack"
    description = "A toy"
    distribution = "toy"
    suite = "toy"
    pockets = []
    packages = ["base-files", "app"]
    exclude = ["debconf"]
    omit = ["usr/share/doc"]

    [links]
    "usr/bin/awk" = "mawk"
"#;

/// A distribution of a few packages, as Debian's are: a C library below `/lib`, a link instead of a folder, an old path.
fn archive() -> Archive {
    let mut archive = Archive::new();
    let base = [
        ("./", Entry::Folder(0o755)),
        ("./bin/", Entry::Folder(0o755)),
        ("./tmp/", Entry::Folder(0o1777)),
        ("./root/", Entry::Folder(0o700)),
        ("./run/", Entry::Folder(0o755)),
        ("./var/run", Entry::Link("/run")),
        ("./etc/os-release", Entry::Link("../usr/lib/os-release")),
        ("./usr/lib/os-release", Entry::File(0o644, "NAME=\"Toy\"\nID=toy\nVERSION_ID=\"1.2\"\n")),
    ];
    archive.add("base-files", "1", "all", "", &base);
    for architecture in ["amd64", "arm64"] {
        let library = [
            ("./lib/", Entry::Folder(0o755)),
            ("./lib/libc.so.6", Entry::File(0o755, architecture)),
            ("./lib64/ld.so", Entry::Link("/lib/libc.so.6")),
        ];
        archive.add("libc6", "2.36", architecture, "", &library);
    }
    let app = [
        ("./usr/bin/app", Entry::File(0o4755, "run")),
        ("./usr/share/doc/app/copyright", Entry::File(0o644, "(c)")),
        ("./usr/share/doc/app/changelog", Entry::File(0o644, "many")),
        ("./var/run/app/", Entry::Folder(0o750)),
        ("./usr/share/ca-certificates/z.crt", Entry::File(0o644, "Z\n\n")),
        ("./usr/share/ca-certificates/a/b.crt", Entry::File(0o644, "B")),
        ("./usr/share/zoneinfo/Etc/UTC", Entry::File(0o644, "TZif")),
    ];
    archive.add("app", "1.0-1", "all", "Depends: libc6 (>= 2), debconf | debconf-2.0\n", &app);
    archive
}

struct Machine {
    server: Server,
    mirrors: Mirrors,
    folder: tempfile::TempDir,
    blobs: Kept,
}

impl Machine {
    /// A machine whose configuration names an archive with these files, and trusts `signer`.
    fn new(files: BTreeMap<String, Vec<u8>>, signer: &Signer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("usr/share/keyrings");
        fs::create_dir_all(&keys).unwrap();
        fs::write(keys.join("toy-archive-keyring.gpg"), signer.keyring()).unwrap();
        let answer = move |path: &str| files.get(path.strip_prefix("/toy/")?).map(|bytes| Reply::ok(bytes.as_slice()));
        let server = Server::start(move |asked| answer(&asked.path).unwrap_or_else(Reply::not_found)).unwrap();
        let described =
            Described { url: server.url("/toy").to_string(), suites: None, signed_by: None, check_valid_until: true };
        let mirrors = Mirrors(BTreeMap::from([("toy".to_owned(), vec![Mirror::Described(described)])]));
        Self { server, mirrors, folder, blobs: Kept::default() }
    }

    fn settings(&self) -> Settings {
        Settings {
            mirrors: self.mirrors.clone(),
            root: self.folder.path().to_owned(),
            ..Settings::new(std::env::temp_dir(), NOW)
        }
    }

    fn with<T>(&self, observer: &dyn Observer, work: impl FnOnce(Ports) -> T) -> T {
        let client = Client::new(Options::default());
        work(Ports { client: &client, blobs: &self.blobs, observer, cancel: &Cancel::new() })
    }

    fn compose(&self, definition: &str) -> Result<Stack, ComposeError> {
        let definition = Definition::parse(definition).unwrap();
        self.with(&Silent, |ports| compose(&definition, &self.settings(), ports))
    }

    /// Everything that a person is told about a failure, with the server's address taken out.
    fn failure(&self, definition: &str) -> String {
        let error = self.compose(definition).unwrap_err();
        let mut lines = vec![format!("[{:?}] {error}", error.fault())];
        let mut cause = error.source();
        while let Some(next) = cause {
            lines.push(format!("  caused by: {next}"));
            cause = next.source();
        }
        lines.extend(error.hint().map(|hint| format!("  hint: {hint}")));
        let text = lines.join("\n").replace(&self.server.authority(), "HOST");
        text.replace(&self.folder.path().display().to_string(), "ROOT")
    }
}

/// A layer as `tar tv` would list it, with short contents.
fn list(layer: &dyn Content) -> String {
    let mut text = Vec::new();
    GzDecoder::new(layer.open().unwrap()).read_to_end(&mut text).unwrap();
    let mut lines = Vec::new();
    let mut at = 0;
    while text[at] != 0 {
        let field = |from: usize, to: usize| {
            String::from_utf8_lossy(&text[at + from..at + to]).trim_end_matches(['\0', ' ']).to_owned()
        };
        let size = usize::from_str_radix(&field(124, 136), 8).unwrap();
        let content = String::from_utf8_lossy(&text[at + 512..at + 512 + size.min(40)]);
        let number = |from: usize, to: usize| u32::from_str_radix(&field(from, to), 8).unwrap();
        let rest = match text[at + 156] {
            b'2' => format!(" -> {}", field(157, 257)),
            b'0' => format!(" {content:?}"),
            _ => String::new(),
        };
        lines.push(format!("{:o} {}:{} {}{rest}", number(100, 108), number(108, 116), number(116, 124), field(0, 100)));
        at += 512 + size.next_multiple_of(512);
    }
    lines.join("\n")
}

fn published(signer: &Signer) -> Archive {
    let mut archive = archive();
    archive.publish(signer, DATE);
    archive
}

#[test]
fn a_stack_is_composed_for_both_architectures() {
    let signer = Signer::new(1);
    let machine = Machine::new(published(&signer).files, &signer);
    let stack = machine.compose(DEFINITION).unwrap();
    let arches: Vec<&str> = stack.images.iter().map(|composed| composed.image.platform.arch.as_str()).collect();
    assert_eq!(arches, ["amd64", "arm64"]);
    let composed = &stack.images[1];
    let names: Vec<&str> = composed.packages.iter().map(|installed| installed.package.package.as_str()).collect();
    assert_eq!(names, ["app", "base-files", "libc6"]);
    insta::assert_snapshot!(list(composed.image.layers[0].content.as_ref()), @r#"
    777 0:0 bin -> usr/bin
    755 0:0 etc
    777 0:0 etc/os-release -> ../usr/lib/os-release
    777 0:0 lib -> usr/lib
    777 0:0 lib64 -> usr/lib64
    700 0:0 root
    755 0:0 run
    750 0:0 run/app
    777 0:0 sbin -> usr/sbin
    1777 0:0 tmp
    755 0:0 usr
    755 0:0 usr/bin
    755 0:0 usr/bin/app "run"
    777 0:0 usr/bin/awk -> mawk
    755 0:0 usr/lib
    755 0:0 usr/lib/libc.so.6 "arm64"
    644 0:0 usr/lib/os-release "NAME=\"Toy\"\nID=toy\nVERSION_ID=\"1.2\"\n"
    755 0:0 usr/lib64
    777 0:0 usr/lib64/ld.so -> /lib/libc.so.6
    755 0:0 usr/sbin
    755 0:0 usr/share
    755 0:0 usr/share/ca-certificates
    755 0:0 usr/share/ca-certificates/a
    644 0:0 usr/share/ca-certificates/a/b.crt "B"
    644 0:0 usr/share/ca-certificates/z.crt "Z\n\n"
    755 0:0 usr/share/doc
    755 0:0 usr/share/doc/app
    644 0:0 usr/share/doc/app/copyright "(c)"
    755 0:0 usr/share/zoneinfo
    755 0:0 usr/share/zoneinfo/Etc
    644 0:0 usr/share/zoneinfo/Etc/UTC "TZif"
    755 0:0 var
    755 0:0 var/lib
    755 0:0 var/lib/dpkg
    755 0:0 var/lib/dpkg/status.d
    644 0:0 var/lib/dpkg/status.d/app "Package: app\nVersion: 1.0-1\nArchitecture"
    644 0:0 var/lib/dpkg/status.d/app.md5sums "d41d8cd98f00b204e9800998ecf8427e  usr/x\n"
    644 0:0 var/lib/dpkg/status.d/base-files "Package: base-files\nVersion: 1\nArchitect"
    644 0:0 var/lib/dpkg/status.d/base-files.md5sums "d41d8cd98f00b204e9800998ecf8427e  usr/x\n"
    644 0:0 var/lib/dpkg/status.d/libc6 "Package: libc6\nVersion: 2.36\nArchitectur"
    644 0:0 var/lib/dpkg/status.d/libc6.md5sums "d41d8cd98f00b204e9800998ecf8427e  usr/x\n"
    777 0:0 var/run -> /run
    "#);
    insta::assert_snapshot!(list(composed.image.layers[1].content.as_ref()), @r#"
    755 0:0 etc
    644 0:0 etc/group "root:x:0:\nnogroup:x:65534:\ncnb:x:1000:\n"
    777 0:0 etc/localtime -> /usr/share/zoneinfo/Etc/UTC
    644 0:0 etc/nsswitch.conf "passwd: files\ngroup: files\nshadow: files"
    644 0:0 etc/passwd "root:x:0:0:root:/root:/usr/sbin/nologin\n"
    755 0:0 etc/ssl
    755 0:0 etc/ssl/certs
    644 0:0 etc/ssl/certs/ca-certificates.crt "B\nZ\n"
    644 0:0 etc/timezone "Etc/UTC\n"
    755 0:0 home
    755 1002:1000 home/cnb
    1777 0:0 tmp
    "#);
    let config: Value = serde_json::from_slice(&composed.image.config).unwrap();
    assert_eq!(config["config"]["Labels"]["io.buildpacks.base.distro.version"], "1.2");
    assert_eq!(config["architecture"], "arm64");
    let diff_ids: Vec<Value> = composed.image.layers.iter().map(|layer| layer.diff_id.to_string().into()).collect();
    assert_eq!(config["rootfs"]["diff_ids"], Value::Array(diff_ids));
    assert_eq!(config["history"].as_array().unwrap().len(), 2, "one entry a layer, as rebasing wants it");
}

#[test]
fn the_same_packages_give_the_same_image_and_are_fetched_once() {
    let signer = Signer::new(1);
    let (one, other) = (Machine::new(published(&signer).files, &signer), {
        // The same packages in an archive that has more, and says so at another time.
        let mut archive = archive();
        archive.add("unrelated", "1", "all", "", &[]);
        archive.publish(&signer, "Date: Sun, 01 Jun 2025 00:00:00 UTC\nAcquire-By-Hash: yes\n");
        Machine::new(archive.files, &signer)
    });
    let digests = |stack: &Stack| stack.images.iter().map(|composed| composed.image.digest()).collect::<Vec<_>>();
    let first = one.compose(DEFINITION).unwrap();
    assert_eq!(digests(&first), digests(&other.compose(DEFINITION).unwrap()));
    let asked = one.server.lines().len();
    assert_eq!(digests(&first), digests(&one.compose(DEFINITION).unwrap()));
    let again = one.server.lines().split_off(asked);
    assert_eq!(again, ["GET /toy/dists/toy/InRelease"], "everything else is kept by its digest");
}

#[test]
fn a_lock_gives_the_same_stack_when_the_archive_has_moved_on() {
    let signer = Signer::new(1);
    let old = Machine::new(published(&signer).files, &signer);
    let stack = old.compose(DEFINITION).unwrap();
    let lock = Lock::parse(&stack.lock.to_json()).unwrap();
    let mut moved = archive();
    moved.add("app", "2.0", "all", "", &[("./usr/bin/app", Entry::File(0o755, "new"))]);
    moved.publish(&signer, DATE);
    let new = Machine::new(moved.files, &signer);
    let definition = Definition::parse(DEFINITION).unwrap();
    let again = new.with(&Silent, |ports| compose_locked(&definition, &lock, &new.settings(), ports)).unwrap();
    assert_eq!(again.images[0].image.digest(), stack.images[0].image.digest());
    assert_eq!(again.lock, stack.lock);
    assert_ne!(new.compose(DEFINITION).unwrap().images[0].image.digest(), stack.images[0].image.digest());
}

#[test]
fn what_is_refused_says_why() {
    let signer = Signer::new(1);
    let failure = |files: BTreeMap<String, Vec<u8>>| Machine::new(files, &signer).failure(DEFINITION);
    let edited = |path: &str, edit: &dyn Fn(&mut Vec<u8>)| {
        let mut files = published(&signer).files;
        edit(files.get_mut(path).unwrap());
        failure(files)
    };
    let dated = |fields: &str| {
        let mut archive = archive();
        archive.publish(&signer, fields);
        failure(archive.files)
    };
    let without = |start: &str| {
        let mut files = published(&signer).files;
        files.retain(|path, _| !path.starts_with(start));
        failure(files)
    };
    let with = |name: &str, entries: &[(&str, Entry)]| {
        let mut archive = archive();
        archive.add(name, "9", "all", "", entries);
        archive.publish(&signer, DATE);
        failure(archive.files)
    };
    let replaced = |from: &'static str, to: &'static str| {
        move |bytes: &mut Vec<u8>| *bytes = String::from_utf8_lossy(bytes).replace(from, to).into_bytes()
    };
    let cases = [
        ("text changed after signing", edited("dists/toy/InRelease", &replaced("Suite: stable", "Suite: unstable"))),
        ("not signed", edited("dists/toy/InRelease", &|bytes| *bytes = b"Origin: Toy\n".to_vec())),
        ("signed by somebody else", {
            let mut archive = archive();
            archive.publish(&Signer::new(2), DATE);
            failure(archive.files)
        }),
        ("expired", dated(&format!("{DATE}Valid-Until: Sat, 24 May 2025 09:31:05 UTC\n"))),
        ("another suite", edited("dists/toy/InRelease", &|bytes| {
            *bytes = signer.sign("Origin: Toy\nSuite: other\nCodename: other\nDate: Sat, 17 May 2025 09:31:05 UTC\nSHA256:\n").into_bytes();
        })),
        ("no suite", without("dists/toy/InRelease")),
        ("no index", without("dists/toy/main/binary-amd64")),
        ("another index", edited("dists/toy/main/binary-amd64/Packages.xz", &|bytes| bytes[20] ^= 1)),
        ("no package", without("pool/app_")),
        ("another package", edited("pool/app_1.0-1_all.deb", &|bytes| bytes[200] ^= 1)),
        ("a longer package", edited("pool/app_1.0-1_all.deb", &|bytes| bytes.push(0))),
        ("a path that climbs", with("app", &[("./usr/../../etc/x", Entry::File(0o644, "x"))])),
        ("an absolute path", with("app", &[("/etc/x", Entry::File(0o644, "x"))])),
        ("a file below a file", with("app", &[("./usr/x", Entry::File(0o644, "x")), ("./usr/x/y", Entry::File(0o644, "y"))])),
        ("a link in a circle", with("app", &[("./a", Entry::Link("b")), ("./b", Entry::Link("a")), ("./a/x/", Entry::Folder(0o755))])),
        ("a removal", with("app", &[("./usr/.wh.bin", Entry::File(0o644, ""))])),
        ("another's file", with("app", &[("./usr/lib/os-release", Entry::File(0o644, "x"))])),
    ];
    let text: Vec<String> = cases.map(|(case, text)| format!("{case}:\n{text}")).into();
    insta::assert_snapshot!(text.join("\n"), @"
    text changed after signing:
    [Integrity] http://HOST/toy/dists/toy/InRelease is refused
      caused by: none of its signatures is good by ROOT/usr/share/keyrings/toy-archive-keyring.gpg: the one by 7015033EF3DD6381B7AEF280B2C1B1DF9169F038 does not fit the text
      hint: if this is not an archive of the distribution itself, name the right ones as `mirrors` in Stave's configuration
    not signed:
    [Integrity] http://HOST/toy/dists/toy/InRelease is refused
      caused by: it is not a text with an OpenPGP signature
      caused by: not enough bytes in buffer: cleartext header
      hint: if this is not an archive of the distribution itself, name the right ones as `mirrors` in Stave's configuration
    signed by somebody else:
    [Integrity] http://HOST/toy/dists/toy/InRelease is refused
      caused by: none of its signatures is good by ROOT/usr/share/keyrings/toy-archive-keyring.gpg: no key for the one by 10A98D1F118C836E09DCE8235A6A394258A1E83F
      hint: if this is not an archive of the distribution itself, name the right ones as `mirrors` in Stave's configuration
    expired:
    [Integrity] http://HOST/toy/dists/toy/InRelease is refused
      caused by: the Release file was valid until Sat, 24 May 2025 09:31:05 UTC, which is over
    another suite:
    [Integrity] http://HOST/toy/dists/toy/InRelease is refused
      caused by: the Release file is of `other (other)`, not of `toy`
    no suite:
    [NotFound] there is no suite `toy` at http://HOST/toy/dists/toy/InRelease, named by the configured mirrors
    no index:
    [NotFound] could not fetch the packages of toy for amd64
      caused by: http://HOST/toy/dists/toy/main/binary-amd64/Packages.xz answered 404 (not found)
      hint: the archive may have moved on, or be incomplete: try again later, or another mirror; a lock that is too old can only be made anew
    another index:
    [Integrity] the packages of toy for amd64 from http://HOST/toy/dists/toy/main/binary-amd64/Packages.xz is not what was promised: expected sha256:5ec09220002191600d6473f998135e42fbf87890646f6852ad42358c26378260 of 396 bytes, got sha256:2012a5b568cb0f52f92298e2fba4784f969bb3dfd17b2dda3fa9caa87810c5dd of 396
      hint: the mirror is being updated, or is not to be trusted: try again later, or another one
    no package:
    [NotFound] could not fetch package `app` 1.0-1
      caused by: http://HOST/toy/pool/app_1.0-1_all.deb answered 404 (not found)
      hint: the archive may have moved on, or be incomplete: try again later, or another mirror; a lock that is too old can only be made anew
    another package:
    [Integrity] package `app` 1.0-1 from http://HOST/toy/pool/app_1.0-1_all.deb is not what was promised: expected sha256:8c35db4b3552178f9a02e49bd8524cd2c257eac5fe91cd2cf7d2f6bcd2cb142c of 10944 bytes, got sha256:eef29960dffe2c7ec6317fcf51c6f35ef4e7991e397af617502a1e7c2bffc71d of 10944
      hint: the mirror is being updated, or is not to be trusted: try again later, or another one
    a longer package:
    [Network] could not fetch package `app` 1.0-1
      caused by: http://HOST/toy/pool/app_1.0-1_all.deb is larger than the 10944 bytes allowed
    a path that climbs:
    [InvalidInput] package `app` is refused
      caused by: path `usr/../../etc/x` is refused: it holds `.` or `..`
    an absolute path:
    [InvalidInput] package `app` is refused
      caused by: path `/etc/x` is refused: it is absolute
    a file below a file:
    [InvalidInput] package `app` is refused
      caused by: `usr/x/y` is there twice, or below something that is not a folder
    a link in a circle:
    [InvalidInput] package `app` is refused
      caused by: `a/x` is there twice, or below something that is not a folder
    a removal:
    [InvalidInput] could not write the layer with packages
      caused by: `usr/.wh.bin` cannot be in a layer: names that start with `.wh.` remove files
    another's file:
    [InvalidInput] `/usr/lib/os-release` is in package `base-files` and in package `app`
    ");
}

#[test]
fn what_cannot_be_had_says_why() {
    let signer = Signer::new(1);
    let machine = Machine::new(published(&signer).files, &signer);
    let missing = machine.failure(&DEFINITION.replace("\"app\"]", "\"nothing\"]"));
    let suite = machine.failure(&DEFINITION.replace("suite = \"toy\"", "suite = \"toybox\""));
    let component = machine.failure(&DEFINITION.replace("pockets = []", "pockets = []\ncomponents = [\"contrib\"]"));
    let distribution = machine.failure(&DEFINITION.replace("distribution = \"toy\"", "distribution = \"other\""));
    insta::assert_snapshot!([missing, suite, component, distribution].join("\n"), @r#"
    [InvalidInput] could not choose packages for amd64
      caused by: there is no package `nothing`
    [NotFound] there is no suite `toybox` at http://HOST/toy/dists/toybox/InRelease, named by the configured mirrors
    [Integrity] http://HOST/toy/dists/toy/ is refused
      caused by: the Release file of `toy` lists no packages of component `contrib` for `amd64`
    [NotFound] no archive is known for suite `toy` of other with component main
      hint: set `mirrors.other = ["https://…"]` in Stave's configuration, or add a source with suite `toy` below /etc/apt/sources.list.d
    "#);
    fs::remove_file(machine.folder.path().join("usr/share/keyrings/toy-archive-keyring.gpg")).unwrap();
    insta::assert_snapshot!(machine.failure(DEFINITION), @"
    [NotFound] could not find the keys for http://HOST/toy/dists/toy/InRelease, named by the configured mirrors
      caused by: there is no keyring of toy on this machine: looked for ROOT/usr/share/keyrings/toy-archive-keyring.gpg
      hint: install the package `toy-archive-keyring`, or name a file with the keys as `signed-by` of `mirrors.toy` in Stave's configuration
    ");
}

#[test]
fn apts_sources_are_used_when_nothing_is_configured() {
    let signer = Signer::new(1);
    let mut machine = Machine::new(published(&signer).files, &signer);
    machine.mirrors = Mirrors::default();
    write(machine.folder.path(), &format!("deb {} toy main\n", machine.server.url("/toy")));
    assert_eq!(machine.compose(DEFINITION).unwrap().images.len(), 2);
    write(machine.folder.path(), &format!("deb [arch=amd64] {} toy main\n", machine.server.url("/toy")));
    insta::assert_snapshot!(machine.failure(DEFINITION), @"
    [InvalidInput] could not choose packages for arm64
      caused by: there is no package `base-files`
    ");
}

fn write(root: &Path, list: &str) {
    fs::create_dir_all(root.join("etc/apt")).unwrap();
    fs::write(root.join("etc/apt/sources.list"), list).unwrap();
}

#[test]
fn a_pocket_that_is_nowhere_is_told() {
    #[derive(Default)]
    struct Told(std::sync::Mutex<Vec<String>>);
    impl Observer for Told {
        fn observe(&self, event: Event) {
            if let Event::Note(_, text) = event {
                self.0.lock().unwrap().push(text);
            }
        }
    }
    let signer = Signer::new(1);
    let machine = Machine::new(published(&signer).files, &signer);
    let told = Told::default();
    let definition = Definition::parse(&DEFINITION.replace("pockets = []", "pockets = [\"security\"]")).unwrap();
    machine.with(&told, |ports| compose(&definition, &machine.settings(), ports)).unwrap();
    insta::assert_snapshot!(told.0.lock().unwrap().join("\n"), @"no archive with `toy-security` is known: packages come without what it would have newer");
}

#[test]
fn a_run_that_is_cancelled_stops() {
    let signer = Signer::new(1);
    let machine = Machine::new(published(&signer).files, &signer);
    let (client, cancel) = (Client::new(Options::default()), Cancel::new());
    cancel.set();
    let ports = Ports { client: &client, blobs: &machine.blobs, observer: &Silent, cancel: &cancel };
    let error = compose(&Definition::parse(DEFINITION).unwrap(), &machine.settings(), ports).unwrap_err();
    assert_eq!(error.fault(), Fault::Cancelled, "{error}");
    assert_eq!(machine.blobs.len(), 0);
}

#[test]
fn an_offline_run_says_what_it_would_have_needed() {
    let signer = Signer::new(1);
    let machine = Machine::new(published(&signer).files, &signer);
    let (client, cancel) = (Client::new(Options { offline: true, ..Options::default() }), Cancel::new());
    let ports = Ports { client: &client, blobs: &machine.blobs, observer: &Silent, cancel: &cancel };
    let error = compose(&Definition::parse(DEFINITION).unwrap(), &machine.settings(), ports).unwrap_err();
    let text = format!("{error}\n{}", error.source().unwrap()).replace(&machine.server.authority(), "HOST");
    insta::assert_snapshot!(text, @"
    could not fetch http://HOST/toy/dists/toy/InRelease
    http://HOST/toy/dists/toy/InRelease was not asked: this run is offline
    ");
}
