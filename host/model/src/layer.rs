//! What a layer is for.

use serde::{Deserialize, Serialize};

/// The three uses of a layer (buildpack specification, "Layer Types"). With none of them it is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Later buildpacks see its environment.
    pub build: bool,
    /// It is part of the image.
    pub launch: bool,
    /// It is kept for the next build.
    pub cache: bool,
}
