//! What a buildpack author writes against.
