//! `overlay`: the app as it will stand in the image.

use super::contract::stave::buildpack::overlay::Host;
use crate::guest::{CallError, Guest};

impl Host for Guest {
    fn write_file(&mut self, path: String, contents: Vec<u8>, executable: bool) -> Result<(), CallError> {
        self.ask(|bench| bench.overlay_write(&path, contents, executable))
    }

    fn remove(&mut self, patterns: Vec<String>) -> Result<u64, CallError> {
        self.ask(|bench| bench.overlay_remove(&patterns))
    }

    fn unpack(&mut self, archive: String, into: String) -> Result<u64, CallError> {
        self.ask(|bench| bench.overlay_unpack(&archive, &into))
    }
}
