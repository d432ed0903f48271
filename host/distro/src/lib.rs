//! Composes a stack image from a distribution's signed packages.

pub mod definition;
pub mod packages;
pub mod paragraph;
pub mod relation;
pub mod release;
pub mod resolve;
pub mod signature;
pub mod sources;
