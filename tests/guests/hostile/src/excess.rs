//! Too much of everything.

use std::{hint::black_box, io::Write, thread, time::Duration};

use stave_sdk::{
    Failure, app,
    layers::{self, Usage},
    log,
};

/// Computes for ever.
pub(crate) fn spin() -> ! {
    let mut number = 1u64;
    loop {
        number = black_box(number.wrapping_mul(6_364_136_223_846_793_005));
    }
}

/// Waits for an hour.
pub(crate) fn sleep() {
    thread::sleep(Duration::from_hours(1));
}

/// Takes memory without end.
pub(crate) fn allocate() -> ! {
    let mut kept = Vec::new();
    loop {
        kept.push(black_box(vec![1u8; 1 << 20]));
    }
}

/// Calls itself without end, with data on the stack in its memory.
pub(crate) fn recurse() {
    fn deeper(depth: u64) -> u64 {
        let data = black_box([depth; 64]);
        if data[9] == u64::MAX { 0 } else { deeper(depth + 1) + data[7] }
    }
    black_box(deeper(0));
}

/// Calls itself without end, with nothing in its memory.
pub(crate) fn descend() {
    fn deeper(depth: u64) -> u64 {
        if black_box(depth) == u64::MAX { 0 } else { deeper(depth + 1) ^ depth }
    }
    black_box(deeper(0));
}

/// Panics with an escape sequence in its message.
pub(crate) fn panic() -> ! {
    panic!("no staves\u{1b}[2J left");
}

/// Ends as a program does.
pub(crate) fn exit() -> ! {
    #[expect(clippy::exit, reason = "this is what the host must withstand")]
    std::process::exit(3)
}

/// Says far too much: ten megabytes in small lines.
pub(crate) fn flood() {
    let line = "x".repeat(1000);
    (0..10_000).for_each(|_| log::info(&line));
}

/// Says far too much to the standard output and the standard error, and one line that does not end.
pub(crate) fn print() {
    let line = "x".repeat(1000);
    for _ in 0..2000 {
        let _ = writeln!(std::io::stdout(), "{line}");
        let _ = write!(std::io::stderr(), "{line}");
    }
}

/// Hands the host eight megabytes in one text.
pub(crate) fn send() {
    log::info(&"x".repeat(8 << 20));
}

/// Opens the archive `a.zip` of the app again and again, and keeps it open.
pub(crate) fn handles() -> Result<String, Failure> {
    let mut kept = Vec::new();
    loop {
        match app::open_archive("a.zip") {
            Ok(archive) => kept.push(archive),
            Err(error) => return Ok(format!("{} opened, then: {}", kept.len(), error.message)),
        }
    }
}

/// Begins layers without end.
pub(crate) fn layers() -> Result<String, Failure> {
    let mut count = 0;
    loop {
        match layers::create(&format!("l{count}"), Usage::LAUNCH) {
            Ok(_) => count += 1,
            Err(error) => return Ok(format!("{count} begun, then: {}", error.message)),
        }
    }
}
