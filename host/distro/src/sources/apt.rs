//! Apt's own files, read as apt reads them (`sources.list(5)`), in both of their forms.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use url::Url;

use super::{Keys, MAX_SOURCES, Source, SourcesError, archive_url};
use crate::{
    definition::Definition,
    paragraph::{ParagraphError, Paragraphs},
};

/// The most bytes of one of apt's files.
const MAX_FILE: u64 = 1 << 20;
/// The most files of apt's.
const MAX_FILES: usize = 500;

/// What this machine's apt would ask for the wanted suites, below `root`.
pub(super) fn sources(definition: &Definition, root: &Path) -> Result<Vec<Source>, SourcesError> {
    let mut found = Vec::new();
    for path in files_of_apt(&root.join("etc/apt"))? {
        let text = read_text(&path)?;
        let stanzas = if path.extension().is_some_and(|end| end == "sources") {
            deb822(&text).map_err(|source| SourcesError::Text { path: path.clone(), source })?
        } else {
            text.lines().filter_map(one_line).collect()
        };
        for stanza in stanzas {
            found.extend(stanza.sources(definition, root, &path));
        }
    }
    found.truncate(MAX_SOURCES);
    Ok(found)
}

/// `sources.list`, then the files of `sources.list.d` by name, as apt has them.
fn files_of_apt(folder: &Path) -> Result<Vec<PathBuf>, SourcesError> {
    let listed = folder.join("sources.list.d");
    let mut below = Vec::new();
    match fs::read_dir(&listed) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(SourcesError::Read { path: listed, source }),
        Ok(entries) => {
            let known = |path: &PathBuf| path.extension().is_some_and(|end| end == "list" || end == "sources");
            below.extend(entries.filter_map(Result::ok).map(|entry| entry.path()).filter(known).take(MAX_FILES));
        }
    }
    below.sort();
    let single = folder.join("sources.list");
    Ok(single.exists().then_some(single).into_iter().chain(below).collect())
}

fn read_text(path: &Path) -> Result<String, SourcesError> {
    let failed = |source| SourcesError::Read { path: path.to_owned(), source };
    let length = fs::metadata(path).map_err(failed)?.len();
    if length > MAX_FILE {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, format!("{length} bytes"))));
    }
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).map_err(failed)
}

/// One entry of apt's, in either form.
#[derive(Debug, Default)]
struct Stanza {
    addresses: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    architectures: Vec<String>,
    signed_by: Option<String>,
    check_valid_until: bool,
}

/// A line such as `deb [arch=amd64 signed-by=/…] https://… bookworm main`, unless it is not one of binary packages.
fn one_line(line: &str) -> Option<Stanza> {
    let rest = line.split('#').next()?.trim().strip_prefix("deb")?;
    let rest = rest.strip_prefix([' ', '\t'])?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace().map(str::to_owned);
    let mut stanza = Stanza {
        addresses: vec![words.next()?],
        suites: vec![words.next()?],
        components: words.collect(),
        check_valid_until: true,
        ..Stanza::default()
    };
    for (name, value) in options.split_whitespace().filter_map(|option| option.split_once('=')) {
        match name.to_ascii_lowercase().as_str() {
            "arch" => stanza.architectures = value.split(',').map(str::to_owned).collect(),
            "signed-by" => stanza.signed_by = Some(value.replace(',', " ")),
            "check-valid-until" => stanza.check_valid_until = is_yes(value),
            _ => {}
        }
    }
    Some(stanza)
}

fn deb822(text: &str) -> Result<Vec<Stanza>, ParagraphError> {
    let mut stanzas = Vec::new();
    for paragraph in Paragraphs::new(text.as_bytes()) {
        let fields = paragraph?;
        let enabled = fields.get("Enabled").is_none_or(is_yes);
        if !enabled || !fields.words("Types").any(|kind| kind == "deb") {
            continue;
        }
        let words = |name| fields.words(name).map(str::to_owned).collect();
        stanzas.push(Stanza {
            addresses: words("URIs"),
            suites: words("Suites"),
            components: words("Components"),
            architectures: words("Architectures"),
            signed_by: fields.get("Signed-By").map(str::to_owned),
            check_valid_until: fields.get("Check-Valid-Until").is_none_or(is_yes),
        });
    }
    Ok(stanzas)
}

/// Apt's words for yes; everything else is no.
fn is_yes(word: &str) -> bool {
    ["yes", "true", "with", "on", "enable", "1"].iter().any(|yes| word.eq_ignore_ascii_case(yes))
}

impl Stanza {
    fn sources(&self, definition: &Definition, root: &Path, file: &Path) -> Vec<Source> {
        let wanted = definition.suites();
        let components: Vec<String> =
            definition.components.iter().filter(|component| self.components.contains(component)).cloned().collect();
        if components.is_empty() {
            return Vec::new();
        }
        let addresses = self.addresses.iter().filter_map(|address| expand(address, root));
        let urls: Vec<Url> = addresses.filter_map(|address| archive_url(&address)).collect();
        let here = wanted.iter().filter(|suite| self.suites.contains(suite));
        let source = |(suite, url): (&String, &Url)| Source {
            url: url.clone(),
            suite: suite.clone(),
            components: components.clone(),
            architectures: (!self.architectures.is_empty()).then(|| self.architectures.clone()),
            keys: self.keys(),
            check_valid_until: self.check_valid_until,
            optional: false,
            said_by: file.display().to_string(),
        };
        here.flat_map(|suite| urls.iter().map(move |url| (suite, url))).map(source).collect()
    }

    /// `Signed-By` holds paths, or fingerprints within apt's own trust (which is not ours), or a key itself.
    fn keys(&self) -> Keys {
        match self.signed_by.as_deref() {
            Some(text) if text.contains("-----BEGIN PGP") => Keys::Text(armoured(text)),
            Some(text) if text.trim_start().starts_with('/') => {
                Keys::Files(text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect())
            }
            _ => Keys::OfDistribution,
        }
    }
}

/// A key within a field has each line set in by a space, and ` .` for an empty one.
fn armoured(field: &str) -> String {
    let line = |line: &str| if line.trim() == "." { String::new() } else { line.trim().to_owned() };
    field.lines().map(line).collect::<Vec<_>>().join("\n") + "\n"
}

/// `mirror+file:/…` stands for the addresses in that file, one a line (`apt-transport-mirror(1)`); the first one is enough
/// to read a suite from.
fn expand(address: &str, root: &Path) -> Option<String> {
    let Some(path) = address.strip_prefix("mirror+file:") else { return Some(address.to_owned()) };
    let path = root.join(path.trim_start_matches('/'));
    let text = read_text(&path).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split('#').next()?.split_whitespace().next());
    lines.next().map(str::to_owned)
}
