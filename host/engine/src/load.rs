//! From a file to a buildpack that can be run.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use stave_model::{capability::Capabilities, digest::Digest};
use wasmtime::component::Component;

use crate::{
    Engine,
    admission::{self, Refusal},
    bindings::BuildpackPre,
    component::{DescribeError, Description, describe},
    guest::Guest,
};

/// A checked and compiled buildpack: implements [`stave_lifecycle::port::buildpack::Buildpack`].
///
/// Its calls run on the thread that makes them, each in a sandbox of its own that nothing is carried over from, and any
/// number beside each other. That thread must not be one of an asynchronous runtime: the call would panic.
pub struct Loaded {
    pub(crate) engine: Engine,
    pub(crate) description: Description,
    pub(crate) grants: Capabilities,
    pub(crate) ready: BuildpackPre<Guest>,
    how: How,
}

/// How the code of a buildpack came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// Compiled now, and kept.
    Compiled,
    /// Compiled now, and not kept, because ….
    NotKept(String),
    /// Compiled before.
    Kept,
}

/// Why a component is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("could not read the buildpack {}", .path.display().to_string().escape_debug())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The bytes are not the ones that were promised.
    #[error("the component is not the expected one: it has digest {found}, not {expected}")]
    Digest {
        /// The promised digest.
        expected: Digest,
        /// The one it has.
        found: Digest,
    },
    /// It is not a buildpack.
    #[error(transparent)]
    Describe(#[from] DescribeError),
    /// It may not be run.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The compiler does not take it.
    #[error("could not compile {buildpack}")]
    Compile {
        /// id@version.
        buildpack: String,
        /// What the compiler says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An import or export has other types or functions than the contract.
    #[error("{buildpack} does not fit the contract as this version of stave knows it")]
    Mismatch {
        /// id@version.
        buildpack: String,
        /// Where it does not fit.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl LoadError {
    /// What a person could do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused(refusal) => refusal.hint(),
            Self::Mismatch { .. } => Some("take another version of the buildpack, or of stave".to_owned()),
            _ => None,
        }
    }
}

impl Engine {
    /// Loads a component from a file. At most one byte more than the limit of a component is read.
    pub fn load_file(&self, path: &Path, expected: Option<Digest>, grants: &Capabilities) -> Result<Loaded, LoadError> {
        let failed = |source| LoadError::Read { path: path.to_owned(), source };
        let most = self.limits().component_bytes as u64 + 1;
        let mut wasm = Vec::new();
        File::open(path).and_then(|file| file.take(most).read_to_end(&mut wasm)).map_err(failed)?;
        self.load(&wasm, expected, grants)
    }

    /// Loads a component: looks at its outside, checks its imports against its manifest and `grants`, and compiles it or takes
    /// the code that was compiled before. What every buildpack has ([`admission::ALWAYS`]) need not be granted.
    pub fn load(&self, wasm: &[u8], expected: Option<Digest>, grants: &Capabilities) -> Result<Loaded, LoadError> {
        let description = describe(wasm, self.limits())?;
        if let Some(expected) = expected.filter(|expected| *expected != description.digest) {
            return Err(LoadError::Digest { expected, found: description.digest });
        }
        let grants = admission::with_always(grants);
        admission::admit(&description, &grants)?;
        let buildpack = description.manifest.title();
        let (component, how) = self
            .code_of(wasm, &description.digest)
            .map_err(|error| LoadError::Compile { buildpack: buildpack.clone(), source: error.into() })?;
        let ready = self
            .linker()
            .instantiate_pre(&component)
            .and_then(BuildpackPre::new)
            .map_err(|error| LoadError::Mismatch { buildpack, source: error.into() })?;
        Ok(Loaded { engine: self.clone(), description, grants, ready, how })
    }

    fn code_of(&self, wasm: &[u8], digest: &Digest) -> wasmtime::Result<(Component, How)> {
        let engine = self.wasmtime();
        let Some(store) = self.code() else {
            let reason = "no folder was given for it".to_owned();
            return Ok((Component::from_binary(engine, wasm)?, How::NotKept(reason)));
        };
        if let Some(component) = store.get(engine, digest) {
            return Ok((component, How::Kept));
        }
        let component = Component::from_binary(engine, wasm)?;
        // A disk that is full makes the next start slower, and nothing worse.
        let how =
            store.put(engine, digest, &component).map_or_else(|e| How::NotKept(e.to_string()), |()| How::Compiled);
        Ok((component, how))
    }
}

impl Loaded {
    /// How its code came to be.
    pub fn how(&self) -> &How {
        &self.how
    }

    /// What is known of its outside.
    pub fn description(&self) -> &Description {
        &self.description
    }
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded")
            .field("buildpack", &self.description.manifest.title())
            .field("how", &self.how)
            .finish_non_exhaustive()
    }
}
