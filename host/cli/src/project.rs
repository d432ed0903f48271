//! What an app says about its own build (`project.toml`), and what the command line says instead: which files are the app's,
//! which buildpacks build it. Flags go before the descriptor, the descriptor before the configuration, that before the builder.
//!
//! What an app says itself stands in its folder, or in its tree where it came out of an image: then nothing that it names is
//! looked for on this machine.

use std::{
    io,
    path::{Path, PathBuf},
};

use stave_archive::{
    content::Content,
    ignore::{List, MAX_LIST, Meaning},
    tree::{Node, Tree, TreePath},
};
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
    project::{LeftOut, MAX_PROJECT, Project, Reference, without_login},
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
    beside: Beside,
    /// What it is called in messages.
    shown: String,
}

/// Where what a descriptor names is.
enum Beside {
    Folder(PathBuf),
    Tree(Tree),
}

/// Where the app is, whose own files say something of its build.
#[derive(Clone, Copy)]
pub(crate) enum App<'a> {
    /// A folder, or a file that has none of them.
    At(&'a Path),
    /// A tree that was read, and where in it the descriptor is, if not at its root.
    Is(&'a Tree, Option<&'a str>),
}

/// A file that says something of a build.
enum Said<'a> {
    File(PathBuf),
    Own(&'a str, &'a Tree, &'a dyn Content),
}

impl<'a> App<'a> {
    /// The app's own file of this name. It is a regular one, and not followed through a link: an app may come from anywhere.
    fn own(self, name: &'static str) -> Option<Said<'a>> {
        match self {
            Self::At(path) => {
                let path = path.join(name);
                path.symlink_metadata().is_ok_and(|found| found.is_file()).then_some(Said::File(path))
            }
            Self::Is(tree, named) => {
                let name = named.filter(|_| name == DESCRIPTOR).unwrap_or(name);
                match tree.get(name)? {
                    Node::File(_, content) => Some(Said::Own(name, tree, content.as_ref())),
                    _ => None,
                }
            }
        }
    }
}

impl Said<'_> {
    fn shown(&self) -> String {
        match self {
            Self::File(path) => printable(&path.display().to_string()),
            Self::Own(name, ..) => printable(name),
        }
    }

    fn text(&self, most: usize) -> io::Result<String> {
        match self {
            Self::File(path) => read_capped(path),
            Self::Own(.., content) => {
                let bytes = content.bytes(most as u64)?;
                String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
            }
        }
    }
}

/// The descriptor that was named, else the app's own, as far as it is for the execution environment; one that says nothing
/// where there is none. Keys that mean nothing are warned of.
pub(crate) fn read(source: &Source, observer: &dyn Observer) -> Result<Descriptor, Exit> {
    read_of(App::At(&source.app), source, observer)
}

/// The same of an app that is not where `source` says, or nowhere.
pub(crate) fn read_of(app: App<'_>, source: &Source, observer: &dyn Observer) -> Result<Descriptor, Exit> {
    let Some(said) = source.descriptor.clone().map(Said::File).or_else(|| app.own(DESCRIPTOR)) else {
        let beside = Beside::Folder(PathBuf::new());
        return Ok(Descriptor { project: Project::default(), beside, shown: String::new() });
    };
    let shown = said.shown();
    let failed = |error: anyhow::Error| Exit::new(USAGE, error.context(format!("could not follow {shown}")));
    let text = said.text(MAX_PROJECT).map_err(|error| failed(error.into()))?;
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
    let beside = match said {
        Said::File(path) => Beside::Folder(path.parent().unwrap_or(Path::new("")).to_owned()),
        Said::Own(_, tree, _) => Beside::Tree(tree.clone()),
    };
    Ok(Descriptor { project, beside, shown })
}

/// Which files are the app's.
pub(crate) fn selection(source: &Source, descriptor: &Descriptor) -> Result<Selection, Exit> {
    selection_of(App::At(&source.app), source, descriptor)
}

/// The same of an app that is not where `source` says, or nowhere.
pub(crate) fn selection_of(app: App<'_>, source: &Source, descriptor: &Descriptor) -> Result<Selection, Exit> {
    let Project { include, exclude, .. } = &descriptor.project;
    let by_flags = !source.include.is_empty() || !source.exclude.is_empty();
    let (include, exclude) = if by_flags {
        (choice("--include", &source.include)?, choice("--exclude", &source.exclude)?)
    } else {
        (choice(&descriptor.shown, include)?, choice(&descriptor.shown, exclude)?)
    };
    let file = source.ignore_file.clone().map(Said::File).or_else(|| app.own(DOCKERIGNORE));
    let file = file.map(|said| ignore_file(&said)).transpose()?;
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
fn ignore_file(said: &Said<'_>) -> Result<Choice, Exit> {
    let shown = said.shown();
    let failed =
        |error: anyhow::Error| Exit::new(USAGE, error.context(format!("could not use the patterns in {shown}")));
    let text = said.text(MAX_LIST).map_err(|error| failed(error.into()))?;
    let is_docker = match said {
        Said::File(path) => path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(DOCKERIGNORE)),
        Said::Own(name, ..) => name.ends_with(DOCKERIGNORE),
    };
    let meaning = if is_docker { Meaning::Docker } else { Meaning::Git };
    let list = List::parse(&text, meaning).map_err(|error| failed(error.into()))?;
    Ok(Choice { origin: shown, list })
}

/// The bytes of a file of a tree, by what a descriptor calls it. Links lead to what is in the tree.
fn file_in(tree: &Tree, name: &str, most: usize) -> Option<Vec<u8>> {
    let path: TreePath = name.strip_prefix("./").unwrap_or(name).parse().ok()?;
    match tree.resolve(&path).ok()?? {
        (_, Node::File(_, content)) => content.bytes(most as u64).ok(),
        _ => None,
    }
}

