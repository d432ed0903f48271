//! Runs a buildpack component in a sandbox with everything closed.
//!
//! ```text
//! bytes ─► describe ─► admit ─────────────► compile, or take kept code ─► Loaded ─► detect, build
//!          (component)  imports ⊆ asks ⊆     (compiled)                    (run)     │ host/: types only
//!                       grants (admission)                                           ▼
//!                                                                               Workbench
//! ```
//!
//! Everything up to and including admission is decided from the component's outside, before one byte of it is compiled. What
//! a buildpack may do is decided by the workbench (`stave_lifecycle::workbench`) alone; what it may use up while it computes
//! is in [`limits`]; what it sees of the world, which is nothing, in `sandbox`.
//!
//! Compiling happens in this process, on at most as many threads as there are processors. A component's size, its functions
//! and their sizes are limited before ([`limits::Limits`]), which bounds the time to about a minute; a fault of the compiler
//! itself would take this process with it. Running it in a process of its own is left for later.
//!
//! A call into a buildpack cannot be interrupted while the host works for it. Every function of the workbench ends after
//! work that its own limits bound, and fetching a dependency looks for a request to stop by itself.

mod bindings;
mod guest;
mod host;
mod run;
mod sandbox;
mod stop;
mod ticker;
mod watch;

pub mod admission;
pub mod compiled;
pub mod component;
pub mod engine;
pub mod limits;
pub mod load;

pub use self::{engine::Engine, limits::Limits, load::Loaded};
