//! `stave images`: what is in the image store, and what goes out of it.

use serde::Serialize;
use stave_oci::reference::Reference;

use crate::{
    args::{Images, Output, cache::ImagesRemove},
    exit::{Exit, GENERAL, USAGE},
    ui::bytes,
    workshop::Workshop,
};

/// Takes names out of the store: all of them, or none if one is not there.
pub(crate) fn remove(workshop: &Workshop, arguments: &ImagesRemove) -> Result<(), Exit> {
    let mut names: Vec<String> = Vec::new();
    let there = workshop.images.list()?;
    for text in &arguments.names {
        // A stack that was composed has a name as it is, and nobody has to be able to read it as a reference.
        let name = if there.iter().any(|entry| entry.name == *text) {
            text.clone()
        } else {
            let reference: Reference = text.parse().map_err(|error| Exit::new(USAGE, error))?;
            reference.to_string()
        };
        if !there.iter().any(|entry| entry.name == name) {
            let exit = Exit::new(GENERAL, format!("there is no image `{name}` in the image store"));
            return Err(exit.hint("`stave images` lists what there is"));
        }
        if !names.contains(&name) {
            names.push(name);
        }
    }
    for name in names {
        let before = workshop.images.size();
        let count = workshop.images.remove(&name)?;
        let freed = before.saturating_sub(workshop.images.size());
        let images = if count == 1 { "1 image".to_owned() } else { format!("{count} images") };
        workshop.ui.result(&format!("removed {name} ({images}, {})", bytes(freed)));
    }
    Ok(())
}

/// One line of the list.
#[derive(Serialize)]
struct Line {
    name: String,
    platform: String,
    digest: String,
}

pub(crate) fn run(workshop: &Workshop, arguments: &Images) -> Result<(), Exit> {
    let entries = workshop.images.list()?;
    let lines: Vec<Line> = entries
        .into_iter()
        .map(|entry| Line {
            name: entry.name,
            platform: entry.platform.to_string(),
            digest: entry.manifest.digest.to_string(),
        })
        .collect();
    match arguments.output {
        Output::Json => {
            let text = serde_json::to_string_pretty(&lines).map_err(|error| Exit::new(GENERAL, error))?;
            workshop.ui.result(&text);
        }
        Output::Text if lines.is_empty() => workshop.ui.say("the image store is empty: build something"),
        Output::Text => {
            let width = lines.iter().map(|line| line.name.len()).max().unwrap_or(0);
            for line in lines {
                workshop.ui.result(&format!("{:width$}  {:12}  {}", line.name, line.platform, line.digest));
            }
        }
    }
    Ok(())
}
