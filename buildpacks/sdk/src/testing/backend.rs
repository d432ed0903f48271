//! The contract's functions natively: each call translated onto the workbench, as the engine does it for a component, and
//! nothing more. Grants, phases and limits are the workbench's to check.

use std::{cell::RefCell, sync::Arc};

use stave_lifecycle::{
    port::failure::{Fault as PortFault, PortError},
    workbench::{self, Answer, Workbench},
};

use crate::{
    Error, Fault,
    app::{Entry, Kind},
};

thread_local! {
    static BENCH: RefCell<Option<Arc<Workbench>>> = const { RefCell::new(None) };
}

/// Puts the thread's earlier bench back, also where a buildpack panicked.
struct Leave(Option<Arc<Workbench>>);

impl Drop for Leave {
    fn drop(&mut self) {
        BENCH.set(self.0.take());
    }
}

/// Lets `work` be done at `bench`: whoever asks the host on this thread meanwhile, asks it.
pub(super) fn at<T>(bench: &Arc<Workbench>, work: impl FnOnce() -> T) -> T {
    let _leave = Leave(BENCH.replace(Some(Arc::clone(bench))));
    work()
}

fn here() -> Arc<Workbench> {
    let bench = BENCH.with_borrow(Clone::clone);
    bench.expect("the host was asked and there is none: a buildpack is tested with `stave_sdk::testing::Host`")
}

fn ask<T>(question: impl FnOnce(&Workbench) -> Answer<T>) -> Result<T, Error> {
    question(&here()).map_err(told)
}

fn told(error: PortError) -> Error {
    let fault = match error.fault {
        PortFault::Denied => Fault::Denied,
        PortFault::NotFound => Fault::NotFound,
        PortFault::InvalidInput => Fault::InvalidInput,
        PortFault::TooLarge => Fault::TooLarge,
        PortFault::Integrity => Fault::Integrity,
        PortFault::Network => Fault::Network,
        // Nobody asks a test to stop.
        PortFault::Io | PortFault::Cancelled => Fault::Io,
        PortFault::Unsupported => Fault::Unsupported,
    };
    let message = error.sentence();
    Error { fault, message, hint: error.hint }
}

fn entries(found: Vec<workbench::Entry>) -> Vec<Entry> {
    let kind = |kind| match kind {
        workbench::Kind::File => Kind::File,
        workbench::Kind::Folder => Kind::Folder,
        workbench::Kind::Link => Kind::Link,
    };
    let entry =
        |workbench::Entry { path, kind: of, size, executable }| Entry { path, kind: kind(of), size, executable };
    found.into_iter().map(entry).collect()
}

pub(crate) mod app {
    //! `app`.
    use super::{Entry, Error, ask, entries};

    /// An archive of the app.
    #[derive(Debug)]
    pub struct Archive(usize);

    pub(crate) fn find(patterns: &[String], limit: u32) -> Result<Vec<Entry>, Error> {
        ask(|bench| bench.find(patterns, limit)).map(entries)
    }

    pub(crate) fn stat(path: &str) -> Result<Option<Entry>, Error> {
        Ok(entries(ask(|bench| bench.stat(path))?.into_iter().collect()).pop())
    }

    pub(crate) fn read(path: &str, limit: u32) -> Result<Vec<u8>, Error> {
        ask(|bench| bench.read(path, u64::from(limit)))
    }

    pub(crate) fn digest(patterns: &[String]) -> Result<String, Error> {
        ask(|bench| bench.digest(patterns)).map(|digest| digest.to_string())
    }

    pub(crate) fn open_archive(path: &str) -> Result<Archive, Error> {
        ask(|bench| bench.open_archive(path)).map(Archive)
    }

    impl Archive {
        /// Like [`find`](crate::app::find), within the archive.
        pub fn find(&self, patterns: &[String], limit: u32) -> Result<Vec<Entry>, Error> {
            ask(|bench| bench.archive_find(self.0, patterns, limit)).map(entries)
        }

        /// Reads a file of the archive whole.
        pub fn read(&self, path: &str, limit: u32) -> Result<Vec<u8>, Error> {
            ask(|bench| bench.archive_read(self.0, path, u64::from(limit)))
        }
    }
}

pub(crate) mod artifacts {
    //! `artifacts`.
    use stave_lifecycle::workbench;

    use super::{Entry, Error, ask, entries, layers::Layer};
    use crate::artifacts::{Dependency, Unpacking};

    /// A fetched dependency.
    #[derive(Debug)]
    pub struct Artifact(usize);

