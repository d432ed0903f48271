//! The Java buildpack: executable jars and Spring Boot jars, given as a file in a folder or exploded.
//!
//! Detect finds the program (`program`) and says which Java it wants; build brings that Java (`runtime`) and says how
//! the program is started (`start`). The host is asked in `program::gather`, `runtime` and `build`; all that is decided
//! is decided by functions that never ask, and is tested without a host.

mod build;
mod classes;
mod detect;
mod jar_manifest;
mod layers_index;
mod messages;
mod program;
mod runtime;
mod start;
mod version;

use stave_sdk::{Buildpack, Failure, Report, Requirement, Verdict};

/// The buildpack.
#[derive(Debug)]
pub struct Java;

impl Buildpack for Java {
    fn detect() -> Result<Verdict, Failure> {
        detect::run()
    }

    fn build(requirements: &[Requirement]) -> Result<Report, Failure> {
        build::run(requirements)
    }
}

stave_sdk::export!(Java);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// What stands in double quotes in `text` and begins with `BP_`.
    fn settings(text: &str) -> BTreeSet<&str> {
        text.split('"').filter(|word| word.starts_with("BP_") && !word.contains(' ')).collect()
    }

    /// A setting that the manifest does not ask for would be denied when it is read, and one that the page does not name is
    /// not found.
    #[test]
    fn every_setting_is_asked_for_and_documented() {
        let manifest = settings(include_str!("../buildpack.toml"));
        let sources = [include_str!("detect.rs"), include_str!("build.rs"), include_str!("runtime.rs")];
        let code = |source: &'static str| settings(source.split("#[cfg(test)]").next().unwrap_or_default());
        let read: BTreeSet<&str> = sources.into_iter().flat_map(code).collect();
        assert_eq!(read, manifest);
        let rows = include_str!("../README.md").lines().filter_map(|line| line.strip_prefix("| `BP_"));
        let mut documented = BTreeSet::new();
        for row in rows {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            assert!(cells.len() == 4 && cells[1..3].iter().all(|cell| !cell.is_empty()), "BP_{row}");
            documented.insert(format!("BP_{}", cells[0].trim_end_matches('`')));
        }
        assert_eq!(documented, read.iter().map(|name| (*name).to_owned()).collect());
    }
}
