//! A distribution's archive as it stands now: its verified Release files, and from them everything that it offers.

use std::io::BufReader;

use stave_archive::{
    compression::{Compression, decoder},
    content::{Content, Span},
    limits::Limits,
};
use url::Url;

use crate::{
    definition::Definition,
    fetch::{FetchError, Ports, Wanted},
    keyring::{self, KeyringError},
    packages::{Offer, PackagesError, Universe},
    release::{self, Expected, MAX_INDEX, Packing, Release, ReleaseError},
    settings::Settings,
    signature::{self, SignatureError},
    sources::Source,
};

/// An archive that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The keys are missing.
    #[error("could not find the keys for {url}, named by {said_by}")]
    Keyring {
        /// The Release file.
        url: String,
        /// Who names the archive.
        said_by: String,
        /// What is wrong.
        #[source]
        source: KeyringError,
    },
    /// The Release file could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// There is no Release file.
    #[error("there is no suite `{suite}` at {url}, named by {said_by}")]
    Missing {
        /// The suite.
        suite: String,
        /// Where the Release file should be.
        url: String,
        /// Who names the archive.
        said_by: String,
    },
    /// The Release file is not signed by the right keys.
    #[error("{url} is refused")]
    Signature {
        /// The Release file.
        url: String,
        /// What is wrong.
        #[source]
        source: SignatureError,
    },
    /// The Release file is signed, but is not what was asked for.
    #[error("{url} is refused")]
    Release {
        /// The Release file.
        url: String,
        /// What is wrong.
        #[source]
        source: ReleaseError,
    },
    /// No archive is for an architecture.
    #[error("no archive with suite `{suite}` is known for {architecture}")]
    Architecture {
        /// The suite.
        suite: String,
        /// The architecture.
        architecture: String,
    },
    /// A package index is not what it should be.
    #[error("could not read the packages of {url}")]
    Packages {
        /// The suite's folder.
        url: String,
        /// What is wrong.
        #[source]
        source: PackagesError,
    },
}

/// A suite whose Release file was verified.
#[derive(Debug)]
pub struct Suite {
    /// Where it is.
    pub source: Source,
    folder: Url,
    release: Release,
}

/// Opens every source; a wanted suite that is nowhere, and need not be, is told to the observer.
///
/// Where the configuration names several mirrors without saying what each one carries, the first one that has a suite
/// serves for it, and one that fails is only an error if no other one has the suite.
pub fn open(
    definition: &Definition,
    sources: Vec<Source>,
    settings: &Settings,
    ports: Ports,
) -> Result<Vec<Suite>, ArchiveError> {
    let mut suites: Vec<Suite> = Vec::new();
    let mut failures: Vec<(String, ArchiveError)> = Vec::new();
    for source in sources {
        if source.optional && suites.iter().any(|suite| suite.source.suite == source.suite) {
            continue;
        }
        let (name, optional) = (source.suite.clone(), source.optional);
        match open_one(definition, source, settings, ports) {
            Ok(suite) => suites.push(suite),
            Err(error) if optional => failures.push((name, error)),
            Err(error) => return Err(error),
        }
    }
    let is_open = |name: &String| suites.iter().any(|suite| suite.source.suite == *name);
    failures.retain(|(name, error)| {
        !is_open(name) && (*name == definition.suite || !matches!(error, ArchiveError::Missing { .. }))
    });
    if let Some((_, error)) = failures.into_iter().next() {
        return Err(error);
    }
    for name in definition.suites().iter().filter(|name| !is_open(name)) {
        ports.warn(format!("no archive with `{name}` is known: packages come without what it would have newer"));
    }
    Ok(suites)
}

