//! Where an app's source is now, and getting it: git repositories, and archives behind a URL.
//!
//! Both have two questions. *Where is it now?* is asked often, by whoever watches an image, and costs as little as it can: a list
//! of a repository's references, a request that is answered with "as before". *What is it?* is asked by a build, and answered with
//! a [`stave_archive::tree::Tree`]: nothing of a source is ever written under a name that the source chose, and nothing in it
//! is run.
//!
//! ## Git
//!
//! The machine's own `git` program does it, which therefore must be installed ([`git::OLDEST`] or later): it speaks all transports,
//! negotiates packs, knows its users' credential helpers, and its security is kept by people who do nothing else. A library
//! that does as much weighs more than the rest of the host, and one that does less is another git. What it is given is narrow
//! (`git::session`): its environment is a list of allowed names, its transports are those of the address, its hooks, filters,
//! attributes and background work are off, its time and its output are capped, and it never reads a working tree.
//!
//! A commit's files are what its trees say, byte for byte: nothing is checked out, so no attribute (`export-ignore`,
//! `export-subst`, `eol`, `ident`, `filter`) changes or hides a file, and files kept by an extension for large files stay the
//! pointers that they are. Submodules are fetched where the wish says so, and are empty folders otherwise, as after a plain clone.
//!
//! ## Archives
//!
//! Zip (jar, war) and tar, plain or compressed, told apart by their bytes. An archive is kept in the store by its digest.
//!
//! | Module | Does |
//! |---|---|
//! | [`mod@git`] | repositories: [`git::Repositories`], who asks ([`git::Credentials`]) |
//! | [`blob`] | archives: [`blob::Archives`] |
//! | `fence` | which servers are asked for wishes of others: [`Fence`] |

pub mod blob;
mod fence;
mod folder;
pub mod git;
mod secret;
#[cfg(test)]
mod testing;

pub use fence::Fence;
pub use secret::Secret;
