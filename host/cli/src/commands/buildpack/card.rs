//! What is said of a buildpack that went somewhere or came from there: by which digests, how large, what it could do and what
//! it asks for.

use std::collections::BTreeMap;

use serde::Serialize;
use stave_engine::component::Description;
use stave_model::{capability::Interface, digest::Digest};
use stave_oci::component::Place;

use super::MAX_LINE;
use crate::{
    args::Output,
    exit::{Exit, GENERAL, one_line, printable},
    ui::{Ui, bytes},
};

/// A buildpack in a registry or a layout.
pub(crate) struct Card<'a> {
    pub(crate) description: &'a Description,
    /// Where it is, by its manifest's digest.
    pub(crate) resolved: &'a Place,
    pub(crate) manifest: Digest,
    pub(crate) annotations: &'a BTreeMap<String, String>,
    /// Whose signatures were verified.
    pub(crate) signer: Option<&'a str>,
}

/// The same for programs.
#[derive(Serialize)]
struct Document<'a> {
    id: &'a str,
    version: String,
    contract: &'a str,
    reference: String,
    manifest: Digest,
    component: Digest,
    size: u64,
    imports: Vec<&'static str>,
    asks: &'a stave_model::capability::Capabilities,
    annotations: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<&'a str>,
}

impl Card<'_> {
    /// Prints it: for people what matters, and the reference by digest as the result; for programs all of it.
    pub(crate) fn show(&self, ui: &Ui, output: Output) -> Result<(), Exit> {
        match output {
            Output::Json => {
                let document = self.document();
                ui.result(&serde_json::to_string_pretty(&document).map_err(|error| Exit::new(GENERAL, error))?);
            }
            Output::Text => {
                ui.say(&self.for_people());
                ui.result(&printable(&self.resolved.to_string()));
            }
        }
        Ok(())
    }

    fn document(&self) -> Document<'_> {
        let manifest = &self.description.manifest;
        Document {
            id: manifest.buildpack.id.as_str(),
            version: manifest.buildpack.version.to_string(),
            contract: &manifest.contract,
            reference: self.resolved.to_string(),
            manifest: self.manifest,
            component: self.description.digest,
            size: self.description.size as u64,
            imports: self.description.interfaces().into_iter().map(Interface::name).collect(),
            asks: &manifest.asks,
            annotations: self.annotations,
            signer: self.signer,
        }
    }

    fn for_people(&self) -> String {
        let Self { description, .. } = self;
        let (manifest, asks) = (&description.manifest, &description.manifest.asks);
        let list = |items: Vec<String>| if items.is_empty() { "nothing".to_owned() } else { items.join(", ") };
        let interfaces = description.interfaces().into_iter().map(|interface| interface.name().to_owned());
        let asked = [
            ("interfaces", asks.interfaces.iter().map(ToString::to_string).collect::<Vec<_>>()),
            ("ecosystems", asks.ecosystems.iter().cloned().collect()),
            ("settings", asks.settings.iter().cloned().collect()),
            ("bindings", asks.bindings.iter().cloned().collect()),
            ("hosts", asks.hosts.iter().cloned().collect()),
        ];
        let asked = asked.into_iter().filter(|(_, items)| !items.is_empty());
        let asked = asked.map(|(what, items)| format!("{what} {}", items.join(", "))).collect::<Vec<_>>();
        let lines = [
            format!("  component  {} ({})", description.digest, bytes(description.size as u64)),
            format!("  contract   {}", manifest.contract),
            format!("  imports    {}", list(interfaces.collect())),
            format!("  asks for   {}", if asked.is_empty() { "nothing".to_owned() } else { asked.join("; ") }),
        ];
        let signed = self.signer.map(|signer| format!("  signed by  {signer}"));
        lines.into_iter().chain(signed).map(|line| one_line(&line, MAX_LINE)).collect::<Vec<_>>().join("\n")
    }
}