fn open_one(definition: &Definition, source: Source, settings: &Settings, ports: Ports) -> Result<Suite, ArchiveError> {
    let folder = join(&source.url, &format!("dists/{}/", source.suite));
    let url = join(&folder, "InRelease");
    let keyring = keyring::load(&source.keys, &definition.distribution, &settings.root).map_err(|error| {
        ArchiveError::Keyring { url: url.to_string(), said_by: source.said_by.clone(), source: error }
    })?;
    let bytes = ports.small(&url, release::MAX_BYTES)?.ok_or_else(|| ArchiveError::Missing {
        suite: source.suite.clone(),
        url: url.to_string(),
        said_by: source.said_by.clone(),
    })?;
    let verified = signature::verify(&bytes, &keyring, settings.now)
        .map_err(|error| ArchiveError::Signature { url: url.to_string(), source: error })?;
    let expected = Expected {
        distribution: &definition.distribution,
        suite: &source.suite,
        now: settings.now,
        check_valid_until: settings.check_valid_until && source.check_valid_until,
    };
    let refused = |source| ArchiveError::Release { url: url.to_string(), source };
    let release = Release::parse(&verified.text).map_err(refused)?;
    release.check(&expected).map_err(refused)?;
    Ok(Suite { source, folder, release })
}

/// Everything that the suites offer for one architecture.
pub fn offers(
    definition: &Definition,
    suites: &[Suite],
    architecture: &str,
    ports: Ports,
) -> Result<Universe, ArchiveError> {
    if !suites.iter().any(|suite| suite.source.suite == definition.suite && suite.serves(architecture)) {
        let (suite, architecture) = (definition.suite.clone(), architecture.to_owned());
        return Err(ArchiveError::Architecture { suite, architecture });
    }
    let mut indexes = Vec::new();
    let mut wanted = Vec::new();
    for (number, suite) in suites.iter().enumerate().filter(|(_, suite)| suite.serves(architecture)) {
        for component in &suite.source.components {
            let listed = suite.release.indexes(component, architecture);
            for index in listed.map_err(|source| ArchiveError::Release { url: suite.folder.to_string(), source })? {
                wanted.push(Wanted {
                    what: format!("the packages of {} for {architecture}", suite.source.suite),
                    urls: index.paths.iter().map(|path| join(&suite.folder, path)).collect(),
                    digest: index.digest,
                    size: index.size,
                });
                indexes.push((number, index.packing));
            }
        }
    }
    let files = ports.files(&format!("fetch package lists for {architecture}"), &wanted)?;
    let mut universe = Universe::new();
    for ((number, packing), file) in indexes.into_iter().zip(files) {
        let suite = &suites[number];
        let offer = Offer { architecture, suite: &suite.source.suite, archive: number };
        read_index(&file, packing, &offer, &mut universe)
            .map_err(|source| ArchiveError::Packages { url: suite.folder.to_string(), source })?;
    }
    Ok(universe)
}

impl Suite {
    fn serves(&self, architecture: &str) -> bool {
        self.source.architectures.as_ref().is_none_or(|list| list.iter().any(|word| word == architecture))
    }
}

fn read_index(file: &Span, packing: Packing, offer: &Offer, universe: &mut Universe) -> Result<(), PackagesError> {
    let kind = match packing {
        Packing::Xz => Compression::Xz,
        Packing::Gzip => Compression::Gzip,
        Packing::Plain => Compression::Plain,
    };
    let limits = Limits { total_bytes: MAX_INDEX, ..Limits::default() };
    let unreadable = |source| PackagesError::Read { suite: offer.suite.to_owned(), source };
    let bytes = file.open().map_err(unreadable)?;
    let plain = decoder(kind, bytes, &limits).map_err(unreadable)?;
    universe.read(BufReader::with_capacity(128 * 1024, plain), offer)
}

/// `path` below `folder`. Paths come checked and without a scheme, so that joining cannot leave the folder's host.
pub(crate) fn join(folder: &Url, path: &str) -> Url {
    let mut url = folder.clone();
    url.set_path(&format!("{}/{path}", folder.path().trim_end_matches('/')));
    url
}
