//! Numbers for who watches, in the text format of Prometheus, version 0.0.4.

use std::{collections::BTreeMap, fmt::Write as _};

use axum::http::StatusCode;
use stave_platform::resource::build::Outcome;

use super::images::readiness;
use crate::{
    App, Came,
    answer::{Answer, Contents},
    call::Call,
    trouble::Trouble,
};

/// What the format is called.
const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One value, with what it is the value of.
type Sample<'a> = (Vec<(&'static str, &'a str)>, f64);

/// The text as it grows.
#[derive(Default)]
struct Page(String);

impl Page {
    /// A family of numbers.
    fn family(&mut self, name: &str, kind: &str, help: &str, samples: impl IntoIterator<Item = Sample<'static>>) {
        let help = help.replace('\\', r"\\").replace('\n', r"\n");
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            self.sample(name, &labels, value);
        }
    }

    fn sample(&mut self, name: &str, labels: &[(&'static str, &str)], value: f64) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let begin = if at == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{begin}{label}=\"{}\"", escaped(text));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }
}

/// A label's value as it stands between quotes.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n")
}

/// Numbers here are counts and seconds: none comes near to what a float cannot tell apart.
#[expect(clippy::cast_precision_loss, reason = "2^53 builds are far away")]
fn float(number: u64) -> f64 {
    number as f64
}

/// `GET /metrics`.
pub(crate) fn show(app: &App, _: &Call) -> Result<Answer, Trouble> {
    let snapshot = app.snapshot()?;
    let counters = app.services.state.counters();
    let mut page = Page::default();
    page.0.push_str("# HELP stave_info The version of the program.\n# TYPE stave_info gauge\n");
    page.sample("stave_info", &[("version", &app.services.lifecycle)], 1.0);
    let one = |value: u64| [(Vec::new(), float(value))];
    page.family(
        "stave_start_time_seconds",
        "gauge",
        "Since when it reconciles, in seconds since 1970.",
        one(counters.up_since),
    );
    page.family("stave_builds_running", "gauge", "Builds that run.", one(counters.running));
    page.family("stave_builds_waiting", "gauge", "Builds that wait for their turn.", one(counters.waiting));
    let ended = || counters.ended.iter().map(|ended| (mode(ended.mode), ended.outcome.as_str(), ended));
    let labels = |mode, outcome| vec![("mode", mode), ("outcome", outcome)];
    page.family(
        "stave_builds_ended_total",
        "counter",
        "Builds that came to an end since the start, by how they were made and what came of them.",
        ended().map(|(mode, outcome, ended)| (labels(mode, outcome), float(ended.count))).collect::<Vec<_>>(),
    );
    page.family(
        "stave_build_seconds_total",
        "counter",
        "How long these builds took together.",
        ended()
            .map(|(mode, outcome, ended)| (labels(mode, outcome), float(ended.milliseconds) / 1000.0))
            .collect::<Vec<_>>(),
    );
    let ready = readiness(app, &snapshot).map(|(word, count)| (vec![("ready", word)], float(count as u64)));
    page.family("stave_images", "gauge", "Images, by whether they are ready.", ready);
    let mut kept: BTreeMap<&'static str, u64> = BTreeMap::new();
    for build in snapshot.images.values().flat_map(|record| &record.builds) {
        *kept.entry(outcome(&build.outcome)).or_default() += 1;
    }
    let kept = OUTCOMES.map(|word| (vec![("outcome", word)], float(kept.get(word).copied().unwrap_or_default())));
    page.family("stave_build_records", "gauge", "Records of builds that are kept, by what came of them.", kept);
    let kinds = [
        ("builder", snapshot.builders.len()),
        ("stack", snapshot.stacks.len()),
        ("store", snapshot.stores.len()),
        ("buildpack", snapshot.packages.len()),
    ];
    let kinds = kinds.map(|(kind, count)| (vec![("kind", kind)], float(count as u64)));
    page.family("stave_resources", "gauge", "What operators keep, by kind.", kinds);
    Ok(Answer { status: StatusCode::OK, contents: Contents::Text(KIND, page.0) })
}

const OUTCOMES: [&str; 5] = ["running", "succeeded", "failed", "cancelled", "superseded"];

fn outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Running => "running",
        Outcome::Succeeded(_) => Came::Succeeded.as_str(),
        Outcome::Failed(_) => Came::Failed.as_str(),
        Outcome::Cancelled => Came::Cancelled.as_str(),
        Outcome::Superseded => Came::Superseded.as_str(),
    }
}

fn mode(mode: stave_platform::resource::build::Mode) -> &'static str {
    use stave_platform::resource::build::Mode;
    match mode {
        Mode::Build => "build",
        Mode::Rebase => "rebase",
        Mode::Rollback => "rollback",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stay_within_their_quotes() {
        let mut page = Page::default();
        page.family("a_total", "counter", "one\ntwo \\", [(Vec::new(), 1.5)]);
        page.sample("b", &[("x", "a\"b\\c\nd"), ("y", "")], 2.0);
        assert_eq!(
            page.0,
            "# HELP a_total one\\ntwo \\\\\n# TYPE a_total counter\na_total 1.5\nb{x=\"a\\\"b\\\\c\\nd\",y=\"\"} 2\n"
        );
    }
}
