//! One entry of a layer, and the headers that Go's `archive/tar` would write for it.

use crate::{
    content::Content,
    header::{BLOCK, Header, fits_octal, kind, split_name},
    tree::Access,
};

/// 1980-01-01T00:00:01Z, the time of everything in a layer (CNB lifecycle).
const MTIME: u64 = 315_532_801;

/// An entry as it is named in the image.
#[derive(Debug)]
pub(crate) struct Member<'a> {
    pub(crate) name: String,
    pub(crate) content: Option<&'a dyn Content>,
    link: &'a str,
    kind: u8,
    access: Access,
}

impl<'a> Member<'a> {
    pub(crate) fn folder(name: String, access: Access) -> Self {
        Self { name, content: None, link: "", kind: kind::FOLDER, access }
    }

    pub(crate) fn file(name: String, access: Access, content: &'a dyn Content) -> Self {
        Self { name, content: Some(content), link: "", kind: kind::FILE, access }
    }

    pub(crate) fn link(name: String, text: &'a str, access: Access) -> Self {
        Self { name, content: None, link: text, kind: kind::LINK, access }
    }
}

/// The header of a member, after a PAX header if ustar cannot say it all.
pub(crate) fn headers(member: &Member<'_>) -> Vec<u8> {
    let Access { mode, uid, gid } = member.access;
    let mut header = Header {
        name: member.name.clone().into_bytes(),
        link: member.link.as_bytes().to_vec(),
        kind: member.kind,
        mode: u64::from(mode & 0o7777),
        uid: u64::from(uid),
        gid: u64::from(gid),
        size: member.content.map_or(0, Content::size),
        mtime: MTIME,
    };
    let numbers = fits_octal(header.uid, 8) && fits_octal(header.gid, 8) && fits_octal(header.size, 12);
    let split = split_name(&header.name).filter(|_| numbers && fits(&header.link));
    if let Some((prefix, name)) = split {
        let (prefix, name) = (prefix.to_vec(), name.to_vec());
        header.name = name;
        return header.block(&prefix).to_vec();
    }
    let records = records(&header);
    let extension = Header {
        name: extension_name(&member.name),
        link: Vec::new(),
        kind: kind::PAX,
        size: records.len() as u64,
        mode: 0,
        uid: 0,
        gid: 0,
        mtime: 0,
    };
    let mut bytes = extension.block(b"").to_vec();
    bytes.extend_from_slice(&records);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    header.name = cut(&header.name);
    header.link = cut(&header.link);
    bytes.extend_from_slice(&header.block(b""));
    bytes
}

/// Whether a text fits the 100 bytes of a name or link field as it is.
fn fits(text: &[u8]) -> bool {
    text.len() <= 100 && text.is_ascii()
}

/// A PAX record for each field that does not fit, sorted by key.
fn records(header: &Header) -> Vec<u8> {
    let mut records = Vec::new();
    let decimal = |value: u64| value.to_string().into_bytes();
    if !fits_octal(header.gid, 8) {
        push(&mut records, "gid", &decimal(header.gid));
    }
    if !fits(&header.link) {
        push(&mut records, "linkpath", &header.link);
    }
    if !fits(&header.name) {
        push(&mut records, "path", &header.name);
    }
    if !fits_octal(header.size, 12) {
        push(&mut records, "size", &decimal(header.size));
    }
    if !fits_octal(header.uid, 8) {
        push(&mut records, "uid", &decimal(header.uid));
    }
    records
}

/// Adds `LENGTH KEY=VALUE\n`, where the length counts itself.
fn push(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + rest.to_string().len();
    len = rest + len.to_string().len();
    records.extend_from_slice(format!("{len} {key}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// What the PAX header is called: `FOLDER/PaxHeaders.0/NAME`, its ASCII part, cut to 100 bytes.
fn extension_name(name: &str) -> Vec<u8> {
    let (folder, file) = name.rsplit_once('/').map_or(("", name), |(folder, file)| (folder, file));
    let slash = if name.contains('/') { "/" } else { "" };
    let whole = format!("{folder}{slash}PaxHeaders.0/{file}");
    let mut name: Vec<u8> = whole.bytes().filter(u8::is_ascii).take(100).collect();
    while name.last() == Some(&b'/') {
        name.pop();
    }
    name
}

/// The ASCII part of a text, cut to 100 bytes and not ending in a slash there: old readers take that for a folder.
fn cut(text: &[u8]) -> Vec<u8> {
    let mut ascii: Vec<u8> = text.iter().copied().filter(u8::is_ascii).collect();
    if ascii.len() > 100 {
        ascii.truncate(100);
        while ascii.last() == Some(&b'/') {
            ascii.pop();
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Bytes;

    fn names(bytes: &[u8]) -> Vec<String> {
        let field = |block: &[u8]| String::from_utf8_lossy(&block[..100]).trim_end_matches('\0').to_owned();
        bytes.chunks(BLOCK).map(field).collect()
    }

    #[test]
    fn a_plain_member_has_one_ustar_header() {
        let content = Bytes::new(*b"text");
        let bytes =
            headers(&Member::file("/layers/a/b".to_owned(), Access { mode: 0o755, uid: 1002, gid: 1000 }, &content));
        assert_eq!(bytes.len(), BLOCK);
        assert_eq!(&bytes[100..157], b"0000755\x000001752\x000001750\x0000000000004\x0002263523001\x00011230\0 0");
        assert_eq!(&bytes[257..265], b"ustar\x0000");
        assert_eq!(&bytes[329..345], b"0000000\x000000000\0");
    }

    #[test]
    fn what_does_not_fit_goes_into_records_sorted_by_key() {
        let long = format!("/layers/{}/{}", "d".repeat(150), "f".repeat(90));
        let huge = Member {
            access: Access { mode: 0o644, uid: 3_000_000, gid: 0 },
            ..Member::link(long.clone(), "\u{e9}", Access { mode: 0o777, uid: 0, gid: 0 })
        };
        let bytes = headers(&huge);
        let records = String::from_utf8_lossy(&bytes[BLOCK..]).split('\0').next().unwrap().replace(&long, "LONG");
        insta::assert_snapshot!(records, @r"
        15 linkpath=é
        259 path=LONG
        15 uid=3000000
        ");
        assert_eq!(names(&bytes)[0], format!("/layers/{}", "d".repeat(92)));
        assert_eq!(bytes.len(), 3 * BLOCK);
    }

    #[test]
    fn a_record_counts_its_own_length() {
        for len in [1, 90, 91, 92, 93, 94, 989, 990, 991] {
            let mut records = Vec::new();
            push(&mut records, "path", &vec![b'x'; len]);
            let text = String::from_utf8(records).unwrap();
            assert_eq!(text.split(' ').next().unwrap().parse::<usize>().unwrap(), text.len());
        }
    }

    #[test]
    fn the_record_header_is_named_as_go_names_it() {
        assert_eq!(extension_name("/a/b/caf\u{e9}"), b"/a/b/PaxHeaders.0/caf");
        assert_eq!(extension_name("long"), b"PaxHeaders.0/long");
        assert_eq!(cut(format!("{}/x", "d".repeat(99)).as_bytes()), "d".repeat(99).into_bytes());
    }
}
