//! Archives that are not what they should be, packages that would do harm, and what cannot be had: each with its words.

use std::{collections::BTreeMap, fs};

use super::{DATE, DEFINITION, Machine, archive, published};
use crate::support::{Entry, Signer};

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
