//! Why the sandbox stopped a buildpack, in words that its user understands.

use std::{error::Error, fmt, time::Duration};

use stave_lifecycle::{
    answer::{panicked, plain},
    port::buildpack::RunError,
};
use wasmtime::{Trap, component::ResourceTableError};
use wasmtime_wasi::I32Exit;

use crate::limits::Limits;

/// A reason of the sandbox itself, carried through wasmtime as the cause of a trap.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    #[error("somebody asked to stop")]
    Cancelled,
    #[error("it ran for more than {}", duration(*.0))]
    Time(Duration),
    #[error("it wanted more than {} of memory", size(*.0))]
    Memory(usize),
    #[error("it wanted more than {0} table elements")]
    Table(usize),
    #[error("it held more than {0} things of the host at one time")]
    Handles(usize),
    #[error("it passed more than {} of data to the host at once", size(*.0))]
    Data(usize),
}

/// What is known of a crash, for the buildpack's author: wasmtime's words and the names of the buildpack's functions, which
/// are somebody else's text and therefore without control characters.
#[derive(Debug)]
pub(crate) struct Crash(String);

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Crash {}

const MAX_CRASH: usize = 8 * 1024;
const MAX_WORDS: usize = 500;

/// Says why a call ended in a trap. `last_words` is the last error that the buildpack logged, if nothing came after it: a
/// panic says there what happened, and then executes `unreachable`.
pub(crate) fn explain(error: &wasmtime::Error, last_words: &str, limits: &Limits) -> RunError {
    let stop = error.downcast_ref::<Stop>();
    if stop == Some(&Stop::Cancelled) {
        return RunError::Cancelled;
    }
    let reason = stop
        .cloned()
        .or_else(|| hidden_stop(error, limits))
        .map_or_else(|| trap(error, last_words), |stop| stop.to_string());
    RunError::Stopped { reason, source: Some(Box::new(Crash(plain(&format!("{error:?}"), MAX_CRASH)))) }
}

/// A limit that wasmtime keeps, recognised by the error that it raises.
fn hidden_stop(error: &wasmtime::Error, limits: &Limits) -> Option<Stop> {
    if matches!(error.downcast_ref::<ResourceTableError>(), Some(ResourceTableError::Full)) {
        return Some(Stop::Handles(limits.handles));
    }
    // These two have no type that can be named; the tests with real guests notice when the words change.
    let cause = error.root_cause().to_string();
    if cause.contains("fuel allocated for hostcalls has been exhausted") {
        return Some(Stop::Data(limits.call_bytes));
    }
    cause.contains("store handle limit exceeded").then_some(Stop::Handles(limits.handles))
}

fn trap(error: &wasmtime::Error, last_words: &str) -> String {
    if error.downcast_ref::<I32Exit>().is_some() {
        return "it exited instead of answering".to_owned();
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => "its stack overflowed".to_owned(),
        Some(Trap::UnreachableCodeReached) if last_words.trim().is_empty() => "it gave up without a word".to_owned(),
        Some(Trap::UnreachableCodeReached) => panicked(last_words),
        Some(Trap::MemoryOutOfBounds) => {
            "it reached outside its memory, as code does whose stack overflows or that has a fault".to_owned()
        }
        Some(trap) => format!("it crashed: {}", trap.to_string().trim_start_matches("wasm trap: ")),
        None => format!("it broke the rules of the sandbox: {}", plain(&error.root_cause().to_string(), MAX_WORDS)),
    }
}

fn size(bytes: usize) -> String {
    if bytes.is_multiple_of(1 << 20) { format!("{} MiB", bytes >> 20) } else { format!("{bytes} bytes") }
}

fn duration(time: Duration) -> String {
    let (millis, secs) = (time.as_millis(), time.as_secs());
    let (count, unit) = if !millis.is_multiple_of(1000) {
        return format!("{millis} milliseconds");
    } else if secs >= 60 && secs.is_multiple_of(60) {
        (secs / 60, "minute")
    } else {
        (secs, "second")
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(error: impl Into<wasmtime::Error>, last_words: &str) -> String {
        match explain(&error.into(), last_words, &Limits::default()) {
            RunError::Stopped { reason, .. } => reason,
            other => other.to_string(),
        }
    }

    #[test]
    fn every_reason_is_a_sentence_for_people() {
        let reasons = [
            reason(Stop::Cancelled, ""),
            reason(Stop::Time(Duration::from_secs(5)), ""),
            reason(Stop::Time(Duration::from_mins(1)), ""),
            reason(Stop::Time(Duration::from_millis(1200)), ""),
            reason(Stop::Memory(256 << 20), ""),
            reason(Stop::Table(9), ""),
            reason(ResourceTableError::Full, ""),
            reason(Trap::StackOverflow, "something earlier"),
            reason(Trap::UnreachableCodeReached, "the buildpack panicked at src/lib.rs:7: no staves\u{1b}[2J"),
            reason(Trap::UnreachableCodeReached, "\nthread 'main' panicked at src/lib.rs:7:5:\nno staves\nnote: x\n"),
            reason(Trap::UnreachableCodeReached, "assertion failed: x"),
            reason(Trap::UnreachableCodeReached, ""),
            reason(Trap::MemoryOutOfBounds, ""),
            reason(Trap::IntegerDivisionByZero, ""),
            reason(I32Exit(3), ""),
            reason(wasmtime::Error::msg("mismatched resource types"), ""),
        ];
        insta::assert_snapshot!(reasons.join("\n"), @r#"
        stopped on request
        it ran for more than 5 seconds
        it ran for more than 1 minute
        it ran for more than 1200 milliseconds
        it wanted more than 256 MiB of memory
        it wanted more than 9 table elements
        it held more than 10000 things of the host at one time
        its stack overflowed
        it panicked at src/lib.rs:7: no staves\u{1b}[2J
        it panicked at src/lib.rs:7:5: no staves
        it gave up with the words: assertion failed: x
        it gave up without a word
        it reached outside its memory, as code does whose stack overflows or that has a fault
        it crashed: integer divide by zero
        it exited instead of answering
        it broke the rules of the sandbox: mismatched resource types
        "#);
    }

    #[test]
    fn handles_that_a_component_makes_for_itself_are_counted_too() {
        let bomb = r#"(component
            (type $thing (resource (rep i32)))
            (core func $make (canon resource.new $thing))
            (core module $m
                (import "" "make" (func $make (param i32) (result i32)))
                (func $start (loop (drop (call $make (i32.const 0))) (br 0)))
                (start $start))
            (core instance (instantiate $m (with "" (instance (export "make" (func $make)))))))"#;
        let engine = wasmtime::Engine::default();
        let component = wasmtime::component::Component::new(&engine, wat::parse_str(bomb).unwrap()).unwrap();
        let mut store = wasmtime::Store::new(&engine, ());
        store.set_max_component_handles(100);
        let linker = wasmtime::component::Linker::new(&engine);
        let error = linker.instantiate(&mut store, &component).unwrap_err();
        assert_eq!(reason(error, ""), "it held more than 10000 things of the host at one time");
    }
}
