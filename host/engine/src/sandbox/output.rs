//! Standard output and standard error of a buildpack: lines for its log.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use stave_lifecycle::{port::observer::Level, workbench::Workbench};
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};
use wasmtime_wasi_io::bytes::Bytes;

use crate::guest::LastWords;

/// Bytes of a line; a longer one is broken.
const MAX_LINE: usize = 8 * 1024;
/// Bytes that are taken at once.
const PERMIT: usize = 64 * 1024;

/// Collects what is written and passes it on by lines. All streams that a buildpack opens on it share one.
#[derive(Clone)]
pub(super) struct Lines(Arc<Mutex<Pending>>);

struct Pending {
    bench: Arc<Workbench>,
    level: Level,
    last_words: Option<LastWords>,
    line: Vec<u8>,
}

impl Lines {
    pub(super) fn new(bench: &Arc<Workbench>, level: Level, last_words: Option<LastWords>) -> Self {
        Self(Arc::new(Mutex::new(Pending { bench: Arc::clone(bench), level, last_words, line: Vec::new() })))
    }

    fn take(&self, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(bytes);
    }
}

impl Pending {
    fn take(&mut self, bytes: &[u8]) {
        if let Some(last_words) = &self.last_words {
            last_words.add(&String::from_utf8_lossy(&bytes[..bytes.len().min(PERMIT)]));
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            for part in piece.chunks(MAX_LINE) {
                if self.line.len() + part.len() > MAX_LINE {
                    self.say();
                }
                self.line.extend_from_slice(part);
            }
            if self.line.ends_with(b"\n") {
                self.say();
            }
        }
    }

    /// Passes the line on, if there is something in it.
    fn say(&mut self) {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']);
        if !text.is_empty() {
            self.bench.log(self.level, text);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.say();
    }
}

impl IsTerminal for Lines {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Lines {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PERMIT)
    }
}

impl AsyncWrite for Lines {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
