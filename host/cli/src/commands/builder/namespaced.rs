//! Builders of a namespace: an order on a stack, which is made again when a part of it changes.

use stave_platform::{
    plan::world::BuilderKey,
    resource::name::{InvalidName, Name},
};

use crate::{
    args::{
        Whose,
        builder::{
            BuilderCreate, BuilderDelete, BuilderPatch, BuilderRollback, BuilderStatus, ClusterBuilderWish, OrderChoice,
        },
        platform::{Changing, Waiting},
    },
    commands::{
        clusterbuilder::said,
        resources::{
            self,
            builders::{self, Wish},
        },
    },
    exit::{Exit, USAGE},
    platform::Desk,
    workshop::Workshop,
};

fn key(workshop: &Workshop, name: &Name, whose: &Whose) -> BuilderKey {
    BuilderKey { namespace: Some(resources::namespace(workshop, whose)), name: name.clone() }
}

/// Of what was typed in the place of a file.
pub(super) fn create(workshop: &Workshop, typed: &BuilderCreate) -> Result<(), Exit> {
    let name = typed.what.to_string_lossy().parse().map_err(|error: InvalidName| {
        Exit::new(USAGE, error)
            .hint("a builder of a namespace has a name and an order; one that is made of a file has neither flag")
    })?;
    let tag = typed.tag.as_deref().map(str::parse).transpose().map_err(|error| Exit::new(USAGE, error))?;
    let order: OrderChoice = typed.order.clone();
    let wish = ClusterBuilderWish { tag, stack: typed.stack.clone(), store: typed.store.clone(), order };
    let wish = Wish::of(workshop, &wish, typed.service_account.as_ref())?;
    let key = key(workshop, &name, &Whose { namespace: typed.namespace.clone() });
    let changing = Changing { dry_run: typed.dry_run, waiting: Waiting { wait: typed.wait } };
    builders::create(&Desk::open(workshop)?, &key, wish, said(changing, typed.printed.form))
}

/// What is said is changed.
pub(super) fn patch(workshop: &Workshop, typed: &BuilderPatch) -> Result<(), Exit> {
    let wish = Wish::of(workshop, &typed.wish.wish, typed.wish.service_account.as_ref())?;
    let key = key(workshop, &typed.name, &typed.whose);
    builders::patch(&Desk::open(workshop)?, &key, wish, said(typed.changing, typed.printed.form))
}

/// Either of them.
pub(super) fn save(workshop: &Workshop, typed: &BuilderPatch) -> Result<(), Exit> {
    let wish = Wish::of(workshop, &typed.wish.wish, typed.wish.service_account.as_ref())?;
    let key = key(workshop, &typed.name, &typed.whose);
    builders::save(&Desk::open(workshop)?, &key, wish, said(typed.changing, typed.printed.form))
}

/// What it is.
pub(super) fn status(workshop: &Workshop, typed: &BuilderStatus) -> Result<(), Exit> {
    builders::show(&Desk::open(workshop)?, &key(workshop, &typed.name, &typed.whose), typed.printed.form)
}

/// Takes it away.
pub(super) fn delete(workshop: &Workshop, typed: &BuilderDelete) -> Result<(), Exit> {
    builders::delete(&Desk::open(workshop)?, &key(workshop, &typed.name, &typed.whose), typed.waiting.wait)
}

/// Makes it again what it was.
pub(super) fn roll_back(workshop: &Workshop, typed: &BuilderRollback) -> Result<(), Exit> {
    let key = key(workshop, &typed.name, &typed.whose);
    builders::roll_back(&Desk::open(workshop)?, &key, typed.to, typed.waiting.wait)
}
