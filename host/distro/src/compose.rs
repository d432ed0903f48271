//! From a definition to images: look at the archives, choose packages, fetch them, unpack them into a tree, write layers.
//!
//! The same packages give the same image, whenever and wherever they are put together. What holds the packages is one layer
//! and what Stave adds is another; dividing the packages further is a matter of `parts` alone.

use std::sync::Arc;

use stave_archive::{
    content::Span,
    deb,
    layer::{self, LayerError, Packing, Place},
    limits::Limits,
    spool::Spool,
    tree::Tree,
};
use stave_lifecycle::{
    image::{Descriptor, Image, ImageLayer},
    port::{
        failure::{Fault, PortError},
        observer::{Event, Level, Made},
    },
};
use stave_model::target::Platform;
use url::Url;

use crate::{
    archive::{self, ArchiveError},
    configuration,
    definition::{Definition, oci_architecture},
    fetch::{FetchError, Ports, Wanted},
    image::{self, Part},
    keyring::KeyringError,
    lock::{Lock, LockError, Locked},
    resolve::{self, Choice, Request, ResolveError, Why},
    rootfs::{self, RootfsError, Unpacked},
    settings::Settings,
    sources::{self, Source, SourcesError},
};

/// A stack that was not composed.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// No archive is known.
    #[error(transparent)]
    Sources(#[from] SourcesError),
    /// An archive cannot be used.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The packages cannot be had together.
    #[error("could not choose packages for {architecture}")]
    Resolve {
        /// For which architecture.
        architecture: String,
        /// Why not.
        #[source]
        source: ResolveError,
    },
    /// The lock is for something else.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A package could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A package cannot be opened.
    #[error("package `{package}` is refused")]
    Package {
        /// Which package.
        package: String,
        /// What is wrong.
        #[source]
        source: stave_archive::intake::ArchiveError,
    },
    /// The packages do not make one root file system.
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    /// There is no room for what is unpacked.
    #[error("could not make a temporary file in {}", .folder.display())]
    Scratch {
        /// Where.
        folder: std::path::PathBuf,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// A layer could not be written.
    #[error("could not write the layer with {holds}")]
    Layer {
        /// What it holds.
        holds: &'static str,
        /// What went wrong.
        #[source]
        source: LayerError,
    },
    /// A layer could not be kept, or somebody asked to stop.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl ComposeError {
    /// What a person could do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Sources(error) => error.hint(),
            Self::Archive(error) => error.hint(),
            Self::Fetch(error) => error.hint(),
            Self::Port(error) => error.hint.clone(),
            _ => None,
        }
    }

    /// What kind of thing went wrong.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Sources(_) => Fault::NotFound,
            Self::Archive(error) => error.fault(),
            Self::Fetch(error) => error.fault(),
            Self::Resolve { .. }
            | Self::Lock(_)
            | Self::Rootfs(_)
            | Self::Package { .. }
            | Self::Layer { source: LayerError::Whiteout(_) | LayerError::Path(_), .. } => Fault::InvalidInput,
            Self::Layer { source: LayerError::Cancelled, .. } => Fault::Cancelled,
            Self::Scratch { .. } | Self::Layer { .. } => Fault::Io,
            Self::Port(error) => error.fault,
        }
    }
}

impl ArchiveError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Keyring { source, .. } => source.hint(),
            Self::Fetch(error) => error.hint(),
            Self::Architecture { architecture, .. } => Some(format!(
                "apt's sources here are for other architectures: name an archive with {architecture} as `mirrors` in Stave's \
                 configuration, or leave {architecture} out of the stack's `architectures`"
            )),
            Self::Signature { .. } => Some(
                "if this is not an archive of the distribution itself, name the right ones as `mirrors` in Stave's configuration"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Keyring { source: KeyringError::None { .. }, .. }
            | Self::Missing { .. }
            | Self::Architecture { .. } => Fault::NotFound,
            Self::Keyring { .. } => Fault::Io,
            Self::Fetch(error) => error.fault(),
            Self::Signature { .. } | Self::Release { .. } => Fault::Integrity,
            Self::Packages { .. } => Fault::InvalidInput,
        }
    }
}

/// A stack: an image for each architecture, and the record of what is in it.
#[derive(Debug)]
pub struct Stack {
    /// One image for each of the definition's architectures, in its order.
    pub images: Vec<Composed>,
    /// What the stack is made of, for composing it again.
    pub lock: Lock,
}

/// One image of a stack.
#[derive(Debug)]
pub struct Composed {
    /// The image.
    pub image: Image,
    /// What is in it, sorted by name.
    pub packages: Vec<Installed>,
}

/// A package of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Which package exactly.
    pub package: Locked,
    /// Why it is in; unknown if a lock said so.
    pub why: Option<Why>,
}

/// Composes a stack from what the archives offer now.
pub fn compose(definition: &Definition, settings: &Settings, ports: Ports) -> Result<Stack, ComposeError> {
    let sources = sources::find(definition, &settings.mirrors, &settings.root)?;
    let suites = archive::open(definition, sources, settings, ports)?;
    let mut stack = Stack { images: Vec::new(), lock: Lock::new(&definition.id) };
    for architecture in &definition.architectures {
        let universe = archive::offers(definition, &suites, architecture, ports)?;
        let request = Request { packages: &definition.packages, exclude: &definition.exclude };
        let choices = resolve::resolve(&universe, &request)
            .map_err(|source| ComposeError::Resolve { architecture: architecture.clone(), source })?;
        let urls = |choice: &Choice| vec![suites[choice.package.archive].source.url.clone()];
        let places: Vec<Vec<Url>> = choices.iter().map(urls).collect();
        let installed = |choice: Choice| Installed { package: Locked::of(choice.package), why: Some(choice.why) };
        let packages: Vec<Installed> = choices.into_iter().map(installed).collect();
        drop(universe);
        stack.add(definition, architecture, packages, &places, settings, ports)?;
    }
    Ok(stack)
}

