//! Decompressing a stream of one of the five kinds, with caps on what comes out and nothing ignored at the end.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::limits::Limits;

const BUFFER: usize = 128 * 1024;
/// The first byte of a zstd frame; that of a skippable one is another.
const ZSTD_MAGIC: u8 = 0x28;
/// The largest window that a zstd frame may ask for, as a power of two: 128 MiB, what `zstd --long` needs.
const ZSTD_WINDOW_LOG: u32 = 27;
/// The most memory that an xz stream may ask for: twice what `xz -9` needs.
const XZ_MEMORY: u64 = 128 << 20;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    Plain,
    /// Gzip (RFC 1952), one member.
    Gzip,
    /// Xz, one stream.
    Xz,
    /// Zstandard (RFC 8878), one frame or several in a row as parallel compressors write them, and no skippable ones.
    Zstd,
    /// Bzip2, one stream or several in a row as parallel compressors write them.
    Bzip2,
}

impl Compression {
    /// The kind whose magic bytes `head` starts with; [`Compression::Plain`] if none does.
    pub fn sniff(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            _ => Self::Plain,
        }
    }

    /// Its usual name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
        }
    }
}

/// Yields the decompressed bytes of `reader`.
///
/// Reading fails where the stream is damaged or ends early, where more comes out than [`Limits::total_bytes`] or
/// [`Limits::ratio`] allow, and where bytes follow the end of the stream: what nobody reads must not be there.
pub fn decoder<'a>(kind: Compression, reader: impl Read + Send + 'a, limits: &Limits) -> io::Result<Decoder<'a>> {
    let packed = Arc::new(AtomicU64::new(0));
    let counted = Counted { reader: Box::new(reader), count: Arc::clone(&packed) };
    let input = BufReader::with_capacity(BUFFER, counted);
    let inner = match kind {
        Compression::Plain => Inner::Plain(input),
        Compression::Gzip => Inner::Gzip(Box::new(flate2::bufread::GzDecoder::new(input))),
        Compression::Xz => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, 0).map_err(io::Error::from)?;
            Inner::Xz(liblzma::bufread::XzDecoder::new_stream(input, stream))
        }
        Compression::Zstd => Inner::Zstd(Some(zstd_frame(input)?)),
        Compression::Bzip2 => Inner::Bzip2(bzip2::bufread::MultiBzDecoder::new(input)),
    };
    Ok(Decoder { kind, inner, packed, unpacked: 0, limits: *limits, ended: false })
}

/// A decompressing reader made by [`decoder`].
pub struct Decoder<'a> {
    kind: Compression,
    inner: Inner<'a>,
    packed: Arc<AtomicU64>,
    unpacked: u64,
    limits: Limits,
    ended: bool,
}

type Input<'a> = BufReader<Counted<'a>>;
type ZstdFrame<'a> = zstd::stream::read::Decoder<'static, Input<'a>>;

fn zstd_frame(input: Input<'_>) -> io::Result<ZstdFrame<'_>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
    Ok(decoder.single_frame())
}

enum Inner<'a> {
    Plain(Input<'a>),
    Gzip(Box<flate2::bufread::GzDecoder<Input<'a>>>),
    Xz(liblzma::bufread::XzDecoder<Input<'a>>),
    /// None only while one frame's decoder makes room for the next one's.
    Zstd(Option<ZstdFrame<'a>>),
    Bzip2(bzip2::bufread::MultiBzDecoder<Input<'a>>),
}

impl Inner<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(buffer),
            Self::Gzip(reader) => reader.read(buffer),
            Self::Xz(reader) => reader.read(buffer),
            Self::Zstd(frame) => read_frames(frame, buffer),
            Self::Bzip2(reader) => reader.read(buffer),
        }
    }

    /// Whether there is nothing behind what was read.
    fn is_at_end(&mut self) -> io::Result<bool> {
        let input = match self {
            Self::Plain(reader) => reader,
            Self::Gzip(reader) => reader.get_mut(),
            Self::Xz(reader) => reader.get_mut(),
            Self::Zstd(Some(reader)) => reader.get_mut(),
            // The next frame could not be begun, and the error was given.
            Self::Zstd(None) => return Ok(true),
            Self::Bzip2(reader) => reader.get_mut(),
        };
        Ok(input.fill_buf()?.is_empty())
    }
}

/// Reads a frame and those that follow it. What follows and does not begin like a frame is left where it is.
fn read_frames(frame: &mut Option<ZstdFrame<'_>>, buffer: &mut [u8]) -> io::Result<usize> {
    while let Some(current) = frame {
        let n = current.read(buffer)?;
        if n > 0 || current.get_mut().fill_buf()?.first() != Some(&ZSTD_MAGIC) {
            return Ok(n);
        }
        if let Some(done) = frame.take() {
            *frame = Some(zstd_frame(done.finish())?);
        }
    }
    Ok(0)
}

impl Read for Decoder<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended || buffer.is_empty() {
            return Ok(0);
        }
        let n = self.inner.read(buffer)?;
        if n == 0 {
            if !self.inner.is_at_end()? {
                return Err(refuse(format!("bytes follow the end of the {} stream", self.kind.name())));
            }
            self.ended = true;
            return Ok(0);
        }
        self.unpacked += n as u64;
        if self.unpacked > self.limits.total_bytes {
            return Err(refuse(format!("the stream unpacks to more than {} bytes", self.limits.total_bytes)));
        }
        if self.kind != Compression::Plain && self.limits.is_bomb(self.packed.load(Ordering::Relaxed), self.unpacked) {
            return Err(refuse(format!("the stream unpacks to more than {} times its size", self.limits.ratio)));
        }
        Ok(n)
    }
}

