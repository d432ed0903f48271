//! Service bindings: who may see which, and that no value of one gets into what a buildpack says.

use std::borrow::Cow;

use stave_model::{
    binding::Binding,
    capability::{Excess, Interface},
    launch::Launch,
};

use super::{
    Answer, MAX_SHOWN, Phase, Workbench,
    journal::{Call, Said},
    short,
};
use crate::port::{
    buildpack::{Failure, Report, RunError, Verdict},
    failure::{Fault, PortError},
    recall::Unkept,
};

/// What a buildpack is told of a service binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its type, as it was written.
    pub kind: String,
    /// Who provides it.
    pub provider: Option<String>,
    /// The names of its entries, sorted.
    pub keys: Vec<String>,
}

impl From<&Binding> for Service {
    fn from(binding: &Binding) -> Self {
        Self {
            name: binding.name.to_string(),
            kind: binding.kind.to_string(),
            provider: binding.provider.clone(),
            keys: binding.entries.keys().map(ToString::to_string).collect(),
        }
    }
}

impl Workbench {
    /// The bindings of a type, sorted by name. The type must be asked for and granted.
    pub fn bindings(&self, kind: &str) -> Answer<Vec<Service>> {
        let said = |found: &Vec<Service>| Said::services(found);
        self.asking(|| self.services(kind), said, |said| Call::Bindings { kind: kind.to_owned(), said })
    }

    fn services(&self, kind: &str) -> Answer<Vec<Service>> {
        self.begin(Interface::Bindings, Phase::Detect)?;
        let attempt = || format!("could not look for bindings of the type `{}`", short(kind));
        let binding = Excess::Binding(kind.chars().take(MAX_SHOWN).collect());
        if !self.manifest.asks.allows_binding(kind) {
            return Err(self.unasked(&attempt(), binding));
        }
        if !self.allowed.may().allows_binding(kind) {
            return Err(self.denied(&attempt(), binding));
        }
        self.used(binding);
        let bindings = self.shop.bindings.values();
        Ok(bindings.filter(|binding| binding.kind.as_str().eq_ignore_ascii_case(kind)).map(Service::from).collect())
    }

    /// The value of an entry. From now on the value is hidden in what the buildpack says.
    pub fn read_binding(&self, name: &str, key: &str) -> Answer<Vec<u8>> {
        let call = |said| Call::Binding { name: name.to_owned(), key: key.to_owned(), said };
        // Whatever it does with the value, nothing of it is to be kept.
        self.asking(|| self.secret(name, key).inspect(|_| self.forget(Unkept::Secret)), |_| Said::nothing(), call)
    }

    fn secret(&self, name: &str, key: &str) -> Answer<Vec<u8>> {
        self.begin(Interface::Bindings, Phase::Detect)?;
        let seen = |binding: &&Binding| {
            let kind = binding.kind.as_str();
            self.manifest.asks.allows_binding(kind) && self.allowed.may().allows_binding(kind)
        };
        let binding = self.shop.bindings.get(name).filter(seen);
        let Some(secret) = binding.and_then(|binding| binding.entries.get(key)) else {
            let attempt = format!("could not read `{}` of the binding `{}`", short(key), short(name));
            let rule = "there is no such entry in a binding of a type that it asks for and is granted";
            return Err(PortError::new(Fault::NotFound, format!("{attempt}: {rule}")));
        };
        let kind = binding.map(|binding| binding.kind.to_string());
        let mut state = self.state();
        state.record.used.bindings.extend(kind.map(|kind| kind.to_ascii_lowercase()));
        if !state.secrets.iter().any(|(_, known)| known == secret) {
            state.secrets.push((format!("`{key}` of the binding `{name}`"), secret.clone()));
        }
        Ok(secret.reveal().to_vec())
    }

    /// The text with what the buildpack read of bindings hidden.
    pub fn hidden(&self, text: &str) -> String {
        let state = self.state();
        state.secrets.iter().fold(text.to_owned(), |text, (_, secret)| secret.hide(&text))
    }

    /// What detect answers, secrets hidden.
    pub(crate) fn discreet_verdict(&self, verdict: Result<Verdict, RunError>) -> Result<Verdict, RunError> {
        match verdict {
            Ok(Verdict::Skip(reason)) => Ok(Verdict::Skip(self.hidden(&reason))),
            Err(error) => Err(self.discreet(error)),
            passed => passed,
        }
    }

    /// A failure, secrets hidden in its words.
    pub(crate) fn discreet(&self, error: RunError) -> RunError {
        let hide = |text: String| self.hidden(&text);
        match error {
            RunError::Refused(failure) => {
                let Failure { blame, summary, detail, hint, file, line } = *failure;
                let (summary, detail, hint) = (hide(summary), detail.map(hide), hint.map(hide));
                RunError::Refused(Box::new(Failure { blame, summary, detail, hint, file: file.map(hide), line }))
            }
            RunError::BadAnswer(reason) => RunError::BadAnswer(hide(reason)),
            RunError::Stopped { reason, source } => RunError::Stopped { reason: hide(reason), source },
            other => other,
        }
    }

    /// What build answers, unless it would put a secret where everybody with the image can read it.
    pub(crate) fn discreet_report(&self, report: Report) -> Result<Report, RunError> {
        let state = self.state();
        if state.secrets.is_empty() {
            return Ok(report);
        }
        let mut texts: Vec<(String, Cow<'_, str>)> = Vec::new();
        let Launch { processes, labels, .. } = &report.launch;
        texts.extend(labels.iter().map(|label| (format!("the label `{}`", short(&label.key)), (&*label.value).into())));
        for process in processes {
            let words = process.command.iter().chain(&process.args);
            texts.extend(words.map(|word| (format!("the process `{}`", process.kind), word.into())));
        }
        let notes = report.store.iter().flat_map(|(name, value)| [name, value]);
        texts.extend(notes.map(|text| ("a note for the next build".to_owned(), text.into())));
        for layer in &state.layers {
            let metadata = layer.metadata.iter().flat_map(|(name, value)| [name, value]);
            texts.extend(metadata.map(|text| (format!("the metadata of the layer `{}`", layer.name), text.into())));
            let values = layer.env.iter().map(|change| String::from_utf8_lossy(&change.value));
            texts.extend(values.map(|text| (format!("the environment of the layer `{}`", layer.name), text)));
        }
        let found = texts.into_iter().find_map(|(place, text)| {
            let secret = state.secrets.iter().find(|(_, secret)| secret.is_in(&text));
            secret.map(|(name, _)| (place, name.clone()))
        });
        match found {
            Some((place, name)) => Err(RunError::BadAnswer(format!(
                "{place} holds the value of {name}, which everybody with the image could read"
            ))),
            None => Ok(report),
        }
    }
}
