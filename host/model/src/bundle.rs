//! What is in a bundle: the one file that carries a builder, its stack, its components and what they depend on into a place
//! without a network. And which dependencies go along, because they can be large.

use std::{collections::BTreeSet, fmt, str::FromStr};

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{
    builder::pinned::PinnedImage,
    dependency::{Artifact, Dependency, PackageUrl},
    digest::Digest,
    target::Platform,
};

/// The version of this format.
pub const FORMAT: u32 = 1;
/// The most dependencies that a bundle names.
pub const MAX_DEPENDENCIES: usize = 4096;
/// The most images of a stack.
const MAX_IMAGES: usize = 32;
/// The longest name of a builder, in bytes.
const MAX_NAME: usize = 512;

/// The document of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Bundle {
    /// The version of the format: [`FORMAT`].
    pub format: u32,
    /// The builder.
    pub builder: BundledBuilder,
    /// The images of its stack that are in the bundle.
    pub stack: Vec<PinnedImage>,
    /// The dependencies whose files are in the bundle.
    pub dependencies: Vec<Declared>,
    /// Those that its buildpacks could ask for, and that were left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<Declared>,
}

/// The builder of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundledBuilder {
    /// Its name.
    pub name: String,
    /// The digest of its artefact.
    pub digest: Digest,
}

/// One file that a buildpack may bring into an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declared {
    /// What the buildpack asks by.
    pub id: String,
    /// Its version.
    pub version: Version,
    /// The platform that the file is for; none when it serves all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The digest of the file.
    pub digest: Digest,
    /// Where it comes from.
    pub purl: PackageUrl,
    /// Whose it is, as `id@version`.
    pub buildpack: String,
}

impl Declared {
    /// `id version`, and the platform where there is one.
    pub fn title(&self) -> String {
        let platform = self.platform.as_ref().map(|platform| format!(" for {platform}")).unwrap_or_default();
        format!("{} {}{platform}", self.id, self.version)
    }
}

/// Why a document is not a bundle's.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It is of another shape.
    #[error("it does not follow the format of bundles")]
    Format(#[source] serde_json::Error),
    /// It is of a later version.
    #[error("it is written in format {0}, and this version of stave reads {FORMAT}")]
    Version(u64),
    /// It breaks a rule.
    #[error("{0}")]
    Rule(&'static str),
}

impl Bundle {
    /// Reads a document; whoever calls has capped it.
    pub fn read(document: serde_json::Value) -> Result<Self, BundleError> {
        match document.get("format").and_then(serde_json::Value::as_u64) {
            Some(format) if format != u64::from(FORMAT) => return Err(BundleError::Version(format)),
            _ => {}
        }
        let bundle: Self = serde_json::from_value(document).map_err(BundleError::Format)?;
        bundle.check().map_err(BundleError::Rule)?;
        Ok(bundle)
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.builder.name.is_empty() || self.builder.name.len() > MAX_NAME {
            return Err("its builder has no name, or one of more than 512 bytes");
        }
        if self.stack.is_empty() || self.stack.len() > MAX_IMAGES {
            return Err("it has no image of a stack, or more than 32");
        }
        if self.dependencies.len() > MAX_DEPENDENCIES || self.left_out.len() > MAX_DEPENDENCIES {
            return Err("it names more than 4096 dependencies");
        }
        Ok(())
    }

    /// The bytes of the document. Equal bundles give equal bytes.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("names, numbers and digests are always JSON")
    }

    /// The digests of the dependencies' files, each once.
    pub fn files(&self) -> BTreeSet<Digest> {
        self.dependencies.iter().map(|declared| declared.digest).collect()
    }
}

/// A dependency as a person names it: `ID` for all versions of it, or `ID@VERSION`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    id: String,
    version: Option<Version>,
}

/// A text that names no dependency.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not ID or ID@VERSION, such as jre or jre@21.0.8", .0.escape_debug())]
pub struct InvalidSelector(String);

impl FromStr for Selector {
    type Err = InvalidSelector;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidSelector(text.chars().take(100).collect());
        let (id, version) = match text.split_once('@') {
            Some((id, version)) => (id, Some(version.parse().map_err(|_| invalid())?)),
            None => (text, None),
        };
        if id.is_empty() { Err(invalid()) } else { Ok(Self { id: id.to_owned(), version }) }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        self.version.iter().try_for_each(|version| write!(f, "@{version}"))
    }
}

impl Selector {
    fn means(&self, dependency: &Dependency) -> bool {
        self.id == dependency.id && self.version.as_ref().is_none_or(|version| *version == dependency.version)
    }
}

