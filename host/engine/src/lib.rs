//! Runs a buildpack component in a sandbox with everything closed.