    pub(crate) fn available(id: &str) -> Result<Vec<Dependency>, Error> {
        let dependency = |workbench::Available { dependency, artifact }| Dependency {
            id: dependency.id,
            version: dependency.version.to_string(),
            name: dependency.name,
            licenses: dependency.licenses,
            purl: artifact.purl.to_string(),
        };
        Ok(ask(|bench| bench.available(id))?.into_iter().map(dependency).collect())
    }

    pub(crate) fn fetch(id: &str, version: &str) -> Result<Artifact, Error> {
        ask(|bench| bench.fetch(id, version)).map(Artifact)
    }

    impl Artifact {
        /// Size of the file in bytes.
        pub fn size(&self) -> u64 {
            ask(|bench| bench.artifact_size(self.0)).expect("an artefact that was fetched has a size")
        }

        /// What is in the archive.
        pub fn find(&self, patterns: &[String], limit: u32) -> Result<Vec<Entry>, Error> {
            ask(|bench| bench.artifact_find(self.0, patterns, limit)).map(entries)
        }

        /// Reads a file of the archive.
        pub fn read(&self, path: &str, limit: u32) -> Result<Vec<u8>, Error> {
            ask(|bench| bench.artifact_read(self.0, path, u64::from(limit)))
        }

        /// Unpacks into a layer; answers how many files and links were put there.
        pub fn unpack(&self, to: &Layer, how: &Unpacking) -> Result<u64, Error> {
            let Unpacking { from, into, keep, drop, executable } = how.clone();
            let how = workbench::Unpacking { from, into, keep, drop, executable };
            ask(|bench| bench.artifact_unpack(self.0, to.0, &how))
        }

        /// Puts the file itself into a layer.
        pub fn save(&self, to: &Layer, path: &str, executable: bool) -> Result<(), Error> {
            ask(|bench| bench.artifact_save(self.0, to.0, path, executable))
        }
    }
}

pub(crate) mod bindings {
    //! `bindings`.
    use stave_lifecycle::workbench::Service;

    use super::{Error, ask};
    use crate::services::Binding;

    pub(crate) fn find(kind: &str) -> Result<Vec<Binding>, Error> {
        let binding = |Service { name, kind, provider, keys }| Binding { name, kind, provider, keys };
        Ok(ask(|bench| bench.bindings(kind))?.into_iter().map(binding).collect())
    }

    pub(crate) fn read(name: &str, key: &str) -> Result<Vec<u8>, Error> {
        ask(|bench| bench.read_binding(name, key))
    }
}

pub(crate) mod context {
    //! `context`.
    use stave_lifecycle::workbench::Workbench;

    use super::{Error, ask, here};
    use crate::context::Target;

    pub(crate) fn build_target() -> Target {
        let stave_model::target::Target { platform, distro } = here().target().clone();
        let (distro_name, distro_version) = distro.map(|distro| (distro.name, distro.version)).unzip();
        Target { os: platform.os, arch: platform.arch, variant: platform.variant, distro_name, distro_version }
    }

    pub(crate) fn exec_env() -> String {
        here().exec_env().to_string()
    }

    pub(crate) fn setting(name: &str) -> Result<Option<String>, Error> {
        ask(|bench| bench.setting(name))
    }

    pub(crate) fn settings(prefix: &str) -> Result<Vec<(String, String)>, Error> {
        ask(|bench| bench.settings(prefix))
    }

    pub(crate) fn notes() -> Result<Vec<(String, String)>, Error> {
        ask(Workbench::notes)
    }
}

pub(crate) mod layers {
    //! `layers`.
    use stave_lifecycle::{
        port::failure::{Fault as PortFault, PortError},
        previous,
        workbench::Answer,
    };
    use stave_model::{
        env::{self, EnvChange},
        layer,
    };

    use super::{Entry, Error, ask, entries};
    use crate::layers::{EnvOp, EnvScope, PreviousLayer, Usage};

    /// A layer that is being made.
    #[derive(Debug)]
    pub struct Layer(pub(super) usize);

    fn uses(usage: Usage) -> layer::Usage {
        layer::Usage {
            build: usage.contains(Usage::BUILD),
            launch: usage.contains(Usage::LAUNCH),
            cache: usage.contains(Usage::CACHE),
        }
    }

    pub(crate) fn previous(name: &str) -> Result<Option<PreviousLayer>, Error> {
        let layer = |previous::PreviousLayer { usage, metadata }| PreviousLayer {
            usage: crate::testing::convert::usage(usage),
            metadata: metadata.into_iter().collect(),
        };
        Ok(ask(|bench| bench.previous_layer(name))?.map(layer))
    }

    pub(crate) fn create(name: &str, usage: Usage) -> Result<Layer, Error> {
        ask(|bench| bench.create_layer(name, uses(usage))).map(Layer)
    }

