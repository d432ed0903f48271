//! The sockets: how many at once, how slow they may be, and how it ends.
//!
//! All of it runs on the thread that calls; what may wait for a disk runs on threads beside. A request has to be there within
//! [`PATIENCE`], headers and body each; whoever does not take an answer for [`STALL`] is hung up on. So nobody can keep the
//! places of others for long, and a log that somebody follows may still last for hours.

use std::{
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Sleep, sleep, timeout},
};

use crate::{App, Services, routes};

/// At most so many connections at once; others wait in the system's queue.
pub const MAX_CONNECTIONS: u32 = 256;
/// How long the headers of a request may take, and its body.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How long an answer may wait to be taken.
pub const STALL: Duration = Duration::from_secs(30);
/// How long open requests have when it ends.
pub const GRACE: Duration = Duration::from_secs(5);

/// Most headers of a request, and most bytes of them with the address.
const MAX_HEADERS: usize = 64;
const MAX_HEAD: usize = 32 * 1024;
/// Threads for what may wait.
const THREADS: usize = 32;
/// How often is looked whether it is to end.
const GLANCE: Duration = Duration::from_millis(25);

/// How patient a server is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manners {
    pub(crate) connections: u32,
    pub(crate) patience: Duration,
    pub(crate) stall: Duration,
    pub(crate) grace: Duration,
}

impl Default for Manners {
    fn default() -> Self {
        Self { connections: MAX_CONNECTIONS, patience: PATIENCE, stall: STALL, grace: GRACE }
    }
}

/// Answers requests on the calling thread until `stop` is set, then finishes what is open, within [`GRACE`].
pub fn serve(listener: std::net::TcpListener, services: Services, stop: Arc<AtomicBool>) -> io::Result<()> {
    serve_with(listener, services, stop, Manners::default())
}

pub(crate) fn serve_with(
    listener: std::net::TcpListener,
    services: Services,
    stop: Arc<AtomicBool>,
    manners: Manners,
) -> io::Result<()> {
    let is_local = listener.local_addr()?.ip().is_loopback();
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(THREADS)
        .thread_name("stave-server")
        .build()?;
    let app = Arc::new(App::new(services, is_local, stop));
    let done = runtime.block_on(run(listener, &app, manners));
    // A question to a disk that does not answer keeps nobody.
    runtime.shutdown_timeout(Duration::from_millis(500));
    done
}

async fn run(listener: std::net::TcpListener, app: &Arc<App>, manners: Manners) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let router = routes::router(app, manners.patience);
    let room = Arc::new(Semaphore::new(manners.connections as usize));
    let (closing, closed) = watch::channel(false);
    loop {
        let next = async {
            let place = Arc::clone(&room).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            next = next => next,
            () = told(&app.stop) => break,
        };
        match (accepted, place) {
            (Ok((stream, _)), Ok(place)) => {
                let connection = connection(stream, router.clone(), closed.clone(), place, manners);
                tokio::spawn(connection);
            }
            // Too many open files, or whoever asked is gone already: the others are not to suffer.
            _ => sleep(GLANCE).await,
        }
    }
    drop(listener);
    let _ = closing.send(true);
    let _ = timeout(manners.grace, room.acquire_many(manners.connections)).await;
    Ok(())
}

/// Waits until it is to end.
async fn told(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        sleep(GLANCE).await;
    }
}

async fn connection(
    stream: TcpStream,
    router: Router,
    mut closed: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
    manners: Manners,
) {
    let _ = stream.set_nodelay(true);
    let line = Line { stream, stall: manners.stall, stalled: None };
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(manners.patience)
            .max_headers(MAX_HEADERS)
            .max_header_size(MAX_HEAD)
            .serve_connection(TokioIo::new(line), TowerToHyperService::new(router))
    );
    // What goes wrong on a line is nobody's concern but that of who is at its other end.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = closed.wait_for(|is_closed| *is_closed) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// A connection on which an answer does not wait for ever to be taken.
struct Line {
    stream: TcpStream,
    stall: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(cx, bytes) {
            self.stalled = None;
            return Poll::Ready(written);
        }
        let stall = self.stall;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(stall)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
