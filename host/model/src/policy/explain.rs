//! What a buildpack asks for, is granted and has used, item by item, with who grants it or withholds it.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{
    grants::{Allowance, Entry, Whose},
    record::{Record, Withholder},
};
use crate::capability::{Capabilities, Excess, Interface};

/// What there is to explain.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What its manifest asks for.
    pub asks: &'a Capabilities,
    /// What it imports, and could therefore ever use.
    pub imports: &'a BTreeSet<Interface>,
    /// What it may do.
    pub allowance: &'a Allowance,
    /// What is known of what it did.
    pub record: &'a Record,
}

/// One thing that it imports, asks for or has used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What.
    pub what: Excess,
    /// Of an interface: whether it could ever use it.
    pub imported: Option<bool>,
    /// Whether its manifest asks for it.
    pub asked: bool,
    /// Whether it may, and why.
    pub granted: Granted,
    /// Whether it did.
    pub used: bool,
}

/// Whether something is granted, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Granted {
    /// Every buildpack has it.
    Always,
    /// It is, by all of these.
    By(Vec<Source>),
    /// It is not, because of this one.
    Withheld(Withholder),
}

/// Who grants something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The builder, and there is no policy.
    Builder,
    /// The builder, and it is what every policy goes along with.
    Usual,
    /// The builder, and an entry of the policy.
    Entry {
        /// Which of `[[grants]]`, from 1.
        number: usize,
        /// Why it is for this component.
        whose: Whose,
    },
}

/// Everything that there is to say of it: interfaces, ecosystems, settings, bindings, hosts, each by name.
pub fn explain(facts: &Facts<'_>) -> Vec<Row> {
    let Facts { asks, imports, record, .. } = facts;
    let imported = imports.iter().copied().map(Excess::Interface);
    let all: BTreeSet<Excess> = asks.each().into_iter().chain(imported).chain(record.used.each()).collect();
    all.into_iter().map(|what| row(facts, what)).collect()
}

/// What it asks for and is not granted.
pub fn missing(facts: &Facts<'_>) -> Vec<Excess> {
    crate::capability::excess(facts.asks, &facts.allowance.may().clone().with_always())
}

fn row(Facts { asks, imports, allowance, record }: &Facts<'_>, what: Excess) -> Row {
    let interface = if let Excess::Interface(interface) = what { Some(interface) } else { None };
    let is_always = interface.is_some_and(|interface| Interface::ALWAYS.contains(&interface));
    let granted = if is_always {
        Granted::Always
    } else if allowance.may().allows(&what) {
        Granted::By(sources(allowance, &what))
    } else {
        Granted::Withheld(allowance.withholder(&what))
    };
    // A pattern was used if anything was that it matches.
    let pattern = Capabilities::from(what.clone());
    Row {
        imported: interface.map(|interface| imports.contains(&interface)),
        asked: asks.allows(&what),
        granted,
        used: record.used.each().iter().any(|used| pattern.allows(used)),
        what,
    }
}

