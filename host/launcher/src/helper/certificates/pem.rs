//! Certificates as text (RFC 7468): base64 between two lines, with anything around.

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The certificates in a text, as bytes (DER). What is between the lines and is no certificate is left out.
pub(super) fn certificates(text: &str) -> Vec<Vec<u8>> {
    let blocks = text.split(BEGIN).skip(1).filter_map(|rest| rest.split_once(END));
    // Every certificate is a sequence.
    blocks.filter_map(|(body, _)| decode(body)).filter(|der| der.first() == Some(&0x30)).collect()
}

/// The certificates as one text.
pub(super) fn text(certificates: &[Vec<u8>]) -> String {
    let lines = certificates.iter().map(|der| [BEGIN, "\n", &encode(der), END, "\n"].concat());
    lines.collect()
}

/// Bytes of base64, white space left out; none if it is not base64.
fn decode(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let body = digits.strip_suffix(b"==").or_else(|| digits.strip_suffix(b"=")).unwrap_or(&digits);
    if digits.is_empty() || !digits.len().is_multiple_of(4) {
        return None;
    }
    let mut bytes = Vec::with_capacity(body.len() * 3 / 4);
    for group in body.chunks(4) {
        let mut bits = 0_u32;
        for digit in group {
            let value = ALPHABET.iter().position(|letter| letter == digit)?;
            bits = bits << 6 | u32::try_from(value).ok()?;
        }
        bits <<= 6 * (4 - group.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(bytes)
}

/// Lines of 64 digits.
fn encode(bytes: &[u8]) -> String {
    let mut digits = Vec::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().chain([&0, &0]).take(3).fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        for place in 0..4 {
            let digit = ALPHABET[bits >> (18 - 6 * place) & 63];
            digits.push(if place <= group.len() { digit } else { b'=' });
        }
    }
    digits.chunks(64).map(|line| String::from_utf8_lossy(line).into_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for length in 1..200_u8 {
            let der: Vec<u8> = std::iter::once(0x30).chain(0..length).collect();
            assert_eq!(certificates(&text(&[der.clone(), der.clone()])), [der.clone(), der], "{length}");
        }
        assert_eq!(text(&[b"0abcd".to_vec()]), format!("{BEGIN}\nMGFiY2Q=\n{END}\n"));
        assert!(text(&[vec![0x30; 100]]).lines().all(|line| line.len() <= 64));
    }

    #[test]
    fn what_is_no_certificate_is_left_out() {
        let good = "MGFiY2Q=";
        for (body, count) in
            [(good, 1), ("MGFi\r\n Y2Q=\r\n", 1), ("", 0), ("MGFiY2Q", 0), ("!GFiY2Q=", 0), ("YWJj", 0)]
        {
            assert_eq!(certificates(&format!("# a comment\n{BEGIN}\n{body}\n{END}\nmore")).len(), count, "{body}");
        }
        let key = "-----BEGIN PRIVATE KEY-----\nMGFiY2Q=\n-----END PRIVATE KEY-----\n";
        assert_eq!(certificates(key).len() + certificates("").len() + certificates(BEGIN).len(), 0);
    }
}
