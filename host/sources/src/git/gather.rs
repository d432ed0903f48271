//! A source's files: those of a commit, and of the commits that it includes.

use stave_archive::{
    spool::Spool,
    tree::{Tree, TreePath},
};
use stave_lifecycle::{app::graft, port::cancel::Cancel};
use stave_platform::{
    port::Failed,
    resource::{build::Fault, source::FoundGit},
};

use super::{
    Repositories,
    address::Address,
    commits::{Remote, failed, folder_in, short},
    files::{self, Budget, FilesError, Module},
    modules,
    refs::is_object,
    repository::{Purpose, Repository},
    run::GitError,
    session::Credentials,
};
use crate::folder;

/// One fetch of a source: what it may still take.
pub(super) struct Errand<'a> {
    root: Address,
    credentials: &'a Credentials,
    cancel: &'a Cancel,
    budget: Budget,
    spool: Spool,
    with_modules: bool,
    modules: usize,
}

impl Repositories {
    /// The files of a commit that was found, below `sub_path`.
    pub fn fetch(
        &self,
        found: &FoundGit,
        sub_path: Option<&str>,
        credentials: &Credentials,
        cancel: &Cancel,
    ) -> Result<Tree, Failed> {
        let folder = folder::path(sub_path)?;
        let root = Address::of_wish(&found.url)?;
        if !is_object(&found.revision) {
            let shown: String = found.revision.chars().take(100).collect();
            let attempt = format!("could not fetch `{}` of {}: it is no commit", shown.escape_debug(), root.shown());
            return Err(Failed::new(Fault::Refused, attempt));
        }
        let keep = |error| Failed::new(Fault::Transient, "could not make room for what is fetched").caused_by(error);
        std::fs::create_dir_all(&self.cache).map_err(keep)?;
        let spool = Spool::new_in(&self.cache).map_err(keep)?;
        let mut errand = Errand {
            root: root.clone(),
            credentials,
            cancel,
            budget: Budget::new(self.limits.files),
            spool,
            with_modules: found.initialize_submodules,
            modules: 0,
        };
        self.gather(&mut errand, root, &found.revision.to_ascii_lowercase(), &folder, 0)
    }

    /// A commit's files below `folder`, and those of its submodules; it stands within `depth` others.
    fn gather(
        &self,
        errand: &mut Errand<'_>,
        address: Address,
        commit: &str,
        folder: &TreePath,
        depth: usize,
    ) -> Result<Tree, Failed> {
        let credentials = errand.credentials_for(&address);
        let remote = self.remote(address, credentials)?;
        let attempt = || format!("could not read commit {} of {}", short(commit), remote.address.shown());
        let repository = self.having(&remote, commit, Purpose::Commits, errand.cancel)?;
        let top = match folder.as_str() {
            "" => commit.to_owned(),
            _ => folder_in(&repository, &remote, commit, folder)?,
        };
        let read = files::read(&repository, &top, &mut errand.budget, &mut errand.spool);
        let (mut tree, modules) = read.map_err(|error| unreadable(attempt(), error, &repository, &remote))?;
        if modules.is_empty() || !errand.with_modules {
            return Ok(tree);
        }
        let said = modules::addresses(&repository, commit);
        let addresses = said.map_err(|error| failed(attempt(), error, Some(&remote)))?;
        // Nobody waits for this repository while others are fetched, which may lead back to it.
        drop(repository);
        for Module { path, commit: wanted } in modules {
            let refuse = |rule: &str| {
                let shown = path.as_str().escape_debug();
                let attempt = format!("could not fetch the submodule `{shown}` of {}", remote.address.shown());
                Failed::new(Fault::Refused, format!("{attempt}: {rule}"))
            };
            errand.modules += 1;
            if errand.modules > self.limits.modules {
                return Err(refuse(&format!("there are more than {}", self.limits.modules)));
            }
            if depth >= self.limits.depth {
                return Err(refuse(&format!("it stands within {depth} others")));
            }
            let named = folder.join(&path).ok().and_then(|place| addresses.get(place.as_str()));
            let text = named.ok_or_else(|| refuse("`.gitmodules` does not say where it is"))?;
            let address = Address::of_module(&remote.address, text)?;
            let below = self.gather(errand, address, &wanted, &TreePath::root(), depth + 1)?;
            graft(&mut tree, &path, &below).map_err(|error| refuse("its files have no place").caused_by(error))?;
        }
        Ok(tree)
    }
}

impl<'a> Errand<'a> {
    /// Whose name is given at an address: the wish's own where it is the wish's host, and nobody's elsewhere.
    fn credentials_for(&self, address: &Address) -> &'a Credentials {
        match self.credentials {
            Credentials::Machine => self.credentials,
            given if *address == self.root || address.is_beside(&self.root) => given,
            _ => &Credentials::None,
        }
    }
}

/// A commit's files that could not be read. A repository of ours that turned out damaged is not kept for the next attempt.
fn unreadable(attempt: String, error: FilesError, repository: &Repository<'_>, remote: &Remote) -> Failed {
    match error {
        FilesError::Git(GitError::Failed(_)) | FilesError::Damaged(_) => {
            // If that fails too, the next attempt will say so.
            let _ = repository.renew();
            match error {
                FilesError::Git(error) => failed(attempt, error, Some(remote)),
                error => Failed::new(Fault::Transient, attempt).caused_by(error),
            }
        }
        FilesError::Git(error) => failed(attempt, error, Some(remote)),
        FilesError::Keep(_) => Failed::new(Fault::Transient, attempt).caused_by(error),
        FilesError::Tree(_) | FilesError::Entry { .. } | FilesError::TooMuch(_) => {
            Failed::new(Fault::Refused, attempt).caused_by(error)
        }
    }
}
