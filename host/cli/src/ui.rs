//! The only place that prints: events become lines or progress bars on standard error, results go to standard output.
//!
//! Standard output carries results alone, so that a program can read it. What comes from a buildpack stands behind its
//! name on every line, with control characters made visible, so it can neither steer the terminal nor pass for ours.

use std::{
    collections::HashMap,
    io::{self, BufRead as _, IsTerminal, Read as _, Write},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use stave_lifecycle::port::{
    observer::{Event, Level, Made, Observer, Phase},
    recall::Recall,
};

use crate::{args::Global, exit::printable};

const STEP: Style = AnsiColor::Cyan.on_default().bold();
const NAME: Style = AnsiColor::Blue.on_default();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const FAINT: Style = Style::new().dimmed();

/// The longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 1024;

/// Shows what happens.
pub(crate) struct Ui {
    quiet: bool,
    verbose: bool,
    color: bool,
    bars: MultiProgress,
    running: Mutex<HashMap<String, Running>>,
    /// Where lines go instead of standard error.
    log: Option<Box<Lines>>,
}

/// Takes lines instead of standard error.
pub(crate) type Lines = dyn Fn(&str) + Send + Sync;

/// Long work that is going on.
struct Running {
    bar: Option<ProgressBar>,
}

impl Ui {
    /// Decides once how to show things: by the flags, the terminal, and the environment variable `NO_COLOR`.
    pub(crate) fn new(global: &Global) -> Self {
        let terminal = io::stderr().is_terminal();
        let no_color = global.no_color || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let bars = MultiProgress::new();
        if !terminal || global.quiet {
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self {
            quiet: global.quiet,
            verbose: global.verbose,
            color: terminal && !no_color,
            bars,
            running: Mutex::new(HashMap::new()),
            log: None,
        }
    }

    /// One that hands every line to `log`, as a terminal without colours would show it, and asks nobody.
    pub(crate) fn to_log(log: Box<Lines>) -> Self {
        let bars = MultiProgress::new();
        bars.set_draw_target(ProgressDrawTarget::hidden());
        Self { quiet: false, verbose: false, color: false, bars, running: Mutex::new(HashMap::new()), log: Some(log) }
    }

    /// The title of a step, as phases have it.
    pub(crate) fn step(&self, title: &str) {
        self.say(&self.paint(STEP, &format!("===> {title}")));
    }

    /// Whether more was asked for.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Prints a result for people or programs to standard output. A reader that went away is not an error.
    #[expect(clippy::unused_self, reason = "printing goes through the one who may print")]
    pub(crate) fn result(&self, text: &str) {
        let _ = writeln!(io::stdout().lock(), "{text}");
    }

    /// Says something to the person who waits, unless asked to be quiet.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            self.line(text);
        }
    }

    /// Shows how the program failed. Even a quiet one says this.
    pub(crate) fn failure(&self, rendered: &str) {
        let mut text = String::new();
        for line in rendered.lines() {
            let (head, style) = match line.split_once(": ") {
                Some(("error", _)) => ("error:", ERROR),
                Some(("hint", _)) => ("hint:", GOOD),
                Some(("caused by", _)) => ("caused by:", FAINT),
                _ => ("", FAINT),
            };
            text.push_str(&self.paint(style, head));
            text.push_str(&line[head.len()..]);
            text.push('\n');
        }
        if let Some(log) = &self.log {
            return text.lines().for_each(log);
        }
        self.bars.suspend(|| {
            let _ = io::stderr().lock().write_all(text.as_bytes());
        });
    }

    /// Asks the person at the terminal, and waits for a line; nobody is asked where there is no terminal, or quiet is wanted.
    pub(crate) fn ask(&self, question: &str) -> Option<String> {
        let input = io::stdin();
        if self.quiet || self.log.is_some() || !input.is_terminal() || !io::stderr().is_terminal() {
            return None;
        }
        let mut answer = String::new();
        self.bars.suspend(|| {
            let mut output = io::stderr().lock();
            let asked = write!(output, "{}", printable(question)).and_then(|()| output.flush());
            asked.and_then(|()| input.lock().take(MAX_ANSWER).read_line(&mut answer)).ok()
        })?;
        Some(answer.trim().to_owned())
    }

    /// Does something with the terminal while no bar is drawn.
    pub(crate) fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        self.bars.suspend(work)
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if self.color && !text.is_empty() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    fn line(&self, text: &str) {
        if let Some(log) = &self.log {
            return text.lines().for_each(log);
        }
        self.bars.suspend(|| {
            let _ = writeln!(io::stderr().lock(), "{text}");
        });
    }

    /// Each line behind its speaker's name.
    fn lines_of(&self, who: &str, text: &str, style: Option<Style>) {
        let name = self.paint(NAME, &format!("[{who}]"));
        for line in text.lines() {
            let line = printable(line);
            let line = style.map_or_else(|| line.clone(), |style| self.paint(style, &line));
            self.say(&format!("{name} {line}"));
        }
    }

    fn phase(&self, phase: Phase) {
        let title = match phase {
            Phase::Analyze => "ANALYZE",
            Phase::Detect => "DETECT",
            Phase::Build => "BUILD",
            Phase::Export => "EXPORT",
        };
        self.step(title);
    }

    fn message(&self, who: &str, level: Level, text: &str) {
        match level {
            Level::Debug if !self.verbose => {}
            Level::Debug => self.lines_of(who, text, Some(FAINT)),
            Level::Info => self.lines_of(who, text, None),
            Level::Warning => self.lines_of(who, &format!("warning: {text}"), Some(WARNING)),
            Level::Error => self.lines_of(who, &format!("error: {text}"), Some(ERROR)),
        }
    }

    fn note(&self, level: Level, text: &str) {
        let text = printable(text);
        match level {
            Level::Debug if self.verbose => self.say(&self.paint(FAINT, &text)),
            Level::Debug => {}
            Level::Info => self.say(&text),
            Level::Warning => self.say(&self.paint(WARNING, &format!("warning: {text}"))),
            Level::Error => self.say(&self.paint(ERROR, &format!("error: {text}"))),
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A bar on a terminal; elsewhere one line when it begins.
    fn progress(&self, what: &str, done: u64, total: Option<u64>) {
        let mut running = self.running();
        let entry = running.entry(what.to_owned()).or_insert_with(|| {
            let shown = printable(what);
            if self.bars.is_hidden() {
                let size = total.map(|total| format!(" ({})", bytes(total))).unwrap_or_default();
                self.say(&format!("{shown}{size}"));
                return Running { bar: None };
            }
            let bar = self.bars.add(total.map_or_else(ProgressBar::no_length, ProgressBar::new));
            let template = "{msg:40!} {wide_bar} {bytes:>10} / {total_bytes:10} {bytes_per_sec:12}";
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.progress_chars("=> "));
            bar.set_message(shown);
            Running { bar: Some(bar) }
        });
        if let Some(bar) = &entry.bar {
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_position(done);
        }
    }

    fn progress_end(&self, what: &str) {
        if let Some(Running { bar: Some(bar) }) = self.running().remove(what) {
            bar.finish_and_clear();
            self.say(&format!("{} ({})", printable(what), bytes(bar.position())));
        }
    }
}

impl Observer for Ui {
    fn observe(&self, event: Event) {
        match event {
            Event::Phase(phase) => self.phase(phase),
            Event::Note(level, text) => self.note(level, &text),
            Event::Message { buildpack, level, text } => self.message(buildpack.as_str(), level, &text),
            Event::Step { buildpack, title } => self.lines_of(buildpack.as_str(), &format!("• {title}"), Some(STEP)),
            Event::Detected { buildpack, verdict } => match verdict {
                Ok(()) => self.note(Level::Debug, &format!("{buildpack}: passed")),
                Err(reason) => self.note(Level::Debug, &format!("{buildpack}: {reason}")),
            },
            Event::Recalled { buildpack, phase, recall } => {
                let what = if phase == Phase::Detect { "detect" } else { "build" };
                let how = match recall {
                    Recall::Remembered => "remembered".to_owned(),
                    Recall::Ran(cause) => format!("ran: {cause}"),
                };
                self.note(Level::Debug, &format!("{buildpack} {what}: {how}"));
            }
            Event::Chosen(members) => members.iter().for_each(|member| self.say(&self.paint(GOOD, member))),
            Event::Building { buildpack } => self.note(Level::Debug, &format!("{buildpack} builds")),
            Event::Built { buildpack, took } => {
                self.note(Level::Debug, &format!("{buildpack} took {}", seconds(took)));
            }
            Event::Progress { what, done, total } => self.progress(&what, done, total),
            Event::ProgressEnd { what } => self.progress_end(&what),
            Event::Layer { what, how, size } => {
                let how = match how {
                    Made::Written => "written",
                    Made::Kept => "kept from before",
                    Made::Reused => "reused as it was",
                };
                self.say(&format!("layer {} {how} ({})", printable(&what), bytes(size)));
            }
            Event::LeftOut { buildpack, layer, reason } => {
                self.note(Level::Info, &format!("layer {buildpack}:{layer} is left out: {reason}"));
            }
            Event::Exported { to, digest } => {
                self.say(&format!("{} {} {digest}", self.paint(GOOD, "image"), printable(&to)));
            }
        }
    }
}

/// A size for people: three digits and a unit of 1000.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if count < 1000 {
        return format!("{count} B");
    }
    // Tenths in integers: a float would round at the edges of units.
    let mut tenths = count / 100;
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1000;
        unit += 1;
    }
    if tenths >= 1000 {
        format!("{} {}", tenths / 10, UNITS[unit])
    } else {
        format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
    }
}

/// A duration for people.
pub(crate) fn seconds(took: Duration) -> String {
    if took < Duration::from_secs(1) {
        format!("{} ms", took.as_millis())
    } else {
        format!("{:.1} s", took.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_for_people() {
        for (count, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (15_360, "15.3 kB"),
            (999_949, "999 kB"),
            (1_000_000, "1.0 MB"),
            (123_456_789, "123 MB"),
            (u64::MAX, "18446744 TB"),
        ] {
            assert_eq!(bytes(count), shown, "{count}");
        }
        assert_eq!(seconds(Duration::from_millis(87)), "87 ms");
        assert_eq!(seconds(Duration::from_millis(1230)), "1.2 s");
    }
}
