//! A component's outside, read without compiling it: its manifest, what it imports and exports, how large its parts are.

use std::collections::BTreeSet;

pub(crate) use stave_model::capability::imports::PACKAGE;
use stave_model::{
    capability::Interface,
    component::{self, ComponentError},
    digest::Digest,
    manifest::{Manifest, ManifestError},
};
use wasmparser::{Parser, Payload};

use crate::limits::Limits;

/// How often components and modules may stand in each other.
const MAX_DEPTH: usize = 8;
/// Most modules and components that a component consists of. Ordinary ones have fewer than ten.
const MAX_PARTS: usize = 200;
/// Most imports or exports of a component. The contract and WASI together have fewer than fifty interfaces.
const MAX_NAMES: usize = 200;

/// What a component's file says of itself. Nothing in it was run, and nothing of it is trusted.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// The digest of the file.
    pub digest: Digest,
    /// The size of the file in bytes.
    pub size: usize,
    /// Its manifest.
    pub manifest: Manifest,
    /// Names that it imports, such as `stave:buildpack/app@0.1.0`.
    pub imports: BTreeSet<String>,
    /// Names that it exports.
    pub exports: BTreeSet<String>,
}

/// Why a file cannot be taken for a buildpack, whatever may be granted to it.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    /// Too large to be looked at.
    #[error("the component has {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// Not a component with a manifest.
    #[error("this is no buildpack")]
    Component(#[source] ComponentError),
    /// The manifest cannot be read, or is for another contract.
    #[error("could not read the manifest that the component carries")]
    Manifest(#[source] ManifestError),
    /// The binary breaks off or makes no sense.
    #[error("{buildpack} is damaged")]
    Damaged {
        /// id@version.
        buildpack: String,
        /// What the parser says.
        #[source]
        source: wasmparser::BinaryReaderError,
    },
    /// Its parts are larger than a buildpack's are.
    #[error("{buildpack} has {what}, more than the limit of {limit}: compiling it could take for ever")]
    Shape {
        /// id@version.
        buildpack: String,
        /// What it has too much of.
        what: String,
        /// The limit.
        limit: usize,
    },
}

/// Reads a component's outside.
pub fn describe(wasm: &[u8], limits: &Limits) -> Result<Description, DescribeError> {
    if wasm.len() > limits.component_bytes {
        return Err(DescribeError::TooLarge { size: wasm.len(), limit: limits.component_bytes });
    }
    let manifest = component::manifest(wasm).map_err(DescribeError::Component)?;
    let manifest = Manifest::parse(manifest).map_err(DescribeError::Manifest)?;
    let (imports, exports) = names(wasm, limits, &manifest.title())?;
    Ok(Description { digest: Digest::of(wasm), size: wasm.len(), manifest, imports, exports })
}

impl Description {
    /// The interfaces of the contract that it imports, and could therefore use.
    pub fn interfaces(&self) -> BTreeSet<Interface> {
        self.imports.iter().filter_map(|name| Interface::named(contract(name)?.0)).collect()
    }
}

/// The interface and the version of an import or export that belongs to the contract.
pub(crate) fn contract(name: &str) -> Option<(&str, &str)> {
    split(name).and_then(|(package, interface, version)| (package == PACKAGE).then_some((interface, version)))
}

/// `package/interface@version` in its three parts.
pub(crate) fn split(name: &str) -> Option<(&str, &str, &str)> {
    let (package, rest) = name.split_once('/')?;
    let (interface, version) = rest.split_once('@').unwrap_or((rest, ""));
    Some((package, interface, version))
}

/// The names of the outermost component, while all parts are counted.
fn names(wasm: &[u8], limits: &Limits, buildpack: &str) -> Result<(BTreeSet<String>, BTreeSet<String>), DescribeError> {
    let damaged = |source| DescribeError::Damaged { buildpack: buildpack.to_owned(), source };
    let shape = |what, limit| Err(DescribeError::Shape { buildpack: buildpack.to_owned(), what, limit });
    let (mut imports, mut exports) = (BTreeSet::new(), BTreeSet::new());
    let (mut depth, mut parts, mut functions, mut entries) = (0, 0, 0, 0);
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(damaged)? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                depth += 1;
                parts += 1;
            }
            Payload::End(_) if depth > 0 => depth -= 1,
            Payload::CodeSectionEntry(body) => {
                functions += 1;
                if functions > limits.functions {
                    return shape(format!("at least {functions} functions"), limits.functions);
                }
                let size = body.range().len();
                if size > limits.function_bytes {
                    return shape(format!("a function of {size} bytes"), limits.function_bytes);
                }
            }
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.insert(import.map_err(damaged)?.name.name.to_owned());
                    entries += 1;
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.insert(export.map_err(damaged)?.name.name.to_owned());
                    entries += 1;
                }
            }
            _ => {}
        }
        if depth > MAX_DEPTH {
            return shape(format!("parts that stand {depth} deep in each other"), MAX_DEPTH);
        }
        if parts > MAX_PARTS {
            return shape(format!("at least {parts} parts"), MAX_PARTS);
        }
        if entries > MAX_NAMES {
            return shape(format!("{entries} imports and exports"), MAX_NAMES);
        }
    }
    Ok((imports, exports))
}
