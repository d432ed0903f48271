//! A whole stack from a signed archive on loopback: what comes out, and what is refused with which words.

#![allow(clippy::unwrap_used, clippy::panic_in_result_fn, clippy::print_stdout, missing_docs, reason = "a test")]

mod refusals;
#[path = "../support/mod.rs"]
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
