//! A long way to a registry: every byte arrives after half a round trip, and all are counted. What is sent one after the other
//! is on its way at the same time; a connection costs a round trip before its first byte.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

/// A way to a port of this machine. It stays open until the benchmark ends.
pub(crate) struct Wire {
    port: u16,
    sent: Arc<AtomicU64>,
}

impl Wire {
    /// Opens one with this round trip.
    pub(crate) fn open(to: u16, round_trip: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let sent = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&sent);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                for stream in [&near, &far] {
                    let _ = stream.set_nodelay(true);
                }
                let (Ok(near_end), Ok(far_end)) = (near.try_clone(), far.try_clone()) else { continue };
                // The system has shaken hands already, in no time: the round trip of it is waited for here.
                carry(near, far, round_trip + round_trip / 2, round_trip / 2, Some(Arc::clone(&counter)));
                carry(far_end, near_end, round_trip / 2, round_trip / 2, None);
            }
        });
        Self { port, sent }
    }

    /// Host and port.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// How many bytes went to the registry so far, headers and all.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }
}

/// Carries one direction: the first bytes after one delay, those that come later after another.
fn carry(from: TcpStream, to: TcpStream, first: Duration, later: Duration, counter: Option<Arc<AtomicU64>>) {
    let (sender, receiver) = channel();
    let opened = Instant::now();
    thread::spawn(move || take(from, &sender, opened + first, later, counter.as_deref()));
    thread::spawn(move || give(to, &receiver));
}

fn take(
    mut from: TcpStream,
    to: &Sender<(Instant, Vec<u8>)>,
    earliest: Instant,
    delay: Duration,
    counter: Option<&AtomicU64>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if let Some(counter) = counter {
            counter.fetch_add(count as u64, Ordering::SeqCst);
        }
        let arrives = (Instant::now() + delay).max(earliest);
        if to.send((arrives, buffer[..count].to_vec())).is_err() {
            break;
        }
    }
}

fn give(mut to: TcpStream, from: &Receiver<(Instant, Vec<u8>)>) {
    for (arrives, bytes) in from {
        thread::sleep(arrives.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
