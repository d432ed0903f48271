//! What a daemon answers: a status and a stream of JSON objects, one of which may be an error.

use std::io::{self, BufRead, BufReader, Read};

use serde::Deserialize;

/// The longest line of a head or of a chunk's size, and the most lines of a head.
const MAX_LINE: u64 = 8192;
const MAX_LINES: usize = 100;
/// The most bytes of an answer that are kept. Daemons report progress line by line; errors come last.
const MAX_BODY: u64 = 4 << 20;

/// A daemon's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status code.
    pub(super) status: u16,
    /// The body.
    pub(super) body: Vec<u8>,
}

/// One message of the stream (Docker Engine API), or the body of an error.
#[derive(Deserialize, Default)]
struct Message {
    error: Option<String>,
    #[serde(rename = "errorDetail")]
    detail: Option<Detail>,
    #[serde(rename = "message")]
    words: Option<String>,
}

#[derive(Deserialize)]
struct Detail {
    message: Option<String>,
}

impl Answer {
    /// Reads an answer to its end.
    pub(super) fn read(stream: impl Read) -> io::Result<Self> {
        let mut reader = BufReader::new(UntilClosed(stream));
        loop {
            let status = status(&line(&mut reader)?)?;
            let mut chunked = false;
            let mut length = MAX_BODY;
            for n in 0.. {
                let line = line(&mut reader)?;
                if line.is_empty() {
                    break;
                }
                if n == MAX_LINES {
                    return Err(invalid("its head has too many lines"));
                }
                let (name, value) =
                    line.split_once(':').ok_or_else(|| invalid("its head has a line without a colon"))?;
                match name.to_ascii_lowercase().as_str() {
                    "transfer-encoding" => chunked = value.trim().eq_ignore_ascii_case("chunked"),
                    "content-length" => {
                        length = value.trim().parse().map_err(|_| invalid("its length is no number"))?;
                    }
                    _ => {}
                }
            }
            if (100..200).contains(&status) {
                continue;
            }
            let mut body = Vec::new();
            if chunked {
                read_chunks(&mut reader, &mut body)?;
            } else if status != 204 {
                reader.take(length.min(MAX_BODY)).read_to_end(&mut body)?;
            }
            return Ok(Self { status, body });
        }
    }

    /// Whether the image was taken; if not, the status and the daemon's words.
    pub(super) fn verdict(&self) -> Result<(), (u16, String)> {
        let messages = serde_json::Deserializer::from_slice(&self.body).into_iter::<Message>().map_while(Result::ok);
        let error = messages.filter_map(|message| {
            let detail = message.detail.and_then(|detail| detail.message);
            detail.or(message.error).or(message.words.filter(|_| self.status >= 400))
        });
        match error.last() {
            Some(error) => Err((self.status, cut(&error))),
            None if (200..300).contains(&self.status) => Ok(()),
            None => Err((self.status, cut(String::from_utf8_lossy(&self.body).trim()))),
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(500).collect()
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the daemon's answer is not HTTP: {why}"))
}

fn status(line: &str) -> io::Result<u16> {
    let mut words = line.split(' ');
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    let status = words.next().and_then(|word| word.parse().ok()).filter(|_| is_http);
    status.ok_or_else(|| invalid("it does not begin with a status"))
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    reader.take(MAX_LINE).read_until(b'\n', &mut bytes)?;
    if bytes.pop() != Some(b'\n') {
        return Err(if bytes.is_empty() { io::ErrorKind::UnexpectedEof.into() } else { invalid("a line is too long") });
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    String::from_utf8(bytes).map_err(|_| invalid("a line is not text"))
}

/// A stream that ends when the other side hangs up, however it does so: a daemon that refuses a request closes with the
/// rest of it unread, which the system reports as a reset behind the answer's last byte.
struct UntilClosed<R>(R);

impl<R: Read> Read for UntilClosed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(0),
            other => other,
        }
    }
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let line = line(reader)?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(digits, 16).map_err(|_| invalid("a chunk has no size"))?;
        if size == 0 {
            return Ok(());
        }
        if size > MAX_BODY - body.len() as u64 {
            return Err(invalid("it is too long"));
        }
        let before = body.len() as u64;
        reader.take(size).read_to_end(body)?;
        if body.len() as u64 - before != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self::line(reader)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(text: &str) -> String {
        match Answer::read(text.as_bytes()).map(|answer| answer.verdict()) {
            Ok(Ok(())) => "taken".to_owned(),
            Ok(Err((status, message))) => format!("{status} {message}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_reset_behind_the_answer_is_its_end() {
        struct Reset;
        impl Read for Reset {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
        let refusal = "HTTP/1.1 403 Forbidden\r\n\r\n{\"message\":\"not today\"}";
        let answer = Answer::read(refusal.as_bytes().chain(Reset)).unwrap();
        assert_eq!(answer.verdict(), Err((403, "not today".to_owned())));
        assert!(Answer::read(Reset).is_err(), "no answer at all is none");
    }

    #[test]
    fn reads_what_daemons_say() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let cases = [
            "HTTP/1.1 200 OK\r\n\r\n{\"stream\":\"Loaded image: app:latest\\n\"}\r\n".to_owned(),
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
            format!("{chunked}14\r\n{{\"stream\":\"Loaded\"}}\r\n0\r\n\r\n"),
            format!(
                "{chunked}3a\r\n{{\"stream\":\"a\"}}\n{{\"errorDetail\":{{\"message\":\"no space left\"}}}}\r\n0\r\n\r\n"
            ),
            "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 22\r\n\r\n{\"message\":\"bad tar\"}\n".to_owned(),
            "HTTP/1.1 404 Not Found\r\n\r\npage not found".to_owned(),
        ];
        insta::assert_snapshot!(cases.map(|text| verdict(&text)).join("\n"), @"
        taken
        taken
        taken
        200 no space left
        500 bad tar
        404 page not found
        ");
    }

    #[test]
    fn refuses_what_is_no_answer() {
        let head = "HTTP/1.1 200 OK\r\n";
        let cases = [
            String::new(),
            "SSH-2.0\r\n".to_owned(),
            format!("{head}no colon\r\n\r\n"),
            format!("{head}{}\r\n", "a: b\r\n".repeat(200)),
            format!("{head}a: {}\r\n\r\n", "b".repeat(9000)),
            format!("{head}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"),
            format!("{head}Transfer-Encoding: chunked\r\n\r\n-1\r\n"),
            format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nabc"),
        ];
        insta::assert_snapshot!(cases.map(|text| verdict(&text)).join("\n"), @"
        unexpected end of file
        the daemon's answer is not HTTP: it does not begin with a status
        the daemon's answer is not HTTP: its head has a line without a colon
        the daemon's answer is not HTTP: its head has too many lines
        the daemon's answer is not HTTP: a line is too long
        the daemon's answer is not HTTP: it is too long
        the daemon's answer is not HTTP: a chunk has no size
        unexpected end of file
        ");
    }
}
