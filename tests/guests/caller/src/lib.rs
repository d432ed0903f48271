//! A buildpack of contract 0.1 that makes the call named in the file `call` of the app, in whichever export it is called, and
//! tells what it was answered.

mod bindings {
    //! The contract, generated. The canonical ABI passes pointers, so its code is unsafe.
    #![allow(
        unsafe_code,
        unreachable_pub,
        clippy::pedantic,
        clippy::allow_attributes_without_reason,
        reason = "generated"
    )]

    wit_bindgen::generate!({ path: "../../../wit/v0.1", world: "buildpack" });

    #[cfg(target_family = "wasm")]
    export!(Caller);

    /// Makes one call.
    pub struct Caller;
}

mod calls;
mod telling;

pub use bindings::Caller;
pub(crate) use calls::call;
