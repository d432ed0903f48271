//! Tests that need more than one crate: flows, images, the sandbox, the command line.
