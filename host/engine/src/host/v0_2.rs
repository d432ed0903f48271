//! `stave:buildpack@0.2`: 0.1, and the interface `sbom`.

use crate::bindings::v0_2 as contract;

#[path = "app.rs"]
mod app;
#[path = "artifacts.rs"]
mod artifacts;
#[path = "bindings.rs"]
mod bindings;
#[path = "context.rs"]
mod context;
#[path = "exports.rs"]
pub(super) mod exports;
#[path = "layers.rs"]
mod layers;
#[path = "log.rs"]
mod log;
#[path = "overlay.rs"]
mod overlay;
#[path = "sbom.rs"]
mod sbom;
#[path = "types.rs"]
mod types;
