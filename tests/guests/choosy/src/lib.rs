//! A buildpack that answers detect as its setting says, so that an order of many can be tried out. Tests give the one
//! component many manifests; each asks for one of the settings `NAMES`, which is how it knows who it is.
//!
//! | Setting | Answer |
//! |---|---|
//! | none | pass |
//! | `no: TEXT` | skip, because TEXT |
//! | `broken: TEXT` | failure, because TEXT |
//! | `+x -y / +z` | pass in two ways: x is provided and y required, or z is provided |

use stave_sdk::{Alternative, Buildpack, Failure, Report, Requirement, Verdict, context};

/// The settings that a manifest may ask for one of.
const NAMES: [&str; 6] = ["BP_CHOOSY_A", "BP_CHOOSY_B", "BP_CHOOSY_C", "BP_CHOOSY_D", "BP_CHOOSY_E", "BP_CHOOSY_F"];

/// Answers.
pub struct Choosy;

impl Buildpack for Choosy {
    fn detect() -> Result<Verdict, Failure> {
        // Who does not ask for a setting is denied it.
        let text = NAMES.iter().find_map(|name| context::setting(name).ok().flatten()).unwrap_or_default();
        match text.split_once(": ") {
            Some(("no", reason)) => Ok(Verdict::skip(reason)),
            Some(("broken", reason)) => Err(Failure::app(reason)),
            _ if text.is_empty() => Ok(Verdict::pass()),
            _ => Ok(Verdict::Pass(text.split('/').map(way).collect())),
        }
    }

    fn build(_: &[Requirement]) -> Result<Report, Failure> {
        Ok(Report::default())
    }
}

/// `+x` provides x, `-x` requires x.
fn way(text: &str) -> Alternative {
    let names = |sign: char| text.split_whitespace().filter_map(move |word| word.strip_prefix(sign));
    Alternative {
        provides: names('+').map(str::to_owned).collect(),
        requires: names('-').map(|name| Requirement::new(name).with("version", "1")).collect(),
    }
}

stave_sdk::export!(Choosy);
