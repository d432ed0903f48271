//! Words for the person who watches the build.

use crate::backend::log;
pub use crate::bindings::stave::buildpack::log::Level;

/// Says that a new step of the work begins, such as "Java 21".
pub fn step(title: &str) {
    log::step(title);
}

/// What everyone should see.
pub fn info(message: &str) {
    log::write(Level::Info, message);
}

/// What someone should look into, though the build goes on.
pub fn warning(message: &str) {
    log::write(Level::Warning, message);
}

/// What went wrong. A build that ends because of it says so by a [`crate::Failure`] instead.
pub fn error(message: &str) {
    log::write(Level::Error, message);
}

/// What only `--verbose` shows.
pub fn debug(message: &str) {
    log::write(Level::Debug, message);
}
