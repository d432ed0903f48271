//! The contract in Rust, generated from `wit/` when this crate is compiled.
//!
//! Nothing is written by hand here, and this is the one place where the lints of the house do not hold: the canonical ABI
//! passes pointers, so its code is unsafe.
#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated code of the canonical ABI"
)]

wit_bindgen::generate!({
    path: "../../wit/v0.1",
    world: "buildpack",
    additional_derives: [PartialEq, Eq],
    runtime_path: "::stave_sdk::wit_bindgen_rt",
    pub_export_macro: true,
    export_macro_name: "export_component",
    default_bindings_module: "::stave_sdk::bindings",
});
