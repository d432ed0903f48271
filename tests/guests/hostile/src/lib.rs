//! A buildpack that misbehaves as the setting `BP_HOSTILE` says, in whichever of its exports is called. With another word, or
//! none, it behaves: it passes, and makes one layer and one process.
//!
//! What is asked of the host here is asked as a hostile author would ask it: for too much, with the wrong names, for ever.

mod answers;
mod excess;
mod probes;

use stave_sdk::{
    Buildpack, Failure, Process, Report, Requirement, Verdict, context,
    layers::{self, Usage},
    log,
};

/// Misbehaves.
pub struct Hostile;

impl Buildpack for Hostile {
    fn detect() -> Result<Verdict, Failure> {
        let word = word()?;
        if let Some(findings) = act(&word)? {
            return Ok(Verdict::skip(findings));
        }
        Ok(answers::verdict(&word).unwrap_or_else(Verdict::pass))
    }

    fn build(_: &[Requirement]) -> Result<Report, Failure> {
        let word = word()?;
        if let Some(findings) = act(&word)? {
            return Err(Failure::app(findings));
        }
        if let Some(report) = answers::report(&word) {
            return Ok(report);
        }
        if word == "count" {
            return count();
        }
        let layer = layers::create("good", Usage::LAUNCH)?;
        layer.write_file("bin/serve", b"#!/bin/sh\n", true)?;
        Ok(Report { processes: vec![Process::new("web", ["bin/serve"]).default()], ..Report::default() })
    }
}

fn word() -> Result<String, Failure> {
    Ok(context::setting("BP_HOSTILE")?.unwrap_or_default())
}

/// Counts the builds of an image in its notes, and says what the last one left.
fn count() -> Result<Report, Failure> {
    let last = context::notes()?.get("builds").and_then(|count| count.parse().ok()).unwrap_or(0);
    let layer = layers::create("counted", Usage::LAUNCH)?;
    let before = layers::previous("counted")?.map(|layer| layer.metadata).unwrap_or_default();
    let count: u32 = last + 1;
    log::info(&format!("build {count}, after {before:?}"));
    layer.set_metadata(&[("build".to_owned(), count.to_string())])?;
    Ok(Report { store: vec![("builds".to_owned(), count.to_string())], ..Report::default() })
}

/// Does as the word says. Some words have an outcome to report; most never come back.
fn act(word: &str) -> Result<Option<String>, Failure> {
    match word {
        "spin" => excess::spin(),
        "sleep" => excess::sleep(),
        "allocate" => excess::allocate(),
        "recurse" => excess::recurse(),
        "descend" => excess::descend(),
        "panic" => excess::panic(),
        "abort" => std::process::abort(),
        "exit" => excess::exit(),
        "flood" => excess::flood(),
        "print" => excess::print(),
        "send" => excess::send(),
        "forge" => {
            probes::forge();
            return Ok(None);
        }
        "handles" => return excess::handles().map(Some),
        "layers" => return excess::layers().map(Some),
        "world" => return Ok(Some(probes::world())),
        "denied" => return Ok(Some(probes::denied())),
        "names" => return Ok(Some(probes::names())),
        "climb" => return Ok(Some(probes::climb())),
        "transfer" => return Ok(Some(probes::transfer())),
        "layer-names" => return Ok(Some(probes::layer_names())),
        "variables" => return Ok(Some(probes::variables())),
        "leave" => return Ok(Some(probes::leave())),
        "refuse" => return Err(answers::refusal()),
        _ => return Ok(None),
    }
    Ok(Some("done".to_owned()))
}

stave_sdk::export!(Hostile);
