//! `os-release`: which distribution a file system is of, where it stands, and what a link in its place leads to.

use super::Distro;

/// Where it stands, the place that is looked at first before the other (os-release(5)).
pub const PLACES: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];
/// The largest file that is read, in bytes; those of distributions have a few hundred.
pub const MAX_OS_RELEASE: u64 = 64 << 10;
/// The longest name or version, in bytes.
const MAX_WORD: usize = 64;

/// The distribution that the text names by `ID` and, where it says so, `VERSION_ID`: rolling distributions have none. Nothing
/// where there is no `ID`, or where either is not a plain word.
pub fn parse(text: &str) -> Option<Distro> {
    let (mut name, mut version) = (None, String::new());
    for (key, value) in text.lines().filter_map(|line| line.trim().split_once('=')) {
        // As in a shell, what is assigned last is what holds.
        match key {
            "ID" => name = Some(value),
            "VERSION_ID" => version = word(value)?,
            _ => {}
        }
    }
    let name = word(name?).filter(|name| !name.is_empty())?;
    Some(Distro { name, version })
}

/// A value without its quotes, if it is nothing but a plain word then.
fn word(value: &str) -> Option<String> {
    let inside = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    let plain = inside('"').or_else(|| inside('\'')).unwrap_or(value);
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+~".contains(&byte);
    (plain.len() <= MAX_WORD && plain.bytes().all(is_word)).then(|| plain.to_owned())
}

/// The path, from the root and without a leading `/`, that a link at `path` with this text leads to. As in a container, nothing
/// is above the root.
pub fn follow(path: &str, link: &str) -> String {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let start = if link.starts_with('/') { "" } else { folder };
    let mut names: Vec<&str> = Vec::new();
    for name in start.split('/').chain(link.split('/')) {
        match name {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    names.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_distribution() {
        let long = format!("ID={}", "a".repeat(65));
        let cases = [
            ("ID=debian\nVERSION_ID=\"12\"\n", "debian 12"),
            ("NAME='Toy'\n# ID=no\nVERSION_ID='1.2'\r\nID=\"toy\"\r\n", "toy 1.2"),
            ("ID=arch\n", "arch "),
            ("VERSION_ID=\"\"\nID=arch\n", "arch "),
            ("ID=one\nID=two", "two "),
            ("ID_LIKE=debian\nMY_ID=x\n", "-"),
            ("", "-"),
            ("ID=\n", "-"),
            ("ID=\"two words\"", "-"),
            ("ID=\"open", "-"),
            ("ID=$(reboot)", "-"),
            ("ID=toy\nVERSION_ID=\u{1b}[2J", "-"),
            (&long, "-"),
        ];
        for (text, expected) in cases {
            let found = parse(text).map_or("-".to_owned(), |distro| format!("{} {}", distro.name, distro.version));
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn links_are_followed_within_the_root() {
        for (path, link, leads_to) in [
            ("etc/os-release", "../usr/lib/os-release", "usr/lib/os-release"),
            ("etc/os-release", "/usr/lib/os-release", "usr/lib/os-release"),
            ("etc/os-release", "os-release.d/toy", "etc/os-release.d/toy"),
            ("etc/os-release", "../../../../proc/version", "proc/version"),
            ("os-release", ".//x/../y/", "y"),
            ("etc/os-release", "/", ""),
        ] {
            assert_eq!(follow(path, link), leads_to, "{link}");
        }
    }
}
