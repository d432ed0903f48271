//! The contract's host side: one file an interface, each only a translation of types onto the workbench.
//!
//! No check of a grant, a phase or a limit stands here. They stand in the workbench, beneath every contract version.

mod app;
mod artifacts;
mod bindings;
mod context;
mod layers;
mod log;
mod overlay;
