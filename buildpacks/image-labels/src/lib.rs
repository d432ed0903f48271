//! The labels buildpack: labels of the image from the settings `BP_IMAGE_LABELS` and `BP_OCI_…`.
//!
//! What the settings mean is decided in `labels`, which never asks the host; this file asks it.

mod labels;

use stave_sdk::{Buildpack, Failure, Report, Requirement, Verdict, context, log};

/// Pairs of key and value.
const PAIRS_SETTING: &str = "BP_IMAGE_LABELS";
/// How the names of settings begin that are for one label each.
const PREFIX: &str = "BP_OCI_";

/// The buildpack.
#[derive(Debug)]
pub struct ImageLabels;

impl Buildpack for ImageLabels {
    fn detect() -> Result<Verdict, Failure> {
        let is_given = context::setting(PAIRS_SETTING)?.is_some() || !context::settings(PREFIX)?.is_empty();
        Ok(if is_given {
            Verdict::pass()
        } else {
            Verdict::skip(format!("no {PAIRS_SETTING}, and no setting begins with {PREFIX}"))
        })
    }

    fn build(_: &[Requirement]) -> Result<Report, Failure> {
        let (of_settings, unknown) = labels::of_settings(&context::settings(PREFIX)?);
        for setting in unknown {
            log::warning(&labels::unknown(&setting));
        }
        let pairs = context::setting(PAIRS_SETTING)?;
        let labels = labels::join(of_settings, labels::of_pairs(pairs.as_deref().unwrap_or_default())?);
        for (key, _) in &labels {
            log::info(&format!("label {}", key.escape_debug()));
        }
        Ok(Report { labels, ..Report::default() })
    }
}

stave_sdk::export!(ImageLabels);
