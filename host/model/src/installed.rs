//! Which packages a system has, from what its package manager wrote down: dpkg's status, and apk's list.
//!
//! Nothing is guessed. A package whose name or version is not plain is left out, and one has a package URL only where the
//! system's own `os-release` says whose package it is. What was removed and left its settings behind is not there.

use std::collections::BTreeMap;

use crate::{dependency::PackageUrl, sbom::Component, target::Distro};

/// The longest name or version that is taken, in bytes.
const MAX_WORD: usize = 200;

/// The packages of dpkg's `status`, or of a file below `status.d`, which has no word about how far an installation went.
pub fn of_dpkg(text: &str, system: Option<&Distro>) -> Vec<Component> {
    let there = |fields: &BTreeMap<&str, &str>| match fields.get("Status") {
        Some(status) => {
            matches!(status.split_whitespace().last(), Some("installed" | "triggers-awaited" | "triggers-pending"))
        }
        None => true,
    };
    let of = |fields: BTreeMap<&str, &str>| {
        let field = |name: &str| fields.get(name).copied();
        component("deb", field("Package")?, field("Version")?, field("Architecture"), system)
    };
    paragraphs(text).filter(there).filter_map(of).collect()
}

/// The packages of apk's `installed`.
pub fn of_apk(text: &str, system: Option<&Distro>) -> Vec<Component> {
    let of = |fields: BTreeMap<&str, &str>| {
        let field = |name: &str| fields.get(name).copied();
        component("apk", field("P")?, field("V")?, field("A"), system)
    };
    paragraphs(text).filter_map(of).collect()
}

/// Each paragraph's fields by their names, with the first line of their values; a field that is there twice has its first one.
fn paragraphs(text: &str) -> impl Iterator<Item = BTreeMap<&str, &str>> {
    let mut lines = text.lines();
    std::iter::from_fn(move || {
        let mut fields = BTreeMap::new();
        loop {
            let line = lines.next();
            if line.is_none_or(|line| line.trim().is_empty()) {
                if !fields.is_empty() {
                    return Some(fields);
                }
                line?;
            }
            // Lines that go on with a value begin with a space, which no name has.
            if let Some((name, value)) = line.and_then(|line| line.split_once(':')) {
                fields.entry(name).or_insert(value.trim());
            }
        }
    })
}

fn component(kind: &str, name: &str, version: &str, arch: Option<&str>, system: Option<&Distro>) -> Option<Component> {
    let plain = is_plain(name, b"._-+") && is_plain(version, b"._-+~:");
    let purl = system.map(|Distro { name: id, version: release }| {
        let arch = arch.filter(|arch| is_plain(arch, b"_-")).map(|arch| ("arch", arch.to_owned()));
        let distro = (!release.is_empty()).then(|| ("distro", format!("{id}-{release}")));
        let qualifiers = arch.into_iter().chain(distro).map(|(name, value)| (name.to_owned(), value)).collect();
        PackageUrl {
            kind: kind.to_owned(),
            namespace: id.to_ascii_lowercase(),
            name: name.to_ascii_lowercase(),
            version: version.to_owned(),
            qualifiers,
        }
    });
    plain.then(|| Component {
        group: String::new(),
        name: name.to_owned(),
        version: version.to_owned(),
        purl,
        licenses: Vec::new(),
        sha256: None,
    })
}

fn is_plain(word: &str, more: &[u8]) -> bool {
    !word.is_empty()
        && word.len() <= MAX_WORD
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::os_release::parse;

    fn shown(components: &[Component]) -> String {
        let lines = components.iter().map(|one| {
            let purl = one.purl.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("{} {} {purl}", one.name, one.version).trim_end().to_owned()
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_dpkg_has_installed() {
        let debian = parse("NAME=\"Debian\"\nID=debian\nVERSION_ID=\"12\"\n").unwrap();
        let status = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9+deb12u4\n\
            Description: a library\n Version: 9 is no field of its own\n\n\
            Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\n\
            Package: held\nStatus: hold ok installed\nVersion: 1:2~rc1\nVersion: 3\n\n\
            Package: half\nStatus: install reinstreq half-installed\nVersion: 1\n\n\
            Package: no version\nStatus: install ok installed\nVersion: 1\n\n\
            Package: nothing\nStatus: install ok installed\n\n\
            Package: waits\nStatus: install ok triggers-awaited\nArchitecture: a b\nVersion: 4";
        insta::assert_snapshot!(shown(&of_dpkg(status, Some(&debian))), @"
        libc6 2.36-9+deb12u4 pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=amd64&distro=debian-12
        held 1:2~rc1 pkg:deb/debian/held@1:2~rc1?distro=debian-12
        waits 4 pkg:deb/debian/waits@4?distro=debian-12
        ");
        // As distroless images and composed stacks have it, of a system without a version or that does not say its name.
        let one = "Package: tzdata\r\nVersion: 2024a-0\r\nArchitecture: all\r\n";
        let sid = parse("ID='debian'\n");
        assert_eq!(shown(&of_dpkg(one, sid.as_ref())), "tzdata 2024a-0 pkg:deb/debian/tzdata@2024a-0?arch=all");
        assert_eq!(shown(&of_dpkg(one, None)), "tzdata 2024a-0");
    }

    #[test]
    fn what_apk_has_installed() {
        let alpine = parse("ID=alpine\nVERSION_ID=3.19.1\n");
        let list = "C:Q1abc=\nP:musl\nV:1.2.4_git20230717-r4\nA:x86_64\nL:MIT\nF:lib\nR:libc.musl-x86_64.so.1\na:0:0:777\n\n\
            P:busybox\nV:1.36.1-r15\nA:x86_64\n\nP:torn";
        insta::assert_snapshot!(shown(&of_apk(list, alpine.as_ref())), @"
        musl 1.2.4_git20230717-r4 pkg:apk/alpine/musl@1.2.4_git20230717-r4?arch=x86_64&distro=alpine-3.19.1
        busybox 1.36.1-r15 pkg:apk/alpine/busybox@1.36.1-r15?arch=x86_64&distro=alpine-3.19.1
        ");
    }

    #[test]
    fn what_is_no_list_has_no_packages() {
        for text in ["", "\n\n", ":\n:", "\u{0}\u{1}", "Package:\nVersion:\n", "Package: a\n\nVersion: 1\n"] {
            assert_eq!(of_dpkg(text, None), [], "{text:?}");
            assert_eq!(of_apk(text, None), [], "{text:?}");
        }
        let long = format!("Package: {}\nVersion: 1\n", "x".repeat(MAX_WORD + 1));
        assert_eq!(of_dpkg(&long, None), []);
    }
}
