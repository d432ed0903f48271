//! Whom the SDK asks: in a component the contract's imports; natively, in tests, the host's own workbench.
//!
//! Both have the same functions with the same signatures, so that what stands above them, and every buildpack, is one text.

#[cfg(not(all(feature = "testing", not(target_family = "wasm"))))]
pub(crate) use crate::bindings::stave::buildpack::{app, artifacts, bindings, context, layers, log, overlay};
#[cfg(all(feature = "testing", not(target_family = "wasm")))]
pub(crate) use crate::testing::backend::{app, artifacts, bindings, context, layers, log, overlay};
