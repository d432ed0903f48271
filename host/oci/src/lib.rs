//! Base images in, images out: registry, OCI layout, docker archive, docker daemon.
