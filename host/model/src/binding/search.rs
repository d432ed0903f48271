//! Looks for secrets in files: for all of them in one pass, whatever their number.
//!
//! A file is not a text of one line, so less is taken for a secret here than in what a buildpack says ([`Secret::is_in`]): the whole
//! value, and lines of a key. A line such as `<settings>` stands in files that give nothing away.

use std::collections::HashMap;

use super::{MIN_REFUSED, Secret};

/// A line of a key or a token has at least so many characters, all of Base64.
const KEY_LINE: usize = 32;

/// Secrets that are looked for.
#[derive(Debug, Default)]
pub struct Search<'a> {
    /// Which pieces begin with these eight bytes, each with the place of its secret.
    pieces: HashMap<[u8; MIN_REFUSED], Vec<(&'a [u8], usize)>>,
    /// Which pairs of bytes any piece begins with: most places in a file begin none.
    heads: Vec<bool>,
}

impl<'a> Search<'a> {
    /// For these secrets, which the answers name by their places.
    pub fn new(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut search = Self { pieces: HashMap::new(), heads: vec![false; 1 << 16] };
        for (place, secret) in secrets.into_iter().enumerate() {
            let whole = secret.reveal().trim_ascii();
            let lines = whole.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| is_key(line));
            for piece in std::iter::once(whole).chain(lines) {
                let Some(head) = piece.first_chunk::<MIN_REFUSED>() else { continue };
                search.heads[pair(head[0], head[1])] = true;
                search.pieces.entry(*head).or_default().push((piece, place));
            }
        }
        search
    }

    /// The place of a secret that stands in these bytes.
    pub fn find(&self, bytes: &[u8]) -> Option<usize> {
        if self.pieces.is_empty() {
            return None;
        }
        let mut windows = bytes.windows(MIN_REFUSED).enumerate();
        windows.find_map(|(at, window)| {
            if !self.heads[pair(window[0], window[1])] {
                return None;
            }
            let pieces = self.pieces.get(window)?;
            pieces.iter().find(|(piece, _)| bytes[at..].starts_with(piece)).map(|(_, place)| *place)
        })
    }
}

fn pair(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

fn is_key(line: &[u8]) -> bool {
    line.len() >= KEY_LINE && line.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_stands_in_a_file() {
        let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nshort\n-----END PRIVATE KEY-----\n";
        let secrets = ["hunter22\n", "5432", key, "hunter2200", "\u{0}\u{1}\u{2}\u{3}binary"].map(Secret::new);
        let search = Search::new(&secrets);
        for (bytes, found) in [
            ("password = hunter22;", Some(0)),
            ("hunter22", Some(0)),
            ("hunter2", None),
            ("port = 5432", None),
            (key, Some(2)),
            ("MIIEvQIBADANBgkqhkiG9w0BAQEFAASC", Some(2)),
            // The frame of a key is no key.
            ("-----BEGIN PRIVATE KEY-----\nshort\n", None),
            ("x\u{0}\u{1}\u{2}\u{3}binary", Some(4)),
            ("", None),
        ] {
            assert_eq!(search.find(bytes.as_bytes()), found, "{bytes}");
        }
        assert_eq!(Search::new(&[]).find(b"hunter22"), None);
    }

    #[test]
    fn a_file_is_read_once_however_many_secrets_there_are() {
        let secrets: Vec<Secret> = (0..10_000).map(|n| Secret::new(format!("secret number {n:05}"))).collect();
        let search = Search::new(&secrets);
        let mut file = vec![b's'; 1 << 20];
        assert_eq!(search.find(&file), None);
        file.extend_from_slice(b"secret number 07777 and more");
        assert_eq!(search.find(&file), Some(7777));
    }
}
