//! What surrounds the workbench in a test: dependencies, and who listens.

use std::{
    collections::BTreeMap,
    io::Write,
    sync::{Mutex, PoisonError},
};

use stave_archive::content::Span;
use stave_lifecycle::port::{
    artifacts::ArtifactSource,
    cancel::Cancel,
    failure::{Fault, PortError},
    observer::{Event, Observer},
};
use stave_model::dependency::{Artifact, Dependency};

use super::{Message, convert};

/// Files of dependencies, by id and version.
#[derive(Debug, Clone, Default)]
pub(super) struct Given(BTreeMap<(String, String), Vec<u8>>);

impl Given {
    pub(super) fn add(&mut self, id: &str, version: &str, file: Vec<u8>) {
        self.0.insert((id.to_owned(), version.to_owned()), file);
    }
}

impl ArtifactSource for Given {
    fn fetch(&self, dependency: &Dependency, _: &Artifact, _: &dyn Observer, _: &Cancel) -> Result<Span, PortError> {
        let Dependency { id, version, .. } = dependency;
        let attempt = format!("could not fetch {id} {version}");
        let Some(file) = self.0.get(&(id.clone(), version.to_string())) else {
            let error = PortError::new(Fault::Network, format!("{attempt}: this test does not give it"));
            return Err(error.hint(format!("give it with `.dependency({id:?}, \"{version}\", file)`")));
        };
        let span = tempfile::tempfile().and_then(|mut kept| {
            kept.write_all(file)?;
            Span::whole(kept)
        });
        span.map_err(|error| PortError::new(Fault::Io, attempt).caused_by(error))
    }
}

/// Hears what a buildpack says.
#[derive(Debug, Default)]
pub(super) struct Listener(Mutex<Vec<Message>>);

impl Listener {
    pub(super) fn heard(&self) -> Vec<Message> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Observer for Listener {
    fn observe(&self, event: Event) {
        let message = match event {
            Event::Message { level, text, .. } => Message::Said(convert::level(level), text),
            Event::Step { title, .. } => Message::Step(title),
            _ => return,
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(message);
    }
}
