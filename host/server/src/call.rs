//! One request as a handler sees it: everything that others chose in it is read here, and refused where it cannot be.

use std::ops::RangeInclusive;

use axum::{
    body::Bytes,
    http::{HeaderMap, StatusCode},
};
use serde_json::Value;
use stave_platform::{
    port::records::Over,
    resource::{
        Problem,
        manifest::{Resource, parse},
        name::{ImageKey, Name},
    },
};

use crate::trouble::Trouble;

/// The highest number of a build, and of anything: what a database and JSON can count to.
pub(crate) const MAX_NUMBER: u64 = i64::MAX as u64;

/// A request, whole.
pub(crate) struct Call {
    /// What stands in the address where its pattern has a name.
    pub(crate) names: Vec<(String, String)>,
    /// What stands behind the `?`.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether developers change something with it.
    pub(crate) is_of_others: bool,
}

impl Call {
    fn text(&self, key: &str) -> &str {
        named(&self.names, key)
    }

    /// A part of the address that names something.
    pub(crate) fn name(&self, key: &str) -> Result<Name, Trouble> {
        self.text(key).parse().map_err(|error| Trouble::bad(format!("{key}: {error}")))
    }

    /// Which image the address is about.
    pub(crate) fn key(&self) -> Result<ImageKey, Trouble> {
        Ok(ImageKey { namespace: self.name("namespace")?, name: self.name("name")? })
    }

    /// Which build the address is about.
    pub(crate) fn number(&self) -> Result<u64, Trouble> {
        number("number", self.text("number"), 1..=MAX_NUMBER)
    }

    /// Refuses what is not asked for here, and what is asked for twice.
    pub(crate) fn check_query(&self, known: &[&str]) -> Result<(), Trouble> {
        for (at, (key, _)) in self.query.iter().enumerate() {
            if !known.contains(&key.as_str()) {
                return Err(Trouble::bad(format!("the query `{}` is not known here", short(key))));
            }
            if self.query[..at].iter().any(|(earlier, _)| earlier == key) {
                return Err(Trouble::bad(format!("the query `{key}` is there twice")));
            }
        }
        Ok(())
    }

    /// A value of the query.
    pub(crate) fn asked(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// A number of the query.
    pub(crate) fn asked_number(&self, key: &str, otherwise: u64, within: RangeInclusive<u64>) -> Result<u64, Trouble> {
        self.asked(key).map_or(Ok(otherwise), |text| number(key, text, within))
    }

    /// Which wish the one that is brought takes the place of.
    pub(crate) fn over(&self) -> Result<Over, Trouble> {
        let said = self.asked("generation").is_some();
        let generation = self.asked_number("generation", 0, 0..=MAX_NUMBER)?;
        Ok(if said { Over::Generation(generation) } else { Over::Anything })
    }

    /// One of these words, of the query.
    pub(crate) fn asked_word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Result<Option<T>, Trouble> {
        let Some(text) = self.asked(key) else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| Some(*value));
        found.ok_or_else(|| {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            Trouble::bad(format!("{key}: `{}` is none of {}", short(text), words.join(", ")))
        })
    }

    /// The manifest of what the address names.
    pub(crate) fn manifest(&self, kind: &str, name: &Name, namespace: Option<&Name>) -> Result<Resource, Trouble> {
        let mut manifest = self.json()?;
        check_kind(&manifest, kind)?;
        agree(&mut manifest, "name", name)?;
        namespace.map_or(Ok(()), |namespace| agree(&mut manifest, "namespace", namespace))?;
        Ok(parse(&manifest)?)
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<Value, Trouble> {
        if self.body.is_empty() {
            return Err(Trouble::bad("the body is empty: a JSON document is needed"));
        }
        serde_json::from_slice(&self.body).map_err(|error| Trouble::bad(format!("read the body as JSON: {error}")))
    }
}

/// What stands in an address where its pattern has this name.
pub(crate) fn named<'a>(names: &'a [(String, String)], key: &str) -> &'a str {
    names.iter().find(|(name, _)| name == key).map_or("", |(_, value)| value)
}

/// A number as JSON writes whole ones, within limits.
fn number(key: &str, text: &str, within: RangeInclusive<u64>) -> Result<u64, Trouble> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let read = text.parse().ok().filter(|number| is_plain && within.contains(number));
    read.ok_or_else(|| {
        let (from, to) = within.into_inner();
        Trouble::bad(format!("{key}: `{}` is not a whole number from {from} to {to}", short(text)))
    })
}

fn short(text: &str) -> String {
    text.chars().take(100).collect()
}

/// That a manifest is of the kind that its address is about. One that says none is refused where it is read.
fn check_kind(manifest: &Value, kind: &str) -> Result<(), Trouble> {
    match manifest.get("kind").and_then(Value::as_str) {
        Some(other) if other != kind => {
            let article = if kind.starts_with('I') { "an" } else { "a" };
            Err(elsewhere(Problem::new("kind", format!("it is {article} {kind} at this address"))))
        }
        _ => Ok(()),
    }
}

fn elsewhere(problem: Problem) -> Trouble {
    Trouble::refused("the manifest is of something else than the address", vec![problem])
}

/// The member `key` of a manifest's metadata is what the address says, or is set so where it says nothing.
fn agree(manifest: &mut Value, key: &str, name: &Name) -> Result<(), Trouble> {
    let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut) else {
        return Ok(());
    };
    match metadata.get(key) {
        None | Some(Value::Null) => {
            metadata.insert(key.to_owned(), Value::String(name.to_string()));
            Ok(())
        }
        Some(Value::String(said)) if said == name.as_str() => Ok(()),
        Some(_) => Err(elsewhere(Problem::new(format!("metadata.{key}"), format!("it is `{name}` in the address")))),
    }
}

/// 201 of what is new, 200 of what was there.
pub(crate) fn applied(applied: stave_platform::port::Applied) -> StatusCode {
    match applied {
        stave_platform::port::Applied::Created => StatusCode::CREATED,
        stave_platform::port::Applied::Changed | stave_platform::port::Applied::Unchanged => StatusCode::OK,
    }
}
