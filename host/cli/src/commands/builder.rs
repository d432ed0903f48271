//! `stave builder`: an artefact of a builder.toml, what is in one, and one on its way to others; and builders of a namespace, which
//! the platform keeps up to date.

mod kept;
mod namespaced;

use serde::Serialize;
use stave_lifecycle::port::observer::{Event, Level, Observer as _};
use stave_model::{
    builder::pinned::{PinnedBuilder, PinnedBuildpack},
    capability::Capabilities,
    digest::Digest,
    lock::LockedBuildpack,
    order::Group,
};
use stave_oci::{builder as artefact, component::Place};

use crate::{
    args::{BuilderCommand, BuilderCreate, BuilderInspect, BuilderPublish, Output, platform::Form},
    builder::{self, Named},
    components::means,
    document::{self, Format},
    exit::{EXPORT, Exit, GENERAL, USAGE, one_line, printable},
    locked,
    pinned::{self, Made},
    signing,
    ui::bytes,
    workshop::Workshop,
};

/// The longest line that is shown of a builder, in characters: grants of many settings are long.
const MAX_LINE: usize = 10_000;

/// A builder for programs.
#[derive(Serialize)]
struct About<'a> {
    name: &'a str,
    /// Of the artefact; none for what is none yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    #[serde(flatten)]
    builder: &'a PinnedBuilder,
}

#[derive(Serialize)]
struct Published<'a> {
    builder: &'a str,
    reference: String,
    digest: Digest,
}

/// Does what was typed about builders.
pub(crate) fn run(workshop: &Workshop, command: &BuilderCommand) -> Result<(), Exit> {
    match command {
        BuilderCommand::Create(typed) if typed.order.is_none() => create(workshop, typed),
        BuilderCommand::Create(typed) => namespaced::create(workshop, typed),
        BuilderCommand::Patch(typed) => namespaced::patch(workshop, typed),
        BuilderCommand::Save(typed) => namespaced::save(workshop, typed),
        BuilderCommand::Inspect(typed) => inspect(workshop, typed),
        BuilderCommand::Publish(typed) => publish(workshop, typed),
        BuilderCommand::List(typed) => kept::list(workshop, typed),
        BuilderCommand::Status(typed) => namespaced::status(workshop, typed),
        BuilderCommand::Remove(typed) => kept::remove(workshop, typed),
        BuilderCommand::Delete(typed) => namespaced::delete(workshop, typed),
        BuilderCommand::Rollback(typed) => namespaced::roll_back(workshop, typed),
    }
}

/// Makes a builder's artefact and keeps it.
fn create(workshop: &Workshop, arguments: &BuilderCreate) -> Result<(), Exit> {
    let name = match &arguments.tag {
        Some(tag) => tag.clone(),
        None => arguments.what.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default(),
    };
    let place = builder::kept_place(workshop, &name)?;
    let made = pinned::make(workshop, &Named::File(arguments.what.clone()), &arguments.platform)?;
    let name = builder::kept_name(&name)?;
    put(workshop, &place, &made)?;
    let digest = artefact::digest(&made.artifact, &made.carried);
    let about = About { name: &name, digest: Some(digest), builder: &made.builder };
    match arguments.printed.form {
        Form::Json => json(workshop, &about),
        Form::Yaml => {
            workshop.ui.result(&document::write(&about, Format::Yaml)?);
            Ok(())
        }
        Form::Text => {
            let count = made.builder.buildpacks.len();
            workshop.ui.say(&format!("{count} buildpacks and the stack {} are {name}", made.builder.stack.name));
            workshop.ui.result(&digest.to_string());
            Ok(())
        }
    }
}

/// Shows what a builder is made of.
fn inspect(workshop: &Workshop, arguments: &BuilderInspect) -> Result<(), Exit> {
    let named = Named::of(workshop, Some(&arguments.builder));
    let (builder, digest) = match &named {
        Named::Artefact(place, text) => {
            let (found, signer) = builder::artefact_at(workshop, place, false)?;
            let (digest, builder) = (found.digest, found.builder.clone());
            let parts = builder::of_artefact((found, signer), text);
            let (builder, lies) = as_it_is(builder, &locked::inputs(workshop, &parts, false)?.buildpacks);
            for text in lies {
                workshop.ui.observe(Event::Note(Level::Warning, text));
            }
            (builder, Some(digest))
        }
        Named::BuiltIn | Named::File(_) => (pinned::make(workshop, &named, &[])?.builder, None),
    };
    let name = arguments.builder.display().to_string();
    let about = About { name: &name, digest, builder: &builder };
    match arguments.output {
        Output::Json => json(workshop, &about),
        Output::Text => {
            workshop.ui.result(&for_people(&about));
            Ok(())
        }
    }
}

