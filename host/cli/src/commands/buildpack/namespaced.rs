//! `stave buildpack create` to `refresh`: buildpacks that builders of a namespace take, each by itself.

use stave_platform::resource::{name::Name, package::PackageKey};

use crate::{
    args::{
        Whose,
        package::{BuildpackDelete, BuildpackList, BuildpackPatch, BuildpackRefresh, BuildpackStatus},
    },
    commands::resources::{
        self,
        packages::{self, Wish, said},
    },
    exit::Exit,
    platform::Desk,
    workshop::Workshop,
};

fn key(workshop: &Workshop, name: &Name, whose: &Whose) -> PackageKey {
    PackageKey { namespace: Some(resources::namespace(workshop, whose)), name: name.clone() }
}

/// Who changes one, and how.
type Change = fn(&Desk<'_>, &PackageKey, Wish, resources::Said) -> Result<(), Exit>;

fn change(workshop: &Workshop, typed: &BuildpackPatch, how: Change) -> Result<(), Exit> {
    let wish = Wish::of(&typed.wish, typed.service_account.as_ref());
    how(&Desk::open(workshop)?, &key(workshop, &typed.wish.name, &typed.whose), wish, said(&typed.wish))
}

/// One that is new.
pub(crate) fn create(workshop: &Workshop, typed: &BuildpackPatch) -> Result<(), Exit> {
    change(workshop, typed, packages::create)
}

/// What is said is changed.
pub(crate) fn patch(workshop: &Workshop, typed: &BuildpackPatch) -> Result<(), Exit> {
    change(workshop, typed, packages::patch)
}

/// Either of them.
pub(crate) fn save(workshop: &Workshop, typed: &BuildpackPatch) -> Result<(), Exit> {
    change(workshop, typed, packages::save)
}

/// Those of the namespace.
pub(crate) fn list(workshop: &Workshop, typed: &BuildpackList) -> Result<(), Exit> {
    let namespace = resources::namespace(workshop, &typed.whose);
    packages::list(&Desk::open(workshop)?, Some(&namespace), typed.printed.form)
}

/// What it is.
pub(crate) fn status(workshop: &Workshop, typed: &BuildpackStatus) -> Result<(), Exit> {
    packages::show(&Desk::open(workshop)?, &key(workshop, &typed.name, &typed.whose), typed.printed.form)
}

/// It is no more.
pub(crate) fn delete(workshop: &Workshop, typed: &BuildpackDelete) -> Result<(), Exit> {
    packages::delete(&Desk::open(workshop)?, &key(workshop, &typed.name, &typed.whose), typed.waiting.wait)
}

/// What their names lead to now.
pub(crate) fn refresh(workshop: &Workshop, typed: &BuildpackRefresh) -> Result<(), Exit> {
    let namespace = resources::namespace(workshop, &typed.whose);
    packages::refresh(&Desk::open(workshop)?, Some(&namespace), &typed.refresh)
}
