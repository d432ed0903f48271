//! What an app says about its own build (`project.toml`), and what the command line says instead: which files are the app's,
//! which buildpacks build it. Flags go before the descriptor, the descriptor before the configuration, that before the builder.

use std::path::{Path, PathBuf};

use stave_archive::ignore::{List, Meaning};
use stave_engine::Engine;
use stave_lifecycle::{
    app::selection::{Choice, Selection},
    port::{
        buildpack::Buildpack,
        observer::{Event, Level, Observer},
    },
};
use stave_model::{
    capability::Capabilities,
    order::{Group, Member},
    project::{LeftOut, Project, Reference, without_login},
};

use crate::{
    args::Source,
    buildpacks::{Equipment, refused},
    config::read_capped,
    exit::{Exit, USAGE, printable},
    policy,
    workshop::Workshop,
};

/// The name of a descriptor, and of docker's list of files that are not for images.
const DESCRIPTOR: &str = "project.toml";
const DOCKERIGNORE: &str = ".dockerignore";

/// A descriptor and where it is.
pub(crate) struct Descriptor {
    /// What it says.
    pub(crate) project: Project,
    /// What its relative paths start from.
    folder: PathBuf,
    /// What it is called in messages.
    shown: String,
}

/// The descriptor that was named, else the app's own, as far as it is for the execution environment; one that says nothing
/// where there is none. Keys that mean nothing are warned of.
pub(crate) fn read(source: &Source, observer: &dyn Observer) -> Result<Descriptor, Exit> {
    let own = source.app.join(DESCRIPTOR);
    let Some(path) = source.descriptor.clone().or_else(|| is_file(&own).then_some(own)) else {
        return Ok(Descriptor { project: Project::default(), folder: PathBuf::new(), shown: String::new() });
    };
    let shown = printable(&path.display().to_string());
    let failed = |error: anyhow::Error| Exit::new(USAGE, error.context(format!("could not follow {shown}")));
    let text = read_capped(&path).map_err(|error| failed(error.into()))?;
    let project = Project::parse(&text).map_err(|error| failed(error.into()))?;
    if !project.unknown.is_empty() {
        let keys = project.unknown.join(", ");
        observer.observe(Event::Note(Level::Warning, format!("{shown} has keys that mean nothing here: {keys}")));
    }
    if project.source_url.as_ref().is_some_and(|url| without_login(url) != url.as_str()) {
        let text = format!(
            "the `source-url` of {shown} has a login, which the image's label does not: that file still has it"
        );
        observer.observe(Event::Note(Level::Warning, text));
    }
    observer.observe(Event::Note(Level::Debug, format!("{shown} is followed (schema {})", project.schema)));
    let (project, left_out) = project.within(&source.exec_env());
    for LeftOut { what, reason } in left_out {
        let text = format!("left out of {shown}: {} ({reason})", printable(&what));
        observer.observe(Event::Note(Level::Debug, text));
    }
    Ok(Descriptor { project, folder: path.parent().unwrap_or(Path::new("")).to_owned(), shown })
}

/// Whether a regular file stands there, which is not followed through a link: an app may come from anywhere.
fn is_file(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_file())
}

/// Which files are the app's.
pub(crate) fn selection(source: &Source, descriptor: &Descriptor) -> Result<Selection, Exit> {
    let Project { include, exclude, .. } = &descriptor.project;
    let by_flags = !source.include.is_empty() || !source.exclude.is_empty();
    let (include, exclude) = if by_flags {
        (choice("--include", &source.include)?, choice("--exclude", &source.exclude)?)
    } else {
        (choice(&descriptor.shown, include)?, choice(&descriptor.shown, exclude)?)
    };
    let own = source.app.join(DOCKERIGNORE);
    let file = source.ignore_file.clone().or_else(|| is_file(&own).then_some(own));
    let file = file.map(|path| ignore_file(&path)).transpose()?;
    Ok(Selection { include, exclude: exclude.into_iter().chain(file).collect(), gitignore: source.gitignore })
}

/// Patterns as gitignore has them; none when there are none.
fn choice(origin: &str, patterns: &[String]) -> Result<Option<Choice>, Exit> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let list = List::parse(&patterns.join("\n"), Meaning::Git).map_err(|error| {
        Exit::new(USAGE, anyhow::Error::new(error).context(format!("could not use the patterns of {origin}")))
    })?;
    Ok(Some(Choice { origin: origin.to_owned(), list }))
}

/// A list in a file: docker's meaning if it is called like docker's, else git's.
fn ignore_file(path: &Path) -> Result<Choice, Exit> {
    let shown = printable(&path.display().to_string());
    let failed =
        |error: anyhow::Error| Exit::new(USAGE, error.context(format!("could not use the patterns in {shown}")));
    let text = read_capped(path).map_err(|error| failed(error.into()))?;
    let is_docker = path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(DOCKERIGNORE));
    let meaning = if is_docker { Meaning::Docker } else { Meaning::Git };
    let list = List::parse(&text, meaning).map_err(|error| failed(error.into()))?;
    Ok(Choice { origin: shown, list })
}

