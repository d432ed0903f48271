//! `stave policy explain`: what a buildpack asks for, is granted and has used, and what would change it.

use std::{borrow::Cow, collections::BTreeSet, path::Path};

use serde::Serialize;
use stave_model::{
    capability::{Capabilities, Excess, Interface},
    digest::Digest,
    policy::{
        explain::{Facts, Granted, Row, Source, explain as rows_of, missing},
        grants::{Allowance, Whose},
        record::{Record, Withholder},
        trust::names,
    },
};
use stave_oci::reference::Reference;

use crate::{
    args::{Output, PolicyExplain},
    builder::{self, Builder, Named},
    commands::buildpack::read_component,
    components,
    exit::{Exit, GENERAL, USAGE, printable},
    locked::{self, Inputs},
    policy,
    workshop::Workshop,
};

/// The buildpack that is asked about.
struct Subject {
    title: String,
    component: Digest,
    wasm: Cow<'static, [u8]>,
    /// All names that it imports, and the interfaces of the contract among them.
    imports: BTreeSet<String>,
    interfaces: BTreeSet<Interface>,
    asks: Capabilities,
    signers: BTreeSet<String>,
    /// What it is granted by the builder that has it; none if that has not.
    grants: Option<Capabilities>,
}

/// Explains what a buildpack may do and did.
pub(crate) fn explain(workshop: &Workshop, arguments: &PolicyExplain) -> Result<(), Exit> {
    let named = arguments.builder.as_deref().or(workshop.config.builder.as_deref());
    let builder = builder::find(workshop, &Named::of(workshop, named), None)?;
    let inputs = locked::inputs(workshop, &builder, false)?;
    let subject = subject(workshop, &arguments.buildpack, &builder, inputs)?;
    let grants = subject.grants.clone().unwrap_or_else(Capabilities::usual);
    let allowance = policy::allowance(workshop.policy.as_deref(), &subject.wasm, &grants, &subject.signers);
    let told = Told {
        builder: &printable(&builder.name),
        policy: workshop.policy.as_deref().map(policy::Overseer::shown),
        record: workshop.ledger.record(&subject.component),
        subject: &subject,
        allowance: &allowance,
    };
    match arguments.output {
        Output::Text => workshop.ui.result(&told.for_people()),
        Output::Json => {
            let text = serde_json::to_string_pretty(&told.for_programs());
            workshop.ui.result(&text.map_err(|error| Exit::new(GENERAL, error))?);
        }
    }
    Ok(())
}

/// What a text names: `builtin:NAME`, a file, one of the builder's by its id, or an artefact elsewhere. The text alone decides
/// whether a file is meant.
fn subject(workshop: &Workshop, text: &str, builder: &Builder, inputs: Inputs) -> Result<Subject, Exit> {
    let is_file = text.starts_with(['/', '.']) || Path::new(text).extension().is_some_and(|end| end == "wasm");
    if is_file || text.starts_with("builtin:") {
        return beside(&inputs, read_component(text)?.into(), text, None);
    }
    let is_it = |index: &usize| {
        let buildpack = &inputs.buildpacks[*index];
        buildpack.id.as_str() == text || buildpack.title() == text
    };
    let found: Vec<usize> = (0..inputs.buildpacks.len()).filter(is_it).collect();
    let titles = |all: &[usize]| all.iter().map(|at| inputs.buildpacks[*at].title()).collect::<Vec<_>>().join(", ");
    match found[..] {
        [index] => Ok(of_builder(inputs, index)),
        [] if text.contains(':') || text.parse::<Reference>().is_ok_and(|place| place.registry.is_some()) => {
            let place = components::resolve(workshop, text)?.0;
            let fetched = components::fetch(workshop, &place)?;
            beside(&inputs, fetched.wasm.into(), text, fetched.signer.as_deref())
        }
        [] => {
            let message = format!("the builder {} has no buildpack {}", builder.name, printable(text));
            let has = titles(&(0..inputs.buildpacks.len()).collect::<Vec<_>>());
            Err(Exit::new(USAGE, message).hint(format!(
                "it has {has}; a file is named by its path, as in ./tool.wasm, and --builder names another builder"
            )))
        }
        _ => {
            let message = format!("the builder {} has {} in several versions", builder.name, printable(text));
            Err(Exit::new(USAGE, message).hint(format!("name one of {}", titles(&found))))
        }
    }
}