impl Descriptor {
    /// The builder's file that it names.
    pub(crate) fn builder(&self) -> Result<Option<PathBuf>, Exit> {
        let Some(builder) = &self.project.builder else { return Ok(None) };
        let name = printable(&builder.chars().take(200).collect::<String>());
        let path = match &self.beside {
            Beside::Folder(folder) => folder.join(builder),
            Beside::Tree(_) => {
                let message = format!("{} names the builder `{name}`, and its source is no folder here", self.shown);
                return Err(
                    Exit::new(USAGE, message).hint("name a builder with --builder: it goes before the descriptor's")
                );
            }
        };
        if path.is_file() {
            return Ok(Some(path));
        }
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
            let loaded = match &self.beside {
                Beside::Folder(folder) => engine.load_file(&folder.join(uri), None, &Capabilities::usual()),
                Beside::Tree(tree) => {
                    let wasm = file_in(tree, uri, engine.limits().component_bytes);
                    let wasm = wasm.ok_or_else(|| cannot(uri, "is not a file of the source, or too large a one"))?;
                    engine.load(&wasm, None, &Capabilities::usual())
                }
            };
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use clap::Parser as _;
    use stave_archive::content::Bytes;
    use stave_lifecycle::port::observer::Silent;

    use super::*;

    /// `--app` and what else is typed of a source.
    #[derive(clap::Parser)]
    struct Typed {
        #[command(flatten)]
        source: Source,
    }

    fn source(words: &[&str]) -> Source {
        Typed::parse_from([&["stave"][..], words].concat()).source
    }

    fn tree(nodes: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::new();
        for (path, text) in nodes {
            let node = match text.strip_prefix("-> ") {
                Some(to) => Node::Link(to.to_owned()),
                None => Node::file(Arc::new(Bytes::new(text.as_bytes())), false),
            };
            tree.insert(path.parse().unwrap(), node).unwrap();
        }
        tree
    }

    fn put(folder: &Path, nodes: &[(&str, &str)]) {
        for (path, text) in nodes {
            match text.strip_prefix("-> ") {
                Some(to) => std::os::unix::fs::symlink(to, folder.join(path)).unwrap(),
                None => std::fs::write(folder.join(path), text).unwrap(),
            }
        }
    }

    /// What an app says of its build, or why that cannot be followed.
    fn said(app: App<'_>, source: &Source) -> String {
        let descriptor = read_of(app, source, &Silent);
        let selected = descriptor.and_then(|it| Ok((it.project.clone(), selection_of(app, source, &it)?)));
        let text = selected.map_or_else(|exit| exit.render(), |selected| format!("{selected:#?}"));
        match app {
            App::At(folder) => text.replace(&format!("{}/", folder.display()), ""),
            App::Is(..) => text,
        }
    }

    #[test]
    fn a_tree_says_what_a_folder_of_its_files_says() {
        let descriptor = "[_]\nschema-version = \"0.2\"\n[io.buildpacks]\nexclude = [\"docs/\"]\n";
        let cases: [&[(&str, &str)]; 6] = [
            &[],
            &[("project.toml", descriptor), (".dockerignore", "*.log\n!keep.log")],
            &[("project.toml", "-> other"), ("other", descriptor), (".dockerignore", "-> other")],
            &[("project.toml", "not toml")],
            &[(".dockerignore", "a\n")],
            &[("project.toml/x", "")],
        ];
        let mut seen = std::collections::BTreeSet::new();
        for files in cases {
            let root = tempfile::tempdir().unwrap();
            if let [(path, _)] = files
                && path.contains('/')
            {
                std::fs::create_dir(root.path().join("project.toml")).unwrap();
            } else {
                put(root.path(), files);
            }
            let folder = root.path().to_str().unwrap();
            for words in [&[folder][..], &[folder, "--exclude", "x"]] {
                let source = source(words);
                let of_folder = said(App::At(&source.app), &source);
                assert_eq!(said(App::Is(&tree(files), None), &source), of_folder, "{files:?}");
                seen.insert(of_folder);
            }
        }
        assert!(seen.len() > 5, "{seen:#?}");
    }

    #[test]
    fn what_a_descriptor_of_a_tree_names_is_not_looked_for_on_this_machine() {
        let outside = tempfile::tempdir().unwrap();
        let builder = outside.path().join("builder.toml");
        std::fs::write(&builder, "").unwrap();
        let descriptor = |app: App<'_>| read_of(app, &source(&["."]), &Silent).unwrap();
        let text = format!("[_]\nschema-version = \"0.2\"\n[io.buildpacks]\nbuilder = {builder:?}\n");
        let tree = tree(&[("project.toml", &text), ("a/b.wasm", "wasm"), ("link", "-> a"), ("out", "-> /etc")]);
        let refused = descriptor(App::Is(&tree, None)).builder().unwrap_err().render();
        assert!(refused.contains("its source is no folder here"), "{refused}");
        put(outside.path(), &[("project.toml", &text)]);
        assert_eq!(descriptor(App::At(outside.path())).builder().unwrap(), Some(builder));
        for name in ["a/b.wasm", "./a/b.wasm", "link/b.wasm"] {
            assert_eq!(file_in(&tree, name, 4).as_deref(), Some(&b"wasm"[..]), "{name}");
        }
        assert_eq!(file_in(&tree, "a/b.wasm", 3), None, "it is too large");
        for name in ["", "a", "none", "/etc/passwd", "../x", "out/passwd", "a/../../x"] {
            assert_eq!(file_in(&tree, name, 1 << 20), None, "{name}");
        }
    }
}
