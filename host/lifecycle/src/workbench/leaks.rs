//! That no value of a service binding gets into what is made: into an image, which everybody with the image can read, or into
//! what is kept for later builds.
//!
//! This is a net for mistakes. A buildpack that means to smuggle a secret out can write it backwards; it is given what it is
//! granted and nothing else. What stands in an app, or in an archive that was fetched, is no secret of a binding and not looked
//! into: the files that a buildpack writes itself are.

use std::borrow::Cow;

use stave_archive::tree::{Node, TreePath};
use stave_model::{binding::search::Search, launch::Launch, plan::Alternative, sbom::Component};

use super::{DraftLayer, State, Workbench, bindings::Read, short};
use crate::port::buildpack::{Report, RunError, Verdict};

/// Who reads images, and what is kept beside them.
const EVERYBODY: &str = "everybody with the image";
const LATER: &str = "every later build of the image";
const OTHERS: &str = "the other buildpacks";

/// A text, and where it would be seen.
type Seen<'a> = (String, Cow<'a, str>, &'static str);

impl Workbench {
    /// What build answers, unless it would put a secret where others can read it.
    pub(crate) fn discreet_report(&self, report: Report) -> Result<Report, RunError> {
        let state = self.state();
        if state.secrets.is_empty() {
            return Ok(report);
        }
        let mut texts = of_report(&report);
        state.layers.iter().for_each(|layer| texts.extend(of_layer(layer)));
        match state.leak(texts).or_else(|| state.leak_in_files()) {
            Some(leak) => Err(leak),
            None => Ok(report),
        }
    }

    /// What detect passes with goes to other buildpacks, which may not be granted the binding.
    pub(super) fn no_leak_in_plan(&self, verdict: Verdict) -> Result<Verdict, RunError> {
        let state = self.state();
        let Verdict::Pass(alternatives) = &verdict else { return Ok(verdict) };
        let texts = alternatives.iter().flat_map(of_alternative).collect();
        match state.leak(texts) {
            Some(leak) => Err(leak),
            None => Ok(verdict),
        }
    }
}

impl State {
    /// The first text that holds a secret, or a line of one.
    fn leak(&self, texts: Vec<Seen<'_>>) -> Option<RunError> {
        texts.into_iter().find_map(|(place, text, reader)| {
            let secret = self.secrets.iter().find(|secret| !secret.is_public && secret.value.is_in(&text))?;
            Some(RunError::Leak { place, secret: secret.name.clone(), reader })
        })
    }

    /// The first file that the buildpack wrote and that holds a secret: in a layer that is kept, or over the app. A layer that is
    /// for this build alone is written nowhere.
    fn leak_in_files(&self) -> Option<RunError> {
        let secrets: Vec<&Read> = self.secrets.iter().filter(|secret| !secret.is_public).collect();
        let search = Search::new(secrets.iter().map(|secret| &secret.value));
        let in_layers = self.layers.iter().filter(|layer| layer.usage.launch || layer.usage.cache).find_map(|layer| {
            let (place, secret) = among(layer.tree.iter(), &search)?;
            Some((format!("{place} of the layer `{}`", layer.name), secret, reader_of(layer)))
        });
        let in_app = || {
            // What was in the app before is the app's own business.
            let written = self.overlaid.iter().filter_map(|path| Some((path, self.app.get(path.as_str())?)));
            let (place, secret) = among(written, &search)?;
            Some((format!("{place} that it puts into the app"), secret, EVERYBODY))
        };
        let (place, secret, reader) = in_layers.or_else(in_app)?;
        Some(RunError::Leak { place, secret: secrets[secret].name.clone(), reader })
    }
}

/// The bytes of a file that a buildpack wrote.
fn written(node: &Node) -> Option<&[u8]> {
    match node {
        Node::File(_, content) => content.in_memory(),
        _ => None,
    }
}

/// What of these holds which secret, in its contents or in its name.
fn among<'a>(
    mut nodes: impl Iterator<Item = (&'a TreePath, &'a Node)>,
    search: &Search<'_>,
) -> Option<(String, usize)> {
    nodes.find_map(|(path, node)| {
        let (what, held) = match node {
            Node::File(..) => ("file", written(node).and_then(|bytes| search.find(bytes))),
            Node::Link(text) => ("link", search.find(text.as_bytes())),
            Node::Folder(_) => ("folder", None),
        };
        if let Some(secret) = search.find(path.as_str().as_bytes()) {
            return Some((format!("the name of a {what}"), secret));
        }
        held.map(|secret| (format!("the {what} `{}`", short(path.as_str())), secret))
    })
}

fn reader_of(layer: &DraftLayer) -> &'static str {
    match (layer.usage.launch, layer.usage.cache) {
        (true, _) => EVERYBODY,
        (_, true) => LATER,
        _ => OTHERS,
    }
}

fn of_alternative(alternative: &Alternative) -> Vec<Seen<'_>> {
    let mut texts: Vec<Seen<'_>> = Vec::new();
    texts.extend(alternative.provides.iter().map(|name| ("a name that it provides".to_owned(), name.into(), OTHERS)));
    for required in &alternative.requires {
        texts.push(("a name that it requires".to_owned(), (&required.name).into(), OTHERS));
        let notes = required.metadata.iter().flat_map(|(name, value)| [name, value]);
        let place = format!("what it says of the requirement `{}`", short(&required.name));
        texts.extend(notes.map(|text| (place.clone(), text.into(), OTHERS)));
    }
    texts
}

fn of_report(report: &Report) -> Vec<Seen<'_>> {
    let mut texts: Vec<Seen<'_>> = Vec::new();
    let Launch { processes, labels, .. } = &report.launch;
    for label in labels {
        texts.push(("the name of a label".to_owned(), (&label.key).into(), EVERYBODY));
        texts.push((format!("the label `{}`", short(&label.key)), (&label.value).into(), EVERYBODY));
    }
    for process in processes {
        texts.push(("the type of a process".to_owned(), process.kind.as_str().into(), EVERYBODY));
        let words = process.command.iter().chain(&process.args).chain(&process.working_directory);
        texts.extend(words.map(|word| (format!("the process `{}`", process.kind), word.into(), EVERYBODY)));
    }
    let notes = report.store.iter().flat_map(|(name, value)| [name, value]);
    texts.extend(notes.map(|text| ("a note for the next build".to_owned(), text.into(), EVERYBODY)));
    texts
}

fn of_layer(layer: &DraftLayer) -> Vec<Seen<'_>> {
    let reader = reader_of(layer);
    let mut texts: Vec<Seen<'_>> = vec![("the name of a layer".to_owned(), layer.name.as_str().into(), reader)];
    let metadata = layer.metadata.iter().flat_map(|(name, value)| [name, value]);
    texts.extend(metadata.map(|text| (format!("the metadata of the layer `{}`", layer.name), text.into(), reader)));
    for change in &layer.env {
        let place = format!("the environment of the layer `{}`", layer.name);
        texts.push((place, String::from_utf8_lossy(&change.value), reader));
    }
    for Component { group, name, version, purl, licenses, .. } in &layer.contents {
        let place = || format!("the bill of materials of the layer `{}`", layer.name);
        let words = [group, name, version].into_iter().chain(licenses).map(|text| (place(), text.into(), reader));
        texts.extend(words);
        texts.extend(purl.iter().map(|purl| (place(), purl.to_string().into(), reader)));
    }
    texts
}
