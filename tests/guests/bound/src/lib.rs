//! A buildpack that reads the entry `word` of each service binding of the type `greeting` and tells it to everybody: in its
//! log, and, as the setting `BP_TELL` says, in a label, a file of the image or a crash. It also puts it into a file that is for this
//! build alone, which is its good right.

use stave_sdk::{
    Buildpack, Failure, Process, Report, Requirement, Verdict, context,
    layers::{self, Usage},
    log, services,
};

/// Tells.
pub struct Bound;

fn words() -> Result<Vec<String>, Failure> {
    let mut words = Vec::new();
    for binding in services::find("greeting")? {
        words.extend(binding.read_text("word")?);
    }
    Ok(words)
}

#[expect(clippy::print_stdout, reason = "a guest prints as ordinary programs do")]
fn say(words: &str) {
    println!("heard {words} in build");
}

fn crash(words: &str) -> ! {
    panic!("no use for {words}")
}

impl Buildpack for Bound {
    fn detect() -> Result<Verdict, Failure> {
        let words = words()?;
        if words.is_empty() {
            return Ok(Verdict::skip("no binding of the type greeting has a word"));
        }
        log::info(&format!("heard {} in detect", words.join(" ")));
        Ok(Verdict::pass())
    }

    fn build(_: &[Requirement]) -> Result<Report, Failure> {
        let words = words()?.join(" ");
        say(&words);
        let mut report = Report { processes: vec![Process::new("web", ["serve"]).default()], ..Report::default() };
        match context::setting("BP_TELL")?.as_deref() {
            Some("label") => report.labels.push(("word".to_owned(), words.clone())),
            Some("crash") => crash(&words),
            Some("fail") => return Err(Failure::app(format!("no use for {words}"))),
            _ => {}
        }
        let tells_file = context::setting("BP_TELL")?.as_deref() == Some("file");
        let usage = if tells_file { Usage::LAUNCH } else { Usage::BUILD };
        layers::create("words", usage)?.write_file("word.txt", words.as_bytes(), false)?;
        Ok(report)
    }
}

stave_sdk::export!(Bound);