/// The names of keys, of a text that has all of them.
fn signers(joined: Option<&str>) -> BTreeSet<String> {
    joined.map(names).unwrap_or_default().into_iter().map(str::to_owned).collect()
}

/// One of the builder's.
fn of_builder(mut inputs: Inputs, index: usize) -> Subject {
    let (buildpack, component) = (inputs.buildpacks.swap_remove(index), inputs.components.swap_remove(index));
    Subject {
        title: buildpack.title(),
        component: buildpack.component,
        wasm: component.bytes,
        interfaces: buildpack.imported(),
        imports: buildpack.imports,
        asks: buildpack.asks,
        signers: signers(component.signer.as_deref()),
        grants: Some(buildpack.grants),
    }
}

/// A component from elsewhere, with what the builder grants it if it has the same.
fn beside(inputs: &Inputs, wasm: Cow<'static, [u8]>, name: &str, signer: Option<&str>) -> Result<Subject, Exit> {
    let description = components::described(&wasm, &format!("the buildpack {name}"))?;
    let index = inputs.buildpacks.iter().position(|one| one.component == description.digest);
    Ok(Subject {
        title: description.manifest.title(),
        component: description.digest,
        wasm,
        interfaces: description.interfaces(),
        imports: description.imports,
        asks: description.manifest.asks,
        signers: signers(index.and_then(|index| inputs.components[index].signer.as_deref()).or(signer)),
        grants: index.map(|index| inputs.buildpacks[index].grants.clone()),
    })
}

/// Everything that is told.
struct Told<'a> {
    subject: &'a Subject,
    builder: &'a str,
    policy: Option<String>,
    allowance: &'a Allowance,
    record: Record,
}

/// The same for programs.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Document<'a> {
    buildpack: &'a str,
    component: Digest,
    /// The builder that was looked into.
    builder: &'a str,
    /// Whether that one has this component; if not, its grants are what is usual.
    in_builder: bool,
    policy: Option<&'a str>,
    /// Whether the policy leaves it to the builder, because it is a part of the program.
    in_program: bool,
    signers: &'a BTreeSet<String>,
    imports: &'a BTreeSet<String>,
    capabilities: Vec<Item>,
    denied: Vec<Denied>,
    /// What would lift all that it asks for and is not granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Item {
    kind: &'static str,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    imported: Option<bool>,
    asked: bool,
    granted: bool,
    /// Who grants it; nobody has to grant what every buildpack has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    by: Vec<Source>,
    #[serde(skip_serializing_if = "Option::is_none")]
    withheld_by: Option<Withholder>,
    used: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Denied {
    kind: &'static str,
    name: String,
    withheld_by: Withholder,
}

impl From<Row> for Item {
    fn from(Row { what, imported, asked, granted, used }: Row) -> Self {
        let (is_granted, by, withheld_by) = match granted {
            Granted::Always => (true, Vec::new(), None),
            Granted::By(sources) => (true, sources, None),
            Granted::Withheld(by) => (false, Vec::new(), Some(by)),
        };
        let (kind, name) = (what.key(), what.name().to_owned());
        Self { kind, name, imported, asked, granted: is_granted, by, withheld_by, used }
    }
}

