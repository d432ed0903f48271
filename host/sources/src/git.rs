//! Git repositories: where a branch is now, and a commit's files.
//!
//! Submodules are fetched at the commits that the tree names, from the addresses that `.gitmodules` says: over `https`, `http` or
//! ssh, never from this machine, so many and so deep and no more. The wish's credentials go with them to the same host and nowhere else.

pub(crate) mod address;
mod commits;
mod failure;
mod files;
mod gather;
mod kept;
mod modules;
mod refs;
mod repository;
mod run;
mod session;

use std::{path::PathBuf, time::Duration};

use stave_archive::{limits::Limits as FileLimits, tree::TreePath};
use stave_lifecycle::port::cancel::Cancel;
use stave_platform::{
    port::Failed,
    resource::{
        build::Fault,
        source::{Found, FoundGit, Git, ResolvedSource},
    },
};

use self::{
    address::Address,
    commits::{Remote, failed, folder_in},
    refs::{Refs, is_object},
    repository::Purpose,
    run::{Call, output},
};
pub use self::{
    kept::{Kept, kept, remove},
    refs::Kind,
    session::Credentials,
};
use crate::{fence::Fence, folder};

/// The oldest git that does all that is asked of it.
pub const OLDEST: &str = "2.32";

/// How much a repository may cost. Whoever made it chose its numbers; these are ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The files of a source, its submodules' among them.
    pub files: FileLimits,
    /// The bytes of one repository's packs on disk.
    pub packs: u64,
    /// The bytes of its list of references.
    pub references: u64,
    /// How many submodules are fetched for one source.
    pub modules: usize,
    /// How deep submodules may stand within each other.
    pub depth: usize,
    /// How long the list of references may take.
    pub ask: Duration,
    /// How long one repository may take to come.
    pub fetch: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            files: FileLimits::default(),
            packs: 8 << 30,
            references: 64 << 20,
            modules: 64,
            depth: 4,
            ask: Duration::from_mins(1),
            fetch: Duration::from_mins(30),
        }
    }
}

/// Where a revision was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The commit, and the app's folder in it.
    pub found: FoundGit,
    /// What the revision is the name of.
    pub kind: Kind,
}

impl Resolved {
    /// Whether the revision may be at another commit next time. A commit never is: nobody needs to ask again.
    pub fn is_moving(&self) -> bool {
        self.kind != Kind::Commit
    }
}

/// Looks into repositories and fetches from them, keeping what it fetched in a folder. Any number of threads and programs may use
/// the same folder.
#[derive(Debug, Clone)]
pub struct Repositories {
    program: PathBuf,
    cache: PathBuf,
    sessions: PathBuf,
    limits: Limits,
    fence: Option<Fence>,
    /// Another version of git's protocol, for tests of servers that speak no newer one.
    protocol: Option<&'static str>,
}

