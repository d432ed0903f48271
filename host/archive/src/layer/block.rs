//! Pieces of layers on their way through the threads that write them. There is a fixed number of them, so that layers of any
//! size, and any number of layers at a time, are written in the same memory.

use std::{
    mem,
    sync::{Arc, Condvar, Mutex, PoisonError},
};

use super::packing::BLOCK_SIZE;

/// Where blocks wait to be used again.
#[derive(Debug)]
pub(super) struct Shelf {
    state: Mutex<State>,
    put_back: Condvar,
}

#[derive(Debug)]
struct State {
    free: Vec<Buffers>,
    /// How many may still be made.
    unmade: usize,
}

#[derive(Debug, Default)]
struct Buffers {
    bytes: Vec<u8>,
    packed: Vec<u8>,
}

impl Shelf {
    pub(super) fn new(blocks: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { free: Vec::new(), unmade: blocks }), put_back: Condvar::new() })
    }

    /// How many blocks were made so far, and how many of them wait here.
    #[cfg(test)]
    pub(super) fn count(&self, blocks: usize) -> (usize, usize) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (blocks - state.unmade, state.free.len())
    }

    /// An empty block; waits until there is one.
    pub(super) fn take(self: &Arc<Self>) -> Block {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let buffers = loop {
            if let Some(buffers) = state.free.pop() {
                break buffers;
            }
            if state.unmade > 0 {
                state.unmade -= 1;
                break Buffers { bytes: vec![0; BLOCK_SIZE], packed: Vec::new() };
            }
            state = self.put_back.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        Block { buffers, len: 0, shelf: Arc::clone(self) }
    }
}

/// Up to [`BLOCK_SIZE`] bytes of a tar, and what became of them when they were packed. Dropping it makes room for another.
#[derive(Debug)]
pub(super) struct Block {
    buffers: Buffers,
    len: usize,
    shelf: Arc<Shelf>,
}

impl Block {
    pub(super) fn filled(&self) -> &[u8] {
        &self.buffers.bytes[..self.len]
    }

    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.buffers.bytes[self.len..]
    }

    /// `count` bytes were put into the room; whether it is full now.
    pub(super) fn took(&mut self, count: usize) -> bool {
        self.len += count;
        self.len == BLOCK_SIZE
    }

    /// What there is, and where to put it when it is packed.
    pub(super) fn packing_room(&mut self) -> (&[u8], &mut Vec<u8>) {
        (&self.buffers.bytes[..self.len], &mut self.buffers.packed)
    }

    pub(super) fn packed(&self) -> &[u8] {
        &self.buffers.packed
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let buffers = mem::take(&mut self.buffers);
        self.shelf.state.lock().unwrap_or_else(PoisonError::into_inner).free.push(buffers);
        self.shelf.put_back.notify_one();
    }
}