impl Told<'_> {
    fn facts(&self) -> Facts<'_> {
        let Self { subject, allowance, record, .. } = self;
        Facts { asks: &subject.asks, imports: &subject.interfaces, allowance, record }
    }

    /// What would lift all that it asks for and is not granted.
    fn remedy(&self) -> Option<String> {
        let missing = missing(&self.facts());
        (!missing.is_empty()).then(|| self.allowance.remedy("it", &missing))
    }

    fn is_in_program(&self) -> bool {
        self.policy.is_some() && self.allowance.limit().is_none()
    }

    fn for_programs(&self) -> Document<'_> {
        let denied = self.record.denied.iter().map(|denial| {
            let (kind, name) = (denial.what.key(), denial.what.name().to_owned());
            Denied { kind, name, withheld_by: denial.by }
        });
        Document {
            buildpack: &self.subject.title,
            component: self.subject.component,
            builder: self.builder,
            in_builder: self.subject.grants.is_some(),
            policy: self.policy.as_deref(),
            in_program: self.is_in_program(),
            signers: &self.subject.signers,
            imports: &self.subject.imports,
            capabilities: rows_of(&self.facts()).into_iter().map(Item::from).collect(),
            denied: denied.collect(),
            remedy: self.remedy(),
        }
    }

    fn for_people(&self) -> String {
        let mut lines = self.head();
        lines.push(String::new());
        lines.extend(table(&rows_of(&self.facts())));
        lines.push(String::new());
        if self.record.is_empty() {
            lines.push("Nothing is known of what it did: it has not run here.".to_owned());
        }
        if !self.record.denied.is_empty() {
            lines.push("It was denied:".to_owned());
            lines.extend(self.record.denied.iter().map(|denial| format!("  {}: {}", denial.what, denial.by)));
        }
        if let Some(remedy) = self.remedy() {
            lines.push(String::new());
            lines.push(format!("It is refused, because it is not granted all that it asks for: {remedy}"));
        }
        let lines: Vec<String> = lines.iter().map(|line| printable(line).trim_end().to_owned()).collect();
        lines.join("\n").trim_end().to_owned()
    }

    /// What it is, and whose word counts.
    fn head(&self) -> Vec<String> {
        let Subject { title, component, signers, grants, .. } = self.subject;
        let mut lines = vec![title.clone(), format!("  component  {component}")];
        if !signers.is_empty() {
            let signers: Vec<&str> = signers.iter().map(String::as_str).collect();
            lines.push(format!("  signed by  {}", signers.join(", ")));
        }
        let builder = self.builder;
        lines.push(match grants {
            Some(_) => format!("  builder    {builder}"),
            None => format!("  builder    {builder} does not have it: its grants would be what is usual"),
        });
        let entries = self.allowance.limit().map(|limit| &limit.ceiling.entries[..]).unwrap_or_default();
        let entries: Vec<String> = entries.iter().map(|entry| by_entry(entry.number, &entry.grant.whose)).collect();
        lines.push(match &self.policy {
            None => "  policy     none: it may do what the builder grants".to_owned(),
            Some(policy) if self.is_in_program() => {
                format!("  policy     {policy}: it is inside this program, and may do what the builder grants")
            }
            Some(policy) if entries.is_empty() => {
                format!("  policy     {policy}: no entry is for it, and it may do what is usual")
            }
            Some(policy) => format!("  policy     {policy}: what is usual, and {}", entries.join(", ")),
        });
        lines
    }
}

fn by_entry(number: usize, whose: &Whose) -> String {
    match whose {
        Whose::Digest(_) => format!("entry {number} (its digest)"),
        Whose::Signer(signer) => format!("entry {number} (signer {signer})"),
    }
}

/// A row for each thing, below what kind it is of.
fn table(rows: &[Row]) -> Vec<String> {
    let word = |is: bool| if is { "yes" } else { "-" };
    let name = |what: &Excess| format!("  {}", printable(what.name()));
    let width = rows.iter().map(|row| name(&row.what).chars().count()).max().unwrap_or_default().clamp(12, 60);
    let mut lines = vec![format!("{:width$}  imported  asked  used  granted", "")];
    let mut kind = "";
    for row in rows {
        if row.what.key() != kind {
            kind = row.what.key();
            lines.push(kind.to_owned());
        }
        let (imported, asked, used) = (row.imported.map_or("", word), word(row.asked), word(row.used));
        let granted = granted(&row.granted);
        lines.push(format!("{:width$}  {imported:8}  {asked:5}  {used:4}  {granted}", name(&row.what)));
    }
    lines
}

fn granted(granted: &Granted) -> String {
    match granted {
        Granted::Always => "always".to_owned(),
        Granted::Withheld(by) => format!("no: {by}"),
        Granted::By(sources) => {
            let words = sources.iter().map(|source| match source {
                Source::Builder => "the builder".to_owned(),
                Source::Usual => "usual".to_owned(),
                Source::Entry { number, whose } => by_entry(*number, whose),
            });
            format!("yes: {}", words.collect::<Vec<_>>().join(", "))
        }
    }
}
