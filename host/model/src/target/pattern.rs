//! `[[targets]]` of a manifest: what a buildpack builds for (buildpack specification, "Targets").

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Distro, Platform, Target, is_word};

/// How many patterns an explanation names.
const MAX_NAMED: usize = 6;
/// How many characters of a base's own words an explanation shows.
const MAX_SHOWN: usize = 60;

/// One of `[[targets]]`. Whatever is not said may be anything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct TargetPattern {
    /// Operating system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// Architecture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// Architecture variant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Distributions of the base; when there are some, the base's must be one of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub distros: Vec<DistroPattern>,
}

/// One of `[[targets.distros]]`. What is left empty may be anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DistroPattern {
    /// `ID` of `/etc/os-release`.
    #[serde(default)]
    pub name: String,
    /// `VERSION_ID`.
    #[serde(default)]
    pub version: String,
}

/// A target as people write it: `platform = "linux/amd64"` for short, or the words of the specification. The lifecycle reads
/// `arch-variant` where the specification says `variant`, so both are taken.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    platform: Option<Platform>,
    #[serde(default)]
    os: String,
    #[serde(default)]
    arch: String,
    #[serde(default, alias = "arch-variant")]
    variant: String,
    #[serde(default)]
    distros: Vec<DistroPattern>,
}

/// A target that is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// The same said in two ways.
    #[error("a target has either `platform`, or `os`, `arch` and `variant`")]
    Twice,
    /// Not a word.
    #[error("`{}` is not part of a target: use letters and digits, at most 32", .0.escape_debug())]
    Word(String),
}

impl TryFrom<Written> for TargetPattern {
    type Error = InvalidTarget;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let Written { platform, os, arch, variant, distros } = written;
        if let Some(Platform { os: system, arch: processor, variant: kind }) = platform {
            if ![os, arch, variant].iter().all(String::is_empty) {
                return Err(InvalidTarget::Twice);
            }
            return Ok(Self { os: Some(system), arch: Some(processor), variant: kind, distros });
        }
        let part = |text: String| match text.as_str() {
            "" => Ok(None),
            word if is_word(word) => Ok(Some(text)),
            other => Err(InvalidTarget::Word(other.chars().take(100).collect())),
        };
        Ok(Self { os: part(os)?, arch: part(arch)?, variant: part(variant)?, distros })
    }
}

impl TargetPattern {
    fn fits_platform(&self, platform: &Platform) -> bool {
        let fits = |ours: Option<&String>, theirs: &String| ours.is_none_or(|ours| ours == theirs);
        fits(self.os.as_ref(), &platform.os)
            && fits(self.arch.as_ref(), &platform.arch)
            && platform.variant.as_ref().is_none_or(|variant| fits(self.variant.as_ref(), variant))
    }

    fn fits_distro(&self, distro: Option<&Distro>) -> bool {
        let is_one = |pattern: &DistroPattern| distro.is_some_and(|distro| pattern.fits(distro));
        self.distros.is_empty() || self.distros.iter().any(is_one)
    }
}

impl DistroPattern {
    fn fits(&self, distro: &Distro) -> bool {
        let fits = |ours: &str, theirs: &str| ours.is_empty() || theirs.is_empty() || ours == theirs;
        fits(&self.name, &distro.name) && fits(&self.version, &distro.version)
    }
}

impl fmt::Display for TargetPattern {
    /// The platform, with a star for what may be anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |part: &Option<String>| part.clone().unwrap_or_else(|| "*".to_owned());
        write!(f, "{}/{}", word(&self.os), word(&self.arch))?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

impl fmt::Display for DistroPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [if self.name.is_empty() { "any distribution" } else { &self.name }, &self.version];
        f.write_str(words.map(shown).join(" ").trim_end())
    }
}

