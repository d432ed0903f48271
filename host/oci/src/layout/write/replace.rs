//! Images of a layout replaced where they stand: the indexes above them change, what else the layout says does not.

use std::{fs::File, io};

use rustix::fs::{FlockOperation, flock};
use serde_json::Value;
use stave_lifecycle::{
    image::Descriptor,
    port::{
        cancel::Cancel,
        failure::{Fault, PortError},
        observer::{Event, Level, Observer},
    },
};

use super::{LayoutFolder, blobs_into, named, put_blob, read, referrers, replace};
use crate::{
    aside::sweep,
    docker_archive::total,
    index::{self, Rewritten, Swaps},
    json::JsonError,
    layout::Layout,
    meter::Meter,
    validate::chain,
};

/// Why an index was not rewritten.
pub(super) enum Trouble {
    Json(JsonError),
    Read(PortError),
}

impl From<JsonError> for Trouble {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

impl From<Trouble> for io::Error {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Json(error) => Self::new(io::ErrorKind::InvalidData, error),
            Trouble::Read(error) => Self::other(error),
        }
    }
}

impl LayoutFolder {
    /// Puts other images in the place of some that the place's name leads to. The index changes last, by one rename.
    pub fn replace(&self, swaps: &Swaps, observer: &dyn Observer, cancel: &Cancel) -> Result<(), PortError> {
        let bytes = swaps.images().map(total).sum();
        let mut meter = Meter::begin(observer, format!("write {}", self.place), bytes);
        let attempt = format!("could not write `{}`", self.place);
        self.exchange(swaps, observer, &mut meter, cancel).map_err(|error| PortError::of_io(attempt, Fault::Io, error))
    }

    fn exchange(
        &self,
        swaps: &Swaps,
        observer: &dyn Observer,
        meter: &mut Meter<'_>,
        cancel: &Cancel,
    ) -> io::Result<()> {
        let folder = File::open(&self.place.folder)?;
        flock(&folder, FlockOperation::LockExclusive)?;
        let blobs = self.place.folder.join("blobs/sha256");
        sweep(&self.place.folder);
        sweep(&blobs);
        for image in swaps.images() {
            blobs_into(&blobs, image, meter, cancel)?;
        }
        let layout = Layout::open(self.place.clone()).map_err(io::Error::other)?;
        let wanted = |entry: &Value| self.place.name.is_none() || named(entry) == self.place.name.as_deref();
        let mut document = |descriptor: &Descriptor| layout.document(descriptor).map_err(Trouble::Read);
        let old = read::read(&folder, "index.json")?;
        let Rewritten { bytes, nested } = index::rewrite::<Trouble>(&old, swaps, &wanted, &mut document)?;
        for (descriptor, bytes) in nested {
            put_blob(&blobs, &descriptor, || Ok(Box::new(&bytes[..])), meter, cancel)?;
        }
        let mut put =
            |descriptor: &Descriptor, bytes: &[u8]| put_blob(&blobs, descriptor, || Ok(Box::new(bytes)), meter, cancel);
        let mut warn = |error: &PortError| observer.observe(Event::Note(Level::Warning, chain(error)));
        let bytes = referrers::exchange(&bytes, swaps, &layout, cancel, &mut warn, &mut put)?;
        replace(&self.place.folder, "index.json", &bytes)
    }
}
