//! Compiles a buildpack's folder with the language's own tool, and puts its manifest inside.

mod cargo;
mod npm;

use std::path::{Path, PathBuf};

use stave_engine::{admission::admit, component::describe, load::LoadError};
use stave_model::{component, manifest::Manifest};

use crate::{
    buildpacks::refused,
    config::read_capped,
    exit::{Exit, REFUSED, USAGE, printable},
};

/// A buildpack, compiled.
pub(crate) struct Compiled {
    /// Its manifest.
    pub(crate) manifest: Manifest,
    /// The component with the manifest inside.
    pub(crate) wasm: Vec<u8>,
}

/// What the tool says while it compiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Talk {
    /// All of it.
    All,
    /// Only what is wrong.
    Faults,
}

/// Makes a component of a folder; answers where it is.
type Tool = fn(&Path, Talk) -> Result<PathBuf, Exit>;
/// The languages' own tools, by the file that they begin with.
const TOOLS: [(&str, Tool); 2] = [("Cargo.toml", cargo::build), ("package.json", npm::build)];

/// Makes a component of what is in the folder. What imports an interface that its buildpack.toml does not ask for is refused here, and
/// not only by whoever uses it.
pub(crate) fn compile(folder: &Path, talk: Talk) -> Result<Compiled, Exit> {
    let folder = folder.canonicalize().map_err(|error| {
        let error = anyhow::Error::new(error).context(format!("no buildpack at {}", shown(folder)));
        Exit::new(USAGE, error)
    })?;
    let file = folder.join("buildpack.toml");
    let failed = |what: &str, error: anyhow::Error| Exit::new(USAGE, error.context(format!("could not {what}")));
    let text = read_capped(&file).map_err(|error| failed(&format!("read {}", shown(&file)), error.into()).hint(NEW))?;
    let manifest =
        Manifest::parse(&text).map_err(|error| failed(&format!("understand {}", shown(&file)), error.into()))?;
    let Some((_, build)) = TOOLS.iter().find(|(file, _)| folder.join(file).is_file()) else {
        let names = TOOLS.map(|(file, _)| file).join(" nor a ");
        return Err(Exit::new(USAGE, format!("{} has neither a {names}", shown(&folder))).hint(NEW));
    };
    let compiled = build(&folder, talk)?;
    let wasm = std::fs::read(&compiled).map_err(|error| failed(&format!("read {}", shown(&compiled)), error.into()))?;
    let wasm = component::embed(&wasm, &text).map_err(|error| Exit::new(REFUSED, error))?;
    let description = describe(&wasm, &stave_engine::Limits::default()).map_err(|error| Exit::new(REFUSED, error))?;
    admit(&description, &manifest.asks).map_err(|refusal| refused(&shown(&folder), LoadError::Refused(refusal)))?;
    Ok(Compiled { manifest, wasm })
}

const NEW: &str = "`stave buildpack new ID` makes a folder with a buildpack";

fn shown(path: &Path) -> String {
    printable(&path.display().to_string())
}
