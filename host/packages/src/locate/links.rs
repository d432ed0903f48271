//! Pages of links: the HTML form of Python's simple API, and pip's `find-links` pages. Only anchors are read.

use url::Url;

/// How many links of a page are read.
const MOST: usize = 200_000;

/// The addresses that a page links to, resolved against `page` or the page's own `<base>`.
pub fn parse(html: &str, page: &Url) -> Vec<Url> {
    let mut base = page.clone();
    let mut links = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
            continue;
        }
        let Some(end) = end_of_tag(rest) else { break };
        let (tag, after) = rest.split_at(end);
        rest = after;
        let (name, attributes) = tag.split_at(tag.find(char::is_whitespace).unwrap_or(tag.len()));
        let is_base = name.eq_ignore_ascii_case("base");
        if !is_base && !name.eq_ignore_ascii_case("a") {
            continue;
        }
        let Some(target) = href(attributes).and_then(|target| base.join(unescape(target).trim()).ok()) else {
            continue;
        };
        if is_base {
            base = target;
        } else if links.len() < MOST {
            links.push(target);
        }
    }
    links
}

/// Where the tag ends: at the first `>` outside quotes.
fn end_of_tag(tag: &str) -> Option<usize> {
    let mut quote = None;
    tag.bytes().position(|byte| {
        match (quote, byte) {
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
        quote.is_none() && byte == b'>'
    })
}

/// The value of `href` among a tag's attributes.
fn href(attributes: &str) -> Option<&str> {
    let mut rest = attributes.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let name = &rest[..end];
        rest = rest[end..].trim_start();
        let Some(after) = rest.strip_prefix('=') else { continue };
        let after = after.trim_start();
        let (value, next) = match after.chars().next() {
            Some(quote @ ('"' | '\'')) => after[1..].split_once(quote)?,
            _ => after.split_at(after.find(char::is_whitespace).unwrap_or(after.len())),
        };
        if name.eq_ignore_ascii_case("href") {
            return Some(value);
        }
        rest = next.trim_start();
    }
    None
}

/// Replaces the character references that occur in addresses.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let reference = rest.find(';').filter(|end| *end <= 10).and_then(|end| Some((character(&rest[1..end])?, end)));
        if let Some((character, end)) = reference {
            plain.push(character);
            rest = &rest[end + 1..];
        } else {
            plain.push('&');
            rest = &rest[1..];
        }
    }
    plain.push_str(rest);
    plain
}

fn character(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(html: &str) -> Vec<String> {
        let page = "https://index.example.com/simple/x/".parse().unwrap();
        parse(html, &page).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn reads_anchors_in_the_forms_that_indexes_write() {
        let html = r#"<!DOCTYPE html><html><body><!-- <a href="no"> --><h1 title="a>b">x</h1>
            <a href="../../files/x-1.whl#sha256=ab" data-requires-python="&gt;=3.7">x-1.whl</a><br/>
            <A data-x='>' HREF = 'https://files.example.com/x-2.whl?a=1&amp;b=2'>x</A>
            <a href=x-3.whl>x</a> <a name="here">no</a> <abbr href="no">no</abbr> <a href="x%2F4&#46;whl&#x21;">x</a>"#;
        let expected = [
            "https://index.example.com/files/x-1.whl#sha256=ab",
            "https://files.example.com/x-2.whl?a=1&b=2",
            "https://index.example.com/simple/x/x-3.whl",
            "https://index.example.com/simple/x/x%2F4.whl!",
        ];
        assert_eq!(links(html), expected);
        assert_eq!(links(r#"<base href="https://cdn.example.com/a/"><a href="b">"#), ["https://cdn.example.com/a/b"]);
    }

    #[test]
    fn survives_anything() {
        for html in [
            "<",
            "<a",
            "<a href",
            "<a href=",
            "<a href=\"x",
            "<a href='",
            "<!--",
            "<>",
            "< a href=x>",
            "&<a href=&;>",
            "<a =x =y>",
        ] {
            assert!(links(html).len() <= 1, "{html}");
        }
    }
}
