//! Bare repositories of our own: what was fetched of each address, so that the next fetch brings only what is new.
//!
//! One for an address and a purpose, held by a lock of the kernel while it is used. They hold nothing that cannot be fetched again:
//! one that has grown too large, or that git does not like any more, is thrown away and made anew.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use stave_lifecycle::port::cancel::Cancel;
use stave_model::digest::{Digest, Key};

use super::{
    address::Address,
    kept::is_at,
    run::{Call, GitError, output},
    session::Session,
};

/// So many fetches are kept apart before all begins anew: git looks through each for every object.
const MOST_PACKS: usize = 24;
/// How long what is done within a repository may take.
const WITHIN: Duration = Duration::from_mins(10);
/// How long is waited before a lock is tried again.
const PAUSE: Duration = Duration::from_millis(50);

/// What a repository is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Folders without their files: to know whether one changed.
    Folders,
    /// Commits with all their files, each without its past.
    Commits,
    /// All that branches and tags lead to, for servers that give nothing else.
    Past,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Folders => "folders",
            Self::Commits => "commits",
            Self::Past => "past",
        }
    }
}

/// A repository, held.
pub(crate) struct Repository<'a> {
    program: &'a Path,
    cancel: &'a Cancel,
    folder: PathBuf,
    /// For what is done within it: no transport at all.
    within: Session,
    /// How many digits its hashes have.
    digits: usize,
    _held: File,
}

impl<'a> Repository<'a> {
    /// The repository for `address`, made if there is none. `digits` are those of a hash in it, and `who` is who
    /// asks.
    pub(crate) fn open(
        program: &'a Path,
        (cache, sessions): (&Path, &Path),
        address: &Address,
        purpose: Purpose,
        (digits, who): (usize, &Digest),
        cancel: &'a Cancel,
    ) -> Result<Self, GitError> {
        // What one may read is kept apart from what others may.
        let key =
            Key::new("git repository 2").field(address.text()).field(digits.to_le_bytes()).field(who.hex()).finish();
        let name = format!("{}-{}", key.hex(), purpose.name());
        fs::create_dir_all(cache).map_err(GitError::Spawn)?;
        let held = hold(&cache.join(format!("{name}.lock")), cancel)?;
        let within = Session::bare(sessions).map_err(GitError::Spawn)?;
        let folder = cache.join(format!("{name}.git"));
        let repository = Self { program, cancel, folder, within, digits, _held: held };
        if repository.packs() > MOST_PACKS {
            repository.forget()?;
        }
        if !repository.folder.join("HEAD").exists() {
            repository.make()?;
        }
        Ok(repository)
    }

    /// Makes it whole or not at all.
    fn make(&self) -> Result<(), GitError> {
        self.forget()?;
        let format = if self.digits == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
        let new = self.folder.with_extension("new");
        remove(&new)?;
        let path = text_of(&new)?;
        let mut args: Vec<&str> = self.within.options().collect();
        args.extend(["init", "--quiet", "--bare", "--template=", format, "--", path]);
        output(self.program, &self.call(&args, Vec::new()), 1 << 16, self.cancel)?;
        fs::rename(&new, &self.folder).map_err(GitError::Spawn)
    }

    /// Throws it away.
    fn forget(&self) -> Result<(), GitError> {
        remove(&self.folder)
    }

    /// Throws it away, and makes it anew.
    pub(crate) fn renew(&self) -> Result<(), GitError> {
        self.forget()?;
        self.make()
    }

