//! A file that is hung on what is in a layout already.

use std::{fs::File, io};

use rustix::fs::{FlockOperation, flock};
use serde_json::Value;
use stave_lifecycle::{
    image::Descriptor,
    port::{
        cancel::Cancel,
        failure::{Fault, PortError},
        observer::Observer,
    },
};

use super::{LayoutFolder, put_blob, read, referrers, replace};
use crate::{artifact::Attachment, aside::sweep, json as strict, layout::Layout, meter::Meter};

impl LayoutFolder {
    /// Hangs a file on what has this digest. Hanging the same file there again changes nothing.
    pub fn attach(
        &self,
        subject: &Descriptor,
        attachment: &Attachment<'_>,
        observer: &dyn Observer,
        cancel: &Cancel,
    ) -> Result<(), PortError> {
        let attempt = format!("could not attach a signature to {} in `{}`", subject.digest, self.place);
        let mut meter = Meter::begin(observer, format!("write {}", self.place), attachment.file.len() as u64);
        let attached = self.try_attach(subject, attachment, &mut meter, cancel);
        attached.map_err(|error| PortError::of_io(attempt, Fault::Io, error))
    }

    fn try_attach(
        &self,
        subject: &Descriptor,
        attachment: &Attachment<'_>,
        meter: &mut Meter<'_>,
        cancel: &Cancel,
    ) -> io::Result<()> {
        let folder = File::open(&self.place.folder)?;
        flock(&folder, FlockOperation::LockExclusive)?;
        let blobs = self.place.folder.join("blobs/sha256");
        sweep(&self.place.folder);
        sweep(&blobs);
        // What is not there cannot be signed.
        Layout::open(self.place.clone()).and_then(|layout| layout.document(subject)).map_err(io::Error::other)?;
        let mut put =
            |descriptor: &Descriptor, bytes: &[u8]| put_blob(&blobs, descriptor, || Ok(Box::new(bytes)), meter, cancel);
        let entry = referrers::hang(subject, attachment, &mut put)?;
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let mut index: Value = strict::value(&read::read(&folder, "index.json")?).map_err(invalid)?;
        let Some(entries) = index.get_mut("manifests").and_then(Value::as_array_mut) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its index.json lists nothing"));
        };
        if entries.iter().any(|old| old.get("digest") == entry.get("digest")) {
            return Ok(());
        }
        entries.push(entry);
        replace(&self.place.folder, "index.json", &serde_json::to_vec(&index)?)
    }
}