/// Which dependencies go along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All that a buildpack could ask for.
    All,
    /// None.
    None,
    /// These.
    Only(Vec<Selector>),
}

/// What goes along and what does not, each sorted.
#[derive(Debug, PartialEq)]
pub struct Choice<'a> {
    /// What goes along, and how to get it.
    pub along: Vec<(Declared, &'a Dependency, &'a Artifact)>,
    /// What does not.
    pub left_out: Vec<Declared>,
}

/// Why there is no choice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoChoice {
    /// Nobody has what was named.
    #[error("no buildpack of the builder depends on `{}` for these platforms", .0.to_string().escape_debug())]
    Unmatched(Selector, Vec<String>),
    /// There are too many.
    #[error("the builder's buildpacks have {0} dependencies, more than the {MAX_DEPENDENCIES} of a bundle")]
    TooMany(usize),
}

impl NoChoice {
    /// What a person can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Unmatched(_, there) if there.is_empty() => "they have no dependencies at all".to_owned(),
            Self::Unmatched(_, there) => format!("there are {}", there.join(", ")),
            Self::TooMany(_) => "name those that are needed with --dependency".to_owned(),
        }
    }
}

/// Decides which files go along: of every dependency that a buildpack declares, the one that a build for each of the platforms
/// would ask for. `buildpacks` are titles with what each declares.
pub fn choose<'a>(
    buildpacks: impl IntoIterator<Item = (String, &'a [Dependency])>,
    platforms: &[Platform],
    wanted: &Wanted,
) -> Result<Choice<'a>, NoChoice> {
    let mut all = Vec::new();
    for (buildpack, dependencies) in buildpacks {
        for dependency in dependencies {
            let artifacts = platforms.iter().filter_map(|platform| dependency.artifact_for(platform));
            all.extend(artifacts.map(|artifact| (declared(&buildpack, dependency, artifact), dependency, artifact)));
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all.dedup_by(|a, b| a.0 == b.0);
    if all.len() > MAX_DEPENDENCIES {
        return Err(NoChoice::TooMany(all.len()));
    }
    if let Wanted::Only(selectors) = wanted
        && let Some(unmatched) = selectors.iter().find(|one| !all.iter().any(|(_, there, _)| one.means(there)))
    {
        let mut there: Vec<String> = all.iter().map(|(_, of, _)| format!("{}@{}", of.id, of.version)).collect();
        there.dedup();
        return Err(NoChoice::Unmatched(unmatched.clone(), there));
    }
    let goes = |dependency: &Dependency| match wanted {
        Wanted::All => true,
        Wanted::None => false,
        Wanted::Only(selectors) => selectors.iter().any(|selector| selector.means(dependency)),
    };
    let (along, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, dependency, _)| goes(dependency));
    Ok(Choice { along, left_out: rest.into_iter().map(|(declared, ..)| declared).collect() })
}

