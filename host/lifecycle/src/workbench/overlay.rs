//! Changes to the app as exported, laid over the source for this build alone.

use std::sync::Arc;

use stave_archive::{content::Bytes, tree::Node};
use stave_model::capability::Interface;

use super::{Answer, Phase, Workbench, short};
use crate::{
    app::graft,
    port::failure::{Fault, PortError},
};

impl Workbench {
    /// Adds a file to the app, or puts another in its place.
    pub fn overlay_write(&self, path: &str, contents: Vec<u8>, executable: bool) -> Answer<()> {
        self.begin(Interface::Overlay, Phase::Build)?;
        let at = super::path(path)?;
        let attempt = format!("could not write `{}` over the app", short(path));
        let mut state = self.state();
        let size = contents.len();
        state.room_to_write(size, &self.shop.limits, &attempt)?;
        let node = Node::file(Arc::new(Bytes::new(contents)), executable);
        let replaced = state.app.replace(at, node);
        replaced.map_err(|error| PortError::new(Fault::InvalidInput, attempt).caused_by(error))?;
        state.written += size as u64;
        Ok(())
    }

    /// Leaves out what matches; answers how many nodes went.
    pub fn overlay_remove(&self, patterns: &[String]) -> Answer<u64> {
        self.begin(Interface::Overlay, Phase::Build)?;
        let globs = super::globs(patterns)?;
        Ok(self.state().app.remove_where(|path| globs.matches(path)) as u64)
    }

    /// Unpacks an archive of the app and leaves the archive itself out; answers how many files were added.
    pub fn overlay_unpack(&self, archive: &str, into: &str) -> Answer<u64> {
        self.begin(Interface::Overlay, Phase::Build)?;
        let at = super::path(archive)?;
        let folder = super::folder(into)?;
        let (real, unpacked) = self.app_archive(archive)?;
        let mut state = self.state();
        // On a copy, so that a failure leaves the app as it was.
        let mut app = state.app.clone();
        app.remove(&at);
        // Where a link led to it.
        app.remove(&real);
        let attempt = format!("could not unpack `{}` over the app", short(archive));
        let count = graft(&mut app, &folder, &unpacked)
            .map_err(|error| PortError::new(Fault::InvalidInput, attempt).caused_by(error))?;
        state.app = app;
        Ok(count)
    }
}
