//! pip's settings: its configuration files and `PIP_…` variables, in the order that pip's manual gives ("Configuration").
//!
//! Files count in the order global, user, site, `PIP_CONFIG_FILE`, later ones over earlier ones; within a file `[install]`
//! counts over `[global]`; variables count over files. pip's `keyring` is not asked.

use std::path::PathBuf;

use super::ini;
use crate::machine::{Machine, Unreadable};

/// The sections that hold for fetching, weakest first.
const SECTIONS: [&str; 2] = ["global", "install"];

/// What pip would use. None of it checked yet.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pip {
    /// `index-url`.
    pub index: Option<String>,
    /// `extra-index-url`.
    pub extra: Vec<String>,
    /// `find-links`: folders, addresses of pages.
    pub find_links: Vec<String>,
    /// `no-index`: only `find-links`.
    pub no_index: bool,
    /// `cert`: a bundle of certificates.
    pub cert: Option<PathBuf>,
}

impl Pip {
    /// Reads pip's settings.
    pub fn read(machine: &Machine) -> Result<Self, Unreadable> {
        let mut pip = Self::default();
        for path in files(machine) {
            let Some(text) = machine.read(&path)? else { continue };
            let values = ini::parse(&text);
            for section in SECTIONS {
                pip.take(|key| values.get(&(section.to_owned(), key.to_owned())).map(String::as_str));
            }
        }
        pip.take(|key| machine.variable(&format!("PIP_{}", key.replace('-', "_").to_ascii_uppercase())));
        Ok(pip)
    }

    /// Takes over what is set.
    fn take<'a>(&mut self, value: impl Fn(&str) -> Option<&'a str>) {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        if let Some(index) = value("index-url") {
            self.index = Some(index.trim().to_owned());
        }
        if let Some(extra) = value("extra-index-url") {
            self.extra = words(extra);
        }
        if let Some(links) = value("find-links") {
            self.find_links = words(links);
        }
        if let Some(flag) = value("no-index") {
            self.no_index =
                matches!(flag.trim().to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on" | "y" | "t");
        }
        if let Some(cert) = value("cert") {
            self.cert = Some(PathBuf::from(cert.trim()));
        }
    }
}

/// The files that pip reads, weakest first.
fn files(machine: &Machine) -> Vec<PathBuf> {
    let named = machine.variable("PIP_CONFIG_FILE").map(PathBuf::from);
    if named.as_deref().is_some_and(|path| path == std::path::Path::new("/dev/null")) {
        return Vec::new();
    }
    let mut files = Vec::new();
    let xdg = machine.variable("XDG_CONFIG_DIRS").map(str::to_owned);
    let xdg = xdg.unwrap_or_else(|| machine.system("etc/xdg").to_string_lossy().into_owned());
    files.extend(
        std::env::split_paths(&xdg).filter(|path| path.is_absolute()).map(|folder| folder.join("pip/pip.conf")),
    );
    files.push(machine.system("etc/pip.conf"));
    files.extend(machine.home().map(|home| home.join(".pip/pip.conf")));
    files.extend(machine.home().map(|home| home.join("Library/Application Support/pip/pip.conf")));
    files.extend(machine.config_home().map(|config| config.join("pip/pip.conf")));
    files.extend(machine.variable("VIRTUAL_ENV").map(|prefix| PathBuf::from(prefix).join("pip.conf")));
    files.extend(named);
    files
}

impl std::fmt::Debug for Pip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Addresses may hold passwords.
        write!(f, "Pip(index: {}, {} extra, {} links)", self.index.is_some(), self.extra.len(), self.find_links.len())
    }
}

/// The index that pip uses when nothing is set, by asking the pip of each Python on the path: the installed one, else the
/// one that Python carries for new virtual environments. None if there is no pip.
pub fn default_index(machine: &Machine) -> Option<String> {
    const QUESTION: &str = "import glob, os, sys; \
        carried = os.path.join(os.path.dirname(os.__file__), 'ensurepip', '_bundled', 'pip-*.whl'); \
        sys.path += glob.glob(carried) + glob.glob('/usr/share/python-wheels/pip-*.whl'); \
        from pip._internal.models.index import PyPI; print(PyPI.simple_url)";
    let pythons = ["python3", "python"].into_iter().flat_map(|name| machine.programs(name));
    pythons
        .take(8)
        .filter_map(|python| machine.ask(&python, &["-c", QUESTION]))
        .find(|answer| answer.starts_with("https://") || answer.starts_with("http://"))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// Variables; then the index, and how many more indexes and links there are.
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, usize, usize);

    /// A machine below `root` with these files and variables; `~` is `root/home`.
    fn machine(root: &Path, files: &[(&str, &str)], variables: &[(&str, &str)]) -> Machine {
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let at = |value: &str| value.replace('~', root.join("home").to_str().unwrap());
        let mut variables: std::collections::BTreeMap<_, _> =
            variables.iter().map(|(key, value)| ((*key).to_owned(), at(value))).collect();
        variables.insert("HOME".to_owned(), at("~"));
        Machine { variables, root: root.to_owned() }
    }

    #[test]
    fn later_files_and_variables_count_over_earlier_ones() {
        let files = [
            ("etc/pip.conf", "[global]\nindex-url = https://etc.example.com\ncert = /etc/ca.pem\n"),
            ("home/.pip/pip.conf", "[global]\nindex-url = https://old.example.com\n"),
            (
                "home/.config/pip/pip.conf",
                "[install]\nindex-url = https://install.example.com\n[global]\nindex-url = https://user.example.com\n",
            ),
            (
                "home/venv/pip.conf",
                "[global]\nextra-index-url =\n  https://one.example.com\n  https://two.example.com\n",
            ),
            ("home/named.conf", "[global]\nfind-links = /wheels\n"),
        ];
        let cases: [Case<'_>; 4] = [
            (&[], "https://install.example.com", 0, 0),
            (&[("VIRTUAL_ENV", "~/venv"), ("PIP_CONFIG_FILE", "~/named.conf")], "https://install.example.com", 2, 1),
            (
                &[("PIP_INDEX_URL", "https://env.example.com"), ("PIP_FIND_LINKS", "/a https://b.example.com/c")],
                "https://env.example.com",
                0,
                2,
            ),
            (&[("XDG_CONFIG_HOME", "~/elsewhere")], "https://old.example.com", 0, 0),
        ];
        for (variables, index, extra, links) in cases {
            let root = tempfile::tempdir().unwrap();
            let pip = Pip::read(&machine(root.path(), &files, variables)).unwrap();
            assert_eq!(
                (pip.index.as_deref(), pip.extra.len(), pip.find_links.len()),
                (Some(index), extra, links),
                "{variables:?}"
            );
            assert_eq!(pip.cert.as_deref(), Some(Path::new("/etc/ca.pem")));
        }
    }

    #[test]
    #[ignore = "needs pip on the path"]
    fn pip_says_its_default() {
        assert!(default_index(&Machine::current()).unwrap().starts_with("https://"));
    }

    #[test]
    fn no_file_is_read_where_pip_is_told_so() {
        let root = tempfile::tempdir().unwrap();
        let files = [("etc/pip.conf", "[global]\nindex-url = https://etc.example.com\n")];
        let variables = [("PIP_CONFIG_FILE", "/dev/null"), ("PIP_NO_INDEX", "True"), ("PIP_CERT", "/ca.pem")];
        let pip = Pip::read(&machine(root.path(), &files, &variables)).unwrap();
        let expected = Pip { no_index: true, cert: Some("/ca.pem".into()), ..Pip::default() };
        assert_eq!(pip, expected);
    }
}