impl Repositories {
    /// Repositories whose fetched commits are kept in `cache`, a folder that may be thrown away when nobody uses it.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            program: "git".into(),
            cache: cache.into(),
            sessions: std::env::temp_dir(),
            limits: Limits::default(),
            fence: None,
            protocol: None,
        }
    }

    /// The same with other limits.
    #[must_use]
    pub fn limited(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The same with what git needs for the moment of a run, a key among it, in this folder: what a killed one leaves there is
    /// for whoever comes next to take away.
    #[must_use]
    pub fn asking_from(self, sessions: impl Into<PathBuf>) -> Self {
        Self { sessions: sessions.into(), ..self }
    }

    /// The same for wishes that may be others': servers behind the fence are not asked, and no redirect is followed.
    #[must_use]
    pub fn within(self, fence: Fence) -> Self {
        Self { fence: Some(fence), ..self }
    }

    /// Where a revision is now, and what `sub_path` is there.
    ///
    /// `last` is where it was found before: nothing is fetched if it is still there, and a commit that was found is not even asked for.
    pub fn resolve(
        &self,
        git: &Git,
        sub_path: Option<&str>,
        credentials: &Credentials,
        last: Option<&ResolvedSource>,
        cancel: &Cancel,
    ) -> Result<Resolved, Failed> {
        let folder = folder::path(sub_path)?;
        let address = Address::of_wish(&git.url)?;
        check_revision(&git.revision)?;
        let before = last.and_then(|last| before(last, git, &folder));
        let found = |revision: String, tree: Option<String>, kind| Resolved {
            found: FoundGit { url: git.url.clone(), revision, tree, initialize_submodules: git.initialize_submodules },
            kind,
        };
        let known = |commit: &str| {
            let before = before.filter(|before| before.revision.eq_ignore_ascii_case(commit))?;
            (folder == TreePath::root() || before.tree.is_some()).then(|| before.tree.clone())
        };
        if let Some(tree) = known(&git.revision).filter(|_| is_object(&git.revision)) {
            return Ok(found(git.revision.to_ascii_lowercase(), tree, Kind::Commit));
        }
        let remote = self.remote(address, credentials)?;
        let (kind, commit) = self.ask(&remote, &git.revision, cancel)?;
        if let Some(tree) = known(&commit) {
            return Ok(found(commit, tree, kind));
        }
        let tree = match folder.as_str() {
            "" => None,
            _ => Some(self.look(&remote, &commit, &folder, cancel)?),
        };
        Ok(found(commit, tree, kind))
    }

    /// What the repository says of a revision.
    fn ask(&self, remote: &Remote, revision: &str, cancel: &Cancel) -> Result<(Kind, String), Failed> {
        let shown = remote.address.shown();
        let mut args: Vec<&str> = remote.session.options().collect();
        args.extend(["ls-remote", "--quiet", "--", remote.address.text()]);
        let call =
            Call { args: &args, session: &remote.session, stdin: Vec::new(), deadline: self.limits.ask, watch: None };
        let text = output(&self.program, &call, self.limits.references, cancel)
            .map_err(|error| failed(format!("could not ask {shown} for its branches and tags"), error, Some(remote)))?;
        let refs = Refs::parse(&text);
        if let Some(found) = refs.find(revision) {
            return Ok(found);
        }
        let quoted = |name: &&str| format!("`{}`", name.escape_debug());
        let alike: Vec<String> = refs.alike(revision).iter().map(quoted).collect();
        let attempt = format!("could not find `{}` in {shown}", revision.escape_debug());
        let failed =
            Failed::new(Fault::Refused, format!("{attempt}: it is neither a branch, nor a tag, nor a whole commit"));
        let is_short = (4..40).contains(&revision.len()) && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
        Err(match alike.as_slice() {
            _ if refs.is_empty() => failed.hint("there is nothing in this repository yet: push a branch"),
            [] if is_short => failed.hint("name a commit by all its 40 digits: `git rev-parse` prints them"),
            [] => failed.hint("`git ls-remote` lists what there is; many repositories call their branch `main`"),
            alike => failed.hint(format!("did you mean {}?", alike.join(" or "))),
        })
    }

    /// The hash of a folder in a commit, for which the commit's folders alone are fetched where the server can do that.
    fn look(&self, remote: &Remote, commit: &str, folder: &TreePath, cancel: &Cancel) -> Result<String, Failed> {
        let repository = self.having(remote, commit, Purpose::Folders, cancel)?;
        folder_in(&repository, remote, commit, folder)
    }
}

/// The last answer, if it was about the same wish.
fn before<'a>(last: &'a ResolvedSource, git: &Git, folder: &TreePath) -> Option<&'a FoundGit> {
    let Found::Git(found) = &last.at else { return None };
    let is_same = found.url == git.url && folder::path(last.sub_path.as_deref()).is_ok_and(|path| path == *folder);
    is_same.then_some(found)
}

fn check_revision(revision: &str) -> Result<(), Failed> {
    let rule = match revision {
        "" => "it is empty",
        text if text.len() > 1024 => "it is longer than 1024 bytes",
        text if text.starts_with('-') => "it begins with `-`",
        text if text.contains(|c: char| c.is_control() || c == ' ') => "it holds a space or a control character",
        _ => return Ok(()),
    };
    let shown: String = revision.chars().take(100).collect();
    Err(Failed::new(Fault::Refused, format!("the revision `{}` is refused: {rule}", shown.escape_debug()))
        .hint("name a branch, a tag, or a commit by all its digits"))
}

#[cfg(test)]
mod tests;
