//! The environment of an image that is put on another base: it stays the image's, variable by variable, and where a build on the
//! new base would give another one is said.
//!
//! That is the platform specification's rule: what is rebased is the same image but for its base's layers and what labels say of
//! them. It is also the only safe one: an image's list holds what its old base set, what whoever built it set, and what others
//! added later, and does not say which is which.

use std::{collections::BTreeMap, fmt};

/// What every image that was built has before its base's `PATH`.
const PATH_PREFIX: &str = "/cnb/process:/cnb/lifecycle";
/// How many characters of a name are shown.
const MAX_SHOWN: usize = 200;

/// A variable that a build on the new base would give another value than the image keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its name, its beginning where it is long.
    pub name: String,
    /// What a build would do.
    pub build: Build,
}

/// What a build on the new base would do to a variable of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Build {
    /// Set it otherwise.
    Change,
    /// Set it; the image does not have it.
    Add,
    /// Not set it.
    Drop,
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Change => "would set otherwise",
            Self::Add => "would add",
            Self::Drop => "would not set",
        })
    }
}

/// Where the image's environment is another than that of a build on `base`, by name. What is the platform's own (`CNB_`) has
/// nothing to do with the base.
pub(super) fn kept(app: &[String], base: &[String]) -> Vec<Kept> {
    let (app, base) = (by_name(app), by_name(base));
    let names = app.keys().chain(base.keys().filter(|name| !app.contains_key(*name)));
    let mut kept: Vec<Kept> = names
        .filter_map(|name| {
            let build = match (app.get(name), base.get(name)) {
                (Some(app), Some(base)) if app == base => return None,
                (Some(_), Some(_)) => Build::Change,
                (None, _) => Build::Add,
                // Our part of the PATH is there whatever the base has.
                (Some(app), None) if *name == "PATH" && app.is_empty() => return None,
                (Some(_), None) => Build::Drop,
            };
            Some(Kept { name: name.chars().take(MAX_SHOWN).collect(), build })
        })
        .collect();
    kept.sort_by(|one, other| (one.build, &one.name).cmp(&(other.build, &other.name)));
    kept
}

/// The variables that can come from a base, with the values that it would have there. The first of a name counts, as for
/// [`crate::image::assemble`].
fn by_name(env: &[String]) -> BTreeMap<&str, &str> {
    let mut by_name = BTreeMap::new();
    for (name, value) in
        env.iter().filter_map(|entry| entry.split_once('=')).filter(|(name, _)| !name.starts_with("CNB_"))
    {
        let own =
            value.strip_prefix(PATH_PREFIX).filter(|rest| name == "PATH" && (rest.is_empty() || rest.starts_with(':')));
        by_name.entry(name).or_insert(own.map_or(value, |rest| rest.strip_prefix(':').unwrap_or(rest)));
    }
    by_name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_build_would_give_otherwise_is_said() {
        let ours = "PATH=/cnb/process:/cnb/lifecycle";
        let cases: [(&str, &[&str], &[&str], &str); 13] = [
            ("nothing", &[], &[], ""),
            ("the same", &["TZ=UTC"], &["TZ=UTC"], ""),
            ("another value", &["TZ=UTC"], &["TZ=CET"], "would set otherwise TZ"),
            ("no value", &["TZ=UTC"], &["TZ="], "would set otherwise TZ"),
            ("new in the base", &["A=1"], &["A=1", "LANG=C"], "would add LANG"),
            ("gone from the base, or never of it", &["A=1", "B=1"], &["A=1"], "would not set B"),
            (
                "all three, by name",
                &["Z=1", "C=1", "B=1"],
                &["Z=2", "D=1", "B=2"],
                "would set otherwise B, would set otherwise Z, would add D, would not set C",
            ),
            (
                "the platform's own",
                &["CNB_PLATFORM_API=0.14", "CNB_EXEC_ENV=test"],
                &["CNB_STACK_ID=x", "CNB_EXEC_ENV=dev"],
                "",
            ),
            ("the base's PATH is the end of ours", &["PATH=/cnb/process:/cnb/lifecycle:/bin"], &["PATH=/bin"], ""),
            (
                "a shorter PATH with the same end",
                &["PATH=/cnb/process:/cnb/lifecycle:/usr/bin:/bin"],
                &["PATH=/bin"],
                "would set otherwise PATH",
            ),
            ("no PATH in either base", &[ours], &[], ""),
            ("an empty PATH in the base", &[ours], &["PATH="], ""),
            ("no assignment", &["A", "TZ=UTC"], &["B", "TZ=UTC"], ""),
        ];
        for (what, app, base, expected) in cases {
            let owned = |env: &[&str]| env.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>();
            let kept = kept(&owned(app), &owned(base));
            let said: Vec<String> = kept.iter().map(|kept| format!("{} {}", kept.build, kept.name)).collect();
            assert_eq!(said.join(", "), expected, "{what}");
        }
    }
}
