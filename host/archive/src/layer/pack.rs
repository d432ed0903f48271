//! Compresses one block by itself, so that neither the number of threads nor the other blocks show in the bytes.
//!
//! A gzip layer is one member, because readers that stop after the first one are common. Its blocks are runs of deflate blocks
//! that end at a byte's border, as `Z_SYNC_FLUSH` leaves them, and refer to nothing before themselves; so they can stand in
//! a row, and the whole only needs a last block, the sum of the checksums and the length. A zstd layer is a row of frames.

use std::io;

use flate2::{Compress, Compression, Crc, FlushCompress};
use zstd::zstd_safe;

use super::packing::{Level, Packing};

/// The most bytes that a stored block of deflate holds (RFC 1951, 3.2.4).
const STORED: usize = 0xffff;
/// What a stored block costs: its kind, its length, and its length once more.
const STORED_HEADER: usize = 5;
/// A block is tried out on this many samples of it, if they are at most a quarter of it.
const SAMPLES: usize = 16;
/// The bytes of a sample.
const SAMPLE: usize = 2048;
/// A block is stored as it is if less than this part of its samples is saved, one in so many bytes. What was packed before
/// (jars, images, wheels) saves next to nothing, and trying costs thirty times what storing does.
const WORTH_IT: usize = 32;

/// The compressors of one thread.
#[derive(Default)]
pub(super) struct Tools {
    gzip: Option<(Level, Compress)>,
    zstd: Option<(Level, zstd::bulk::Compressor<'static>)>,
    samples: Vec<u8>,
}

impl Tools {
    /// Packs `bytes` into `to`, in place of what is there; the answer is their checksum, for [`trailer`].
    pub(super) fn pack(&mut self, packing: Packing, bytes: &[u8], to: &mut Vec<u8>) -> io::Result<Crc> {
        let mut crc = Crc::new();
        to.clear();
        match packing {
            Packing::Plain => {}
            Packing::Gzip(level) => {
                crc.update(bytes);
                self.gzip(level, bytes, to);
            }
            Packing::Zstd(level) => self.zstd(level, bytes, to)?,
        }
        Ok(crc)
    }

    fn gzip(&mut self, level: Level, bytes: &[u8], to: &mut Vec<u8>) {
        let Self { gzip, samples, .. } = self;
        if gzip.as_ref().is_none_or(|(of, _)| *of != level) {
            *gzip = None;
        }
        let make = || (level, Compress::new(Compression::new(u32::from(level.0)), false));
        let (_, compress) = gzip.get_or_insert_with(make);
        to.reserve(bytes.len() + bytes.len() / 4 + 256);
        if looks_packed(compress, bytes, samples, to) || !deflate(compress, bytes, to) {
            store(bytes, to);
        }
    }

    fn zstd(&mut self, level: Level, bytes: &[u8], to: &mut Vec<u8>) -> io::Result<()> {
        if self.zstd.as_ref().is_none_or(|(of, _)| *of != level) {
            self.zstd = Some((level, zstd::bulk::Compressor::new(i32::from(level.0))?));
        }
        let Some((_, compressor)) = &mut self.zstd else { return Ok(()) };
        to.reserve(zstd_safe::compress_bound(bytes.len()));
        compressor.compress_to_buffer(bytes, to).map(drop)
    }
}

/// Whether samples from all over the block say that it is not worth compressing.
fn looks_packed(compress: &mut Compress, bytes: &[u8], samples: &mut Vec<u8>, scratch: &mut Vec<u8>) -> bool {
    if bytes.len() < 4 * SAMPLES * SAMPLE {
        return false;
    }
    samples.clear();
    for sample in bytes.chunks_exact(bytes.len() / SAMPLES) {
        samples.extend_from_slice(&sample[..SAMPLE]);
    }
    let saves = deflate(compress, samples, scratch) && scratch.len() + samples.len() / WORTH_IT <= samples.len();
    scratch.clear();
    !saves
}

/// Compresses up to a byte's border; false, with nothing in `to`, if that takes more than storing would. `to` has room for the
/// worst case, an eighth more (zlib-rs's fastest level panics where there is less).
fn deflate(compress: &mut Compress, bytes: &[u8], to: &mut Vec<u8>) -> bool {
    compress.reset();
    debug_assert!(to.capacity() > bytes.len() + bytes.len() / 8);
    let done = compress.compress_vec(bytes, to, FlushCompress::Sync).is_ok();
    let is_whole = done && compress.total_in() == bytes.len() as u64 && to.len() < to.capacity();
    let fits = is_whole && to.len() <= stored_size(bytes.len());
    if !fits {
        to.clear();
    }
    fits
}

fn stored_size(len: usize) -> usize {
    len + len.div_ceil(STORED) * STORED_HEADER
}

/// Puts the bytes into stored blocks.
fn store(bytes: &[u8], to: &mut Vec<u8>) {
    for chunk in bytes.chunks(STORED) {
        let len = u16::try_from(chunk.len()).unwrap_or(u16::MAX);
        to.push(0);
        to.extend_from_slice(&len.to_le_bytes());
        to.extend_from_slice(&(!len).to_le_bytes());
        to.extend_from_slice(chunk);
    }
}

/// What stands before all blocks: for gzip a header without time, name and system (RFC 1952, 2.3).
pub(super) fn header(packing: Packing) -> Vec<u8> {
    match packing {
        Packing::Plain | Packing::Zstd(_) => Vec::new(),
        Packing::Gzip(Level(level)) => {
            let effort = match level {
                1 => 4,
                9 => 2,
                _ => 0,
            };
            vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, effort, 255]
        }
    }
}