impl Descriptor {
    /// The builder's file that it names.
    pub(crate) fn builder(&self) -> Result<Option<PathBuf>, Exit> {
        let Some(builder) = &self.project.builder else { return Ok(None) };
        let path = self.folder.join(builder);
        if path.is_file() {
            return Ok(Some(path));
        }
        let name = printable(&builder.chars().take(200).collect::<String>());
        let message = format!("{} names the builder `{name}`, which is not a file", self.shown);
        Err(Exit::new(USAGE, message).hint(
            "builders are builder.toml files here: name one with --builder FILE, or --builder builtin for the one \
             inside this program",
        ))
    }

    /// Puts its buildpacks in the place of the builder's order, or before and after it.
    pub(crate) fn apply(&self, workshop: &Workshop, engine: &Engine, equipment: &mut Equipment) -> Result<(), Exit> {
        let Project { group, pre, post, .. } = &self.project;
        let mut members = |references: &[Reference]| {
            let member = |reference: &Reference| self.member(workshop, engine, equipment, reference);
            references.iter().map(member).collect::<Result<Vec<_>, _>>()
        };
        let (group, pre, post) = (members(group)?, members(pre)?, members(post)?);
        let selection = &mut equipment.selection;
        if !group.is_empty() {
            selection.order = vec![Group { group }];
        }
        for group in &mut selection.order {
            let own = std::mem::take(&mut group.group);
            group.group = pre.iter().cloned().chain(own).chain(post.iter().cloned()).collect();
        }
        Ok(())
    }

    /// The buildpack that an entry names: one of the builder's, or a component's file, which is then among them. A file is
    /// granted what every buildpack is, with which every policy goes along.
    fn member(
        &self,
        workshop: &Workshop,
        engine: &Engine,
        equipment: &mut Equipment,
        reference: &Reference,
    ) -> Result<Member, Exit> {
        let cannot =
            |what: &str, why: &str| Exit::new(USAGE, format!("{} names {}, which {why}", self.shown, printable(what)));
        let Reference { id, version, uri, script, exec_env: _ } = reference;
        if script.is_some() {
            let name = id.as_deref().unwrap_or("a buildpack");
            let exit = cannot(name, "is a script: buildpacks are WebAssembly components here");
            return Err(exit.hint("a buildpack of a few lines does the same: buildpacks/README.md shows one"));
        }
        if let Some(uri) = uri {
            if let Some(named) = uri.strip_prefix("urn:cnb:builder:").or_else(|| uri.strip_prefix("builtin:")) {
                let (id, version) = named.split_once('@').map_or((named, None), |(id, version)| (id, Some(version)));
                return self.of_builder(equipment, id, version);
            }
            if uri.contains("://") || uri.starts_with("urn:") {
                let exit = cannot(uri, "is not a file: buildpacks are not fetched from registries yet");
                return Err(exit.hint("name a component's file, relative to the descriptor, or an id of the builder's"));
            }
            let path = self.folder.join(uri);
            let loaded = engine.load_file(&path, None, &Capabilities::usual());
            let loaded = loaded.map_err(|error| {
                policy::note_refusal(workshop.ledger.as_ref(), &error);
                refused(uri, error)
            })?;
            let about = loaded.manifest().buildpack.clone();
            let is_same = |other: &std::sync::Arc<dyn Buildpack>| {
                let other = &other.manifest().buildpack;
                other.id == about.id && other.version == about.version
            };
            // The builder's own keeps what the builder grants it; another one of the same name goes before the builder's.
            if !equipment.buildpacks.iter().any(|other| is_same(other) && other.digest() == loaded.digest()) {
                equipment.buildpacks.retain(|other| !is_same(other));
                equipment.buildpacks.push(std::sync::Arc::new(loaded));
            }
            return self.of_builder(equipment, about.id.as_str(), Some(&about.version.to_string()));
        }
        match id {
            Some(id) => self.of_builder(equipment, id, version.as_deref()),
            None => Err(cannot("a buildpack", "has neither an id nor a uri")),
        }
    }

    fn of_builder(&self, equipment: &Equipment, id: &str, version: Option<&str>) -> Result<Member, Exit> {
        let is_it = |buildpack: &&std::sync::Arc<dyn Buildpack>| {
            let about = &buildpack.manifest().buildpack;
            // What is inside this program may be named without its owner.
            let id_fits = about.id.as_str() == id || about.id.as_str().strip_prefix("stave/") == Some(id);
            id_fits && version.is_none_or(|version| about.version.to_string() == version)
        };
        let Some(buildpack) = equipment.buildpacks.iter().find(is_it) else {
            let title = version.map_or_else(|| id.to_owned(), |version| format!("{id}@{version}"));
            let message =
                format!("{} names the buildpack {}, which the builder does not have", self.shown, printable(&title));
            let all: Vec<String> = equipment.buildpacks.iter().map(|buildpack| buildpack.manifest().title()).collect();
            return Err(Exit::new(USAGE, message).hint(format!("it has {}", all.join(", "))));
        };
        let about = &buildpack.manifest().buildpack;
        Ok(Member { id: about.id.clone(), version: Some(about.version.clone()), optional: false, exec_env: Vec::new() })
    }
}