    fn call<'c>(&'c self, args: &'c [&'c str], stdin: Vec<u8>) -> Call<'c> {
        Call { args, session: &self.within, stdin, deadline: WITHIN, watch: None }
    }

    /// The arguments for something that is done in it.
    pub(crate) fn args<'c>(&'c self, session: &'c Session, rest: &[&'c str]) -> Result<Vec<&'c str>, GitError> {
        let mut args: Vec<&str> = session.options().collect();
        args.extend(["--git-dir", text_of(&self.folder)?]);
        args.extend(rest);
        Ok(args)
    }

    /// What git says of something in it, at most `cap` bytes.
    pub(crate) fn ask(&self, rest: &[&str], cap: u64) -> Result<Vec<u8>, GitError> {
        output(self.program, &self.call(&self.args(&self.within, rest)?, Vec::new()), cap, self.cancel)
    }

    /// Lets `take` read what git writes when it is given `stdin`.
    pub(crate) fn stream<T, E: From<GitError>>(
        &self,
        rest: &[&str],
        stdin: Vec<u8>,
        take: impl FnOnce(&mut dyn io::Read) -> Result<T, E>,
    ) -> Result<T, E> {
        let args = self.args(&self.within, rest)?;
        let call = self.call(&args, stdin);
        let mut running = super::run::Running::start(self.program, &call, self.cancel)?;
        let taken = take(&mut running);
        let ended = running.end();
        // That it was stopped says more than what was missed because of it; what is wrong with what it wrote says more than that
        // nobody read the rest.
        if let Err(why @ (GitError::Cancelled | GitError::TooLong(_) | GitError::TooMuch(_))) = ended {
            return Err(why.into());
        }
        let taken = taken?;
        ended?;
        Ok(taken)
    }

    /// Whether a commit was fetched whole: its name is written down only then.
    pub(crate) fn has(&self, commit: &str) -> Result<bool, GitError> {
        let name = kept_as(commit);
        match self.ask(&["rev-parse", "--verify", "--quiet", &name], 1 << 10) {
            Ok(_) => Ok(true),
            Err(GitError::Failed(said)) if said.is_empty() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether an object is there that is a commit, and has this very name.
    pub(crate) fn is_commit(&self, commit: &str) -> Result<bool, GitError> {
        match self.ask(&["cat-file", "-t", commit], 1 << 10) {
            Ok(kind) => Ok(kind == b"commit\n"),
            Err(GitError::Failed(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Fetches by `specs`, as `session`. What is on disk then is at most `most` bytes, or this fails and all is thrown away.
    pub(crate) fn fetch(
        &self,
        address: &Address,
        session: &Session,
        options: &[&str],
        specs: &[&str],
        (deadline, most): (Duration, u64),
    ) -> Result<(), GitError> {
        let fixed = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--force"];
        let rest = [&fixed, options, &["--", address.text()], specs].concat();
        let args = self.args(session, &rest)?;
        let watch = || (self.size() > most).then(|| format!("it is larger than {most} bytes"));
        let call = Call { args: &args, session, stdin: Vec::new(), deadline, watch: Some(&watch) };
        let result = output(self.program, &call, 1 << 20, self.cancel).map(drop);
        let result = result.and_then(|()| watch().map_or(Ok(()), |why| Err(GitError::TooMuch(why))));
        if matches!(result, Err(GitError::TooMuch(_))) {
            self.forget()?;
        }
        result
    }

    /// Whether something was fetched into it.
    pub(crate) fn is_used(&self) -> bool {
        self.packs() > 0
    }

    fn files(&self) -> impl Iterator<Item = fs::DirEntry> {
        fs::read_dir(self.folder.join("objects/pack")).into_iter().flatten().flatten()
    }

    /// How many fetches are in it, those that broke off among them.
    fn packs(&self) -> usize {
        let is_one = |file: &fs::DirEntry| {
            let name = file.file_name();
            let name = name.to_string_lossy();
            name.ends_with(".pack") || name.starts_with("tmp_")
        };
        self.files().filter(is_one).count()
    }

    /// What its packs take, also those that are being written.
    fn size(&self) -> u64 {
        self.files().filter_map(|file| Some(file.metadata().ok()?.len())).sum()
    }
}

/// Where it is written down that a commit is there.
pub(crate) fn kept_as(commit: &str) -> String {
    format!("refs/stave/{commit}")
}

fn text_of(path: &Path) -> Result<&str, GitError> {
    path.to_str().ok_or_else(|| GitError::Spawn(io::Error::other("the cache folder's name is not UTF-8")))
}

fn remove(folder: &Path) -> Result<(), GitError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(GitError::Spawn(error)),
        _ => Ok(()),
    }
}

/// Holds a file's lock, however long somebody else does, unless somebody asks to stop.
fn hold(path: &Path, cancel: &Cancel) -> Result<File, GitError> {
    let mut file = open(path)?;
    loop {
        match file.try_lock() {
            // Whoever throws a repository out takes the name of its lock along: a file without it locks nothing.
            Ok(()) if !is_at(&file, path).map_err(GitError::Spawn)? => file = open(path)?,
            Ok(()) => {
                // That it is used: what was not for longest is thrown out first. Nothing else depends on it.
                let _ = file.set_modified(SystemTime::now());
                return Ok(file);
            }
            Err(fs::TryLockError::WouldBlock) if cancel.is_set() => return Err(GitError::Cancelled),
            Err(fs::TryLockError::WouldBlock) => thread::sleep(PAUSE),
            Err(fs::TryLockError::Error(error)) => return Err(GitError::Spawn(error)),
        }
    }
}

fn open(path: &Path) -> Result<File, GitError> {
    File::options().create(true).truncate(false).write(true).open(path).map_err(GitError::Spawn)
}
