//! Source images.
