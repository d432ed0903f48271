//! A buildpack that keeps what its previous build made while the setting `BP_WORD` stays the same, and says why where it cannot.
//!
//! | Layer | For | Kept |
//! |---|---|---|
//! | `tool` | launch, or as `BP_USES` says | as it is |
//! | `modules` | launch and cache | as it is |
//! | `list` | cache | its file gets a line for each new word |

use stave_sdk::{
    Buildpack, Error, Failure, Process, Report, Requirement, Verdict, context,
    layers::{self, EnvScope, Usage},
    log,
};

/// Keeps.
pub struct Keeper;

impl Buildpack for Keeper {
    fn detect() -> Result<Verdict, Failure> {
        Ok(Verdict::pass())
    }

    fn build(_: &[Requirement]) -> Result<Report, Failure> {
        let word = context::setting("BP_WORD")?.unwrap_or_else(|| "one".to_owned());
        let uses = match context::setting("BP_USES")?.as_deref() {
            Some("build") => Usage::LAUNCH | Usage::BUILD,
            Some("cache") => Usage::LAUNCH | Usage::CACHE,
            _ => Usage::LAUNCH,
        };
        keep("tool", uses, &word)?;
        keep("modules", Usage::LAUNCH | Usage::CACHE, &word)?;
        list(&word)?;
        Ok(Report { processes: vec![Process::new("web", ["tool"]).default()], ..Report::default() })
    }
}

/// A layer of the word: the previous build's if that is of the same, else a new one.
fn keep(name: &str, uses: Usage, word: &str) -> Result<(), Error> {
    let before = layers::previous(name)?.map(|layer| layer.metadata).unwrap_or_default();
    let is_same = before.iter().any(|(name, value)| name == "word" && value == word);
    if is_same {
        match layers::reuse(name, uses) {
            Ok(()) => {
                log::info(&format!("{name}: kept"));
                return Ok(());
            }
            Err(error) => log::info(&format!("{name}: {}", error.message)),
        }
    }
    log::info(&format!("{name}: made of {word}"));
    let layer = layers::create(name, uses)?;
    layer.write_file(&format!("bin/{name}"), format!("#!/bin/sh\necho {word}\n").as_bytes(), true)?;
    layer.default_env(&EnvScope::Launch, "WORD", word)?;
    layer.set_metadata(&[("word".to_owned(), word.to_owned())])
}

/// A list of all words that were ever met.
fn list(word: &str) -> Result<(), Error> {
    let (layer, before) = match layers::restore("list", Usage::CACHE) {
        Ok(layer) => {
            let text = layer.read("words.txt", 1 << 20)?;
            (layer, String::from_utf8_lossy(&text).into_owned())
        }
        Err(error) => {
            log::info(&format!("list: {}", error.message));
            (layers::create("list", Usage::CACHE)?, String::new())
        }
    };
    log::info(&format!("list: had {:?}", before.lines().collect::<Vec<_>>()));
    if !before.lines().any(|line| line == word) {
        layer.write_file("words.txt", format!("{before}{word}\n").as_bytes(), false)?;
    }
    layer.set_metadata(&[("last".to_owned(), word.to_owned())])
}

stave_sdk::export!(Keeper);
