//! Random numbers that are the same on every machine.

use std::convert::Infallible;

use rand_core::TryRng;
use stave_model::digest::{Digest, Key};

/// SHA-256 over a seed and a counter. Nobody may rely on it for secrets: a buildpack has none.
pub(super) struct Stream {
    seed: Digest,
    block: u64,
    rest: Vec<u8>,
}

impl Stream {
    pub(super) fn new(seed: Digest) -> Self {
        Self { seed, block: 0, rest: Vec::new() }
    }

    fn byte(&mut self) -> u8 {
        loop {
            if let Some(byte) = self.rest.pop() {
                return byte;
            }
            let block = Key::new("block 1").field(self.seed.hex()).field(self.block.to_le_bytes()).finish();
            self.block += 1;
            self.rest = block.bytes().to_vec();
        }
    }
}

impl TryRng for Stream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(std::array::from_fn(|_| self.byte())))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(std::array::from_fn(|_| self.byte())))
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), Infallible> {
        for byte in buffer {
            *byte = self.byte();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(seed: &[u8], count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let Ok(()) = Stream::new(Digest::of(seed)).try_fill_bytes(&mut bytes);
        bytes
    }

    #[test]
    fn equal_seeds_give_equal_numbers_and_others_do_not() {
        assert_eq!(take(b"a", 1000), take(b"a", 1000));
        assert_ne!(take(b"a", 32), take(b"b", 32));
        let long = take(b"a", 64);
        assert_ne!(long[..32], long[32..], "blocks differ");
    }
}
