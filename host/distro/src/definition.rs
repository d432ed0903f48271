//! `stack.toml`: what a stack is made of, and who runs in it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use stave_archive::tree::TreePath;

use crate::relation::is_package_name;

/// The most bytes of a `stack.toml`.
pub const MAX_BYTES: usize = 256 * 1024;
/// The most packages that may be named, and the most of each other list.
const MAX_ITEMS: usize = 1000;
/// The longest text of a label or an environment variable, in bytes.
const MAX_TEXT: usize = 4096;
/// Ids above this are the kernel's overflow id and the unset id.
const MAX_ID: u32 = 65_533;

/// A stack as its author wrote it, checked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Definition {
    /// The stack's id, such as `stave.jvm-tiny`: label `io.buildpacks.base.id`.
    pub id: String,
    /// The distribution, lower case, such as `debian`: the `Origin` of its Release files.
    pub distribution: String,
    /// The suite by its code name, such as `bookworm`.
    pub suite: String,
    /// Which suites beside it are looked into as well, by what follows the hyphen: `security` stands for `bookworm-security`.
    #[serde(default = "default_pockets")]
    pub pockets: Vec<String>,
    /// The archive's components.
    #[serde(default = "default_components")]
    pub components: Vec<String>,
    /// Architectures in Debian's words: `amd64`, `arm64`.
    #[serde(default = "default_architectures")]
    pub architectures: Vec<String>,
    /// The packages wanted; what they depend on comes with them. Nothing else does, essential or not.
    pub packages: Vec<String>,
    /// Packages that stay out although another one depends on them: only what their files would have given is missing,
    /// as no maintainer script runs. `debconf` is the usual one.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Files and folders of packages that are left out, such as `usr/share/man`. Copyright files always stay.
    #[serde(default)]
    pub omit: Vec<String>,
    /// Symbolic links to add, path to text: what `update-alternatives` would have made, such as `usr/bin/awk` to `mawk`.
    #[serde(default)]
    pub links: BTreeMap<String, String>,
    /// Who the app runs as.
    #[serde(default)]
    pub user: User,
    /// Environment variables of the image, beside `PATH` and the `CNB_` ones.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// One sentence for people: label `io.buildpacks.base.description`.
    #[serde(default)]
    pub description: String,
    /// Label `io.buildpacks.base.homepage`.
    #[serde(default)]
    pub homepage: String,
    /// Label `io.buildpacks.base.maintainer`.
    #[serde(default)]
    pub maintainer: String,
    /// Further labels of the image.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// `[user]`: an account of the image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct User {
    /// The user's number: never 0, so that an app does not run as root.
    pub uid: u32,
    /// The number of the user's group.
    pub gid: u32,
    /// The name of both.
    pub name: String,
}

impl Default for User {
    fn default() -> Self {
        Self { uid: 1002, gid: 1000, name: "cnb".to_owned() }
    }
}

fn default_pockets() -> Vec<String> {
    ["updates", "security"].map(str::to_owned).into()
}

fn default_components() -> Vec<String> {
    vec!["main".to_owned()]
}

fn default_architectures() -> Vec<String> {
    ["amd64", "arm64"].map(str::to_owned).into()
}

/// A `stack.toml` that is refused.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// It is too long to be one.
    #[error("the stack's definition is longer than 256 KiB")]
    TooLong,
    /// It is not TOML, or has other keys than it may.
    #[error("could not read the stack's definition")]
    Toml(#[source] Box<toml::de::Error>),
    /// A key's value breaks a rule.
    #[error("the stack's definition is refused: `{}` in `{key}`: {rule}", .value.escape_debug())]
    Value {
        /// Which key.
        key: &'static str,
        /// What stands there.
        value: String,
        /// Which rule it breaks.
        rule: &'static str,
    },
}

impl Definition {
    /// Reads and checks a `stack.toml`.
    pub fn parse(text: &str) -> Result<Self, DefinitionError> {
        if text.len() > MAX_BYTES {
            return Err(DefinitionError::TooLong);
        }
        let definition: Self = toml::from_str(text).map_err(|error| DefinitionError::Toml(Box::new(error)))?;
        definition.check_words()?;
        definition.check_files()?;
        definition.check_image()?;
        Ok(definition)
    }

    /// The suite and those beside it, the suite itself first.
    pub fn suites(&self) -> Vec<String> {
        let beside = self.pockets.iter().map(|pocket| format!("{}-{pocket}", self.suite));
        std::iter::once(self.suite.clone()).chain(beside).collect()
    }

    /// Whether a path of a package is left out.
    pub fn omits(&self, path: &TreePath) -> bool {
        let path = path.as_str();
        let copyright = path.starts_with("usr/share/doc/") && path.ends_with("/copyright");
        let within =
            |folder: &String| path.strip_prefix(folder.as_str()).is_some_and(|r| r.is_empty() || r.starts_with('/'));
        !copyright && self.omit.iter().any(within)
    }

