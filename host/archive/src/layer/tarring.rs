//! Makes a layer's tar, block by block, on a thread of its own.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::SyncSender,
    },
};

use super::{
    LayerError,
    block::{Block, Shelf},
};
use crate::{
    content::Content,
    header::BLOCK,
    member::{self, Member},
};

/// Why the tar ended early.
pub(super) enum Stop {
    Failed(LayerError),
    /// Whoever takes the blocks is gone; they know why.
    Unheard,
}

const SHORTER: &str = "it is shorter than it was when it was indexed";
const LONGER: &str = "it is longer than it was when it was indexed";

/// Reads what goes into the tar.
pub(super) struct Tarring<'a> {
    to: SyncSender<Block>,
    shelf: &'a Arc<Shelf>,
    block: Option<Block>,
    cancel: &'a AtomicBool,
}

impl<'a> Tarring<'a> {
    /// Passes blocks from `shelf` on to `to`, all full but the last.
    pub(super) fn new(to: SyncSender<Block>, shelf: &'a Arc<Shelf>, cancel: &'a AtomicBool) -> Self {
        Self { to, shelf, block: None, cancel }
    }

    pub(super) fn run<'b>(mut self, members: impl Iterator<Item = Result<Member<'b>, LayerError>>) -> Result<(), Stop> {
        for member in members {
            let member = member.map_err(Stop::Failed)?;
            self.put(&member::headers(&member))?;
            if let Some(content) = member.content {
                self.content(&member.name, content)?;
            }
        }
        self.put(&[0; 2 * BLOCK])?;
        self.pass_on()
    }

    /// The block that is being filled. A full one is passed on before another is taken, so that no number of layers can hold
    /// all blocks and wait for one more.
    fn block(&mut self) -> &mut Block {
        self.block.get_or_insert_with(|| self.shelf.take())
    }

    fn put(&mut self, mut bytes: &[u8]) -> Result<(), Stop> {
        while !bytes.is_empty() {
            let room = self.block().room();
            let (now, later) = bytes.split_at(bytes.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            bytes = later;
            self.took(now.len())?;
        }
        Ok(())
    }

    /// `count` bytes were put into the block; a full one is passed on.
    fn took(&mut self, count: usize) -> Result<(), Stop> {
        if self.block().took(count) { self.pass_on() } else { Ok(()) }
    }

    fn content(&mut self, name: &str, content: &dyn Content) -> Result<(), Stop> {
        let failed = |source| Stop::Failed(LayerError::Content { path: name.to_owned(), source });
        let size = content.size();
        let mut reader = content.open().map_err(failed)?;
        let mut left = size;
        while left > 0 {
            let room = self.block().room();
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(room.len());
            match reader.read(&mut room[..wanted]) {
                Ok(0) => return Err(failed(io::Error::new(io::ErrorKind::UnexpectedEof, SHORTER))),
                Ok(read) => {
                    left -= read as u64;
                    self.took(read)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        if reader.read(&mut [0]).map_err(failed)? != 0 {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidData, LONGER)));
        }
        let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
        if over == 0 { Ok(()) } else { self.put(&[0; BLOCK][over..]) }
    }

    fn pass_on(&mut self) -> Result<(), Stop> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(Stop::Failed(LayerError::Cancelled));
        }
        match self.block.take() {
            None => Ok(()),
            Some(block) => self.to.send(block).map_err(|_| Stop::Unheard),
        }
    }
}