/// What of a target a buildpack does not build for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// The platform.
    #[error("it builds for {}, not for {platform}", named(.patterns))]
    Platform {
        /// The target's.
        platform: Platform,
        /// Those that it builds for.
        patterns: Vec<String>,
    },
    /// The distribution of the base.
    #[error("on {platform} it builds for {}, and {}", named(.patterns), found(.distro.as_ref()))]
    Distro {
        /// The target's platform, which fits.
        platform: Platform,
        /// The base's.
        distro: Option<Distro>,
        /// Those that it builds for.
        patterns: Vec<String>,
    },
}

/// Whether something that names these targets can be used for `target`; no patterns are any target.
pub fn check(patterns: &[TargetPattern], target: &Target) -> Result<(), Misfit> {
    let Target { platform, distro } = target;
    let mut near = patterns.iter().filter(|pattern| pattern.fits_platform(platform)).peekable();
    if patterns.is_empty() || near.clone().any(|pattern| pattern.fits_distro(distro.as_ref())) {
        return Ok(());
    }
    let platform = platform.clone();
    if near.peek().is_none() {
        return Err(Misfit::Platform { platform, patterns: texts(patterns) });
    }
    Err(Misfit::Distro { platform, distro: distro.clone(), patterns: texts(near.flat_map(|near| &near.distros)) })
}

/// Each text once, in the order in which they come.
fn texts<'a, T: fmt::Display + 'a>(all: impl IntoIterator<Item = &'a T>) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for text in all.into_iter().map(ToString::to_string) {
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts
}

fn named(texts: &[String]) -> String {
    let more = texts.len().saturating_sub(MAX_NAMED);
    let named = texts.iter().take(MAX_NAMED).cloned();
    let rest = (more > 0).then(|| format!("{more} more"));
    let mut all: Vec<String> = named.chain(rest).collect();
    let last = all.pop().unwrap_or_default();
    if all.is_empty() { last } else { format!("{} and {last}", all.join(", ")) }
}

fn found(distro: Option<&Distro>) -> String {
    let is = |distro: &Distro| {
        format!("the base is {}", [distro.name.as_str(), &distro.version].map(shown).join(" ").trim_end())
    };
    distro.map_or_else(|| "the base does not say which distribution it is".to_owned(), is)
}

fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect::<String>().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, Serialize)]
    struct File {
        #[serde(default)]
        targets: Vec<TargetPattern>,
    }

    fn read(text: &str) -> Vec<TargetPattern> {
        toml::from_str::<File>(text).unwrap().targets
    }

    /// `linux/amd64 debian 12`.
    fn target(text: &str) -> Target {
        let words: Vec<&str> = text.split(' ').collect();
        let version = words.get(2).copied().unwrap_or_default().to_owned();
        let distro = words.get(1).map(|name| Distro { name: (*name).to_owned(), version });
        Target { platform: words[0].parse().unwrap(), distro }
    }

    #[test]
    fn a_target_is_matched_where_both_sides_say_something() {
        let amd64 = "targets = [{ platform = \"linux/amd64\" }]";
        let linux = "targets = [{ os = \"linux\" }]";
        let v8 = "targets = [{ os = \"linux\", arch = \"arm64\", variant = \"v8\" }]";
        let v7 = "targets = [{ os = \"linux\", arch = \"arm\", arch-variant = \"v7\" }]";
        let debian = "targets = [{ platform = \"linux/amd64\", distros = [{ name = \"debian\", version = \"12\" }] }]";
        let any_debian =
            "targets = [{ distros = [{ name = \"debian\" }, { name = \"ubuntu\", version = \"24.04\" }] }]";
        let either = "[[targets]]\nos = \"linux\"\narch = \"amd64\"\n[[targets.distros]]\nname = \"debian\"\n\
            [[targets]]\nplatform = \"linux/arm64\"\n[[targets.distros]]\nname = \"ubuntu\"\nversion = \"\"";
        for (patterns, wanted, expected) in [
            ("", "linux/amd64", ""),
            ("", "windows/arm64 x", ""),
            (amd64, "linux/amd64 debian 12", ""),
            (amd64, "linux/amd64", ""),
            (amd64, "linux/arm64", "it builds for linux/amd64, not for linux/arm64"),
            (amd64, "windows/amd64", "it builds for linux/amd64, not for windows/amd64"),
            (linux, "linux/s390x", ""),
            (linux, "windows/amd64", "it builds for linux/*, not for windows/amd64"),
            (v8, "linux/arm64", ""),
            (v8, "linux/arm64/v8", ""),
            (v8, "linux/arm64/v9", "it builds for linux/arm64/v8, not for linux/arm64/v9"),
            (v7, "linux/arm/v6", "it builds for linux/arm/v7, not for linux/arm/v6"),
            (debian, "linux/amd64 debian 12", ""),
            (debian, "linux/amd64 debian 13", "on linux/amd64 it builds for debian 12, and the base is debian 13"),
            (debian, "linux/amd64 debian", ""),
            (debian, "linux/amd64 ubuntu", "on linux/amd64 it builds for debian 12, and the base is ubuntu"),
            (debian, "linux/arm64 debian 12", "it builds for linux/amd64, not for linux/arm64"),
            (
                debian,
                "linux/amd64",
                "on linux/amd64 it builds for debian 12, and the base does not say which distribution it is",
            ),
            (any_debian, "linux/riscv64 debian 13", ""),
            (any_debian, "linux/amd64 ubuntu 24.04", ""),
            (
                any_debian,
                "linux/amd64 ubuntu 22.04",
                "on linux/amd64 it builds for debian and ubuntu 24.04, and the base is ubuntu 22.04",
            ),
            (either, "linux/amd64 debian 12", ""),
            (either, "linux/arm64 ubuntu 24.04", ""),
            (either, "linux/arm64 debian 12", "on linux/arm64 it builds for ubuntu, and the base is debian 12"),
        ] {
            let said = check(&read(patterns), &target(wanted)).err().map(|misfit| misfit.to_string());
            assert_eq!(said.unwrap_or_default(), expected, "{patterns} {wanted}");
        }
    }

    #[test]
    fn an_explanation_names_a_few() {
        let all: Vec<TargetPattern> =
            (0..9).map(|n| TargetPattern { arch: Some(format!("a{n}")), ..Default::default() }).collect();
        assert_eq!(
            check(&all, &target("linux/amd64")).unwrap_err().to_string(),
            "it builds for */a0, */a1, */a2, */a3, */a4, */a5 and 3 more, not for linux/amd64"
        );
        let debian = read("targets = [{ distros = [{ name = \"debian\" }] }]");
        let distro = Some(Distro { name: "x".repeat(1000), version: "\u{1b}[2J".to_owned() });
        let said = check(&debian, &Target { distro, ..target("linux/amd64") }).unwrap_err().to_string();
        let expected = format!("the base is {} \\u{{1b}}[2J", "x".repeat(60));
        assert!(said.ends_with(&expected), "{said}");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let text = "targets = [{ os = \"linux\", variant = \"v8\", distros = [{ name = \"debian\" }] }, { platform = \"linux/amd64\" }]";
        let targets = read(text);
        assert_eq!(targets[1].to_string(), "linux/amd64");
        let again = toml::to_string(&File { targets: targets.clone() }).unwrap();
        assert_eq!(read(&again), targets);
    }

    #[test]
    fn what_is_not_a_target_is_refused() {
        for (text, expected) in [
            ("{ platform = \"linux/amd64\", arch = \"arm64\" }", "a target has either `platform`"),
            ("{ os = \"lin ux\" }", "`lin ux` is not part of a target"),
            ("{ architecture = \"amd64\" }", "unknown field `architecture`"),
            ("{ platform = \"linux\" }", "`linux` is not a platform"),
        ] {
            let error = toml::from_str::<File>(&format!("targets = [{text}]")).err().unwrap().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