/// The builder with its components' own ids and versions, and what is to be said where its document has others. The document is
/// what somebody wrote; the components are what runs.
fn as_it_is(mut builder: PinnedBuilder, found: &[LockedBuildpack]) -> (PinnedBuilder, Vec<String>) {
    let mut lies = Vec::new();
    for (said, found) in builder.buildpacks.iter_mut().zip(found) {
        if (&said.id, &said.version) != (&found.id, &found.version) {
            lies.push(format!("the builder calls {} by another name: {}", found.title(), said.title()));
            said.id = found.id.clone();
            said.version = found.version.clone();
        }
    }
    (builder, lies)
}

/// Sends a builder somewhere else; a file's artefact is made for it.
fn publish(workshop: &Workshop, arguments: &BuilderPublish) -> Result<(), Exit> {
    let name = arguments.builder.display().to_string();
    let place = destination(&name, arguments.to.as_deref())?;
    let key = arguments.sign.as_deref().map(|file| signing::key(workshop, file)).transpose()?;
    let named = Named::of(workshop, Some(&arguments.builder));
    let made = match &named {
        Named::Artefact(from, _) => pinned::copied(workshop, &builder::artefact_at(workshop, from, false)?.0)?,
        Named::BuiltIn | Named::File(_) => pinned::make(workshop, &named, &[])?,
    };
    let resolved = put(workshop, &place, &made)?;
    let descriptor = artefact::descriptor_of_all(&made.artifact, &made.carried);
    let digest = descriptor.digest;
    workshop.ui.observe(Event::Exported { to: place.to_string(), digest: digest.to_string() });
    if let Some(key) = &key {
        let is_new = signing::sign(workshop, &resolved, &descriptor, key)?;
        workshop.ui.say(&signing::told(&resolved, key, is_new));
    }
    match arguments.output {
        Output::Json => json(workshop, &Published { builder: &name, reference: resolved.to_string(), digest }),
        Output::Text => {
            workshop.ui.result(&resolved.to_string());
            Ok(())
        }
    }
}

fn put(workshop: &Workshop, place: &Place, made: &Made) -> Result<Place, Exit> {
    artefact::push(place, &made.artifact, &made.carried, &means(workshop)).map_err(|error| Exit::new(EXPORT, error))
}

/// Where a builder goes: as typed, else where its own name says.
fn destination(name: &str, typed: Option<&str>) -> Result<Place, Exit> {
    let text = typed.unwrap_or(name);
    let place = text.parse::<Place>().map_err(|error| Exit::new(USAGE, error));
    match place {
        Ok(Place::Registry(reference)) if reference.registry.is_none() => {
            let exit = Exit::new(USAGE, format!("`{}` says no registry", printable(text)));
            Err(exit.hint("say where the builder goes, as in registry.example.com/acme/builder:1 or oci:DIR"))
        }
        Err(_) if typed.is_none() => {
            let exit = Exit::new(USAGE, format!("{} does not say where the builder goes", printable(text)));
            Err(exit.hint("say it, as in registry.example.com/acme/builder:1 or oci:DIR"))
        }
        place => place,
    }
}

fn json(workshop: &Workshop, about: &impl Serialize) -> Result<(), Exit> {
    workshop.ui.result(&serde_json::to_string_pretty(about).map_err(|error| Exit::new(GENERAL, error))?);
    Ok(())
}

