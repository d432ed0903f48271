//! `stave clusterbuilder`: builders of all namespaces.

use stave_platform::{plan::world::BuilderKey, resource::name::Name};

use super::resources::{
    Said,
    builders::{self, Wish},
};
use crate::{
    args::{
        ClusterBuilderCommand,
        platform::{Changing, Form},
    },
    exit::Exit,
    platform::Desk,
    workshop::Workshop,
};

/// Does what was typed about cluster builders.
pub(crate) fn run(workshop: &Workshop, command: &ClusterBuilderCommand) -> Result<(), Exit> {
    let desk = Desk::open(workshop)?;
    match command {
        ClusterBuilderCommand::Create(typed) => {
            let wish = Wish::of(workshop, &typed.wish, None)?;
            builders::create(&desk, &key(&typed.name), wish, said(typed.changing, typed.printed.form))
        }
        ClusterBuilderCommand::Patch(typed) => {
            let wish = Wish::of(workshop, &typed.wish, None)?;
            builders::patch(&desk, &key(&typed.name), wish, said(typed.changing, typed.printed.form))
        }
        ClusterBuilderCommand::Save(typed) => {
            let wish = Wish::of(workshop, &typed.wish, None)?;
            builders::save(&desk, &key(&typed.name), wish, said(typed.changing, typed.printed.form))
        }
        ClusterBuilderCommand::List(typed) => builders::list(&desk, typed.printed.form),
        ClusterBuilderCommand::Status(typed) => builders::show(&desk, &key(&typed.name), typed.printed.form),
        ClusterBuilderCommand::Delete(typed) => builders::delete(&desk, &key(&typed.name), typed.waiting.wait),
        ClusterBuilderCommand::Rollback(typed) => {
            builders::roll_back(&desk, &key(&typed.name), typed.to, typed.waiting.wait)
        }
    }
}

/// A builder of all namespaces.
pub(crate) fn key(name: &Name) -> BuilderKey {
    BuilderKey { namespace: None, name: name.clone() }
}

/// How a change of a builder is told.
pub(crate) fn said(changing: Changing, form: Form) -> Said {
    Said { form, rehearsal: changing.rehearsal(), wait: changing.waiting.wait, is_change: false }
}
