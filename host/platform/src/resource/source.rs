//! Where an app's source is: as it is wished for (a branch), and as it was found (a commit).

use serde::{Deserialize, Serialize};
use stave_model::digest::Digest;

use super::{
    Problem,
    reference::{Pinned, Reference},
};

/// `spec.source`: exactly one of git, blob and registry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Source {
    /// A git repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<Git>,
    /// An archive behind a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<Blob>,
    /// An image that carries the source: what a local folder is sent as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<Registry>,
    /// The folder within it that is the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_path: Option<String>,
}

/// A git repository at a branch, tag or commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Git {
    /// Where it is.
    pub url: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// Whether what it includes is fetched too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub initialize_submodules: bool,
}

/// An archive: zip, jar, tar, with or without compression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Blob {
    /// Where it is.
    pub url: String,
    /// How it is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<BlobAuth>,
    /// How many leading folders of its names are dropped.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub strip_components: u32,
}

/// Whose credentials an archive is asked for with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlobAuth {
    /// The machine's own.
    Helper,
    /// A secret's.
    Secret,
}

/// An image that carries a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Registry {
    /// Its name.
    pub image: Reference,
    /// Secrets to read it with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<SecretName>,
}

/// Names a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretName {
    /// Its name.
    pub name: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives it so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Source {
    /// What is wrong with it.
    pub fn problems(&self, path: &str) -> Vec<Problem> {
        let given: Vec<&str> =
            [("git", self.git.is_some()), ("blob", self.blob.is_some()), ("registry", self.registry.is_some())]
                .into_iter()
                .filter_map(|(name, is_given)| is_given.then_some(name))
                .collect();
        let mut problems = Vec::new();
        let mut problem = |path: String, rule: String| problems.push(Problem { path, rule });
        match given[..] {
            [_] => {}
            [] => problem(path.to_owned(), "one of git, blob and registry is needed".to_owned()),
            _ => problem(
                path.to_owned(),
                format!("only one of git, blob and registry can be given, not {}", given.join(" and ")),
            ),
        }
        if let Some(git) = &self.git {
            for (field, value) in [("url", &git.url), ("revision", &git.revision)] {
                if value.is_empty() {
                    problem(format!("{path}.git.{field}"), "it is empty".to_owned());
                }
            }
        }
        if self.blob.as_ref().is_some_and(|blob| blob.url.is_empty()) {
            problem(format!("{path}.blob.url"), "it is empty".to_owned());
        }
        let urls = [("git", self.git.as_ref().map(|git| &git.url)), ("blob", self.blob.as_ref().map(|blob| &blob.url))];
        for (field, url) in urls {
            if url.is_some_and(|url| has_login(url)) {
                problem(format!("{path}.{field}.url"), "it holds a login, which belongs into a secret".to_owned());
            }
        }
        if let Some(sub_path) = &self.sub_path
            && (sub_path.starts_with('/') || sub_path.split(['/', '\\']).any(|part| part == ".."))
        {
            problem(format!("{path}.subPath"), "it stays within the source".to_owned());
        }
        problems
    }
}

/// Whether a web address says who asks: everybody who sees the image's wish or label would know.
fn has_login(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    ["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) && authority.contains('@')
}

/// A source as it was found: what a build of now would read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedSource {
    /// Which one.
    #[serde(flatten)]
    pub at: Found,
    /// The folder within it that is the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_path: Option<String>,
}

/// Where a source was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Found {
    /// A commit.
    Git(FoundGit),
    /// An archive.
    Blob(FoundBlob),
    /// An image, by its digest.
    Registry(FoundImage),
}

/// A commit of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FoundGit {
    /// Where it is.
    pub url: String,
    /// The commit's hash.
    pub revision: String,
    /// The hash of the app's folder in that commit, where it is known: commits that leave it alone are no reason to build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<String>,
    /// Whether what it includes is fetched too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub initialize_submodules: bool,
}

/// An archive behind a URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FoundBlob {
    /// Where it is.
    pub url: String,
    /// How many leading folders of its names are dropped.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub strip_components: u32,
    /// Its digest, where somebody looked. Where nobody did, new contents behind the same URL are not noticed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// An image that carries a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoundImage {
    /// Its name, with its digest.
    pub image: Pinned,
}

