//! What a build said: all that is kept, or all that comes until it is over.

use std::{io, sync::Arc, time::Duration};

use axum::{body::Bytes, http::StatusCode};
use stave_model::digest::Digest;
use stave_platform::resource::name::ImageKey;
use tokio::{sync::mpsc::Sender, task::spawn_blocking, time::sleep};

use super::builds::find;
use crate::{
    App, Chunk,
    answer::{Answer, Contents},
    call::Call,
    trouble::Trouble,
};

/// What a log is.
pub(crate) const KIND: &str = "text/plain; charset=utf-8";
/// How long nobody looks whether a build said more.
const PAUSE: Duration = Duration::from_millis(100);

/// A log, from some byte on.
pub(crate) struct Tail {
    key: ImageKey,
    number: u64,
    digest: Option<Digest>,
    from: u64,
    is_following: bool,
    first: Chunk,
}

/// `GET …/builds/{number}/log`.
pub(crate) fn show(app: &App, call: &Call) -> Result<Answer, Trouble> {
    let is_following = call.asked_word("follow", &[("true", true), ("false", false)])?.unwrap_or_default();
    let (key, build) = find(app, call)?;
    let (number, digest) = (build.number, build.log);
    let first = match app.services.logs.read(&key, number, digest, 0) {
        Ok(first) => first,
        // It has begun, and said nothing yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound && build.is_running() => Chunk::default(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Trouble::missing(format_args!("log of build {number} of the image {key}")));
        }
        Err(error) => {
            let detail = format!("read the log of build {number} of the image {key}: {error}");
            return Err(Trouble::new(StatusCode::INTERNAL_SERVER_ERROR, detail));
        }
    };
    let tail = Tail { key, number, digest, from: 0, is_following, first };
    Ok(Answer { status: StatusCode::OK, contents: Contents::Log(Box::new(tail)) })
}

impl Tail {
    /// The next piece.
    fn next(&mut self, app: &App) -> io::Result<Chunk> {
        let record = app.services.records.image(&self.key).map_err(|failed| io::Error::other(failed.sentence()))?;
        let build = record.and_then(|record| record.builds.into_iter().find(|build| build.number == self.number));
        let is_running = build.as_ref().is_some_and(stave_platform::resource::build::Build::is_running);
        self.digest = build.and_then(|build| build.log).or(self.digest);
        let mut chunk = match app.services.logs.read(&self.key, self.number, self.digest, self.from) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.from == 0 => Chunk::default(),
            read => read?,
        };
        // The record was read before the log: whoever is over had written all of it by then.
        chunk.is_over |= !is_running && chunk.bytes.is_empty();
        Ok(chunk)
    }
}

/// Sends a log piece by piece, as fast as it is taken. A log that breaks off is seen to: the answer has no proper end then.
pub(crate) async fn pump(app: Arc<App>, mut tail: Tail, sender: Sender<io::Result<Bytes>>) {
    let mut chunk = std::mem::take(&mut tail.first);
    loop {
        let (is_over, is_empty) = (chunk.is_over, chunk.bytes.is_empty());
        tail.from += chunk.bytes.len() as u64;
        if !is_empty && sender.send(Ok(chunk.bytes.into())).await.is_err() {
            return;
        }
        if is_over || is_empty && !tail.is_following {
            return;
        }
        if is_empty {
            tokio::select! {
                () = sleep(PAUSE) => {}
                // Whoever listened is gone.
                () = sender.closed() => return,
            }
            if app.is_stopping() {
                let _ = sender.send(Err(io::Error::other("the server ends"))).await;
                return;
            }
        }
        let read = spawn_blocking({
            let app = Arc::clone(&app);
            move || {
                let read = tail.next(&app);
                (tail, read)
            }
        });
        chunk = match read.await {
            Ok((same, Ok(next))) => {
                tail = same;
                next
            }
            Ok((_, Err(error))) => {
                let _ = sender.send(Err(error)).await;
                return;
            }
            Err(_) => {
                let _ = sender.send(Err(io::Error::other("read a log"))).await;
                return;
            }
        };
    }
}
