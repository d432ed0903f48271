//! One 512-byte tar header (POSIX.1-1988 ustar, GNU and old V7), read strictly and written as Go's `archive/tar` does.
//!
//! Written here rather than taken from a crate because both ends must be exact: what is read comes from strangers, and
//! what is written becomes a digest that other tools compute too.

/// The size of a header, and what everything in a tar is padded to.
pub(crate) const BLOCK: usize = 512;

/// One header as its bytes.
pub(crate) type Block = [u8; BLOCK];

/// What kind of entry a header is for, as its type flag.
pub(crate) mod kind {
    pub(crate) const FILE: u8 = b'0';
    pub(crate) const OLD_FILE: u8 = 0;
    pub(crate) const HARD_LINK: u8 = b'1';
    pub(crate) const LINK: u8 = b'2';
    pub(crate) const FOLDER: u8 = b'5';
    pub(crate) const CONTIGUOUS: u8 = b'7';
    pub(crate) const PAX: u8 = b'x';
    pub(crate) const PAX_GLOBAL: u8 = b'g';
    pub(crate) const GNU_LONG_NAME: u8 = b'L';
    pub(crate) const GNU_LONG_LINK: u8 = b'K';
}

/// A header's fields. Owner names and device numbers are not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) name: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) kind: u8,
    pub(crate) mode: u64,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) size: u64,
    pub(crate) mtime: u64,
}

impl Header {
    /// Reads a header; an error says which field is wrong.
    pub(crate) fn parse(block: &Block) -> Result<Self, &'static str> {
        let sum: u64 = block.iter().map(|b| u64::from(*b)).sum();
        let own: u64 = block[148..156].iter().map(|b| u64::from(*b)).sum();
        if number(&block[148..156]) != Some(sum - own + 8 * u64::from(b' ')) {
            return Err("its header's checksum is wrong");
        }
        let field = |range: std::ops::Range<usize>, wrong| number(&block[range]).ok_or(wrong);
        let mut name = until_nul(&block[..100]).to_vec();
        // Only the POSIX magic says that there is a prefix: GNU tar keeps times where it would be.
        let prefix = if &block[257..263] == b"ustar\0" { until_nul(&block[345..500]) } else { b"" };
        if !prefix.is_empty() {
            name = [prefix, b"/", &name].concat();
        }
        Ok(Self {
            name,
            link: until_nul(&block[157..257]).to_vec(),
            kind: block[156],
            mode: field(100..108, "its mode is not a number")?,
            uid: field(108..116, "its owner is not a number")?,
            gid: field(116..124, "its group is not a number")?,
            size: field(124..136, "its size is not a number, or too large")?,
            mtime: number(&block[136..148]).unwrap_or(0),
        })
    }

    /// Writes the fields as they are; whoever calls has seen to it that they fit. What does not fit is written as zero or
    /// cut, as Go does where a PAX record carries the whole value.
    pub(crate) fn block(&self, prefix: &[u8]) -> Block {
        let mut block = [0; BLOCK];
        copy(&mut block[..100], &self.name);
        octal(&mut block[100..108], self.mode);
        octal(&mut block[108..116], self.uid);
        octal(&mut block[116..124], self.gid);
        octal(&mut block[124..136], self.size);
        octal(&mut block[136..148], self.mtime);
        block[148..156].fill(b' ');
        block[156] = self.kind;
        copy(&mut block[157..257], &self.link);
        block[257..265].copy_from_slice(b"ustar\x0000");
        if self.kind != kind::PAX {
            octal(&mut block[329..337], 0);
            octal(&mut block[337..345], 0);
        }
        copy(&mut block[345..500], prefix);
        let sum: u64 = block.iter().map(|b| u64::from(*b)).sum();
        octal(&mut block[148..155], sum);
        block
    }
}

/// Whether `value` fits a numeric field of `width` bytes with its final NUL.
pub(crate) fn fits_octal(value: u64, width: u32) -> bool {
    value < 1 << (3 * (width - 1))
}

/// Splits a name for the `prefix` and `name` fields as Go does; none if PAX is needed.
pub(crate) fn split_name(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if !name.is_ascii() || name.contains(&0) {
        return None;
    }
    if name.len() <= 100 {
        return Some((b"", name));
    }
    let head = &name[..name.len().min(156)];
    let at = head.iter().rposition(|b| *b == b'/').filter(|at| *at > 0)?;
    let rest = &name[at + 1..];
    (at <= 155 && !rest.is_empty() && rest.len() <= 100).then_some((&name[..at], rest))
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|b| *b == 0).next().unwrap_or(field)
}

fn copy(field: &mut [u8], value: &[u8]) {
    let len = value.len().min(field.len());
    field[..len].copy_from_slice(&value[..len]);
}

/// Zero-filled octal digits and a NUL; a value that does not fit becomes zero.
fn octal(field: &mut [u8], value: u64) {
    let width = field.len() - 1;
    let fits = fits_octal(value, u32::try_from(field.len()).unwrap_or(u32::MAX));
    let digits = format!("{:0width$o}", if fits { value } else { 0 });
    field[..width].copy_from_slice(digits.as_bytes());
    field[width] = 0;
}

/// A numeric field: octal digits between spaces, ended by a space, a NUL or the field; or base-256 (GNU), not negative.
/// An empty field is zero.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        if field[0] != 0x80 {
            return None;
        }
        return field[1..].iter().try_fold(0u64, |n, b| n.checked_mul(256)?.checked_add(u64::from(*b)));
    }
    let digits = until_nul(field).trim_ascii();
    digits.iter().try_fold(0u64, |n, b| match b {
        b'0'..=b'7' => n.checked_mul(8)?.checked_add(u64::from(b - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256_and_never_negative() {
        for (field, value) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"77777777", Some(0o77_777_777)),
            (b"\x80\0\0\0\0\0\x01\0", Some(256)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"\x80\x01\0\0\0\0\0\0\0\0\0\0", None),
            (b"-0000644", None),
            (b"0o644\0\0\0", None),
            (b"6 44\0\0\0\0", None),
        ] {
            assert_eq!(number(field), value, "{field:?}");
        }
    }

    #[test]
    fn names_are_split_as_go_splits_them() {
        let deep = format!("/{}/{}", "d".repeat(150), "f".repeat(100));
        let (prefix, name) = split_name(deep.as_bytes()).unwrap();
        assert_eq!((prefix.len(), name.len()), (151, 100));
        assert_eq!(split_name(b"/short"), Some((&b""[..], &b"/short"[..])));
        for text in [format!("/{}", "f".repeat(100)), format!("/{}/{}", "d".repeat(156), "f"), "/caf\u{e9}".to_owned()]
        {
            assert_eq!(split_name(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let header = Header {
            name: b"/layers/x".to_vec(),
            link: b"to".to_vec(),
            kind: kind::LINK,
            mode: 0o777,
            uid: 1001,
            gid: 1000,
            size: 0,
            mtime: 315_532_801,
        };
        let mut block = header.block(b"");
        assert_eq!(Header::parse(&block), Ok(header));
        block[0] ^= 1;
        assert_eq!(Header::parse(&block), Err("its header's checksum is wrong"));
    }
}
