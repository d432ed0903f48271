//! The guest `caller` for contract 0.2: the same calls, and those that came with it.

mod bindings {
    //! The contract, generated. The canonical ABI passes pointers, so its code is unsafe.
    #![allow(
        unsafe_code,
        unreachable_pub,
        clippy::pedantic,
        clippy::allow_attributes_without_reason,
        reason = "generated"
    )]

    wit_bindgen::generate!({ path: "../../../wit/v0.2", world: "buildpack" });

    #[cfg(target_family = "wasm")]
    export!(Caller);

    /// Makes one call.
    pub struct Caller;
}

#[path = "../../caller/src/calls.rs"]
mod calls;
#[path = "../../caller/src/telling.rs"]
mod telling;

pub use bindings::Caller;

use bindings::stave::buildpack::sbom::{self, Part};
use calls::{Said, layer};

/// Makes the call; none if this version has no such call.
pub(crate) fn call(name: &str) -> Option<Said> {
    let part = |name: &str| Part {
        name: name.to_owned(),
        version: "1".to_owned(),
        purl: Some(format!("pkg:npm/{name}@1")),
        licenses: vec!["MIT".to_owned()],
    };
    match name {
        "sbom.add" => Some(layer().and_then(|layer| sbom::add(&layer, &[part("express")])).map(|()| "()".to_owned())),
        _ => calls::call(name),
    }
}
