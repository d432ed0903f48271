//! Getting commits into repositories of our own, and why that may fail.

use stave_archive::tree::TreePath;
use stave_lifecycle::port::cancel::Cancel;
use stave_platform::{port::Failed, resource::build::Fault};

use super::{
    OLDEST, Repositories,
    address::Address,
    failure::{Meaning, told},
    repository::{Purpose, Repository, kept_as},
    run::GitError,
    session::{Credentials, Session, is_proxied},
};

/// A repository, and as whom it is asked.
pub(super) struct Remote {
    pub(super) address: Address,
    pub(super) session: Session,
}

impl Repositories {
    pub(super) fn remote(&self, address: Address, credentials: &Credentials) -> Result<Remote, Failed> {
        let judged = self.fence.as_ref().map(|fence| fence.judge(&address, is_proxied(&address))).transpose()?;
        let mut session = Session::to(&self.sessions, &address, credentials)?;
        if let Some(judged) = &judged {
            session.keep_to(judged);
        }
        if let Some(version) = self.protocol {
            session.configure(version);
        }
        Ok(Remote { address, session })
    }

    /// A repository of ours that has the commit; it is fetched if it is not there.
    pub(super) fn having<'a>(
        &'a self,
        remote: &Remote,
        commit: &str,
        purpose: Purpose,
        cancel: &'a Cancel,
    ) -> Result<Repository<'a>, Failed> {
        let attempt = || format!("could not fetch commit {} of {}", short(commit), remote.address.shown());
        let wrong = |error| failed(attempt(), error, Some(remote));
        let open = |purpose| {
            let what = (commit.len(), remote.session.who());
            let places = (&*self.cache, &*self.sessions);
            Repository::open(&self.program, places, &remote.address, purpose, what, cancel)
        };
        let repository = open(purpose).map_err(wrong)?;
        // One that git does not like is made anew when the fetch fails too.
        if repository.has(commit).unwrap_or(false) && repository.is_commit(commit).unwrap_or(false) {
            return Ok(repository);
        }
        let spec = format!("+{commit}:{}", kept_as(commit));
        let most = (self.limits.fetch, self.limits.packs);
        let options: &[&str] =
            if purpose == Purpose::Folders { &["--depth=1", "--filter=blob:none"] } else { &["--depth=1"] };
        let fetch = || repository.fetch(&remote.address, &remote.session, options, &[&spec], most);
        let fetched = match fetch() {
            Err(GitError::Failed(said)) if meaning(&said) == Meaning::Unadvertised => {
                drop(repository);
                let past = open(Purpose::Past).map_err(wrong)?;
                self.fetch_past(&past, remote, commit).map_err(wrong)?;
                return checked(past, remote, commit);
            }
            Err(GitError::Failed(said)) if meaning(&said) == Meaning::NoCommit => {
                return Err(no_commit(remote, commit));
            }
            Err(GitError::Failed(said)) if meaning(&said) == Meaning::Other && repository.is_used() => {
                repository.renew().and_then(|()| fetch())
            }
            fetched => fetched,
        };
        fetched.map_err(wrong)?;
        checked(repository, remote, commit)
    }

    /// Fetches all that branches and tags lead to: the one way to a commit that none of them is at, where the server gives nothing else.
    fn fetch_past(&self, past: &Repository<'_>, remote: &Remote, commit: &str) -> Result<(), GitError> {
        if past.is_commit(commit)? {
            return Ok(());
        }
        let specs = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
        past.fetch(&remote.address, &remote.session, &[], &specs, (self.limits.fetch, self.limits.packs))
    }
}

/// What stands at a folder of a commit that is there.
pub(super) fn folder_in(
    repository: &Repository<'_>,
    remote: &Remote,
    commit: &str,
    folder: &TreePath,
) -> Result<String, Failed> {
    let attempt = || {
        let folder = folder.as_str().escape_debug();
        format!("could not look at `{folder}` in commit {} of {}", short(commit), remote.address.shown())
    };
    let text = repository.ask(&["ls-tree", "-z", "--full-tree", commit, "--", folder.as_str()], 1 << 16);
    let text = text.map_err(|error| failed(attempt(), error, Some(remote)))?;
    let head = String::from_utf8_lossy(text.split(|byte| *byte == b'\t').next().unwrap_or_default()).into_owned();
    let words: Vec<&str> = head.split_ascii_whitespace().collect();
    let rule = match words[..] {
        [_, "tree", object] => return Ok(object.to_owned()),
        [_, "blob", _] => "it is a file or a link",
        [_, "commit", _] => "it is a submodule",
        _ => "there is no such folder",
    };
    Err(Failed::new(Fault::Refused, format!("{}: {rule}", attempt()))
        .hint("check `subPath`: it is a folder of the repository"))
}

/// The repository, if the commit is in it.
fn checked<'a>(repository: Repository<'a>, remote: &Remote, commit: &str) -> Result<Repository<'a>, Failed> {
    match repository.is_commit(commit) {
        Ok(true) => Ok(repository),
        Ok(false) => Err(no_commit(remote, commit)),
        Err(error) => {
            let attempt = format!("could not fetch commit {} of {}", short(commit), remote.address.shown());
            Err(failed(attempt, error, Some(remote)))
        }
    }
}

fn no_commit(remote: &Remote, commit: &str) -> Failed {
    let attempt = format!("could not fetch commit {} of {}", short(commit), remote.address.shown());
    let failed = Failed::new(Fault::Refused, format!("{attempt}: it has no such commit"));
    failed.hint(Meaning::NoCommit.hint().unwrap_or_default())
}

/// As much of a commit's hash as people need.
pub(super) fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

fn meaning(said: &[u8]) -> Meaning {
    Meaning::of(&String::from_utf8_lossy(said))
}

/// What git said, as a cause.
#[derive(Debug, thiserror::Error)]
#[error("git says: {0}")]
struct Said(String);

/// A run of git that failed, as the platform is told.
pub(super) fn failed(attempt: String, error: GitError, remote: Option<&Remote>) -> Failed {
    match error {
        GitError::Missing(_) => Failed::new(Fault::Refused, attempt).caused_by(error).hint(format!(
            "install git {OLDEST} or later: sources in git repositories are fetched with the machine's own"
        )),
        GitError::Failed(said) => {
            let meaning = meaning(&said);
            let secrets = remote.map(|remote| remote.session.secrets()).unwrap_or_default();
            let failed = Failed::new(meaning.fault(), attempt).caused_by(Said(told(&said, &secrets)));
            match meaning.hint() {
                Some(hint) => failed.hint(hint),
                None => failed,
            }
        }
        GitError::Cancelled => Failed::new(Fault::Interrupted, attempt).caused_by(error),
        GitError::TooMuch(_) => Failed::new(Fault::Refused, attempt).caused_by(error),
        GitError::TooLong(_) | GitError::Spawn(_) | GitError::Read(_) => {
            Failed::new(Fault::Transient, attempt).caused_by(error)
        }
    }
}
