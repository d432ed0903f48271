//! Running `git`: a group of processes that ends when its time is over, when somebody asks to stop, when it writes more than it may,
//! or when it is done; in every case with all of its helpers.

use std::{
    io::{self, Read, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use stave_lifecycle::port::cancel::Cancel;

use super::session::Session;

/// How long nothing is looked at while nothing comes.
const SLICE: Duration = Duration::from_millis(50);
/// How often the watch is asked.
const WATCH: Duration = Duration::from_millis(500);
/// How much is read at once.
const CHUNK: usize = 64 << 10;
/// How much of what git says of itself is kept: the end of it.
const MOST_SAID: usize = 64 << 10;
/// How long a helper that outlived git may keep its error stream.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// One run of git.
pub(crate) struct Call<'a> {
    /// What is done, and on what.
    pub(crate) args: &'a [&'a str],
    /// In which environment.
    pub(crate) session: &'a Session,
    /// What it is given to read.
    pub(crate) stdin: Vec<u8>,
    /// How long it may take.
    pub(crate) deadline: Duration,
    /// Asked now and then; what it answers is why git must stop.
    pub(crate) watch: Option<&'a dyn Fn() -> Option<String>>,
}

/// Why a run of git came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GitError {
    /// There is no such program.
    #[error("there is no program `git` here")]
    Missing(#[source] io::Error),
    /// It could not be run.
    #[error("could not run git")]
    Spawn(#[source] io::Error),
    /// Somebody asked to stop.
    #[error("stopped on request")]
    Cancelled,
    /// It took too long.
    #[error("it took longer than {0:?}")]
    TooLong(Duration),
    /// It writes too much.
    #[error("{0}")]
    TooMuch(String),
    /// It failed; what it said is as it said it.
    #[error("git failed")]
    Failed(Vec<u8>),
    /// What it wrote could not be read.
    #[error("could not read what git wrote")]
    Read(#[source] io::Error),
}

/// Runs git, and gives all that it writes, at most `cap` bytes.
pub(crate) fn output(program: &Path, call: &Call<'_>, cap: u64, cancel: &Cancel) -> Result<Vec<u8>, GitError> {
    let mut running = Running::start(program, call, cancel)?;
    let mut bytes = Vec::new();
    let read = (&mut running).take(cap + 1).read_to_end(&mut bytes);
    if bytes.len() as u64 > cap {
        return Err(GitError::TooMuch(format!("it wrote more than {cap} bytes")));
    }
    running.end()?;
    read.map_err(GitError::Read)?;
    Ok(bytes)
}

/// A git that runs. What it writes is read from it; dropping it ends it.
pub(crate) struct Running<'a> {
    child: Child,
    call: &'a Call<'a>,
    cancel: &'a Cancel,
    written: Option<Receiver<io::Result<Vec<u8>>>>,
    said: Receiver<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
    begun: Instant,
    watched: Instant,
    stopped: Option<GitError>,
    is_reaped: bool,
}

impl<'a> Running<'a> {
    /// Starts it.
    pub(crate) fn start(program: &Path, call: &'a Call<'a>, cancel: &'a Cancel) -> Result<Self, GitError> {
        if cancel.is_set() {
            return Err(GitError::Cancelled);
        }
        let mut command = Command::new(program);
        call.session.dress(&mut command);
        command.args(call.args).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => GitError::Missing(error),
            _ => GitError::Spawn(error),
        })?;
        if let Some(mut pipe) = child.stdin.take() {
            let text = call.stdin.clone();
            // It ends when all is written, or when git does not read any more.
            thread::spawn(move || drop(pipe.write_all(&text)));
        }
        let written = child.stdout.take().map(chunks);
        let said = last_words(child.stderr.take());
        let now = Instant::now();
        Ok(Self {
            child,
            call,
            cancel,
            written,
            said,
            chunk: Vec::new(),
            at: 0,
            begun: now,
            watched: now,
            stopped: None,
            is_reaped: false,
        })
    }

    /// Why it must stop now, if it must.
    fn must_stop(&mut self) -> Option<GitError> {
        if self.cancel.is_set() {
            return Some(GitError::Cancelled);
        }
        if self.begun.elapsed() > self.call.deadline {
            return Some(GitError::TooLong(self.call.deadline));
        }
        let watch = self.call.watch.filter(|_| self.watched.elapsed() > WATCH)?;
        self.watched = Instant::now();
        watch().map(GitError::TooMuch)
    }

    /// Waits for its end: it is an error if git says that it failed.
    pub(crate) fn end(mut self) -> Result<(), GitError> {
        // Nobody reads any more, so git may stop writing.
        self.written = None;
        let pid = self.pid();
        let mut pause = Duration::from_micros(200);
        while self.stopped.is_none() {
            match waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT) {
                Ok(None) => {}
                Ok(Some(_)) => break,
                Err(error) => return Err(GitError::Read(error.into())),
            }
            self.stopped = self.must_stop();
            thread::sleep(pause);
            pause = (pause * 2).min(SLICE);
        }
        let status = self.reap().map_err(GitError::Read)?;
        match self.stopped.take() {
            Some(why) => Err(why),
            None if status.success() => Ok(()),
            None => Err(GitError::Failed(self.said.recv_timeout(LAST_WORDS).unwrap_or_default())),
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Ends whatever is left of the group, then git itself: until then its number is nobody else's.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        // Fails where the group is gone already.
        let _ = kill_process_group(self.pid(), Signal::KILL);
        let status = self.child.wait();
        self.is_reaped = status.is_ok();
        status
    }
}