impl fmt::Debug for Decoder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decoder({}, {} bytes so far)", self.kind.name(), self.unpacked)
    }
}

fn refuse(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Counts what a decompressor took in; it hides its reader, so the count is shared.
struct Counted<'a> {
    reader: Box<dyn Read + Send + 'a>,
    count: Arc<AtomicU64>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        self.count.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use super::*;

    pub(crate) const KINDS: [Compression; 5] =
        [Compression::Plain, Compression::Gzip, Compression::Xz, Compression::Zstd, Compression::Bzip2];

    pub(crate) fn compress(kind: Compression, bytes: &[u8]) -> Vec<u8> {
        match kind {
            Compression::Plain => bytes.to_vec(),
            Compression::Gzip => {
                let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
                gz.write_all(bytes).unwrap();
                gz.finish().unwrap()
            }
            Compression::Xz => {
                let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
                xz.write_all(bytes).unwrap();
                xz.finish().unwrap()
            }
            Compression::Zstd => zstd::stream::encode_all(bytes, 1).unwrap(),
            Compression::Bzip2 => {
                let mut bz = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
                bz.write_all(bytes).unwrap();
                bz.finish().unwrap()
            }
        }
    }

    fn decode(kind: Compression, bytes: &[u8], limits: &Limits) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        decoder(kind, bytes, limits)?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn each_kind_is_known_by_its_first_bytes_and_read_back() {
        let text = b"staves and hoops ".repeat(20_000);
        for kind in KINDS {
            let packed = compress(kind, &text);
            assert_eq!(Compression::sniff(&packed), kind);
            assert_eq!(decode(kind, &packed, &Limits::default()).unwrap(), text, "{kind:?}");
        }
    }

    #[test]
    fn a_stream_cut_anywhere_is_an_error() {
        for kind in &KINDS[1..] {
            let packed = compress(*kind, b"some bytes that end too early");
            for end in 0..packed.len() {
                assert!(decode(*kind, &packed[..end], &Limits::default()).is_err(), "{kind:?} cut at {end}");
            }
        }
    }

    #[test]
    fn nothing_may_follow_the_end() {
        let mut messages = Vec::new();
        for kind in &KINDS[1..] {
            let whole = compress(*kind, b"whole");
            let similar = match kind {
                Compression::Bzip2 => b"BZ",
                // A skippable frame of four bytes, which nobody would ever see.
                Compression::Zstd => &b"\x50\x2a\x4d\x18\x04\0\0\0seen"[..],
                _ => &whole,
            };
            for tail in [&b"garbage"[..], &[0; 4], similar] {
                let error = decode(*kind, &[&whole, tail].concat(), &Limits::default()).unwrap_err();
                messages.push(error.to_string());
            }
        }
        insta::assert_snapshot!(messages.join("\n"), @r"
        bytes follow the end of the gzip stream
        bytes follow the end of the gzip stream
        bytes follow the end of the gzip stream
        bytes follow the end of the xz stream
        bytes follow the end of the xz stream
        bytes follow the end of the xz stream
        bytes follow the end of the zstd stream
        bytes follow the end of the zstd stream
        bytes follow the end of the zstd stream
        bzip2: bz2 header missing
        bzip2: bz2 header missing
        decompression not finished but EOF reached
        ");
    }

    #[test]
    fn what_parallel_compressors_write_is_read_whole() {
        let part = |kind, n: u32| compress(kind, n.to_string().repeat(50_000).as_bytes());
        for kind in [Compression::Bzip2, Compression::Zstd] {
            let packed: Vec<u8> = (0..9).flat_map(|n| part(kind, n)).collect();
            let whole: String = (0..9).map(|n: u32| n.to_string().repeat(50_000)).collect();
            assert!(decode(kind, &packed, &Limits::default()).unwrap() == whole.as_bytes(), "{kind:?}");
            let head = packed.len() - part(kind, 8).len();
            for end in head + 1..packed.len() {
                assert!(decode(kind, &packed[..end], &Limits::default()).is_err(), "{kind:?} cut at {end}");
            }
        }
    }

    #[test]
    fn bombs_stop_early() {
        let bomb = compress(Compression::Gzip, &vec![0; 80 << 20]);
        let defused = |limits: &Limits| decode(Compression::Gzip, &bomb, limits).map(|bytes| bytes.len()).unwrap_err();
        insta::assert_snapshot!(defused(&Limits::default()), @"the stream unpacks to more than 200 times its size");
        insta::assert_snapshot!(defused(&Limits { total_bytes: 1000, ..Limits::default() }), @"the stream unpacks to more than 1000 bytes");
    }

    #[test]
    fn a_window_beyond_the_cap_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(28).unwrap();
        encoder.write_all(b"tiny").unwrap();
        let packed = encoder.finish().unwrap();
        assert!(decode(Compression::Zstd, &packed, &Limits::default()).is_err());
    }
}
