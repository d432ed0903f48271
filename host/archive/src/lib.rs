//! Trees of files that never touch a path: hostile archives in, reproducible layers out.
//!
//! A [`tree::Tree`] is a map from checked relative paths to directories, symbolic links and files whose bytes are
//! [`content::Content`]: a span of an open file, an entry of a zip, a few bytes in memory. Archives are read *into* a
//! tree and layers are written *from* one, so an entry called `../../etc/passwd` has nowhere to go: no name that an
//! archive chose is ever given to the operating system.

pub mod content;
pub mod tree;