fn for_people(about: &About<'_>) -> String {
    let PinnedBuilder { description, stack, buildpacks, order, composites, system, .. } = about.builder;
    let mut lines = vec![about.name.to_owned()];
    lines.extend((!description.is_empty()).then(|| format!("  {description}")));
    lines.extend(about.digest.map(|digest| format!("  digest  {digest}")));
    let from = stack.repository.as_ref().map(|repository| format!(" in {repository}")).unwrap_or_default();
    lines.extend([String::new(), format!("stack {}{from}", stack.name)]);
    lines.extend(stack.images.iter().map(|image| format!("  {}  {}", image.platform, image.digest)));
    lines.extend([String::new(), "buildpacks".to_owned()]);
    lines.extend(buildpacks.iter().flat_map(part));
    lines.extend([String::new(), "order".to_owned()]);
    lines.extend(order.iter().map(|one| format!("  {}", group(one))));
    for composite in composites {
        lines.push(format!("  {} stands for", composite.title()));
        lines.extend(composite.order.iter().map(|one| format!("    {}", group(one))));
    }
    for (words, members) in [("first in every group", &system.pre), ("last in every group", &system.post)] {
        if !members.buildpacks.is_empty() {
            lines.push(format!("  {words}: {}", group(&Group { group: members.buildpacks.clone() })));
        }
    }
    lines.iter().map(|line| one_line(line, MAX_LINE).trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn part(buildpack: &PinnedBuildpack) -> Vec<String> {
    let mut lines = vec![
        format!("  {}  ({})", buildpack.title(), bytes(buildpack.size)),
        format!("    digest      {}", buildpack.digest),
    ];
    lines.extend(buildpack.reference.as_ref().map(|reference| format!("    from        {reference}")));
    let Capabilities { interfaces, ecosystems, settings, bindings, hosts } = &buildpack.grants;
    let interfaces: Vec<String> = interfaces.iter().map(ToString::to_string).collect();
    let of = |set: &std::collections::BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
    for (what, names) in [
        ("interfaces", interfaces),
        ("ecosystems", of(ecosystems)),
        ("settings", of(settings)),
        ("bindings", of(bindings)),
        ("hosts", of(hosts)),
    ] {
        if !names.is_empty() {
            lines.push(format!("    may {what:<10}  {}", names.join(", ")));
        }
    }
    lines
}

fn group(group: &Group) -> String {
    let members = group.group.iter().map(|member| {
        let optional = if member.optional { " (optional)" } else { "" };
        format!("{}{optional}", member.title())
    });
    members.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(title: (&str, &str), description: &str) -> PinnedBuilder {
        let digest = Digest::of(b"component").to_string();
        PinnedBuilder::read(serde_json::json!({
            "format": 1,
            "description": description,
            "stack": { "name": "base", "images": [{ "platform": "linux/amd64", "digest": digest }] },
            "buildpacks": [{ "id": title.0, "version": title.1, "digest": digest, "size": 9, "grants": {} }],
            "order": [{ "group": [{ "id": title.0 }] }],
        }))
        .unwrap()
    }

    fn component() -> LockedBuildpack {
        LockedBuildpack {
            id: "acme/tool".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            reference: None,
            manifest: None,
            component: Digest::of(b"component"),
            size: 9,
            contract: "0.1".to_owned(),
            signer: None,
            imports: std::collections::BTreeSet::new(),
            asks: Capabilities::default(),
            grants: Capabilities::default(),
            dependencies: Vec::new(),
        }
    }

    #[test]
    fn what_a_document_says_of_its_components_is_compared_with_them() {
        let told = |title: (&str, &str)| {
            let (builder, lies) = as_it_is(document(title, ""), &[component()]);
            (builder.buildpacks[0].title(), lies.join("\n"))
        };
        assert_eq!(told(("acme/tool", "1.0.0")), ("acme/tool@1.0.0".to_owned(), String::new()));
        let (title, lie) = told(("stave/java", "9.0.0"));
        assert_eq!(title, "acme/tool@1.0.0");
        insta::assert_snapshot!(lie, @"the builder calls acme/tool@1.0.0 by another name: stave/java@9.0.0");
    }

    #[test]
    fn a_description_does_not_imitate_lines() {
        let builder = document(("acme/tool", "1.0.0"), "Good.\n  digest  sha256:0\u{1b}[2J");
        let shown = for_people(&About { name: "oci:x", digest: None, builder: &builder });
        assert!(shown.contains("  Good.\\n  digest  sha256:0\\u{1b}[2J\n"), "{shown}");
    }
}