/// Composes a stack again from the packages of its lock, wherever the archives still have them. No index is read: the
/// lock's digests say what is right.
pub fn compose_locked(
    definition: &Definition,
    lock: &Lock,
    settings: &Settings,
    ports: Ports,
) -> Result<Stack, ComposeError> {
    let sources = sources::find(definition, &settings.mirrors, &settings.root)?;
    let mut stack = Stack { images: Vec::new(), lock: Lock::new(&definition.id) };
    for architecture in &definition.architectures {
        let locked = lock.packages(definition, architecture)?;
        let places: Vec<Vec<Url>> = locked.iter().map(|package| places(&sources, &package.suite)).collect();
        let packages = locked.iter().map(|package| Installed { package: package.clone(), why: None }).collect();
        stack.add(definition, architecture, packages, &places, settings, ports)?;
    }
    Ok(stack)
}

/// The archives of a package: first those with its suite, then all others.
fn places(sources: &[Source], suite: &str) -> Vec<Url> {
    let (with, without): (Vec<&Source>, Vec<&Source>) = sources.iter().partition(|source| source.suite == suite);
    let mut urls: Vec<Url> = Vec::new();
    for source in with.into_iter().chain(without) {
        if !urls.contains(&source.url) {
            urls.push(source.url.clone());
        }
    }
    urls
}

impl Stack {
    fn add(
        &mut self,
        definition: &Definition,
        architecture: &str,
        packages: Vec<Installed>,
        places: &[Vec<Url>],
        settings: &Settings,
        ports: Ports,
    ) -> Result<(), ComposeError> {
        let locked: Vec<Locked> = packages.iter().map(|installed| installed.package.clone()).collect();
        let wanted: Vec<Wanted> = locked.iter().zip(places).map(|(package, places)| wanted(package, places)).collect();
        let what = format!("fetch {} packages for {architecture}", wanted.len());
        let files = ports.files(&what, &wanted)?;
        let image = image_of(definition, architecture, &locked, &files, settings, ports)?;
        self.images.push(Composed { image, packages });
        self.lock.architectures.insert(architecture.to_owned(), locked);
        Ok(())
    }
}

fn wanted(package: &Locked, places: &[Url]) -> Wanted {
    Wanted {
        what: format!("package `{}` {}", package.package, package.version),
        urls: places.iter().map(|archive| archive::join(archive, &package.filename)).collect(),
        digest: package.digest,
        size: package.size,
    }
}

fn image_of(
    definition: &Definition,
    architecture: &str,
    locked: &[Locked],
    files: &[Span],
    settings: &Settings,
    ports: Ports,
) -> Result<Image, ComposeError> {
    let spool = Spool::new_in(&settings.scratch);
    let mut spool = spool.map_err(|source| ComposeError::Scratch { folder: settings.scratch.clone(), source })?;
    let mut unpacked = Vec::with_capacity(files.len());
    for (package, file) in locked.iter().zip(files) {
        ports.cancel.check()?;
        let refused = |source| ComposeError::Package { package: package.package.clone(), source };
        let opened = deb::read(file, &Limits::default(), &mut spool).map_err(refused)?;
        unpacked.push(Unpacked::new(opened, &package.package, &package.version)?);
    }
    let root = rootfs::merge(&unpacked, definition)?;
    drop(unpacked);
    let mut layers = Vec::new();
    let mut described = Vec::new();
    for (holds, tree) in parts(&root, definition)? {
        let layer = write(&tree, holds, architecture, ports)?;
        described.push(Part { diff_id: layer.diff_id, holds });
        layers.push(layer);
    }
    let oci = oci_architecture(architecture).unwrap_or(architecture);
    let distro = configuration::distro(&root)?;
    let created = stave_model::time::rfc3339(settings.created);
    let config = image::config(definition, oci, distro.as_ref(), &described, &created);
    Ok(Image::new(Platform::linux(oci), config, layers))
}

/// The trees of a stack's layers, bottom first, and what each one holds.
fn parts(root: &Tree, definition: &Definition) -> Result<Vec<(&'static str, Tree)>, ComposeError> {
    let upper = configuration::of(root, &definition.user)?;
    Ok(vec![("packages", root.clone()), ("configuration", upper)])
}

fn write(tree: &Tree, holds: &'static str, architecture: &str, ports: Ports) -> Result<ImageLayer, ComposeError> {
    let failed = |source| ComposeError::Layer { holds, source };
    let mut blob = ports.blobs.create()?;
    let place = Place::root().relative();
    let written = layer::write(tree, &place, Packing::GZIP, &ports.cancel.flag(), &mut blob).map_err(failed)?;
    let content = blob.keep(&written.digest)?;
    ports.observer.observe(Event::Layer {
        what: format!("{holds} for {architecture}"),
        how: Made::Written,
        size: written.size,
    });
    let descriptor =
        Descriptor { media_type: written.media_type.to_owned(), digest: written.digest, size: written.size };
    Ok(ImageLayer { descriptor, diff_id: written.diff_id, content: Arc::new(content), origin: None })
}

impl Ports<'_> {
    /// Tells people that something may be wrong.
    pub(crate) fn warn(&self, text: String) {
        self.observer.observe(Event::Note(Level::Warning, text));
    }
}
