//! Signatures of webhooks: HMAC with SHA-256 (RFC 2104), and comparisons that take as long whatever is compared.

use std::hint::black_box;

use stave_model::digest::{Digest, Hasher};

/// A block of SHA-256, in bytes.
const BLOCK: usize = 64;

/// The HMAC of a message.
pub(crate) fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(Digest::of(key).bytes());
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = hashed(&block.map(|byte| byte ^ 0x36), message);
    hashed(&block.map(|byte| byte ^ 0x5c), &inner)
}

fn hashed(first: &[u8], second: &[u8]) -> [u8; 32] {
    let mut hasher = Hasher::new();
    hasher.update(first);
    hasher.update(second);
    *hasher.finish().bytes()
}

/// Whether two are the same. How long it takes says nothing about where they differ, nor how long the secret is: digests are
/// compared, and all their bytes.
pub(crate) fn is_same(a: &[u8], b: &[u8]) -> bool {
    let (a, b) = (Digest::of(a), Digest::of(b));
    let differing = a.bytes().iter().zip(b.bytes()).fold(0, |differing, (a, b)| black_box(differing | (a ^ b)));
    black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cases of RFC 4231 that ask for the whole digest.
    #[test]
    fn is_what_the_rfc_says() {
        for (key, message, expected) in [
            (
                vec![0x0b; 20],
                b"Hi There".to_vec(),
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe".to_vec(),
                b"what do ya want for nothing?".to_vec(),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                vec![0xaa; 20],
                vec![0xdd; 50],
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            ),
            (
                (1..=25).collect(),
                vec![0xcd; 50],
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
            ),
            (
                vec![0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                vec![0xaa; 131],
                b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to \
                  be hashed before being used by the HMAC algorithm."
                    .to_vec(),
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ] {
            assert_eq!(hex::encode(hmac(&key, &message)), expected);
        }
    }

    #[test]
    fn compares() {
        assert!(is_same(b"", b"") && is_same(b"abc", b"abc"));
        assert!(!is_same(b"abc", b"abd") && !is_same(b"abc", b"ab") && !is_same(b"", b"a"));
    }
}