impl ResolvedSource {
    /// The commit, if it is one.
    pub fn commit(&self) -> Option<&str> {
        match &self.at {
            Found::Git(git) => Some(&git.revision),
            Found::Blob(_) | Found::Registry(_) => None,
        }
    }

    /// Where the source is, as people are shown it and as it counts among an image's settings: without its commit, which is a
    /// reason of its own.
    pub fn place(&self) -> serde_json::Value {
        let mut place = match &self.at {
            Found::Git(git) => {
                let mut shown = serde_json::json!({ "url": git.url });
                if git.initialize_submodules {
                    shown["initializeSubmodules"] = true.into();
                }
                serde_json::json!({ "git": shown })
            }
            Found::Blob(blob) => {
                let mut shown = serde_json::json!({ "url": blob.url });
                if blob.strip_components > 0 {
                    shown["stripComponents"] = blob.strip_components.into();
                }
                if let Some(digest) = blob.digest {
                    shown["digest"] = digest.to_string().into();
                }
                serde_json::json!({ "blob": shown })
            }
            Found::Registry(found) => serde_json::json!({ "registry": { "image": found.image.to_string() } }),
        };
        if let Some(sub_path) = &self.sub_path {
            place["subPath"] = sub_path.clone().into();
        }
        place
    }

    /// Whether this is found at the same place with the same settings, whatever the commit. Images are the same by their
    /// digest, wherever they are kept; archives by theirs, if both are known.
    pub fn is_placed_like(&self, other: &Self) -> bool {
        let is_same = match (&self.at, &other.at) {
            (Found::Git(a), Found::Git(b)) => a.url == b.url && a.initialize_submodules == b.initialize_submodules,
            (Found::Blob(a), Found::Blob(b)) => {
                let is_read_alike = a.digest.is_none() || b.digest.is_none() || a.digest == b.digest;
                a.url == b.url && a.strip_components == b.strip_components && is_read_alike
            }
            (Found::Registry(a), Found::Registry(b)) => a.image.digest() == b.image.digest(),
            _ => false,
        };
        is_same && self.sub_path == other.sub_path
    }

    /// Whether the commit is another one, and the app's folder with it; none where one of them is no commit.
    pub fn has_moved(&self, before: &Self) -> Option<bool> {
        let (Found::Git(now), Found::Git(then)) = (&self.at, &before.at) else { return None };
        let is_same_tree = self.sub_path == before.sub_path && now.tree.is_some() && now.tree == then.tree;
        Some(now.revision != then.revision && !is_same_tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Vec<String> {
        let source: Source = serde_json::from_str(text).unwrap();
        source.problems("spec.source").iter().map(ToString::to_string).collect()
    }

    /// Scenario 36: two kinds of source.
    #[test]
    fn a_source_is_of_one_kind() {
        let git = r#""git": { "url": "https://git.example.com/app", "revision": "main" }"#;
        let blob = r#""blob": { "url": "https://files.example.com/app.jar" }"#;
        assert_eq!(source(&format!("{{ {git}, \"subPath\": \"app/web\" }}")), [""; 0]);
        assert_eq!(source("{}"), ["spec.source: one of git, blob and registry is needed"]);
        assert_eq!(
            source(&format!("{{ {git}, {blob} }}")),
            ["spec.source: only one of git, blob and registry can be given, not git and blob"]
        );
        assert_eq!(source(r#"{ "blob": { "url": "" } }"#), ["spec.source.blob.url: it is empty"]);
        assert_eq!(
            source(&format!("{{ {git}, \"subPath\": \"../secrets\" }}")),
            ["spec.source.subPath: it stays within the source"]
        );
    }

    #[test]
    fn a_found_source_is_written_and_read() {
        for text in [
            r#"{"git":{"url":"https://git.example.com/app","revision":"1a2b","tree":"3c4d"},"subPath":"web"}"#,
            r#"{"blob":{"url":"https://files.example.com/app.jar","stripComponents":1}}"#,
        ] {
            let read: ResolvedSource = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), text);
        }
    }
}
