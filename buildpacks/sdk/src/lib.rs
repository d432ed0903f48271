//! What a buildpack author writes against: the contract's types, a trait to fill in, and a few conveniences.
//!
//! A buildpack is a crate of the types `cdylib` and `rlib` that implements [`Buildpack`] and names itself with
//! [`export!`]. Compiled for `wasm32-wasip2` it is a component. Compiled for the machine at hand it is tested: the functions
//! that ask the host ([`app`], [`context`], [`layers`] …) work there too, within a `testing::Host` (feature `testing`).
//!
//! ```
//! use stave_sdk::{Buildpack, Failure, OrFail, Report, Requirement, Verdict, app, layers};
//!
//! struct Program;
//!
//! impl Buildpack for Program {
//!     fn detect() -> Result<Verdict, Failure> {
//!         Ok(Verdict::pass_if(app::exists("program.properties")?, "no program.properties"))
//!     }
//!
//!     fn build(_: &[Requirement]) -> Result<Report, Failure> {
//!         let mut settings = app::read_properties("program.properties")?.unwrap_or_default();
//!         let program = settings.remove("program").or_blame_app("program.properties names no program")?;
//!         layers::environment("environment", settings)?;
//!         Ok(Report::web([program]))
//!     }
//! }
//!
//! stave_sdk::export!(Program);
//! ```
//!
//! # When something goes wrong
//!
//! Every call of the host can fail with an [`Error`], which is an answer to act upon. Where nothing can be done, `?` turns it into a
//! [`Failure`]: its blame follows from the fault, and one of the buildpack says the place in its source. [`OrFail`] does the same
//! for other errors and for what is missing. A panic ends the buildpack: the host says what it said, and where.

// The generated code names this crate by its path, here as in the crates that use it.
extern crate self as stave_sdk;

pub mod app;
pub mod artifacts;
mod backend;
#[doc(hidden)]
pub mod bindings;
pub mod context;
mod crash;
mod detection;
mod failure;
pub mod layers;
pub mod log;
pub mod overlay;
mod parse;
mod report;
pub mod services;
#[cfg(all(feature = "testing", not(target_family = "wasm")))]
pub mod testing;
pub mod words;

use std::marker::PhantomData;

#[doc(hidden)]
pub use wit_bindgen::rt as wit_bindgen_rt;

pub use crate::{
    detection::{Alternative, Requirement, Verdict},
    failure::{Blame, Error, Failure, Fault, OrFail},
    report::{Process, Report},
};

/// Where the app stands in the image.
pub const APP_DIR: &str = "/workspace";

/// A buildpack: the two questions that the host asks.
pub trait Buildpack {
    /// Whether there is something to do for this app. Reads only, and quick.
    fn detect() -> Result<Verdict, Failure>;

    /// Does the work. `requirements` are the entries of the resolved plan that this buildpack provides.
    fn build(requirements: &[Requirement]) -> Result<Report, Failure>;
}

/// Stands between the contract's exports and a [`Buildpack`]; [`export!`] names it.
#[doc(hidden)]
pub struct Exported<B>(PhantomData<B>);

impl<B: Buildpack> bindings::exports::stave::buildpack::detection::Guest for Exported<B> {
    fn detect() -> Result<Verdict, Failure> {
        crash::report_to_log();
        B::detect()
    }
}

impl<B: Buildpack> bindings::exports::stave::buildpack::construction::Guest for Exported<B> {
    fn build(requirements: Vec<Requirement>) -> Result<Report, Failure> {
        crash::report_to_log();
        B::build(&requirements)
    }
}

/// Makes a [`Buildpack`] what this component exports. Without effect where the crate is not compiled to WebAssembly.
#[macro_export]
macro_rules! export {
    ($buildpack:ty) => {
        #[cfg(target_family = "wasm")]
        mod exported {
            #![allow(unsafe_code, unused_imports, clippy::pedantic, reason = "generated code of the canonical ABI")]
            use super::*;

            type Component = $crate::Exported<$buildpack>;
            $crate::bindings::export_component!(Component with_types_in $crate::bindings);
        }
    };
}
