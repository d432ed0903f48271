//! Service bindings: what the person who builds hands to buildpacks beside the app, such as certificates, or the password
//! of a mirror (Service Binding Specification for Kubernetes 1.1, "Workload Projection"; CNB extension "Service Bindings").
//!
//! A binding is a name, a type and a few entries with secret values. Values are never printed: [`Secret`] shows its size.

pub mod search;

use std::{collections::BTreeMap, fmt};

use crate::{
    digest::{Digest, Key},
    id::{BindingKey, BindingName, BindingType, InvalidName},
};

/// The largest value, in bytes: what a secret of Kubernetes may have.
pub const MAX_VALUE: u64 = 1 << 20;
/// The most bindings of a build.
pub const MAX_BINDINGS: usize = 200;
/// The most entries of a binding.
pub const MAX_ENTRIES: usize = 1000;
/// The longest `provider`, in bytes.
const MAX_PROVIDER: usize = 253;
/// Shorter values are not hidden in texts: they would be found by chance.
const MIN_HIDDEN: usize = 4;
/// Shorter values give nothing away that an answer would be refused for: a port, a word such as `true`.
const MIN_REFUSED: usize = 8;

/// The type of bindings whose entries are certificates, which a server shows to everybody.
const CERTIFICATES: &str = "ca-certificates";

/// What stands in a text where a secret was.
pub const HIDDEN: &str = "***";

/// A value that must not be seen.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes a value in.
    pub fn new(value: impl Into<Vec<u8>>) -> Self {
        Self(value.into())
    }

    /// The value, for whoever may have it.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }

    /// What tells one value from another.
    pub fn digest(&self) -> Digest {
        Key::new("binding value 1").field(&self.0).finish()
    }

    /// `text` with every place hidden where this value stands, and where a line of it stands, if it has several.
    pub fn hide(&self, text: &str) -> String {
        let mut shown = text.to_owned();
        for piece in self.pieces(MIN_HIDDEN) {
            if shown.contains(piece) {
                shown = shown.replace(piece, HIDDEN);
            }
        }
        shown
    }

    /// Whether a text gives the value, or a line of it, away.
    pub fn is_in(&self, text: &str) -> bool {
        self.pieces(MIN_REFUSED).any(|piece| text.contains(piece))
    }

    fn pieces(&self, least: usize) -> impl Iterator<Item = &str> {
        let whole = std::str::from_utf8(&self.0).unwrap_or_default().trim();
        // The whole first: where it is hidden, its lines are too.
        let lines = whole.lines().map(str::trim).filter(move |line| *line != whole);
        std::iter::once(whole).chain(lines).filter(move |piece| piece.len() >= least)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

/// One service binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Its name: what its folder is called.
    pub name: BindingName,
    /// What it is for, such as `ca-certificates`; upper and lower case are the same.
    pub kind: BindingType,
    /// Who provides it, where several could.
    pub provider: Option<String>,
    /// Its entries, `type` and `provider` not among them.
    pub entries: BTreeMap<BindingKey, Secret>,
}

/// All bindings of a build, by their names.
pub type Bindings = BTreeMap<BindingName, Binding>;

/// Why a folder's files are not a binding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBinding {
    /// A name breaks its grammar.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The file `type` is missing.
    #[error("it has no file `type`, which says what it is for")]
    NoType,
    /// `type` or `provider` is not a line of text.
    #[error("its file `{0}` is not one line of text")]
    NotALine(&'static str),
    /// There is too much in it.
    #[error("it has more than {MAX_ENTRIES} entries")]
    TooMany,
}

impl Binding {
    /// Makes a binding of the files in its folder.
    pub fn new(name: &str, mut files: BTreeMap<String, Vec<u8>>) -> Result<Self, InvalidBinding> {
        let name = name.parse()?;
        let kind = line(files.remove("type").ok_or(InvalidBinding::NoType)?, "type")?.parse()?;
        let provider = files.remove("provider").map(|bytes| line(bytes, "provider")).transpose()?;
        if files.len() > MAX_ENTRIES {
            return Err(InvalidBinding::TooMany);
        }
        let entries = files.into_iter().map(|(key, value)| Ok((key.parse()?, Secret::new(value))));
        Ok(Self { name, kind, provider, entries: entries.collect::<Result<_, InvalidName>>()? })
    }

    /// Whether an entry is for everybody: a certificate of a binding that is for certificates, without a private key beside it. Any
    /// other value is a secret, whatever it is.
    pub fn is_public(&self, key: &str) -> bool {
        let has = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        let is_certificate = |value: &Secret| {
            has(value.reveal(), "-----BEGIN CERTIFICATE-----") && !has(value.reveal(), "PRIVATE KEY-----")
        };
        self.kind.as_str().eq_ignore_ascii_case(CERTIFICATES) && self.entries.get(key).is_some_and(is_certificate)
    }

