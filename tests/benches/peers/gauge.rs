//! A program measured as the system sees it: how long it ran, how much of the processors it took, and its peak of memory.
//!
//! The peak of one child is not told apart from that of the others before it, so each program is started by a small process
//! that has no other child: this benchmark, once more, with `--gauge` before the program.

use std::{
    path::Path,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike as _,
};

use crate::support::{
    env::TestEnv,
    process::{Outcome, run},
};

/// The first argument of the small process, and the first word of its last line.
const GAUGE: &str = "--gauge";

/// What one run took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) time: Duration,
    /// Of all processors together.
    pub(crate) cpu: Duration,
    /// The most memory that it, or a program that it started, had at once.
    pub(crate) peak_bytes: u64,
}

/// A program that is to be measured, in a world of its own. Arguments and variables are added as to any other.
pub(crate) fn command(env: &TestEnv, program: impl AsRef<Path>) -> Command {
    let mut command = env.command(std::env::current_exe().unwrap());
    command.arg(GAUGE).arg(program.as_ref());
    command
}

/// Runs it. A program that fails ends the benchmark.
#[track_caller]
pub(crate) fn measure(command: &mut Command) -> Figures {
    let Outcome { code, stdout, stderr } = run(command);
    let (said, figures) = stderr.rsplit_once(GAUGE).unwrap_or_else(|| panic!("not measured: {stderr}"));
    let numbers: Vec<u64> = figures.split_whitespace().map(|number| number.parse().unwrap()).collect();
    let [nanos, cpu, kilobytes] = numbers[..] else { panic!("not measured: {stderr}") };
    assert_eq!(code, Some(0), "{command:?} said:\n{stdout}{said}");
    let (time, cpu) = (Duration::from_nanos(nanos), Duration::from_micros(cpu));
    Figures { time, cpu, peak_bytes: kilobytes * 1024 }
}

/// The small process's work, where this is one.
#[expect(clippy::print_stderr, reason = "its answer goes behind what the program said")]
pub(crate) fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != GAUGE {
        return None;
    }
    let program = arguments.next()?;
    let started = Instant::now();
    let status = Command::new(&program).args(arguments).status();
    let time = started.elapsed();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let cpu = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    let code = match status {
        Ok(status) => status.code().unwrap_or(128),
        Err(error) => {
            eprintln!("could not start {}: {error}", program.display());
            127
        }
    };
    eprintln!("\n{GAUGE} {} {cpu} {}", time.as_nanos(), usage.max_rss());
    Some(ExitCode::from(u8::try_from(code).unwrap_or(255)))
}