fn sources(allowance: &Allowance, what: &Excess) -> Vec<Source> {
    let Some(limit) = allowance.limit() else { return vec![Source::Builder] };
    let usual = Capabilities::usual().allows(what).then_some(Source::Usual);
    let entries = limit.ceiling.entries.iter().filter(|entry| entry.grant.allows.allows(what));
    let entries = entries.map(|Entry { number, grant }| Source::Entry { number: *number, whose: grant.whose.clone() });
    usual.into_iter().chain(entries).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        digest::Digest,
        policy::{Policy, grants::Limit},
    };

    fn told(allowance: &Allowance) -> String {
        let asks: Capabilities = toml::from_str(
            "interfaces = [\"layers\", \"artifacts\", \"bindings\"]\necosystems = [\"npm\", \"pypi\"]\n\
             settings = [\"BP_TOOL_*\", \"HOME\"]\nhosts = [\"d.example.com\"]",
        )
        .unwrap();
        let mut record = Record::default();
        record.uses(Interface::App);
        record.used(Excess::Setting("BP_TOOL_X".to_owned()));
        record.used(Excess::Ecosystem("pypi".to_owned()));
        let imports = [Interface::App, Interface::Artifacts, Interface::Sbom].into();
        let facts = Facts { asks: &asks, imports: &imports, allowance, record: &record };
        let line = |row: Row| {
            let word = |is: bool, word: &'static str| if is { word } else { "-" };
            let imported = row.imported.map_or("", |is| word(is, "imported"));
            let (asked, used) = (word(row.asked, "asked"), word(row.used, "used"));
            format!("{} | {imported} | {asked} | {:?} | {used}", row.what, row.granted)
        };
        let mut lines: Vec<String> = explain(&facts).into_iter().map(line).collect();
        lines.extend(missing(&facts).iter().map(|one| format!("missing {one}")));
        lines.join("\n")
    }

    fn builder() -> Capabilities {
        let all =
            "interfaces = [\"layers\", \"artifacts\", \"sbom\"]\necosystems = [\"pypi\", \"npm\"]\nsettings = [\"*\"]";
        toml::from_str(all).unwrap()
    }

    #[test]
    fn without_a_policy_a_builder_grants() {
        insta::assert_snapshot!(told(&Allowance::from(&builder())), @r#"
        interfaces = ["app"] | imported | - | Always | used
        interfaces = ["layers"] | - | asked | By([Builder]) | -
        interfaces = ["artifacts"] | imported | asked | By([Builder]) | -
        interfaces = ["bindings"] | - | asked | Withheld(Builder) | -
        interfaces = ["sbom"] | imported | - | By([Builder]) | -
        ecosystems = ["npm"] |  | asked | By([Builder]) | -
        ecosystems = ["pypi"] |  | asked | By([Builder]) | used
        settings = ["BP_TOOL_*"] |  | asked | By([Builder]) | used
        settings = ["BP_TOOL_X"] |  | asked | By([Builder]) | used
        settings = ["HOME"] |  | asked | By([Builder]) | -
        hosts = ["d.example.com"] |  | asked | Withheld(Builder) | -
        missing interfaces = ["bindings"]
        missing hosts = ["d.example.com"]
        "#);
    }

    #[test]
    fn with_a_policy_each_item_has_its_entries_or_who_withholds_it() {
        let component = Digest::of(b"component");
        let text = format!(
            "[keys]\nacme = \"x\"\n[[grants]]\nsigner = \"acme\"\necosystems = [\"pypi\"]\ninterfaces = [\"artifacts\"]\n\
             [[grants]]\ndigest = \"{component}\"\necosystems = [\"pypi\"]\n"
        );
        let signers = ["acme".to_owned()].into();
        let ceiling = Policy::parse(&text).unwrap().ceiling(&component, &signers, &"acme/tool".parse().unwrap());
        let limit = Limit { policy: "policy.toml".to_owned(), component, ceiling };
        insta::assert_snapshot!(told(&Allowance::within(&builder(), limit)), @r#"
        interfaces = ["app"] | imported | - | Always | used
        interfaces = ["layers"] | - | asked | By([Usual]) | -
        interfaces = ["artifacts"] | imported | asked | By([Entry { number: 1, whose: Signer("acme") }]) | -
        interfaces = ["bindings"] | - | asked | Withheld(Both) | -
        interfaces = ["sbom"] | imported | - | By([Usual]) | -
        ecosystems = ["npm"] |  | asked | Withheld(Policy) | -
        ecosystems = ["pypi"] |  | asked | By([Entry { number: 1, whose: Signer("acme") }, Entry { number: 2, whose: Digest(sha256:6985ca1f4daa5a584a28eae043a239cb96689af1337ea13afb63e00c2bf512fa) }]) | used
        settings = ["BP_TOOL_*"] |  | asked | By([Usual]) | used
        settings = ["BP_TOOL_X"] |  | asked | By([Usual]) | used
        settings = ["HOME"] |  | asked | Withheld(Policy) | -
        hosts = ["d.example.com"] |  | asked | Withheld(Both) | -
        missing interfaces = ["bindings"]
        missing ecosystems = ["npm"]
        missing settings = ["HOME"]
        missing hosts = ["d.example.com"]
        "#);
    }
}
