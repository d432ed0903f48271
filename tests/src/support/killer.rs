//! A run of the program that is killed as it enters one of the calls by which it changes something: the n-th of all its threads, or
//! the first of which something is known.
//!
//! A tracer can do that with any program, so no door for tests is built into this one, and a step that is added to it is found by
//! itself. `strace` cannot: it counts the calls of each thread apart, takes every `openat` for one that makes a file, and does not
//! say what it stopped.

use std::{
    collections::BTreeSet,
    fmt,
    fs::File,
    io::{Read as _, Seek as _, Write as _},
    os::unix::{fs::FileExt as _, process::ExitStatusExt as _},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
};

use nix::{
    errno::Errno,
    sys::{
        ptrace::{self, Options},
        signal::Signal,
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use rustix::process::kill_process;

use super::{calls, env::TestEnv, process::Outcome};

/// How much is looked at of what a program has said while it runs.
const MAX_SAID: usize = 1 << 20;
/// What a stop says that is one at the entry of a call.
const AT_ENTRY: u8 = nix::libc::PTRACE_SYSCALL_INFO_ENTRY;

/// A call by which something changes, outside the program's own memory.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) kind: Kind,
    /// The file, below the test's folder, or the first words of what is said or sent.
    pub(crate) what: String,
}

/// What such calls do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Makes a file, a folder or a link, or empties a file.
    Make,
    /// Gives a file a name.
    Name,
    /// Writes into a file, or cuts it.
    Write,
    /// Changes who may do what with a file, or when it was written.
    Mark,
    /// Waits until a file is on the disk.
    Settle,
    /// Removes a file or a folder.
    Remove,
    /// Prints.
    Say,
    /// Sends something to a registry.
    Send,
    /// Waits for the answer to what was sent.
    Hear,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.what)
    }
}

/// The call that a run is killed in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment<'m> {
    /// The n-th, the first being 1.
    Nth(usize),
    /// The first in whose words this stands; behind them stands the title that the program had said by then,
    /// `Make cache/blobs (===> DETECT)`.
    First(&'m str),
}

/// How a run ended.
pub(crate) struct Run {
    pub(crate) outcome: Outcome,
    /// The call in which it was killed; none, if it made fewer.
    pub(crate) killed_in: Option<Call>,
}

impl Run {
    /// The last line that it said.
    pub(crate) fn last_line(&self) -> &str {
        self.outcome.stderr.lines().last().unwrap_or("nothing")
    }
}

/// Runs a program of the test's world, killed as it enters this one of these calls.
pub(crate) fn run_until(env: &TestEnv, program: &Path, arguments: &[String], moment: Moment<'_>) -> Run {
    // Who traces is a thread of its own, which has no other children: it may wait for all that it has.
    thread::scope(|scope| scope.spawn(|| Tracer::start(env, program, arguments, moment).follow()).join().unwrap())
}

/// Whoever traces one run.
struct Tracer<'e> {
    env: &'e TestEnv,
    leader: Pid,
    child: Child,
    outputs: [File; 2],
    moment: Moment<'e>,
    /// How many calls there were.
    seen: usize,
    /// The threads that have sent something and not waited for an answer yet.
    asking: BTreeSet<i32>,
    killed_in: Option<Call>,
}

impl<'e> Tracer<'e> {
    /// Starts the program. The shell before it waits until it is traced.
    fn start(env: &'e TestEnv, program: &Path, arguments: &[String], moment: Moment<'e>) -> Self {
        let outputs = [(); 2].map(|()| tempfile::tempfile_in(env.root()).unwrap());
        let mut command: Command = env.command("sh");
        command.args(["-c", "read -r _ && exec \"$0\" \"$@\" </dev/null"]).arg(program).args(arguments);
        command.stdin(Stdio::piped()).stdout(outputs[0].try_clone().unwrap()).stderr(outputs[1].try_clone().unwrap());
        let mut child = command.spawn().unwrap();
        let leader = Pid::from_raw(i32::try_from(child.id()).unwrap());
        let options = Options::PTRACE_O_EXITKILL
            | Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK;
        ptrace::seize(leader, options).unwrap();
        child.stdin.take().unwrap().write_all(b"\n").unwrap();
        Self { env, leader, child, outputs, moment, seen: 0, asking: BTreeSet::new(), killed_in: None }
    }

    /// Goes from stop to stop until there is nobody left.
    fn follow(mut self) -> Run {
        let mut status = None;
        let anybody = Pid::from_raw(-1);
        loop {
            match waitpid(anybody, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)) {
                Err(Errno::ECHILD) => break,
                Err(error) => panic!("nobody could be waited for: {error}"),
                Ok(WaitStatus::PtraceSyscall(thread)) => {
                    self.look(thread);
                    go_on(thread, None);
                }
                Ok(WaitStatus::PtraceEvent(thread, ..)) => go_on(thread, None),
                Ok(WaitStatus::Stopped(thread, signal)) => go_on(thread, Some(signal)),
                Ok(WaitStatus::Exited(pid, code)) if pid == self.leader => {
                    status = Some(ExitStatus::from_raw(code << 8));
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == self.leader => {
                    status = Some(ExitStatus::from_raw(signal as i32));
                }
                Ok(_) => {}
            }
        }
        let [stdout, stderr] = self.outputs.map(|mut file| {
            let mut said = Vec::new();
            file.rewind().unwrap();
            file.read_to_end(&mut said).unwrap();
            said
        });
        let status = status.expect("whoever started it is told how it ended");
        Run { outcome: std::process::Output { status, stdout, stderr }.into(), killed_in: self.killed_in }
    }

    /// Looks at the call that a thread is stopped at, and kills at the one that was chosen.
    fn look(&mut self, thread: Pid) {
        // A thread whose process was killed is gone before it can be asked.
        let is_at_entry =
            self.killed_in.is_none() && ptrace::syscall_info(thread).is_ok_and(|info| info.op == AT_ENTRY);
        let call = if is_at_entry { calls::changing(thread, self.env.root()) } else { None };
        let Some(call) = call else { return };
        // An answer changes nothing while it is read, but who waits for one may have been heard.
        match call.kind {
            Kind::Send => {
                self.asking.insert(thread.as_raw());
            }
            Kind::Hear if !self.asking.remove(&thread.as_raw()) => return,
            _ => {}
        }
        self.seen += 1;
        if self.is_the_moment(&call) {
            // Killed at the entry of a call, a thread does not make it.
            kill_process(rustix::process::Pid::from_child(&self.child), rustix::process::Signal::KILL).unwrap();
            self.killed_in = Some(call);
        }
    }

    fn is_the_moment(&self, call: &Call) -> bool {
        match self.moment {
            Moment::Nth(number) => self.seen == number,
            Moment::First(part) => format!("{call} ({})", last_title(&self.said())).contains(part),
        }
    }

    /// What it has said so far, beside its result.
    fn said(&self) -> String {
        // From the start, whatever the end is that the program writes at: both share one.
        let mut said = vec![0; MAX_SAID];
        let length = self.outputs[1].read_at(&mut said, 0).unwrap();
        String::from_utf8_lossy(&said[..length]).into_owned()
    }
}

/// The title of the step that a program is in which said this, `===> BUILD`; nothing, before the first.
fn last_title(said: &str) -> &str {
    said.lines().rfind(|line| line.starts_with("===> ")).unwrap_or("")
}

/// Lets a thread run to its next call, and hands it the signal that it was stopped by. It may have been killed by now.
fn go_on(thread: Pid, signal: Option<Signal>) {
    let _ = ptrace::syscall(thread, signal);
}
