//! A trust store that Java reads (the format JKS, version 2): a list of trusted certificates.
//!
//! At its end stands a digest that only whoever names a password checks. Nobody does here: what is in the file is readable
//! to everybody and written by the same user, so there is nothing that a password would keep.

const MAGIC: u32 = 0xfeed_feed;
const VERSION: u32 = 2;
const TRUSTED: u32 = 2;
/// The digest's size in bytes.
const DIGEST: usize = 20;

/// The store's bytes.
pub(super) fn of(certificates: &[Vec<u8>]) -> Vec<u8> {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let mut store = Vec::new();
    for word in [MAGIC, VERSION, number(certificates.len())] {
        store.extend(word.to_be_bytes());
    }
    for (index, der) in certificates.iter().enumerate() {
        store.extend(TRUSTED.to_be_bytes());
        text(&mut store, &format!("certificate-{index}"));
        // When it was added, in milliseconds since 1970: nobody asks.
        store.extend(0_u64.to_be_bytes());
        text(&mut store, "X.509");
        store.extend(number(der.len()).to_be_bytes());
        store.extend(der);
    }
    store.extend([0; DIGEST]);
    store
}

/// A short text of ASCII, its length before it.
fn text(store: &mut Vec<u8>, text: &str) {
    store.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    store.extend(text.bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_format() {
        let store = of(&[b"0x".to_vec()]);
        let expected = [
            &[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 13][..],
            b"certificate-0",
            &[0; 8],
            &[0, 5],
            b"X.509",
            &[0, 0, 0, 2],
            b"0x",
            &[0; 20],
        ];
        assert_eq!(store, expected.concat());
    }
}
