//! From source to image: detect, plan, build, layers, export, as functions over ports.
//!
//! ```text
//! app folder ─► app index ─► detect ──► plan ──► build ──► layers ──► image ──► export
//!                 │           │ Buildpack port     │ Buildpack port   │ pure     │ Sink port
//!                 └────►  Workbench: app · layers · artifacts · grants  (tested without wasm)
//! ```
//!
//! An image that is there is put on another base by [`rebase`](mod@rebase), without a build.
//!
//! Each phase is a function from its input and the ports to its output, so phases cannot be called out of order. Nothing
//! here opens a socket, runs a component or prints: adapters do that, behind the traits in [`port`].

pub mod answer;
pub mod app;
pub mod build;
pub mod detect;
pub mod export;
pub mod image;
mod libraries;
pub mod memory;
pub mod port;
pub mod previous;
pub mod rebase;
pub mod slices;
#[cfg(test)]
mod testing;
pub mod workbench;
