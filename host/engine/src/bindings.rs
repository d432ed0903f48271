//! The contract in Rust, generated from `wit/` when this crate is compiled: a module for each version that is served.
//!
//! Nothing is written by hand here, and this is the one place where the lints of the house do not hold. Host functions are
//! synchronous and may trap; calls into the buildpack are asynchronous, so that one that sleeps can be given up. Things that a
//! buildpack holds and the error of a call are the same in all versions.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]

/// `stave:buildpack@0.1`.
pub(crate) mod v0_1 {
    wasmtime::component::bindgen!({
        path: "../../wit/v0.1",
        world: "buildpack",
        imports: { default: trappable },
        exports: { default: async },
        with: {
            "stave:buildpack/app.archive": crate::guest::Archive,
            "stave:buildpack/layers.layer": crate::guest::Layer,
            "stave:buildpack/artifacts.artifact": crate::guest::Artifact,
        },
        trappable_error_type: {
            "stave:buildpack/types.error" => crate::guest::CallError,
        },
    });
}

/// `stave:buildpack@0.2`.
pub(crate) mod v0_2 {
    wasmtime::component::bindgen!({
        path: "../../wit/v0.2",
        world: "buildpack",
        imports: { default: trappable },
        exports: { default: async },
        with: {
            "stave:buildpack/app.archive": crate::guest::Archive,
            "stave:buildpack/layers.layer": crate::guest::Layer,
            "stave:buildpack/artifacts.artifact": crate::guest::Artifact,
        },
        trappable_error_type: {
            "stave:buildpack/types.error" => crate::guest::CallError,
        },
    });
}
