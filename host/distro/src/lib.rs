//! Composes a stack image from a distribution's signed packages.
