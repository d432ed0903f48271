//! What a component did with what it may do: what it used, and what it was denied and by whom. Sets, so that those of many runs
//! can be put together in any sequence.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use crate::capability::{Capabilities, Excess, Interface};

/// The most names of one kind that are kept of a component, and the most characters of one.
const MAX_NAMES: usize = 256;
const MAX_NAME: usize = 200;

/// What is known of a component.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Record {
    /// Interfaces that it called, ecosystems and hosts that something was fetched from, settings and types of bindings that it
    /// read.
    pub used: Capabilities,
    /// What it was denied.
    pub denied: BTreeSet<Denial>,
}

/// One thing that a component wanted and was not given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Denial {
    /// What.
    pub what: Excess,
    /// Who would have to allow it.
    pub by: Withholder,
}

/// Who withholds something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Withholder {
    /// Its own manifest, which does not ask for it.
    Manifest,
    /// The builder, which does not grant it.
    Builder,
    /// The policy, which does not go along with the builder.
    Policy,
    /// The builder and the policy.
    Both,
}

impl fmt::Display for Withholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Manifest => "its manifest does not ask for it",
            Self::Builder => "the builder does not grant it",
            Self::Policy => "the policy does not allow it",
            Self::Both => "neither does the builder grant it nor the policy allow it",
        })
    }
}

impl Record {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.used.is_empty() && self.denied.is_empty()
    }

    /// Notes that an interface was called.
    pub fn uses(&mut self, interface: Interface) {
        self.used.interfaces.insert(interface);
    }

    /// Notes that something was used.
    pub fn used(&mut self, what: Excess) {
        let Capabilities { interfaces, ecosystems, settings, bindings, hosts } = &mut self.used;
        match what {
            Excess::Interface(interface) => _ = interfaces.insert(interface),
            Excess::Ecosystem(name) => add(ecosystems, name),
            Excess::Setting(name) => add(settings, name),
            Excess::Binding(kind) => add(bindings, kind.to_ascii_lowercase()),
            Excess::Host(host) => add(hosts, host),
        }
    }

    /// Notes that something was denied.
    pub fn denies(&mut self, what: Excess, by: Withholder) {
        if self.denied.len() < MAX_NAMES && what.name().chars().count() <= MAX_NAME {
            self.denied.insert(Denial { what, by });
        }
    }

    /// Adds what another one knows; answers whether that was more.
    pub fn merge(&mut self, other: &Self) -> bool {
        let before = self.clone();
        for what in other.used.each() {
            self.used(what);
        }
        for Denial { what, by } in &other.denied {
            self.denies(what.clone(), *by);
        }
        *self != before
    }
}

/// Adds a name that a component chose, while there is room.
fn add(names: &mut BTreeSet<String>, name: String) {
    if names.len() < MAX_NAMES && name.chars().count() <= MAX_NAME {
        names.insert(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_put_together_in_any_sequence() {
        let mut one = Record::default();
        assert!(one.is_empty());
        one.uses(Interface::App);
        one.used(Excess::Setting("BP_A".to_owned()));
        one.used(Excess::Binding("Maven".to_owned()));
        let mut other = Record::default();
        other.used(Excess::Host("d.example.com".to_owned()));
        other.used(Excess::Ecosystem("generic".to_owned()));
        other.denies(Excess::Setting("HOME".to_owned()), Withholder::Manifest);
        other.denies(Excess::Setting("HOME".to_owned()), Withholder::Policy);
        let (mut first, mut last) = (one.clone(), other.clone());
        assert!(first.merge(&other) && last.merge(&one));
        assert_eq!(first, last);
        assert!(!first.merge(&other) && !first.merge(&one), "what is known is not news");
        let text = serde_json::to_string(&first).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), first);
        insta::assert_snapshot!(text, @r#"{"used":{"interfaces":["app"],"ecosystems":["generic"],"settings":["BP_A"],"bindings":["maven"],"hosts":["d.example.com"]},"denied":[{"what":{"setting":"HOME"},"by":"manifest"},{"what":{"setting":"HOME"},"by":"policy"}]}"#);
    }

    #[test]
    fn what_a_component_chose_has_an_end() {
        let mut record = Record::default();
        for n in 0..10_000 {
            record.used(Excess::Setting(format!("S{n}")));
            record.denies(Excess::Setting(format!("S{n}")), Withholder::Manifest);
        }
        record.used(Excess::Host("x".repeat(MAX_NAME + 1)));
        record.denies(Excess::Host("x".repeat(MAX_NAME + 1)), Withholder::Manifest);
        assert_eq!((record.used.settings.len(), record.denied.len()), (MAX_NAMES, MAX_NAMES));
        assert!(record.used.hosts.is_empty());
        let mut more = Record::default();
        more.used(Excess::Setting("another".to_owned()));
        assert!(!record.merge(&more));
    }
}
