//! What the previous build of the image left for this buildpack.

use stave_model::{
    capability::Interface,
    id::{InvalidName, LayerName},
};

use super::{
    Answer, Phase, Workbench,
    journal::{Call, Said},
    short,
};
use crate::{
    port::{
        failure::{Fault, PortError},
        observer::{Event, Level},
    },
    previous::PreviousLayer,
};

impl Workbench {
    /// The notes that this buildpack's previous build of the image ended with.
    pub fn notes(&self) -> Answer<Vec<(String, String)>> {
        let work = || {
            self.begin(Interface::Context, Phase::Detect)?;
            Ok(self.shop.previous.notes(self.buildpack()).into_iter().collect())
        };
        self.asking(work, |notes: &Vec<_>| Said::pairs(notes), |said| Call::Notes { said })
    }

    /// A layer of this buildpack's previous build of the image; none if nothing of it comes back.
    pub fn previous_layer(&self, name: &str) -> Answer<Option<PreviousLayer>> {
        let work = || {
            self.begin(Interface::Layers, Phase::Build)?;
            let attempt = || format!("could not look for a previous layer `{}`", short(name));
            let invalid = |error: InvalidName| PortError::new(Fault::InvalidInput, attempt()).caused_by(error);
            let name: LayerName = name.parse().map_err(invalid)?;
            match self.shop.previous.layer(self.buildpack(), &name) {
                Ok(layer) => Ok(Some(layer)),
                Err(reason) => {
                    let note = format!("{}:{name} of the previous build is not used: {reason}", self.buildpack());
                    self.shop.observer.observe(Event::Note(Level::Debug, note));
                    Ok(None)
                }
            }
        };
        let call = |said| Call::PreviousLayer { name: name.to_owned(), said };
        self.asking(work, |layer| Said::previous(layer.as_ref()), call)
    }
}