/// What stands behind all blocks: for gzip a last block with nothing in it, checksum and length.
pub(super) fn trailer(packing: Packing, crc: &Crc) -> Vec<u8> {
    match packing {
        Packing::Plain | Packing::Zstd(_) => Vec::new(),
        Packing::Gzip(_) => [&[3, 0], &crc.sum().to_le_bytes()[..], &crc.amount().to_le_bytes()].concat(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::{super::packing::BLOCK_SIZE, *};

    /// Bytes of a fixed sequence that do not compress.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes()
        };
        std::iter::repeat_with(&mut next).flatten().take(len).collect()
    }

    fn text(len: usize) -> Vec<u8> {
        (0_u32..)
            .flat_map(|n| format!("stave {} of {} ", n.wrapping_mul(2_654_435_761) >> 9, n % 97).into_bytes())
            .take(len)
            .collect()
    }

    fn packed(tools: &mut Tools, packing: Packing, bytes: &[u8]) -> Vec<u8> {
        let mut to = b"left from before".to_vec();
        tools.pack(packing, bytes, &mut to).unwrap();
        to
    }

    fn gunzipped(blocks: &[&[u8]]) -> Vec<u8> {
        let mut tools = Tools::default();
        let (mut whole, mut crc) = (header(Packing::GZIP), Crc::new());
        for block in blocks {
            let mut to = Vec::new();
            crc.combine(&tools.pack(Packing::GZIP, block, &mut to).unwrap());
            whole.extend(to);
        }
        whole.extend(trailer(Packing::GZIP, &crc));
        let mut back = Vec::new();
        let mut reader = flate2::bufread::GzDecoder::new(&whole[..]);
        reader.read_to_end(&mut back).unwrap();
        assert!(reader.into_inner().is_empty(), "one member, and nothing behind it");
        back
    }

    #[test]
    fn blocks_in_a_row_are_one_member() {
        let (words, random) = (text(BLOCK_SIZE), noise(BLOCK_SIZE));
        for blocks in [
            &[][..],
            &[&words[..7]],
            &[&words, &random],
            &[&random, &words],
            &[&random, &random, &random[..1]],
            &[&words, &words[..70_000]],
            &[&random[..STORED], &random[..=STORED]],
        ] {
            assert!(gunzipped(blocks) == blocks.concat());
        }
    }

    #[test]
    fn what_does_not_compress_is_stored_and_nothing_grows() {
        let mut tools = Tools::default();
        for level in [1, 2, 6, 9].map(Level) {
            for len in [1, 100, STORED, STORED + 1, 200_000, BLOCK_SIZE] {
                let random = packed(&mut tools, Packing::Gzip(level), &noise(len));
                assert_eq!(random.len(), stored_size(len), "{level:?} {len}");
                let words = packed(&mut tools, Packing::Gzip(level), &text(len));
                assert!(words.len() <= stored_size(len), "{level:?} {len}");
            }
            assert!(packed(&mut tools, Packing::Gzip(level), &text(BLOCK_SIZE)).len() < BLOCK_SIZE * 7 / 10);
        }
        let random = packed(&mut tools, Packing::ZSTD, &noise(BLOCK_SIZE));
        assert!(random.len() < BLOCK_SIZE + 100);
    }

    #[test]
    fn a_block_of_both_kinds_is_compressed() {
        // A quarter of text anywhere among random bytes is worth it.
        for at in [0, 100_000, BLOCK_SIZE * 3 / 4] {
            let mut bytes = noise(BLOCK_SIZE);
            bytes[at..at + BLOCK_SIZE / 4].fill(b' ');
            let size = packed(&mut Tools::default(), Packing::GZIP, &bytes).len();
            assert!(size < BLOCK_SIZE * 9 / 10, "{at}: {size}");
        }
    }

    #[test]
    fn a_compressor_forgets_what_it_did_before() {
        let blocks = [text(BLOCK_SIZE), noise(300_000), text(4096), vec![0; BLOCK_SIZE], noise(BLOCK_SIZE)];
        for packing in ["gzip:1", "gzip:2", "gzip:6", "gzip:9", "zstd:1", "zstd:3", "zstd:9"] {
            let packing = packing.parse().unwrap();
            let fresh: Vec<_> = blocks.iter().map(|block| packed(&mut Tools::default(), packing, block)).collect();
            let mut tools = Tools::default();
            for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]] {
                for at in order {
                    assert!(packed(&mut tools, packing, &blocks[at]) == fresh[at], "{packing}: block {at}");
                }
            }
        }
    }
}
