//! What the lifecycle needs from the world, as small traits beside plain data; one file a port.

pub mod artifacts;
pub mod bases;
pub mod blobs;
pub mod buildpack;
pub mod cancel;
pub mod failure;
pub mod ledger;
pub mod observer;
pub mod recall;
pub mod sink;
