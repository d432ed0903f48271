//! The certificates buildpack: certificates of service bindings at build, in the image for the app to trust.
//!
//! The launcher gives them to the app, together with those of bindings of the running container: only there it is known
//! which certificates the image has already. What is decided is decided in `certificates`, which never asks the host.

mod certificates;

use stave_sdk::{
    Buildpack, Failure, Report, Requirement, Verdict, context,
    layers::{self, EnvScope, Usage},
    log,
    services::{self, Binding},
};

/// The type of the bindings.
const KIND: &str = "ca-certificates";
/// Whether certificates at build are to be in the image.
const EMBED_SETTING: &str = "BP_EMBED_CERTS";
/// Where the launcher looks for folders of certificates.
const VARIABLE: &str = "STAVE_CA_CERTIFICATES";
/// The folder in the layer.
const FOLDER: &str = "certificates";

/// The buildpack.
#[derive(Debug)]
pub struct CaCertificates;

impl Buildpack for CaCertificates {
    fn detect() -> Result<Verdict, Failure> {
        Ok(if !certificates::is_on(EMBED_SETTING, context::setting(EMBED_SETTING)?.as_deref())? {
            Verdict::skip(format!("{EMBED_SETTING} is not true"))
        } else if services::find(KIND)?.is_empty() {
            Verdict::skip(format!("{EMBED_SETTING} is set, and no binding is of the type {KIND}"))
        } else {
            Verdict::pass()
        })
    }

    fn build(_: &[Requirement]) -> Result<Report, Failure> {
        let layer = layers::create(FOLDER, Usage::LAUNCH)?;
        let mut count = 0;
        for binding in services::find(KIND)? {
            for key in &binding.keys {
                let Some(text) = certificate(&binding, key)? else { continue };
                count += 1;
                layer.write_file(&certificates::path(FOLDER, count, &binding.name, key), &text, false)?;
            }
        }
        layer.append_env(&EnvScope::Launch, VARIABLE, &format!("{}/{FOLDER}", layer.path()), ":")?;
        log::info(&format!("{count} files of certificates"));
        Ok(Report::default())
    }
}

/// An entry that holds certificates.
fn certificate(binding: &Binding, key: &str) -> Result<Option<Vec<u8>>, Failure> {
    let text = binding.read(key)?.filter(|text| certificates::is_certificate(text));
    if text.is_none() {
        log::warning(&format!("{key} of the binding {} holds no certificate", binding.name));
    }
    Ok(text)
}

stave_sdk::export!(CaCertificates);
