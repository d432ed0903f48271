//! The Java buildpack: executable jars and Spring Boot jars, given as a file in a folder or exploded.
//!
//! Detect finds the program (`program`) and says which Java it wants; build brings that Java (`runtime`) and says how
//! the program is started (`start`). The host is asked in `program::gather`, `runtime` and `build`; all that is decided
//! is decided by functions that never ask, and is tested without a host.

mod build;
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
    /// A setting that the manifest does not ask for would be denied when it is read.
    #[test]
    fn the_manifest_asks_for_every_setting_that_is_read() {
        let manifest = include_str!("../buildpack.toml");
        let read = [crate::detect::VERSION_SETTING, crate::detect::LOCATION_SETTING, crate::runtime::TYPE_SETTING];
        for name in read.iter().chain(&crate::build::WITHOUT_EFFECT) {
            assert!(manifest.contains(&format!("\"{name}\",")), "{name}");
        }
    }
}
