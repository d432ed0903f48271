//! What a server answered. The status and headers are there at once; the body is read by the caller, and ends with an
//! error at its cap, at a stall, and at a connection that closes too early.

use std::{
    fmt,
    io::{self, Read},
    time::{Duration, Instant},
};

use ureq::{BodyReader, http};
use url::Url;

use crate::{
    fault::{self, Error, Limits},
    origin::shown,
    redirect,
    retry::retry_after,
};

/// Fewer bytes than [`LEAST_BYTES`] in this time of waiting for them is too slow.
const WINDOW: Duration = Duration::from_secs(30);

/// 100 bytes a second: slower than any modem, faster than a server that means to hold us.
const LEAST_BYTES: u64 = 3000;

/// A response: any status, unless the caller asks for [`Response::success`].
#[derive(Debug)]
pub struct Response {
    url: Url,
    inner: http::Response<ureq::Body>,
    cap: u64,
    limits: Limits,
    has_body: bool,
}

impl Response {
    pub(crate) fn new(url: Url, inner: http::Response<ureq::Body>, cap: u64, limits: Limits, has_body: bool) -> Self {
        Self { url, inner, cap, limits, has_body }
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.inner.status().as_u16()
    }

    /// Whether the status sends the client elsewhere.
    pub fn is_redirect(&self) -> bool {
        redirect::is_redirect(self.status())
    }

    /// The first header of that name, if it is readable text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.inner.headers().get(name)?.to_str().ok()
    }

    /// All headers of that name that are readable text.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        self.inner.headers().get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
    }

    /// `Content-Length`, where there is one.
    pub fn content_length(&self) -> Option<u64> {
        self.header("content-length")?.trim().parse().ok()
    }

    /// The address that answered, after redirects: what relative addresses within the body start from.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// How long the server asks us to wait, if it says so.
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(self.header("retry-after")?, self.header("date"))
    }

    /// The response if its status is 200 to 299; otherwise [`Error::Status`].
    pub fn success(self) -> Result<Self, Error> {
        if self.inner.status().is_success() { Ok(self) } else { Err(self.failure()) }
    }

    /// The status as an error, for callers that read statuses themselves.
    pub fn failure(&self) -> Error {
        Error::Status { url: shown(&self.url), status: self.status(), retry_after: self.retry_after() }
    }

    /// The body. Refused at once where `Content-Length` is above the cap.
    pub fn reader(self) -> Result<Reader, Error> {
        let length = self.content_length().filter(|_| self.has_body);
        if length.is_some_and(|length| length > self.cap) {
            return Err(Error::TooLarge { url: shown(&self.url), cap: self.cap });
        }
        Ok(Reader {
            inner: self.inner.into_body().into_reader(),
            url: shown(&self.url),
            left: self.cap,
            cap: self.cap,
            limits: self.limits,
            pace: Pace::new(WINDOW, LEAST_BYTES),
        })
    }

    /// The whole body, which is at most the cap.
    pub fn bytes(self) -> Result<Vec<u8>, Error> {
        let url = shown(&self.url);
        let mut bytes = Vec::new();
        let read = self.reader()?.read_to_end(&mut bytes);
        read.map_err(|error| Error::from_io(error).unwrap_or_else(|cause| Error::Broken { url, cause: cause.into() }))?;
        Ok(bytes)
    }
}

/// A response's body. Its errors hold an [`Error`]: see [`Error::from_io`].
pub struct Reader {
    inner: BodyReader<'static>,
    url: String,
    left: u64,
    cap: u64,
    limits: Limits,
    pace: Pace,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reader({})", self.url)
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        // One byte more than is left tells a body that ends at the cap from one that goes on.
        let wanted = usize::try_from(self.left.saturating_add(1)).unwrap_or(usize::MAX).min(buffer.len());
        let begun = Instant::now();
        let n = self.inner.read(&mut buffer[..wanted]).map_err(|error| self.translate(error))?;
        let Some(left) = self.left.checked_sub(n as u64) else {
            return Err(Error::TooLarge { url: self.url.clone(), cap: self.cap }.into_io());
        };
        self.left = left;
        if n > 0 && self.pace.is_too_slow(begun.elapsed(), n as u64) {
            let (least, window) = (LEAST_BYTES, WINDOW);
            return Err(Error::TooSlow { url: self.url.clone(), least, window }.into_io());
        }
        Ok(n)
    }
}

impl Reader {
    fn translate(&self, error: io::Error) -> io::Error {
        let cause = match error.downcast::<ureq::Error>() {
            Ok(inner) => inner,
            Err(error) => ureq::Error::Io(error),
        };
        fault::translate(cause, self.url.clone(), self.limits).into_io()
    }
}

/// Counts bytes over the time spent waiting for them; a slow receiver is not the sender's fault.
#[derive(Debug)]
struct Pace {
    window: Duration,
    least: u64,
    waited: Duration,
    bytes: u64,
}

impl Pace {
    fn new(window: Duration, least: u64) -> Self {
        Self { window, least, waited: Duration::ZERO, bytes: 0 }
    }

    /// Takes in one read; true when a whole window brought too little.
    fn is_too_slow(&mut self, waited: Duration, bytes: u64) -> bool {
        self.waited += waited;
        self.bytes += bytes;
        if self.waited < self.window {
            return false;
        }
        let slow = self.bytes < self.least;
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n18_a_trickle_is_told_from_a_stream() {
        let mut trickle = Pace::new(WINDOW, LEAST_BYTES);
        let seconds = (0..100).take_while(|_| !trickle.is_too_slow(Duration::from_secs(1), 1)).count();
        assert_eq!(seconds, 29);
        let mut stream = Pace::new(WINDOW, LEAST_BYTES);
        assert!((0..100).all(|_| !stream.is_too_slow(Duration::from_secs(1), 200)));
    }
}
