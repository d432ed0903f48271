//! The versions of the contract beside each other: how it may grow, and what each import of each version answers where it is
//! allowed and where it is denied.

#![expect(clippy::unwrap_used, reason = "only tests are here")]

mod grants;
mod growth;
mod matrix;
#[path = "../support/mod.rs"]
mod support;
mod text;
