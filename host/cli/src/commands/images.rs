//! `stave images`: what is in the image store.

use serde::Serialize;

use crate::{
    args::{Images, Output},
    exit::{Exit, GENERAL},
    workshop::Workshop,
};

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
