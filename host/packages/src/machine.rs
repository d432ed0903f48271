//! What settings are read from: environment variables, small files below known folders, and programs on the path.

use std::{
    collections::BTreeMap,
    env,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// Settings files are a page or two.
const LARGEST_FILE: u64 = 1 << 20;

/// A registry's address is a line.
const LONGEST_ANSWER: u64 = 4096;

/// How long a tool may take to say what its default is. `npm` needs about half a second.
const PATIENCE: Duration = Duration::from_secs(20);

/// One machine as one user sees it.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Environment variables that are text.
    pub variables: BTreeMap<String, String>,
    /// What `/` is: the real one, except in tests.
    pub root: PathBuf,
}

/// A settings file that is there and cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("could not read {}", .path.display())]
pub struct Unreadable {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub cause: io::Error,
}

impl Machine {
    /// This machine, as the environment describes it now.
    pub fn current() -> Self {
        let text = |(key, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((key.into_string().ok()?, value.into_string().ok()?))
        };
        Self { variables: env::vars_os().filter_map(text).collect(), root: PathBuf::from("/") }
    }

    /// The same machine without programs: nothing is asked there.
    #[must_use]
    pub fn without_programs(mut self) -> Self {
        self.variables.remove("PATH");
        self
    }

    /// A variable that is set and not empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The user's home folder.
    pub fn home(&self) -> Option<PathBuf> {
        self.variable("HOME").map(PathBuf::from).filter(|home| home.is_absolute())
    }

    /// Where the user's configuration is: `XDG_CONFIG_HOME`, else `~/.config`.
    pub fn config_home(&self) -> Option<PathBuf> {
        let set = self.variable("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        set.or_else(|| self.home().map(|home| home.join(".config")))
    }

    /// A system file, such as `etc/pip.conf`.
    pub fn system(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The text of a settings file; none if there is no such file.
    pub fn read(&self, path: &Path) -> Result<Option<String>, Unreadable> {
        let unreadable = |cause| Unreadable { path: path.to_owned(), cause };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(unreadable(error)),
        };
        // `PIP_CONFIG_FILE=/dev/null` is how pip is told to read no file.
        if !file.metadata().map_err(unreadable)?.is_file() {
            return Ok(None);
        }
        let mut text = String::new();
        file.take(LARGEST_FILE + 1).read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > LARGEST_FILE {
            let message = format!("more than {LARGEST_FILE} bytes");
            return Err(unreadable(io::Error::new(io::ErrorKind::FileTooLarge, message)));
        }
        Ok(Some(text))
    }

    /// All programs of that name on the path, first to last. Relative entries of the path are passed over: they would
    /// let the app that is built name the program that is run.
    pub fn programs(&self, name: &str) -> Vec<PathBuf> {
        let path = self.variable("PATH").unwrap_or_default();
        let folders = env::split_paths(path).filter(|folder| folder.is_absolute());
        let mut found: Vec<PathBuf> = folders.map(|folder| folder.join(name)).filter(|file| file.is_file()).collect();
        found.dedup();
        found
    }

    /// Runs a program without input in `/`, and returns the last line it prints; none if it fails, takes too long or
    /// prints no text. It runs in `/` so that nothing in the current folder (a `pip/` for Python to import, an `.npmrc`)
    /// has a say.
    pub fn ask(&self, program: &Path, arguments: &[&str]) -> Option<String> {
        ask(program, arguments, PATIENCE)
    }
}

fn ask(program: &Path, arguments: &[&str], patience: Duration) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let output = child.stdout.take()?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = output.take(LONGEST_ANSWER).read_to_end(&mut bytes);
        // Nobody listens any more when the time is over.
        drop(sender.send(read.map(|_| bytes)));
    });
    let answer = receiver.recv_timeout(patience);
    if answer.is_err() {
        // It may have ended just now.
        drop(child.kill());
    }
    // A program that closed its output and goes on is not waited for beyond this: it is ended.
    let succeeded = match child.try_wait() {
        Ok(Some(status)) => status.success(),
        _ => wait_a_moment(&mut child),
    };
    let text = String::from_utf8(answer.ok()?.ok()?).ok().filter(|_| succeeded)?;
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned)
}

/// Gives a program that has said everything two seconds to end by itself, and ends it.
fn wait_a_moment(child: &mut std::process::Child) -> bool {
    for _ in 0..200 {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => thread::sleep(Duration::from_millis(10)),
            Err(_) => return false,
        }
    }
    drop(child.kill());
    drop(child.wait());
    false
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn machine(pairs: &[(&str, &str)]) -> Machine {
        let variables = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Machine { variables, root: PathBuf::from("/nowhere") }
    }

    #[test]
    fn asks_programs_for_a_line() {
        let shell = Path::new("/bin/sh");
        let quick = Duration::from_secs(10);
        assert_eq!(ask(shell, &["-c", "echo noise; echo ' answer '; echo"], quick).as_deref(), Some("answer"));
        assert_eq!(ask(shell, &["-c", "pwd"], quick).as_deref(), Some("/"));
        assert_eq!(ask(shell, &["-c", "echo no; exit 3"], quick), None);
        assert_eq!(ask(shell, &["-c", "true"], quick), None);
        assert_eq!(ask(Path::new("/nowhere/program"), &[], quick), None);
    }

    #[test]
    fn does_not_wait_for_ever() {
        let begun = Instant::now();
        assert_eq!(ask(Path::new("/bin/sleep"), &["60"], Duration::from_millis(50)), None);
        assert!(begun.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn programs_are_found_by_absolute_path_only() {
        let here = env::current_exe().unwrap();
        let (folder, name) = (here.parent().unwrap().to_str().unwrap(), here.file_name().unwrap().to_str().unwrap());
        let path = format!(".:relative:{folder}:/nowhere");
        assert_eq!(machine(&[("PATH", &path)]).programs(name), [here.as_path()]);
        assert!(machine(&[]).programs(name).is_empty());
    }

    #[test]
    fn files_are_read_within_reason() {
        let machine = machine(&[("HOME", "relative"), ("EMPTY", "")]);
        assert_eq!((machine.home(), machine.variable("EMPTY")), (None, None));
        assert!(machine.read(Path::new("/nowhere/file")).unwrap().is_none());
        assert!(machine.read(Path::new("/dev/null")).unwrap().is_none());
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(LARGEST_FILE + 1).unwrap();
        let error = machine.read(file.path()).unwrap_err();
        assert_eq!(error.cause.to_string(), "more than 1048576 bytes");
    }
}
