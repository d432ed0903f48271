//! `stave buildpack detect`: asks one buildpack whether it takes an app, and shows what it looked at.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;
use stave_engine::Engine;
use stave_lifecycle::{
    app::{self, selection::Selection},
    detect::alone::{self as asked, Looked},
    port::{
        buildpack::{Buildpack, RunError, Verdict},
        failure::PortError,
    },
    workbench::{Shop, Sight},
};
use stave_model::{
    plan::Alternative,
    target::{Platform, Target},
};

use super::{
    compile::{Talk, compile},
    read_component,
};
use crate::{
    alone,
    args::{BuildpackDetect, Output},
    bindings,
    exit::{ANALYZE, DECLINED, DETECT_FAILED, Exit, GENERAL, INTERRUPTED, printable},
    settings::settings,
    watch,
    workshop::Workshop,
};

/// The answer, for programs.
#[derive(Serialize)]
struct About<'a> {
    buildpack: String,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    ways: &'a [Alternative],
    looked_at: Vec<LookAbout<'a>>,
}

#[derive(Serialize)]
struct LookAbout<'a> {
    question: &'a str,
    answer: &'static str,
}

/// Asks once, or again and again.
pub(crate) fn run(workshop: &Workshop, arguments: &BuildpackDetect) -> Result<(), Exit> {
    let engine = alone::engine()?;
    if !arguments.watch {
        return once(workshop, &engine, arguments);
    }
    let places = [PathBuf::from(&arguments.buildpack), arguments.app.clone()];
    watch::repeat(workshop, &places, || once(workshop, &engine, arguments))
}

fn once(workshop: &Workshop, engine: &Engine, arguments: &BuildpackDetect) -> Result<(), Exit> {
    let name = &arguments.buildpack;
    let folder = Path::new(name);
    let wasm = if folder.is_dir() { compile(folder, Talk::Faults)?.wasm } else { read_component(name)? };
    let buildpack = alone::load(engine, &printable(name), &wasm)?;
    let shop = shop(workshop, arguments)?;
    let app = app::open(&arguments.app, &Selection::default(), &shop.limits.archive, None);
    let app = app.map_err(|error| Exit::new(ANALYZE, error))?.tree;
    let looked = asked::detect(&shop, &buildpack, &app);
    let title = buildpack.manifest().title();
    match arguments.output {
        Output::Text => workshop.ui.result(&for_people(&title, &looked)),
        Output::Json => {
            let about = about(&title, &looked);
            workshop.ui.result(&serde_json::to_string_pretty(&about).map_err(|error| Exit::new(GENERAL, error))?);
        }
    }
    ending(&title, looked)
}

fn shop(workshop: &Workshop, arguments: &BuildpackDetect) -> Result<Shop, Exit> {
    let settings = settings(&[], &arguments.env_file, &arguments.env, |name| std::env::var(name).ok())?;
    let platform = arguments.platform.clone().unwrap_or_else(Platform::of_this_machine);
    Ok(Shop {
        target: Target { platform, distro: None },
        exec_env: arguments.exec_env.clone().unwrap_or_default(),
        settings: Arc::new(settings),
        bindings: Arc::new(bindings::read(&arguments.binding, &arguments.bindings)?),
        ..alone::shop(workshop)?
    })
}

/// The codes of the buildpack specification: 0 where it takes part, 100 where it does not, another where it failed.
fn ending(title: &str, looked: Looked) -> Result<(), Exit> {
    match looked.verdict {
        Ok(Verdict::Pass(_)) => Ok(()),
        Ok(Verdict::Skip(reason)) => Err(Exit::new(DECLINED, format!("{title} does not take the app: {reason}"))),
        Err(RunError::Cancelled) => Err(Exit::new(INTERRUPTED, PortError::cancelled())),
        Err(error) => {
            let failure = if let RunError::Refused(failure) = &error { Some((**failure).clone()) } else { None };
            let context = anyhow::Error::new(error).context(format!("{title} failed while it looked at the app"));
            let mut exit = Exit::new(DETECT_FAILED, context);
            if let Some(failure) = failure {
                let line = failure.line.map(|line| format!(", line {line}")).unwrap_or_default();
                exit = failure.file.into_iter().fold(exit, |exit, file| exit.detail(format!("in {file}{line}")));
                exit = failure.detail.into_iter().fold(exit, Exit::detail);
                exit = failure.hint.into_iter().fold(exit, Exit::hint);
            }
            Err(exit)
        }
    }
}

fn for_people(title: &str, looked: &Looked) -> String {
    let mut lines = Vec::new();
    if !looked.looks.is_empty() {
        lines.push(format!("{title} looked at"));
        let width = looked.looks.iter().map(|look| look.question.chars().count()).max().unwrap_or_default().min(60);
        lines.extend(looked.looks.iter().map(|look| format!("  {:width$}  {}", look.question, told(look.answer))));
    }
    if let Ok(Verdict::Pass(ways)) = &looked.verdict {
        lines.push(format!("{title} takes the app"));
        lines.extend(ways.iter().enumerate().flat_map(|(at, way)| way_lines(way, at, ways.len() > 1)));
    }
    lines.iter().map(|line| printable(line)).collect::<Vec<_>>().join("\n")
}

/// What a way provides and requires.
fn way_lines(way: &Alternative, at: usize, are_several: bool) -> Vec<String> {
    let word = if at == 0 { "  either" } else { "  or" };
    let mut lines: Vec<String> = are_several.then(|| word.to_owned()).into_iter().collect();
    lines.extend(way.provides.iter().map(|name| format!("  provides {name}")));
    lines.extend(way.requires.iter().map(|requirement| {
        let details: Vec<String> =
            requirement.metadata.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        let details = if details.is_empty() { String::new() } else { format!(" ({})", details.join(", ")) };
        format!("  requires {}{details}", requirement.name)
    }));
    lines
}

fn told(sight: Sight) -> &'static str {
    match sight {
        Sight::There => "there",
        Sight::Missing => "not there",
        Sight::Refused => "refused",
        Sight::Secret => "secret",
    }
}

fn about<'a>(title: &str, looked: &'a Looked) -> About<'a> {
    let (verdict, reason, ways) = match &looked.verdict {
        Ok(Verdict::Pass(ways)) => ("pass", None, ways.as_slice()),
        Ok(Verdict::Skip(reason)) => ("skip", Some(reason.clone()), &[][..]),
        Err(error) => ("fail", Some(error.to_string()), &[][..]),
    };
    let looked_at = looked.looks.iter();
    About {
        buildpack: title.to_owned(),
        verdict,
        reason,
        ways,
        looked_at: looked_at.map(|look| LookAbout { question: &look.question, answer: told(look.answer) }).collect(),
    }
}
