//! Service bindings: who may see which, and that no value of one gets into what a buildpack says. What it makes is looked
//! through in `leaks`.

use stave_model::{
    binding::{Binding, Secret},
    capability::{Excess, Interface},
};

use super::{
    Answer, MAX_SHOWN, Phase, Workbench,
    journal::{Call, Said},
    short,
};
use crate::port::{
    buildpack::{Failure, RunError, Verdict},
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

/// A value that the buildpack read.
pub(super) struct Read {
    /// What it is called.
    pub(super) name: String,
    /// The value.
    pub(super) value: Secret,
    /// Whether everybody may have it in a file.
    pub(super) is_public: bool,
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
        if !state.secrets.iter().any(|known| known.value == *secret) {
            let is_public = binding.is_some_and(|binding| binding.is_public(key));
            state.secrets.push(Read {
                name: format!("`{key}` of the binding `{name}`"),
                value: secret.clone(),
                is_public,
            });
        }
        Ok(secret.reveal().to_vec())
    }

    /// The text with what the buildpack read of bindings hidden.
    pub fn hidden(&self, text: &str) -> String {
        let state = self.state();
        state.secrets.iter().fold(text.to_owned(), |text, secret| secret.value.hide(&text))
    }

    /// What detect answers, secrets hidden.
    pub(crate) fn discreet_verdict(&self, verdict: Result<Verdict, RunError>) -> Result<Verdict, RunError> {
        match verdict {
            Ok(Verdict::Skip(reason)) => Ok(Verdict::Skip(self.hidden(&reason))),
            Err(error) => Err(self.discreet(error)),
            Ok(passed) => self.no_leak_in_plan(passed).map_err(|error| self.discreet(error)),
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
            RunError::Leak { place, secret, reader } => RunError::Leak { place: hide(place), secret, reader },
            RunError::Stopped { reason, source } => RunError::Stopped { reason: hide(reason), source },
            other => other,
        }
    }
}
