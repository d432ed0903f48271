//! Changes to the app as exported, laid over the source for this build alone.

use std::sync::Arc;

use stave_archive::{
    content::Bytes,
    tree::{Node, Tree},
};
use stave_model::capability::Interface;

use super::{
    Answer, Phase, Workbench,
    journal::{Call, Said, Written},
    short,
};
use crate::{
    app::graft,
    port::failure::{Fault, PortError},
};

impl Workbench {
    /// Adds a file to the app, or puts another in its place.
    pub fn overlay_write(&self, path: &str, contents: Vec<u8>, executable: bool) -> Answer<()> {
        let contents: Arc<[u8]> = contents.into();
        let work = || {
            self.begin(Interface::Overlay, Phase::Build)?;
            let at = super::path(path)?;
            let attempt = format!("could not write `{}` over the app", short(path));
            let mut state = self.state();
            let size = contents.len();
            state.room_to_write(size, &self.shop.limits, &attempt)?;
            let node = Node::file(Arc::new(Bytes::new(Arc::clone(&contents))), executable);
            state.overlaid.insert(at.clone());
            let replaced = Arc::make_mut(&mut state.app).replace(at, node);
            replaced.map_err(|error| PortError::new(Fault::InvalidInput, attempt).caused_by(error))?;
            state.written += size as u64;
            Ok(())
        };
        let call = |said| {
            let contents = Written(Arc::clone(&contents));
            Call::OverlayWrite { path: path.to_owned(), contents, executable, said }
        };
        self.asking(work, |()| Said::number(0), call)
    }

    /// Leaves out what matches; answers how many nodes went.
    pub fn overlay_remove(&self, patterns: &[String]) -> Answer<u64> {
        let work = || {
            self.begin(Interface::Overlay, Phase::Build)?;
            let globs = super::globs(patterns)?;
            Ok(Arc::make_mut(&mut self.state().app).remove_where(|path| globs.matches(path)) as u64)
        };
        let call = |said| Call::OverlayRemove { patterns: patterns.to_vec(), said };
        self.asking(work, |count| Said::number(*count), call)
    }

    /// Unpacks an archive of the app and leaves the archive itself out; answers how many files were added.
    pub fn overlay_unpack(&self, archive: &str, into: &str) -> Answer<u64> {
        let work = || {
            self.begin(Interface::Overlay, Phase::Build)?;
            let at = super::path(archive)?;
            let folder = super::folder(into)?;
            let unpacked = self.app_archive(archive)?;
            let mut state = self.state();
            // On a copy, so that a failure leaves the app as it was.
            let mut app = Tree::clone(&state.app);
            app.remove(&at);
            // Where a link led to it.
            app.remove(&unpacked.real);
            let attempt = format!("could not unpack `{}` over the app", short(archive));
            let count = graft(&mut app, &folder, &unpacked.tree)
                .map_err(|error| PortError::new(Fault::InvalidInput, attempt).caused_by(error))?;
            state.app = Arc::new(app);
            Ok(count)
        };
        let call = |said| Call::OverlayUnpack { archive: archive.to_owned(), into: into.to_owned(), said };
        self.asking(work, |count| Said::number(*count), call)
    }
}
