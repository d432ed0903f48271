//! `stave clusterbuildpack`: buildpacks that builders of all namespaces take, each by itself.

use stave_platform::resource::{name::Name, package::PackageKey};

use super::resources::packages::{self, Wish, said};
use crate::{args::ClusterBuildpackCommand, exit::Exit, platform::Desk, workshop::Workshop};

/// Does what was typed about cluster buildpacks.
pub(crate) fn run(workshop: &Workshop, command: &ClusterBuildpackCommand) -> Result<(), Exit> {
    let desk = Desk::open(workshop)?;
    match command {
        ClusterBuildpackCommand::Create(create) => {
            let typed = &create.typed;
            packages::create(&desk, &key(&typed.name), Wish::of(typed, None), said(typed))
        }
        ClusterBuildpackCommand::Patch(typed) => {
            packages::patch(&desk, &key(&typed.name), Wish::of(typed, None), said(typed))
        }
        ClusterBuildpackCommand::Save(typed) => {
            packages::save(&desk, &key(&typed.name), Wish::of(typed, None), said(typed))
        }
        ClusterBuildpackCommand::List(typed) => packages::list(&desk, None, typed.printed.form),
        ClusterBuildpackCommand::Status(typed) => packages::show(&desk, &key(&typed.name), typed.printed.form),
        ClusterBuildpackCommand::Delete(typed) => packages::delete(&desk, &key(&typed.name), typed.waiting.wait),
        ClusterBuildpackCommand::Refresh(typed) => packages::refresh(&desk, None, typed),
    }
}

/// One of all namespaces.
pub(crate) fn key(name: &Name) -> PackageKey {
    PackageKey { namespace: None, name: name.clone() }
}