impl Read for Running<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.at < self.chunk.len() {
                let n = buffer.len().min(self.chunk.len() - self.at);
                buffer[..n].copy_from_slice(&self.chunk[self.at..self.at + n]);
                self.at += n;
                return Ok(n);
            }
            if self.stopped.is_none() {
                self.stopped = self.must_stop();
            }
            if self.stopped.is_some() {
                return Err(io::Error::other("git was stopped"));
            }
            let Some(written) = &self.written else { return Ok(0) };
            match written.recv_timeout(SLICE) {
                Ok(chunk) => (self.chunk, self.at) = (chunk?, 0),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.written = None,
            }
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.is_reaped {
            // There is nobody to tell.
            let _ = self.reap();
        }
    }
}

/// What comes through a pipe, read by a thread of its own: whoever waits for it can stop waiting.
fn chunks(mut pipe: impl Read + Send + 'static) -> Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::sync_channel(4);
    thread::spawn(move || {
        loop {
            let mut chunk = vec![0; CHUNK];
            let read = match pipe.read(&mut chunk) {
                Ok(0) => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(n) => {
                    chunk.truncate(n);
                    Ok(chunk)
                }
                Err(error) => Err(error),
            };
            let is_over = read.is_err();
            if sender.send(read).is_err() || is_over {
                return;
            }
        }
    });
    receiver
}

/// The end of what comes through a pipe, once that is over.
fn last_words(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    if let Some(mut pipe) = pipe {
        thread::spawn(move || {
            let (mut kept, mut chunk) = (Vec::new(), vec![0; 4096]);
            while let Ok(n @ 1..) = pipe.read(&mut chunk) {
                kept.extend_from_slice(&chunk[..n]);
                if kept.len() > 2 * MOST_SAID {
                    kept.drain(..kept.len() - MOST_SAID);
                }
            }
            // Nobody may want it.
            let _ = sender.send(kept);
        });
    }
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call<'a>(args: &'a [&'a str], session: &'a Session) -> Call<'a> {
        Call { args, session, stdin: Vec::new(), deadline: Duration::from_mins(1), watch: None }
    }

    /// A shell in git's place: what runs is not what is tested here.
    fn shell(script: &str, change: impl FnOnce(&mut Call<'_>), cancel: &Cancel, cap: u64) -> Result<Vec<u8>, GitError> {
        let session = Session::bare(&std::env::temp_dir()).unwrap();
        let args = ["-c", script];
        let mut call = call(&args, &session);
        change(&mut call);
        output(Path::new("/bin/sh"), &call, cap, cancel)
    }

    #[test]
    fn what_it_writes_is_given_and_what_it_says_tells_why() {
        let cancel = Cancel::new();
        let read = shell("cat; echo done", |call| call.stdin = b"given ".repeat(100_000), &cancel, 1 << 20).unwrap();
        assert!(read.starts_with(b"given given") && read.ends_with(b"done\n"));
        let error = shell("echo why >&2; exit 3", |_| {}, &cancel, 10).unwrap_err();
        assert!(matches!(&error, GitError::Failed(said) if said == b"why\n"), "{error:?}");
        let missing =
            output(Path::new("/nowhere/git"), &call(&[], &Session::bare(&std::env::temp_dir()).unwrap()), 1, &cancel)
                .unwrap_err();
        assert!(matches!(missing, GitError::Missing(_)));
    }

    #[test]
    fn it_stops_with_all_its_helpers() {
        let begun = Instant::now();
        let cancel = Cancel::new();
        // The helper holds the pipe open for longer than anybody waits.
        let held = "sleep 600 & echo on; sleep 600";
        let late = shell(held, |call| call.deadline = Duration::from_millis(100), &cancel, 10).unwrap_err();
        assert!(matches!(late, GitError::TooLong(_)), "{late:?}");
        let watch = || Some("it is too large".to_owned());
        let session = Session::bare(&std::env::temp_dir()).unwrap();
        let args = ["-c", held];
        let watched = output(Path::new("/bin/sh"), &Call { watch: Some(&watch), ..call(&args, &session) }, 10, &cancel);
        assert!(matches!(watched.unwrap_err(), GitError::TooMuch(why) if why == "it is too large"));
        let endless = shell("yes", |_| {}, &cancel, 1 << 20).unwrap_err();
        assert!(matches!(endless, GitError::TooMuch(_)), "{endless:?}");
        let gone = shell("sleep 600 >/dev/null 2>&1 & echo $!", |_| {}, &cancel, 100).unwrap();
        let helper: i32 = String::from_utf8(gone).unwrap().trim().parse().unwrap();
        assert!(is_gone(helper), "a helper outlived git");
        cancel.set();
        assert!(matches!(shell("sleep 600", |_| {}, &cancel, 10).unwrap_err(), GitError::Cancelled));
        assert!(begun.elapsed() < Duration::from_mins(1));
    }

    /// Whether a process has ended, or is about to: it was sent a signal that nothing survives.
    fn is_gone(pid: i32) -> bool {
        let pid = Pid::from_raw(pid).unwrap();
        (0..1000).any(|_| {
            thread::sleep(Duration::from_millis(5));
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
            rustix::process::test_kill_process(pid).is_err() || stat.contains(") Z ")
        })
    }
}