fn declared(buildpack: &str, dependency: &Dependency, artifact: &Artifact) -> Declared {
    Declared {
        id: dependency.id.clone(),
        version: dependency.version.clone(),
        platform: artifact.platform.clone(),
        digest: artifact.sha256,
        purl: artifact.purl.clone(),
        buildpack: buildpack.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn dependency(id: &str, version: &str, platforms: &[Option<&str>]) -> Dependency {
        let artifact = |platform: Option<&str>| {
            let name = format!("{id}-{version}-{}", platform.unwrap_or("any"));
            Artifact {
                platform: platform.map(|platform| platform.parse().unwrap()),
                purl: format!("pkg:generic/{id}@{version}").parse().unwrap(),
                sha256: Digest::of(name.as_bytes()),
            }
        };
        Dependency {
            id: id.to_owned(),
            version: version.parse().unwrap(),
            name: id.to_owned(),
            licenses: Vec::new(),
            eol: None,
            artifacts: platforms.iter().copied().map(artifact).collect(),
        }
    }

    fn declared_by_two() -> [(String, Vec<Dependency>); 2] {
        let both = [Some("linux/amd64"), Some("linux/arm64")];
        [
            (
                "b/java@1.0.0".to_owned(),
                vec![dependency("jre", "21.0.8", &both), dependency("jre", "17.0.9", &both[..1])],
            ),
            ("a/tool@1.0.0".to_owned(), vec![dependency("tool", "1.0.0", &[None])]),
        ]
    }

    /// Titles of what goes along, and of what does not.
    fn chosen(platforms: &[&str], wanted: &Wanted) -> (Vec<String>, Vec<String>) {
        let declared = declared_by_two();
        let platforms: Vec<Platform> = platforms.iter().map(|platform| platform.parse().unwrap()).collect();
        let buildpacks = declared.iter().map(|(title, dependencies)| (title.clone(), dependencies.as_slice()));
        let choice = choose(buildpacks, &platforms, wanted).unwrap();
        let along = choice.along.iter().map(|(declared, ..)| declared.title()).collect();
        (along, choice.left_out.iter().map(Declared::title).collect())
    }

    fn only(selectors: &[&str]) -> Wanted {
        Wanted::Only(selectors.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn what_a_build_could_ask_for_goes_along() {
        let all =
            ["jre 17.0.9 for linux/amd64", "jre 21.0.8 for linux/amd64", "jre 21.0.8 for linux/arm64", "tool 1.0.0"];
        let (amd64, arm64) = ("linux/amd64", "linux/arm64");
        assert_eq!(chosen(&[amd64, arm64], &Wanted::All), (all.map(str::to_owned).into(), vec![]));
        assert_eq!(chosen(&[arm64], &Wanted::All).0, all[2..]);
        assert_eq!(chosen(&[amd64, arm64], &Wanted::None), (vec![], all.map(str::to_owned).into()));
        let (along, left_out) = chosen(&[amd64], &only(&["jre@21.0.8"]));
        assert_eq!((along, left_out), (vec![all[1].to_owned()], vec![all[0].to_owned(), all[3].to_owned()]));
        assert_eq!(chosen(&[amd64], &only(&["jre", "tool@1.0.0"])).1, Vec::<String>::new());
    }

    #[test]
    fn what_nobody_has_is_said() {
        let declared = declared_by_two();
        let buildpacks = || declared.iter().map(|(title, dependencies)| (title.clone(), dependencies.as_slice()));
        let told = |platform: &str, wanted: &Wanted| {
            let error = choose(buildpacks(), &[platform.parse().unwrap()], wanted).unwrap_err();
            format!("{error} ({})", error.hint())
        };
        let all = [
            told("linux/arm64", &only(&["jre", "jre@17.0.9"])),
            told("linux/riscv64", &only(&["node"])),
            choose([], &[], &only(&["node"])).unwrap_err().hint(),
            "@1".parse::<Selector>().unwrap_err().to_string(),
            "jre@new".parse::<Selector>().unwrap_err().to_string(),
        ];
        insta::assert_snapshot!(all.join("\n"), @r"
        no buildpack of the builder depends on `jre@17.0.9` for these platforms (there are jre@21.0.8, tool@1.0.0)
        no buildpack of the builder depends on `node` for these platforms (there are tool@1.0.0)
        they have no dependencies at all
        `@1` is not ID or ID@VERSION, such as jre or jre@21.0.8
        `jre@new` is not ID or ID@VERSION, such as jre or jre@21.0.8
        ");
    }

    fn document() -> serde_json::Value {
        json!({
            "format": 1,
            "builder": { "name": "acme/tools:1", "digest": Digest::of(b"builder") },
            "stack": [{ "platform": "linux/amd64", "digest": Digest::of(b"base") }],
            "dependencies": [{
                "id": "jre", "version": "21.0.8", "platform": "linux/amd64", "digest": Digest::of(b"jre"),
                "purl": "pkg:generic/jre@21.0.8", "buildpack": "acme/java@1.0.0",
            }],
        })
    }

    #[test]
    fn what_is_written_is_read_again() {
        let bundle = Bundle::read(document()).unwrap();
        let again = Bundle::read(serde_json::from_slice(&bundle.to_json()).unwrap()).unwrap();
        assert_eq!((again.to_json(), &again), (bundle.to_json(), &bundle));
        assert_eq!(bundle.files(), [Digest::of(b"jre")].into());
    }

    #[test]
    fn says_why_it_refuses() {
        let refused = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut document = document();
            change(&mut document);
            Bundle::read(document).unwrap_err().to_string()
        };
        let many = |document: &mut serde_json::Value, list: &str, count: usize| {
            let one = document[list][0].clone();
            document[list] = std::iter::repeat_n(one, count).collect();
        };
        let all = [
            refused(&|document| document["format"] = json!(7)),
            refused(&|document| document["root"] = json!(true)),
            refused(&|document| document["builder"]["name"] = json!("")),
            refused(&|document| many(document, "stack", 33)),
            refused(&|document| document["stack"] = json!([])),
            refused(&|document| many(document, "dependencies", 4097)),
        ];
        insta::assert_snapshot!(all.join("\n"), @r"
        it is written in format 7, and this version of stave reads 1
        it does not follow the format of bundles
        its builder has no name, or one of more than 512 bytes
        it has no image of a stack, or more than 32
        it has no image of a stack, or more than 32
        it names more than 4096 dependencies
        ");
    }
}
