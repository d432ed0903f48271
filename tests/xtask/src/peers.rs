//! Builds the tools that Stave is compared with, where Go is on the machine. `tests/peers/README.md` says which.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::shell::{self, has, root};

/// Modules that are built together, and what they are for.
#[derive(Clone, Copy)]
pub(crate) struct Group {
    /// What is built, in words.
    pub(crate) what: &'static str,
    /// Each module below `tests/peers` and what is built from it.
    modules: &'static [(&'static str, &'static [&'static str])],
}

/// The tools of the same trade.
pub(crate) const BUILDERS: Group = Group {
    what: "the lifecycle, pack and crane",
    modules: &[
        (
            "lifecycle",
            &["github.com/buildpacks/lifecycle/cmd/lifecycle", "github.com/buildpacks/lifecycle/cmd/launcher"],
        ),
        ("pack", &["github.com/buildpacks/pack"]),
        ("crane", &["github.com/google/go-containerregistry/cmd/crane"]),
    ],
};
/// What others put artefacts into registries with.
pub(crate) const ORAS: Group = Group { what: "oras", modules: &[("oras", &["oras.land/oras/cmd/oras"])] };

/// What signs and verifies artefacts.
pub(crate) const COSIGN: Group =
    Group { what: "cosign", modules: &[("cosign", &["github.com/sigstore/cosign/v3/cmd/cosign"])] };

/// Builds what is not there yet, and prints the folder that holds the programs: the last line, for whoever runs this.
pub(crate) fn run(group: Option<&str>) -> Result<()> {
    let group = match group {
        None => BUILDERS,
        Some("oras") => ORAS,
        Some("cosign") => COSIGN,
        Some(other) => anyhow::bail!("there is no group `{other}`: leave it away, or name oras or cosign"),
    };
    if let Some(folder) = here(group)? {
        println!("{}", folder.display());
    }
    Ok(())
}

/// The folder that holds the programs, after building what is not there yet. Where they cannot be built, that is said loudly.
pub(crate) fn here(group: Group) -> Result<Option<PathBuf>> {
    match build(group) {
        Ok(folder) => Ok(Some(folder)),
        Err(error) if is_required() => Err(error),
        Err(error) => {
            eprintln!("SKIPPED: what compares with {}, because: {error:#}", group.what);
            Ok(None)
        }
    }
}

/// Whether somebody wants a failure where something would be skipped.
pub(crate) fn is_required() -> bool {
    std::env::var_os("STAVE_PEERS").is_some_and(|value| value == "required")
}

fn build(group: Group) -> Result<PathBuf> {
    anyhow::ensure!(has("go"), "Go is not on this machine");
    let sources = root().join("tests/peers");
    let folder = cache_folder()?.join(format!("{:016x}", locked(&sources, group)?));
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    for (module, packages) in group.modules {
        // One file for each module says that all of its programs are whole.
        let stamp = folder.join(format!(".{module}"));
        if stamp.exists() {
            continue;
        }
        let mut go = Command::new("go");
        go.args(["build", "-trimpath", "-ldflags=-s -w", "-o"]).arg(&folder).args(*packages);
        go.current_dir(sources.join(module));
        go.env("CGO_ENABLED", "0").env("GOFLAGS", "-mod=readonly -buildvcs=false");
        shell::run(&mut go).with_context(|| format!("build {module}"))?;
        fs::write(&stamp, "").with_context(|| format!("write {}", stamp.display()))?;
    }
    Ok(folder)
}

/// The folder in the user's cache (XDG base directory specification).
pub(crate) fn cache_folder() -> Result<PathBuf> {
    let of = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = of("XDG_CACHE_HOME").or_else(|| of("HOME").map(|home| home.join(".cache")));
    Ok(cache.context("neither XDG_CACHE_HOME nor HOME names a folder")?.join("stave-peers"))
}

/// A number that changes when what is locked does.
fn locked(sources: &Path, group: Group) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    for (module, _) in group.modules {
        let lock = sources.join(module).join("go.sum");
        fs::read(&lock).with_context(|| format!("read {}", lock.display()))?.hash(&mut hasher);
    }
    Ok(hasher.finish())
}