    fn check_words(&self) -> Result<(), DefinitionError> {
        let word = |text: &str| is_word(text, b"-.");
        let rule = "expected lower-case letters, digits, `-` and `.`";
        check("id", [&self.id], |text| is_word(text, b"-._/"), rule)?;
        check("distribution", [&self.distribution], word, rule)?;
        check("suite", [&self.suite], word, rule)?;
        check("pockets", &self.pockets, word, rule)?;
        check("components", &self.components, |text| is_word(text, b"-./"), rule)?;
        let known = |text: &str| oci_architecture(text).is_some();
        check("architectures", &self.architectures, known, "Stave makes images for amd64 and arm64")?;
        check("packages", &self.packages, is_package_name, "it is not a package's name")?;
        check("exclude", &self.exclude, is_package_name, "it is not a package's name")?;
        let named: BTreeSet<&String> = self.packages.iter().collect();
        check("exclude", &self.exclude, |text| !named.contains(&text.to_owned()), "it is named in `packages` as well")?;
        for (key, list) in
            [("components", &self.components), ("architectures", &self.architectures), ("packages", &self.packages)]
        {
            check(key, [""].iter().filter(|_| list.is_empty()), |_| false, "at least one is needed")?;
        }
        for (key, list) in [("architectures", &self.architectures), ("packages", &self.packages)] {
            let mut seen = BTreeSet::new();
            check(key, list, |text| seen.insert(text.to_owned()), "it stands there twice")?;
        }
        Ok(())
    }

    fn check_files(&self) -> Result<(), DefinitionError> {
        let path = |text: &str| text.parse::<TreePath>().is_ok_and(|path| path.as_str() == text);
        let rule = "expected a path without `/` at its beginning or end, and without `..`";
        check("omit", &self.omit, path, rule)?;
        check("links", self.links.keys(), path, rule)?;
        check("links", self.links.values(), is_text, "it is empty, too long or holds a control character")
    }

    fn check_image(&self) -> Result<(), DefinitionError> {
        let user =
            |text: &str| text.len() <= 32 && is_word(text, b"-_") && !text.starts_with(|c: char| c.is_ascii_digit());
        check("user.name", [&self.user.name], user, "it is not a user's name")?;
        check("user.name", [&self.user.name], |text| text != "root", "an app does not run as root")?;
        let number = |id: u32| (1..=MAX_ID).contains(&id);
        check("user.uid", [self.user.uid.to_string()], |_| number(self.user.uid), "expected a number from 1 to 65533")?;
        check("user.gid", [self.user.gid.to_string()], |_| number(self.user.gid), "expected a number from 1 to 65533")?;
        let plain = |text: &str| text.is_empty() || is_text(text);
        let rule = "it is too long or holds a control character";
        check("description", [&self.description], plain, rule)?;
        check("homepage", [&self.homepage], plain, rule)?;
        check("maintainer", [&self.maintainer], plain, rule)?;
        check("labels", self.labels.keys(), is_text, "it is not a label's name")?;
        let free = |text: &str| !text.starts_with("io.buildpacks.");
        check("labels", self.labels.keys(), free, "labels of `io.buildpacks.` are set by Stave")?;
        check("labels", self.labels.values(), plain, rule)?;
        let name = |text: &str| is_text(text) && !text.contains('=');
        check("env", self.env.keys(), name, "it is not a variable's name")?;
        check("env", self.env.keys(), |text| !text.starts_with("CNB_"), "variables of `CNB_` are set by Stave")?;
        check("env", self.env.values(), plain, rule)
    }
}

/// OCI's word for one of Debian's architectures, or none if Stave makes no images for it.
pub fn oci_architecture(debian: &str) -> Option<&'static str> {
    match debian {
        "amd64" => Some("amd64"),
        "arm64" => Some("arm64"),
        _ => None,
    }
}

fn is_word(text: &str, further: &[u8]) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || further.contains(&b);
    let whole = |part: &str| part.starts_with(|c: char| c.is_ascii_alphanumeric());
    (1..=128).contains(&text.len()) && text.bytes().all(allowed) && text.split('/').all(whole)
}

fn is_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_TEXT && !text.chars().any(char::is_control)
}

