//! Layers: folders that become part of the image, or serve later buildpacks. Build phase only.

use crate::backend::layers;
pub use crate::{
    Error,
    backend::layers::Layer,
    bindings::stave::buildpack::layers::{EnvOp, EnvScope, PreviousLayer, Usage},
};

/// This buildpack's layer `name` in the previous build of the same image; none where nothing of it comes back.
pub fn previous(name: &str) -> Result<Option<PreviousLayer>, Error> {
    layers::previous(name)
}

/// Begins the layer `name` (letters, digits, `-`, `_`). A name can be begun once in a build.
pub fn create(name: &str, usage: Usage) -> Result<Layer, Error> {
    layers::create(name, usage)
}

/// Keeps this buildpack's layer `name` of the previous build of the same image as it is, with its environment and notes. Where
/// that is not possible the error is [`Fault::NotFound`](crate::Fault::NotFound), and the layer can be made anew.
pub fn reuse(name: &str, usage: Usage) -> Result<(), Error> {
    layers::reuse(name, usage)
}

/// Begins the layer `name` with the files that it had in the previous build, if it was for [`Usage::CACHE`] and they are kept.
pub fn restore(name: &str, usage: Usage) -> Result<Layer, Error> {
    layers::restore(name, usage)
}

/// Makes a layer `name` that sets these variables in every process of the image, where whoever starts it does not.
///
/// ```no_run
/// # fn x() -> Result<(), stave_sdk::Failure> {
/// stave_sdk::layers::environment("environment", [("NODE_ENV", "production")])?;
/// # Ok(()) }
/// ```
pub fn environment<N: AsRef<str>, V: AsRef<str>>(
    name: &str,
    variables: impl IntoIterator<Item = (N, V)>,
) -> Result<(), Error> {
    let layer = create(name, Usage::LAUNCH)?;
    variables.into_iter().try_for_each(|(name, value)| layer.launch_env(name.as_ref(), value.as_ref()))
}

impl Layer {
    /// Sets a variable in every process of the image, where whoever starts it does not.
    pub fn launch_env(&self, name: &str, value: &str) -> Result<(), Error> {
        self.default_env(&EnvScope::Launch, name, value)
    }

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
