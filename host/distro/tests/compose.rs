//! A whole stack from a signed archive on loopback: what comes out, and what is refused with which words.

#![allow(clippy::unwrap_used, clippy::panic_in_result_fn, clippy::print_stdout, missing_docs, reason = "a test")]

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

/// The reports of several failures under their names.
fn reports<const N: usize>(cases: [(&str, String); N]) -> String {
    cases.map(|(case, text)| format!("{case}:\n{text}")).join("\n")
}

fn failure(files: BTreeMap<String, Vec<u8>>, signer: &Signer) -> String {
    Machine::new(files, signer).failure(DEFINITION)
}

fn edited(path: &str, edit: impl FnOnce(&mut Vec<u8>)) -> String {
    let signer = Signer::new(1);
    let mut files = published(&signer).files;
    edit(files.get_mut(path).unwrap());
    failure(files, &signer)
}

fn without(start: &str) -> String {
    let signer = Signer::new(1);
    let mut files = published(&signer).files;
    files.retain(|path, _| !path.starts_with(start));
    failure(files, &signer)
}

#[test]
fn an_archive_that_is_not_what_it_should_be_is_refused() {
    let signer = Signer::new(1);
    let dated = |signer: &Signer, fields: &str| {
        let mut archive = archive();
        archive.publish(signer, fields);
        failure(archive.files, &Signer::new(1))
    };
    let other = format!("Origin: Toy\nSuite: other\nCodename: other\n{DATE}SHA256:\n");
    let text = reports([
        (
            "text changed after signing",
            edited("dists/toy/InRelease", |bytes| {
                *bytes = String::from_utf8_lossy(bytes).replace("Suite: stable", "Suite: unstable").into_bytes();
            }),
        ),
        ("not signed", edited("dists/toy/InRelease", |bytes| *bytes = b"Origin: Toy\n".to_vec())),
        ("signed by somebody else", dated(&Signer::new(2), DATE)),
        ("expired", dated(&signer, &format!("{DATE}Valid-Until: Sat, 24 May 2025 09:31:05 UTC\n"))),
        ("another suite", edited("dists/toy/InRelease", |bytes| *bytes = signer.sign(&other).into_bytes())),
        ("no suite", without("dists/toy/InRelease")),
        ("no index", without("dists/toy/main/binary-amd64")),
        ("another index", edited("dists/toy/main/binary-amd64/Packages.xz", |bytes| bytes[20] ^= 1)),
        ("no package", without("pool/app_")),
        ("another package", edited("pool/app_1.0-1_all.deb", |bytes| bytes[200] ^= 1)),
        ("a longer package", edited("pool/app_1.0-1_all.deb", |bytes| bytes.push(0))),
    ]);
    let mut settings = insta::Settings::clone_current();
    settings.add_filter("[0-9A-F]{40}", "KEY");
    settings.add_filter("sha256:[0-9a-f]{64}", "sha256:…");
    settings.bind(|| {
        insta::assert_snapshot!(text, @"
        text changed after signing:
        [Integrity] http://HOST/toy/dists/toy/InRelease is refused
          caused by: none of its signatures is good by ROOT/usr/share/keyrings/toy-archive-keyring.gpg: the one by KEY does not fit the text
          hint: if this is not an archive of the distribution itself, name the right ones as `mirrors` in Stave's configuration
        not signed:
        [Integrity] http://HOST/toy/dists/toy/InRelease is refused
          caused by: it is not a text with an OpenPGP signature
          caused by: not enough bytes in buffer: cleartext header
          hint: if this is not an archive of the distribution itself, name the right ones as `mirrors` in Stave's configuration
        signed by somebody else:
        [Integrity] http://HOST/toy/dists/toy/InRelease is refused
          caused by: none of its signatures is good by ROOT/usr/share/keyrings/toy-archive-keyring.gpg: no key for the one by KEY
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
        [Integrity] the packages of toy for amd64 from http://HOST/toy/dists/toy/main/binary-amd64/Packages.xz is not what was promised: expected sha256:… of 396 bytes, got sha256:… of 396
          hint: the mirror is being updated, or is not to be trusted: try again later, or another one
        no package:
        [NotFound] could not fetch package `app` 1.0-1
          caused by: http://HOST/toy/pool/app_1.0-1_all.deb answered 404 (not found)
          hint: the archive may have moved on, or be incomplete: try again later, or another mirror; a lock that is too old can only be made anew
        another package:
        [Integrity] package `app` 1.0-1 from http://HOST/toy/pool/app_1.0-1_all.deb is not what was promised: expected sha256:… of 10944 bytes, got sha256:… of 10944
          hint: the mirror is being updated, or is not to be trusted: try again later, or another one
        a longer package:
        [Network] could not fetch package `app` 1.0-1
          caused by: http://HOST/toy/pool/app_1.0-1_all.deb is larger than the 10944 bytes allowed
        ");
    });
}

#[test]
fn a_package_that_would_do_harm_is_refused() {
    let with = |entries: &[(&str, Entry)]| {
        let (mut archive, signer) = (archive(), Signer::new(1));
        archive.add("app", "9", "all", "", entries);
        archive.publish(&signer, DATE);
        failure(archive.files, &signer)
    };
    let file = || Entry::File(0o644, "x");
    let text = reports([
        ("a path that climbs", with(&[("./usr/../../etc/x", file())])),
        ("an absolute path", with(&[("/etc/x", file())])),
        ("a file below a file", with(&[("./usr/x", file()), ("./usr/x/y", file())])),
        ("a file below a link", with(&[("./a", Entry::Link("/etc")), ("./a/x", file())])),
        ("a removal", with(&[("./usr/.wh.bin", file())])),
        ("another's file", with(&[("./usr/lib/os-release", file())])),
        ("a file for a folder", with(&[("./usr/lib", file())])),
        ("its own record", with(&[("./var/lib/dpkg/status.d/app", Entry::Folder(0o755))])),
    ]);
    insta::assert_snapshot!(text, @"
    a path that climbs:
    [InvalidInput] package `app` is refused
      caused by: path `usr/../../etc/x` is refused: it holds `.` or `..`
    an absolute path:
    [InvalidInput] package `app` is refused
      caused by: path `/etc/x` is refused: it is absolute
    a file below a file:
    [InvalidInput] package `app` is refused
      caused by: `usr/x/y` is there twice, or below something that is not a folder
    a file below a link:
    [InvalidInput] package `app` is refused
      caused by: `a/x` is there twice, or below something that is not a folder
    a removal:
    [InvalidInput] could not write the layer with packages
      caused by: `usr/.wh.bin` cannot be in a layer: names that start with `.wh.` remove files
    another's file:
    [InvalidInput] `/usr/lib/os-release` is in package `base-files` and in package `app`
    a file for a folder:
    [InvalidInput] could not unpack package `app`
      caused by: `usr/lib` is there twice, or below something that is not a folder
    its own record:
    [InvalidInput] could not unpack package `app`
      caused by: `var/lib/dpkg/status.d/app` is there twice, or below something that is not a folder
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
    [NotFound] no archive with suite `toy` is known for arm64
      hint: apt's sources here are for other architectures: name an archive with arm64 as `mirrors` in Stave's configuration, or leave arm64 out of the stack's `architectures`
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
