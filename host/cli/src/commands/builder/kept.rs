//! `stave builder list` and `remove`: the builders that are kept under a name, and beside them those of the namespace.

use serde::Serialize;
use serde_json::{Value, json};
use stave_model::digest::Digest;
use stave_oci::{
    bundle::BESIDE,
    component::Place,
    layout::{self, LayoutFolder},
};

use crate::{
    args::{BuilderList, BuilderRemove},
    builder,
    commands::resources::{self, builders},
    exit::{Exit, GENERAL, printable},
    platform::Desk,
    ui::bytes,
    workshop::Workshop,
};

#[derive(Serialize)]
struct Kept {
    name: String,
    digest: Digest,
}

/// Lists them by name, and below them the builders of the namespace.
pub(super) fn list(workshop: &Workshop, arguments: &BuilderList) -> Result<(), Exit> {
    let kept = builder::all_kept(workshop)?.into_iter().map(|(name, digest)| Kept { name, digest });
    let kept: Vec<Kept> = kept.collect();
    let snapshot = Desk::open(workshop)?.snapshot()?;
    let namespace = resources::namespace(workshop, &arguments.whose);
    let wished = builders::of(&snapshot, Some(&namespace));
    if arguments.printed.form.document().is_some() {
        let documents = kept.iter().map(|kept| json!(kept)).chain(wished.map(builders::document));
        return resources::print_document(workshop, &documents.collect::<Value>(), arguments.printed.form);
    }
    let has_wished = wished.clone().next().is_some();
    if kept.is_empty() && !has_wished {
        workshop.ui.say("no builder is kept: `stave builder create` makes one of a builder.toml");
    }
    let width = kept.iter().map(|one| printable(&one.name).len()).max().unwrap_or(0);
    for Kept { name, digest } in &kept {
        workshop.ui.result(&format!("{:width$}  {digest}", printable(name)));
    }
    if has_wished {
        let between = if kept.is_empty() { "" } else { "\n" };
        workshop.ui.result(&format!("{between}{}", builders::table(wished).trim_end_matches('\n')));
    }
    Ok(())
}

/// Takes some away: all of them, or none if one is not there.
pub(super) fn remove(workshop: &Workshop, arguments: &BuilderRemove) -> Result<(), Exit> {
    let there = builder::all_kept(workshop)?;
    let mut places: Vec<(String, layout::Place)> = Vec::new();
    for text in &arguments.names {
        let name = builder::kept_name(text)?;
        let Place::Layout { place, .. } = builder::kept_place(workshop, text)? else { continue };
        if !there.iter().any(|(kept, _)| *kept == name) {
            let exit = Exit::new(GENERAL, format!("no builder is kept as {}", printable(&name)));
            return Err(exit.hint("`stave builder list` lists those that are"));
        }
        if !places.iter().any(|(known, _)| *known == name) {
            places.push((name, place));
        }
    }
    for (name, place) in places {
        let mut freed = 0;
        for end in [""].into_iter().chain(BESIDE) {
            let place = layout::Place { name: Some(format!("{name}{end}")), ..place.clone() };
            freed += LayoutFolder::new(place).remove()?.unwrap_or(0);
        }
        workshop.ui.result(&format!("removed {name} ({})", bytes(freed)));
    }
    Ok(())
}