    /// What tells this binding, without its values, from another.
    pub fn shape(&self) -> Digest {
        let provider = self.provider.as_deref();
        let key = Key::new("binding 1").field(self.name.as_str()).field(self.kind.as_str());
        key.list(provider).list(self.entries.keys().map(BindingKey::as_str)).finish()
    }
}

/// One line of text, without space around it.
fn line(bytes: Vec<u8>, file: &'static str) -> Result<String, InvalidBinding> {
    let text = String::from_utf8(bytes).map_err(|_| InvalidBinding::NotALine(file))?;
    let text = text.trim();
    let is_line = !text.is_empty() && text.len() <= MAX_PROVIDER && !text.chars().any(char::is_control);
    if is_line { Ok(text.to_owned()) } else { Err(InvalidBinding::NotALine(file)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(name: &str, files: &[(&str, &str)]) -> Result<Binding, InvalidBinding> {
        Binding::new(name, files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect())
    }

    #[test]
    fn a_folder_is_a_binding() {
        let db =
            binding("db", &[("type", "postgresql\n"), ("provider", " acme "), ("password", "hunter22\n")]).unwrap();
        assert_eq!((db.kind.as_str(), db.provider.as_deref()), ("postgresql", Some("acme")));
        assert_eq!(db.entries["password"].reveal(), b"hunter22\n");
        assert_eq!(format!("{:?}", db.entries), r#"{"password": Secret(9 bytes)}"#);
    }

    #[test]
    fn says_what_is_wrong_and_shows_no_value() {
        let many: Vec<(String, String)> = (0..1001).map(|n| (format!("k{n}"), String::new())).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let said = [
            binding("..", &[("type", "a")]),
            binding("db", &[("password", "hunter22")]),
            binding("db", &[("type", "two\nlines")]),
            binding("db", &[("type", "a"), ("provider", "")]),
            binding("db", &[("type", "a b")]),
            binding("db", &[("type", "a"), ("pass word", "hunter22")]),
            binding("db", &[&[("type", "a")][..], &many].concat()),
        ];
        let said: Vec<String> = said.into_iter().map(|binding| binding.unwrap_err().to_string()).collect();
        insta::assert_snapshot!(said.join("\n"), @r"
        `..` is not a valid name of a binding: use letters, digits, `.`, `-` and `_`, at most 253 characters
        it has no file `type`, which says what it is for
        its file `type` is not one line of text
        its file `provider` is not one line of text
        `a b` is not a valid type of a binding: use letters, digits, `.`, `-` and `_`, at most 253 characters
        `pass word` is not a valid key of a binding: use letters, digits, `.`, `-` and `_`, at most 253 characters
        it has more than 1000 entries
        ");
    }

    #[test]
    fn a_value_is_hidden_wherever_it_stands() {
        let secret = Secret::new("hunter22\n");
        assert_eq!(secret.hide("user:hunter22@host, hunter22"), "user:***@host, ***");
        assert!(secret.is_in("a hunter22") && !secret.is_in("hunter") && !Secret::new("5432").is_in("5432"));
        let lines = Secret::new("BEGIN\n  abcdef\nx\n");
        assert_eq!(lines.hide("BEGIN\n  abcdef\nx"), "***");
        assert_eq!(lines.hide("line: abcdef x"), "line: *** x");
        assert_eq!(Secret::new("abc").hide("abc"), "abc", "too short to mean it");
        assert_eq!(Secret::new(vec![0xff, 0xfe]).hide("text"), "text");
    }

    #[test]
    fn a_certificate_is_no_secret_and_a_key_is() {
        let (certificate, key) = ("-----BEGIN CERTIFICATE-----\nMA==\n", "-----BEGIN RSA PRIVATE KEY-----\nMA==\n");
        let is_public = |kind: &str, value: &str| binding("b", &[("type", kind), ("k", value)]).unwrap().is_public("k");
        assert!(is_public("ca-certificates", certificate) && is_public("CA-Certificates", certificate));
        assert!(!is_public("ca-certificates", key));
        assert!(!is_public("ca-certificates", &format!("{certificate}{key}")));
        assert!(!is_public("ca-certificates", "hunter22"));
        assert!(!is_public("tls", certificate));
    }

    #[test]
    fn a_shape_knows_all_but_the_values() {
        let shape = |files: &[(&str, &str)]| binding("db", files).unwrap().shape();
        let plain = shape(&[("type", "a"), ("k", "1")]);
        assert_eq!(plain, shape(&[("type", "a"), ("k", "2")]));
        for other in
            [&[("type", "b"), ("k", "1")][..], &[("type", "a"), ("l", "1")], &[("type", "a"), ("provider", "k")]]
        {
            assert_ne!(plain, shape(other));
        }
    }
}
