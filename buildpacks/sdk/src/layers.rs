//! Layers: folders that become part of the image, or serve later buildpacks. Build phase only.

use crate::bindings::stave::buildpack::layers;
pub use crate::{
    Error,
    bindings::stave::buildpack::layers::{EnvOp, EnvScope, Layer, PreviousLayer, Usage},
};

/// This buildpack's layer `name` in the previous build of the same image; none where nothing of it comes back.
pub fn previous(name: &str) -> Result<Option<PreviousLayer>, Error> {
    layers::previous(name)
}

/// Begins the layer `name` (letters, digits, `-`, `_`). A name can be begun once in a build.
pub fn create(name: &str, usage: Usage) -> Result<Layer, Error> {
    layers::create(name, usage)
}

impl Layer {
    /// Sets a variable where it is unset or empty.
    pub fn default_env(&self, scope: &EnvScope, name: &str, value: &str) -> Result<(), Error> {
        self.set_env(scope, EnvOp::Default, name, value, None)
    }

    /// Puts `value` and the delimiter before what is there.
    pub fn prepend_env(&self, scope: &EnvScope, name: &str, value: &str, delimiter: &str) -> Result<(), Error> {
        self.set_env(scope, EnvOp::Prepend, name, value, Some(delimiter))
    }

    /// Puts the delimiter and `value` after what is there.
    pub fn append_env(&self, scope: &EnvScope, name: &str, value: &str, delimiter: &str) -> Result<(), Error> {
        self.set_env(scope, EnvOp::Append, name, value, Some(delimiter))
    }
}