    pub(crate) fn reuse(name: &str, usage: Usage) -> Result<(), Error> {
        ask(|bench| bench.reuse_layer(name, uses(usage)))
    }

    pub(crate) fn restore(name: &str, usage: Usage) -> Result<Layer, Error> {
        ask(|bench| bench.restore_layer(name, uses(usage))).map(Layer)
    }

    fn change(scope: &EnvScope, op: EnvOp, name: &str, value: &str, delimiter: Option<&str>) -> Answer<EnvChange> {
        let invalid = |error: stave_model::id::InvalidName| {
            PortError::new(PortFault::InvalidInput, "could not set a variable in a layer").caused_by(error)
        };
        let scope = match scope {
            EnvScope::Both => env::EnvScope::Both,
            EnvScope::Build => env::EnvScope::Build,
            EnvScope::Launch => env::EnvScope::Launch,
            EnvScope::Process(kind) => env::EnvScope::Process(kind.parse().map_err(invalid)?),
        };
        let op = match op {
            EnvOp::Default => env::EnvOp::Default,
            EnvOp::Overwrite => env::EnvOp::Override,
            EnvOp::Prepend => env::EnvOp::Prepend,
            EnvOp::Append => env::EnvOp::Append,
        };
        let (name, delimiter) = (name.parse().map_err(invalid)?, delimiter.map(str::to_owned));
        Ok(EnvChange { scope, op, name, value: value.as_bytes().to_vec(), delimiter })
    }

    impl Layer {
        /// Where the layer stands in the image.
        pub fn path(&self) -> String {
            ask(|bench| bench.layer_path(self.0)).expect("a layer that was begun has a path")
        }

        /// Writes a file; a file or link that is there is replaced.
        pub fn write_file(&self, path: &str, contents: &[u8], executable: bool) -> Result<(), Error> {
            ask(|bench| bench.layer_write(self.0, path, contents.to_vec(), executable))
        }

        /// Makes a symbolic link.
        pub fn link(&self, path: &str, destination: &str) -> Result<(), Error> {
            ask(|bench| bench.layer_link(self.0, path, destination))
        }

        /// Copies files of the app that match; answers how many.
        pub fn copy_app(&self, patterns: &[String], into: &str) -> Result<u64, Error> {
            ask(|bench| bench.layer_copy_app(self.0, patterns, into))
        }

        /// Takes away what matches, with everything below; answers how many files and folders went.
        pub fn remove(&self, patterns: &[String]) -> Result<u64, Error> {
            ask(|bench| bench.layer_remove(self.0, patterns))
        }

        /// What is in the layer.
        pub fn find(&self, patterns: &[String], limit: u32) -> Result<Vec<Entry>, Error> {
            ask(|bench| bench.layer_find(self.0, patterns, limit)).map(entries)
        }

        /// Reads a file of the layer.
        pub fn read(&self, path: &str, limit: u32) -> Result<Vec<u8>, Error> {
            ask(|bench| bench.layer_read(self.0, path, u64::from(limit)))
        }

        /// Sets an environment variable.
        pub fn set_env(
            &self,
            scope: &EnvScope,
            op: EnvOp,
            name: &str,
            value: &str,
            delimiter: Option<&str>,
        ) -> Result<(), Error> {
            ask(|bench| bench.layer_set_env(self.0, change(scope, op, name, value, delimiter)?))
        }

        /// Notes to keep with the layer in the image's label.
        pub fn set_metadata(&self, values: &[(String, String)]) -> Result<(), Error> {
            ask(|bench| bench.layer_set_metadata(self.0, values.to_vec()))
        }
    }
}

pub(crate) mod log {
    //! `log`.
    use stave_lifecycle::port::observer;

    use super::here;
    use crate::log::Level;

    pub(crate) fn write(level: Level, message: &str) {
        let level = match level {
            Level::Debug => observer::Level::Debug,
            Level::Info => observer::Level::Info,
            Level::Warning => observer::Level::Warning,
            Level::Error => observer::Level::Error,
        };
        here().log(level, message);
    }

    pub(crate) fn step(title: &str) {
        here().step(title);
    }
}

pub(crate) mod overlay {
    //! `overlay`.
    use super::{Error, ask};

    pub(crate) fn write_file(path: &str, contents: &[u8], executable: bool) -> Result<(), Error> {
        ask(|bench| bench.overlay_write(path, contents.to_vec(), executable))
    }

    pub(crate) fn remove(patterns: &[String]) -> Result<u64, Error> {
        ask(|bench| bench.overlay_remove(patterns))
    }

    pub(crate) fn unpack(archive: &str, into: &str) -> Result<u64, Error> {
        ask(|bench| bench.overlay_unpack(archive, into))
    }
}
