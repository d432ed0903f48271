//! The table: what was measured, beside the peers on the same work and beside what the machine can do at best.

use std::time::Duration;

use crate::gauge::Figures;

/// All runs of one thing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample(Vec<Figures>);

impl Sample {
    /// Runs it so often.
    pub(crate) fn of(count: usize, mut run: impl FnMut() -> Figures) -> Self {
        Self((0..count).map(|_| run()).collect())
    }

    fn times(&self) -> Vec<Duration> {
        let mut times: Vec<Duration> = self.0.iter().map(|run| run.time).collect();
        times.sort_unstable();
        times
    }

    /// The run in the middle.
    pub(crate) fn median(&self) -> Duration {
        self.times()[self.0.len() / 2]
    }

    fn worst(&self) -> Duration {
        self.times()[self.0.len() - 1]
    }

    /// The processors' time of the run in the middle, and the most memory of all.
    fn cost(&self) -> String {
        let mut cpu: Vec<Duration> = self.0.iter().map(|run| run.cpu).collect();
        cpu.sort_unstable();
        let peak = self.0.iter().map(|run| run.peak_bytes).max().unwrap_or_default();
        format!("{}, {} MB", shown(cpu[cpu.len() / 2]), peak / 1_000_000)
    }
}

/// A peer's runs, or why there are none.
pub(crate) type Beside = (String, Result<Sample, String>);

/// A scenario and all that was measured of it.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) ours: Result<Sample, String>,
    pub(crate) peers: Vec<Beside>,
    /// What the machine can do at best, where that is known.
    pub(crate) limit: Option<Duration>,
}

/// The names of the columns.
pub(crate) fn head() {
    println!(
        "| What | Stave | worst (runs) | CPU, peak memory | Peer | median (runs) | CPU, peak memory | peer ÷ Stave | Limit | Stave ÷ limit |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
}

impl Row {
    /// A line for each peer; for the row itself where there is none.
    pub(crate) fn print(&self) {
        let ours = match &self.ours {
            Ok(ours) => {
                format!("{} | {} ({}) | {}", shown(ours.median()), shown(ours.worst()), ours.0.len(), ours.cost())
            }
            Err(why) => format!("{why} | – | –"),
        };
        let median = self.ours.as_ref().map(Sample::median).ok();
        let limit = match (self.limit, median) {
            (Some(limit), Some(median)) => format!("{} | {}", shown(limit), ratio(median, limit)),
            (Some(limit), None) => format!("{} | –", shown(limit)),
            (None, _) => "– | –".to_owned(),
        };
        if self.peers.is_empty() {
            println!("| {} | {ours} | – | – | – | – | {limit} |", self.what);
        }
        let mut first = format!("{} | {ours}", self.what);
        for (name, sample) in &self.peers {
            let peer = match sample {
                Ok(sample) => {
                    let times = median.map_or_else(|| "–".to_owned(), |median| ratio(sample.median(), median));
                    format!("{} ({}) | {} | {times}", shown(sample.median()), sample.0.len(), sample.cost())
                }
                Err(why) => format!("{why} | – | –"),
            };
            println!("| {first} | {name} | {peer} | {limit} |");
            // What is told once is not told again.
            " | | | ".clone_into(&mut first);
        }
    }
}

/// How many times as long.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn ratio(long: Duration, short: Duration) -> String {
    let ratio = long.as_nanos() as f64 / short.as_nanos().max(1) as f64;
    if ratio < 10.0 { format!("{ratio:.2}") } else { format!("{ratio:.0}") }
}

/// A time for people.
pub(crate) fn shown(time: Duration) -> String {
    let micros = time.as_micros();
    match micros {
        0..10_000 => format!("{}.{:02} ms", micros / 1000, micros % 1000 / 10),
        10_000..10_000_000 => format!("{} ms", micros / 1000),
        _ => format!("{}.{} s", micros / 1_000_000, micros % 1_000_000 / 100_000),
    }
}

/// What stands in the way of a peer, said where it is seen, whoever keeps the table.
#[expect(clippy::print_stderr, reason = "the standard output may go into a file")]
pub(crate) fn loudly(what: &str, why: &str) -> String {
    eprintln!("MISSING: {what}: {why}");
    "not here".to_owned()
}
