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
//! **Compiling happens in this process**, on at most as many threads as there are processors, and not in a limited child. A
//! child would be no fence against a component that turns the compiler against us: what it hands back is native code, which
//! this process maps and runs. What it would bound, time and memory, is bounded by what the compiler is given at all. Before a byte is
//! compiled, a component is refused whose file, number of functions, largest function, parts, depth or names go over a cap
//! ([`limits::Limits`], [`component`]), each with a message that names the cap. Code is translated function by function, so a
//! thread holds one function of at most `function_bytes` in the compiler's own form, however large the component is, and the
//! whole takes about a second a megabyte and core: about a minute for the largest. A component is compiled once a machine, and
//! never again by a build that finds its code kept. What is left: nothing interrupts the compiler (a second Ctrl-C ends the
//! process), and a fault that makes it crash takes this process along.
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
