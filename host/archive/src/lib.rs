//! Trees of files that never touch a path: hostile archives in, reproducible layers out.
//!
//! A [`tree::Tree`] is a map from checked relative paths to directories, symbolic links and files whose bytes are
//! [`content::Content`]: a span of an open file, an entry of a zip, a few bytes in memory. Archives are read *into* a
//! tree and layers are written *from* one, so an entry called `../../etc/passwd` has nowhere to go: no name that an
//! archive chose is ever given to the operating system.

//!
//! | Module | Does |
//! |---|---|
//! | [`tree`] | paths, nodes, the map of them |
//! | [`content`] | bytes that can be read again |
//! | [`limits`] | caps for everything below |
//! | [`intake`] | judges an archive's entries; the errors of all readers |
//! | [`zip`], [`tar`], [`deb`] | readers |
//! | [`mod@format`] | guesses which reader, and calls it |
//! | [`compression`] | decompressing streams |
//! | [`spool`] | where streamed contents are kept |
//! | [`folder`] | indexes a folder on disk |
//! | [`seen`] | digests of files that need not be read again |
//! | [`glob`] | patterns over paths |
//! | [`ignore`] | gitignore's and dockerignore's lists of patterns |
//! | [`layer`] | writes a tree as an image layer |

pub mod compression;
pub mod content;
pub mod deb;
pub mod folder;
pub mod format;
pub mod glob;
mod header;
pub mod ignore;
pub mod intake;
pub mod layer;
pub mod limits;
mod member;
pub mod seen;
pub mod spool;
pub mod tar;
pub mod tree;
pub mod zip;