fn check<T: AsRef<str>>(
    key: &'static str,
    values: impl IntoIterator<Item = T>,
    mut follows: impl FnMut(&str) -> bool,
    rule: &'static str,
) -> Result<(), DefinitionError> {
    for (index, value) in values.into_iter().enumerate() {
        let rule = if index >= MAX_ITEMS { "there are more than 1000 of them" } else { rule };
        if index >= MAX_ITEMS || !follows(value.as_ref()) {
            return Err(DefinitionError::Value { key, value: value.as_ref().chars().take(100).collect(), rule });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "id = 'x'\ndistribution = 'debian'\nsuite = 'bookworm'\npackages = ['libc6']\n";

    fn refused(more: &str) -> String {
        match Definition::parse(&format!("{LEAST}{more}")).unwrap_err() {
            DefinitionError::Toml(error) => error.to_string(),
            error => error.to_string(),
        }
    }

    #[test]
    fn little_is_needed() {
        let definition = Definition::parse(LEAST).unwrap();
        assert_eq!(definition.suites(), ["bookworm", "bookworm-updates", "bookworm-security"]);
        assert_eq!(definition.architectures, ["amd64", "arm64"]);
        assert_eq!(definition.components, ["main"]);
        assert_eq!(definition.user, User { uid: 1002, gid: 1000, name: "cnb".to_owned() });
    }

    #[test]
    fn what_is_omitted_is_below_but_never_a_copyright() {
        let definition = Definition::parse(&format!("{LEAST}omit = ['usr/share/doc', 'usr/bin/x']")).unwrap();
        let omits = |text: &str| definition.omits(&text.parse().unwrap());
        assert!(omits("usr/share/doc") && omits("usr/share/doc/a/changelog.gz") && omits("usr/bin/x"));
        assert!(!omits("usr/share/doc/a/copyright") && !omits("usr/share/docs") && !omits("usr/bin/xy"));
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        insta::assert_snapshot!(refused("package = ['a']"), @r"
        TOML parse error at line 5, column 1
          |
        5 | package = ['a']
          | ^^^^^^^
        unknown field `package`, expected one of `id`, `distribution`, `suite`, `pockets`, `components`, `architectures`, `packages`, `exclude`, `omit`, `links`, `user`, `env`, `description`, `homepage`, `maintainer`, `labels`
        ");
    }

    #[test]
    fn values_are_checked() {
        let cases = [
            "architectures = ['riscv64']",
            "architectures = []",
            "architectures = ['amd64', 'amd64']",
            "exclude = ['../x']",
            "exclude = ['libc6']",
            "omit = ['/usr/share/man']",
            "omit = ['usr/../etc']",
            "links = { '../x' = 'y' }",
            "links = { 'x' = \"a\\u0000b\" }",
            "pockets = ['a b']",
            "components = ['../../x']",
            "user = { uid = 0 }",
            "user = { gid = 70000 }",
            "user = { name = 'root' }",
            "user = { name = 'a:b' }",
            "labels = { 'io.buildpacks.base.id' = 'x' }",
            "env = { 'CNB_USER_ID' = '1' }",
            "env = { 'A=B' = '1' }",
            "description = \"\\u001b[2J\"",
        ];
        let messages: Vec<String> = cases.map(refused).into();
        insta::assert_snapshot!(messages.join("\n"), @r"
        the stack's definition is refused: `riscv64` in `architectures`: Stave makes images for amd64 and arm64
        the stack's definition is refused: `` in `architectures`: at least one is needed
        the stack's definition is refused: `amd64` in `architectures`: it stands there twice
        the stack's definition is refused: `../x` in `exclude`: it is not a package's name
        the stack's definition is refused: `libc6` in `exclude`: it is named in `packages` as well
        the stack's definition is refused: `/usr/share/man` in `omit`: expected a path without `/` at its beginning or end, and without `..`
        the stack's definition is refused: `usr/../etc` in `omit`: expected a path without `/` at its beginning or end, and without `..`
        the stack's definition is refused: `../x` in `links`: expected a path without `/` at its beginning or end, and without `..`
        the stack's definition is refused: `a\0b` in `links`: it is empty, too long or holds a control character
        the stack's definition is refused: `a b` in `pockets`: expected lower-case letters, digits, `-` and `.`
        the stack's definition is refused: `../../x` in `components`: expected lower-case letters, digits, `-` and `.`
        the stack's definition is refused: `0` in `user.uid`: expected a number from 1 to 65533
        the stack's definition is refused: `70000` in `user.gid`: expected a number from 1 to 65533
        the stack's definition is refused: `root` in `user.name`: an app does not run as root
        the stack's definition is refused: `a:b` in `user.name`: it is not a user's name
        the stack's definition is refused: `io.buildpacks.base.id` in `labels`: labels of `io.buildpacks.` are set by Stave
        the stack's definition is refused: `CNB_USER_ID` in `env`: variables of `CNB_` are set by Stave
        the stack's definition is refused: `A=B` in `env`: it is not a variable's name
        the stack's definition is refused: `\u{1b}[2J` in `description`: it is too long or holds a control character
        ");
    }
}
