//! From a file to a buildpack that can be run.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use stave_model::{digest::Digest, policy::grants::Allowance};
use wasmtime::component::Component;

use crate::{
    Engine,
    admission::{self, Refusal},
    compiled::Found,
    component::{DescribeError, Description, describe},
    host::Linked,
};

/// A checked buildpack: implements [`stave_lifecycle::port::buildpack::Buildpack`].
///
/// It is compiled when it is loaded, unless its code was kept: that is read, checked and linked by the first call, because a
/// buildpack whose answers are remembered is never called.
///
/// Its calls run on the thread that makes them, each in a sandbox of its own that nothing is carried over from, and any
/// number beside each other. That thread must not be one of an asynchronous runtime: the call would panic.
pub struct Loaded {
    pub(crate) engine: Engine,
    pub(crate) description: Description,
    pub(crate) allowance: Allowance,
    /// The component, where its code was kept: it is compiled again if that turns out to be damaged. Empty elsewhere.
    wasm: Vec<u8>,
    ready: OnceLock<Result<Ready, Arc<LoadError>>>,
}

/// Code that can be called.
struct Ready {
    linked: Linked,
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
    pub fn load_file(
        &self,
        path: &Path,
        expected: Option<Digest>,
        allowed: impl Into<Allowance>,
    ) -> Result<Loaded, LoadError> {
        let failed = |source| LoadError::Read { path: path.to_owned(), source };
        let most = self.limits().component_bytes as u64 + 1;
        let mut wasm = Vec::new();
        File::open(path).and_then(|file| file.take(most).read_to_end(&mut wasm)).map_err(failed)?;
        self.load_bytes(wasm.into(), expected, allowed.into())
    }

    /// Loads a component: looks at its outside, checks its imports against its manifest and what is `allowed`, and compiles it where the
    /// code that was compiled before is not here. What every buildpack has ([`admission::ALWAYS`]) need not be granted.
    pub fn load(
        &self,
        wasm: &[u8],
        expected: Option<Digest>,
        allowed: impl Into<Allowance>,
    ) -> Result<Loaded, LoadError> {
        self.load_bytes(wasm.into(), expected, allowed.into())
    }

    fn load_bytes(
        &self,
        wasm: Cow<'_, [u8]>,
        expected: Option<Digest>,
        allowed: Allowance,
    ) -> Result<Loaded, LoadError> {
        let description = describe(&wasm, self.limits())?;
        if let Some(expected) = expected.filter(|expected| *expected != description.digest) {
            return Err(LoadError::Digest { expected, found: description.digest });
        }
        let allowance = admission::admit(&description, allowed)?;
        let is_kept = self.code().is_some_and(|store| store.has(self.wasmtime(), &description.digest));
        let (wasm, ready) = if is_kept {
            (wasm.into_owned(), OnceLock::new())
        } else {
            (Vec::new(), OnceLock::from(Ok(self.compile(&wasm, &description)?)))
        };
        Ok(Loaded { engine: self.clone(), description, allowance, wasm, ready })
    }

    /// Compiles a component and keeps its code. Only what fits the contract is kept.
    fn compile(&self, wasm: &[u8], of: &Description) -> Result<Ready, LoadError> {
        let engine = self.wasmtime();
        let compiled = Component::from_binary(engine, wasm)
            .map_err(|error| LoadError::Compile { buildpack: of.manifest.title(), source: error.into() })?;
        let linked = self.link(&compiled, of)?;
        let kept = match self.code() {
            Some(store) => store.put(engine, &of.digest, &compiled).map_err(|error| error.to_string()),
            None => Err("no folder was given for it".to_owned()),
        };
        // A disk that is full makes the next start slower, and nothing worse.
        Ok(Ready { linked, how: kept.map_or_else(How::NotKept, |()| How::Compiled) })
    }

    fn link(&self, component: &Component, of: &Description) -> Result<Linked, LoadError> {
        let contract = &of.manifest.contract;
        let linked = self.linker().instantiate_pre(component).and_then(|linked| Linked::new(contract, linked));
        linked.map_err(|error| LoadError::Mismatch { buildpack: of.manifest.title(), source: error.into() })
    }
}

impl Loaded {
    /// Makes its code ready to be called, and says how that came to be. A call does it by itself.
    ///
    /// Fails only for code that was kept, is damaged, and cannot be compiled again.
    pub fn prepare(&self) -> Result<&How, Arc<LoadError>> {
        self.ready().map(|ready| &ready.how)
    }

    /// What can be called.
    pub(crate) fn linked(&self) -> Result<&Linked, Arc<LoadError>> {
        self.ready().map(|ready| &ready.linked)
    }

    fn ready(&self) -> Result<&Ready, Arc<LoadError>> {
        let ready = self.ready.get_or_init(|| {
            let Self { engine, description, wasm, .. } = self;
            let kept = engine.code().map(|store| (store, store.get(engine.wasmtime(), &description.digest)));
            let ready = match kept {
                Some((_, Found::Sound(kept))) => {
                    engine.link(&kept, description).map(|linked| Ready { linked, how: How::Kept })
                }
                Some((store, Found::Damaged)) => {
                    store.tell_damage(&description.manifest.title());
                    engine.compile(wasm, description)
                }
                Some((_, Found::Gone)) | None => engine.compile(wasm, description),
            };
            ready.map_err(Arc::new)
        });
        ready.as_ref().map_err(Arc::clone)
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
            .field("is_ready", &self.ready.get().is_some())
            .finish_non_exhaustive()
    }
}
